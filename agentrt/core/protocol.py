"""What goes into `step` and what comes out: events, effects, and what a driver found out about calls.

The core can't know what a tool is, the time, or an id: that comes in the events. Calls are keyed by thread, turn and
position in the reply's ``output``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from agentrt.core.pending import Decision, Pending
from agentrt.core.state import MAIN, Meter, RunState, Status, Thread, Verdict
from agentrt.wire.items import Item
from agentrt.wire.responses import Response

__all__ = [
    "Ask",
    "CallModel",
    "CallSeen",
    "ConversationMade",
    "Decided",
    "Effect",
    "Event",
    "Finish",
    "ModelFailed",
    "ModelReplied",
    "Moved",
    "Resume",
    "RunTool",
    "Start",
    "Step",
    "Stop",
    "ToolAsked",
    "ToolReturned",
    "Withdrawn",
]


class Start(NamedTuple):
    """The run begins with the items in the thread's history."""

    thread: str = MAIN


class ConversationMade(NamedTuple):
    """The server made the conversation that the thread keeps its history in."""

    turn: int
    anchor: str
    thread: str = MAIN


class Moved(NamedTuple):
    """The thread is sent to another address than before: what only that one could read is left out."""

    turn: int
    provider: str
    thread: str = MAIN


class CallSeen(NamedTuple):
    """A call has come whole while its reply goes on; it is pure, and nobody has to be asked."""

    turn: int
    position: int
    call: Item
    verdict: Verdict
    thread: str = MAIN


class ModelReplied(NamedTuple):
    """The model's reply to the request of this turn has come whole.

    Attributes:
        turn: The turn that it belongs to.
        response: The reply.
        thread: Its thread.
        verdicts: What the driver found out about its calls, by position.
        problem: What is wrong with a structured answer, for the model to read.
        cost: US dollars; None where that isn't known.
        seconds: How long the run has worked so far.
        output_retries: How often an answer that doesn't fit is sent back.
    """

    turn: int
    response: Response
    thread: str = MAIN
    verdicts: Mapping[int, Verdict] = {}
    problem: str | None = None
    cost: float | None = None
    seconds: float = 0.0
    output_retries: int = 2


class ModelFailed(NamedTuple):
    """The request of this turn has to be sent again, in another form, or because its reply broke off.

    Attributes:
        reason: ``state_lost``: the server has no such response or conversation (any more);
            ``unsupported``: it keeps none at all; ``reasoning_refused``: it can't read the reasoning items;
            ``arguments_refused``: it reads no arguments that are no JSON; ``broken``: the reply broke off, and what
            was run from it counts no more.
    """

    turn: int
    reason: Literal["state_lost", "unsupported", "reasoning_refused", "arguments_refused", "broken"]
    thread: str = MAIN


class ToolReturned(NamedTuple):
    """A call has its output item. ``turn`` and ``position`` (in ``output``) are those of the `RunTool` it answers."""

    turn: int
    position: int
    output: dict[str, Any]
    thread: str = MAIN


class ToolAsked(NamedTuple):
    """A call can't go on without an answer of somebody's. Once that is there it is run again, with the answer.

    Attributes:
        turn: The turn that the call came in.
        position: Its position in ``output``.
        pending: What is asked; of the kind ``elicitation``.
        thread: The thread.
    """

    turn: int
    position: int
    pending: Pending
    thread: str = MAIN


class Withdrawn(NamedTuple):
    """Calls that were handed out but had not begun when the run was left: they may still be run, by a resume."""

    turn: int
    positions: tuple[int, ...]
    thread: str = MAIN


class Decided(NamedTuple):
    """Somebody decided on a call that waited.

    Attributes:
        turn: The turn that the call came in.
        position: Its position in ``output``.
        decision: What was decided.
        thread: The thread.
        begin: The thread that a sub-agent begins with instead, where its arguments were edited.
    """

    turn: int
    position: int
    decision: Decision
    thread: str = MAIN
    begin: Thread | None = None


class Resume(NamedTuple):
    """A run that was put away goes on; nothing that it had started is under way any more.

    Attributes:
        verdicts: What is known of its open calls now, by thread and position.
        thread: `MAIN`.
    """

    verdicts: Mapping[tuple[str, int], Verdict] = {}
    thread: str = MAIN


class Stop(NamedTuple):
    """The run ends here, or a sub-agent does: open calls are answered, nothing more is asked.

    Attributes:
        status: ``cancelled``: somebody cancelled it; ``limit``: its time is up; ``refused``: a guardrail said no.
        stopped_by: The limit.
        seconds: How long the run has worked.
        note: Why, in a sentence.
        thread: `MAIN` for the run; a sub-agent's ends with those below it, and the call that it answers has failed.
        spent: What a reply has cost that counts for nothing else.
    """

    status: Status = "cancelled"
    stopped_by: str | None = None
    seconds: float = 0.0
    note: str | None = None
    thread: str = MAIN
    spent: Meter = Meter()


class CallModel(NamedTuple):
    """Send a request with the thread's history.

    Attributes:
        turn: The turn that the reply must name.
        last: Send ``tool_choice: "none"``, so that the model answers with what it has.
        max_tool_calls: What remains of the run's calls, for the request; None where there is no bound or no call left.
        thread: The conversation.
    """

    turn: int
    last: bool
    max_tool_calls: int | None
    thread: str


class RunTool(NamedTuple):
    """Run one call. Effects of one step may run at once.

    Attributes:
        turn: The turn that the call came in.
        position: Its position in ``output``.
        call: The call as the model wrote it.
        thread: The thread.
        edited: Arguments to run it with instead; None for the model's own.
        reply: What was answered to what it asked when it was run before: ``action``, ``content``, ``state``.
    """

    turn: int
    position: int
    call: Item
    thread: str
    edited: Mapping[str, Any] | None = None
    reply: Mapping[str, Any] | None = None


class Ask(NamedTuple):
    """Somebody has to decide. A driver with nobody to ask lets it be: the run then ends as ``pending``."""

    pending: Pending


class Finish(NamedTuple):
    """The run is over, or nothing can go on without a decision; the state says how."""

    status: Status


Event = (
    Start
    | ConversationMade
    | Moved
    | CallSeen
    | ModelReplied
    | ModelFailed
    | ToolReturned
    | ToolAsked
    | Withdrawn
    | Decided
    | Resume
    | Stop
)
Effect = CallModel | RunTool | Ask | Finish
Step = tuple[RunState, list[Effect]]
