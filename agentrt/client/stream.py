"""One response under way: its events as they come, and the response once it is whole."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self, cast

import anyio

from agentrt.client.http import read_body, translated
from agentrt.errors import AgentrtError, UnreachableError, UsageError, WireError
from agentrt.wire.assembler import Assembler
from agentrt.wire.events import Event
from agentrt.wire.json import as_dict, parse
from agentrt.wire.responses import Response
from agentrt.wire.sse import SSEDecoder

if TYPE_CHECKING:
    from agentrt.client.http import HTTPResponse

__all__ = ["ResponseStream"]

_GRACE_SECONDS = 1.0
_LEAVE_SECONDS = 2.0
_SHOWN = 200


class ResponseStream:
    """The events of one response: ``async with client.stream(…) as stream: async for event in stream: …``.

    After the last event `response` is the same object that ``create`` would have given. A server that answers with
    plain JSON gives one event, the last.

    Args:
        send: Sends the request and gives the HTTP response once its headers have come.
        idle_timeout: Seconds without an event after which the stream counts as dead. A keep-alive is no event.
    """

    def __init__(self, send: Callable[[], Awaitable[HTTPResponse]], idle_timeout: float) -> None:
        self._send = send
        self._idle_timeout = idle_timeout
        self._http: HTTPResponse | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder: SSEDecoder | None = None
        self._ready: deque[Event] = deque()
        self._response: Response | None = None

    async def __aenter__(self) -> Self:
        """Send the request; raises what ``Client.create`` raises."""
        self._http = await self._send()
        self._chunks = self._http.aiter_bytes()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back, also when the stream was left early or cancelled."""
        if self._http is not None:
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                await cast("AsyncGenerator[bytes]", self._chunks).aclose()
                await self._http.aclose()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """Give the next event.

        Raises:
            UnreachableError: The connection was cut, or silent for too long.
            WireError: What came is not a response, or the stream ended without its last event.
        """
        while not self._ready:
            if self._response is not None:
                raise StopAsyncIteration
            await self._read()
        return self._ready.popleft()

    @property
    def response(self) -> Response:
        """The whole response; raises UsageError before the last event has come."""
        if self._response is None:
            raise UsageError("the response is not whole yet: read the stream to its end first")
        return self._response

    async def _read(self) -> None:
        assert self._http is not None
        kind = self._http.headers.get("content-type", "").partition(";")[0].strip().lower()
        with translated(str(self._http.url)):
            if kind == "text/event-stream":
                await self._read_events()
            elif kind in ("application/json", ""):
                await self._read_json()
            else:
                body = await anext(self._http_chunks(), b"")
                raise WireError(
                    f"{self._http.url} answered with {kind}, not with JSON or events: {body[:_SHOWN]!r}. "
                    "Check that base_url leads to a Responses API (it often ends in /v1)."
                )

    def _http_chunks(self) -> AsyncIterator[bytes]:
        assert self._chunks is not None
        return self._chunks

    async def _read_json(self) -> None:
        assert self._http is not None
        body = await read_body(self._http_chunks())
        try:
            raw: Any = parse(body)
        except ValueError as error:
            raise WireError(f"{self._http.url} answered with broken JSON ({error}): {body[:_SHOWN]!r}") from error
        response = as_dict(raw)
        if not ("output" in response or "status" in response or response.get("error")):
            raise WireError(
                f"{self._http.url} answered with JSON that is not a response: {body[:_SHOWN]!r}. "
                "Check that base_url leads to a Responses API, not to another kind."
            )
        if response.get("error") and not response.get("status"):
            response = {"output": list[Any](), **response, "status": "failed"}
        self._ready.append(Event({"type": f"response.{response.get('status') or 'completed'}", "response": response}))
        self._finish(response)

    async def _read_events(self) -> None:
        if self._decoder is None:
            self._decoder, self._assembler = SSEDecoder(), Assembler()
        last_event = time.monotonic()
        async for chunk in self._http_chunks():
            events = [Event(raw) for raw in self._decoder.feed(chunk)]
            for event in events:
                self._assembler.feed(event)
            self._ready.extend(events)
            if self._assembler.ended:
                return await self._end(self._decoder)
            if events:
                return None
            if time.monotonic() - last_event > self._idle_timeout:
                raise UnreachableError(f"no event for {self._idle_timeout:g} seconds, only keep-alives; try again")
        raise WireError(
            "the stream ended without response.completed, response.failed or response.incomplete: it was cut off, and "
            "nothing in it counts; try again"
        )

    async def _end(self, decoder: SSEDecoder) -> None:
        self._finish(self._assembler.response)
        # Read on to the end of the body, so that the connection can be used again; what still comes, or a cut, changes
        # nothing about a response that is whole.
        with anyio.move_on_after(_GRACE_SECONDS), contextlib.suppress(AgentrtError), translated("the stream"):
            async for chunk in self._http_chunks():
                self._ready.extend(Event(raw) for raw in decoder.feed(chunk))

    def _finish(self, response: dict[str, Any]) -> None:
        assert self._http is not None
        self._response = Response(response, request_id=self._http.headers.get("x-request-id"))
