"""Decisions on what is pending: asked for at once where there is somebody, or brought along by a resume."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import anyio.abc

from agentrt.core import loop
from agentrt.core.interrupts import check_decision
from agentrt.core.pending import Approve, Decision, Pending, decision_from
from agentrt.core.protocol import Ask, Decided, Effect, Finish, Resume, RunTool, Stop
from agentrt.core.state import RunState, Thread, Verdict
from agentrt.drivers.leaving import begun
from agentrt.drivers.plan import Decide
from agentrt.drivers.triage import hooked, plain, prepared_anew
from agentrt.errors import RunRefused, ToolError, UsageError
from agentrt.events import DecisionNeeded
from agentrt.hooks import asked
from agentrt.registry.dispatch import MAX_PARALLEL, Crew
from agentrt.registry.signature import routine_of
from agentrt.registry.threads import run_in_thread
from agentrt.wire.json import as_str

if TYPE_CHECKING:
    from agentrt.drivers.local import Run

__all__ = ["ask", "called", "resume"]

logger = logging.getLogger("agentrt.run")


def ask(run: Run[Any], group: anyio.abc.TaskGroup, pending: Pending) -> None:
    """Tell that something is pending, and ask whoever may decide on it at once.

    Args:
        run: The run.
        group: Owns the question.
        pending: What is asked.
    """
    run.tell(DecisionNeeded(run.where(pending.thread), pending))
    if run.plan.on_pending is not None:
        run.deciding += 1
        if run.questions is None:
            run.questions = Crew(group, MAX_PARALLEL)
        run.questions.add(_decide, (run, run.plan.on_pending, pending), _lane(run.plan.on_pending))


def _lane(decide: Decide) -> str | None:
    """Let a sync function be asked one thing at a time, as there is one keyboard."""
    return None if inspect.iscoroutinefunction(routine_of(decide)) else "keyboard"


async def _decide(question: tuple[Run[Any], Decide, Pending]) -> None:
    run, decide, pending = question
    event: Decided | Exception | None = None
    try:
        decision = await called(decide, pending)
        if decision is not None and pending in run.state.pending:
            event = await _decided(run, run.state, pending, decision_from(decision))
    except UsageError as error:
        event = error
    except Exception:
        logger.exception("on_pending= failed, so %s stays open; decide with agent.resume(…)", pending.name)
    run.deciding -= 1
    # A sub-agent may have been stopped while somebody, or a hook, thought about it.
    run.tell(event if not isinstance(event, Decided) or pending in run.state.pending else None)


async def called(decide: Decide, pending: Pending) -> Decision | None:
    """Ask: a sync function may wait for somebody's keyboard, so it runs in a thread."""
    made: Any = decide(pending) if _lane(decide) is None else await run_in_thread(lambda: decide(pending))
    decision: Decision | None = await asked(made)
    return decision


async def _decided(run: Run[Any], state: RunState, pending: Pending, decision: Decision) -> Decided:
    """Make the event of a decision; raises UsageError where that can't be carried out."""
    begin: Thread | None = None
    thread = state.threads[pending.thread]
    check_decision(thread.verdicts[pending.position], decision)
    if isinstance(decision, Approve) and decision.edited is not None:
        call = thread.calls[pending.position]
        effect = RunTool(pending.turn, pending.position, call, pending.thread, decision.edited)
        agent = run.plan.agents[thread.agent]
        caller = run.calls.caller(pending.thread)
        prepared = prepared_anew(agent, effect, caller)
        try:
            prepared = await hooked(agent, prepared, caller)
        except ToolError as error:
            raise UsageError(f"a hook refuses the edited arguments of {pending.name}: {error}") from error
        if prepared.tool is None:
            raise UsageError(f"the edited arguments don't fit {pending.name}: {prepared.problem}")
        if agent.hooks:
            decision = Approve(edited=plain(prepared.values))
        delegate = agent.delegates.get(prepared.tool.key)
        if delegate is not None:
            begin = delegate.begin(as_str(prepared.values.get("task")))
    return Decided(pending.turn, pending.position, decision, pending.thread, begin)


def _agents_in(state: RunState) -> set[str]:
    """Name all agents that are at work in a state, or about to be."""
    names = {thread.agent for thread in state.threads.values()}
    for thread in state.threads.values():
        names |= {verdict.begin.agent for verdict in thread.verdicts.values() if verdict.begin is not None}
        names |= set() if thread.handoff is None else {thread.handoff[0]}
    return names


async def _verdicts(run: Run[Any]) -> dict[tuple[str, int], Verdict]:
    """Find out what is known now of all open calls."""
    verdicts: dict[tuple[str, int], Verdict] = {}
    for name, thread in run.state.threads.items():
        for position, call in thread.calls.items() if thread.phase == "tools" else ():
            if position not in thread.outputs:
                found = run.calls.verdict(name, position, call)
                verdicts[name, position] = found if isinstance(found, Verdict) else await found
    return verdicts


async def resume(run: Run[Any]) -> list[Effect]:
    """Take a run up where it was put away, and carry out the decisions that were brought along.

    Raises:
        UsageError: A decision fits nothing that is pending; the state is as it was.
    """
    for agent in _agents_in(run.state):
        if agent not in run.plan.agents:
            raise UsageError(f"the state is of an agent {agent!r}, which is not among {list(run.plan.agents)}")
    if run.state.status not in (None, "pending"):
        return []  # it is over: its result is given once more
    for name, thread in run.state.threads.items():
        if run.agent_of(name).sources and thread.phase == "tools":
            from agentrt.drivers.sources import reopened  # noqa: PLC0415 - few agents have any

            await reopened(run, run.agent_of(name), run.where(name))
    try:
        event = Resume(await _verdicts(run))
    except RunRefused as refused:
        return run.take(Stop("refused", None, run.worked(), str(refused)))
    state, _ = loop.step(run.state, event)
    known = {pending.id: pending for pending in state.pending}
    decided: list[Decided] = []
    for pending_id, decision in run.plan.decisions.items():
        pending = known.get(pending_id)
        if pending is None:
            raise UsageError(
                f"nothing with the id {pending_id!r:.80} is pending: it was decided, or what it was about has changed; "
                f"pending are {list(known)}"
            )
        decided.append(await _decided(run, state, pending, decision_from(decision)))
    for name, thread in run.state.threads.items():
        if thread.parent is not None and thread.phase != "done":
            run.tell(begun(run, name))
    effects = run.take(event)
    for each in decided:
        effects += run.take(each)
    done = {(each.thread, each.position) for each in decided}
    return [
        effect
        for effect in effects
        if not isinstance(effect, Finish)
        and not (isinstance(effect, Ask) and (effect.pending.thread, effect.pending.position) in done)
    ]
