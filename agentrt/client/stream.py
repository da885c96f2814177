"""One response under way: its events as they come, and the response once it is whole."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

import anyio

from agentrt.client.http import Opened, PreparedRequest
from agentrt.client.transport import LEAVE_SECONDS, Clock, foreign, read_body, read_chunks, translated
from agentrt.errors import AgentrtError, IncompleteStreamError, ServerError, UnreachableError, UsageError
from agentrt.wire.assembler import Assembler
from agentrt.wire.events import Event
from agentrt.wire.responses import Response
from agentrt.wire.sse import SSEDecoder

__all__ = ["ResponseStream", "Resume"]

Resume = Callable[["ResponseStream", ServerError, Clock], Awaitable[Opened | Response]]

_GRACE_SECONDS = {"failed": 1.0}
_DRAIN_SECONDS = 0.2


@dataclass(eq=False, repr=False)
class ResponseStream:
    """The events of one response: ``async with client.stream(…) as stream: async for event in stream: …``.

    After the last event `response` is the same object that ``create`` would have given. A server that answers with
    plain JSON gives one event, the last.

    Args:
        request: What is sent; of several models, to the first.
        opener: Sends the request and gives the answer once its headers have come.
        resume: Opens the stream of a background response again after it broke, or gives the response: takes the stream,
            what broke it, and the stream's clock; None where that is not possible.
    """

    request: PreparedRequest
    _opener: Callable[[], Awaitable[Opened]]
    _resume: Resume | None = None
    tries: int = field(default=0, init=False)
    """How often the request was sent before it was answered."""
    begun: int = field(default=0, init=False)
    """How often its events came from the first one on."""
    breaks: int = field(default=0, init=False)
    """How often in a row the stream broke without a new event."""
    _ready: deque[Event] = field(default_factory=deque[Event], init=False)
    _opened: Opened | None = field(default=None, init=False)
    _chunks: AsyncGenerator[bytes, None] | None = field(default=None, init=False)
    _response: Response | None = field(default=None, init=False)
    _drained: bool = field(default=False, init=False)
    _assembler: Assembler | None = field(default=None, init=False)

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
            if self._opened is None:
                raise UsageError("enter the stream first: async with client.stream(…) as stream: await stream.whole()")
            await self._read(self._opened)
        if self._assembler is not None:
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

    @property
    def repeatable(self) -> bool:
        """Whether the same may be asked for again although it may have been worked on."""
        return self.request.repeatable

    @property
    def last_number(self) -> int | None:
        """The ``sequence_number`` of the last event, for ``starting_after``."""
        return None if self._assembler is None else self._assembler.last_number

    def _begin(self, opened: Opened) -> None:
        self._opened = opened
        self._chunks = read_chunks(opened.sent, opened.sender, opened.clock)
        self._kind = opened.sent.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._kind == "text/event-stream":
            opened.clock.start_listening()
            self._decoder = SSEDecoder()
            if self._assembler is None or self._assembler.last_number is None:  # without numbers it begins anew
                self._assembler = Assembler()
                self.begun += 1
            self._assembler.go_on()

    async def _read(self, opened: Opened) -> None:
        assert self._chunks is not None
        try:
            if self._assembler is not None and self._kind == "text/event-stream":
                await self._read_events(self._chunks, opened, self._assembler)
            elif self._kind in ("application/json", ""):
                body = await read_body(self._chunks)
                try:
                    self._response = Response.read(body, opened.sent.headers)
                except ValueError as error:
                    raise opened.misread(error, body) from error
            else:
                raise opened.misread(
                    ValueError(f"is {self._kind}, neither JSON nor events"), await anext(self._chunks, b"")
                )
        except ServerError as error:
            await self._take_up(error, opened, error.__cause__)
        except foreign() as error:
            await self._take_up(translated(error, opened.url, opened.clock), opened, error)

    async def _take_up(self, error: AgentrtError, opened: Opened, cause: BaseException | None) -> None:
        """Go on with a background response whose stream broke; raise the error where that can't be."""
        if isinstance(error, ServerError):
            opened.blame(error)
            error.repeatable = self.request.repeatable
            if self.request.background:
                error.response_id = self.partial.id
        so_far = {} if self._assembler is None else self._assembler.response
        broken = isinstance(error, UnreachableError | IncompleteStreamError) and self.request.background
        if not broken or self._resume is None or self._assembler is None or not so_far.get("id"):
            raise error from cause
        assert isinstance(error, ServerError)
        await self.aclose()
        self.breaks += 1
        found = await self._resume(self, error, opened.clock)
        if isinstance(found, Response):
            self._ready.append(_last_event(found))
            self._response, self._drained = found, True
        else:
            self._begin(found)

    async def _read_events(self, chunks: AsyncGenerator[bytes, None], opened: Opened, assembler: Assembler) -> None:
        async for chunk in chunks:
            if self._feed(chunk, assembler):
                self.breaks = 0
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
