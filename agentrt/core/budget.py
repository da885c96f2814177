"""What limits leave: of a run, and of sub-agents inside it. A run without bounds that is near none never asks here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agentrt.core.history import Reply, failure
from agentrt.core.state import Meter, RunState, Thread, Verdict
from agentrt.wire.items import Item

__all__ = ["Near", "calls_left", "held", "near", "room"]

_PLAIN = Verdict()
_COUNTED = ("tool", "agent")


class Near(NamedTuple):
    """The limit that the next request comes to.

    Attributes:
        limit: Its name.
        of_run: Whether it is one of the run's own.
        spent: Whether it leaves no request at all.
    """

    limit: str
    of_run: bool
    spent: bool


def near(state: RunState, name: str) -> Near | None:
    """Give the limit for which a thread's next request must be the last, or can't be made; None where there is none."""
    found: Near | None = None
    for limits, meter, reserved in state.scopes(name):
        because = meter.last_because(limits, reserved)
        if because is not None:
            gentle = limits.on_limit == "answer" or because == "max_turns" or state.threads[name].turn == 0
            spent = meter.turns >= limits.max_turns or not gentle
            if spent:
                return Near(because, meter is state.meter, spent)
            found = found or Near(because, meter is state.meter, spent)
    return found


def calls_left(state: RunState, name: str) -> int | None:
    """Count the calls that the next reply of a thread may have; None where there is no bound, or none left."""
    lefts = [left for limits, meter, _ in state.scopes(name) if (left := meter.calls_left(limits)) is not None]
    return min(lefts, default=None) or None


def room(state: RunState, name: str, thread: Thread, hosted: int) -> tuple[int, str, bool]:
    """Count how many local calls of a reply may run, and name the limit that refuses the rest, and whose it is."""
    if thread.last is not None:
        return 0, thread.last, thread.last_of_run
    found = (state.limits.max_calls_per_turn, "max_calls_per_turn", True)
    for limits, meter, _ in state.scopes(name):
        left = meter.calls_left(limits)
        of_run = meter is state.meter
        found = min(found, (limits.max_calls_per_turn, "max_calls_per_turn", of_run), key=lambda room: room[0])
        if left is not None and max(0, left - hosted) < found[0]:
            found = (max(0, left - hosted), "max_tool_calls", of_run)
    return found


def held(
    state: RunState, name: str, reply: Reply, verdicts: Mapping[int, Verdict], spent: Meter
) -> tuple[dict[int, Item], list[tuple[str, bool]], Meter]:
    """Hold a reply's calls against all limits.

    Args:
        state: The state before the reply.
        name: The thread.
        reply: The reply.
        verdicts: What is known of its calls.
        spent: What the reply used, all calls counted.

    Returns:
        Answers to the calls that there is no room for, these limits and whether they are the run's, and what the reply
        used of those that count.
    """
    counted = [index for index in reply.calls if verdicts.get(index, _PLAIN).role in _COUNTED]
    caps = state.caps(name)
    by_tool: dict[str, int] = {}
    for index in counted if caps else ():
        key = verdicts.get(index, _PLAIN).key
        by_tool[key] = by_tool.get(key, 0) + 1
    refused, reached = _beyond(state, name, reply, verdicts, counted, caps)
    return refused, reached, spent._replace(calls=reply.hosted + len(counted), by_tool=by_tool)


def _beyond(
    state: RunState,
    name: str,
    reply: Reply,
    verdicts: Mapping[int, Verdict],
    counted: Sequence[int],
    caps: dict[str, tuple[int, bool]],
) -> tuple[dict[int, Item], list[tuple[str, bool]]]:
    calls, thread = reply.calls, state.threads[name]
    left, limit, of_run = room(state, name, thread, reply.hosted)
    told = f"limit reached ({limit}), so this call was not run; answer with what you have"
    over = {index: failure(calls[index], told) for index in counted[left:]}
    if thread.last is not None:
        free = (index for index in calls if verdicts.get(index, _PLAIN).role in ("handoff", "mcp"))
        over |= {index: failure(calls[index], told) for index in free}
    reached = [(limit, of_run)] if over else []
    for index in counted[:left]:
        key = verdicts.get(index, _PLAIN).key
        if key in caps:
            rest, of_run = caps[key]
            if rest <= 0:
                told = f"limit reached (calls of {key}), so this call was not run; go on without it"
                over[index] = failure(calls[index], told)
                reached.append(("calls", of_run))
            caps[key] = rest - 1, of_run
    return over, reached
