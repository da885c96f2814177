"""Calls that the provider runs by itself, told as events of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import anyio

from agentrt.events import ToolFinished, ToolStarted, Where
from agentrt.wire.events import Event
from agentrt.wire.items import HOSTED_CALLS, Item, item_view
from agentrt.wire.json import as_dict, as_str, text_of

__all__ = ["HostedCalls"]

_ASKED = ("arguments", "code", "action", "queries", "revised_prompt")
_TOLD = ("output", "outputs", "results", "error")


class HostedCalls:
    """Tells of a reply's hosted calls, each once: from a stream as they come, else all when the reply is whole.

    Args:
        where: Where they belong.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._started: dict[str, float] = {}
        self._finished: set[str] = set()

    def told(self, event: Event) -> Iterator[ToolStarted | ToolFinished]:
        """Give what an event of the stream says of them."""
        item = item_view(as_dict(event.raw.get("item")))
        if item.type in HOSTED_CALLS:
            key = _key(item, event.raw.get("output_index"))
            yield from self._begin(item, key)
            if event.type == "response.output_item.done":
                yield from self._end(item, key)

    def rest(self, items: Iterable[Item]) -> Iterator[ToolStarted | ToolFinished]:
        """Give what was not told yet, now that the reply is whole."""
        for position, item in enumerate(items):
            if item.type in HOSTED_CALLS:
                key = _key(item, position)
                yield from self._begin(item, key)
                yield from self._end(item, key)

    def _begin(self, item: Item, key: str) -> Iterator[ToolStarted]:
        if key not in self._started:
            self._started[key] = anyio.current_time()
            yield ToolStarted(self._where, _id(item), _name(item), _text(item, _ASKED), hosted=True)

    def _end(self, item: Item, key: str) -> Iterator[ToolFinished]:
        if key not in self._finished:
            self._finished.add(key)
            failed = item.status == "failed" or bool(item.raw.get("error"))
            seconds = anyio.current_time() - self._started[key]
            told = _text(item, _TOLD)
            yield ToolFinished(self._where, _id(item), _name(item), told, failed, seconds, hosted=True)


def _id(item: Item) -> str:
    return as_str(item.raw.get("id"))


def _key(item: Item, position: object) -> str:
    """Tell calls apart; a server may leave out their ids."""
    return _id(item) or f"at {position}"


def _name(item: Item) -> str:
    return as_str(item.raw.get("name")) or item.type.removesuffix("_call")


def _text(item: Item, fields: tuple[str, ...]) -> str:
    value: Any = next((item.raw[field] for field in fields if item.raw.get(field)), "")
    return text_of(value)
