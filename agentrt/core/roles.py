"""Calls that no tool runs: handoffs, and the final output where it comes as a call."""

from __future__ import annotations

from typing import Any

from agentrt.core.history import failure
from agentrt.core.state import Thread, evolve
from agentrt.wire.items import CALLS, Item, item_view
from agentrt.wire.json import text_of

__all__ = ["OWN", "own_roles", "taken"]

OWN = ("handoff", "output")
"""The roles of calls that the core answers by itself."""


def own_roles(thread: Thread, output_retries: int) -> Thread:
    """Answer these calls of a reply.

    Args:
        thread: The thread, with the reply's calls.
        output_retries: How often an output that doesn't fit is sent back.
    """
    tries = thread.tries
    for index, call in thread.calls.items():
        verdict = thread.verdicts.get(index)
        if verdict is None or verdict.role not in OWN or index in thread.outputs:
            continue
        changes: dict[str, Any] = {}
        if verdict.role == "handoff" and thread.handoff is None:
            changes = {"handoff": (verdict.agent, verdict.parallel)}
            output = taken(call, f"{verdict.agent} goes on from here.")
        elif verdict.role == "handoff":
            output = failure(call, f"the conversation goes to {thread.handoff and thread.handoff[0]} already")
        elif verdict.problem is None:
            changes = {} if thread.answer is not None else {"answer": text_of(call.raw.get("arguments"))}
            output = taken(call, "This is taken as the answer.")
        else:
            spent = thread.last is not None or tries >= output_retries
            changes = {"problem": verdict.problem} if spent else {"tries": tries + 1}
            output = failure(call, verdict.problem)
        outputs = {**thread.outputs, index: output}
        thread = evolve(thread, outputs=outputs, handed=thread.handed | {index}, **changes)
    return thread


def taken(call: Item, text: str) -> Item:
    """Make the output item that a call is answered with."""
    return item_view(CALLS[call.type].answer(call.raw, text))
