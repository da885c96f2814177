"""What an `Agent` is made of: its arguments, checked and sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from agentrt.core.limits import check_whole
from agentrt.errors import UsageError
from agentrt.hooks import Hooks
from agentrt.registry import Registry, Tool
from agentrt.registry.source import ToolSource
from agentrt.wire.json import is_dict
from agentrt.wire.requests import RequestSettings, check_ranges, model_names, no_such

if TYPE_CHECKING:
    from agentrt.builtin import BuiltinTool
    from agentrt.drivers.plan import AgentPlan
    from agentrt.prices import Prices
    from agentrt.registry.outputs import OutputForm
    from agentrt.store import Store

__all__ = [
    "ToolLike",
    "check_costs",
    "check_settings",
    "check_types",
    "checked_hooks",
    "checked_storage",
    "output_form",
    "prices_from",
    "sort_tools",
    "take_anchor",
]

ToolLike: TypeAlias = "Callable[..., Any] | Tool[..., Any] | Registry | ToolSource | BuiltinTool | Mapping[str, Any]"

_CALLED_HERE = {
    "input": "agent.run(…)",
    "max_turns": "limits=Limits(max_turns=…)",
    "messages": "agent.run(…)",
    "output_schema": "output_type",
    "response_format": "output_type",
    "stream": "agent.stream(…)",
    "system_prompt": "instructions",
}


def check_types(**given: tuple[object, type]) -> None:
    """Refuse arguments of another type than the one that is named beside each; None is let be."""
    for name, (value, kind) in given.items():
        if value is not None and not isinstance(value, kind):
            wanted = "a text" if kind is str else f"{kind.__name__}(…)"
            raise UsageError(f"{name}= takes {wanted}, not {value!r:.100}")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that there are not, or that are out of every provider's range."""
    for setting in settings:
        if setting not in RequestSettings.__annotations__:
            raise no_such("an agent has no setting", setting, RequestSettings.__annotations__, _CALLED_HERE)
    check_ranges(settings)


def checked_hooks(hooks: Sequence[Hooks]) -> tuple[Hooks, ...]:
    """Refuse what is no list of hooks."""
    if not isinstance(hooks, list | tuple):
        raise UsageError(f"hooks= takes a list of Hooks objects, such as hooks=[Guard()], not {hooks!r:.100}")
    for hook in hooks:
        if not isinstance(hook, Hooks):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"hooks= takes objects of a class of Hooks, such as hooks=[Guard()], not {hook!r:.100}")
    return tuple(hooks)


def checked_storage(storage: Store | None) -> Store | None:
    """Refuse what is no store."""
    if storage is not None and not hasattr(storage, "hold"):
        raise UsageError(
            f"storage= takes a store, such as SQLiteStore('runs.db') of agentrt.store, not {storage!r:.100}"
        )
    return storage


def sort_tools(
    tools: Iterable[ToolLike], registry: Registry, sources: list[ToolSource], include: list[str]
) -> list[Mapping[str, Any]]:
    """Put the tools that run here into the registry, and give the definitions of those that the provider runs.

    Sources of tools are added to ``sources``, what hosted tools need of ``include`` to that.
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
        elif isinstance(entry, ToolSource):
            _add_source(entry, sources)
        elif hasattr(entry, "definition") and hasattr(entry, "include"):
            hosted.append(entry.definition())
            include.extend(value for value in entry.include if value not in include)
        else:
            wrong = " (an agent is a tool as agent.as_tool())" if hasattr(entry, "as_tool") else ""
            raise UsageError(f"a tool is a function, a Tool, a Registry or a dict, but tools= has {entry!r}{wrong}")
    return hosted


def _add_source(source: ToolSource, sources: list[ToolSource]) -> None:
    if any(source.name == other.name for other in sources):
        raise UsageError(f"two MCP servers are named {source.name!r}; give one of them another name=")
    sources.append(source)


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


def output_form(
    output_type: Any, validators: Sequence[Callable[..., Any]], retries: object, fixed: Mapping[str, Any]
) -> OutputForm[Any] | None:
    """Make the form of the answer; None where it is plain text that nobody looks at."""
    check_whole("output_retries", retries, 0)
    if output_type is str and not validators:
        return None
    from agentrt.registry.outputs import FINAL_ANSWER, OutputForm  # noqa: PLC0415 - pydantic's schema machinery

    form = OutputForm[Any](output_type, validators=validators)
    if not form.text and "format" in (fixed.get("text") or {}):
        raise UsageError("output_type= and text={'format': …} both say what the answer looks like; leave one out")
    if not form.text and any(tool.get("name") == FINAL_ANSWER for tool in fixed.get("tools", ())):
        raise UsageError(
            f"the answer of an output_type comes as a call of {FINAL_ANSWER!r} where a provider lacks text.format, so "
            "give your tool another name"
        )
    return form


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
