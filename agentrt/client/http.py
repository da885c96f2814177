"""One HTTP exchange: the request as it would be sent, its answer, and the errors that statuses stand for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import httpx2

from agentrt.client.retries import retry_after, should_retry
from agentrt.client.transport import Clock, Sender, Sent, Timeouts, foreign, read_body, read_chunks, translated
from agentrt.errors import AuthenticationError, RateLimitError, ServerError, StatusError, UsageError, WireError
from agentrt.wire.json import as_dict, as_str, parse

__all__ = ["FIRST_ERROR", "Opened", "PreparedRequest", "responses_url", "status_error"]

FIRST_ERROR = 300
"""The first HTTP status that is no answer: redirects are not followed, so that no key goes elsewhere."""

_NOT_FOUND = 404
_MAX_ERROR_BYTES = 1024 * 1024
_SHOWN = 200
_SECRETS = ("authorization", "api-key", "x-api-key", "cookie")
_SHORTEST_SECRET = 8
_MAX_PORT = 65_535


def responses_url(base_url: str) -> httpx2.URL:
    """Give the address of ``/responses``; raises UsageError for a base_url that can't be one."""
    try:
        url = httpx2.URL(f"{base_url}/responses")
    except (httpx2.InvalidURL, ValueError):
        url = httpx2.URL("")
    if not url.host or url.userinfo or url.query or url.fragment or (url.port or 0) > _MAX_PORT:
        raise UsageError(
            "base_url must be a full address such as http://127.0.0.1:8000/v1, without user, password or '?'; what "
            "a gateway wants beside the key goes into headers="
        )
    return url


class PreparedRequest(NamedTuple):
    """A request as it would be sent, without its key.

    Attributes:
        method: The HTTP method.
        url: Where it would go.
        headers: Its headers; ``authorization`` is added when it is sent.
        body: Its body; None for none.
        timeouts: Its clocks.
        max_retries: Tries after the first one.
        repeatable: Whether it may be sent again although it may have been worked on. Not so what goes into a
            conversation, works on in the background, or lets the provider act.
        background: Whether the response is made in the background, so that its stream can be taken up again.
    """

    method: str
    url: httpx2.URL
    headers: Mapping[str, str]
    body: bytes | None
    timeouts: Timeouts
    max_retries: int
    repeatable: bool = True
    background: bool = False

    def own_headers(self, others: Mapping[str, str] | None = None) -> dict[str, str]:
        """Give ``extra_headers`` under which the same request may be sent again: with the key that it had.

        Args:
            others: More of them.
        """
        names = ("idempotency-key", "x-client-request-id")
        return {**(others or {}), **{name: self.headers[name] for name in names}}

    def for_each(self, bodies: list[bytes]) -> list[PreparedRequest]:
        """Give a request for each body, under keys of their own, so that none is taken for another."""
        names = ["", *(f"-{number}" for number in range(1, len(bodies)))]
        keys = [self.headers["idempotency-key"] + name for name in names]
        pairs = zip(keys, bodies, strict=True)
        return [self._replace(headers={**self.headers, "idempotency-key": key}, body=body) for key, body in pairs]

    @property
    def json(self) -> Any:
        """The body as a JSON value."""
        return None if self.body is None else parse(self.body)

    def __repr__(self) -> str:
        """Show where it goes; headers may hold secrets."""
        return f"PreparedRequest({self.method!r}, {str(self.url)!r})"


class Opened(NamedTuple):
    """An answer whose headers have come.

    Attributes:
        sent: The response.
        sender: What sent the request.
        clock: The clocks of the request.
        url: Where it went.
        hint: What to do about a refused key.
        headers: What the request was sent with.
    """

    sent: Sent
    sender: Sender
    clock: Clock
    url: str
    hint: str
    headers: Mapping[str, str]

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.sent.headers.get("content-type", "").lower().startswith("text/event-stream")

    def __repr__(self) -> str:
        """Show where it went; headers hold the key."""
        return f"Opened({self.url!r}, {self.sent.status_code})"

    def blame(self, error: ServerError) -> None:
        """Put the ids into an error that support will ask for, and take the key out, if the server repeated it."""
        error.args = tuple(self.shown(part) if isinstance(part, str) else part for part in error.args)
        error.request_id = error.request_id or self.sent.headers.get("x-request-id")
        error.client_request_id = self.headers["x-client-request-id"]

    def shown(self, text: str | bytes | bytearray) -> str:
        """Give the beginning of what the server said, without the key, which some servers repeat."""
        text = text if isinstance(text, str) else bytes(text[: 4 * _SHOWN]).decode("utf-8", "replace")
        for name in _SECRETS:
            secret = self.headers.get(name, "").removeprefix("Bearer ")
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return text

    def misread(self, error: ValueError, body: bytes | bytearray) -> WireError:
        """Make the error for a body that is not what was asked for."""
        wrong = WireError(
            f"{self.url} answered with what {error}: {self.shown(body)[:_SHOWN]!r}. Check that base_url leads to a "
            "Responses API, and that the provider has this endpoint."
        )
        self.blame(wrong)
        return wrong


async def status_error(opened: Opened) -> StatusError:
    """Make the error for a response whose status is 400 or more."""
    response = opened.sent
    try:
        async with aclosing(read_chunks(response, opened.sender, opened.clock)) as chunks:
            body = await read_body(chunks, limit=_MAX_ERROR_BYTES)
    except WireError:
        body = bytearray()
    except foreign() as lost:
        raise translated(lost, opened.url, opened.clock) from lost
    finally:
        await response.aclose()
    try:
        told = as_dict(parse(body))
    except ValueError:
        told = {}
    error = as_dict(told.get("error")) or told
    if isinstance(told.get("error"), str):
        error = {**told, "message": told["error"]}
    code = error.get("code")
    if not isinstance(code, str) or not code:  # llama.cpp and OpenRouter repeat the status there
        code = error.get("type") or code
    message = opened.shown(str(error.get("message") or opened.shown(body)[:_SHOWN] or response.reason_phrase))
    status = response.status_code
    kind, advice = _KINDS.get(status, (StatusError, ""))
    advice = "" if opened.url.startswith("local:") else advice.format(hint=opened.hint)
    if status == _NOT_FOUND and not opened.url.endswith("/responses"):
        advice = "check the id: what was not stored, or was deleted, can't be found; nor can what the provider lacks"
    made = kind(
        f"{opened.url} answered {status}: {message}" + (f" — {advice}" if advice else ""),
        status=status,
        code=None if code is None else str(code),
        retry_after=retry_after(response.headers, time.time()),
        retryable=should_retry(status, None if code is None else str(code), response.headers),
        param=as_str(error.get("param")) or None,
        told=message,
    )
    opened.blame(made)
    return made


_KINDS: dict[int, tuple[type[StatusError], str]] = {
    401: (AuthenticationError, "{hint}"),
    402: (StatusError, "add credit with the provider"),
    403: (AuthenticationError, "{hint}, or ask for access to this model"),
    404: (StatusError, "check the model's name, and that base_url ends where /responses begins (often in /v1)"),
    429: (RateLimitError, "wait, or raise your limit or credit with the provider"),
}
