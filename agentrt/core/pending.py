"""`Pending`: what waits for a decision, and the decisions that there are. Plain data: decide days later, elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentrt.errors import UsageError
from agentrt.wire.json import dump, is_dict

__all__ = ["Answer", "Approve", "Decision", "Deny", "Kind", "Pending", "decision_from", "decision_json", "pending_id"]

Kind = Literal["tool", "mcp", "safety", "elicitation"]


@dataclass(frozen=True)
class Pending:
    """Something that waits for somebody's word.

    Args:
        id: Hash of all that the decision is about: a decision for it fits nothing else.
        kind: ``tool``: a call of a tool of ours; ``mcp``: a call that a hosted MCP server wants to run; ``safety``:
            warnings of a computer-use call; ``elicitation``: an MCP server asks for values.
        name: The tool's key: its name, after its namespace or server.
        arguments: The parsed arguments of the call, defaults included; of an elicitation the schema of the values.
        text: What a decider should read: made from the arguments, never from the model's prose, with control and
            direction characters made visible.
        agent: The name of the agent whose call it is.
        thread: The thread of the run.
        turn: The turn that the call came in.
        position: Its position in the reply's output.
        call_id: The call's id, as the reply has it.
        definition: Hash of the tool's definition.
        request_state: Of an elicitation what the server wants back with the answer; it holds what it knows of the call.
    """

    id: str
    kind: Kind
    name: str
    arguments: Mapping[str, Any]
    text: str
    agent: str
    thread: str
    turn: int
    position: int
    call_id: str
    definition: str = ""
    request_state: str | None = None


@dataclass(frozen=True)
class Approve:
    """Let it run.

    Args:
        edited: Arguments to run it with instead of the model's, all of them; the model is told which were used.
    """

    edited: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Deny:
    """Don't let it run.

    Args:
        reason: Why, for the model to read.
    """

    reason: str = ""


@dataclass(frozen=True)
class Answer:
    """Answer instead: the call is not run, and the model gets this as its output.

    Args:
        value: Anything that a tool may return as JSON; the values that an elicitation asked for.
    """

    value: Any


Decision = Approve | Deny | Answer


def pending_id(*parts: object) -> str:
    """Hash all that a decision is about: run, thread, turn, position, tool key, definition, server pin, arguments."""
    return hashlib.sha256(dump(list(parts))).hexdigest()


def decision_json(decision: Decision) -> dict[str, Any]:
    """Give a decision as JSON."""
    if isinstance(decision, Approve):
        return {"type": "approve", "edited": None if decision.edited is None else dict(decision.edited)}
    if isinstance(decision, Deny):
        return {"type": "deny", "reason": decision.reason}
    return {"type": "answer", "value": decision.value}


def decision_from(raw: object) -> Decision:
    """Read a decision: one of ours, or its JSON.

    Raises:
        UsageError: It is none.
    """
    if isinstance(raw, Approve | Deny | Answer):
        return raw
    if is_dict(raw):
        kind = raw.get("type")
        if kind == "approve":
            return Approve(raw.get("edited"))
        if kind == "deny":
            return Deny(raw.get("reason") or "")
        if kind == "answer":
            return Answer(raw.get("value"))
    raise UsageError(f"a decision is Approve(), Deny(reason) or Answer(value), not {raw!r:.100}")
