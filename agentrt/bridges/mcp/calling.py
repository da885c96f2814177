"""One request to a server: its deadlines, its second try, and what is said of it when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST

from agentrt.bridges.mcp.connection import Connection
from agentrt.bridges.mcp.failures import typed
from agentrt.bridges.mcp.sanitise import Flight, in_flight
from agentrt.bridges.mcp.talk import Asker, Question, answered, asks_of, replies_of
from agentrt.errors import AgentrtError, DeadlineError, StatusError, UnreachableError, WireError
from agentrt.registry.context import ToolAsks

__all__ = ["Patience", "Progress", "call_tool", "request"]

T = TypeVar("T")

_GONE, _TRIES, _ROUNDS = 404, 2, 10
_FORGOTTEN = ("Session not found", "Session terminated")
"""How the SDK says that an HTTP server knows no such session any more (mcp 2.3). Nothing was worked on then."""
_FIRST_PAUSE = 0.1


class Progress(Protocol):
    """Takes what a server tells of a call under way."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Take how far it is, of how much, and a few words."""
        ...


class Patience:
    """How long a request may still take: each sign of life extends it, and no time passes while a person is asked.

    Args:
        connection: The server's connection.
        progress: Takes what the server tells.
    """

    def __init__(self, connection: Connection, progress: Progress | None) -> None:
        self._connection = connection
        self._progress = progress
        self._last = anyio.current_time() + connection.settings.max_call_seconds
        self.scope = anyio.CancelScope()
        self._asked = 0

    def begin(self) -> anyio.CancelScope:
        """Give a scope for the next wait."""
        self.scope = anyio.CancelScope(deadline=self._deadline())
        return self.scope

    def _deadline(self) -> float:
        return min(self._last, anyio.current_time() + self._connection.settings.call_timeout)

    async def heard(self, progress: float, total: float | None, message: str | None) -> None:
        """Take a sign of life."""
        if not self._asked:
            self.scope.deadline = self._deadline()
        if self._progress is not None:
            await self._progress(progress, total, message)

    def asking(self, asker: Asker) -> Asker:
        """Stop the clock while somebody is asked."""

        async def asked(question: Question) -> Mapping[str, Any] | None:
            began, self.scope.deadline = anyio.current_time(), float("inf")
            self._asked += 1
            try:
                return await asker(question)
            finally:
                self._asked -= 1
                self._last += anyio.current_time() - began
                self.scope.deadline = self._deadline()

        return asked

    def too_late(self) -> DeadlineError:
        """Say what took too long."""
        settings, name = self._connection.settings, self._connection.name
        if anyio.current_time() >= self._last:
            told = f"took longer than {settings.max_call_seconds:g} seconds (max_call_seconds)"
        else:
            told = f"was silent for {settings.call_timeout:g} seconds (call_timeout)"
        return DeadlineError(f"the MCP server {name!r} {told}, so the call was given up; its outcome is unknown")


async def request(
    connection: Connection,
    send: Callable[[Client, Patience], Awaitable[T]],
    *,
    progress: Progress | None = None,
    repeatable: bool = False,
) -> T:
    """Make a request, on a connection that is made anew if need be.

    What surely was not worked on is sent once more: the server was not there, or had forgotten the session. What may
    have been worked on is sent again only where that does no harm.

    Args:
        connection: The server's.
        send: Makes the request with the SDK's client; it passes on signs of life.
        progress: Takes what the server tells meanwhile.
        repeatable: Whether it may be worked on twice.

    Raises:
        DeadlineError: The server was silent for ``call_timeout``, or took longer than ``max_call_seconds`` in all.
        UnreachableError: The server went away; ``sent`` tells whether it may have worked on the request.
        ServerError: What the server answered instead.
    """
    patience = Patience(connection, progress)
    for attempt in range(1, _TRIES + 1):
        client = connection.client_now
        if client is None:
            with patience.begin():
                client = await connection.ready()
        if client is None:
            raise DeadlineError(f"the MCP server {connection.name!r} is still not ready") from connection.error
        outcome = await _tried(connection, client, send, patience)
        if not isinstance(outcome, AgentrtError):
            connection.prove()
            return outcome[0]
        again = isinstance(outcome, UnreachableError) and (repeatable or outcome.repeatable)
        if not again or attempt == _TRIES:
            raise outcome
    raise AssertionError("unreachable")  # pragma: no cover - the last try returns or raises


async def _tried(
    connection: Connection, client: Client, send: Callable[[Client, Patience], Awaitable[T]], patience: Patience
) -> list[T] | AgentrtError:
    """Make a request once; gives its result in a list, or what went wrong."""
    flight = Flight()
    assert connection.link is not None
    flight.sent = connection.link.raw_tools is None  # in process nothing tells, so that it may have been worked on
    with patience.begin():
        token = in_flight.set(flight)
        try:
            return [await send(client, patience)]
        except ToolAsks:
            raise
        except Exception as raised:  # noqa: BLE001 - it becomes one of ours
            return _explained(raised, connection, client, flight)
        finally:
            in_flight.reset(token)
    return patience.too_late()


async def call_tool(
    connection: Connection,
    name: str,
    arguments: dict[str, Any],
    *,
    progress: Progress | None = None,
    repeatable: bool = False,
    asker: Asker | None = None,
    reply: Mapping[str, Any] | None = None,
    put_away: bool = False,
) -> dict[str, Any]:
    """Call a tool and give its result as it came; see `request`.

    Args:
        connection: The server's.
        name: The server's own name for the tool.
        arguments: Its arguments.
        progress: Takes what the server tells meanwhile.
        repeatable: Whether the call may be worked on twice.
        asker: Answers what the server asks meanwhile.
        reply: What was answered to what it asked when it was called before.
        put_away: Whether a call that can be taken up later is ended when the server asks; then ``asker`` is for older
            servers only, whose calls can't.

    Raises:
        ToolAsks: It asks for values, and was put away.
    """
    talk = connection.talk

    async def send(client: Client, patience: Patience) -> dict[str, Any]:
        responses, state = ({}, None) if reply is None else replies_of(reply)
        live = None if asker is None else patience.asking(asker)
        with talk.asking(live):
            return await rounds(client, patience, live, responses, state)

    async def rounds(
        client: Client, patience: Patience, live: Asker | None, responses: dict[str, Any], state: str | None
    ) -> dict[str, Any]:
        for made in range(_ROUNDS):
            result = await client.session.call_tool(
                name,
                arguments,
                progress_callback=patience.heard,
                input_responses=responses or None,
                request_state=state,
                allow_input_required=True,
            )
            if not isinstance(result, types.InputRequiredResult):
                flight = in_flight.get()
                known = None if flight is None else flight.result
                return known or result.model_dump(by_alias=True, mode="json", exclude_unset=True)
            if not result.input_requests:
                await anyio.sleep(_FIRST_PAUSE * (made + 1))
            responses = await _responses(connection, result, None if put_away else live)
            state = result.request_state
        raise WireError(
            f"the MCP server {connection.name!r} asked {_ROUNDS} times in one call, which is taken for a loop"
        )

    async with talk.turn if talk.asks and asker is not None else nullcontext():
        return await request(connection, send, progress=progress, repeatable=repeatable)


async def _responses(connection: Connection, result: types.InputRequiredResult, live: Asker | None) -> dict[str, Any]:
    if live is not None:
        return await answered(result, connection.name, connection.settings, live)
    asks = await asks_of(result, connection.name, connection.settings)
    if isinstance(asks, ToolAsks):
        raise asks
    return asks


def _explained(raised: Exception, connection: Connection, client: Client, flight: Flight) -> AgentrtError:
    """Say what happened, and let a connection go that is of no use any more."""
    link, name = connection.link, connection.name
    assert link is not None
    code = raised.code if isinstance(raised, MCPError) else None
    known = link.error_for(raised.data) if isinstance(raised, MCPError) else None
    if _is_forgotten(known) or (link.has_sessions and code == INVALID_REQUEST and str(raised) in _FORGOTTEN):
        connection.lose(client)
        return _unreachable(f"the MCP server {name!r} has forgotten the session, as it was restarted", sent=False)
    error, sent = known or typed(raised, name, link), getattr(known, "sent", flight.sent)
    if known is None and code == CONNECTION_CLOSED:
        connection.lose(client)
    return _unreachable(str(error), sent=sent) if isinstance(error, UnreachableError) else error


def _is_forgotten(known: AgentrtError | None) -> bool:
    return isinstance(known, StatusError) and known.status == _GONE


def _unreachable(told: str, *, sent: bool) -> UnreachableError:
    unknown = "; whether the call was worked on is unknown, and it was not repeated" if sent else ""
    error = UnreachableError(f"{told}{unknown}")
    error.sent = sent
    error.repeatable = not sent
    return error
