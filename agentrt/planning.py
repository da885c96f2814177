"""The plan of a run: the agents in it, what it goes on from, and what was said of it beside its input."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from agentrt.assembly import check_costs, check_types
from agentrt.client import Client, PreparedRequest
from agentrt.core.interrupts import ended
from agentrt.core.limits import Limits
from agentrt.core.loop import step
from agentrt.core.protocol import CallModel, Moved, Start
from agentrt.core.repair import repaired, since_compaction
from agentrt.core.result import Result
from agentrt.core.state import MAIN, RunState, Thread, evolve
from agentrt.delegates import AgentTool, Handoff
from agentrt.drivers.asking import composed
from agentrt.drivers.plan import AgentPlan, Delegate, Plan
from agentrt.errors import UsageError
from agentrt.options import RunOptions
from agentrt.registry import Context
from agentrt.wire.items import Item
from agentrt.wire.json import is_dict
from agentrt.wire.parts import input_items
from agentrt.wire.requests import RequestSettings, no_such

if TYPE_CHECKING:
    from agentrt.agent import Agent
    from agentrt.store import Store

_CALLED_HERE = {
    "context": "deps",
    "max_tool_calls": "limits=Limits(max_tool_calls=…)",
    "max_turns": "limits=Limits(max_turns=…)",
}
__all__ = ["continued", "family", "first_request", "planned", "read_state", "whole_conversation"]

_RESUMED = ("after", "session", "run_id")


def family(root: Agent[Any]) -> dict[str, AgentPlan]:
    """Plan an agent with all that it may ask or hand over to, by name.

    Raises:
        UsageError: Two of them have one name, so that a state could not tell them apart.
    """
    found: dict[str, Agent[Any]] = {}
    waiting = [root]
    while waiting:
        agent = waiting.pop()
        known = found.setdefault(agent.name, agent)
        if known is not agent:
            raise UsageError(f"two agents are named {agent.name!r}; give each its own name=")
        others = [tool.agent for tool in _delegates(agent).values()]
        waiting += [other for other in others if found.get(other.name) is not other]
    plans = {name: _plan(agent) for name, agent in found.items()}
    for name, plan in plans.items():
        if plan.limits.cost is not None:  # it binds all that this one may ask, or hand over to
            bound = _below(plans, name)
            check_costs(bound)
            for each in bound:
                each.is_priced = True
    return plans


def _below(plans: Mapping[str, AgentPlan], name: str) -> list[AgentPlan]:
    names = [name]
    for each in names:
        names += {delegate.agent for delegate in plans[each].delegates.values()}.difference(names)
    return [plans[each] for each in names]


def _delegates(agent: Agent[Any]) -> dict[str, AgentTool | Handoff]:
    return {tool.key: tool for tool in agent.registry if isinstance(tool, AgentTool | Handoff)}


def _plan(agent: Agent[Any]) -> AgentPlan:
    delegates = {
        key: Delegate(tool.agent.name, isinstance(tool, Handoff), _beginner(tool.agent))
        for key, tool in _delegates(agent).items()
    }
    return agent.plan(delegates)


def _beginner(agent: Agent[Any]) -> Callable[[str], Thread]:
    return lambda task: evolve(agent.thread(task), limits=agent.limits)


def first_request(plan: AgentPlan, thread: Thread, client: Client) -> PreparedRequest:
    """Give the first request of a run, as it would be sent."""
    state, effects = step(RunState("", plan.limits, threads={MAIN: thread}), Start())
    effect = cast("CallModel", effects[0])  # no run ends before its first request
    if thread.provider != client.base_url:
        state, _ = step(state, Moved(effect.turn, client.base_url))
    fixed, context = plan.fixed, Context[Any](agent=plan.name)
    if plan.offer is not None:
        fixed = {**fixed, "tools": plan.offer(context)}
    if plan.instructions is not None:
        fixed = {**fixed, "instructions": _instructions_now(plan.instructions(context))}
    params = composed(plan, state.threads[MAIN], effect, fixed, client)
    params.pop("stream_options", None)
    return client.prepare(**params)


def _instructions_now(made: object) -> str:
    if inspect.iscoroutine(made):
        made.close()
        raise UsageError("instructions= is an async function, so they are known in a run only")
    return str(made)


def earlier_thread(after: object) -> Thread:
    """Give the thread that a conversation goes on from.

    Args:
        after: A result, a state, or the items of a conversation.
    """
    if isinstance(after, Result):
        after = after.state
    if isinstance(after, RunState):
        return ended(after).threads[MAIN]
    if isinstance(after, str | bytes) or is_dict(after) or not isinstance(after, Iterable):
        raise UsageError(
            f"after= takes an earlier Result, or the items of a conversation, not {type(after).__name__}; to go on "
            "from a response's id, make the agent with history='response' and previous_response_id=…"
        )
    items: list[Any] = [*after]
    return Thread(items=tuple(items and input_items(items)))


def whole_conversation(after: object) -> list[Item]:
    """Give the items that a conversation consists of now: of one that was compacted those from there on.

    Raises:
        UsageError: It began at the server, so that it isn't here as a whole.
    """
    thread = earlier_thread(after)
    _check_nothing_is_lost(thread, None)
    return list(since_compaction(thread.items) if thread.compacted else thread.items)


def continued(begun: Thread, after: object) -> tuple[Thread, tuple[str, ...]]:
    """Put a thread on top of what came before, which is mended.

    Args:
        begun: The thread, with what is new.
        after: A result, a state, or the items of a conversation.

    Returns:
        The thread, and what was mended, in sentences.

    Raises:
        UsageError: The two can't go together without a part of the history being lost, or sent twice.
    """
    earlier, anchor = earlier_thread(after), begun.outside
    goes_on = earlier.history == begun.history and earlier.anchor is not None
    if earlier.items and not (goes_on and anchor in (None, earlier.outside)):
        _check_nothing_is_lost(earlier, anchor)
    whole, provider = (*earlier.items, *begun.items), earlier.provider or begun.provider
    items, notes = (whole, ()) if earlier.outside else repaired(whole, known=earlier.known)
    begun = evolve(begun, items=items, given=len(items), provider=provider, compacted=earlier.compacted)
    if goes_on and begun.history != "replay":
        begun = evolve(begun, anchor=earlier.anchor, known=earlier.known, outside=earlier.outside)
    return begun, notes


def _check_nothing_is_lost(earlier: Thread, anchor: str | None) -> None:
    """Refuse to go on from two histories at once, or from one of which only the server has the beginning."""
    if earlier.outside is not None and earlier.anchor is None:
        raise UsageError(
            f"the run before was cancelled while the model was asked, so {earlier.outside!r} may hold its input, "
            "or not: look with client.conversations.items(…), and go on without after=, with what is missing as "
            "input"
        )
    if anchor is not None:
        raise UsageError(
            f"after= and {anchor!r} are two different histories; leave after= out to go on from the latter, "
            "or make an agent without it to go on from after="
        )
    if earlier.outside is not None:
        raise UsageError(
            f"the run before began from {earlier.outside!r}, which only the server has; go on with an agent of "
            f"history={earlier.history!r}, or pass the whole conversation as after="
        )


def read_state(state: RunState | str | bytes, decisions: object, options: RunOptions) -> RunState:
    """Read a state that is to be taken up, and check that what is said beside it goes with it.

    Raises:
        UsageError: It can't be read, or something doesn't go with it.
    """
    for name in _RESUMED:
        if options.get(name) is not None:
            raise UsageError(f"resume() takes no {name}=, which the state has already")
    state = state if isinstance(state, RunState) else RunState.from_json(state)
    if decisions is not None and not isinstance(decisions, Mapping):
        raise UsageError(f"decisions= is a dict by id, such as {{pending.id: Approve()}}, not {decisions!r:.100}")
    if decisions and state.status not in (None, "pending"):
        raise UsageError(f"nothing is pending any more: the run is over, with the status {state.status!r}")
    limits = options.get("limits")
    if limits is not None and state.status not in (None, "pending"):
        raise UsageError(
            f"the run is over, with the status {state.status!r}, so limits= change nothing; "
            "agent.run(…, after=Result(state), limits=…) goes on from there"
        )
    return state if limits is None else evolve(state, limits=limits)


def planned(
    plan: Plan,
    options: RunOptions,
    storage: Store | None,
    *,
    provider: str | None,
    session: str | None = None,
    begin: Callable[[RunState], RunState] | None = None,
) -> Plan:
    """Plan a run of which more is said than its input.

    Args:
        plan: The agent's plan.
        options: What is said.
        storage: The agent's storage.
        provider: The name of the provider, for traces.
        session: The session of a state that is taken up.
        begin: Makes the state that the run begins with, of the session's last one; None where a state is taken up.

    Raises:
        UsageError: An option is unknown, of a wrong type, or doesn't go with another.
    """
    for name in options:
        if name not in RunOptions.__annotations__:
            if name in RequestSettings.__annotations__:
                raise UsageError(f"a run has no option {name!r}; set it on the agent: Agent({name}=…)")
            raise no_such("a run has no option", name, RunOptions.__annotations__, _CALLED_HERE)
    session = session if options.get("session") is None else options.get("session")
    check_types(limits=(options.get("limits"), Limits), session=(session, str), run_id=(options.get("run_id"), str))
    if session is not None and options.get("after") is not None:
        raise UsageError("session= and after= are two different histories; leave one of them out")
    if session is not None and storage is None and begin is not None:
        raise UsageError(
            "session= needs a storage: Agent(storage=SQLiteStore('chats.db')), or MemoryStore() for as long as the "
            "process lives; both are in agentrt.store"
        )
    plan = evolve(plan, deps=options.get("deps"), on_pending=options.get("on_pending"))
    if storage is not None:
        from agentrt.drivers.keeping import Keeper  # noqa: PLC0415 - only a store needs it

        plan = evolve(plan, keeper=Keeper(storage, session, begin, named=options.get("run_id") is not None))
    if "opentelemetry.trace" in sys.modules:
        from agentrt.trace import RunTrace, tracing_is_on  # noqa: PLC0415 - only where somebody traces

        if tracing_is_on():
            trace = RunTrace(provider=provider)
            plan = evolve(plan, trace=trace, observers=(*plan.observers, trace))
    return plan
