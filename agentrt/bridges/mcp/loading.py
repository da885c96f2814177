"""A configuration file becomes servers."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

from agentrt.bridges.mcp.command import StdioCommand
from agentrt.bridges.mcp.config import Inputs, ServerEntry, read_config
from agentrt.bridges.mcp.endpoint import HttpEndpoint, OAuth
from agentrt.bridges.mcp.server import MCPServer
from agentrt.bridges.mcp.settings import ServerOptions, settings_from
from agentrt.errors import UsageError

__all__ = ["servers_from"]

logger = logging.getLogger("agentrt.mcp")


def servers_from(
    source: str | os.PathLike[str] | Mapping[str, Any], options: ServerOptions, inputs: Inputs | None = None
) -> list[MCPServer]:
    """Make the servers of a configuration; see `MCPServer.from_config`.

    Args:
        source: The file, or what it holds.
        options: For all of them, where the file doesn't say otherwise.
        inputs: The values of VS Code's ``${input:id}``.
    """
    settings_from(options)
    config = read_config(source, inputs=inputs)
    for warning in config.warnings:
        logger.warning("%s", warning)
    return [_server(entry, options) for entry in config.servers if not entry.disabled]


def _server(entry: ServerEntry, options: ServerOptions) -> MCPServer:
    way, problem = _way(entry)
    if problem is not None:
        return MCPServer(entry.name, way, problem=problem)
    told: dict[str, Any] = {
        "allow": entry.allow,
        "call_timeout": entry.timeout,
        "connect_timeout": entry.connect_timeout,
        "protocol": None if entry.protocol == "auto" else entry.protocol,
        "trusted": entry.trusted or None,
        "deny": entry.deny or None,
    }
    own = {name: value for name, value in told.items() if value is not None}
    try:
        server = MCPServer(entry.name, way, **cast("ServerOptions", {**options, **own}))
    except UsageError as error:
        return MCPServer(entry.name, way, problem=f"{entry.name}: {error}")
    server.launch = entry.written
    if entry.approve:
        server.settings = dataclasses.replace(server.settings, approval=_unless_approved(server, entry.approve))
    return server


def _way(entry: ServerEntry) -> tuple[StdioCommand | HttpEndpoint | None, str | None]:
    if entry.problem is not None:
        return None, entry.problem
    try:
        if entry.url is None:
            return StdioCommand(
                command=cast("str", entry.command),
                args=entry.args,
                env=entry.env,
                cwd=entry.cwd,
                inherit_env=entry.inherit_env,
            ), None
        has_key = any(name.lower() == "authorization" for name in entry.headers)
        auth = None if has_key and entry.oauth is None else OAuth(**entry.oauth or {})  # asks for a login on a 401 only
        return HttpEndpoint(url=entry.url, headers=entry.headers, auth=auth, sse=entry.sse), None
    except (UsageError, TypeError) as error:
        return None, f"{entry.name}: {error}"


def _unless_approved(server: MCPServer, approved: tuple[str, ...]) -> Any:
    """Let the file's ``autoApprove`` lift what is asked for otherwise, for the tools that it names."""
    before = server.settings

    def wanted(name: str, arguments: dict[str, Any]) -> bool:
        if any(fnmatchcase(name, glob) for glob in approved):
            return False
        asks = before.approval_of(name, server.name)
        return asks if isinstance(asks, bool) else asks(arguments)

    return wanted if before.approval is not False else False
