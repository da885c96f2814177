"""What must not get into a cassette: values that were sent as keys, and fields whose name says that they are secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from agentrt.wire.json import dump, is_dict, is_list, parse

__all__ = ["HIDDEN", "Scrubber"]

HIDDEN = "***"
"""What stands for a secret."""

_SECRET = re.compile(
    r"(.*[_-])?(api[_-]?key|subscription[_-]?key|authorization|password|passwd|cookie|secret|token)"
    r"|(access|refresh|auth)token|clientsecret",
    re.IGNORECASE,
)
_SHORTEST = 8  # a shorter one may be a word that has nothing to do with the key


class Scrubber:
    """Hides secrets, in what is recorded and in what is compared with it alike.

    What was sent as a key, in a header or to a hosted MCP server, is hidden wherever it comes up from then on. Other
    fields with a secret name are hidden where they are, as their values may be words that mean something elsewhere.
    """

    def __init__(self) -> None:
        self._known: list[str] = []

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take note of the keys among a request's headers."""
        for name, value in headers.items():
            if _SECRET.fullmatch(name):
                self._learn(value)

    def value(self, value: Any) -> Any:
        """Give a JSON value without its secrets."""
        return self._without_values(self._named(value))

    def text(self, text: str) -> str:
        """Give a text without the secrets that are known by their value."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return text

    def binary(self, data: bytes) -> bytes:
        """Give bytes without the secrets that are known by their value."""
        for secret in self._known:
            data = data.replace(secret.encode(), HIDDEN.encode())
        return data

    def event(self, event: str) -> str:
        """Give one event of a stream without its secrets; it stays as it came where there are none."""
        return "".join(self._line(line) for line in event.splitlines(keepends=True))

    def path(self, path: str) -> str:
        """Give a path without the secrets of its query."""
        base, mark, query = path.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        if any(_SECRET.fullmatch(name) for name, _ in pairs):
            hidden = [(name, HIDDEN if _SECRET.fullmatch(name) else value) for name, value in pairs]
            query = urlencode(hidden, safe="*")
        return self.text(base + mark + query)

    def _line(self, line: str) -> str:
        name, colon, rest = line.partition(":")
        if name != "data" or not colon:
            return self.text(line)
        try:
            told = parse(rest)
        except ValueError:
            return self.text(line)
        hidden = self.value(told)
        end = line[len(line.rstrip("\r\n")) :]
        return line if hidden == told else f"data: {dump(hidden).decode()}{end}"

    def _named(self, value: Any) -> Any:
        """Hide fields by their names."""
        if is_list(value):
            return [self._named(entry) for entry in value]
        if not is_dict(value):
            return value
        return {name: self._field(name, entry, value) for name, entry in value.items()}

    def _field(self, name: str, value: Any, within: Mapping[str, Any]) -> Any:
        hosted = within.get("type") == "mcp"
        if hosted and name == "headers" and is_dict(value):
            return {header: self._hide(text, learn=True) for header, text in value.items()}
        # A token with its log probability is a part of a text, and no secret.
        if isinstance(value, str) and _SECRET.fullmatch(name) and "logprob" not in within:
            return self._hide(value, learn=hosted)
        return self._named(value)

    def _hide(self, value: Any, *, learn: bool) -> Any:
        if not isinstance(value, str) or not value:
            return value
        if learn:
            self._learn(value)
        return HIDDEN

    def _learn(self, value: str) -> None:
        secret = value.rpartition(" ")[2]  # without the word Bearer or Basic
        if len(secret) >= _SHORTEST and secret not in self._known:
            # The longest first, as one secret may be a part of another.
            self._known = sorted([*self._known, secret], key=len, reverse=True)

    def _without_values(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if is_list(value):
            return [self._without_values(entry) for entry in value]
        if is_dict(value):
            return {self.text(name): self._without_values(entry) for name, entry in value.items()}
        return value
