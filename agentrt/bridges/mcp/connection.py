"""One server on one event loop: a task of its own connects, watches, connects anew, and closes.

The SDK's client can only be left by the task that entered it, and is of use once; a crash of its server reaches that
task as a cancellation (python-sdk #3560). So that task is ours, and calls come from any other::

    closed ──hold──▶ connecting ──▶ ready ──▶ degraded ──▶ connecting …
       ▲                  └───────────────────▲  │
       └────────────── release of the last user ─┘
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Literal, Protocol

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.session import IncomingMessage

from agentrt.bridges.detached import spawn
from agentrt.bridges.mcp.failures import Told, typed
from agentrt.bridges.mcp.identity import client_info
from agentrt.bridges.mcp.listing import Listing, listed
from agentrt.bridges.mcp.settings import Settings
from agentrt.bridges.mcp.talk import Talk
from agentrt.errors import AgentrtError, AuthenticationError, DeadlineError, UnreachableError, UsageError

__all__ = ["Connection", "Link", "State"]

State = Literal["closed", "connecting", "ready", "degraded"]

_FIRST_WAIT, _LONGEST_WAIT, _RESTARTS = 0.5, 30.0, 3
_PROVEN_SECONDS = 10.0
_CLOSE_SECONDS = 8.0
_DEBOUNCE_SECONDS = 0.2

logger = logging.getLogger("agentrt.mcp")


class Link(Told, Protocol):
    """One attempt to connect: a transport, or a server in this process."""

    target: Any
    """What the SDK's client takes."""
    raw_tools: MutableMapping[str, dict[str, Any]] | None
    """Tools as the server listed them, by name; None where nothing stands in between."""

    @property
    def has_sessions(self) -> bool:
        """Whether the server may have forgotten a session."""
        ...

    @property
    def stray_lines(self) -> int:
        """How many lines came that are no messages."""
        ...

    def error_for(self, data: object) -> AgentrtError | None:
        """Give the error behind the ``data`` of an MCP error that the transport itself made."""
        ...

    def watch(self, on_end: Callable[[], None]) -> None:
        """Say whom to tell when the server has gone."""
        ...


class Connection:
    """Keeps one server connected as long as somebody uses it.

    Args:
        name: The server's name.
        settings: Its options.
        connect: Makes what one attempt connects with.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        connect: Callable[[], Link],
    ) -> None:
        self.name = name
        self.settings = settings
        self.state: State = "closed"
        self.error: AgentrtError | None = None
        """Why it is not ready; None before the first attempt has ended, and while it is ready."""
        self.client: Client | None = None
        self.link: Link | None = None
        self.listing: Listing | None = None
        """What it listed last; None before it was connected for the first time."""
        self.seconds = 0.0
        """How long the last attempt to connect took."""
        self.mode: str = settings.mode
        self._connect = connect
        self.talk = Talk(name, settings)
        self._users = 0
        self._owner: anyio.Event | None = None
        self._scope: anyio.CancelScope | None = None
        self._changed = anyio.Event()
        self._wake = anyio.Event()
        self._lost = False
        self._stale = False
        self._was_ready = False
        self._given_up = False
        self._attempts = 0
        self._failures = 0

    # --- for users, on any task

    def hold(self) -> None:
        """Begin to use it: it connects, unless it is connected."""
        self._users += 1
        self._tell()
        if self._owner is None:
            self.error = self.listing = None
            self._owner = anyio.Event()
            spawn(self._own)

    async def release(self) -> None:
        """End a use. After the last one this returns when all is closed; so it does for those who leave once more."""
        self._users = max(0, self._users - 1)
        if self._users == 0 and self._owner is not None:
            owner = self._owner
            if self.state == "connecting" and self._scope is not None:
                self._given_up = True
                self._scope.cancel()
            self._wake.set()
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                while not owner.is_set() and self._users == 0:  # somebody may hold it again meanwhile
                    await self._changed.wait()

    @property
    def client_now(self) -> Client | None:
        """The client, where it can be used at once."""
        return None if self._lost else self.client

    async def ready(self) -> Client:
        """Wait until it is connected.

        Raises:
            AgentrtError: It can't be; says why.
        """
        if self.client_now is not None:
            return self.client_now
        if self._users == 0:
            raise UsageError(f"the MCP server {self.name!r} is not open: use it in `async with server:`, or in a run")
        seen = self._attempts - (self.state == "connecting")
        while self.client is None or self._lost:
            if self.state == "degraded" and self._attempts > seen and self.error is not None:
                raise self.error
            if self._users == 0:
                raise UnreachableError(f"the MCP server {self.name!r} was closed meanwhile")
            self.demand()
            await self._changed.wait()
        return self.client

    def demand(self) -> None:
        """Let an attempt be made at once, where no more are made by themselves."""
        if self._gave_up:
            self._failures = _RESTARTS
            self._wake.set()

    def lose(self, client: Client | None = None) -> None:
        """Say that the connection is of no use any more, so that another one is made.

        Args:
            client: Of which connection that is said; default of the one that there is.
        """
        if client is None or client is self.client:
            self._lost = True
            self._wake.set()

    def prove(self) -> None:
        """Note that a call came back: a later failure is a new one."""
        self._failures = 0

    # --- the owner's task

    @property
    def _gave_up(self) -> bool:
        return self.state == "degraded" and self._failures > _RESTARTS

    def _to(self, state: State) -> None:
        self.state = state
        self._tell()

    def _tell(self) -> None:
        """Wake those who wait for a change."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def _own(self) -> None:
        owner = self._owner
        assert owner is not None
        try:
            while self._users:
                self._attempts += 1
                self._lost = self._stale = False
                self._to("connecting")
                try:
                    self.link = self._connect()
                except Exception as error:  # noqa: BLE001 - nobody may wait for a task that is gone
                    self.error = typed(error, self.name, None)
                else:
                    self.error = await self._attempt(self.link)
                if self._users and self.error is not None:
                    await self._pause()
        finally:
            self.client = None
            self._owner = None
            owner.set()
            self._to("closed")

    async def _attempt(self, link: Link) -> AgentrtError | None:
        """Connect, and stay connected as long as that goes well; gives why it ended."""
        began = anyio.current_time()
        up_at: float | None = None
        self._was_ready = self._given_up = False
        try:
            with anyio.CancelScope(deadline=began + self.settings.connect_timeout) as self._scope:
                link.watch(self.lose)
                async with self._client(link) as client:
                    self.listing = await listed(client, link, self.settings.max_tools)
                    self._scope.deadline = float("inf")
                    up_at = anyio.current_time()
                    self.seconds = up_at - began
                    self.mode = "legacy" if client.session.discover_result is None else client.protocol_version
                    self.client, self.error, self._was_ready = client, None, True
                    self._to("ready")
                    try:
                        await self._stay(client)
                    finally:
                        self._scope.deadline = anyio.current_time() + _CLOSE_SECONDS
                        self.client = None
                        if up_at + _PROVEN_SECONDS < anyio.current_time():
                            self._failures = 0
                        if self._users:
                            self._to("degraded")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this server's
            self.mode = self.settings.mode  # another version of it may have been started
            return typed(error, self.name, link)
        if up_at is not None:
            return link.failure or UnreachableError(f"the MCP server {self.name!r} closed the connection")
        return None if self._given_up else self._too_slow(link)

    def _too_slow(self, link: Link) -> AgentrtError:
        if link.failure is not None:
            return link.failure
        stray = f"; it wrote {link.stray_lines} lines to stdout that are no JSON-RPC" if link.stray_lines else ""
        return DeadlineError(
            f"the MCP server {self.name!r} was not ready within {self.settings.connect_timeout:g} seconds{stray}; give "
            "it more with connect_timeout=…, or, if it ignores what it doesn't know, say protocol='2025-11-25'"
        )

    def _client(self, link: Link) -> Client:
        told: dict[str, Any] = {**self.talk.callbacks(), "message_handler": self._heard}
        return Client(link.target, mode=self.mode, client_info=client_info(), cache=None, **told)

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._stale = True
            self._wake.set()

    async def _stay(self, client: Client) -> None:
        """Wait until the server has gone or nobody uses it any more; meanwhile list its tools anew when they change."""
        async with anyio.create_task_group() as group:
            capability = client.server_capabilities.tools
            if client.session.discover_result is not None and capability is not None and capability.list_changed:
                group.start_soon(self._listen, client)
            while self._users and not self._lost:
                await self._wake.wait()
                self._wake = anyio.Event()
                if self._stale:
                    with anyio.move_on_after(_DEBOUNCE_SECONDS):  # servers tell of each tool that they add
                        while not self._lost and self._users:
                            await self._wake.wait()
                            self._wake = anyio.Event()
                    self._stale = False
                    group.start_soon(self._relisted, client)
            group.cancel_scope.cancel()

    async def _relisted(self, client: Client) -> None:
        """List the tools anew; that may fail without costing the connection."""
        try:
            assert self.link is not None
            with anyio.fail_after(self.settings.connect_timeout):
                self.listing = await listed(client, self.link, self.settings.max_tools)
        except Exception as error:  # noqa: BLE001 - the tools stay as they were
            logger.warning("the tools of the MCP server %r could not be listed anew: %s", self.name, error)

    async def _listen(self, client: Client) -> None:
        """Hear of changes from a server of the 2026 revision, which tells them to those who listen."""
        wait = _FIRST_WAIT
        while True:
            try:
                async with client.listen(tools_list_changed=True) as told:
                    async for _ in told:
                        wait = _FIRST_WAIT
                        self._stale = True
                        self._wake.set()
            except Exception as error:  # noqa: BLE001 - without it tools are listed at the next connection
                logger.debug("listening to the MCP server %r ended: %s", self.name, error)
            await anyio.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)

    async def _pause(self) -> None:
        """Wait before the next attempt: longer each time, and after some until somebody asks for it."""
        self._failures += 1
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (self._failures - 1))
        if self._failures == 1 and self._was_ready:
            wait = 0.0
        if isinstance(self.error, UsageError | AuthenticationError):
            self._failures, wait = max(self._failures, _RESTARTS + 1), _FIRST_WAIT  # trying again changes nothing
        logger.info("the MCP server %r is not ready: %s", self.name, self.error)
        self._wake = anyio.Event()
        self._to("degraded")
        if self._gave_up:
            await self._wake.wait()
        else:
            with anyio.move_on_after(wait):
                await self._wake.wait()
