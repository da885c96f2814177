"""What a `ResponsesServer` keeps: responses, conversations and their items, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrt.wire.compose import unfinished
from agentrt.wire.json import as_dict, is_dict, is_list

__all__ = ["Conversation", "Items", "Kept", "Store", "count_words", "page"]

Items = list[dict[str, Any]]

_WITHOUT_WORDS = frozenset({"call_id", "id", "role", "status", "type"})
_DONE_WITH_ITEMS = ("completed", "incomplete")


@dataclass
class Conversation:
    """A conversation.

    Attributes:
        id: Its id.
        created_at: Unix time in seconds.
        metadata: The pairs that came with it.
        items: Its items, oldest first, each with an id.
    """

    id: str
    created_at: int
    metadata: dict[str, Any]
    items: Items = field(default_factory=list[dict[str, Any]])

    def resource(self) -> dict[str, Any]:
        """Give it as the wire has it."""
        told = {"id": self.id, "object": "conversation", "created_at": self.created_at}
        return {**told, "metadata": self.metadata}


@dataclass
class Kept:
    """A response, with what it was made from.

    Attributes:
        response: The response as it is once it is over.
        before: What of its context came from the server, oldest first.
        given: The items of its own input.
        said: Its output items, each with an id.
        conversation: What it belongs to.
        stored: Whether it can be asked for.
        background: Whether it is made while nobody waits.
        events: The events of its stream.
        replayable: Whether they can be had again.
        polls: How many more looks find it unfinished.
        pause: Seconds between the events.
        cuts: After how many events its next streams are cut.
        sent: How many events were sent so far.
        over: Whether it is over.
    """

    response: dict[str, Any]
    before: Items
    given: Items
    said: Items
    conversation: Conversation | None = None
    stored: bool = True
    background: bool = False
    events: Items = field(default_factory=list[dict[str, Any]])
    replayable: bool = False
    polls: int = 0
    pause: float = 0.0
    cuts: list[int] = field(default_factory=list[int])
    sent: int = 0
    over: bool = False

    def cancel(self) -> None:
        """End it unless it is over. No event tells of it: its stream just ends with what was sent."""
        if not self.over:
            self.response, self.said = unfinished(self.response, "cancelled"), []
            del self.events[self.sent :]
            self.polls, self.over = 0, True


class Store:
    """All that a server knows; a server that forgets begins a new one."""

    def __init__(self) -> None:
        self.responses: dict[str, Kept] = {}
        self.conversations: dict[str, Conversation] = {}

    def finish(self, kept: Kept) -> None:
        """Take note that a response is over: from now on it can be asked for, and its conversation has its items."""
        if kept.over:
            return
        kept.polls, kept.over = 0, True
        if kept.stored:
            self.responses[kept.response["id"]] = kept
        if kept.conversation is not None and kept.response["status"] in _DONE_WITH_ITEMS:
            kept.conversation.items += kept.given + kept.said

    def look(self, kept: Kept) -> dict[str, Any]:
        """Give a response as a poll finds it."""
        if kept.polls:
            kept.polls -= 1
            return unfinished(kept.response)
        self.finish(kept)
        return kept.response

    def item(self, item_id: object) -> dict[str, Any] | None:
        """Find an item by its id, wherever it is kept."""
        places = [kept.given + kept.said for kept in self.responses.values()]
        places += [conversation.items for conversation in self.conversations.values()]
        return next((item for items in places for item in items if item["id"] == item_id), None)


def page(items: Items, *, after: str | None = None, limit: int = 20, order: str = "desc") -> dict[str, Any]:
    """Give one page of a list of items.

    Args:
        items: All of them, oldest first.
        after: The id of the item that the page begins after.
        limit: How many items at most.
        order: ``desc`` for newest first, or ``asc``.

    Raises:
        ValueError: There is no item ``after``.
    """
    ordered = items if order == "asc" else items[::-1]
    start = 0 if after is None else [item["id"] for item in ordered].index(after) + 1
    data = ordered[start : start + limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": start + limit < len(ordered),
    }


def count_words(value: object) -> int:
    """Count the words of all texts in a JSON value; ids, types, roles and statuses are no texts."""
    if isinstance(value, str):
        return len(value.split())
    if is_list(value):
        return sum(map(count_words, value))
    texts: Mapping[str, Any] = as_dict(value) if is_dict(value) else {}
    return sum(count_words(part) for name, part in texts.items() if name not in _WITHOUT_WORDS)
