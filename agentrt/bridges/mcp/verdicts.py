"""A server held against its pin: what of it is as it was approved, and what to do where it isn't."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentrt.bridges.mcp.lock import PINNED_FIELDS, LockFile, Pin, launch_hash, pinned_fields, tool_hash
from agentrt.wire.text import unmistakable

__all__ = ["Mode", "Verdicts", "check", "launch_refusal"]

Mode = Literal["off", "warn", "enforce"]

_WIDTH = 160
_MAX_COMPARED = 2000
_MAX_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What of a server is as it was approved.

    Args:
        server: Its name.
        launch: How it is started: ``"new"`` where nothing of it was ever approved.
        same: Tools that are as they were.
        new: Tools that were never approved.
        changed: Tools that were approved as something else.
        gone: Tools that were approved and are no longer listed.
        diffs: What changed, for each changed tool: a unified diff in which everything can be seen, in at most 200
            lines.
    """

    server: str
    launch: Literal["new", "same", "changed"]
    same: tuple[str, ...]
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    diffs: Mapping[str, str]

    def quarantined(self, mode: Mode) -> dict[str, str]:
        """Give the tools that must not be offered, and why, in sentences.

        Args:
            mode: Only ``"enforce"`` keeps any back.
        """
        if mode != "enforce":
            return {}
        if self.launch != "same":
            return dict.fromkeys((*self.same, *self.new, *self.changed), _launch_note(self.server, self.launch))
        return {name: self._tool_note(name) for name in (*self.new, *self.changed)}

    @property
    def notes(self) -> list[str]:
        """Say what is not as it was approved, in sentences for a log."""
        if self.launch == "new":
            return [_launch_note(self.server, "new")]
        notes = [] if self.launch == "same" else [_launch_note(self.server, "changed")]
        notes += [self._tool_note(name) for name in (*self.new, *self.changed)]
        return notes + [f"the tool {_named(self.server, name)} was approved and is gone" for name in self.gone]

    def _tool_note(self, name: str) -> str:
        what = "is not what was approved" if name in self.changed else "was not approved"
        return (
            f"the tool {_named(self.server, name)} {what}: look at it with agentrt mcp diff, and take it with agentrt "
            "mcp approve"
        )


def check(lock: LockFile, server: str, launch: Mapping[str, Any], raw_tools: Sequence[Mapping[str, Any]]) -> Verdicts:
    """Hold a server against its pin.

    Args:
        lock: The pins.
        server: The server's name.
        launch: How it is started; see `launch_hash`.
        raw_tools: Its tools, as it lists them.
    """
    now = {str(raw["name"]): pinned_fields(raw) for raw in raw_tools}
    pin = lock.servers.get(server)
    before: Mapping[str, Mapping[str, Any]] = {} if pin is None else pin.tools
    known = {name: tool_hash(before[name]) == tool_hash(tool) for name, tool in now.items() if name in before}
    changed = tuple(name for name, same in known.items() if not same)
    return Verdicts(
        server=server,
        launch=_launch_verdict(pin, launch),
        same=tuple(name for name, same in known.items() if same),
        new=tuple(name for name in now if name not in before),
        changed=changed,
        gone=tuple(name for name in before if name not in now),
        diffs={name: _diff(before[name], now[name]) for name in changed},
    )


def launch_refusal(lock: LockFile, server: str, launch: Mapping[str, Any], mode: Mode) -> str | None:
    """Say why a server must not be started; None where it may.

    Args:
        lock: The pins.
        server: The server's name.
        launch: How it is to be started; see `launch_hash`.
        mode: Only ``"enforce"`` refuses.
    """
    verdict = _launch_verdict(lock.servers.get(server), launch)
    return None if mode != "enforce" or verdict == "same" else _launch_note(server, verdict)


def _launch_verdict(pin: Pin | None, launch: Mapping[str, Any]) -> Literal["new", "same", "changed"]:
    if pin is None:
        return "new"
    return "same" if pin.launch == launch_hash(launch) else "changed"


def _launch_note(server: str, verdict: Literal["new", "same", "changed"]) -> str:
    if verdict == "new":
        return f"the server {_named(server)} was not approved: look at it, and pin it with agentrt mcp lock"
    return (
        f"the server {_named(server)} is started or reached in another way than was approved: look at its entry, and "
        "take it with agentrt mcp approve"
    )


def _named(*names: str) -> str:
    return "/".join(unmistakable(name[:_WIDTH]) for name in names)


def _diff(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = (list(itertools.islice(_lines(tool), _MAX_COMPARED)) for tool in (before, now))
    lines = list(difflib.unified_diff(old, new, "approved", "now", n=2, lineterm=""))
    if not lines:
        return f"the difference comes after the first {_MAX_COMPARED} lines"
    more = len(lines) - _MAX_SHOWN
    return "\n".join(lines[:_MAX_SHOWN] + ([f"[{more} more lines]"] if more > 0 else []))


def _lines(definition: Mapping[str, Any]) -> Iterator[str]:
    """Write a tool for people: no two that differ are written alike."""
    for key in PINNED_FIELDS:
        value = definition.get(key)
        if value is None:
            continue
        if isinstance(value, str):
            text = value.replace("\\", "\\\\")
        else:
            text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
        yield f"{key}:"
        for line in text.split("\n"):
            seen = unmistakable(line)
            # What is too wide is folded, not cut, so that a change can't hide at its end.
            yield from (f"  {seen[start : start + _WIDTH]}" for start in range(0, max(1, len(seen)), _WIDTH))
