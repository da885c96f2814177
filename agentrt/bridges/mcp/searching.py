"""Many tools behind two: one that finds tools by words, one that calls what was found. Works with every provider."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentrt.bridges.mcp.names import wire_name
from agentrt.errors import ToolError
from agentrt.registry.context import Context
from agentrt.registry.tool import Tool

if TYPE_CHECKING:
    from agentrt.bridges.mcp.tool import MCPTool

__all__ = ["search_tools"]

_FOUND = 8
_WORD = re.compile(r"[^\W_]+")


class _Call(Tool[..., Any]):
    may_ask = True


def search_tools(server: str, hidden: Mapping[str, MCPTool]) -> dict[str, Tool[..., Any]]:
    """Make the two tools that stand for all of a server's.

    Args:
        server: The server's name.
        hidden: The tools, by key.
    """
    words = {key: _words(f"{tool.original} {tool.description}") for key, tool in hidden.items()}

    def find(query: str) -> list[dict[str, Any]]:
        wanted = _words(query)
        ranked = sorted(hidden, key=lambda key: -_likeness(wanted, words[key]))
        near = [key for key in ranked if _likeness(wanted, words[key])]
        if not near:
            raise ToolError(f"nothing fits {query!r}; try other words")
        return [
            {"name": key, "description": hidden[key].description, "parameters": hidden[key].parameters}
            for key in near[:_FOUND]
        ]

    def named(name: str) -> MCPTool:
        known = {**{tool.original: tool for tool in hidden.values()}, **hidden}
        if name not in known:
            near = difflib.get_close_matches(name, [*hidden, *(tool.original for tool in hidden.values())], n=3)
            meant = f"did you mean {' or '.join(map(repr, near))}?" if near else "find its name with a search"
            raise ToolError(f"there is no tool named {name!r}; {meant}")
        return known[name]

    async def call(name: str, arguments: dict[str, Any] | str, context: Context[Any]) -> Any:
        tool = named(name)
        return await tool.run(tool.form.read(arguments), context)

    def approval(given: dict[str, Any]) -> bool:
        try:
            tool = named(given["name"])
            asks: Any = tool.approval
            return asks if isinstance(asks, bool) else bool(asks(tool.form.read(given["arguments"])))
        except ToolError:
            return False  # it is answered with what is wrong

    finder = Tool(
        find,
        name=wire_name(server, "find_tools"),
        description=f"Find tools of {server} ({len(hidden)} in all) by words that say what is to be done.",
        effect="pure",
    )
    caller = _Call(
        call,
        name=wire_name(server, "call_tool"),
        description=f"Call a tool of {server} that was found, by its name, with arguments that fit its parameters.",
        approval=approval,
        strict=False,
    )
    return {finder.key: finder, caller.key: caller}


def _words(text: str) -> set[str]:
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return {word.lower() for word in _WORD.findall(split)}


def _likeness(wanted: set[str], words: set[str]) -> int:
    """Count the words that are there, and half as much those that begin one that is."""
    begun = sum(any(word.startswith(want[:5]) for word in words) for want in wanted - words)
    return 2 * len(wanted & words) + begun
