"""Sources of tools in a run: they are waited for before a turn, and what they say of themselves is told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio

from agentrt.core.interrupts import check_decision, values_of
from agentrt.core.pending import Deny, decision_from
from agentrt.core.protocol import RunTool
from agentrt.core.state import Verdict
from agentrt.drivers.deciding import called
from agentrt.drivers.plan import AgentPlan
from agentrt.drivers.triage import asked_by_tool
from agentrt.errors import UnreachableError
from agentrt.events import DecisionNeeded, SourceChanged, Where
from agentrt.registry.context import ToolAsks
from agentrt.registry.dispatch import Caller

if TYPE_CHECKING:
    from agentrt.drivers.local import Run
    from agentrt.registry.source import ToolSource

__all__ = ["may_ask", "reopened", "settled"]

logger = logging.getLogger("agentrt.run")


def may_ask(run: Run[Any], effect: RunTool, caller: Caller) -> Caller:
    """Let a call ask somebody: by being put away, or while it goes on where there is somebody.

    Args:
        run: The run.
        effect: The call.
        caller: For whom it runs.
    """
    decide = run.plan.on_pending

    async def ask(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        assert decide is not None
        asked = asked_by_tool(run, effect, ToolAsks(message, schema, None))
        run.tell(DecisionNeeded(run.where(effect.thread), asked.pending))
        try:
            made = await called(decide, asked.pending)
            decision = Deny() if made is None else decision_from(made)
            check_decision(Verdict(ask=asked.pending), decision)
        except Exception:
            logger.exception("on_pending= gave no answer for %s, so it is declined", asked.pending.name)
            return None
        return None if isinstance(decision, Deny) else values_of(asked.pending, decision)

    return replace(caller, reply=effect.reply, ask=None if decide is None else ask, attended=True)


async def reopened(run: Run[Any], agent: AgentPlan, where: Where) -> None:
    """Open an agent's sources before its next turn: calls wait for them that came before the run was put away.

    Args:
        run: The run.
        agent: The agent.
        where: Where what happens belongs.
    """
    if agent.name not in run.clients:
        run.clients[agent.name] = agent.acquire()
    await run.interruptibly(settled(run, agent.sources, where))
    thread = run.state.threads[where.thread]
    verdicts = [verdict for position, verdict in thread.verdicts.items() if position not in thread.outputs]
    away = [told[0] for told in run.told_sources.values() if told[0] is not None]
    if away and any(verdict.role == "tool" and verdict.key not in agent.tools for verdict in verdicts):
        raise UnreachableError(f"{away[0]}; calls wait for it, so nothing was done: resume when it is there again")


async def settled(run: Run[Any], sources: Iterable[ToolSource], where: Where) -> None:
    """Wait until sources are ready or known to have failed, all at once, and tell what has changed with them.

    Args:
        run: The run.
        sources: The sources of the agent at work.
        where: Where what happens belongs.
    """

    async def settle(source: ToolSource) -> None:
        try:
            problem = await source.settled()
            tools = tuple(source.offered())
        except Exception as error:
            logger.exception("the tools of %r can't be used", source.name)
            problem, tools = f"the tools of {source.name!r} can't be used: {error}", ()
        if run.told_sources.get(source.name) != (problem, tools):
            run.told_sources[source.name] = (problem, tools)
            run.tell(SourceChanged(where, source.name, tools, problem))
            if problem is not None:
                logger.warning("the run goes on without the tools of %r: %s", source.name, problem)

    async with anyio.create_task_group() as group:
        for source in sources:
            group.start_soon(settle, source)
