"""A server's resources and prompts as tools for the model, where the user wants that: scoped to what it offered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentrt.bridges.mcp.names import wire_name
from agentrt.bridges.mcp.outputs import encode_result
from agentrt.errors import AgentrtError, ToolError
from agentrt.registry.output import Output
from agentrt.registry.tool import Effect, Tool

if TYPE_CHECKING:
    from agentrt.bridges.mcp.server import MCPServer

__all__ = ["extra_tools", "links_in"]

_SHOWN = 200
_FIELDS = ("uri", "uriTemplate", "name", "title", "description", "mimeType", "size", "arguments")


def extra_tools(server: MCPServer) -> dict[str, Tool[..., Any]]:
    """Make the tools that read resources and prompts.

    Args:
        server: The server; its options say which of them are wanted.
    """
    settings = server.settings
    effect: Effect = "pure" if settings.trusted else "unsafe"

    async def list_resources() -> list[dict[str, Any]]:
        listed = await server.resources()
        return [_about(each) for each in [*listed, *await server.resource_templates()][:_SHOWN]]

    async def read_resource(uri: str) -> Any:
        if uri not in server.links and not await _is_offered(server, uri):
            raise ToolError(f"{server.name} offers no resource {uri!r}; list them, or take an address that a tool gave")
        try:
            read = await server.read_resource(uri)
        except AgentrtError as error:
            raise ToolError(str(error)) from error
        return _output([{"type": "resource", "resource": each} for each in read.get("contents") or ()])

    async def list_prompts() -> list[dict[str, Any]]:
        return [_about(each) for each in (await server.prompts())[:_SHOWN]]

    async def get_prompt(name: str, arguments: dict[str, str] | None = None) -> Any:
        try:
            prompt = await server.get_prompt(name, arguments)
        except AgentrtError as error:
            raise ToolError(str(error)) from error
        return _output([message["content"] for message in prompt.get("messages") or ()])

    about = server.name
    offers: tuple[tuple[bool, Callable[..., Any], str], ...] = (
        (settings.resources, list_resources, f"List the resources that {about} offers."),
        (
            settings.resources,
            read_resource,
            f"Read a resource of {about}, by an address that was listed or a tool gave.",
        ),
        (settings.prompts, list_prompts, f"List the prompts that {about} offers, with their arguments."),
        (settings.prompts, get_prompt, f"Get a prompt of {about} by its name."),
    )
    made = [
        Tool[..., Any](
            function, name=wire_name(about, function.__name__), description=told, effect=effect, strict=False
        )
        for wanted, function, told in offers
        if wanted
    ]
    return {tool.key: tool for tool in made}


def links_in(result: Mapping[str, Any]) -> list[str]:
    """Give the addresses of the resources that a tool's result links to."""
    blocks: list[Any] = result.get("content") or []
    return [str(block.get("uri")) for block in blocks if block.get("type") == "resource_link"]


async def _is_offered(server: MCPServer, uri: str) -> bool:
    if any(each.get("uri") == uri for each in await server.resources()):
        return True
    return any(_fits(str(each.get("uriTemplate")), uri) for each in await server.resource_templates())


def _fits(template: str, uri: str) -> bool:
    """Tell whether an address can come of a template (RFC 6570, level 1, and ``{+path}`` with slashes)."""
    parts = re.split(r"\{(\+?)[^}]*\}", template)
    pattern = "".join(
        re.escape(part) if index % 2 == 0 else (".+" if part else "[^/?#]+") for index, part in enumerate(parts)
    )
    return re.fullmatch(pattern, uri) is not None


def _about(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in _FIELDS if name in entry}


def _output(blocks: list[dict[str, Any]]) -> Output:
    encoded = encode_result({"content": blocks})
    return Output(encoded.value, encoded.artifact)
