"""The way to the server: one seam, `Sender`, with clocks, and foreign exceptions that become ours.

By default it is ``pool.py``. With a proxy in the environment, or with a client of the user's, it is that client.
"""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio
import anyio.lowlevel
import h11
import httpx2

from agentrt.errors import AgentrtError, DeadlineError, UnreachableError, UsageError, WireError
from agentrt.local import open_transport

if TYPE_CHECKING:
    import httpx

    HTTPClient = httpx2.AsyncClient | httpx.AsyncClient

__all__ = [
    "LEAVE_SECONDS",
    "MAX_BODY_BYTES",
    "Clock",
    "Sender",
    "SenderPerLoop",
    "Sent",
    "Timeouts",
    "foreign",
    "read_body",
    "read_chunks",
    "translated",
]

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Upper bound for a whole body, decompressed. A response with four large images in base64 is about 20 MiB."""

LEAVE_SECONDS = 2.0
"""Seconds that giving a connection back may take; then it is dropped."""

_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")
_PIECE = 1024 * 1024


class Timeouts:
    """Seconds: for opening a connection, without an event, and for the whole answer."""

    __slots__ = ("connect", "idle", "whole")

    def __init__(self, connect: float, idle: float, whole: float) -> None:
        self.connect = connect
        self.idle = idle
        self.whole = whole


@dataclass(slots=True, eq=False)
class Clock:
    """The clocks of one request: silence between events, and the deadline of the whole.

    Args:
        timeouts: How long each may take.
        deadline: When the whole must be over, on the event loop's clock.
        waiting: The scope of the wait for the network that is under way, if any.
    """

    timeouts: Timeouts
    deadline: float = math.inf
    waiting: anyio.CancelScope | None = None
    _quiet_until: float = math.inf

    def ring(self) -> None:
        """Let the deadline be now: the wait that is under way ends, and there will be no other."""
        self.deadline = -math.inf
        if self.waiting is not None:
            self.waiting.cancel()

    def at_least(self, seconds: float) -> Clock:
        """Give a clock whose deadline is this one's, or so many seconds from now where that is later."""
        return Clock(self.timeouts, max(self.deadline, anyio.current_time() + seconds))

    def start_listening(self) -> None:
        """An event, or the beginning of a stream: silence is counted from here on."""
        self._quiet_until = anyio.current_time() + self.timeouts.idle

    def left(self) -> float:
        """Count the seconds until the first of the clocks rings."""
        return max(0.0, min(self.deadline, self._quiet_until) - anyio.current_time())

    def error(self, where: str) -> UnreachableError:
        """Make the error for the clock that rang."""
        if anyio.current_time() >= self.deadline:
            return DeadlineError(
                f"{where} gave no whole answer within {self.timeouts.whole:g} seconds; raise timeout=, or ask for less"
            )
        return UnreachableError(
            f"{where} sent no event for {self.timeouts.idle:g} seconds, only keep-alives or nothing; try again, or "
            "raise idle_timeout="
        )


class Sent(Protocol):
    """What httpx2's and httpx's responses have in common, as far as it is used."""

    status_code: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names compare in lower case."""
        ...

    @property
    def reason_phrase(self) -> str:
        """What the server says beside the status."""
        ...

    @property
    def stream(self) -> Any:
        """The body's chunks, as they come."""
        ...

    async def aclose(self) -> None:
        """Give the connection back."""
        ...


class Sender:
    """Sends requests through a client of httpx2's or httpx's; each wait has the clock's end.

    Args:
        client: The client.
        own: Whether it is ours to close.
    """

    clocked = False
    """Whether reading the body needs no watch, as the sockets themselves know the clock."""

    def __init__(self, client: HTTPClient, *, own: bool) -> None:
        self._client: Any = client
        self._own = own

    async def send(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None, clock: Clock
    ) -> Sent:
        """Send a request; gives its response once the headers have come, the body unread."""
        if self._client.is_closed:
            raise UsageError("the http_client that was passed is closed; keep it open as long as the Client is used")
        timeout = (clock.timeouts.connect, None, None, None)
        request = self._client.build_request(method, str(url), headers=dict(headers), content=content, timeout=timeout)
        with anyio.move_on_after(clock.left()):
            response: Sent = await self._client.send(request, stream=True, follow_redirects=False)
            return response
        raise clock.error(str(url))

    async def aclose(self) -> None:
        """Close what is ours."""
        if self._own:
            await self._client.aclose()


class SenderPerLoop:
    """Keeps one sender per event loop, as connections belong to the loop that opened them.

    Args:
        base_url: Where requests go; a ``local://`` address gets the embedded model's transport.
        given: The user's own client, which stays the user's to close.
    """

    def __init__(self, base_url: str, given: HTTPClient | None) -> None:
        if given is not None and not hasattr(given, "build_request"):
            raise UsageError(f"http_client takes an httpx2.AsyncClient or httpx.AsyncClient, not {given!r:.100}")
        self._url = httpx2.URL(base_url)
        self._given = None if given is None else Sender(given, own=False)
        self._opened: anyio.lowlevel.RunVar[Sender | None] = anyio.lowlevel.RunVar("agentrt", None)

    def get(self) -> Sender:
        """Give the sender of the running event loop."""
        if self._given is not None:
            return self._given
        sender = self._opened.get()
        if sender is None:
            sender = _open(self._url)
            self._opened.set(sender)
        return sender

    async def aclose(self) -> None:
        """Close the sender of the running event loop; the next request opens a new one."""
        sender = self._opened.get()
        if sender is not None:
            self._opened.set(None)
            with anyio.move_on_after(LEAVE_SECONDS, shield=True):
                await sender.aclose()


def _open(url: httpx2.URL) -> Sender:
    if url.scheme == "local":
        return Sender(httpx2.AsyncClient(transport=open_transport(str(url))), own=True)
    if url.scheme not in ("http", "https"):
        raise UsageError(f"base_url must begin with http:// or https://, but is {str(url)!r}")
    if _has_proxy(url):
        return Sender(httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None)), own=True)
    from agentrt.client.pool import PoolSender  # noqa: PLC0415 - it stands on `Sender`

    return PoolSender(url)


def _has_proxy(url: httpx2.URL) -> bool:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - only the first request needs it

    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.host)


def foreign() -> tuple[type[Exception], ...]:
    """Name the exceptions that are to be caught here: those of httpx2, httpx, h11 and the network."""
    other: Any = sys.modules.get("httpx")
    errors: tuple[type[Exception], ...] = (
        httpx2.HTTPError,
        httpx2.StreamError,
        httpx2.InvalidURL,
        h11.ProtocolError,
        anyio.BrokenResourceError,
        anyio.ClosedResourceError,
        OSError,
    )
    return errors if other is None else (*errors, other.HTTPError, other.StreamError, other.InvalidURL)


def translated(error: Exception, url: object, clock: Clock) -> AgentrtError:
    """Give the error of ours that stands for one of theirs."""
    name = type(error).__name__
    if name in ("UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
        told = error if name == "InvalidURL" else name  # the text may hold a header's value, which may be the key
        return UsageError(f"no request can be sent to {url}: {told}; check base_url, headers and key")
    if name.endswith("Timeout") and clock.left() == 0:
        return clock.error(str(url))
    unreachable = UnreachableError(
        f"no complete answer from {url}: {name} {error}".rstrip()
        + ". Check the address, the network, and that the server is running."
    )
    unreachable.sent = name not in _NOT_SENT
    return unreachable


async def read_chunks(sent: Sent, sender: Sender, clock: Clock) -> AsyncGenerator[bytes, None]:
    """Read a response's body, decoded in bounded pieces, while the clock goes.

    httpx 0.28 decodes a chunk whole, which makes 67 MB of a bomb's 64 kB (measured), so neither library decodes here.
    """
    encoding = sent.headers.get("content-encoding", "identity").strip().lower()
    unpacker = None if encoding in ("", "identity") else _unpacker(encoding)
    async with aclosing(cast("AsyncGenerator[bytes, None]", sent.stream.__aiter__())) as chunks:
        while True:
            chunk: bytes | None = None
            if sender.clocked:
                chunk = await anext(chunks, None)
            else:
                with anyio.move_on_after(clock.left()) as clock.waiting:
                    chunk = await anext(chunks, None)
                if clock.waiting.cancelled_caught:
                    raise clock.error("the server")
            if chunk is None:
                return
            if unpacker is None:
                yield chunk
            else:
                for piece in _unpacked(unpacker, chunk):
                    yield piece


async def read_body(chunks: AsyncIterator[bytes], limit: int = MAX_BODY_BYTES) -> bytearray:
    """Read a body to its end.

    Raises:
        WireError: It has more than ``limit`` bytes.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise WireError(f"the server's answer has more than {limit} bytes; ask for less at once")
    return body


def _unpacker(encoding: str) -> Any:
    if encoding in ("gzip", "x-gzip", "deflate"):
        import zlib  # noqa: PLC0415 - we ask for identity

        return zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    raise WireError(f"the server sent content-encoding {encoding!r}, though none was asked for; check proxies")


def _unpacked(unpacker: Any, chunk: bytes) -> Iterator[bytes]:
    while chunk:
        try:
            piece: bytes = unpacker.decompress(chunk, _PIECE)
        except Exception as error:
            raise WireError(f"the server's answer can't be decompressed: {error}") from error
        chunk = unpacker.unconsumed_tail
        yield piece
