"""How a server is reached, and what is made of its tools. Nothing here connects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypedDict, cast, get_args

from agentrt.bridges.mcp.sampling import Sampling
from agentrt.bridges.mcp.verdicts import Mode
from agentrt.errors import UsageError
from agentrt.registry.names import wire_name

__all__ = ["PROTOCOLS", "ServerOptions", "Settings", "settings_from"]

PROTOCOLS = ("auto", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
"""Revisions of MCP; the last one has no handshake."""

Chosen = bool | Sequence[str] | Callable[[str, dict[str, Any]], bool]
Filter = Sequence[str] | Callable[[Mapping[str, Any]], bool]


class ServerOptions(TypedDict, total=False):
    """What may be said of a server beside how it is reached."""

    protocol: str
    """The revision of MCP, such as ``"2025-11-25"``; default ``"auto"``: the newest that both sides know. To name an
    older one saves the 10 seconds that a server costs which ignores the question."""
    connect_timeout: float
    """Seconds until it must be connected and have listed its tools; default 30."""
    call_timeout: float
    """Seconds of silence after which a call is given up; each progress that the server tells starts them anew. Default
    60."""
    max_call_seconds: float
    """Seconds that a call may take in all, whatever progress is told; default 600."""
    wait: float | None
    """Seconds that a run waits for the server before its first turn; default until it is connected or has failed. Later
    its tools are there from the next turn on."""
    allow: Filter | None
    """Which tools to offer: names or globs such as ``"read_*"``, or a function of the tool as the server lists it."""
    deny: Sequence[str]
    """Which not to offer, of those."""
    rename: Mapping[str, str]
    """Other names for tools, by the server's name for them."""
    prefix: bool
    """Whether the model sees ``server__tool``, which is unique (default), or the tool's own name where that is free."""
    namespace: bool
    """Whether the tools stand in a namespace of the server's name, for providers that know these."""
    defer_loading: bool
    """Let the model find the tools by a search, for providers that have one: see `agentrt.builtin.ToolSearch`."""
    search: bool
    """Offer two tools instead of all: one that finds tools by words, one that calls what was found. For large sets,
    with any provider."""
    trusted: bool
    """Whether what the server says of its tools' effects counts; else all of them are unsafe."""
    approval: Chosen
    """Which calls need somebody's word: True for all, names or globs, or a function of a tool's name and arguments."""
    roots: Sequence[str | Path]
    """Folders that the server is told it may work in; it is told of none by default."""
    resources: bool
    """Whether the model may list and read the server's resources, by two more tools."""
    prompts: bool
    """Whether the model may list and get the server's prompts, by two more tools."""
    sampling: Sampling | None
    """Lets the server ask a model through your client; by default it can't."""
    lock: str | Path | None
    """The file with what was approved of servers and their tools, ``mcp.lock.json``: see ``agentrt mcp lock``."""
    pins: Mode
    """What is done about what is not as it was approved: ``"enforce"`` keeps it back, ``"warn"`` logs it; default
    ``"enforce"`` with a lock, else ``"off"``."""
    max_tools: int
    """Tools to take at most; default 512."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A server's options, checked; see `ServerOptions`."""

    protocol: str = "auto"
    connect_timeout: float = 30.0
    call_timeout: float = 60.0
    max_call_seconds: float = 600.0
    wait: float | None = None
    allow: Filter | None = None
    deny: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    prefix: bool = True
    namespace: bool = False
    defer_loading: bool = False
    search: bool = False
    trusted: bool = False
    approval: Chosen = False
    roots: Sequence[str | Path] = ()
    resources: bool = False
    prompts: bool = False
    sampling: Sampling | None = None
    lock: str | Path | None = None
    pins: Mode = "off"
    max_tools: int = 512

    @property
    def mode(self) -> str:
        """The SDK's word for the protocol: it has one for all revisions with a handshake."""
        return self.protocol if self.protocol in ("auto", PROTOCOLS[-1]) else "legacy"

    def offers(self, raw: Mapping[str, Any], alias: str) -> bool:
        """Tell whether a tool is offered, by what the server says of it.

        Args:
            raw: The tool.
            alias: The server's name.
        """
        name = str(raw.get("name"))
        if any(_means(glob, name, alias) for glob in self.deny):
            return False
        if self.allow is None:
            return True
        return bool(self.allow(raw)) if callable(self.allow) else any(_means(glob, name, alias) for glob in self.allow)

    def without_use(self, names: Sequence[str], alias: str) -> list[str]:
        """Say which of the names and globs that were given mean no tool: most likely they are misspelt.

        Args:
            names: The names of all tools that the server lists.
            alias: The server's name.
        """
        given: dict[str, Any] = {"allow": self.allow, "deny": self.deny, "approval": self.approval}
        globs = [(option, glob) for option, value in given.items() if is_strings(value) for glob in value]
        globs += [("rename", name) for name in self.rename]
        return [
            f"{option}= names {glob!r}, but {alias!r} has no such tool; it has {', '.join(names[:_SHOWN])}"
            for option, glob in globs
            if not any(_means(glob, name, alias) for name in names)
        ]

    def approval_of(self, name: str, alias: str) -> bool | Callable[[dict[str, Any]], bool]:
        """Give the ``approval=`` of a tool.

        Args:
            name: The tool's name.
            alias: The server's name.
        """
        if isinstance(self.approval, bool):
            return self.approval
        if callable(self.approval):
            asked = self.approval
            return lambda arguments: asked(name, arguments)
        return any(_means(glob, name, alias) for glob in self.approval)


def is_strings(value: object) -> bool:
    """Tell whether it is a list of names; a function that decides is none."""
    return isinstance(value, list | tuple | set | frozenset)


def _means(glob: str, name: str, alias: str) -> bool:
    """Tell whether a glob means a tool, by the server's name for it or with the server's own before it."""
    return fnmatchcase(name, glob) or fnmatchcase(f"{alias}__{name}", glob)


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Check a server's options.

    Raises:
        UsageError: One of them is unknown, of a wrong type or out of range.
    """
    for name, value in options.items():
        if name not in ServerOptions.__annotations__:
            meant = (
                f"write {_MEANT[name]}" if name in _MEANT else f"there are {', '.join(ServerOptions.__annotations__)}"
            )
            raise UsageError(f"an MCP server has no option {name!r}; {meant}")
        if name in _SECONDS and not (_is_number(value) and value > 0) and not (name == "wait" and value is None):
            raise UsageError(f"{name}= is a number of seconds, more than 0, not {value!r:.100}")
        if name in _FLAGS and not isinstance(value, bool):
            raise UsageError(f"{name}= is True or False, not {value!r:.100}")
        if name in ("allow", "deny", "approval", "roots") and isinstance(value, str):
            raise UsageError(f"{name}= takes a list of names, such as {name}=[{value!r}]")
    if not isinstance(options.get("sampling"), Sampling | None):
        raise UsageError("sampling= takes Sampling(client=…, model=…, allow=…) of agentrt.bridges.mcp.sampling")
    if options.get("pins", "off") not in get_args(Mode):
        raise UsageError(f"pins= is one of {', '.join(get_args(Mode))}, not {options['pins']!r:.100}")
    if options.get("pins", "off") != "off" and options.get("lock") is None:
        raise UsageError("pins= needs lock=, the file with what was approved, such as lock='mcp.lock.json'")
    if options.get("lock") is not None:
        options = {"pins": "enforce", **options}
    settings = Settings(**options)
    if settings.protocol not in PROTOCOLS:
        raise UsageError(f"protocol= is one of {', '.join(PROTOCOLS)}, not {settings.protocol!r:.100}")
    if not isinstance(cast("Any", settings.max_tools), int) or settings.max_tools < 1:
        raise UsageError(f"max_tools= is a whole number, 1 or more, not {settings.max_tools!r:.100}")
    return settings


def namespace_of(alias: str) -> str:
    """Give the namespace that a server's tools stand in."""
    return wire_name(alias)


_SHOWN = 20
_SECONDS = ("connect_timeout", "call_timeout", "max_call_seconds", "wait")
_FLAGS = ("prefix", "namespace", "defer_loading", "search", "trusted", "resources", "prompts")
_MEANT = {
    "timeout": "call_timeout=…",
    "read_timeout": "call_timeout=…",
    "tool_filter": "allow=… or deny=…",
    "require_approval": "approval=…",
    "tool_prefix": "name=… and prefix=…",
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
