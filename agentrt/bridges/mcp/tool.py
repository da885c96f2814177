"""A server's tool as one of ours."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

from agentrt.bridges.mcp.calling import call_tool
from agentrt.bridges.mcp.extras import links_in
from agentrt.bridges.mcp.names import name_tools
from agentrt.bridges.mcp.outputs import encode_result
from agentrt.bridges.mcp.schemas import ArgumentChecker, Parameters, as_parameters, read_arguments
from agentrt.bridges.mcp.settings import Settings, namespace_of
from agentrt.bridges.mcp.talk import Asker, Question
from agentrt.bridges.mcp.trust import effect_of, visible
from agentrt.errors import AgentrtError, ToolError
from agentrt.registry.context import Ask, Context
from agentrt.registry.output import Output
from agentrt.registry.tool import Tool, ToolOptions
from agentrt.wire.json import as_dict, is_dict, is_list

if TYPE_CHECKING:
    from agentrt.bridges.mcp.server import MCPServer

__all__ = ["MCPTool", "tools_of"]

_SHOWN_DESCRIPTION = 4096
_MAX_LINKS = 10_000
_WORDS = ("description", "title")


class MCPForm:
    """What a server's tool takes: the schema as it is sent, and the arguments held against the server's own."""

    wants_context = True
    is_plain = False
    is_direct = False
    strict = False
    encoded = False
    not_strict_because = "it is a tool of an MCP server"

    def __init__(self, raw: Mapping[str, Any], parameters: Parameters) -> None:
        self.natural = self.parameters = _shown(parameters.schema)
        self.defaults: dict[str, Any] = {}
        self._checker = ArgumentChecker(raw.get("inputSchema"))

    def read(self, arguments: Any) -> dict[str, Any]:
        """Read a call's arguments; raises ToolError where they don't fit."""
        values = read_arguments(arguments)
        problems = self._checker.check(values)
        if problems:
            raise ToolError("the arguments don't fit: " + "; ".join(problems))
        return values


class MCPTool(Tool[..., Any]):
    """A tool that an MCP server runs.

    Args:
        server: The server.
        raw: The tool as the server lists it.
        key: The name that the model sees.
        parameters: Its parameters, as providers take them.
    """

    may_ask = True

    def __init__(self, server: MCPServer, raw: Mapping[str, Any], key: str, parameters: Parameters) -> None:
        self.server = server
        self.raw = raw
        """The tool as the server lists it: name, inputSchema, annotations, …"""
        self.original = str(raw["name"])
        """The server's own name for it."""
        self._parameters = parameters
        settings: Settings = server.settings
        options: ToolOptions = {
            "name": key,
            "description": visible(str(raw.get("description") or raw.get("title") or ""), _SHOWN_DESCRIPTION),
            "effect": effect_of(raw.get("annotations"), trusted=settings.trusted),
            "approval": settings.approval_of(self.original, server.name),
            "defer_loading": settings.defer_loading,
        }
        if settings.namespace:
            options["namespace"] = namespace_of(server.name)

        async def call(**arguments: Any) -> Any:
            return await self.run(arguments, None)

        super().__init__(call, **options)

    @functools.cached_property
    def form(self) -> Any:
        """Its schema, and how arguments are read."""
        return MCPForm(self.raw, self._parameters)

    @functools.cached_property
    def output_schema(self) -> dict[str, Any] | None:
        """The schema of its structured content, as the server has it."""
        return as_dict(self.raw.get("outputSchema")) or None

    @functools.cached_property
    def definition_hash(self) -> str:
        """Hash of the tool as the server lists it, and of how that is reached: a decision holds for these only."""
        told = json.dumps([self.server.name, dict(self.server.launch), self.raw], sort_keys=True, default=str)
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()

    async def run(self, values: dict[str, Any], context: Context[Any] | None) -> Any:
        """Call it. Gives the output as the model reads it; raises ToolError where the server says that it failed."""

        async def told(progress: float, total: float | None, message: str | None) -> None:
            if context is not None:
                context.progress(progress / total if total else None, message or "")

        try:
            made = await call_tool(
                self.server.connection(),
                self.original,
                values,
                progress=told,
                repeatable=self.effect != "unsafe",
                asker=None if context is None or context.ask is None else _asker(context.ask),
                reply=None if context is None else context.reply,
                put_away=True,
            )
        except AgentrtError as error:
            raise ToolError(str(error)) from error
        finally:
            if context is not None:
                context.cancel()
        self.server.links.update(links_in(made)[:_MAX_LINKS] if len(self.server.links) < _MAX_LINKS else ())
        encoded = encode_result(made)
        if encoded.failed and isinstance(encoded.value, str):
            raise ToolError(encoded.value)
        return Output(encoded.value, encoded.artifact)


def _shown(value: Any) -> Any:
    """Show what is invisible in the words of a schema, as in a description."""
    if is_list(value):
        return [_shown(each) for each in value]
    if not is_dict(value):
        return value
    return {
        name: visible(each, _SHOWN_DESCRIPTION) if name in _WORDS and isinstance(each, str) else _shown(each)
        for name, each in value.items()
    }


def _asker(ask: Ask) -> Asker:
    async def asked(question: Question) -> Mapping[str, Any] | None:
        told = question.message if question.url is None else f"{question.message}\nopen {question.url}"
        return await ask(told, question.schema)

    return asked


def tools_of(
    server: MCPServer, raws: tuple[Mapping[str, Any], ...], taken: Container[str]
) -> tuple[dict[str, MCPTool], list[str]]:
    """Make the tools of a listing.

    Args:
        server: The server.
        raws: The tools as it lists them.
        taken: Names that a name without prefix must not have.

    Returns:
        The tools by key, and in sentences what was left out or changed.
    """
    settings: Settings = server.settings
    notes: list[str] = []
    kept_back: Mapping[str, str] = {}
    if settings.pins != "off":
        verdicts = server.verdicts()
        kept_back = verdicts.quarantined(settings.pins)
        notes += verdicts.notes
        notes += [f"what changed of {server.name}/{name}:\n{diff}" for name, diff in verdicts.diffs.items()]
    listed = [raw for raw in raws if str(raw["name"]) not in kept_back and settings.offers(raw, server.name)]
    listed = [raw for raw in listed if _for_the_model(raw)]
    offered = {str(raw["name"]): raw for raw in listed if not _is_task_only(raw)}
    notes += settings.without_use([str(raw["name"]) for raw in raws], server.name)
    notes += [
        f"{server.name}/{raw['name']} runs only as a task, which agentrt has not; it is left out"
        for raw in listed
        if _is_task_only(raw)
    ]
    own = {name for name in offered if name not in settings.rename}
    given: dict[str, str] = {}
    for name in offered:
        called = settings.rename.get(name, name)
        if called != name and (called in own or called in given):
            notes.append(f"{server.name}/{name} keeps its name, as {called!r} is another's: see rename=")
            called = name
        given[called] = name
    prefix = settings.prefix and not settings.namespace
    tools: dict[str, MCPTool] = {}
    for key, called in name_tools(server.name, list(given), prefix=prefix, taken=taken).items():
        raw = offered[given[called]]
        parameters = as_parameters(raw.get("inputSchema"))
        told = [parameters.problem] if parameters.problem is not None else parameters.notes
        notes += [f"{server.name}/{given[called]}: {note}" for note in told]
        if parameters.problem is None:
            tool = MCPTool(server, raw, key, parameters)
            tools[tool.key] = tool
    return tools, notes


def _is_task_only(raw: Mapping[str, Any]) -> bool:
    """Tell whether a tool refuses plain calls (2025-11-25, utilities/tasks)."""
    return as_dict(raw.get("execution")).get("taskSupport") == "required"


def _for_the_model(raw: Mapping[str, Any]) -> bool:
    """Tell whether a tool is for models: MCP Apps have some that only their own pages may call."""
    visibility = as_dict(as_dict(raw.get("_meta")).get("ui")).get("visibility")
    return not is_list(visibility) or "model" in visibility
