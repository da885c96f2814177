"""The HTTP client that the SDK's transport sends with: no exchange ends the connection, and each failure is kept."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import httpx2
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, RequestId

from agentrt.bridges.mcp.answers import (
    MAX_ERROR_BODY,
    OWN,
    EventsToTheEnd,
    body_of,
    error_in,
    error_told,
    id_asked,
    instead,
    plain,
)
from agentrt.bridges.mcp.endpoint import HttpEndpoint, place_of
from agentrt.bridges.mcp.http_errors import Failures
from agentrt.bridges.mcp.shared import no_cookies, tls
from agentrt.errors import AgentrtError, UnreachableError
from agentrt.wire.json import as_dict, dump

__all__ = ["CONNECT_SECONDS", "Contained"]

CONNECT_SECONDS = 10.0
_NOTICE_SECONDS = 30.0
_ACCEPTED, _NO_CONTENT, _REDIRECT, _BAD_REQUEST, _NOT_FOUND, _SERVERS_OWN = 202, 204, 300, 400, 404, 500
_NOT_OF_THE_PROTOCOL = (401, 403, 429)
_SESSION = "mcp-session-id"

logger = logging.getLogger("agentrt.mcp")


class _NoQuery(logging.Filter):
    """Takes from httpx2's log what addresses have behind the path: many servers' keys stand there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(place_of(str(arg)) if isinstance(arg, httpx2.URL) else arg for arg in record.args)
        return True


logging.getLogger("httpx2").addFilter(_NoQuery())


class Contained(httpx2.AsyncClient):
    """Sends for one MCP server.

    A POST that fails is answered with a JSON-RPC error, whose ``data`` leads to the typed one. A notification that
    fails counts as accepted, an ended session as ended. A GET raises, which the transports bear.

    Args:
        endpoint: Where the server is.
        failures: Makes and keeps the errors.
        auth: What logs in.
        transport: What the requests go through; default the network, with proxies as the environment names them.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        failures: Failures,
        auth: httpx2.Auth | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        token = {"authorization": f"Bearer {endpoint.auth}"} if isinstance(endpoint.auth, str) else {}
        super().__init__(
            headers={**endpoint.headers, **token},
            auth=auth,
            transport=transport,
            verify=tls(),
            cookies=no_cookies(),
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._endpoint = endpoint
        self._failures = failures

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: Any = httpx2.USE_CLIENT_DEFAULT,
        follow_redirects: Any = False,
    ) -> httpx2.Response:
        """Send a request; its answer, or what stands in for it."""
        asked = await id_asked(request)
        request.extensions = {**request.extensions, OWN: True}
        if request.method != "GET" and asked is None:  # nothing else is sent meanwhile, so it must not take for ever
            waits = {"connect": CONNECT_SECONDS, "read": _NOTICE_SECONDS, "write": None, "pool": None}
            request.extensions = {**request.extensions, "timeout": waits}
        try:
            response = await super().send(request, stream=True, auth=auth, follow_redirects=follow_redirects)
            try:
                answer = response if asked is None else await self._answer(request, response, asked)
            except BaseException:
                await response.aclose()
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this exchange's
            return self._lost(request, asked, self._failures.of_exception(error, request))
        if not stream:
            await answer.aread()
        return answer

    def _lost(self, request: httpx2.Request, asked: RequestId | None, error: AgentrtError) -> httpx2.Response:
        if asked is not None:
            key = self._failures.keep(error)
            told = {"code": INTERNAL_ERROR, "message": str(error), "data": {"agentrt": key}}
            return instead(request, asked, told)
        if request.method == "GET":
            raise error
        logger.debug("a notification got lost: %s", error)
        return httpx2.Response(_NO_CONTENT if request.method == "DELETE" else _ACCEPTED, request=request)

    async def _answer(self, request: httpx2.Request, response: httpx2.Response, asked: RequestId) -> httpx2.Response:
        other = response.next_request
        if other is not None and other.method == request.method and other.url.host == request.url.host:
            return response  # the transport follows it, or says why not
        if response.status_code >= _REDIRECT:
            return await self._refusal(request, response, asked)
        self._failures.last = None
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._endpoint.sse:
            return response  # the answer comes with the events
        if response.status_code == _ACCEPTED:
            raise self._failures.not_mcp("accepted a request that it should have answered", b"", request)
        if kind == "application/json":
            body = await body_of(response, self._endpoint.max_body)
            try:
                told = error_told(body, asked)
            except ValueError as fault:
                raise self._failures.not_mcp(str(fault), body, request) from fault
            if told is not None:
                return instead(request, asked, told)
            return httpx2.Response(200, headers=plain(response), content=body, request=request)
        if kind == "text/event-stream":
            events = EventsToTheEnd(response, partial(self._last_event, request, asked))
            return httpx2.Response(response.status_code, headers=plain(response), stream=events, request=request)
        body = await body_of(response, MAX_ERROR_BODY, cut=True)
        raise self._failures.not_mcp(f"answered with {kind or 'no content type'} instead of MCP", body, request)

    async def _refusal(self, request: httpx2.Request, response: httpx2.Response, asked: RequestId) -> httpx2.Response:
        status = response.status_code
        body = await body_of(response, MAX_ERROR_BODY, cut=True)
        await response.aclose()
        told = error_in(body)
        # 404 is the specification's word for it, 400 that of the TypeScript SDK's servers.
        forgotten = _SESSION in request.headers and (
            status == _NOT_FOUND or (status == _BAD_REQUEST and b"session" in body.lower())
        )
        if told is not None and not forgotten and status not in _NOT_OF_THE_PROTOCOL and status < _SERVERS_OWN:
            self._failures.last = None
            return instead(request, asked, told)
        error = self._failures.of_status(response, body)
        data = {**as_dict((told or {}).get("data")), "agentrt": self._failures.keep(error)}
        if forgotten:
            return instead(request, asked, {"code": INVALID_REQUEST, "message": "Session terminated", "data": data})
        code = METHOD_NOT_FOUND if status == _NOT_FOUND else INTERNAL_ERROR
        return instead(request, asked, {"code": code, "message": str(error), **(told or {}), "data": data})

    def _last_event(self, request: httpx2.Request, asked: RequestId, broken: Exception | None) -> bytes:
        if broken is None:
            error: AgentrtError = UnreachableError(f"{self._failures.who} ended its answer before the end; try again")
        else:
            error = self._failures.of_exception(broken, request)
        told = {"code": INTERNAL_ERROR, "message": str(error), "data": {"agentrt": self._failures.keep(error)}}
        return b"event: message\ndata: " + dump({"jsonrpc": "2.0", "id": asked, "error": told}) + b"\n\n"
