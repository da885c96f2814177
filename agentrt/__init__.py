"""agentrt: Python functions become tools, a model behind a Responses API asks for calls, agentrt runs them.

>>> from agentrt import Agent, tool

The layers, bottom up: ``errors``, ``wire`` (the Responses API as data), ``builtin`` (tools that the provider runs),
``registry`` (a function becomes a tool, an answer a value), ``bridges`` (MCP servers become tools), ``core`` (what
happens next), ``store`` (sessions and runs), ``prices``, ``local`` (the embedded model), ``client`` (HTTP), ``events``
and ``hooks`` (what a run tells, who may change it), ``trace`` (spans of it), ``drivers`` (who performs it),
``planning`` (what a run begins with), ``agent`` (the surface), ``serve`` (tools and agents as an MCP server),
``testing`` and ``cli``.
"""

from typing import TYPE_CHECKING

from agentrt.agent import Agent
from agentrt.client import Client
from agentrt.core.limits import Limits
from agentrt.core.pending import Answer, Approve, Deny, Pending
from agentrt.core.result import Result
from agentrt.core.state import RunState
from agentrt.delegates import handoff
from agentrt.errors import AgentrtError, RunRefused, ToolError, ToolRetry, UsageError
from agentrt.hooks import Hooks
from agentrt.registry import Context, Registry, Tool, tool
from agentrt.wire.parts import Audio, File, Image, Text
from agentrt.wire.responses import Response

if TYPE_CHECKING:
    from agentrt.bridges.mcp.server import MCPServer
    from agentrt.serve import mcp_app, serve_mcp

__all__ = [
    "Agent",
    "AgentrtError",
    "Answer",
    "Approve",
    "Audio",
    "Client",
    "Context",
    "Deny",
    "File",
    "Hooks",
    "Image",
    "Limits",
    "MCPServer",
    "Pending",
    "Registry",
    "Response",
    "Result",
    "RunRefused",
    "RunState",
    "Text",
    "Tool",
    "ToolError",
    "ToolRetry",
    "UsageError",
    "handoff",
    "mcp_app",
    "serve_mcp",
    "tool",
]


_LATER = {"MCPServer": "agentrt.bridges.mcp.server", "mcp_app": "agentrt.serve", "serve_mcp": "agentrt.serve"}


def __getattr__(name: str) -> object:
    """Import what few programs need when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - as above

    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found
