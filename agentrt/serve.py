"""Tools and agents as an MCP server: `serve_mcp` for programs, `mcp_app` for ASGI servers.

Light: mcp is imported when something is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from agentrt.agent import Agent
from agentrt.errors import UsageError
from agentrt.registry import Registry, Tool
from agentrt.serving.options import ServeOptions, current_request

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["ServeOptions", "Served", "current_request", "mcp_app", "serve_mcp"]

Served = Registry | Tool[..., Any] | Agent[Any] | Callable[..., Any]
"""What can be served: each agent is a tool that takes a ``task``."""


def serve_mcp(
    target: Served | Iterable[Served],
    *,
    transport: Literal["stdio", "http"] = "stdio",
    host: str = "127.0.0.1",
    port: int = 8000,
    **options: Unpack[ServeOptions],
) -> None:
    """Offer tools or agents to MCP clients, of the 2025 and the 2026 revision, until the client or Ctrl-C ends it.

    Args:
        target: A registry, a tool, a function or an agent, or a list of such.
        transport: ``stdio``: the client starts this program and talks to it through its standard streams, which then
            are out of reach for tools: what they print goes to stderr. ``http``: streamable HTTP at ``/mcp``.
        host: The address to listen at over HTTP. Another one than this machine's own needs ``token=``.
        port: The port to listen at; 0 takes a free one.
        **options: See `ServeOptions`.

    Raises:
        UsageError: Something can't be served, or not there; the message says what to do.
        SystemExit: It was ended by Ctrl-C (130) or SIGTERM (143).
    """
    if transport == "stdio":
        from agentrt.serving.building import server_of  # noqa: PLC0415 - mcp costs a second of import
        from agentrt.serving.stdio import serve_stdio  # noqa: PLC0415 - as above

        serve_stdio(server_of(target, options))
    elif transport == "http":
        from agentrt.serving.http import serve_http  # noqa: PLC0415 - as above

        serve_http(target, host, port, options)
    else:
        raise UsageError(f"transport is 'stdio' or 'http', not {transport!r}")


def mcp_app(target: Served | Iterable[Served], **options: Unpack[ServeOptions]) -> Starlette:
    """Make an ASGI app of tools or agents, for an ASGI server of your own: ``uvicorn module:app``. On asyncio only.

    It answers requests for this machine's own names; ``allowed_hosts=`` adds those that it is reached by. Mounted in
    another app, it needs its lifespan: ``async with app.router.lifespan_context(app): …`` in that of the other one.

    Args:
        target: As for `serve_mcp`.
        **options: See `ServeOptions`.

    Raises:
        UsageError: Something can't be served; the message says what to do.
    """
    from agentrt.serving.http import app_of  # noqa: PLC0415 - mcp costs a second of import

    return app_of(target, options)
