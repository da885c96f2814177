"""Configuration files that name MCP servers, as desktop clients and editors have them. Nothing here connects.

Read are ``{"mcpServers": {…}}`` (Claude Desktop and Code, Cursor, Windsurf, Copilot) and VS Code's ``{"servers": {…},
"inputs": […]}``, which its ``settings.json`` has under ``mcp``. What is wrong with one server is that server's problem;
the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrt.bridges.mcp.entry import ServerEntry, place_in, read_entry
from agentrt.bridges.mcp.expand import Flaw, Inputs, Scope, read_bounded
from agentrt.bridges.mcp.jsonc import Table, parse_jsonc
from agentrt.errors import UsageError
from agentrt.wire.json import as_dict, as_dicts, dump

__all__ = ["Config", "Inputs", "ServerEntry", "read_config"]

_OF_EDITORS = frozenset({".vscode", ".cursor", ".windsurf", ".github", ".claude", ".roo"})
"""Folders of an editor's in a project; the project is the folder that they are in."""
_MAX_CONFIG = 4 * 2**20


@dataclass(frozen=True)
class Config:
    """What a configuration says.

    Args:
        servers: Its servers, in its order, disabled and unusable ones too.
        warnings: What in it is not used or may be meant otherwise, in sentences that show no value.
        path: The file; None where it was given as a dict.
    """

    servers: tuple[ServerEntry, ...]
    warnings: tuple[str, ...]
    path: Path | None


def read_config(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    inputs: Inputs | None = None,
) -> Config:
    """Read the MCP servers that a configuration names.

    Args:
        source: The file, or what it holds.
        environ: The variables that ``${VAR}`` reads; default this process's.
        inputs: The values of VS Code's ``${input:id}``: by id, or a function that takes an input's definition
            (``id``, ``type``, ``description``, ``password``, ``options``, …) and gives its value or None. It is asked
            once per input, and only for servers that are not disabled. Without a value the input's default counts.

    Raises:
        UsageError: The file can't be read, is no JSON, or names no servers.
    """
    path = None if isinstance(source, Mapping) else Path(source)
    where = "the MCP configuration" if path is None else f"the MCP configuration {path}"
    root = _parsed(dict(source) if isinstance(source, Mapping) else Path(source), where)
    tables = list(_tables(root, where))
    asked = {str(given.get("id")): given for _, holder, _ in tables for given in as_dicts(holder.get("inputs"))}
    base = Path.cwd() if path is None else path.absolute().parent
    folder = base.parent if base.name in _OF_EDITORS else base
    scope = Scope(os.environ if environ is None else environ, base, folder, asked, inputs)
    warnings: list[str] = []
    servers: dict[str, ServerEntry] = {}
    for at, _, table in tables:
        for name, raw in table.items():
            place = place_in(at, name)
            if not name:
                warnings.append(f"{place}: a server without a name is left out; give it one")
            elif name in table.repeated or name in servers:
                twice = f"{place}: there are two servers of this name; rename or remove one"
                servers[name] = ServerEntry(name=name, problem=twice)
            else:
                servers[name] = read_entry(name, raw, place, scope, warnings)
    if not tables:
        raise UsageError(
            f'{where} names no servers; it needs {{"mcpServers": {{"name": {{"command": "…"}}}}}}, or '
            '{"servers": {…}} as VS Code has it'
        )
    return Config(tuple(servers.values()), tuple(warnings), path)


def _parsed(source: Path | dict[str, Any], where: str) -> Any:
    try:
        if isinstance(source, Path):
            return parse_jsonc(read_bounded(source, _MAX_CONFIG, str(source)))
        return parse_jsonc(dump(source).decode())
    except Flaw as flaw:
        raise UsageError(f"{where} can't be read: {flaw}") from None
    except ValueError as error:
        raise UsageError(f"{where} is no JSON: {error}; correct it there") from None


def _tables(root: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any], Table]]:
    """Give what holds servers: its place, what it stands in, and itself."""
    for prefix, holder in (("", root), ("mcp.", as_dict(root).get("mcp"))):
        for key in ("mcpServers", "servers"):
            if not isinstance(holder, Table) or key not in holder:
                continue
            if key in holder.repeated:
                raise UsageError(f"{where} has {prefix}{key} twice; put all servers into one")
            table = holder[key]
            if not isinstance(table, Table):
                raise UsageError(f'{where}: {prefix}{key} must be an object, such as {{"name": {{"command": "…"}}}}')
            yield f"{prefix}{key}", holder, table
