"""What a server offers beside tools, as methods of `MCPServer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentrt.bridges.mcp.connection import Connection

__all__ = ["Offers"]


class Offers:
    """Resources, prompts and completions of a server, as they come: dicts with the names of the wire."""

    if TYPE_CHECKING:

        def connection(self) -> Connection:
            """Give the connection, as `MCPServer` has it."""
            ...

    async def resources(self) -> list[dict[str, Any]]:
        """List its resources: ``uri``, ``name``, ``mimeType``, …."""
        return await self._listed("resources")

    async def resource_templates(self) -> list[dict[str, Any]]:
        """List the forms that addresses of its resources may have: ``uriTemplate``, ``name``, …."""
        return await self._listed("resourceTemplates")

    async def prompts(self) -> list[dict[str, Any]]:
        """List its prompts: ``name``, ``description``, ``arguments``, …."""
        return await self._listed("prompts")

    async def _listed(self, what: str) -> list[dict[str, Any]]:
        from agentrt.bridges.mcp.reading import list_all  # noqa: PLC0415 - needs the SDK

        return await list_all(self.connection(), what)

    async def read_resource(self, uri: str) -> dict[str, Any]:
        """Read a resource: ``contents``, each with ``text`` or, in base64, ``blob``."""
        from agentrt.bridges.mcp.reading import read_resource  # noqa: PLC0415 - needs the SDK

        return await read_resource(self.connection(), uri)

    async def get_prompt(self, name: str, arguments: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Get a prompt: ``messages``, each with ``role`` and ``content``."""
        from agentrt.bridges.mcp.reading import get_prompt  # noqa: PLC0415 - needs the SDK

        return await get_prompt(self.connection(), name, arguments or {})

    async def complete(self, ref: Mapping[str, str], argument: str, value: str) -> list[str]:
        """Give the values that an argument of a prompt, or of a resource's address, may have.

        Args:
            ref: ``{"name": prompt}`` or ``{"uri": template}``.
            argument: The argument's name.
            value: What its value begins with.
        """
        from agentrt.bridges.mcp.reading import complete  # noqa: PLC0415 - needs the SDK

        return await complete(self.connection(), ref, argument, value)
