"""What may be said of a server, and what a tool may know of the request that it answers. Light: imports no mcp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypedDict, cast

from agentrt.errors import UsageError

if TYPE_CHECKING:
    from mcp.server import Server, ServerRequestContext

    from agentrt.drivers.plan import Decide

__all__ = ["ServeOptions", "check_options", "current_request", "request_var"]

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


def current_request() -> ServerRequestContext[Any, Any]:
    """Give the SDK's context of the request that the running tool answers: its ``session``, its headers, ….

    Raises:
        UsageError: No tool is running for an MCP client here.
    """
    try:
        return request_var.get()
    except LookupError:
        raise UsageError("current_request() is for tools that an MCP client calls, while they run") from None


def check_options(options: ServeOptions) -> None:
    """Refuse options that there are not, or of a wrong type."""
    for option, value in options.items():
        if option not in ServeOptions.__annotations__:
            raise UsageError(f"a server has no option {option!r}; there are {', '.join(ServeOptions.__annotations__)}")
        if option in ("allowed_hosts", "allowed_origins") and isinstance(value, str):
            raise UsageError(f"{option}= takes a list of names, such as {option}=[{value!r}]")
    token = options.get("token")
    if token is not None and (not isinstance(cast("Any", token), str) or token != token.strip() or not token):
        raise UsageError("token= takes a text without blanks at its ends, such as secrets.token_urlsafe(32)")
