"""The way through the browser: open an address, and wait on 127.0.0.1 for it to come back (RFC 8252, section 7.3)."""

from __future__ import annotations

import logging
import threading
import webbrowser
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.abc

from agentrt.errors import UsageError

__all__ = ["Callback", "open_browser"]

PERSON_SECONDS = 300.0
_HEAD_SECONDS = 5.0
_MAX_HEAD = 16 * 1024
_PAGE = (
    b"<!doctype html><meta charset=utf-8><title>agentrt</title><p>agentrt has what it needs. You can close this page."
)

logger = logging.getLogger("agentrt.mcp")


def open_browser(url: str, on_browser: Callable[[str], object] | None) -> None:
    """Show an address to a person, in a thread that nothing waits for.

    Args:
        url: The address.
        on_browser: Shows it; default the system's browser.

    Raises:
        UsageError: It is no http or https address, which a browser might take as a command.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError("the login wants another program than a browser to be opened, so it was not; check the server")
    show = on_browser or webbrowser.open

    def shown() -> None:
        try:
            show(url)
        except Exception:
            logger.exception("the address for the login could not be shown")

    threading.Thread(target=shown, daemon=True, name="agentrt-browser").start()


class Callback:
    """Waits on 127.0.0.1 for a browser.

    Args:
        listener: Where it listens.
    """

    def __init__(self, listener: anyio.abc.Listener[anyio.abc.SocketStream]) -> None:
        self._listener = listener
        port: int = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django's
        self.address = f"http://127.0.0.1:{port}/callback"
        self._state = ""
        self._came: dict[str, str] | None = None
        self._done = anyio.Event()

    @classmethod
    async def opened(cls, port: int, preferred: int) -> Callback:
        """Begin to listen.

        Args:
            port: The port; 0 for any.
            preferred: Of any, the one to try first; 0 for none.

        Raises:
            UsageError: The port is in use.
        """
        for number in dict.fromkeys((port or preferred, port)):
            try:
                return cls(await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=number))
            except OSError:
                continue
        raise UsageError(f"port {port} on 127.0.0.1 is in use; give another redirect_port=, or none")

    def expect(self, url: str) -> None:
        """Say which login is waited for; others that come are turned away."""
        self._state = parse_qs(urlsplit(url).query).get("state", [""])[0]

    async def wait(self) -> dict[str, str] | None:
        """Give the parameters that the browser came back with; None when it did not within 300 seconds."""
        with anyio.move_on_after(PERSON_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(self._listener.serve, self._answer)
                await self._done.wait()
                group.cancel_scope.cancel()
        return self._came

    async def _answer(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            head = b""
            try:
                with anyio.fail_after(_HEAD_SECONDS):
                    while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD:
                        head += await stream.receive(_MAX_HEAD)
                    fits = self._take(head)
                    status = b"200 OK" if fits else b"404 Not Found"
                    page = _PAGE if fits else b""
                    await stream.send(
                        b"HTTP/1.1 %b\r\ncontent-type: text/html\r\ncontent-length: %d\r\ncache-control: no-store\r\n"
                        b"referrer-policy: no-referrer\r\nconnection: close\r\n\r\n%b" % (status, len(page), page)
                    )
            except (TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError):
                fits = False
            if fits:
                self._done.set()

    def _take(self, head: bytes) -> bool:
        words = head.partition(b"\r\n")[0].split(b" ")
        target = urlsplit(words[1].decode("ascii", "replace")) if words[0] == b"GET" and len(words) > 1 else None
        if target is None or target.path != "/callback":
            return False
        told = {name: values[0] for name, values in parse_qs(target.query).items()}
        if not self._state or told.get("state") != self._state or self._came is not None:
            return False
        self._came = told
        return True

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()
