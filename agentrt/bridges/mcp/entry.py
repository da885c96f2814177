"""One server of a configuration, as desktop clients and editors write it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from agentrt.bridges.mcp.expand import Flaw, Scope, dotenv, read_bounded
from agentrt.bridges.mcp.jsonc import Table
from agentrt.bridges.mcp.settings import PROTOCOLS
from agentrt.wire.json import dump, is_dict, is_list
from agentrt.wire.text import unmistakable

__all__ = ["ServerEntry", "place_in", "read_entry"]

_TYPES = {"stdio": "stdio", "local": "stdio", "http": "http", "streamablehttp": "http", "sse": "sse"}
_URLS = ("url", "serverUrl", "httpUrl")
_ALLOW = ("enabledTools", "includeTools", "tools")
_DENY = ("disabledTools", "excludeTools")
_APPROVE = ("autoApprove", "alwaysAllow")
_KNOWN = frozenset({
    "command", "args", "env", "envFile", "cwd", "inheritEnv", *_URLS, "headers", "oauth", "auth", "type", "transport",
    "disabled", "enabled", *_ALLOW, *_DENY, *_APPROVE, "timeout", "connectTimeout",
    "protocol", "trusted", "description",
})  # fmt: skip
_OAUTH = {
    "clientId": "client_id",
    "CLIENT_ID": "client_id",
    "clientSecret": "client_secret",
    "CLIENT_SECRET": "client_secret",
    "scopes": "scopes",
    "scope": "scopes",
    "clientMetadataUrl": "client_metadata_url",
    "callbackPort": "redirect_port",
    "redirectPort": "redirect_port",
    "principal": "principal",
    "grant": "grant",
    "issuer": "issuer",
}
"""What files call the arguments of `agentrt.bridges.mcp.endpoint.OAuth`."""
_UNKNOWN = "not known to agentrt; it is kept and not used"
_MAX_ENV_FILE = 2**20
_MILLISECONDS_FROM = 1000
_LIKELY_SECONDS = 3600
_MAX_TIMEOUT = 1e12


@dataclass(frozen=True, kw_only=True)
class ServerEntry:
    """One server of a configuration. Values that were expanded are never shown.

    Args:
        name: What the file calls it.
        command: The program of a server that is started here.
        args: Its arguments.
        env: Variables for it: those of ``envFile``, then those of ``env``.
        cwd: Its working directory.
        inherit_env: Further variables of this process that it may see.
        url: The address of a server that is reached over HTTP.
        headers: Headers for each request.
        sse: Whether it speaks the HTTP+SSE transport of revision 2024-11-05.
        oauth: How to log in there: arguments of `agentrt.bridges.mcp.endpoint.OAuth`; None for no login.
        disabled: Whether the file switches it off. Then nothing of it is expanded, and no input asked for.
        problem: Why it can't be used, beginning with the place in the file; None where it can.
        allow: Names or globs of the tools to offer; None for all.
        deny: Names or globs of those not to offer.
        timeout: Seconds that a call may take; None where the file doesn't say.
        connect_timeout: Seconds until it must be connected; None where the file doesn't say.
        protocol: The revision of MCP, or ``"auto"``.
        trusted: Whether what it says of its tools' effects counts.
        approve: Names or globs of tools that run without being asked for where approval is asked for otherwise. By
            itself it makes nothing ask.
        description: What the file says of it; for people.
        extra: What else stands in the entry: it is kept and not used.
        written: The entry as written, before anything was expanded.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    inherit_env: tuple[str, ...] = ()
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    sse: bool = False
    oauth: Mapping[str, Any] | None = None
    disabled: bool = False
    problem: str | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    timeout: float | None = None
    connect_timeout: float | None = None
    protocol: str = "auto"
    trusted: bool = False
    approve: tuple[str, ...] = ()
    description: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    written: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        """Show the name and how it stands; everything else may hold a secret."""
        state = "disabled" if self.disabled else self.problem or ("stdio" if self.url is None else "http")
        return f"ServerEntry({self.name!r}, {state})"


def read_entry(name: str, raw: Any, at: str, scope: Scope, warnings: list[str]) -> ServerEntry:
    """Read one server.

    Args:
        name: What the file calls it.
        raw: Its entry.
        at: Where that is in the file.
        scope: What its texts may stand for.
        warnings: Takes what of it is not used or may be meant otherwise.
    """
    if not is_dict(raw):
        return ServerEntry(name=name, problem=f'{at}: must be an object, such as {{"command": "…"}}')
    extra = {key: value for key, value in raw.items() if key not in _KNOWN}
    warnings += [f"{place_in(at, key)}: {_UNKNOWN}" for key in extra]
    reader = _Reader(raw, scope)
    try:
        for twice in _repeated(raw):
            raise Flaw("is there twice; keep one", twice)
        if reader.flag("disabled") or not reader.flag("enabled", default=True):
            return ServerEntry(name=name, disabled=True, extra=extra, written=raw)
        told = {**reader.way(), **reader.rules()}
    except Flaw as flaw:
        return ServerEntry(name=name, problem=f"{at}{flaw.at}: {flaw}", extra=extra, written=raw)
    warnings += [f"{at}{note}" for note in reader.notes]
    return ServerEntry(name=name, extra=extra, written=raw, **told)


class _Reader:
    """Reads one entry; each of its methods raises Flaw for what can't be used."""

    def __init__(self, raw: Mapping[str, Any], scope: Scope) -> None:
        self.raw = raw
        self.scope = scope
        self.notes: list[str] = []

    def way(self) -> dict[str, Any]:
        """Read how the server is reached."""
        kind = self._kind()
        if kind == "stdio":
            cwd = self._text("cwd", home=True)
            return {
                "command": self._text("command", home=True),
                "args": self._args(),
                "env": self._env(),
                "cwd": None if cwd is None else str(self.scope.folder / cwd),
                "inherit_env": self._names("inheritEnv") or (),
            }
        key = next(key for key in _URLS if self.raw.get(key) is not None)
        url = self._text(key) or ""
        path = _path_of(url)
        if path is None:
            raise Flaw("must be a full address, such as https://example.com/mcp", place_in("", key))
        headers = self._values("headers")
        for name, value in headers.items():
            if not name or not (name + value).isprintable():
                raise Flaw("a header is one line of text; remove what is not", place_in(".headers", name))
        return {
            "url": url,
            "headers": headers,
            "sse": kind == "sse" or (kind is None and path.rstrip("/").endswith("/sse")),
            "oauth": self._oauth(),
        }

    def rules(self) -> dict[str, Any]:
        """Read what is made of the server."""
        allow = [names for key in _ALLOW if (names := self._names(key)) is not None and "*" not in names]
        protocol = self.raw.get("protocol") or "auto"
        if protocol not in PROTOCOLS:
            raise Flaw(f"must be one of {', '.join(PROTOCOLS)}", ".protocol")
        description = self.raw.get("description")
        return {
            "allow": tuple(name for name in allow[0] if all(name in names for names in allow)) if allow else None,
            "deny": tuple(name for key in _DENY for name in self._names(key) or ()),
            "approve": tuple(name for key in _APPROVE for name in self._names(key) or ()),
            "timeout": self._timeout(),
            "connect_timeout": self._seconds("connectTimeout"),
            "protocol": protocol,
            "trusted": self.flag("trusted"),
            "description": description if isinstance(description, str) else None,
        }

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Read a switch."""
        value = self.raw.get(key)
        if value is not None and not isinstance(value, bool):
            raise Flaw("must be true or false", place_in("", key))
        return default if value is None else value

    def _kind(self) -> str | None:
        """Give ``stdio``, ``http`` or ``sse``; None for an address without a type."""
        key = "type" if self.raw.get("type") is not None else "transport"
        given = self.raw.get(key)
        kind = None if given is None else _TYPES.get(re.sub("[-_ ]", "", str(given).lower()))
        has_command = self.raw.get("command") is not None
        has_url = any(self.raw.get(name) is not None for name in _URLS)
        if given is not None and kind is None:
            raise Flaw("must be stdio, http or sse; agentrt speaks no other", place_in("", key))
        if kind is None and has_command and has_url:
            raise Flaw("has a command and a url; remove one, or say which with type")
        if kind is None and not has_command and not has_url:
            raise Flaw("has neither a command nor a url; give it one")
        if kind == "stdio" and not has_command:
            raise Flaw("its type is stdio, which needs a command; give it one, or correct the type")
        if kind in ("http", "sse") and not has_url:
            raise Flaw(f"its type is {kind}, which needs a url; give it one, or correct the type")
        return "stdio" if kind is None and has_command else kind

    def _text(self, key: str, *, home: bool = False) -> str | None:
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise Flaw("must be a text", place_in("", key))
        expanded = self._expanded(value, place_in("", key), home=home)
        if not expanded:
            raise Flaw("is empty; give it a value, or remove it", place_in("", key))
        return expanded

    def _expanded(self, value: str, at: str, *, home: bool = False) -> str:
        try:
            return self.scope.expand(value, home=home)
        except Flaw as flaw:
            raise Flaw(str(flaw), at) from None

    def _args(self) -> tuple[str, ...]:
        given = self.raw.get("args")
        if given is not None and not is_list(given):
            raise Flaw('must be a list, such as ["-y", "package"]', ".args")
        return tuple(self._value(value, f".args[{index}]") for index, value in enumerate(given or ()))

    def _env(self) -> dict[str, str]:
        variables: dict[str, str] = {}
        file = self._text("envFile", home=True)
        try:
            if file is not None:
                variables = dotenv(read_bounded(self.scope.folder / file, _MAX_ENV_FILE, self.raw["envFile"]))
        except Flaw as flaw:
            raise Flaw(str(flaw), ".envFile") from None
        variables.update(self._values("env"))
        for name in variables:
            if not name or "=" in name or "\0" in name:
                raise Flaw("no environment variable can have this name; rename it", place_in(".env", name))
        return variables

    def _values(self, key: str) -> dict[str, str]:
        table = self.raw.get(key)
        if table is not None and not is_dict(table):
            raise Flaw('must be an object, such as {"NAME": "value"}', place_in("", key))
        at = place_in("", key)
        return {
            name: self._value(value, place_in(at, name)) for name, value in (table or {}).items() if value is not None
        }

    def _value(self, value: Any, at: str) -> str:
        """Read a value that must be a text for the server; clients let it be written as a number, too."""
        if isinstance(value, str):
            return self._expanded(value, at)
        if not isinstance(value, bool | int | float) or not math.isfinite(value):
            raise Flaw("must be a text, a number, true or false", at)
        return dump(int(value) if isinstance(value, float) and value.is_integer() else value).decode()

    def _names(self, key: str) -> tuple[str, ...] | None:
        given = self.raw.get(key)
        if given is None:
            return None
        if not is_list(given) or not all(isinstance(name, str) for name in given):
            raise Flaw("must be a list of names", place_in("", key))
        return tuple(given)

    def _oauth(self) -> dict[str, Any] | None:
        """Read a login: ``oauth`` (Claude Code, VS Code) or ``auth`` (Cursor, fastmcp)."""
        key = "oauth" if self.raw.get("oauth") is not None else "auth"
        given = self.raw.get(key)
        if given is None or given is False:
            return None
        if given is True or given == "oauth":
            return {}
        if not is_dict(given):
            raise Flaw("must be an object, or true; a token goes into headers, as Authorization", place_in("", key))
        told: dict[str, Any] = {}
        for name, value in given.items():
            place = place_in(place_in("", key), name)
            if name in _OAUTH:
                told[_OAUTH[name]] = self._expanded(value, place) if isinstance(value, str) else value
            else:
                self.notes.append(f"{place}: {_UNKNOWN}")
        return told

    def _timeout(self) -> float | None:
        """Read ``timeout``: milliseconds from 1,000 on, seconds below.

        It is milliseconds in Claude Code (which ignores less than 1,000), Gemini CLI, Copilot and fastmcp, and seconds
        in Cline and Roo Code.
        """
        value = self._seconds("timeout")
        if value is None or value < _MILLISECONDS_FROM:
            return value
        if value <= _LIKELY_SECONDS:
            self.notes.append(
                f".timeout: {value:g} is read as milliseconds; if seconds are meant, write {value * 1000:.0f}"
            )
        return value / 1000

    def _seconds(self, key: str) -> float | None:
        value = self.raw.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value < _MAX_TIMEOUT):
            raise Flaw("must be a number, more than 0", place_in("", key))
        return float(value)


def _path_of(url: str) -> str | None:
    """Give the path of an address; None where it is none."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts.path if named else None


def _repeated(value: Any, at: str = "") -> Iterator[str]:
    """Give the places of keys that are there twice, at any depth."""
    if isinstance(value, Table):
        yield from (place_in(at, key) for key in value.repeated)
    children: Sequence[tuple[str, Any]] = ()
    if is_dict(value):
        children = [(place_in(at, key), child) for key, child in value.items()]
    elif is_list(value):
        children = [(f"{at}[{index}]", child) for index, child in enumerate(value)]
    for place, child in children:
        yield from _repeated(child, place)


def place_in(parent: str, key: str) -> str:
    """Give a place in a JSON file, such as ``mcpServers.github.env.TOKEN``."""
    if re.fullmatch(r"[\w-]+", key, re.ASCII):
        return f"{parent}.{key}"
    return f"{parent}[{dump(unmistakable(key)).decode()}]"
