"""Tools and agents as an MCP server: `serve_mcp` for programs, `mcp_app` for ASGI servers.

Light: mcp is imported when something is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from typing_extensions import Unpack

from agentrt.agent import Agent
from agentrt.errors import UsageError
from agentrt.registry import Registry, Tool

if TYPE_CHECKING:
    from mcp.server import Server, ServerRequestContext
    from starlette.applications import Starlette

    from agentrt.drivers.plan import Decide

__all__ = ["ServeOptions", "Served", "current_request", "mcp_app", "request_var", "serve_mcp"]

Served = Registry | Tool[..., Any] | Agent[Any] | Callable[..., Any]
"""What can be served: each agent is a tool that takes a ``task``."""

request_var: ContextVar[ServerRequestContext[Any, Any]] = ContextVar("request")
"""The request that a call answers."""


class ServeOptions(TypedDict, total=False):
    """What may be said of a server."""

    name: str | None
    """What clients are told it is called; default the agent's name, or ``agentrt``."""
    instructions: str | None
    """What models are told about all of its tools together."""
    deps: Any
    """What tools get as ``context.deps``."""
    on_pending: Decide | None
    """Decides on calls that need approval, for clients that can't ask their user; as for ``agent.run``."""
    state_key: bytes | str | None
    """32 bytes or more that seal what a client of the 2026 revision keeps while its user is asked. Default: made up
    anew by each process; replicas behind one address need one in common."""
    token: str | None
    """What clients over HTTP must send as ``Authorization: Bearer …``."""
    path: str
    """Where the server is found over HTTP; default ``/mcp``."""
    allowed_hosts: Sequence[str]
    """More values of the ``Host`` header that are answered, such as ``tools.example.com`` or ``10.0.0.5:*``."""
    allowed_origins: Sequence[str]
    """More web pages that are answered, such as ``https://app.example.com``."""
    max_body: int
    """Bytes that a request over HTTP may have; default 4 MiB."""
    extend: Callable[[Server[Any]], None] | None
    """Gets the SDK's server before it begins, for what tools don't cover: resources, prompts, completions, …."""


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


def current_request() -> ServerRequestContext[Any, Any]:
    """Give the SDK's context of the request that the running tool answers: its ``session``, its headers, ….

    Raises:
        UsageError: No tool is running for an MCP client here.
    """
    try:
        return request_var.get()
    except LookupError:
        raise UsageError("current_request() is for tools that an MCP client calls, while they run") from None
