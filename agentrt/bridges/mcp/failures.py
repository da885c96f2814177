"""What goes wrong with a server, in agentrt's own errors."""

from __future__ import annotations

from typing import Any, Protocol, cast

from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, PARSE_ERROR, REQUEST_TIMEOUT
from pydantic import ValidationError

from agentrt.errors import AgentrtError, DeadlineError, MCPServerError, UnreachableError, WireError
from agentrt.wire.text import unmistakable

__all__ = ["Told", "first_of", "typed"]

_SHOWN = 500


class Told(Protocol):
    """What a transport knows of its own end."""

    @property
    def failure(self) -> AgentrtError | None:
        """Why the connection ended, where it ended by itself."""
        ...


def first_of(error: BaseException) -> BaseException:
    """Give the error that a task group, or several, wrapped; of several the first."""
    return first_of(cast("Any", error).exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def typed(error: BaseException, name: str, transport: Told | None) -> AgentrtError:
    """Say in an error of ours what happened.

    Args:
        error: What was raised: by the SDK, its transports, or the event loop.
        name: The server's name.
        transport: The connection's transport; it may know more.
    """
    known = None if transport is None else transport.failure
    cause = first_of(error)
    if isinstance(cause, AgentrtError):
        return cause
    if known is not None:
        return known
    if isinstance(cause, MCPError):
        return _refused(cause, name)
    if isinstance(cause, ValidationError | RuntimeError | ValueError):
        said = unmistakable(str(cause)[:_SHOWN])
        return WireError(f"the MCP server {name!r} sent what is not MCP: {said}")
    return UnreachableError(f"the MCP server {name!r} can't be reached ({type(cause).__name__}: {cause})")


def _refused(error: MCPError, name: str) -> AgentrtError:
    if error.code == CONNECTION_CLOSED:
        return UnreachableError(f"the MCP server {name!r} closed the connection")
    if error.code == REQUEST_TIMEOUT:
        return DeadlineError(f"the MCP server {name!r} did not answer in time")
    told = unmistakable(error.message[:_SHOWN])
    if error.code == PARSE_ERROR:
        return WireError(f"the MCP server {name!r} sent what is not MCP: {told}")
    if "back-channel" in told:  # as the Python SDK says it of a handler that asks while its call waits
        told += "; servers that ask in the older way need protocol='2025-11-25'"
    return MCPServerError(f"the MCP server {name!r} refused: {told}", code=error.code, data=error.data)
