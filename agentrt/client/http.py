"""The door to HTTP: one client per event loop, foreign exceptions become ours, bodies are bounded.

httpx2 by default. A client of the user's may be an ``httpx2.AsyncClient`` or an ``httpx.AsyncClient``: their classes
are different, their methods are the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx2

from agentrt.client.retries import retry_after, should_retry
from agentrt.errors import (
    AgentrtError,
    AuthenticationError,
    RateLimitError,
    StatusError,
    UnreachableError,
    UsageError,
    WireError,
)
from agentrt.local import open_transport
from agentrt.wire.json import as_dict, as_str, parse

if TYPE_CHECKING:
    import httpx

    HTTPClient = httpx2.AsyncClient | httpx.AsyncClient
    HTTPResponse = httpx2.Response | httpx.Response

__all__ = ["FIRST_ERROR", "MAX_BODY_BYTES", "ClientPerLoop", "read_body", "status_error", "translated"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Upper bound for a whole body, decompressed. A response with four large images in base64 is about 20 MiB."""

FIRST_ERROR = 400
"""The first HTTP status that is an error (RFC 9110, section 15)."""

_LEAVE_SECONDS = 2.0
_SHOWN = 200


class ClientPerLoop:
    """Keeps one HTTP client per event loop, as connections belong to the loop that opened them.

    Args:
        base_url: A ``local://`` address gets the embedded model's transport.
        given: The user's own client, which stays the user's to close.
    """

    def __init__(self, base_url: str, given: HTTPClient | None) -> None:
        self._base_url = base_url
        self._given = given
        self._opened: anyio.lowlevel.RunVar[httpx2.AsyncClient | None] = anyio.lowlevel.RunVar("agentrt", None)

    def get(self) -> HTTPClient:
        """Give the client of the running event loop."""
        if self._given is not None:
            return self._given
        client = self._opened.get()
        if client is None:
            local = open_transport(self._base_url) if self._base_url.startswith("local://") else None
            client = httpx2.AsyncClient(transport=local, limits=httpx2.Limits(max_connections=None))
            self._opened.set(client)
        return client

    async def aclose(self) -> None:
        """Close the client of the running event loop; the next request opens a new one."""
        client = self._opened.get()
        if client is not None:
            self._opened.set(None)
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                await client.aclose()


@contextmanager
def translated(url: str) -> Generator[None, None, None]:
    """Turn the exceptions of httpx2 and httpx into `UnreachableError`."""
    try:
        yield
    except AgentrtError:
        raise
    except Exception as error:
        if not isinstance(error, _foreign()):
            raise
        if type(error).__name__ in ("UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
            raise UsageError(f"no request can be sent to {url}: {error}; check base_url, headers and key") from error
        raise UnreachableError(
            f"no complete answer from {url}: {type(error).__name__} {error}".rstrip()
            + ". Check the address, the network, and that the server is running."
        ) from error


def _foreign() -> tuple[type[Exception], ...]:
    other: Any = sys.modules.get("httpx")
    errors = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL)
    return errors if other is None else (*errors, other.HTTPError, other.StreamError, other.InvalidURL)


async def read_body(chunks: AsyncIterator[bytes], limit: int = MAX_BODY_BYTES) -> bytes:
    """Read a body to its end.

    Raises:
        WireError: It has more than ``limit`` bytes.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise WireError(f"the server's answer has more than {limit} bytes; ask for less at once")
    return bytes(body)


async def status_error(response: HTTPResponse, url: str, hint: str) -> StatusError:
    """Make the error for a response whose status is 400 or more.

    Args:
        response: The response, its body not yet read.
        url: Where the request went.
        hint: What to do about a refused key.
    """
    try:
        body = await read_body(response.aiter_bytes(), limit=1024 * 1024)
    except WireError:
        body = b""
    finally:
        await response.aclose()
    try:
        told = as_dict(parse(body))
    except ValueError:
        told = {}
    error = as_dict(told.get("error")) or told
    if isinstance(told.get("error"), str):
        error = {**told, "message": told["error"]}
    code = error.get("code") or error.get("type")
    message = str(error.get("message") or body[:_SHOWN].decode("utf-8", "replace") or response.reason_phrase)
    status = response.status_code
    kind, advice = _KINDS.get(status, (StatusError, ""))
    advice = "" if url.startswith("local:") else advice.format(hint=hint)
    return kind(
        f"{url} answered {status}: {message}" + (f" — {advice}" if advice else ""),
        status=status,
        code=None if code is None else str(code),
        request_id=response.headers.get("x-request-id"),
        retry_after=retry_after(response.headers, time.time()),
        retryable=should_retry(status, None if code is None else str(code), response.headers),
        param=as_str(error.get("param")) or None,
        told=message,
    )


_KINDS: dict[int, tuple[type[StatusError], str]] = {
    401: (AuthenticationError, "{hint}"),
    403: (AuthenticationError, "{hint}, or ask for access to this model"),
    404: (StatusError, "check the model's name, and that base_url ends where /responses begins (often in /v1)"),
    429: (RateLimitError, "wait, or raise your limit or credit with the provider"),
}
