"""The tools that a server lists: page by page, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp import Client, MCPError
from mcp_types import METHOD_NOT_FOUND, ListToolsResult, PaginatedRequestParams

if TYPE_CHECKING:
    from agentrt.bridges.mcp.connection import Link

__all__ = ["Listing", "listed"]

_MAX_PAGES = 100


@dataclass(frozen=True)
class Listing:
    """What a server listed.

    Args:
        tools: Its tools as they came, in its order.
        notes: What was left out, in sentences.
    """

    tools: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


async def listed(client: Client, link: Link, max_tools: int) -> Listing:
    """List a server's tools.

    Args:
        client: The connected client.
        link: Its transport, which keeps what came.
        max_tools: Tools to take at most.
    """
    if link.raw_tools is not None:
        link.raw_tools.clear()
    tools: dict[str, Mapping[str, Any]] = {}
    cursors: set[str] = set()
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        try:
            page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        except MCPError as error:
            if error.code == METHOD_NOT_FOUND and not tools:
                return Listing()  # it has prompts or resources only
            raise
        tools.update(_raw(page, link))
        cursor = page.next_cursor
        if cursor is None or cursor in cursors or len(tools) > max_tools:
            break
        cursors.add(cursor)
    notes: tuple[str, ...] = ()
    if len(tools) > max_tools:
        notes = (f"it has more than {max_tools} tools; the rest is left out: see max_tools= and allow=",)
    elif cursor in cursors:
        notes = (f"it gave the same page of its tools again; {len(tools)} were taken",)
    elif cursor is not None:
        notes = (f"its list of tools has no end; those of the first {_MAX_PAGES} pages were taken",)
    return Listing(tuple(tools.values())[:max_tools], notes)


def _raw(page: ListToolsResult, link: Link) -> Mapping[str, Mapping[str, Any]]:
    listed = {tool.name: tool for tool in page.tools}
    if link.raw_tools is not None:
        return {name: link.raw_tools[name] for name in listed if name in link.raw_tools}
    return {name: tool.model_dump(by_alias=True, mode="json", exclude_unset=True) for name, tool in listed.items()}
