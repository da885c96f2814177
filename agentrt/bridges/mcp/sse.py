"""The HTTP+SSE transport of MCP's revision 2024-11-05: one stream of events from the server, a POST for each message.

The SDK has it too (mcp 2.3), but there an event over 1 MiB ends the connection, a POST that is refused leaves its
caller waiting, and a stream that names an address elsewhere, or none, hangs or ends in an ExceptionGroup.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from agentrt.bridges.mcp.answers import MAX_ERROR_BODY, MAX_EVENT, body_of, is_made
from agentrt.bridges.mcp.http_errors import Failures
from agentrt.errors import AgentrtError, UnreachableError

__all__ = ["sse_client"]

_REDIRECT = 300
_REDIRECTS = 5
_HEADERS = {"accept": "text/event-stream", "cache-control": "no-store"}

logger = logging.getLogger("agentrt.mcp")

Events = AsyncGenerator[httpx2.ServerSentEvent]
Inbox = MemoryObjectSendStream[SessionMessage | Exception]


@asynccontextmanager
async def sse_client(url: str, client: httpx2.AsyncClient, failures: Failures) -> AsyncGenerator[Any]:
    """Connect to a server over HTTP+SSE; gives the stream to read from and the one to write to.

    Args:
        url: Where its events come from.
        client: Sends; a POST that fails is answered by `agentrt.bridges.mcp.answers.instead`.
        failures: Makes the errors.

    Raises:
        AgentrtError: The server can't be reached, or what is there is no such server.
    """
    request = client.build_request("GET", url, headers=_HEADERS)
    try:
        response = await _send(client, request)
    except AgentrtError as error:
        failures.last = error
        raise
    source = httpx2.EventSource(response, max_event_size=MAX_EVENT)
    try:
        async with aclosing(cast("Events", source.__aiter__())) as events:
            try:
                address = await _address(response, events, failures)
            except Exception as error:
                failures.last = failures.of_exception(error, request)
                raise failures.last from error
            inbox, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
            write, outbox = anyio.create_memory_object_stream[SessionMessage](0)
            async with inbox, read, write, outbox, anyio.create_task_group() as group:
                group.start_soon(_hear, events, inbox, partial(_ended, failures, request))

                async def post(message: JSONRPCMessage) -> None:
                    await _post(client, address, message, inbox)

                async def pass_on() -> None:
                    async for item in outbox:
                        if isinstance(item.message, JSONRPCRequest):
                            group.start_soon(post, item.message)
                        else:
                            await post(item.message)

                group.start_soon(pass_on)
                yield read, write
                group.cancel_scope.cancel()
    finally:
        await response.aclose()


async def _send(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """Send a request, and again where the server wants it at another path."""
    left = _REDIRECTS
    while True:
        response = await client.send(request, stream=True)
        other = response.next_request
        if not left or other is None or other.method != request.method or _origin(other.url) != _origin(request.url):
            return response
        await response.aclose()
        request, left = other, left - 1


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


async def _address(response: httpx2.Response, events: Events, failures: Failures) -> httpx2.URL:
    """Read where to send messages."""
    request = response.request
    if response.status_code >= _REDIRECT:
        raise failures.of_status(response, await body_of(response, MAX_ERROR_BODY, cut=True))
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        body = await body_of(response, MAX_ERROR_BODY, cut=True)
        raise failures.not_mcp(f"answered with {kind or 'no content type'} instead of events", body, request)
    async for event in events:
        if event.event == "endpoint":
            address = request.url.join(event.data)
            if _origin(address) != _origin(request.url) or address.userinfo != request.url.userinfo:
                raise failures.not_mcp("wants its messages at another address", event.data.encode(), request)
            return address
    raise failures.not_mcp("ended its events before it said where to send messages", b"", request)


async def _hear(events: Events, inbox: Inbox, ended: Any) -> None:
    broken: Exception | None = None
    with inbox:
        try:
            async for event in events:
                if event.event == "message" and event.data:
                    await _take(event.data, inbox)
        except httpx2.HTTPError as error:
            broken = error
        ended(broken)


async def _take(data: str | bytes, inbox: Inbox) -> None:
    try:
        message = jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValidationError:
        logger.debug("an event was no JSON-RPC: %.200r", data)
        return
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await inbox.send(SessionMessage(message))


def _ended(failures: Failures, request: httpx2.Request, broken: Exception | None) -> None:
    if broken is None:
        failures.last = UnreachableError(f"{failures.who} ended its events; it may have been restarted")
    else:
        failures.last = failures.of_exception(broken, request)


async def _post(client: httpx2.AsyncClient, address: httpx2.URL, message: JSONRPCMessage, inbox: Inbox) -> None:
    content = message.model_dump(by_alias=True, mode="json", exclude_unset=True)
    response = await _send(client, client.build_request("POST", address, json=content))
    if is_made(response):
        await _take(response.content, inbox)
    await response.aclose()
