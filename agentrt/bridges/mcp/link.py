"""What one attempt to connect connects with: a process, an address, or a server in this process."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from agentrt.bridges.mcp.command import StdioCommand
from agentrt.bridges.mcp.endpoint import HttpEndpoint
from agentrt.bridges.mcp.http import HttpTransport
from agentrt.bridges.mcp.sanitise import Sanitised
from agentrt.bridges.mcp.stdio import StdioTransport
from agentrt.errors import AgentrtError

__all__ = ["InProcess", "Outside"]


class Outside:
    """A link to a process or an address, with what comes from there made fit for the SDK.

    Args:
        way: How the server is reached.
        name: The server's name.
    """

    def __init__(self, way: StdioCommand | HttpEndpoint, name: str) -> None:
        self._transport: StdioTransport | HttpTransport = (
            StdioTransport(way, name=name) if isinstance(way, StdioCommand) else HttpTransport(way, name=name)
        )
        self._on_end: Callable[[], None] | None = None
        self.target: Any = Sanitised(self._transport, name=name, on_end=self._ended)
        self.raw_tools: MutableMapping[str, dict[str, Any]] | None = self.target.raw_tools

    def watch(self, on_end: Callable[[], None]) -> None:
        """Say whom to tell when the server has gone."""
        self._on_end = on_end

    def _ended(self) -> None:
        if self._on_end is not None:
            self._on_end()

    @property
    def failure(self) -> AgentrtError | None:
        """Why the connection ended, where it ended by itself."""
        return self._transport.failure

    @property
    def has_sessions(self) -> bool:
        """Whether a server may have forgotten a session, as over HTTP."""
        return isinstance(self._transport, HttpTransport)

    @property
    def stray_lines(self) -> int:
        """How many lines came that are no messages."""
        return self._transport.stray_lines if isinstance(self._transport, StdioTransport) else 0

    def error_for(self, data: object) -> AgentrtError | None:
        """Give the error behind an MCP error that the transport itself made."""
        return self._transport.error_for(data) if isinstance(self._transport, HttpTransport) else None


class InProcess:
    """A link to a server object of the SDK's."""

    raw_tools: MutableMapping[str, dict[str, Any]] | None = None
    failure: AgentrtError | None = None
    stray_lines = 0
    has_sessions = False

    def __init__(self, server: Any) -> None:
        self.target = server

    def watch(self, on_end: Callable[[], None]) -> None:
        """Nothing ends it but the end of this process."""

    def error_for(self, data: object) -> AgentrtError | None:  # noqa: ARG002 - as other links have it
        """Give None: there is no transport."""
        return None
