"""A server over streamable HTTP. On asyncio only, as ASGI servers are."""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import logging
import socket
import sys
from collections.abc import Generator, Sequence
from typing import Any

import anyio
import uvicorn
from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agentrt.errors import UsageError
from agentrt.registry.threads import asyncio_is_running
from agentrt.serving.building import server_of
from agentrt.serving.ending import Ending
from agentrt.serving.options import ServeOptions, check_options

__all__ = ["app_of", "serve_http"]

_OWN = ("127.0.0.1", "localhost", "[::1]")
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - these are refused without a token
_PATH = "/mcp"


def app_of(target: Any, options: ServeOptions) -> Starlette:
    """Make the ASGI app; see `agentrt.serve.mcp_app`."""
    check_options(options)
    token, path = options.get("token"), options.get("path", _PATH)
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise UsageError("token= takes a text of visible ASCII characters, such as secrets.token_urlsafe()")
    if not path.startswith("/"):
        raise UsageError(f"path= begins with a slash, such as '/mcp', but is {path!r}")
    max_body = options.get("max_body", DEFAULT_MAX_REQUEST_BODY_SIZE)
    if max_body < 1:
        raise UsageError(f"max_body= is a number of bytes, 1 or more, not {max_body!r}")
    hosts = [*_OWN, *(f"{host}:*" for host in _OWN), *options.get("allowed_hosts", ())]
    pages = [f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in _OWN for port in ("", ":*")]
    security = TransportSecuritySettings(
        allowed_hosts=hosts, allowed_origins=[*pages, *options.get("allowed_origins", ())]
    )
    app = server_of(target, options).streamable_http_app(
        streamable_http_path=path, max_request_body_size=max_body, transport_security=security
    )
    if token is not None:
        app.add_middleware(_Guard, token=token)
    return app


class _Guard:
    """Lets nobody in without the token.

    Args:
        app: What it guards.
        token: The token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 (RFC 6750), or let it through."""
        app = self._app
        if scope["type"] == "http":
            kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
            given = f"{kind.lower()} {token.strip()}".encode()
            if not hmac.compare_digest(given, self._expected):
                told = {"error": "unauthorized", "error_description": "send the header Authorization: Bearer <token>"}
                app = JSONResponse(told, 401, {"WWW-Authenticate": 'Bearer realm="mcp"'})
        await app(scope, receive, send)


def serve_http(target: Any, host: str, port: int, options: ServeOptions) -> None:
    """Serve over HTTP until Ctrl-C or SIGTERM; see `agentrt.serve.serve_mcp`."""
    if asyncio_is_running():
        raise UsageError("serve_mcp() runs an event loop of its own; inside another one give mcp_app() to its server")
    with _listening(host, port, options) as listener:
        name = f"[{host}]" if ":" in host else host
        own: Sequence[str] = () if host in _ANY else (name, f"{name}:*")
        app = app_of(target, {**options, "allowed_hosts": [*own, *options.get("allowed_hosts", ())]})
        config = uvicorn.Config(
            app,
            http="h11",  # strips what is blank around a header's value, as RFC 9110 wants; httptools doesn't
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        config.lifespan = "off"  # it is entered here, so that what fails in it is not lost in a log
        server = _Uvicorn(config)
        ending = Ending(server.stop)

        async def main() -> None:
            async with app.router.lifespan_context(app):
                port = listener.getsockname()[1]
                sys.stderr.write(f"MCP server at http://{name}:{port}{options.get('path', _PATH)}\n")
                await server.serve(sockets=[listener])

        with ending.watching(), _quiet_at_the_end(ending):
            anyio.run(main)


@contextlib.contextmanager
def _quiet_at_the_end(ending: Ending) -> Generator[None]:
    """Keep from the log that requests were cancelled by the end: uvicorn shows each with its traceback."""

    def is_news(_record: logging.LogRecord) -> bool:
        return ending.code is None

    log = logging.getLogger("uvicorn.error")
    log.addFilter(is_news)
    try:
        yield
    finally:
        log.removeFilter(is_news)


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us."""

    def capture_signals(self) -> Any:
        """Capture none."""
        return contextlib.nullcontext()

    def stop(self) -> None:
        """Begin to shut down: requests under way have a second."""
        self.should_exit = True


@contextlib.contextmanager
def _listening(host: str, port: int, options: ServeOptions) -> Generator[socket.socket]:
    """Open the socket, where that can do no harm."""
    if not _is_own(host) and not options.get("token"):
        raise UsageError(
            f"host={host!r} is open to other machines, so it needs token=, which clients send as a bearer token; or "
            "listen at 127.0.0.1"
        )
    if host in _ANY and not options.get("allowed_hosts"):
        raise UsageError(
            f"host={host!r} listens at all addresses, so it needs allowed_hosts=: by which names clients reach it, "
            "such as ['tools.example.com', '10.0.0.5:*']"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once only where the protocol is named; else each answer waits 40 ms for the client's kernel
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"can't listen at {host}:{port} ({error}); pass another host= or port=") from error
        yield listener


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
