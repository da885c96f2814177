"""The SDK's server, with our tools in it."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

from agentrt.delegates import AgentTool
from agentrt.errors import UsageError
from agentrt.registry import Context
from agentrt.registry.output import as_text
from agentrt.serving.calls import Desk, answer
from agentrt.serving.content import failed
from agentrt.serving.offers import Offer, offers_of
from agentrt.serving.options import ServeOptions, check_options, request_var

__all__ = ["server_of"]

logger = logging.getLogger("agentrt.serving")

_NAME = "agentrt"
_DAY = 24 * 3600.0


def server_of(target: Any, options: ServeOptions) -> Server[Any]:
    """Make the server.

    Args:
        target: What is served; see `agentrt.serve.serve_mcp`.
        options: See `ServeOptions`.

    Raises:
        UsageError: Something can't be served; the message says what to do.
    """
    check_options(options)
    offers = offers_of(target)
    on_pending = options.get("on_pending")
    if on_pending is not None and not callable(on_pending):
        raise UsageError("on_pending= takes a function of what is pending that decides, as agent.run() does")
    desk = Desk(options.get("deps"), on_pending)
    agents = [offer.tool.agent for offer in offers.values() if isinstance(offer.tool, AgentTool)]

    @asynccontextmanager
    async def open_agents(_server: Server[Any]) -> AsyncGenerator[None]:
        """Keep the agents' connections open as long as the server lives."""
        async with AsyncExitStack() as stack:
            for agent in agents:
                await stack.enter_async_context(agent)
            yield

    async def list_tools(
        _ctx: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[each.definition for each in offers.values() if _is_shown(each, desk)])

    async def call_tool(
        ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        offer = _offer(offers, params.name, desk)
        request_var.set(ctx)  # each request has a task of its own
        try:
            return await answer(desk, offer, ctx, params)
        except MCPError:
            raise
        except Exception as error:
            logger.exception("a call of the tool %r failed", params.name)
            return failed(f"Error: {type(error).__name__}: {as_text(error)}")

    name = options.get("name") or (agents[0].name if len(offers) == len(agents) == 1 else _NAME)
    server: Server[Any] = Server(
        name,
        version=importlib.metadata.version("agentrt"),
        instructions=options.get("instructions"),
        lifespan=open_agents,
        get_tool_input_schema=lambda key: offers[key].schema if key in offers else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    server.middleware.append(RequestStateBoundary(_security(options.get("state_key")), default_audience=name))
    extend = options.get("extend")
    if extend is not None:
        extend(server)
    return server


def _offer(offers: Mapping[str, Offer], name: str, desk: Desk) -> Offer:
    offer = offers.get(name)
    if offer is None or not _is_shown(offer, desk):
        raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {name}")
    return offer


def _is_shown(offer: Offer, desk: Desk) -> bool:
    """Tell whether a tool is offered; one whose ``enabled=`` fails is not."""
    try:
        return offer.tool.is_enabled(Context(desk.deps))
    except UsageError:
        logger.exception("a tool is not offered")
        return False


def _security(key: bytes | str | None) -> RequestStateSecurity:
    if key is None:
        return RequestStateSecurity.ephemeral(ttl=_DAY)
    try:
        return RequestStateSecurity(keys=[key], ttl=_DAY)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "state_key= takes 32 random bytes or more, such as secrets.token_bytes(32), kept where only the server's "
            "replicas can read it"
        ) from error
