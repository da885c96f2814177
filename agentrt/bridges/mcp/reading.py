"""What a server offers beside tools: resources, prompts, completions. Results are as they came, as dicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp_types as types
from mcp import Client, MCPError
from pydantic import BaseModel

from agentrt.bridges.mcp.calling import Patience, request
from agentrt.bridges.mcp.connection import Connection

__all__ = ["complete", "get_prompt", "list_all", "read_resource"]

_MAX_PAGES, _MAX_ENTRIES = 100, 10_000

Listed = Callable[[Client, types.PaginatedRequestParams], Awaitable[Any]]

LISTS: Mapping[str, Listed] = {
    "resources": lambda client, params: client.session.list_resources(params=params),
    "resourceTemplates": lambda client, params: client.session.list_resource_templates(params=params),
    "prompts": lambda client, params: client.session.list_prompts(params=params),
}
"""How each list is asked for, by the result's field."""


async def list_all(connection: Connection, what: str) -> list[dict[str, Any]]:
    """List all that there is of something: ``resources``, ``resourceTemplates`` or ``prompts``.

    Pages are read up to 100; a server that has none of it gives an empty list.
    """

    async def send(client: Client, _: Patience) -> list[dict[str, Any]]:
        offered = client.server_capabilities
        if (offered.prompts if what == "prompts" else offered.resources) is None:
            return []
        entries: list[dict[str, Any]] = []
        cursors: set[str | None] = set()
        cursor: str | None = None
        while cursor not in cursors and len(cursors) < _MAX_PAGES and len(entries) < _MAX_ENTRIES:
            cursors.add(cursor)
            try:
                page = await LISTS[what](client, types.PaginatedRequestParams(cursor=cursor))
            except MCPError as error:
                if error.code == types.METHOD_NOT_FOUND:
                    return entries
                raise
            entries += _plain(page)[what]
            cursor = page.next_cursor
            if cursor is None:
                break
        return entries

    return await request(connection, send, repeatable=True)


async def read_resource(connection: Connection, uri: str) -> dict[str, Any]:
    """Read a resource."""
    return await request(connection, lambda client, _: _dumped(client.read_resource(uri)), repeatable=True)


async def get_prompt(connection: Connection, name: str, arguments: Mapping[str, str]) -> dict[str, Any]:
    """Get a prompt with its messages."""
    return await request(
        connection, lambda client, _: _dumped(client.get_prompt(name, dict(arguments))), repeatable=True
    )


async def complete(connection: Connection, ref: Mapping[str, str], argument: str, value: str) -> list[str]:
    """Give the values that an argument may have which begin like that."""
    of_prompt = "name" in ref
    reference = (
        types.PromptReference(name=ref["name"]) if of_prompt else types.ResourceTemplateReference(uri=ref["uri"])
    )
    asked = {"name": argument, "value": value}
    told = await request(connection, lambda client, _: _dumped(client.complete(reference, asked)), repeatable=True)
    return [str(each) for each in told["completion"]["values"]]


async def _dumped(made: Awaitable[BaseModel]) -> dict[str, Any]:
    return _plain(await made)


def _plain(made: BaseModel) -> dict[str, Any]:
    return made.model_dump(by_alias=True, mode="json", exclude_unset=True)
