"""Sources of tools in a run: they are waited for before a turn, and what they say of themselves is told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio

from agentrt.core.pending import Answer, Approve
from agentrt.core.protocol import RunTool
from agentrt.drivers.deciding import called
from agentrt.drivers.plan import AgentPlan
from agentrt.drivers.triage import asked_by_tool
from agentrt.errors import UnreachableError
from agentrt.events import DecisionNeeded, SourceChanged, Where
from agentrt.registry.context import ToolAsks
from agentrt.registry.dispatch import Caller
from agentrt.wire.json import as_dict, as_str

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
        decision = await called(decide, asked.pending)
        if isinstance(decision, Answer):
            return as_dict(decision.value)
        return {} if isinstance(decision, Approve) else None

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
    await settled(run, agent.sources, where)
    thread = run.state.threads[where.thread]
    open_calls = [call.raw for position, call in thread.calls.items() if position not in thread.outputs]
    away = [told[0] for told in run.told_sources.values() if told[0] is not None]
    if away and any(_key(call) not in agent.tools for call in open_calls):
        raise UnreachableError(f"{away[0]}; calls wait for it, so nothing was done: resume when it is there again")


async def settled(run: Run[Any], sources: Iterable[ToolSource], where: Where) -> None:
    """Wait until sources are ready or known to have failed, all at once, and tell what has changed with them.

    Args:
        run: The run.
        sources: The sources of the agent at work.
        where: Where what happens belongs.
    """

    async def settle(source: ToolSource) -> None:
        problem = await source.settled()
        tools = tuple(source.offered())
        if run.told_sources.get(source.name) != (problem, tools):
            run.told_sources[source.name] = (problem, tools)
            run.tell(SourceChanged(where, source.name, tools, problem))
            if problem is not None:
                logger.warning("the run goes on without the tools of %r: %s", source.name, problem)

    async with anyio.create_task_group() as group:
        for source in sources:
            group.start_soon(settle, source)


def _key(call: Mapping[str, Any]) -> str:
    name, namespace = as_str(call.get("name")), as_str(call.get("namespace"))
    return f"{namespace}.{name}" if namespace else name
