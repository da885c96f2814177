"""What is served: tools by name, each with what MCP clients are told of it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import mcp_types as types
from jsonschema import Draft202012Validator

from agentrt.agent import Agent
from agentrt.delegates import AgentTool, Handoff
from agentrt.errors import UsageError
from agentrt.registry import Registry, Tool
from agentrt.registry.outputs import FINAL_ANSWER, OutputForm
from agentrt.registry.source import ToolSource

__all__ = ["Offer", "Returned", "offers_of"]

_RESULT = "result"
_SHOWN = 500
_ONE = (Registry, Agent, ToolSource)


class Returned(NamedTuple):
    """What a tool gives as structured content.

    Attributes:
        schema: Its schema: an object, as the 2025 revisions have nothing else.
        wrapped: Whether the value stands in it as ``result``.
    """

    schema: dict[str, Any]
    wrapped: bool


class Offer:
    """One tool that is served.

    Args:
        tool: The tool.
    """

    def __init__(self, tool: Tool[..., Any]) -> None:
        self.tool = tool
        self.schema: dict[str, Any] = tool.form.natural
        """The schema of its arguments as they are; what is sent to models may be written in another way."""
        self.returned = _returned(tool)
        self.definition = self._definition()
        """What clients are told."""

    def _definition(self) -> types.Tool:
        tool = self.tool
        hints = types.ToolAnnotations(
            read_only_hint=tool.effect == "pure", idempotent_hint=True if tool.effect != "unsafe" else None
        )
        description = tool.description
        if not description and isinstance(tool, AgentTool):
            description = f"Give a task to the agent {tool.agent.name}."
        return types.Tool(
            name=tool.key,
            title=tool.given_name if tool.given_name != tool.name else None,
            description=description or None,
            input_schema=self.schema,
            output_schema=None if self.returned is None else self.returned.schema,
            annotations=hints,
        )

    @functools.cached_property
    def _validator(self) -> Any:
        return Draft202012Validator({} if self.returned is None else self.returned.schema)

    def structured(self, value: Any) -> tuple[Any, str | None]:
        """Give a JSON value as structured content, and what is wrong with it: a client refuses what doesn't fit.

        Args:
            value: The value.
        """
        content = {_RESULT: value} if self.returned is None or self.returned.wrapped else value
        for error in self._validator.iter_errors(content):
            return content, f"{error.json_path}: {error.message:.{_SHOWN}}"
        return content, None


def offers_of(target: Any) -> dict[str, Offer]:
    """Make what is served of what was given; by name, in a stable order.

    Raises:
        UsageError: Something can't be served; the message says what to do.
    """
    is_one = callable(target) or isinstance(target, _ONE)
    if not is_one and not isinstance(target, Iterable):
        raise _no_tool(cast("object", target))
    entries = cast("Iterable[Any]", [target] if is_one else target)
    registry = Registry()
    for entry in entries:
        tools: Iterable[Any] = entry if isinstance(entry, Registry) else [entry]
        for tool in tools:
            registry.add(_served(tool))
    if not registry.tools:
        raise UsageError("there is nothing to serve; pass a registry with tools, a list of them, or an agent")
    return {tool.key: Offer(tool) for tool in registry}


def _served(entry: Any) -> Any:
    if isinstance(entry, Agent):
        return entry.as_tool()
    if isinstance(entry, Handoff):
        raise UsageError(f"{entry.name!r} hands a conversation over, which only a run has; serve its agent instead")
    if isinstance(entry, ToolSource):
        raise UsageError(
            f"the tools of {entry.name!r} are served already; give it to an agent, and serve that, or let the client "
            "connect to it"
        )
    if not callable(entry):
        raise _no_tool(entry)
    return entry


def _no_tool(found: object) -> UsageError:
    return UsageError(f"what is served is a function, a tool, a registry or an agent, not {found!r:.100}")


def _returned(tool: Tool[..., Any]) -> Returned | None:
    """Find what a tool returns; None where no schema says it."""
    if isinstance(tool, AgentTool):
        schema = _answer(tool.agent.plan({}).output)
    else:
        schema = None if tool.is_generator else tool.output_schema
    if schema is None:
        return None
    if schema.get("type") == "object":
        return Returned(schema, wrapped=False)
    return Returned(_wrapped(schema), wrapped=True)


def _answer(form: OutputForm[Any] | None) -> dict[str, Any] | None:
    """Give the schema of an agent's answer; None where that is a text."""
    if form is None or form.text:
        return None
    schema: dict[str, Any] = form.format["schema"]
    if form.format["name"] != FINAL_ANSWER:
        return schema
    (inner,) = schema["properties"].values()  # what is no object is asked for as the only part of one
    return {**inner, "$defs": schema["$defs"]} if "$defs" in schema else inner


def _wrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    wrapped: dict[str, Any] = {"type": "object", "properties": {_RESULT: inner}, "required": [_RESULT]}
    return {**wrapped, "$defs": schema["$defs"]} if "$defs" in schema else wrapped
