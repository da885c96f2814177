"""Limits over a whole run; the meter that is held against them is in ``state.py``."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.errors import UsageError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What one run may use. Reaching a limit ends the run gracefully: the model answers with what it has.

    Args:
        max_turns: Requests to the model; the last one is made without tools, so that it ends in an answer.
        max_tool_calls: Calls the model makes in the run, hosted and local, valid or not; None for no bound.
        max_calls_per_turn: Local calls of one reply that are run; the rest is answered "limit reached".

    Raises:
        UsageError: A limit is out of range.
    """

    max_turns: int = 50
    max_tool_calls: int | None = None
    max_calls_per_turn: int = 128

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.max_turns < 1:
            raise UsageError(f"max_turns must be at least 1, but is {self.max_turns}")
        if self.max_tool_calls is not None and self.max_tool_calls < 0:
            raise UsageError(f"max_tool_calls must be 0 or more, or None for no bound, but is {self.max_tool_calls}")
        if self.max_calls_per_turn < 1:
            raise UsageError(f"max_calls_per_turn must be at least 1, but is {self.max_calls_per_turn}")
