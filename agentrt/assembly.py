"""What an `Agent` is made of: its arguments checked and sorted, and the plan of a run with all agents in it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from agentrt.core.interrupts import ended
from agentrt.core.result import Result
from agentrt.core.state import MAIN, RunState, Thread, evolve
from agentrt.delegates import AgentTool, Handoff
from agentrt.drivers.plan import AgentPlan, Delegate
from agentrt.errors import UsageError
from agentrt.registry import Registry, Tool
from agentrt.wire.json import is_dict
from agentrt.wire.parts import input_items
from agentrt.wire.requests import model_names

if TYPE_CHECKING:
    from agentrt.agent import Agent
    from agentrt.builtin import BuiltinTool
    from agentrt.prices import Prices
    from agentrt.registry.outputs import OutputForm

__all__ = [
    "CALLED_HERE",
    "ToolLike",
    "check_costs",
    "check_nothing_is_lost",
    "check_types",
    "earlier_thread",
    "family",
    "instructions_now",
    "output_form",
    "prices_from",
    "sort_tools",
    "take_anchor",
]

ToolLike: TypeAlias = "Callable[..., Any] | Tool[..., Any] | Registry | BuiltinTool | Mapping[str, Any]"

CALLED_HERE = {
    "input": "agent.run(…)",
    "max_turns": "limits=Limits(max_turns=…)",
    "messages": "agent.run(…)",
    "output_schema": "output_type",
    "response_format": "output_type",
    "stream": "agent.stream(…)",
    "system_prompt": "instructions",
}
"""What other libraries call it."""


def check_types(**given: tuple[object, type]) -> None:
    """Refuse arguments of another type than the one that is named beside each; None is let be."""
    for name, (value, kind) in given.items():
        if value is not None and not isinstance(value, kind):
            wanted = "a text" if kind is str else f"{kind.__name__}(…)"
            raise UsageError(f"{name}= takes {wanted}, not {value!r:.100}")


def sort_tools(tools: Iterable[ToolLike], registry: Registry, include: list[str]) -> list[Mapping[str, Any]]:
    """Put the tools that run here into the registry, and give the definitions of those that the provider runs.

    What these need of ``include`` is added to it.
    """
    if isinstance(tools, (str, Tool, Mapping)) or not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("tools must be a list, such as tools=[weather]")
    hosted: list[Mapping[str, Any]] = []
    for entry in tools:
        if isinstance(entry, Registry):
            for member in entry:
                registry.add(member)
        elif isinstance(entry, type) and hasattr(entry, "definition"):
            raise UsageError(f"tools= has the class {entry.__name__}; write {entry.__name__}(…)")
        elif callable(entry):
            registry.add(entry)
        elif isinstance(entry, Mapping):
            hosted.append(entry)
        elif hasattr(entry, "definition") and hasattr(entry, "include"):
            hosted.append(entry.definition())
            include.extend(value for value in entry.include if value not in include)
        else:
            wrong = " (an agent is a tool as agent.as_tool())" if hasattr(entry, "as_tool") else ""
            raise UsageError(f"a tool is a function, a Tool, a Registry or a dict, but tools= has {entry!r}{wrong}")
    return hosted


def take_anchor(history: str, fixed: dict[str, Any]) -> str | None:
    """Take what the settings say of an anchor out of them: from then on a run's thread knows it."""
    if history not in ("replay", "response", "conversation"):
        raise UsageError(f"history must be 'replay', 'response' or 'conversation', but is {history!r}")
    if fixed.get("conversation") is not None and history != "conversation":
        raise UsageError("conversation= needs history='conversation', so that only what is new is sent into it")
    if history == "replay":
        return None
    if fixed.get("store") is False:
        raise UsageError(f"history={history!r} needs the server to store; leave store=False out")
    given: Any = fixed.pop("previous_response_id" if history == "response" else "conversation", None)
    anchor: str | None = given.get("id") if is_dict(given) else given
    if given is not None and not (isinstance(anchor, str) and anchor):
        raise UsageError("conversation= and previous_response_id= take an id, such as 'conv_…' or 'resp_…'")
    return anchor


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


def check_nothing_is_lost(earlier: Thread, anchor: str | None) -> None:
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
    return {name: _plan(agent) for name, agent in found.items()}


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


def instructions_now(made: object) -> str:
    """Give instructions that a function made; raises UsageError where they would have to be waited for."""
    if inspect.iscoroutine(made):
        made.close()
        raise UsageError("instructions= is an async function, so they are known in a run only")
    return str(made)


def output_form(
    output_type: Any, validators: Sequence[Callable[..., Any]], fixed: Mapping[str, Any]
) -> OutputForm[Any] | None:
    """Make the form of the answer; None where it is plain text that nobody looks at."""
    if output_type is str and not validators:
        return None
    if "format" in (fixed.get("text") or {}):
        raise UsageError("output_type= and text={'format': …} both say what the answer looks like; leave one out")
    from agentrt.registry.outputs import OutputForm  # noqa: PLC0415 - pydantic's schema machinery

    return OutputForm[Any](output_type, validators=validators)


def check_costs(agents: Iterable[AgentPlan]) -> None:
    """Refuse a limit on cost where the cost of an agent's models can't be known."""
    from agentrt.prices import check_priced  # noqa: PLC0415 - only a limit of cost needs it

    for agent in agents:
        check_priced(model_names(agent.fixed["model"]), agent.prices, agent.provider)


def prices_from(prices: Prices | None) -> Prices | None:
    """Read a table of prices that a user wrote."""
    if prices is None:
        return None
    from agentrt.prices import read_prices  # noqa: PLC0415 - few know prices

    return read_prices(prices)
