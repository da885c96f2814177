"""What went wrong with an HTTP exchange, in agentrt's own errors."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx2

from agentrt.bridges.mcp.endpoint import HttpEndpoint
from agentrt.errors import (
    AgentrtError,
    AuthenticationError,
    RateLimitError,
    StatusError,
    UnreachableError,
    UsageError,
    WireError,
)
from agentrt.wire.text import unmistakable

__all__ = ["Failures"]

_SHOWN = 300
_KEPT = 256
_SHORTEST_SECRET = 8
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVERS_OWN = 401, 403, 404, 429, 500
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_OURS = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL)


class Failures:
    """Makes the errors of one server's exchanges, and keeps those that a JSON-RPC error stands for.

    Args:
        endpoint: Where the server is.
        name: The server's name.
    """

    def __init__(self, endpoint: HttpEndpoint, name: str) -> None:
        self._endpoint = endpoint
        self.who: str = f"the MCP server {name!r} ({endpoint.origin})"
        self._name = name
        self._kept: dict[str, AgentrtError] = {}
        self.last: AgentrtError | None = None
        """What the last exchange came to; None after one that went well."""

    def keep(self, error: AgentrtError) -> str:
        """Keep an error until it is asked for; gives its key."""
        self.last = error
        if len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        key = secrets.token_hex(8)
        self._kept[key] = error
        return key

    def take(self, data: object) -> AgentrtError | None:
        """Give the error whose key the ``data`` of a JSON-RPC error holds, once."""
        key = data.get("agentrt") if isinstance(data, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON says no more
        return self._kept.pop(key, None) if isinstance(key, str) else None

    def of_status(self, response: httpx2.Response, body: bytes) -> StatusError:
        """Make the error for a status that is no answer."""
        status, headers = response.status_code, response.headers
        told = self._shown(response.request, body) or response.reason_phrase
        wait = _retry_after(headers)
        error = _KINDS.get(status, StatusError)(
            f"{self.who} answered {status}: {told} — {self._advice(response, wait)}",
            status=status,
            retry_after=wait,
            retryable=status == _TOO_MANY or status >= _SERVERS_OWN,
            told=told,
        )
        # A gateway's 502 and 504 come when the server behind it had the request already.
        error.repeatable = status < _SERVERS_OWN
        return error

    def _advice(self, response: httpx2.Response, wait: float | None) -> str:
        status = response.status_code
        if response.next_request is not None:
            url = response.next_request.url.copy_with(userinfo=b"", query=None, fragment=None)
            return f"it wants to be reached at {url}, which is not followed; write that address if it is the right one"
        if status == _UNAUTHORIZED and (isinstance(self._endpoint.auth, str) or self._endpoint.headers):
            return "check the key in headers= or auth="
        if status == _TOO_MANY and wait:
            return f"wait {wait:g} seconds, or ask for less"
        advice = _ADVICE.get(status, "try again later, or look at the server's log" if status >= _SERVERS_OWN else "")
        return advice.format(name=self._name) or "check the address"

    def of_exception(self, error: Exception, request: httpx2.Request) -> AgentrtError:
        """Make the error for an exchange that broke."""
        if isinstance(error, AgentrtError):
            return error
        if isinstance(error, _OURS):  # its text may hold a header's value, which may be a secret
            return UsageError(f"no request can be sent to {self.who}: {type(error).__name__}; check url= and headers=")
        if isinstance(error, httpx2.DecodingError | httpx2.SSEError):
            return self.not_mcp(f"sent what can't be read ({error})", b"", request)
        if isinstance(error, httpx2.RequestError):
            told = f"{type(error).__name__} {error}".rstrip()
            unreachable = UnreachableError(f"no answer from {self.who}: {told}. Check the address, and that it runs.")
            # What broke in the login's own requests did so before the server took this one.
            unreachable.sent = not isinstance(error, _NOT_SENT) and _request_of(error) in (None, request)
            unreachable.repeatable = not unreachable.sent
            return unreachable
        if type(error) is ValueError:
            return WireError(f"{self.who} {error}")
        told = unmistakable(str(error).partition("\n")[0][:_SHOWN])  # further lines may hold what came, secrets too
        return WireError(f"{self.who}: {type(error).__name__} {told}".rstrip())

    def not_mcp(self, what: str, body: bytes | bytearray, request: httpx2.Request) -> WireError:
        """Make the error for an answer that is not MCP."""
        shown = self._shown(request, bytes(body[: 4 * _SHOWN]))
        hint = ""
        if b"<html" in bytes(body[:1000]).lower() or b"<!doctype" in bytes(body[:1000]).lower():
            hint = " Is this the right address? It looks like a page for people, such as a login."
        return WireError(f"{self.who} {what}" + (f": {shown!r}." if shown else ".") + hint)

    def _shown(self, request: httpx2.Request, body: bytes) -> str:
        text = body[: 4 * _SHOWN].decode("utf-8", "replace")
        known = (*self._endpoint.headers.values(), request.headers.get("authorization", "").rpartition(" ")[2])
        for secret in known:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return unmistakable(" ".join(text.split()))[:_SHOWN]


_KINDS: dict[int, type[StatusError]] = {
    _UNAUTHORIZED: AuthenticationError,
    _FORBIDDEN: AuthenticationError,
    _TOO_MANY: RateLimitError,
}


_ADVICE = {
    _UNAUTHORIZED: "give it auth=OAuth() and run `agentrt mcp login {name}`, or a key with auth= or headers=",
    _FORBIDDEN: "this key or login may not do that; ask the server's owner for access",
    _NOT_FOUND: "check the address; a server that was restarted has forgotten its sessions",
    _TOO_MANY: "wait, or ask for less",
}


def _request_of(error: httpx2.RequestError) -> httpx2.Request | None:
    try:
        return error.request
    except RuntimeError:
        return None


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Read how many seconds the server wants us to wait (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value) if value[:1].isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
