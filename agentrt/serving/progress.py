"""What a call tells of itself, on its way to the client."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.session import ServerSession

from agentrt.registry.threads import call_soon
from agentrt.serving.asking import sendable

__all__ = ["Tell", "as_report", "told"]

T = TypeVar("T")
Tell = Callable[[float | None, str], None]
"""Takes how far the work is, from 0 to 1 if that is known, and a few words. Called on any thread."""

_WAITING = 64


class _News(NamedTuple):
    fraction: float | None
    message: str


async def told(session: ServerSession, work: Callable[[Tell], Awaitable[T]]) -> T:
    """Do some work, and pass on what it tells, all of it before its result.

    A client that takes it too slowly misses some: the work never waits.

    Args:
        session: The client's.
        work: What to do.

    Returns:
        What the work returned.

    Raises:
        Exception: Whatever the work raised.
    """
    send, receive = anyio.create_memory_object_stream[_News](_WAITING)
    tell = _teller(send)
    outcome: list[T] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group, send:
        group.start_soon(_pass_on, session, receive)
        try:
            outcome.append(await work(tell))
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the group that would wrap it
            failure = error
        await anyio.lowlevel.checkpoint()  # for what threads have told
    if failure is not None:
        raise failure
    return outcome[0]


def _teller(send: MemoryObjectSendStream[_News]) -> Tell:
    home, token = threading.get_ident(), anyio.lowlevel.current_token()

    def push(news: _News) -> None:
        with contextlib.suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            send.send_nowait(news)  # or it is too much, or too late

    def tell(fraction: float | None, message: str) -> None:
        news = _News(fraction, message)
        if threading.get_ident() == home:
            push(news)
        else:
            call_soon(token, push, news)

    return tell


async def _pass_on(session: ServerSession, receive: MemoryObjectReceiveStream[_News]) -> None:
    """Send the news. MCP wants a number that grows each time, whatever the tool told (spec, basic/utilities/progress).

    Where the tool tells fractions it is the fraction; where it doesn't, the news are counted.
    """
    done, of = -1.0, None
    async with receive:
        async for news in receive:
            if news.fraction is not None and (of is not None or done < 0):
                of, done = 1.0, max(news.fraction, math.nextafter(done, math.inf) if done >= 0 else 0.0)
            elif of is not None:
                done = math.nextafter(done, math.inf)
            else:
                done = max(done, 0.0) + 1
            try:
                await session.report_progress(done, of, sendable(news.message) or None)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return  # the client is gone


def as_report(tell: Tell) -> Callable[[Any, float | None, str, Any], None]:
    """Make what `Caller.report` is: pieces of the output are told as they are."""

    def report(_call: Any, fraction: float | None, message: str, piece: Any) -> None:
        tell(fraction, message or (piece if isinstance(piece, str) else ""))

    return report
