"""What a run needs beside its state: the agents that may work in it, and who is to be told and asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from agentrt.client import Client
from agentrt.core.limits import Limits
from agentrt.core.pending import Decision, Pending
from agentrt.core.state import Thread
from agentrt.events import RunEvent
from agentrt.hooks import Hooks
from agentrt.registry import Tool
from agentrt.registry.context import Context

if TYPE_CHECKING:
    from agentrt.drivers.keeping import Keeper
    from agentrt.prices import Prices
    from agentrt.registry.outputs import OutputForm
    from agentrt.registry.source import ToolSource
    from agentrt.trace import RunTrace

__all__ = ["AgentPlan", "Decide", "Delegate", "Plan"]

Decide = Callable[[Pending], Decision | Awaitable[Decision | None] | None]
"""Decides on what is pending, at once; None leaves it open."""


class Delegate(NamedTuple):
    """A tool that stands for another agent.

    Attributes:
        agent: That agent's name.
        handoff: Whether it takes the conversation over, instead of answering the call.
        begin: Makes the thread that it begins with, of what it is asked.
    """

    agent: str
    handoff: bool
    begin: Callable[[str], Thread]


@dataclass(eq=False, repr=False)
class AgentPlan:
    """What one agent brings.

    Args:
        name: Its name.
        acquire: Gives the client.
        release: Gives it back.
        tools: The tools that run here, by key.
        fixed: The request's parameters that the user chose: model, instructions, tools and settings.
        model: The name of its model, of several the first.
        limits: Its limits.
        parallel: Whether its calls may run at once.
        hosted: Whether the provider runs tools of its own.
        offer: Gives what goes into the request's ``tools``, where that may change from turn to turn.
        sources: Where tools come from that are known only in a run.
        instructions: Gives the instructions, where they are made for each request.
        output: The form of its answer; None where that is text.
        output_retries: How often an answer that doesn't fit is sent back.
        hooks: Its hooks.
        delegates: The tools that stand for other agents, by key.
        prices: What its models cost.
        provider: The name of the provider; None where that is known in a run only.
        max_history: Items that a request carries at most, as far as whole groups allow; None for all.
        is_priced: Whether somebody wants to know what a reply costs.
        is_plain: Whether its calls are calls of tools and nothing else, with nobody to look at them first.
        attended: Whether its calls may be changed afterwards, or ask somebody.
    """

    name: str
    acquire: Callable[[], Client]
    release: Callable[[], Awaitable[None]]
    tools: Mapping[str, Tool[..., Any]]
    fixed: Mapping[str, Any]
    model: str
    limits: Limits
    parallel: bool = True
    hosted: bool = False
    offer: Callable[[Context[Any]], list[Any]] | None = None
    sources: Sequence[ToolSource] = ()
    instructions: Callable[[Context[Any]], str | Awaitable[str]] | None = None
    output: OutputForm[Any] | None = None
    output_retries: int = 2
    hooks: tuple[Hooks, ...] = ()
    delegates: Mapping[str, Delegate] = field(default_factory=dict[str, Delegate])
    prices: Prices | None = None
    provider: str | None = None
    max_history: int | None = None
    is_priced: bool = False
    is_plain: bool = True
    attended: bool = False


@dataclass(eq=False, repr=False)
class Plan:
    """What a run needs beside its state.

    Args:
        agents: The agents that may work in it, by name.
        deps: What tools get as ``context.deps``.
        observers: Are told each event when it happens.
        trace: Makes spans of the events, and a call's span the current one while it runs.
        on_pending: Decides at once what is pending; None where there is nobody to ask.
        keeper: Keeps the run and its session in a store.
        resumes: Whether the state was put away; then these decisions are taken first.
        decisions: Decisions on what is pending, by its id.
    """

    agents: Mapping[str, AgentPlan]
    deps: Any = None
    observers: tuple[Callable[[RunEvent], None], ...] = ()
    trace: RunTrace | None = None
    on_pending: Decide | None = None
    keeper: Keeper | None = None
    resumes: bool = False
    decisions: Mapping[str, Any] = field(default_factory=dict[str, Any])
