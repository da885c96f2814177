"""A pool of httpcore2's own connections to one origin, taken and given back in O(1).

httpx2's pool looks at all of its connections for each request: 1,000 concurrent runs took 13.6 s of CPU with it and
3.1 without (measured).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio
import httpx2

from agentrt.client.transport import LEAVE_SECONDS, Clock, Sender, Sent

if TYPE_CHECKING:
    import ssl

    import httpcore2

__all__ = ["PoolSender"]

_KEEPALIVE_SECONDS = 30.0
_MAX_IDLE = 1000


class PoolSender(Sender):
    """Sends requests over HTTP/1.1 connections of httpcore2's to one origin, the last one used first.

    Args:
        url: An address at that origin.
    """

    clocked = True

    def __init__(self, url: httpx2.URL) -> None:
        import httpcore2  # noqa: PLC0415 - it imports trio wherever that is installed

        self._core = httpcore2
        port = url.port or (443 if url.scheme == "https" else 80)
        self._origin = httpcore2.Origin(url.raw_scheme, url.raw_host, port)
        self._host = url.netloc
        self._tls = httpx2.create_ssl_context() if url.scheme == "https" else None
        self._idle: deque[tuple[float, _Line]] = deque()
        self._closed = False

    async def send(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None, clock: Clock
    ) -> Sent:
        """Send a request; gives its response once the headers have come, the body unread."""
        core = self._core
        origin = self._origin
        target = core.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=url.raw_path)
        sent = [(b"host", self._host), *((k.encode(), v.encode("latin-1")) for k, v in headers.items())]
        if content is not None:
            sent.append((b"content-length", b"%d" % len(content)))
        timeout = {"connect": min(clock.timeouts.connect, clock.left())}
        request = core.Request(method, target, headers=sent, content=content, extensions={"timeout": timeout})
        line = await self._take()
        line.clock = clock
        try:
            response = await line.connection.handle_async_request(request)
        except BaseException:
            await line.close()
            raise
        return _PoolResponse(self, line, response)

    async def _take(self) -> _Line:
        now = time.monotonic()
        if self._idle and self._idle[0][0] + _KEEPALIVE_SECONDS < now:
            await self._idle.popleft()[1].close()
        while self._idle:
            line = self._idle.pop()[1]
            if not line.connection.has_expired():
                return line
            await line.close()
        return _Line(self._core, self._origin, self._tls)

    async def give_back(self, line: _Line) -> None:
        """Keep a connection for the next request where that is possible, else close it."""
        if line.connection.is_idle() and not self._closed and len(self._idle) < _MAX_IDLE:
            self._idle.append((time.monotonic(), line))
        else:
            await line.close()

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop()[1].close()


class _Line:
    """One connection, and the network backend that it was opened with, which knows the clock of its request."""

    def __init__(self, core: Any, origin: httpcore2.Origin, tls: ssl.SSLContext | None) -> None:
        self.clock: Clock | None = None
        self._backend: Any = core.AnyIOBackend()  # on trio too
        self.connection: httpcore2.AsyncHTTPConnection = core.AsyncHTTPConnection(
            origin, ssl_context=tls, network_backend=self
        )

    async def connect_tcp(self, **options: Any) -> _ClockedStream:
        return _ClockedStream(self, await self._backend.connect_tcp(**options))

    async def close(self) -> None:
        with anyio.move_on_after(LEAVE_SECONDS, shield=True):
            await self.connection.aclose()


class _ClockedStream:
    """A network stream whose waits end when the clock of the request does."""

    def __init__(self, line: _Line, stream: Any) -> None:
        self._line = line
        self._stream = stream

    def _left(self) -> float | None:
        return None if self._line.clock is None else self._line.clock.left()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore2's own
        del timeout
        data: bytes = await self._stream.read(max_bytes, self._left())
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        del timeout
        await self._stream.write(buffer, self._left())

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, **options: Any) -> _ClockedStream:
        return _ClockedStream(self._line, await self._stream.start_tls(**options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _PoolResponse:
    """A response of httpcore2's in the words of httpx2's."""

    def __init__(self, pool: PoolSender, line: _Line, response: httpcore2.Response) -> None:
        self._pool = pool
        self._line: _Line | None = line
        self._response = response
        self.status_code = response.status
        self.headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
        self.reason_phrase = response.extensions["reason_phrase"].decode("latin-1")
        self.stream = response.stream

    async def aclose(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            try:
                await self._response.aclose()
            finally:
                await self._pool.give_back(line)
