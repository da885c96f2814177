"""A transport around a transport: what a server sends is made fit before the SDK sees it.

Also the place that knows what is on its way: which requests wait for an answer, and whether a call has gone out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import (
    PROTOCOL_VERSION_META_KEY,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from agentrt.bridges.mcp.mending import mended
from agentrt.wire.json import as_dict

__all__ = ["Flight", "Sanitised", "in_flight"]

_MAX_WAITING = 65_536
_MAX_PROBLEMS = 100
_LOGGED_AT_FIRST = 3

logger = logging.getLogger("agentrt.mcp")


class Flight:
    """A call on its way."""

    __slots__ = ("result", "sent")

    def __init__(self) -> None:
        self.sent = False
        """Whether the transport took it, so that the server may have it."""
        self.result: dict[str, Any] | None = None
        """Its result as it came, made fit."""


in_flight: ContextVar[Flight | None] = ContextVar("agentrt_mcp_flight", default=None)
"""The call that the running task makes. The SDK's dispatcher sends in its caller's task (mcp 2.3), so that it is seen
where the request is written."""


class Sanitised:
    """A transport for the SDK's client, around another.

    Args:
        inner: The other: an async context manager that gives a stream to read from and one to write to.
        name: The server's name.
        on_end: Is called once, when the server has gone.
    """

    def __init__(self, inner: Any, *, name: str, on_end: Callable[[], None]) -> None:
        self._inner = inner
        self._name = name
        self._on_end: Callable[[], None] | None = on_end
        self._waiting: dict[RequestId, tuple[str, bool, Flight | None]] = {}
        self._broken = 0
        self.raw_tools: dict[str, dict[str, Any]] = {}
        """Tools as they came last, by name, before anything was changed; whoever lists them clears it before."""
        self.problems: list[str] = []
        """What was left out or changed, in sentences; the first 100."""

    async def __aenter__(self) -> tuple[Any, Any]:
        """Connect; gives the stream to read from and the one to write to."""
        read, write = await self._inner.__aenter__()
        return _Read(self, read), _Write(self, write)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Leave the server."""
        left: bool | None = await self._inner.__aexit__(kind, error, trace)
        return left

    def tell(self, problem: str) -> None:
        """Note what was wrong with something that came."""
        if len(self.problems) < _MAX_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)
            logger.debug("the MCP server %r: %s", self._name, problem)

    def going(self, message: Any) -> None:
        """Note what is about to be sent."""
        if isinstance(message, JSONRPCRequest):
            if len(self._waiting) >= _MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
            modern = PROTOCOL_VERSION_META_KEY in as_dict((message.params or {}).get("_meta"))
            flight = in_flight.get() if message.method == "tools/call" else None
            self._waiting[_plain(message.id)] = message.method, modern, flight
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._waiting.pop(_plain((message.params or {}).get("requestId", "")), None)

    def come(self, item: Any) -> bool:
        """Make what came fit; gives whether there is anything to pass on."""
        if isinstance(item, Exception):
            self._broken += 1
            if self._broken <= _LOGGED_AT_FIRST or self._broken % 1000 == 0:
                told = f"{type(item).__name__}: {str(item)[:200]}"
                logger.warning(
                    "the MCP server %r sent what is no MCP message (%d so far): %s", self._name, self._broken, told
                )
            return False
        message = item.message
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            asked = None if message.id is None else self._waiting.pop(_plain(message.id), None)
            if asked is None:
                self.tell(f"an answer was dropped: nothing waits for one with the id {str(message.id)[:50]!r}")
                return False
            if isinstance(message, JSONRPCResponse):
                method, modern, flight = asked
                message.result = mended(method, message.result, self.raw_tools, self.tell, modern=modern)
                if flight is not None:
                    flight.result = message.result
        return True

    def ended(self) -> None:
        """Tell, once, that nothing more will come."""
        told, self._on_end = self._on_end, None
        if told is not None:
            told()


def _plain(key: RequestId) -> RequestId:
    """Give an id as it is compared: some servers send numbers back as texts."""
    return int(key) if isinstance(key, str) and key.isdecimal() and key.isascii() else key


class _Stream:
    """What the two directions have in common."""

    def __init__(self, owner: Sanitised, inner: Any) -> None:
        self._owner = owner
        self._inner = inner

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Read(_Stream):
    @property
    def last_context(self) -> Any:
        """In which context the transport sent the last message; the SDK handles it in the same."""
        return getattr(self._inner, "last_context", None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def receive(self) -> SessionMessage:
        while True:
            try:
                item = await self._inner.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
                self._owner.ended()
                raise
            if self._owner.come(item):
                come: SessionMessage = item
                return come


class _Write(_Stream):
    async def send(self, item: SessionMessage) -> None:
        self._owner.going(item.message)
        await self._inner.send(item)
        if isinstance(item.message, JSONRPCRequest) and item.message.method == "tools/call":
            flight = in_flight.get()
            if flight is not None:
                flight.sent = True
