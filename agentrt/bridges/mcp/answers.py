"""Answers of an MCP server over HTTP: what is wrong with one, and what stands in for one that failed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import httpx2
from mcp_types import RequestId

from agentrt.wire.json import as_dict, dump, is_dict, parse

__all__ = [
    "MAX_ERROR_BODY",
    "MAX_EVENT",
    "OWN",
    "EventsToTheEnd",
    "body_of",
    "error_in",
    "error_told",
    "id_asked",
    "instead",
    "is_made",
    "plain",
    "with_body",
]

MAX_EVENT = 16 * 2**20
"""Bytes of one event at most: a screenshot in base64 is several."""

MAX_ERROR_BODY = 64 * 1024
"""Bytes that are read of an answer that is an error."""

OWN = "agentrt_own"
"""Marks, in a request's extensions, what the SDK's transport sends, as against what a login sends."""

_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_MADE = "agentrt"


async def id_asked(request: httpx2.Request) -> RequestId | None:
    """Give the id of the JSON-RPC request that an HTTP request carries; None where it carries something else."""
    if request.method != "POST":
        return None
    try:
        sent = as_dict(parse(await request.aread()))  # one that was redirected has not been read yet
    except ValueError:
        return None
    return sent.get("id") if "method" in sent else None


def error_in(body: bytes) -> dict[str, Any] | None:
    """Give the error of a body that is a JSON-RPC error; None for any other."""
    try:
        return _error_of(as_dict(parse(body)))
    except ValueError:
        return None


def error_told(body: bytes, asked: RequestId) -> dict[str, Any] | None:
    """Give the error that a body answers a request with; None where it has the result.

    Raises:
        ValueError: It is no answer to that request; says what it is.
    """
    try:
        told = parse(body)
    except ValueError as broken:
        raise ValueError("answered with broken JSON") from broken
    if not is_dict(told) or told.get("jsonrpc") != "2.0":
        raise ValueError("answered with what is no JSON-RPC")
    error = _error_of(told)
    if error is None and not is_dict(told.get("result")):
        raise ValueError("answered with neither a result nor an error")
    given = told.get("id")
    if str(given) != str(asked) and not (given is None and error is not None):
        raise ValueError(f"answered another request than was asked ({str(given)[:50]!r} instead of {asked!r})")
    return error


def _error_of(told: dict[str, Any]) -> dict[str, Any] | None:
    error = told.get("error")
    return error if is_dict(error) and type(error.get("code")) is int and type(error.get("message")) is str else None


def instead(request: httpx2.Request, asked: RequestId, error: dict[str, Any]) -> httpx2.Response:
    """Make the answer that says to the SDK that the request failed."""
    body = dump({"jsonrpc": "2.0", "id": asked, "error": error})
    headers = {"content-type": "application/json"}
    return httpx2.Response(200, headers=headers, content=body, request=request, extensions={_MADE: True})


def is_made(response: httpx2.Response) -> bool:
    """Tell whether an answer was made by `instead`."""
    return _MADE in response.extensions


async def body_of(response: httpx2.Response, limit: int, *, cut: bool = False) -> bytes:
    """Read a body, unpacked in bounded pieces.

    Args:
        response: Whose.
        limit: Bytes that it may have.
        cut: Whether only so many are read; else it is an error when there are more.

    Raises:
        ValueError: It has more; says so.
    """
    said = response.headers.get("content-length", "")
    if said.isdecimal() and "content-encoding" not in response.headers:
        if int(said) <= limit:
            return await response.aread()
        if not cut:
            raise ValueError(f"sent an answer of {int(said)} bytes, more than the {limit} of max_body")
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > limit:
                if cut:
                    break
                raise ValueError(f"sent an answer of more than the {limit} bytes of max_body")
    return bytes(body[:limit])


def with_body(response: httpx2.Response, body: bytes) -> httpx2.Response:
    """Give an answer with a body that was read and unpacked."""
    extensions = {name: response.extensions[name] for name in ("reason_phrase",) if name in response.extensions}
    return httpx2.Response(response.status_code, headers=plain(response), content=body, extensions=extensions)


def plain(response: httpx2.Response) -> httpx2.Headers:
    """Give an answer's headers, as they are once it is unpacked."""
    headers = response.headers.copy()
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        headers.pop(name, None)
    return headers


class EventsToTheEnd(httpx2.AsyncByteStream):
    """The events that answer one request, as they came, and a last one of ours where they break off.

    Only whole events are passed on, so that the last one is not taken for the rest of a broken one. Where events have
    ids, the SDK can take the stream up again, so there an end is left as it is.

    Args:
        response: Whose events.
        last_word: Makes the last event, from what broke the stream; None when it just ended.
    """

    def __init__(self, response: httpx2.Response, last_word: Callable[[Exception | None], bytes]) -> None:
        self._response = response
        self._last_word = last_word
        self._has_ids = False

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        """Give the events, some at a time."""
        broken: Exception | None = None
        try:
            async with aclosing(self._events()) as events:
                async for some in events:
                    self._has_ids = self._has_ids or some.startswith(b"id:") or b"\nid:" in some or b"\rid:" in some
                    yield some
        except (httpx2.HTTPError, ValueError) as error:
            broken = error
        if not self._has_ids or isinstance(broken, ValueError):
            yield self._last_word(broken)

    async def _events(self) -> AsyncGenerator[bytes]:
        rest = bytearray()
        async with aclosing(self._response.aiter_bytes()) as pieces:
            async for piece in pieces:
                if not rest and piece.endswith(_ENDS):
                    yield piece
                    continue
                seen = max(0, len(rest) - 3)
                rest += piece
                end = max(_end_of(rest, mark, seen) for mark in _ENDS)
                if end:
                    yield bytes(rest[:end])
                    del rest[:end]
                if len(rest) > MAX_EVENT:
                    raise ValueError(f"sent an event of more than {MAX_EVENT} bytes; ask for less at once")

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._response.aclose()


def _end_of(data: bytearray, mark: bytes, since: int) -> int:
    place = data.rfind(mark, since)
    return 0 if place < 0 else place + len(mark)
