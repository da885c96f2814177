"""One event of a response's stream, as a view over the dict that came.

The 59 events of the Responses API share a handful of fields, so one view serves all of them; ``type`` tells them apart.
"""

from __future__ import annotations

from typing import Any

from agentrt.wire.json import as_str

__all__ = ["TERMINAL", "Event"]

TERMINAL: frozenset[str] = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The events that end a stream. ``cancelled`` has no event of its own: it is only a status."""


class Event:
    """One event, read-only.

    Args:
        raw: The event as the wire has it.
    """

    __slots__ = ("raw", "type")

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.type: str = as_str(raw.get("type"))

    @property
    def delta(self) -> str:
        """The piece of text, arguments or code that a delta event adds; empty for all other events."""
        return as_str(self.raw.get("delta"))

    @property
    def output_index(self) -> int | None:
        """Position of the item in the response's output."""
        return self.raw.get("output_index")

    @property
    def item_id(self) -> str | None:
        """Id of the item that the event belongs to."""
        return self.raw.get("item_id")

    @property
    def sequence_number(self) -> int | None:
        """The event's number in its stream; some servers leave it out."""
        return self.raw.get("sequence_number")

    def __repr__(self) -> str:
        """Show the raw dict."""
        return f"Event({self.raw!r})"
