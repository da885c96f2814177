"""When to try again, and how long to wait before. Pure: what it needs to know comes in as arguments.

The shape is that of openai-python 3.54 (0.5 s doubling to 8 s, up to a quarter of jitter, ``x-should-retry`` obeyed),
with two differences: ``insufficient_quota`` is not retried, as no wait brings credit, and the longest Retry-After that
is waited out is 60 s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from agentrt.errors import DeadlineError, IncompleteStreamError, ServerError, StatusError, UnreachableError

__all__ = ["MAX_WAIT", "backoff", "retry_after", "should_retry", "unavailable", "wait_before", "was_refused"]

MAX_WAIT = 60.0
"""Seconds of Retry-After that are waited out. A longer wish fails at once, with ``retry_after`` in the error."""

_STATUSES = frozenset({408, 409, 429})
_CODES = frozenset({"conversation_locked"})  # another request is writing to the conversation: a 400 that passes
_NO_CREDIT = frozenset({"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"})
_NO_MODEL = (403, 404, 429)
_TIMED_OUT, _SERVERS_OWN, _TURNED_AWAY = 408, 500, 503


def should_retry(status: int, code: str | None, headers: Mapping[str, str]) -> bool:
    """Tell whether a refused request is worth another try.

    Args:
        status: The HTTP status.
        code: The error's code or type from the body.
        headers: The response's headers, with names that compare case-insensitively.
    """
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    if code in _NO_CREDIT:
        return False
    return code in _CODES or status in _STATUSES or status >= _SERVERS_OWN


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read how long the server wants us to wait, in seconds; None where it says nothing that makes sense.

    Args:
        headers: The response's headers. A date is held against the server's own ``date``, where it sends one.
        now: Unix time in seconds, for the form with a date (RFC 9110, section 10.2.3).
    """
    try:
        if "retry-after-ms" in headers:
            seconds: float = float(headers["retry-after-ms"]) / 1000
        else:
            value = headers.get("retry-after", "")
            seconds = float(value) if value[:1].isdigit() else _timestamp(value) - _server_time(headers, now)
    except (ValueError, OverflowError, TypeError):
        return None
    return float(seconds) if math.isfinite(seconds) and seconds > 0 else None


def _timestamp(value: str) -> float:
    return parsedate_to_datetime(value).timestamp()


def _server_time(headers: Mapping[str, str], now: float) -> float:
    try:
        return _timestamp(headers["date"])
    except (KeyError, ValueError, OverflowError, TypeError):
        return now


def backoff(attempt: int, random: float) -> float:
    """Give the seconds to wait before a retry when the server named none.

    Args:
        attempt: Tries so far, from 1.
        random: A number from 0 to 1.
    """
    return min(0.5 * 2.0 ** (attempt - 1), 8.0) * (1 - 0.25 * random)


def wait_before(error: ServerError, attempt: int, *, tries: int, left: float, random: float) -> float | None:
    """Give the seconds to wait before the next try; None where there is to be none.

    Args:
        error: What the last try came to.
        attempt: Tries so far, from 1.
        tries: Tries at most.
        left: Seconds until the deadline of them all.
        random: A number from 0 to 1.
    """
    if attempt >= tries or isinstance(error, DeadlineError):
        return None
    if not isinstance(error, UnreachableError | StatusError | IncompleteStreamError):
        return None
    wait = backoff(attempt, random)
    if isinstance(error, StatusError):
        if not error.retryable or (error.retry_after or 0) > MAX_WAIT:
            return None
        wait = error.retry_after or wait
    return wait if wait < left else None


def unavailable(error: ServerError) -> bool:
    """Tell whether another model of the same provider may do what this one could not."""
    if isinstance(error, StatusError) and error.status is not None:
        return error.retryable or error.status in _NO_MODEL or error.status >= _SERVERS_OWN
    return isinstance(error, UnreachableError | IncompleteStreamError) and not isinstance(error, DeadlineError)


def was_refused(error: ServerError) -> bool:
    """Tell whether the request surely was not worked on: never sent, or turned away at the door."""
    if isinstance(error, StatusError):
        # 408 is also what a gateway answers whose own upstream took too long, after the work had begun.
        return error.status in range(_TIMED_OUT) or error.status in (*range(_TIMED_OUT + 1, _SERVERS_OWN), _TURNED_AWAY)
    return isinstance(error, UnreachableError) and not error.sent
