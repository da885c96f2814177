"""`MCPServer`: a server's tools for an agent. The SDK is imported when the first one is opened."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
from typing_extensions import Unpack

from agentrt.bridges.mcp.command import StdioCommand
from agentrt.bridges.mcp.endpoint import HttpEndpoint
from agentrt.bridges.mcp.offers import Offers
from agentrt.bridges.mcp.settings import ServerOptions, namespace_of, settings_from
from agentrt.errors import AgentrtError, UsageError

if TYPE_CHECKING:
    from agentrt.bridges.mcp.calling import Progress
    from agentrt.bridges.mcp.config import Inputs
    from agentrt.bridges.mcp.connection import Connection, Link, State
    from agentrt.bridges.mcp.listing import Listing
    from agentrt.bridges.mcp.lock import LockFile
    from agentrt.bridges.mcp.talk import Asker, Question
    from agentrt.bridges.mcp.verdicts import Verdicts
    from agentrt.registry.tool import Tool

__all__ = ["MCPServer"]

logger = logging.getLogger("agentrt.mcp")


class MCPServer(Offers):
    """An MCP server whose tools an agent may call: ``Agent(tools=[MCPServer.stdio("npx", "-y", "…")])``.

    It is connected while a run uses it, or in ``async with server:`` or ``async with agent:``. A server that can't be
    reached, crashes or hangs costs its own tools only: it is started anew, and calls of it are answered with what went
    wrong. Make one with `stdio`, `http`, `in_process` or `from_config`.

    Args:
        name: What it is called: the beginning of its tools' names.
        way: How it is reached.
        problem: Why it can't be; None where it can.
        **options: See `ServerOptions`.
    """

    def __init__(
        self,
        name: str,
        way: StdioCommand | HttpEndpoint | object,
        *,
        problem: str | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        if not isinstance(cast("Any", name), str) or not name:
            raise UsageError(f"name= of an MCP server is a text, not {name!r:.100}")
        self.name = name
        self.way = way
        self.settings = settings_from(options)
        self.problem = problem
        self.links: set[str] = set()
        """Addresses of resources that its tools gave."""
        self.launch: Mapping[str, Any] = _launch_of(way)
        """How it is started, as far as that is pinned."""
        self._connections: anyio.lowlevel.RunVar[Connection | None] = anyio.lowlevel.RunVar(f"mcp {name}", None)
        self._made: tuple[Listing | None, Any, Mapping[str, Tool[..., Any]], list[str]] = (None, None, {}, [])

    @classmethod
    def stdio(
        cls,
        command: str,
        *args: str,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        inherit_env: Sequence[str] = (),
        close_timeout: float = 2.0,
        **options: Unpack[ServerOptions],
    ) -> MCPServer:
        """Make one that runs as a child process and speaks over its stdin and stdout.

        Args:
            command: The program; no shell is involved.
            *args: Its arguments.
            name: What it is called; default from the command.
            env: Environment variables for it. It sees these and a few harmless ones, such as ``PATH``.
            cwd: Its working directory.
            inherit_env: Names of further variables of this process that it may see.
            close_timeout: Seconds that it gets to end after its stdin was closed, and again after SIGTERM.
            **options: See `ServerOptions`.

        Raises:
            UsageError: An option is out of range.
        """
        if not all(isinstance(cast("Any", part), str) for part in (command, *args)):
            raise UsageError("MCPServer.stdio takes texts: the command and its arguments, one by one")
        where = None if cwd is None else str(cwd)
        way = StdioCommand(
            command=command,
            args=args,
            env=dict(env or {}),
            cwd=where,
            inherit_env=tuple(inherit_env),
            close_timeout=close_timeout,
        )
        return cls(name or _name_of(command, args), way, **options)

    @classmethod
    def http(
        cls,
        url: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        sse: bool = False,
        **options: Unpack[ServerOptions],
    ) -> MCPServer:
        """Make one that is reached over streamable HTTP.

        Args:
            url: Its address, such as ``https://example.com/mcp``.
            name: What it is called; default from the address.
            headers: Headers for each request.
            auth: A bearer token, `agentrt.bridges.mcp.endpoint.OAuth`, or an ``httpx2.Auth``.
            sse: Whether it speaks the older transport of HTTP with server-sent events.
            **options: See `ServerOptions`.

        Raises:
            UsageError: The address is none, or an option is out of range.
        """
        parts = urlsplit(url if isinstance(cast("Any", url), str) else "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"MCPServer.http takes an address such as 'https://example.com/mcp', not {url!r:.100}")
        way = HttpEndpoint(url=url, headers=dict(headers or {}), auth=auth, sse=sse)
        return cls(name or parts.hostname.removeprefix("www.").split(".")[0], way, **options)

    @classmethod
    def in_process(cls, server: Any, *, name: str | None = None, **options: Unpack[ServerOptions]) -> MCPServer:
        """Make one of a server object of the MCP SDK's in this process; most useful in tests.

        Args:
            server: A ``mcp.server.MCPServer`` or ``mcp.server.Server``.
            name: What it is called; default the server's own name.
            **options: See `ServerOptions`.
        """
        return cls(name or getattr(server, "name", None) or "server", server, **options)

    @classmethod
    def from_config(
        cls, path: str | Path | Mapping[str, Any], *, inputs: Inputs | None = None, **options: Unpack[ServerOptions]
    ) -> list[MCPServer]:
        """Make those of a configuration file as desktop clients have it: ``{"mcpServers": {…}}``, or VS Code's.

        Servers that the file disables are left out. One that can't be used, as a variable is not set, is among them
        and tells why when it is opened; the others go on.

        Args:
            path: The file, or what it holds.
            inputs: The values of VS Code's ``${input:id}``: by id, or a function that takes an input's definition.
            **options: For all of them, where the file doesn't say otherwise.

        Raises:
            UsageError: The file can't be read.
        """
        from agentrt.bridges.mcp.loading import servers_from  # noqa: PLC0415 - few read a file

        return servers_from(path, options, inputs)

    # --- how it stands

    @property
    def state(self) -> State:
        """``closed``, ``connecting``, ``ready`` or ``degraded``, on this event loop."""
        connection = self._here()
        return "closed" if connection is None else connection.state

    @property
    def error(self) -> AgentrtError | None:
        """Why it is not ready."""
        connection = self._here()
        return None if connection is None else connection.error

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        """The tools that it has now, by the names that the model sees."""
        return self.offered()

    @property
    def listed(self) -> tuple[Mapping[str, Any], ...]:
        """All tools as it lists them, those that are not offered too."""
        connection = self._here()
        return () if connection is None or connection.listing is None else connection.listing.tools

    @property
    def notes(self) -> list[str]:
        """What of its tools was left out or changed, and why, in sentences."""
        self.offered()
        connection = self._here()
        listed = () if connection is None or connection.listing is None else connection.listing.notes
        return [*listed, *self._made[3]]

    @property
    def seconds_to_connect(self) -> float:
        """How long it took to connect and to list the tools, when that was done last."""
        connection = self._here()
        return 0.0 if connection is None else connection.seconds

    @property
    def protocol_version(self) -> str | None:
        """The revision of MCP that is spoken; None while it is not connected."""
        connection = self._here()
        client = None if connection is None else connection.client
        return None if client is None else client.protocol_version

    @property
    def instructions(self) -> str | None:
        """What the server says of its use; not shown to a model unless you put it into the agent's instructions."""
        connection = self._here()
        client = None if connection is None else connection.client
        return None if client is None else client.instructions

    # --- as a source of tools

    @property
    def namespaces(self) -> Mapping[str, str]:
        """What the model reads about the namespace of its tools."""
        return {namespace_of(self.name): self.name} if self.settings.namespace else {}

    def offered(self, taken: Container[str] = ()) -> Mapping[str, Tool[..., Any]]:
        """Give the tools that it has now, by key; of two with one name one has the server's name before it.

        Args:
            taken: Keys that others have.
        """
        connection = self._here()
        if connection is None or connection.listing is None:
            return {}
        plain = () if self.settings.prefix else self._plain_names()
        key = frozenset(name for name in plain if name in taken)
        if self._made[0] is not connection.listing or self._made[1] != key:
            from agentrt.bridges.mcp.tool import tools_of  # noqa: PLC0415 - needs the SDK

            tools, notes = tools_of(self, connection.listing.tools, key)
            made: Mapping[str, Tool[..., Any]] = tools
            if self.settings.search:
                from agentrt.bridges.mcp.searching import search_tools  # noqa: PLC0415 - few want it

                made = search_tools(self.name, tools)
            if self.settings.resources or self.settings.prompts:
                from agentrt.bridges.mcp.extras import extra_tools  # noqa: PLC0415 - few want it

                made = {**extra_tools(self), **made}
            self._made = (connection.listing, key, made, notes)
            for note in notes:
                logger.warning("%s", note)
        return self._made[2]

    def _plain_names(self) -> list[str]:
        return [self.settings.rename.get(str(raw["name"]), str(raw["name"])) for raw in self.listed]

    def hold(self) -> None:
        """Begin to use it: it connects, if it isn't connected. Each use ends with `release`."""
        if self.problem is None:
            self.connection().hold()

    async def release(self) -> None:
        """End a use; after the last one it is closed when this returns. Raises nothing."""
        connection = self._here()
        if connection is not None:
            await connection.release()

    async def settled(self) -> str | None:
        """Wait until it is ready, or known to have failed; gives why it has no tools."""
        if self.problem is not None:
            return self.problem
        connection = self.connection()
        if connection.error is not None:  # it is tried again meanwhile; its tools stay, if it had any
            connection.demand()
            return None if connection.listing is not None else str(connection.error)
        try:
            with anyio.move_on_after(self.settings.wait):
                await connection.ready()
        except AgentrtError as error:
            return str(error)
        return None if self.state == "ready" else f"the MCP server {self.name!r} is still not ready"

    async def __aenter__(self) -> Self:
        """Connect; raises what keeps it from that."""
        connection = self.connection()
        connection.hold()
        try:
            await connection.ready()
        except BaseException:
            await connection.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, unless somebody else uses it. From any task, and as often as one likes."""
        await self.release()

    # --- requests

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
        asker: Asker | None = None,
    ) -> dict[str, Any]:
        """Call a tool of it by the server's own name, and give the result as it came: ``content``, ``isError``, ….

        Args:
            name: The tool's name.
            arguments: Its arguments.
            progress: Takes what the server tells meanwhile: how far, of how much (or None), a few words (or None).
            asker: Gives the values that the server asks a person for, or None to decline; default declines all.

        Raises:
            AgentrtError: The server can't be reached, was silent for too long, or refuses.
        """
        from agentrt.bridges.mcp.calling import call_tool  # noqa: PLC0415 - needs the SDK

        given = dict(arguments or {})
        return await call_tool(self.connection(), name, given, progress=progress, asker=asker or _declined)

    def _here(self) -> Connection | None:
        try:
            return self._connections.get()
        except (RuntimeError, LookupError):  # no event loop runs
            return None

    def connection(self) -> Connection:
        """Give the connection on this event loop, which need not be open; raises UsageError where there can be none."""
        if self.problem is not None:
            raise UsageError(self.problem)
        connection = self._connections.get()
        if connection is None:
            from agentrt.bridges.mcp.connection import Connection  # noqa: PLC0415 - needs the SDK

            connection = Connection(self.name, self.settings, self._link)
            self._connections.set(connection)
        return connection

    def _link(self) -> Link:
        from agentrt.bridges.mcp.link import InProcess, Outside  # noqa: PLC0415 - needs the SDK
        from agentrt.bridges.mcp.verdicts import launch_refusal  # noqa: PLC0415 - as above

        refusal = launch_refusal(self._lock(), self.name, self.launch, self.settings.pins)
        if refusal is not None:
            raise UsageError(refusal)
        if isinstance(self.way, StdioCommand | HttpEndpoint):
            return Outside(self.way, self.name)
        return InProcess(self.way)

    def _lock(self) -> LockFile:
        from agentrt.bridges.mcp.lock import LockFile  # noqa: PLC0415 - few pin

        return LockFile() if self.settings.lock is None else LockFile.load(self.settings.lock)

    def verdicts(self) -> Verdicts:
        """Hold what it lists now against what was approved; see `agentrt.bridges.mcp.verdicts.Verdicts`."""
        from agentrt.bridges.mcp.verdicts import check  # noqa: PLC0415 - few pin

        return check(self._lock(), self.name, self.launch, self.listed)

    def __repr__(self) -> str:
        """Show its name and how it is reached, without what is secret."""
        return f"MCPServer({self.name!r}, {self.way!r})"


def _launch_of(way: object) -> Mapping[str, Any]:
    if isinstance(way, StdioCommand):
        told = {"command": way.command, "args": way.args, "env": list(way.env), "cwd": way.cwd}
        return {**told, "inheritEnv": way.inherit_env}
    return {"url": way.url, "headers": list(way.headers)} if isinstance(way, HttpEndpoint) else {}


async def _declined(_: Question) -> None:
    """Decline whatever is asked."""


def _name_of(command: str, args: tuple[str, ...]) -> str:
    """Name a server after what it runs: ``npx -y @scope/server-files`` is called ``server-files``."""
    for part in args if Path(command).stem in ("npx", "uvx", "bunx", "pnpx") else ():
        if not part.startswith("-"):
            return Path(part.partition("@")[0] or part).name.partition("@")[0] or command
    scripts = [part for part in args if part.endswith((".py", ".js", ".ts", ".mjs"))]
    return Path(scripts[0]).stem if scripts else Path(command).stem
