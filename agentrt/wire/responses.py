"""The response object, as a view over the dict that came."""

from __future__ import annotations

from typing import Any, NamedTuple

from agentrt.wire.items import Item, Message, item_view
from agentrt.wire.json import as_dict, as_list, as_str

__all__ = ["Response", "Usage"]


class Usage(NamedTuple):
    """Token counts. Whatever the server left out is zero.

    Attributes:
        input_tokens: Tokens read, cached ones included.
        output_tokens: Tokens written, reasoning included.
        cached_tokens: The part of the input that came from the prompt cache.
        reasoning_tokens: The part of the output that was reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """Add up two usages, field by field."""
        return Usage(*(a + b for a, b in zip(self, other, strict=True)))

    @classmethod
    def read(cls, raw: object) -> Usage:
        """Read a ``usage`` object as the wire has it; None and missing details count as zero."""
        usage = as_dict(raw)
        return cls(
            _count(usage.get("input_tokens")),
            _count(usage.get("output_tokens")),
            _count(as_dict(usage.get("input_tokens_details")).get("cached_tokens")),
            _count(as_dict(usage.get("output_tokens_details")).get("reasoning_tokens")),
        )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


class Response:
    """One response, read-only: the same whether it came as JSON or was folded from a stream.

    Args:
        raw: The response object as the wire has it.
        request_id: The server's ``x-request-id`` header, for its support.
    """

    __slots__ = ("items", "raw", "request_id")

    def __init__(self, raw: dict[str, Any], *, request_id: str | None = None) -> None:
        self.raw = raw
        self.request_id = request_id
        self.items: list[Item] = [item_view(item) for item in map(as_dict, as_list(raw.get("output"))) if item]

    @property
    def id(self) -> str | None:
        """The server's id of the response."""
        return self.raw.get("id")

    @property
    def model(self) -> str | None:
        """The model that answered; it may differ from the one that was asked."""
        return self.raw.get("model")

    @property
    def status(self) -> str:
        """``completed``, ``incomplete``, ``failed``, ``in_progress``, ``queued`` or ``cancelled``."""
        return as_str(self.raw.get("status")) or ("failed" if self.raw.get("error") else "completed")

    @property
    def text(self) -> str:
        """All text of all messages, joined; computed, as the wire has no such field."""
        return "".join(item.text for item in self.items if isinstance(item, Message))

    @property
    def refusal(self) -> str | None:
        """The refusal's words, or None when the model did not refuse."""
        return "".join(item.refusal or "" for item in self.items if isinstance(item, Message)) or None

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
        return as_dict(self.raw.get("incomplete_details")).get("reason")

    def __repr__(self) -> str:
        """Show what identifies the response, not its content."""
        return f"Response(id={self.id!r}, status={self.status!r}, items={len(self.items)})"
