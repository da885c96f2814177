"""One response under way: its events as they come, and the response once it is whole."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Self

import anyio

from agentrt.client.http import Opened
from agentrt.client.transport import LEAVE_SECONDS, foreign, read_body, read_chunks, translated
from agentrt.errors import AgentrtError, IncompleteStreamError, ServerError, UnreachableError, UsageError, WireError
from agentrt.wire.assembler import Assembler
from agentrt.wire.events import Event
from agentrt.wire.json import as_dict, parse
from agentrt.wire.responses import Response
from agentrt.wire.sse import SSEDecoder

__all__ = ["ResponseStream", "Resume"]

Resume = Callable[[str, int | None, ServerError, int], Awaitable[Opened | Response]]

_GRACE_SECONDS = {"failed": 1.0}
_DRAIN_SECONDS = 0.2
_SHOWN = 200


class ResponseStream:
    """The events of one response: ``async with client.stream(…) as stream: async for event in stream: …``.

    After the last event `response` is the same object that ``create`` would have given. A server that answers with
    plain JSON gives one event, the last.

    Args:
        opener: Sends the request and gives the answer once its headers have come.
        resume: Opens the stream of a background response again after it broke: takes the response's id, the number of
            the last event, what broke it, and how often in a row; None where that is not possible.
    """

    def __init__(self, opener: Callable[[], Awaitable[Opened]], resume: Resume | None = None) -> None:
        self._opener = opener
        self._resume = resume
        self._opened: Opened | None = None
        self._chunks: AsyncGenerator[bytes, None] | None = None
        self._ready: deque[Event] = deque()
        self._response: Response | None = None
        self._drained = False
        self._breaks = 0
        self._assembler: Assembler | None = None
        self.tries = 0
        """How often the request was sent before it was answered."""

    async def __aenter__(self) -> Self:
        """Send the request; raises what ``Client.create`` raises."""
        self._begin(await self._opener())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back, also when the stream was left early or cancelled."""
        opened, self._opened = self._opened, None
        if opened is not None and self._chunks is not None:
            with anyio.move_on_after(LEAVE_SECONDS, shield=True):
                await self._chunks.aclose()
                await opened.sent.aclose()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """Give the next event.

        Raises:
            UnreachableError: The connection was cut, or silent for too long.
            WireError: What came is not a response.
            IncompleteStreamError: The stream ended without its last event.
        """
        while not self._ready:
            if self._response is not None:
                if self._assembler is None and not self._drained:  # it came as JSON, which is one event: the last
                    self._ready.append(_last_event(self._response))
                await self._drain()
                if not self._ready:
                    raise StopAsyncIteration
            elif self._opened is None:
                raise UsageError("enter the stream first: async with client.stream(…) as stream: async for event in …")
            else:
                await self._read(self._opened)
        return self._ready.popleft()

    async def whole(self) -> Response:
        """Read to the end and give the response; raises what reading the events raises."""
        while self._response is None:
            assert self._opened is not None
            await self._read(self._opened)
        await self._drain()
        return self._response

    def interrupt(self) -> None:
        """End the wait for the next event, and every later one, with a `DeadlineError`; from the same event loop."""
        if self._opened is not None:
            self._opened.clock.ring()

    @property
    def response(self) -> Response:
        """The whole response; raises UsageError before the last event has come."""
        if self._response is None:
            raise UsageError("the response is not whole yet: read the stream to its end first")
        return self._response

    @property
    def partial(self) -> Response:
        """The response as far as it has come, for showing; nothing in it counts before the stream has ended."""
        return self._response or Response({} if self._assembler is None else self._assembler.response)

    def _begin(self, opened: Opened) -> None:
        self._opened = opened
        self._chunks = read_chunks(opened.sent, opened.sender, opened.clock)
        self._kind = opened.sent.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._kind == "text/event-stream":
            opened.clock.start_listening()
            self._decoder = SSEDecoder()
            self._assembler = self._assembler or Assembler()

    async def _read(self, opened: Opened) -> None:
        assert self._chunks is not None
        try:
            if self._assembler is not None and self._kind == "text/event-stream":
                await self._read_events(self._chunks, opened, self._assembler)
            elif self._kind in ("application/json", ""):
                self._read_json(await read_body(self._chunks), opened)
            else:
                body = await anext(self._chunks, b"")
                raise WireError(
                    f"{opened.url} answered with {self._kind}, not with JSON or events: {body[:_SHOWN]!r}. "
                    "Check that base_url leads to a Responses API (it often ends in /v1)."
                )
        except ServerError as error:
            await self._take_up(error, opened, error.__cause__)
        except foreign() as error:
            await self._take_up(translated(error, opened.url, opened.clock), opened, error)

    async def _take_up(self, error: AgentrtError, opened: Opened, cause: BaseException | None) -> None:
        """Go on with a background response whose stream broke; raise the error where that can't be."""
        if isinstance(error, ServerError):
            opened.blame(error)
        so_far = {} if self._assembler is None else self._assembler.response
        broken = isinstance(error, UnreachableError | IncompleteStreamError) and so_far.get("background")
        if not broken or self._resume is None or self._assembler is None or not so_far.get("id"):
            raise error from cause
        assert isinstance(error, ServerError)
        await self.aclose()
        self._breaks += 1
        found = await self._resume(so_far["id"], self._assembler.last_number, error, self._breaks)
        if isinstance(found, Response):
            self._ready.append(_last_event(found))
            self._response, self._drained = found, True
        else:
            self._begin(found)

    def _read_json(self, body: bytearray, opened: Opened) -> None:
        try:
            raw: Any = parse(body)
        except ValueError as error:
            raise WireError(f"{opened.url} answered with broken JSON ({error}): {bytes(body[:_SHOWN])!r}") from error
        response = as_dict(raw)
        if not ("output" in response or "status" in response or response.get("error")):
            raise WireError(
                f"{opened.url} answered with JSON that is not a response: {bytes(body[:_SHOWN])!r}. "
                "Check that base_url leads to a Responses API, not to another kind."
            )
        if response.get("error") and not response.get("status"):
            response = {"output": list[Any](), **response, "status": "failed"}
        self._response = Response(response, opened.sent.headers)

    async def _read_events(self, chunks: AsyncGenerator[bytes, None], opened: Opened, assembler: Assembler) -> None:
        async for chunk in chunks:
            if self._feed(chunk, assembler):
                self._breaks = 0
                opened.clock.start_listening()
                if assembler.ended:
                    self._response = Response(assembler.response, opened.sent.headers)
                return
            if opened.clock.left() == 0:
                raise opened.clock.error(opened.url)
        raise IncompleteStreamError(
            "the stream ended without response.completed, response.failed or response.incomplete: it was cut off, and "
            "nothing in it counts; try again"
        )

    def _feed(self, chunk: bytes, assembler: Assembler) -> bool:
        told = False
        for raw in self._decoder.feed(chunk):
            event = Event(raw)
            if assembler.feed(event):
                self._ready.append(event)
                told = True
        return told

    async def _drain(self) -> None:
        """Read on for a moment: the body's end lets the connection be used again, and Azure tells why it failed.

        What else comes, or a cut, changes nothing about a response that is whole.
        """
        drained, self._drained = self._drained, True
        if drained or not (self._opened and self._chunks and self._response and self._assembler):
            return
        seconds = _GRACE_SECONDS.get(self._response.status, _DRAIN_SECONDS)
        with anyio.move_on_after(seconds), contextlib.suppress(AgentrtError, *foreign()):
            async for chunk in self._chunks:
                self._feed(chunk, self._assembler)
        self._response = Response(self._assembler.response, self._opened.sent.headers)


def _last_event(response: Response) -> Event:
    return Event({"type": f"response.{response.status}", "response": response.raw})
