"""The response object, as a view over the dict that came."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from agentrt.errors import WireError
from agentrt.wire.items import Item, Message, item_view
from agentrt.wire.json import as_dict, as_dicts, as_list, as_str, parse, parse_object, str_or_none

__all__ = ["RateLimits", "Response", "Usage"]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_STATUSES = ("cancelled", "completed", "failed", "in_progress", "incomplete", "queued")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Usage(NamedTuple):
    """Token counts. Whatever the server left out is zero.

    Attributes:
        input_tokens: Tokens read, cached ones included.
        output_tokens: Tokens written, reasoning included.
        cached_tokens: The part of the input that came from the prompt cache.
        reasoning_tokens: The part of the output that was reasoning.
        cache_write_tokens: The part of the input that was written to the prompt cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """Add up two usages, field by field."""
        return Usage(*map(operator.add, self, other))

    @classmethod
    def read(cls, raw: object) -> Usage:
        """Read a ``usage`` object as the wire has it; None and missing details count as zero."""
        usage = as_dict(raw)
        read, made = as_dict(usage.get("input_tokens_details")), as_dict(usage.get("output_tokens_details"))
        told = [usage.get("input_tokens"), usage.get("output_tokens"), read.get("cached_tokens")]
        return cls(*map(_count, [*told, made.get("reasoning_tokens"), read.get("cache_write_tokens")]))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


class RateLimits(NamedTuple):
    """What the server's ``x-ratelimit-…`` headers tell; None for what it doesn't tell, or tells as -1 (Azure).

    Attributes:
        limit_requests: Requests allowed per window.
        remaining_requests: Requests left of it.
        reset_requests: Seconds until it begins anew.
        limit_tokens: Tokens allowed per window.
        remaining_tokens: Tokens left of it.
        reset_tokens: Seconds until it begins anew.
    """

    limit_requests: float | None = None
    remaining_requests: float | None = None
    reset_requests: float | None = None
    limit_tokens: float | None = None
    remaining_tokens: float | None = None
    reset_tokens: float | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> RateLimits:
        """Read them from a response's headers."""
        names = (f"x-ratelimit-{what}" for what in cls._fields)
        return cls(*(_amount(headers.get(name.replace("_", "-"), "")) for name in names))


def _amount(text: str) -> float | None:
    """Read a number, or a duration such as ``6m0s`` or ``12ms``, in seconds."""
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


class Response:
    """One response, read-only: the same whether it came as JSON or was folded from a stream.

    Args:
        raw: The response object as the wire has it.
        headers: The headers of the HTTP response that it came with, their names in lower case.
    """

    __slots__ = ("headers", "items", "raw")

    def __init__(self, raw: dict[str, Any], headers: Mapping[str, str] = _NO_HEADERS) -> None:
        self.raw = raw
        self.headers = headers
        self.items: list[Item] = [item_view(item) for item in map(as_dict, as_list(raw.get("output"))) if item]

    @classmethod
    def read(cls, body: bytes | bytearray, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
        """Read a body as a response; raises ValueError where it is none."""
        raw = parse_object(body)
        if not ("output" in raw or raw.get("status") in _STATUSES or raw.get("error")):
            raise ValueError("is not a response")
        if raw.get("error") and not raw.get("status"):
            raw = {"output": list[Any](), **raw, "status": "failed"}
        return cls(raw, headers)

    @property
    def id(self) -> str | None:
        """The server's id of the response."""
        return str_or_none(self.raw.get("id"))

    @property
    def request_id(self) -> str | None:
        """The server's ``x-request-id``, for its support."""
        return self.headers.get("x-request-id")

    @property
    def rate_limits(self) -> RateLimits:
        """What the server's headers tell of its limits."""
        return RateLimits.read(self.headers)

    @property
    def model(self) -> str | None:
        """The model that answered; it may differ from the one that was asked."""
        return str_or_none(self.raw.get("model"))

    @property
    def status(self) -> str:
        """``completed``, ``incomplete``, ``failed``, ``in_progress``, ``queued`` or ``cancelled``."""
        return as_str(self.raw.get("status")) or ("failed" if self.raw.get("error") else "completed")

    @property
    def text(self) -> str:
        """All text of all messages, joined; computed, as the wire has no such field."""
        return "".join(item.text for item in self.items if isinstance(item, Message))

    @property
    def answer(self) -> str:
        """The text of the final answer: of all messages that are no commentary beside calls."""
        return "".join(i.text for i in self.items if isinstance(i, Message) and i.phase != "commentary")

    @property
    def parsed(self) -> Any:
        """The JSON value of a structured answer (``text={"format": …}``), from the final answer only.

        None where there is no answer to parse: the model refused, called a tool, or was cut off.

        Raises:
            WireError: The answer is not JSON, as happens with servers that ignore ``text.format``.
        """
        answer = self.answer
        if not answer or self.status != "completed":
            return None
        try:
            return parse(answer)
        except ValueError as error:
            raise WireError(
                f"the answer is not JSON ({error}): {answer[:200]!r}; ask for text={{'format': …}}, and if it was "
                "asked for, the provider ignores it"
            ) from error

    @property
    def refusal(self) -> str | None:
        """The refusal's words, or None when the model did not refuse."""
        return "".join(item.refusal or "" for item in self.items if isinstance(item, Message)) or None

    @property
    def is_refusal(self) -> bool:
        """Whether the model refused, instead of answering."""
        kinds = (part.get("type") for item in self.items for part in as_dicts(item.raw.get("content")))
        return "refusal" in kinds and self.refusal is not None and not self.text

    @property
    def usage(self) -> Usage:
        """Token counts of this response."""
        return Usage.read(self.raw.get("usage"))

    @property
    def error(self) -> dict[str, Any] | None:
        """``code`` and ``message`` of a failed response."""
        told = self.raw.get("error")
        return {"code": None, "message": told} if isinstance(told, str) else as_dict(told) or None

    @property
    def incomplete_reason(self) -> str | None:
        """Why an incomplete response stopped: ``max_output_tokens``, ``content_filter``, …; an open set."""
        return str_or_none(as_dict(self.raw.get("incomplete_details")).get("reason"))

    def __repr__(self) -> str:
        """Show what identifies the response, not its content."""
        return f"Response(id={self.id!r}, status={self.status!r}, items={len(self.items)})"
