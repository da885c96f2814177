"""Limits over a whole run; the meter that is held against them is in ``state.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agentrt.errors import UsageError

__all__ = ["Limits", "OnLimit", "check_whole"]

_MOST = 1e15  # beyond any clock and any bill
OnLimit = Literal["answer", "stop", "raise"]


@dataclass(frozen=True)
class Limits:
    """What one run may use, its sub-agents included. Reaching a limit ends the run gracefully.

    Args:
        max_turns: Requests to the model; the last one is made without tools, so that it ends in an answer.
        max_tool_calls: Calls the model makes in the run, hosted and local, valid or not; None for no bound.
        max_calls_per_turn: Local calls of one reply that are run; the rest is answered "limit reached".
        calls: Calls of single tools, by key: ``{"weather": 3}``; those beyond are answered "limit reached".
        tokens: Input and output tokens of all replies; looked at before a request, so that one request may exceed it.
        cost: US dollars of all replies; looked at like ``tokens``. Needs prices: ``Agent(prices=…)`` or the extra.
        seconds: Time that the run works. It is hard: what runs is cancelled, and there is no last turn. Time in which
            nothing can go on without a person's decision doesn't count.
        on_limit: What happens when a limit is reached. ``answer``: the next request is the last turn, made with
            ``tool_choice: "none"``, so that the model answers with what it has; ``stop``: the run ends with what there
            is; ``raise``: it ends in a `LimitReachedError` that carries the state.

    Raises:
        UsageError: A limit is out of range.
    """

    max_turns: int = 50
    max_tool_calls: int | None = None
    max_calls_per_turn: int = 128
    calls: Mapping[str, int] = field(default_factory=dict[str, int])
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    on_limit: OnLimit = "answer"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_whole("max_turns", self.max_turns, 1)
        check_whole("max_calls_per_turn", self.max_calls_per_turn, 1)
        if self.max_tool_calls is not None:
            check_whole("max_tool_calls", self.max_tool_calls, 0)
        if self.tokens is not None:
            check_whole("tokens", self.tokens, 1)
        if not isinstance(self.calls, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"calls must be a dict from a tool's name to a number, but is {self.calls!r:.100}")
        for name, number in self.calls.items():
            check_whole(f"calls[{name!r}]", number, 0)
        for name in ("cost", "seconds"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 < value <= _MOST):
                raise UsageError(f"{name} must be a number, more than 0, but is {value!r}")
        if self.on_limit not in ("answer", "stop", "raise"):
            raise UsageError(f"on_limit must be 'answer', 'stop' or 'raise', but is {self.on_limit!r}")


def check_whole(name: str, value: object, lowest: int) -> None:
    """Refuse what is no whole number, or less than the lowest."""
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise UsageError(f"{name} must be a whole number, at least {lowest}, but is {value!r:.100}")
