"""``agentrt mcp``: look at MCP servers, call their tools, pin them, and offer your own."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Generator, Sequence
from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentrt import AgentrtError, MCPServer, UsageError
from agentrt.bridges.mcp.endpoint import HttpEndpoint, OAuth
from agentrt.bridges.mcp.lock import LockFile
from agentrt.bridges.mcp.verdicts import check
from agentrt.cli import exits
from agentrt.cli.load import load_served
from agentrt.wire.text import visible

__all__ = ["mcp"]

T = TypeVar("T")
_FILES = ("mcp.json", ".mcp.json")
_LOGIN_SECONDS = 300.0

mcp = typer.Typer(no_args_is_help=True, help="MCP servers: look at them, call them, pin them, offer your own.")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The file with the servers; default mcp.json or .mcp.json here.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script instead.")]
ServerArgument = Annotated[str, typer.Argument(help="The server's name in the file.")]


@mcp.command("list")
def list_servers(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Connect to all servers at once, and say how each is doing."""
    rows = _run(functools.partial(_looked_at, _servers(config)))
    if json:
        typer.echo(dumps(rows, ensure_ascii=False))
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("server", "state", "protocol", "tools", "ms", ""):
            table.add_column(title, overflow="fold")
        for row in rows:
            style = "" if row["problem"] is None else "red"
            shown = (row["name"], row["state"], row["protocol"] or "", str(len(row["tools"])), f"{row['ms']:.0f}")
            table.add_row(*(Text(visible(text), style) for text in shown), Text(visible(row["problem"] or ""), style))
        Console(file=sys.stdout, highlight=False, soft_wrap=True).print(table)
    raise typer.Exit(exits.OK if all(row["problem"] is None for row in rows) else exits.NO_ANSWER)


async def _looked_at(servers: Sequence[MCPServer]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}

    async def look(server: MCPServer) -> None:
        server.hold()
        try:
            problem = await server.settled()
            rows[server.name] = {
                "name": server.name,
                "state": "unusable" if server.problem else server.state,
                "protocol": server.protocol_version,
                "tools": list(server.tools),
                "ms": server.seconds_to_connect * 1000,
                "problem": problem,
                "notes": server.notes,
            }
        finally:
            await server.release()

    async with anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(look, server)
    return [rows[server.name] for server in servers]


@mcp.command()
def inspect(server: ServerArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what a server says of itself and of its tools, with whatever is invisible made visible."""
    told = _run(functools.partial(_inspected, _server(config, server)))
    if json:
        typer.echo(dumps(told, ensure_ascii=False))
        return
    console = Console(file=sys.stdout, highlight=False)
    console.print(Text.assemble((visible(told["name"]), "bold"), f"  MCP {told['protocol']}"))
    if told["instructions"]:
        console.print(Text(visible(told["instructions"]), "dim"), soft_wrap=True)
    for tool in told["tools"]:
        approval = "  asks for approval" if tool["approval"] else ""
        console.print(Text.assemble("\n", (tool["name"], "bold"), f"  {tool['effect']}{approval}"), soft_wrap=True)
        console.print(Text(f"  {tool['description']}"), soft_wrap=True)
        console.print(Text(f"  {dumps(tool['parameters'], ensure_ascii=False)}", "dim"), soft_wrap=True)
    for note in told["notes"]:
        console.print(Text(f"note: {visible(note)}", "yellow"), soft_wrap=True)


async def _inspected(server: MCPServer) -> dict[str, Any]:
    from agentrt.bridges.mcp.tool import MCPTool  # noqa: PLC0415 - needs the SDK

    async with server:
        tools = [
            {
                "name": tool.key,
                "original": tool.original,
                "description": tool.description,
                "effect": tool.effect,
                "approval": tool.approval is not False,
                "parameters": tool.parameters,
                "raw": dict(tool.raw),
            }
            for tool in server.tools.values()
            if isinstance(tool, MCPTool)
        ]
        return {
            "name": server.name,
            "protocol": server.protocol_version,
            "instructions": server.instructions,
            "tools": tools,
            "notes": server.notes,
        }


@mcp.command()
def call(
    server: ServerArgument,
    tool: Annotated[str, typer.Argument(help="The tool, by the server's own name for it.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments as a JSON object; - reads them from stdin.")] = "{}",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Call a tool once and print what it gave."""
    try:
        given = loads(sys.stdin.read() if arguments == "-" else arguments)
    except ValueError as error:
        raise UsageError(f'the arguments are no JSON: {error}; write such as \'{{"city": "Paris"}}\'') from error
    if not isinstance(given, dict):
        raise UsageError('the arguments are a JSON object, such as \'{"city": "Paris"}\'')
    result = _run(functools.partial(_called, _server(config, server), tool, given))
    if json:
        typer.echo(dumps(result, ensure_ascii=False))
    else:
        from agentrt.bridges.mcp.outputs import encode_result  # noqa: PLC0415 - needs the SDK
        from agentrt.registry.output import output_text  # noqa: PLC0415

        typer.echo(visible(output_text(encode_result(result).value)))
    raise typer.Exit(exits.NO_ANSWER if result.get("isError") else exits.OK)


async def _called(server: MCPServer, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    async with server:
        return await server.call(_own_names(server).get(tool, tool), arguments)


def _own_names(server: MCPServer) -> dict[str, str]:
    """Give the server's own names for its tools, by those that a model sees."""
    from agentrt.bridges.mcp.tool import MCPTool  # noqa: PLC0415 - needs the SDK

    return {key: tool.original for key, tool in server.tools.items() if isinstance(tool, MCPTool)}


@mcp.command()
def login(server: ServerArgument, config: ConfigOption = None) -> None:
    """Log in to a server by the browser; what comes of it is kept for the next time."""
    found = _server(config, server)
    if not isinstance(found.way, HttpEndpoint):
        raise UsageError(f"{server!r} is no server that is reached over HTTP, so there is nothing to log in to")
    given = found.way.auth if isinstance(found.way.auth, OAuth) else OAuth()
    found.way = dataclasses.replace(found.way, auth=dataclasses.replace(given, on_browser=_browse))
    found.settings = dataclasses.replace(found.settings, connect_timeout=_LOGIN_SECONDS)
    _, listed, _ = _run(functools.partial(_looked_into, found))
    typer.echo(f"{visible(server)}: logged in, {len(listed)} tools")


def _browse(url: str) -> None:
    typer.echo(f"log in at {url}", err=True)
    webbrowser.open(url)


LockOption = Annotated[Path, typer.Option("--lock", help="The file with what was approved.")]
NamesArgument = Annotated[list[str] | None, typer.Argument(help="Names of servers; default all of the file.")]
_LOCK = Path("mcp.lock.json")


@mcp.command()
def lock(names: NamesArgument = None, config: ConfigOption = None, lock: LockOption = _LOCK) -> None:
    """Approve of servers as they are now: how they are started, and what each of their tools says."""
    pinned = LockFile.load(lock)
    found, bad = _run(functools.partial(_listed, _chosen(config, names)))
    for server, listed in found:
        pinned.approve(server.name, server.launch, listed)
        typer.echo(f"{visible(server.name)}: {len(listed)} tools approved")
    pinned.save(lock)
    raise typer.Exit(exits.NO_ANSWER if bad else exits.OK)


@mcp.command()
def approve(
    server: ServerArgument,
    tools: Annotated[list[str] | None, typer.Argument(help="Names of its tools; default the server as it is.")] = None,
    config: ConfigOption = None,
    lock: LockOption = _LOCK,
) -> None:
    """Approve of a server, or of some of its tools, as they are now; look at them with diff before."""
    pinned = LockFile.load(lock)
    found, listed, shown = _run(functools.partial(_looked_into, _server(config, server)))
    names = {shown.get(name, name) for name in tools or ()}
    unknown = names - {str(raw["name"]) for raw in listed}
    if unknown:
        raise UsageError(f"the server {server!r} has no tool {min(unknown)!r}; it has {', '.join(shown.values())}")
    pinned.approve(server, found.launch, listed, only=names or None)
    pinned.save(lock)
    typer.echo(f"{visible(server)}: approved {', '.join(map(visible, tools or ['all of it']))}")


@mcp.command()
def diff(names: NamesArgument = None, config: ConfigOption = None, lock: LockOption = _LOCK) -> None:
    """Show what is not as it was approved; the exit code is 1 if there is anything."""
    pinned = LockFile.load(lock)
    different = False
    found, bad = _run(functools.partial(_listed, _chosen(config, names)))
    for server, listed in found:
        verdicts = check(pinned, server.name, server.launch, listed)
        for note in verdicts.notes:
            typer.echo(note)
        for tool, lines in verdicts.diffs.items():
            typer.echo(f"\n{visible(tool)}\n{lines}")
        different = different or bool(verdicts.notes)
    raise typer.Exit(exits.NO_ANSWER if different or bad else exits.OK)


async def _listed(servers: Sequence[MCPServer]) -> tuple[list[tuple[MCPServer, tuple[Any, ...]]], bool]:
    """List the tools of servers; gives also whether one of them could not be asked, which is told."""
    found: list[tuple[MCPServer, tuple[Any, ...]]] = []
    for server in servers:
        try:
            async with server:
                found.append((server, server.listed))
        except AgentrtError as error:
            typer.echo(f"agentrt: {visible(str(error))}", err=True)
    return found, len(found) < len(servers)


async def _looked_into(server: MCPServer) -> tuple[MCPServer, tuple[Any, ...], dict[str, str]]:
    async with server:
        return server, server.listed, _own_names(server)


def _chosen(config: Path | None, names: Sequence[str] | None) -> list[MCPServer]:
    return [_server(config, name) for name in names] if names else _servers(config)


@mcp.command()
def serve(
    spec: Annotated[
        str, typer.Argument(help="module:object or file.py:object: an agent, a registry, a tool; or a module.")
    ],
    transport: Annotated[Literal["stdio", "http"], typer.Option(help="How clients reach it.")] = "stdio",
    name: Annotated[str | None, typer.Option(help="What clients are told it is called.")] = None,
    host: Annotated[str, typer.Option(help="Of http: the address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of http: the port.")] = 8000,
    token_env: Annotated[
        str | None, typer.Option(help="Of http: the environment variable with the token that clients must send.")
    ] = None,
) -> None:
    """Offer tools or an agent to MCP clients such as Claude Desktop, Cursor or VS Code."""
    from agentrt import serve_mcp  # noqa: PLC0415 - needs the SDK

    token = None if token_env is None else os.environ.get(token_env)
    if token_env is not None and not token:
        raise UsageError(
            f"the environment variable {token_env} is not set; set it to the token, or leave --token-env out"
        )
    with _diverted() if transport == "stdio" else contextlib.nullcontext():
        served = load_served(spec)
    serve_mcp(served, transport=transport, name=name, host=host, port=port, token=token)


@contextlib.contextmanager
def _diverted() -> Generator[None]:
    """Let what a module prints while it is imported go to stderr: stdout is the wire."""
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


# --- the file


def _servers(config: Path | None) -> list[MCPServer]:
    path = config or next((Path(name) for name in _FILES if Path(name).is_file()), None)
    if path is None:
        raise UsageError(f"there is no {' or '.join(_FILES)} in this folder; name the file with --config")
    return MCPServer.from_config(path)


def _server(config: Path | None, name: str) -> MCPServer:
    servers = {server.name: server for server in _servers(config)}
    if name not in servers:
        raise UsageError(f"the file has no server {name!r}; it has {', '.join(servers)}")
    return servers[name]


def _run(function: Callable[[], Awaitable[T]]) -> T:
    logging.getLogger("agentrt.mcp").setLevel(logging.ERROR)  # what is wrong is told once, by the command
    return anyio.run(function)
