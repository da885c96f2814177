"""What a run tells while it goes on: one ordered stream of typed events, for ``stream()`` and for observers.

Each event has a ``type`` for matching, and tells where it belongs: the run, the agent, the thread, the turn, and, in
the thread of a sub-agent, the call that it answers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal, NamedTuple

from agentrt.core.pending import Pending
from agentrt.core.state import Status
from agentrt.wire.responses import Response, Usage

__all__ = [
    "AgentChanged",
    "DecisionNeeded",
    "LimitReached",
    "Noted",
    "ReasoningDelta",
    "RunEvent",
    "RunFinished",
    "RunStarted",
    "SourceChanged",
    "TextDelta",
    "ToolFinished",
    "ToolProgress",
    "ToolStarted",
    "TurnRestarted",
    "TurnStarted",
    "UsageReported",
    "Where",
]


class Where(NamedTuple):
    """Where an event belongs.

    Attributes:
        run_id: The run's id.
        agent: The name of the agent at work.
        thread: The thread: ``main``, or a sub-agent's.
        turn: The thread's turn, from 1; 0 before the first.
        parent: The ``call_id`` of the call that the thread answers; None in the main thread.
    """

    run_id: str
    agent: str
    thread: str
    turn: int
    parent: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class _Event:
    """What all events have. Written once: making it for each class would double the time that importing them takes."""

    where: Where

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.where.run_id

    @property
    def agent(self) -> str:
        """The name of the agent at work."""
        return self.where.agent

    @property
    def thread(self) -> str:
        """The thread: ``main``, or a sub-agent's."""
        return self.where.thread

    @property
    def turn(self) -> int:
        """The thread's turn, from 1; 0 before the first."""
        return self.where.turn

    @property
    def parent(self) -> str | None:
        """The ``call_id`` of the call that the thread answers; None in the main thread."""
        return self.where.parent

    def _values(self) -> dict[str, object]:
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def __eq__(self, other: object) -> bool:
        """Compare class and fields."""
        return isinstance(other, _Event) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        """Hash where it belongs; fields may be unhashable."""
        return hash((type(self), self.where))

    def __repr__(self) -> str:
        """Show the fields."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"


@dataclass(slots=True, eq=False, repr=False)
class RunStarted(_Event):
    """The run begins, or goes on after it was put away.

    Args:
        where: Where it belongs.
        resumed: Whether it goes on.
    """

    resumed: bool = False
    type: ClassVar[Literal["run.started"]] = "run.started"


@dataclass(slots=True, eq=False, repr=False)
class TurnStarted(_Event):
    """A request goes out.

    Args:
        where: Where it belongs.
        last: Whether it must be answered without calls, as a limit is reached.
        model: The model that is asked.
    """

    last: bool
    model: str = ""
    type: ClassVar[Literal["turn.started"]] = "turn.started"


@dataclass(slots=True, eq=False, repr=False)
class TurnRestarted(_Event):
    """The reply broke off and is asked for again: what this turn has said so far counts no more.

    Args:
        where: Where it belongs.
        reason: What broke it.
    """

    reason: str
    type: ClassVar[Literal["turn.restarted"]] = "turn.restarted"


@dataclass(slots=True, eq=False, repr=False)
class TextDelta(_Event):
    """The model wrote a piece of text.

    Args:
        where: Where it belongs.
        delta: The piece.
    """

    delta: str
    type: ClassVar[Literal["text.delta"]] = "text.delta"


@dataclass(slots=True, eq=False, repr=False)
class ReasoningDelta(_Event):
    """The model wrote a piece of its reasoning, or of the summary of it.

    Args:
        where: Where it belongs.
        delta: The piece.
    """

    delta: str
    type: ClassVar[Literal["reasoning.delta"]] = "reasoning.delta"


@dataclass(slots=True, eq=False, repr=False)
class UsageReported(_Event):
    """The reply of a turn has come whole.

    Args:
        where: Where it belongs.
        response: The reply.
        before: Tokens of the run before it.
        cost: US dollars of this turn; None where the price isn't known.
    """

    response: Response
    before: Usage
    cost: float | None = None
    type: ClassVar[Literal["usage"]] = "usage"

    @property
    def usage(self) -> Usage:
        """Tokens of this turn."""
        return self.response.usage

    @property
    def total(self) -> Usage:
        """Tokens of the run so far."""
        return self.before.plus(self.response.usage)

    @property
    def model(self) -> str | None:
        """The model that answered."""
        return self.response.model

    @property
    def response_id(self) -> str | None:
        """The server's id of the response."""
        return self.response.id

    @property
    def status(self) -> str:
        """The response's status."""
        return self.response.status


@dataclass(slots=True, eq=False, repr=False)
class ToolStarted(_Event):
    """A call is about to run, here or on the server.

    Args:
        where: Where it belongs.
        call_id: The call's id; of a hosted call the item's.
        name: The tool's name; of a hosted call its type, such as ``web_search``.
        arguments: The arguments as the model wrote them; of a hosted call what is known when it begins.
        hosted: Whether the provider runs it.
    """

    call_id: str
    name: str
    arguments: str
    hosted: bool = False
    type: ClassVar[Literal["tool.started"]] = "tool.started"


@dataclass(slots=True, eq=False, repr=False)
class ToolProgress(_Event):
    """A running tool tells how far it is, or gives a part of its output.

    Args:
        where: Where it belongs.
        call_id: The call's id.
        name: The tool's name.
        fraction: From 0 to 1; None where that isn't known.
        message: A few words.
        output: What a generator gave just now, as text.
    """

    call_id: str
    name: str
    fraction: float | None
    message: str
    output: str = ""
    type: ClassVar[Literal["tool.progress"]] = "tool.progress"


@dataclass(slots=True, eq=False, repr=False)
class ToolFinished(_Event):
    """A call has its output.

    Args:
        where: Where it belongs.
        call_id: The call's id; of a hosted call the item's.
        name: The tool's name; of a hosted call its type, such as ``web_search``.
        output: What the model gets to read; of a hosted call what of it was sent along.
        failed: Whether that is an error.
        seconds: How long the tool took, as far as it could be watched.
        hosted: Whether the provider ran it.
        artifact: The whole output, where it was too long for the model.
    """

    call_id: str
    name: str
    output: str
    failed: bool
    seconds: float
    hosted: bool = False
    artifact: str | None = None
    type: ClassVar[Literal["tool.finished"]] = "tool.finished"


@dataclass(slots=True, eq=False, repr=False)
class DecisionNeeded(_Event):
    """A call waits for somebody's word.

    Args:
        where: Where it belongs.
        pending: What is asked.
    """

    pending: Pending
    type: ClassVar[Literal["pending"]] = "pending"


@dataclass(slots=True, eq=False, repr=False)
class LimitReached(_Event):
    """A limit refused a call for the first time, or makes the turn that begins the last one, or cuts the run.

    Args:
        where: Where it belongs.
        limit: The limit's name, such as ``max_tool_calls``.
    """

    limit: str
    type: ClassVar[Literal["limit"]] = "limit"


@dataclass(slots=True, eq=False, repr=False)
class AgentChanged(_Event):
    """The thread was handed to another agent; ``agent`` is the new one.

    Args:
        where: Where it belongs.
        before: The name of the agent that handed it over.
    """

    before: str
    type: ClassVar[Literal["agent.changed"]] = "agent.changed"


@dataclass(slots=True, eq=False, repr=False)
class Noted(_Event):
    """Something was changed that the user should know: a broken history was mended, reasoning was left out.

    Args:
        where: Where it belongs.
        note: What, in a sentence.
    """

    note: str
    type: ClassVar[Literal["note"]] = "note"


@dataclass(slots=True, eq=False, repr=False)
class SourceChanged(_Event):
    """An MCP server has connected, has other tools than before, or has failed.

    Args:
        where: Where it belongs.
        name: The server's name.
        tools: The tools that it offers now, by the names that the model sees.
        problem: Why it has none; None where all is well.
    """

    name: str
    tools: tuple[str, ...]
    problem: str | None
    type: ClassVar[Literal["mcp.server"]] = "mcp.server"


@dataclass(slots=True, eq=False, repr=False)
class RunFinished(_Event):
    """The run is over, or waits for a decision. It is the last event; observers are told it however a run ends.

    Args:
        where: Where it belongs.
        status: How; the result has the rest. None where an error ended it, or where it was left.
        stopped_by: The limit that refused a call or cut it.
        error: What ended it, in words.
    """

    status: Status | None
    stopped_by: str | None = None
    error: str | None = None
    type: ClassVar[Literal["run.finished"]] = "run.finished"


RunEvent = (
    RunStarted
    | TurnStarted
    | TurnRestarted
    | TextDelta
    | ReasoningDelta
    | UsageReported
    | ToolStarted
    | ToolProgress
    | ToolFinished
    | DecisionNeeded
    | LimitReached
    | AgentChanged
    | Noted
    | SourceChanged
    | RunFinished
)
