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
        _check("max_turns", self.max_turns, 1)
        _check("max_calls_per_turn", self.max_calls_per_turn, 1)
        if self.max_tool_calls is not None:
            _check("max_tool_calls", self.max_tool_calls, 0)


def _check(name: str, value: object, lowest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise UsageError(f"{name} must be a whole number, at least {lowest}, but is {value!r}")
