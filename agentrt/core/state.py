"""The state of a run: plain data, with a versioned JSON form.

Frozen, and never copied deep: `evolve` makes a changed copy that shares all else (0.3 µs where ``dataclasses.replace``
takes 3.6, measured with 19 fields).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

from agentrt.core.limits import Limits
from agentrt.core.pending import Pending
from agentrt.errors import UsageError
from agentrt.wire.items import Item
from agentrt.wire.json import as_dict, dump, parse
from agentrt.wire.responses import Usage

__all__ = [
    "MAIN",
    "NO_CALLS",
    "History",
    "Meter",
    "Phase",
    "Role",
    "RunState",
    "Status",
    "Thread",
    "Verdict",
    "evolve",
    "within",
]

MAIN = "main"
"""The thread that a run begins with. Sub-agents get threads of their own in the same state, under the same meter."""

VERSIONS: Mapping[int, str] = {
    1: "items, open calls and outputs by thread; one meter for turns, calls and tokens",
    2: "what the server holds of a thread: history, anchor, known, outside; cache_write_tokens",
    3: "outside is the anchor that a thread began from, not only whether there was one",
    4: "verdicts and decisions on open calls, sub-agents' threads, more limits, notes; last names its reason",
}
"""Every version of the JSON form, with what it brought."""

History = Literal["replay", "response", "conversation"]
Phase = Literal["new", "model", "tools", "done"]
Status = Literal["completed", "pending", "limit", "refused", "incomplete", "cancelled"]
Role = Literal["tool", "agent", "handoff", "output", "mcp"]
T = TypeVar("T")


def evolve(value: T, **changes: Any) -> T:
    """Make a copy of a frozen dataclass with some fields changed; the rest is shared."""
    copy = object.__new__(type(value))
    copy.__dict__.update(value.__dict__, **changes)
    return copy


def within(name: str, root: str) -> bool:
    """Tell whether a thread is another one, or a sub-agent's somewhere below it."""
    return name == root or name.startswith(f"{root}/")


class _Data:
    """Compares by its fields. Written once, as making it for each class takes its time whenever agentrt is imported."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return id(type(self))  # fields may be dicts


class Meter(NamedTuple):
    """What was used, all threads below together.

    Attributes:
        turns: Requests made.
        calls: Calls that the model made, hosted ones included.
        usage: Tokens.
        cost: US dollars, as far as prices are known.
        seconds: Time that the run has worked.
        by_tool: Calls of the tools that have a limit of their own.
    """

    turns: int = 0
    calls: int = 0
    usage: Usage = Usage()
    cost: float = 0.0
    seconds: float = 0.0
    by_tool: Mapping[str, int] = MappingProxyType({})

    def calls_left(self, limits: Limits) -> int | None:
        """Count the calls that remain of ``max_tool_calls``; None where there is no bound."""
        return None if limits.max_tool_calls is None else max(0, limits.max_tool_calls - self.calls)

    def plus(self, more: Meter) -> Meter:
        """Add up two meters, field by field."""
        by_tool = self.by_tool
        if more.by_tool:
            by_tool = {**by_tool, **{key: by_tool.get(key, 0) + number for key, number in more.by_tool.items()}}
        turns, calls, cost = self.turns + more.turns, self.calls + more.calls, self.cost + more.cost
        return Meter(turns, calls, self.usage.plus(more.usage), cost, self.seconds + more.seconds, by_tool)

    def last_because(self, limits: Limits, reserved: int = 0) -> str | None:
        """Name the limit for which the next request must be the one that answers; None while there is none.

        Args:
            limits: The limits.
            reserved: Requests that others still need for their own answers.
        """
        if limits.max_tool_calls is not None and self.calls >= limits.max_tool_calls:
            return "max_tool_calls"
        if limits.tokens is not None and self.usage.total_tokens >= limits.tokens:
            return "tokens"
        if limits.cost is not None and self.cost >= limits.cost:
            return "cost"
        return "max_turns" if self.turns + 1 + reserved >= limits.max_turns else None


@dataclass(frozen=True, eq=False, repr=False)
class Verdict(_Data):
    """What a driver found out about a call, as the core can't ask. It stays with the call until that is answered.

    Args:
        key: The tool's key: its name, after its namespace.
        role: What the call does: run a ``tool``, ask a sub-``agent``, hand the thread over (``handoff``), give the
            final ``output``, or let a hosted MCP server run something (``mcp``).
        effect: ``pure``, ``idempotent`` or ``unsafe``.
        lane: What it works on; calls of one lane wait for each other.
        exclusive: Whether what comes after it waits for it.
        definition: Hash of the tool's definition; a decision holds for this one only.
        ask: What must be decided before it runs; None where nobody has to be asked.
        agent: The name of the agent that a handoff goes to.
        parallel: Whether that agent's calls may run at once.
        begin: The thread that a sub-agent begins with.
        problem: What is wrong with a final output, for the model to read.
    """

    key: str = ""
    role: Role = "tool"
    effect: str = "unsafe"
    lane: str | None = None
    exclusive: bool = False
    definition: str = ""
    ask: Pending | None = None
    agent: str = ""
    parallel: bool = True
    begin: Thread | None = None
    problem: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Thread(_Data):
    """One conversation of the run.

    Args:
        items: The history: what the run was given, what came, what was answered.
        given: How many of the items were there before the run began.
        phase: What the thread waits for.
        turn: Its requests so far; calls are keyed by turn and position in ``output``.
        last: The limit for which the turn under way must answer; None where it need not.
        last_of_run: Whether that is one of the run's own limits.
        parallel: Whether the calls of a reply may run at once.
        history: How the next request carries the history.
        anchor: The response or conversation that holds what the server knows; None where it knows nothing.
        known: How many of the items are in there.
        outside: The anchor that the thread began from, where it holds what came before the items, and so can't be
            rebuilt from them; None where there is no such.
        calls: Calls of the last reply that still need an answer, by position, in order.
        outputs: Answers that have come, by position.
        agent: The name of the agent at work.
        compacted: Whether a reply has compacted the history: what came before needn't be sent again.
        provider: The address whose model wrote the history; None where none did.
        verdicts: What is known of the calls, by position.
        handed: Positions of the calls whose effect was given out, or that need none.
        waiting: Positions of the calls that wait for a decision.
        edited: Arguments that a decider gave instead of the model's, by position.
        decided: Positions of the calls that were approved.
        replies: What was answered to what calls asked while they ran, by position.
        handoff: The agent that takes over after these calls, and whether its calls may run at once.
        answer: The final output that came as a call.
        tries: How often a final output was sent back.
        problem: What was wrong with the last one, once it is sent back no more.
        parent: The thread whose call this one answers; None for `MAIN`.
        position: That call's position.
        call_id: That call's id.
        limits: What this thread and those below it may use; None for `MAIN`, whose limits are the run's.
        meter: What they have used; not kept for `MAIN`.
        stopped_by: The limit of its own that refused a call or cut it.
    """

    items: tuple[Item, ...] = ()
    given: int = 0
    phase: Phase = "new"
    turn: int = 0
    last: str | None = None
    last_of_run: bool = False
    parallel: bool = True
    history: History = "replay"
    anchor: str | None = None
    known: int = 0
    outside: str | None = None
    calls: Mapping[int, Item] = field(default_factory=dict[int, Item])
    outputs: Mapping[int, Item] = field(default_factory=dict[int, Item])
    agent: str = "agent"
    compacted: bool = False
    provider: str | None = None
    verdicts: Mapping[int, Verdict] = field(default_factory=dict[int, Verdict])
    handed: frozenset[int] = frozenset()
    waiting: frozenset[int] = frozenset()
    edited: Mapping[int, Mapping[str, Any]] = field(default_factory=dict[int, Mapping[str, Any]])
    decided: frozenset[int] = frozenset()
    replies: Mapping[int, Mapping[str, Any]] = field(default_factory=dict[int, Mapping[str, Any]])
    handoff: tuple[str, bool] | None = None
    answer: str | None = None
    tries: int = 0
    problem: str | None = None
    parent: str | None = None
    position: int = 0
    call_id: str | None = None
    limits: Limits | None = None
    meter: Meter = field(default_factory=Meter)
    stopped_by: str | None = None

    def under_way(self, position: int) -> bool:
        """Tell whether a call was handed out and has no answer yet; a sub-agent's own thread speaks for it."""
        handed = position in self.handed and position not in self.waiting and position not in self.outputs
        verdict = self.verdicts.get(position)
        return handed and (verdict is None or verdict.role != "agent")

    def check_under_way(self, position: int) -> None:
        """Raise UsageError where an event is about a call that was not handed out, or has its answer."""
        if not self.under_way(position):
            raise UsageError(f"call {position} of turn {self.turn} is not open; feed each effect's outcome back once")


NO_CALLS: Mapping[str, Any] = {
    "calls": {},
    "outputs": {},
    "verdicts": {},
    "handed": frozenset[int](),
    "waiting": frozenset[int](),
    "edited": {},
    "decided": frozenset[int](),
    "replies": {},
}
"""All that a thread knows of the calls of a reply, while there is none."""


@dataclass(frozen=True, eq=False, repr=False)
class RunState(_Data):
    """Where a run stands. ``to_json`` and ``from_json`` put it away and take it up again.

    Args:
        run_id: The run's id.
        limits: What the run may use.
        meter: What it has used.
        threads: Its conversations; `MAIN` is the first.
        status: How it ended; ``pending`` while it waits for a decision; None while it goes on.
        stopped_by: The limit that refused a call or cut the run; None where none did.
        notes: What was changed that the user should know: a broken history that was mended, reasoning left out.
        session: The id of the conversation that the run belongs to; None where it belongs to none.
        steps: Events that led here: of two states of one run, the one with more is the later.
    """

    run_id: str
    limits: Limits = field(default_factory=Limits)
    meter: Meter = field(default_factory=Meter)
    threads: Mapping[str, Thread] = field(default_factory=lambda: {MAIN: Thread()})
    status: Status | None = None
    stopped_by: str | None = None
    notes: tuple[str, ...] = ()
    session: str | None = None
    steps: int = 0

    def __repr__(self) -> str:
        """Show which run it is and how it stands, not what was said."""
        return f"RunState({self.run_id!r}, status={self.status!r}, threads={list(self.threads)})"

    def put(self, name: str, thread: Thread) -> RunState:
        """Give the state with a thread in another form."""
        return evolve(self, threads={**self.threads, name: thread})

    def scopes(self, name: str) -> list[tuple[Limits, Meter, int]]:
        """Give the limits that bind a thread, with what was used, and how many others need a request to answer."""
        if len(self.threads) == 1:
            return [(self.limits, self.meter, 0)]
        busy = [other for other, thread in self.threads.items() if other != name and thread.phase != "done"]
        scopes = [(self.limits, self.meter, len(busy))]
        root = name
        while (thread := self.threads[root]).parent is not None:
            assert thread.limits is not None
            inside = sum(within(other, root) for other in busy)
            scopes.append((thread.limits, thread.meter, inside))
            root = thread.parent
        return scopes

    def caps(self, name: str) -> dict[str, tuple[int, bool]]:
        """Give how often a thread may still call each tool that has a limit of its own, and if that is the run's."""
        caps: dict[str, tuple[int, bool]] = {}
        for limits, meter, _ in self.scopes(name):
            for key, cap in limits.calls.items():
                left = cap - meter.by_tool.get(key, 0)
                if key not in caps or left < caps[key][0]:
                    caps[key] = left, meter is self.meter
        return caps

    def charged(self, name: str, spent: Meter) -> RunState:
        """Add to the meters of a thread, of those above it, and of the run."""
        threads = self.threads
        while (thread := threads[name]).parent is not None:
            threads = {**threads, name: evolve(thread, meter=thread.meter.plus(spent))}
            name = thread.parent
        return evolve(self, threads=threads, meter=self.meter.plus(spent))

    def limited(self, name: str, limit: str, *, run: bool) -> RunState:
        """Note the limit that refused a call of a thread, or cut it.

        Args:
            name: The thread.
            limit: The limit.
            run: Whether it is one of the run's own.
        """
        thread = self.threads[name]
        state = self.put(name, evolve(thread, stopped_by=thread.stopped_by or limit))
        return evolve(state, stopped_by=state.stopped_by or limit) if run else state

    @property
    def pending(self) -> list[Pending]:
        """What waits for a decision, in the order of the calls."""
        asks = [thread.verdicts[at].ask for thread in self.threads.values() for at in sorted(thread.waiting)]
        return [ask for ask in asks if ask is not None]

    def to_json(self) -> str:
        """Write the state as JSON."""
        from agentrt.core.statefile import state_out  # noqa: PLC0415 - it reads and makes these very classes

        return dump(state_out(self)).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> RunState:
        """Read a state that `to_json` wrote, now or in an earlier version.

        Raises:
            UsageError: The text is not such a state, or comes from a newer agentrt.
        """
        from agentrt.core.statefile import state_in  # noqa: PLC0415 - it reads and makes these very classes

        try:
            return state_in(as_dict(parse(text)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"this is not a state that RunState.to_json() wrote, or it was damaged: {error!r}"
            ) from error
