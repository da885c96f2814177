"""An MCP server over HTTP: whatever goes wrong with one exchange costs that request, and says what it was.

The SDK's transport lets an exception of one POST end the whole connection, and keeps nothing of a status but "Server
returned an error response" (mcp 2.3, measured). So the client that it sends with is ours: it answers a failed exchange
with a JSON-RPC error that leads to the typed one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client

from agentrt.bridges.mcp.answers import MAX_EVENT
from agentrt.bridges.mcp.contained import Contained
from agentrt.bridges.mcp.endpoint import HttpEndpoint, OAuth
from agentrt.bridges.mcp.guard import Guard
from agentrt.bridges.mcp.http_errors import Failures
from agentrt.bridges.mcp.sse import sse_client
from agentrt.bridges.mcp.tokens import FileTokenStore
from agentrt.errors import AgentrtError, UsageError

__all__ = ["HttpTransport"]

_CLOSE_SECONDS = 2.0

logger = logging.getLogger("agentrt.mcp")


class HttpTransport:
    """A transport for the SDK's client, over streamable HTTP or the older HTTP+SSE. It is of use once.

    Args:
        endpoint: Where the server is.
        name: Its name, for errors.

    Raises:
        UsageError: ``auth`` is nothing that logs in.
    """

    def __init__(self, endpoint: HttpEndpoint, *, name: str) -> None:
        self._endpoint = endpoint
        self._failures = Failures(endpoint, name)
        self._opened: Any = None
        self._auth: httpx2.Auth | None = None
        if isinstance(endpoint.auth, OAuth):
            from agentrt.bridges.mcp.auth import OAuthLogin  # noqa: PLC0415 - 60 ms, for those who log in

            self._auth = OAuthLogin(endpoint, name, endpoint.auth.store or FileTokenStore())
        elif isinstance(endpoint.auth, httpx2.Auth):
            self._auth = endpoint.auth
        elif not isinstance(endpoint.auth, str | None):
            raise UsageError("auth= takes a bearer token, an OAuth, or an httpx2.Auth")

    @property
    def failure(self) -> AgentrtError | None:
        """What went wrong with the last exchange; None after one that went well."""
        return self._failures.last

    def error_for(self, data: object) -> AgentrtError | None:
        """Give the error behind the ``data`` of a JSON-RPC error that was made here, once."""
        return self._failures.take(data)

    async def __aenter__(self) -> Any:
        """Connect; gives the stream to read from and the one to write to.

        Raises:
            AgentrtError: The server of an HTTP+SSE address can't be reached. Others are reached by the first request.
        """
        if self._opened is not None:
            raise UsageError("an HttpTransport is of use once; make another one")
        self._opened = self._open()
        return await self._opened.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the server, within 2 seconds."""
        try:
            # What was raised inside is not told to the transport, whose task group would wrap it.
            await self._opened.__aexit__(None, None, None)
        except Exception as lost:  # noqa: BLE001 - it is over anyhow
            logger.debug("leaving %s: %r", self._endpoint.place, lost)

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Any]:
        with anyio.CancelScope() as leaving:
            async with AsyncExitStack() as stack:
                guard = None if self._auth is None else Guard(self._endpoint)
                contained = Contained(self._endpoint, self._failures, self._auth, guard)
                client = await stack.enter_async_context(contained)
                if self._endpoint.sse:
                    way = sse_client(self._endpoint.url, client, self._failures)
                else:
                    way = streamable_http_client(self._endpoint.url, http_client=client, max_sse_event_size=MAX_EVENT)
                streams = await stack.enter_async_context(way)
                try:
                    yield streams
                finally:
                    leaving.deadline = anyio.current_time() + _CLOSE_SECONDS
