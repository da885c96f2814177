"""Pins of MCP servers in ``mcp.lock.json``: how each is started, and what each of its tools said when it was approved.

The file is a decision of people, to be read, reviewed and committed: a run only reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentrt.errors import StoreError
from agentrt.wire.json import as_dict, is_dict, parse
from agentrt.wire.text import unmistakable

__all__ = ["PINNED_FIELDS", "LockFile", "Pin", "launch_hash", "pinned_fields", "tool_hash"]

PINNED_FIELDS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""What of a tool is pinned."""
_VERSION = 1
_MAX_FILE = 64 * 2**20


def pinned_fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Give what of a tool is pinned: what a model reads of it, and what is decided by."""
    return {key: raw[key] for key in PINNED_FIELDS if raw.get(key) is not None}


def tool_hash(raw: Mapping[str, Any]) -> str:
    """Give the hash of a tool.

    Args:
        raw: The tool as the server lists it.
    """
    return _hash(pinned_fields(raw))


def launch_hash(launch: Mapping[str, Any]) -> str:
    """Give the hash of how a server is started or reached.

    Values of variables and headers are left out, so that a new key needs no new approval. A configuration's entry is
    taken as written, before anything is expanded, so that no secret of the environment is hashed.

    Args:
        launch: ``command``, ``args``, ``env`` (a dict, or the names), ``envFile``, ``cwd``, ``inheritEnv``; or ``url``
            and ``headers`` (a dict, or the names). What is missing is empty, as all of it is for a server in process.
    """
    url = next((launch[key] for key in ("url", "serverUrl", "httpUrl") if launch.get(key) is not None), None)
    parts = {
        "command": launch.get("command"),
        "args": launch.get("args"),
        "env": _names(launch.get("env")),
        "envFile": launch.get("envFile"),
        "cwd": launch.get("cwd"),
        "inheritEnv": _names(launch.get("inheritEnv")),
        "url": url,
        "headers": sorted(name.lower() for name in _names(launch.get("headers"))),
        "type": url and launch.get("command") and (launch.get("type") or launch.get("transport")),
    }
    return _hash({key: part for key, part in parts.items() if part})


def _names(given: Any) -> list[str]:
    return sorted(str(name) for name in given) if hasattr(given, "__iter__") else []


def _hash(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


@dataclass(frozen=True)
class Pin:
    """What was approved of one server.

    Args:
        launch: Hash of how it is started.
        tools: Its tools' pinned fields, by name.
        approved_at: When, in UTC (ISO 8601).
    """

    launch: str
    tools: Mapping[str, Mapping[str, Any]]
    approved_at: str


@dataclass
class LockFile:
    """What was approved, of all servers.

    Args:
        servers: The pins by the servers' names. Those of servers that are not in use stay.
    """

    servers: dict[str, Pin] = field(default_factory=dict[str, Pin])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LockFile:
        """Read a lock file; one that doesn't exist approves of nothing.

        Raises:
            StoreError: It can't be read, is of another version, or its hashes don't fit what it holds.
        """
        try:
            with Path(path).open("rb") as file:
                content = file.read(_MAX_FILE + 1)
            root = as_dict(parse(content)) if len(content) <= _MAX_FILE else {}
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise _unusable(path, error) from None
        if root.get("version") != _VERSION:
            raise _unusable(path, f"it is not of version {_VERSION}, which this agentrt writes")
        if not is_dict(root.get("servers")):
            raise _unusable(path, "it has no servers")
        return cls({name: _read_pin(path, name, raw) for name, raw in root["servers"].items()})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, replacing it as a whole.

        Raises:
            StoreError: It can't be written; then the old one is as it was.
        """
        servers = {
            name: {
                "approved_at": pin.approved_at,
                "launch": pin.launch,
                "tools": {key: {"hash": _hash(tool), "definition": tool} for key, tool in pin.tools.items()},
            }
            for name, pin in self.servers.items()
        }
        text = json.dumps({"version": _VERSION, "servers": servers}, indent=2, sort_keys=True, ensure_ascii=False)
        target = Path(path)
        new = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
        try:
            try:
                with new.open("x", encoding="utf-8", newline="\n") as file:
                    file.write(_readable(text) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(target)
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(path, error) from None

    def approve(
        self,
        server: str,
        launch: Mapping[str, Any],
        raw_tools: Sequence[Mapping[str, Any]],
        *,
        only: Collection[str] | None = None,
    ) -> None:
        """Pin a server as it is now.

        Args:
            server: Its name.
            launch: How it is started; see `launch_hash`.
            raw_tools: Its tools, as it lists them.
            only: Names of the tools to pin. The others stay as they were pinned, and so does how a server that has a
                pin is started. Default all: then tools that are gone are forgotten.
        """
        now: dict[str, Mapping[str, Any]] = {str(raw["name"]): pinned_fields(raw) for raw in raw_tools}
        started, before = launch_hash(launch), self.servers.get(server)
        if only is not None:
            now = {name: tool for name, tool in now.items() if name in only}
            if before is not None:
                started = before.launch
                now = {**{name: tool for name, tool in before.tools.items() if name not in only}, **now}
        self.servers[server] = Pin(started, now, datetime.now(UTC).isoformat(timespec="seconds"))


def _read_pin(path: str | os.PathLike[str], name: str, raw: Any) -> Pin:
    launch, tools, when = (as_dict(raw).get(key) for key in ("launch", "tools", "approved_at"))
    if not isinstance(launch, str) or not is_dict(tools) or not isinstance(when, str):
        raise _unusable(path, f"what it says of the server {name!r} is incomplete")
    pinned: dict[str, Mapping[str, Any]] = {}
    for key, entry in tools.items():
        definition = as_dict(entry).get("definition")
        if not is_dict(definition) or as_dict(entry).get("hash") != _hash(definition):
            raise _unusable(path, f"the hash of the tool {key!r} of the server {name!r} doesn't fit its definition")
        pinned[key] = definition
    return Pin(launch, pinned, when)


def _unusable(path: str | os.PathLike[str], why: object) -> StoreError:
    return StoreError(
        f"the lock file {os.fspath(path)} can't be used: {why}. Take it back from version control, or move it away and "
        "pin the servers anew with: agentrt mcp lock"
    )


def _readable(text: str) -> str:
    """Write what can't be seen as JSON's escapes."""
    if text.isascii() and "\x7f" not in text:
        return text
    shown = (char if char == "\n" or unmistakable(char) == char else json.dumps(char)[1:-1] for char in text)
    return "".join(shown).replace("\x7f", "\\u007f")
