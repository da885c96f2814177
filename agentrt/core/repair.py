"""Histories mended and cut in whole groups.

Servers refuse a request whose history has a call without its output, an output without its call, or reasoning without
what it led to; as the history is sent again each time, they then refuse every later request too. Such histories come
from runs that were cut off, from stores that keep the last items only, and from other runtimes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from agentrt.core.history import is_twin, without_reasoning
from agentrt.wire.items import CALLS, CLIENT_CALLS, CallKind, Item, item_view
from agentrt.wire.json import as_dict, as_str

__all__ = ["for_provider", "groups", "repaired", "since_compaction", "trimmed"]

_LOST = "Error: no output of this call was kept"
_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "function_call": {},
    "custom_tool_call": {},
    "apply_patch_call": {"status": "failed"},
}
"""Calls that an error text can answer, and what the answer has beside it."""

_SEARCH, _FOUND = "tool_search_call", "tool_search_output"
_OUTPUTS: Mapping[str, str] = {
    **CLIENT_CALLS,
    **{name: kind.output_type for name, kind in CALLS.items()},
    _SEARCH: _FOUND,
}
"""Calls whose outputs are items of their own: type of call, type of output."""

_OUTPUT_TYPES = frozenset(_OUTPUTS.values())
_EITHER = ("call_id", "id")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "local_shell_call": _EITHER,  # tied by ``id`` in OpenAI's types, by ``call_id`` in its guide
    "local_shell_call_output": _EITHER,
    "mcp_approval_request": ("id",),
    "mcp_approval_response": ("approval_request_id",),
}
_OF_CLIENT = frozenset({"compaction_trigger", "configuration_update"})
_LEADING = ("system", "developer")
_BOUND: Mapping[str, str] = {
    "reasoning": "only the provider that made it can read it",
    "compaction": "only the provider that made it can read it; what it stands for is gone",
    "item_reference": "only the provider that stores the item can follow it",
}


def repaired(items: Sequence[Item], *, known: int = 0) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Mend a history, so that a server takes it.

    A call has one output, before the next message of the user: one that stands elsewhere is moved there, one that is
    missing becomes an error, and a call that no error can answer is dropped. Outputs without a call, second outputs,
    calls that came twice, and reasoning without what it led to are dropped. Async calls may stay without an output, and
    what this version doesn't know stays as it is.

    Args:
        items: The history.
        known: How many of the items the server holds; they are not touched.

    Returns:
        The items, the very same tuple where nothing was wrong; and in one sentence each what was changed.
    """
    notes: list[str] = []
    mended = _with_outputs(items, known, notes)
    kept = _with_anchored_reasoning(mended, notes)
    if notes:
        return (*items[:known], *kept), tuple(notes)
    return (items if isinstance(items, tuple) else tuple(items)), ()


def groups(items: Sequence[Item]) -> list[tuple[Item, ...]]:
    """Cut a history into the parts that must stay whole: reasoning with what it led to, calls with their outputs.

    Any other item is a group of its own. Joined, the groups are the history.
    """
    ends = list(range(len(items)))
    for call, output in _Pairs(items).output_of.items():
        first, last = sorted((call, output))
        ends[first] = max(ends[first], last)
    thinking: int | None = None
    for index, item in enumerate(items):
        if _is_of_client(item) or item.type == "compaction":
            thinking = None
        elif item.type == "reasoning" and thinking is None:
            thinking = index
        if thinking is not None:
            ends[thinking] = max(ends[thinking], index)
    found: list[tuple[Item, ...]] = []
    start = end = 0
    for index in range(len(items)):
        end = max(end, ends[index])
        if index == end:
            found.append(tuple(items[start : index + 1]))
            start = end = index + 1
    return found


def trimmed(items: Sequence[Item], at_most: int) -> tuple[Item, ...]:
    """Cut the oldest groups off a history, so that a model with a small window can go on.

    Args:
        items: The history; of a compacted one what `since_compaction` gives.
        at_most: How many items may stay. The messages of system and developer that lead, a compaction item behind them,
            and the last message of the user with what follows it stay in any case.
    """
    lead = _leading(items)
    while lead < len(items) and items[lead].type == "compaction":
        lead += 1
    asked = max((index for index, item in enumerate(items) if _is_of_user(item)), default=len(items) - 1)
    start = len(items)
    cuts = groups(items[lead:])
    while cuts and (start > asked or lead + len(items) - start + len(cuts[-1]) <= at_most):
        start -= len(cuts.pop())
    orphans = {start + index for index in _Pairs(items[start:]).strays}
    while start in orphans:
        start += 1
    return (*items[:lead], *items[start:])


def since_compaction(items: Sequence[Item]) -> tuple[Item, ...]:
    """Give what a stateless request must still carry of a history that a server compacted along the way.

    That is the last compaction item and what follows it, behind the messages of system and developer that lead. It is
    not for what the endpoint ``/responses/compact`` gave, which counts as a whole.
    """
    last = max((index for index, item in enumerate(items) if item.type == "compaction"), default=None)
    if last is None:
        return tuple(items)
    starts = itertools.accumulate(map(len, groups(items)), initial=0)
    start = max(start for start in starts if start <= last)  # a call before it may have its output behind it
    return (*items[: min(_leading(items), start)], *items[start:])


def for_provider(items: Iterable[Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Leave out what only the provider that a history comes from can read. Outputs may be left alone: repair it then.

    Returns:
        The items; and in one sentence each how many of which type were left out.
    """
    items = tuple(items)
    counts = Counter(item.type for item in items if item.type in _BOUND)
    if not counts:
        return items, ()
    kept = tuple(item for item in without_reasoning(items) if item.type not in _BOUND)
    return kept, tuple(f"{count} x {kind} was left out: {_BOUND[kind]}" for kind, count in counts.items())


# --- which output belongs to which call


class _Pairs:
    """Which output belongs to which call, by position.

    An output belongs to the first open call with its key, before the next message of the user closes it; keys come
    again, as some providers count from 0 in every reply. What is left then is tied across these messages.

    Args:
        items: The history.
        known: How many of them are the server's: what was left open in there is its own business.
    """

    def __init__(self, items: Sequence[Item], known: int = 0) -> None:
        self.output_of: dict[int, int] = {}
        self.moved: set[int] = set()
        """Outputs that stand elsewhere than between their call and the next message of the user."""
        self.twins: set[int] = set()
        """Calls that came again before they were answered."""
        self.strays: list[int] = []
        """Outputs that belong to no call, or to one that has an output already."""
        self._items = items
        self._keys = {index: _keys(item) for index, item in enumerate(items) if _is_call(item) or _is_output(item)}
        self._open: list[int] = []
        self._closed: list[int] = []
        self._left_to_server: set[int] = set()
        for index, item in enumerate(items):
            if _is_call(item):
                self._add_call(index)
            elif _is_output(item):
                self._add_output(index)
            elif _is_of_user(item):
                closed = [call for call in self._open if _is_owed(items[call])]
                self._closed += closed
                self._left_to_server.update(closed if index < known else ())
                self._open = [call for call in self._open if not _is_owed(items[call])]
        self._closed += self._open
        self._tie_rest(known)

    @property
    def owing(self) -> list[int]:
        """Calls that must have an output, and have none."""
        mine = (call for call in self._closed if call not in self._left_to_server)
        return [call for call in mine if call not in self.output_of and _is_owed(self._items[call])]

    def has_answered(self, output: int) -> bool:
        """Tell whether a call of this output's key has an output."""
        return any(self._keys[call] & self._keys[output] for call in self.output_of)

    def _add_call(self, index: int) -> None:
        call = self._items[index]
        if any(self._keys[one] & self._keys[index] and is_twin(self._items[one], call) for one in self._open):
            self.twins.add(index)
        else:
            self._open.append(index)

    def _add_output(self, index: int) -> None:
        mine = [call for call in self._open if self._keys[call] & self._keys[index]]
        if mine:
            call = next((call for call in mine if _is_owed(self._items[call])), mine[0])
            self.output_of[call] = index
            self._open.remove(call)
        else:
            self.strays.append(index)

    def _tie_rest(self, known: int) -> None:
        """Tie outputs that came too late or too early: to the nearest call before, else to the next one."""
        strays, self.strays = self.strays, []
        for output in strays:
            mine = [c for c in self._closed if c not in self.output_of and self._keys[c] & self._keys[output]]
            before = [call for call in mine if call < output]
            if output < known:
                continue
            if not mine:
                self.strays.append(output)
                continue
            call = max(before) if before else min(mine)
            self.output_of[call] = output
            if call not in self._left_to_server:
                self.moved.add(output)


def _keys(item: Item) -> frozenset[tuple[str, str]]:
    """Give what ties a call and its output together: the output's type, and the key; two for the old shell."""
    family = _OUTPUTS.get(item.type, item.type)
    names = _KEYS.get(item.type, ("call_id",))
    return frozenset((family, as_str(item.raw.get(name))) for name in names if len(names) == 1 or name in item.raw)


def _is_call(item: Item) -> bool:
    return item.type in _OUTPUTS and (item.type != _SEARCH or item.raw.get("execution") == "client")


def _is_output(item: Item) -> bool:
    if item.type != _FOUND:
        return item.type in _OUTPUT_TYPES
    return item.raw.get("execution", "client") == "client" and item.raw.get("call_id") is not None


def _is_owed(call: Item) -> bool:
    """Tell whether a call must have an output: not where the model goes on without, or where the server runs it."""
    environment = as_str(as_dict(call.raw.get("environment")).get("type"))
    return call.raw.get("async") is not True and not environment.startswith("container")


def _is_of_user(item: Item) -> bool:
    return item.type == "message" and item.raw.get("role") == "user"


def _is_of_client(item: Item) -> bool:
    """Tell whether the client wrote an item, so that what a model wrote before it is a reply of its own."""
    written = item.type == "message" and item.raw.get("role") != "assistant"
    return written or _is_output(item) or item.type in _OF_CLIENT


def _leading(items: Sequence[Item]) -> int:
    """Count the messages of system and developer that a history begins with."""
    others = (i for i, item in enumerate(items) if item.type != "message" or item.raw.get("role") not in _LEADING)
    return next(others, len(items))


# --- mending


def _with_outputs(items: Sequence[Item], known: int, notes: list[str]) -> list[Item | None]:
    """Give the items behind the known ones, each call with its output; None where a call was dropped."""
    pairs = _Pairs(items, known)
    dropped = _dropped(items, known, pairs)
    gone = dropped.keys() | pairs.moved
    added: dict[int, list[Item]] = {}

    def add(call: int, output: Item, note: str) -> None:
        place = _end_of_group(items, max(call, known - 1), gone)
        added.setdefault(place, []).append(output)
        notes.append(f"{_named(items[call])} {note}")

    for call, output in sorted(pairs.output_of.items()):
        if output in pairs.moved:
            add(call, items[output], "had its output elsewhere: it was moved behind the call")
    for call in pairs.owing:
        if items[call].type in _ANSWERS:
            add(call, _lost(items[call]), "had no output: an error was put behind the call")
    kept: list[Item | None] = list(added.get(known - 1, ()))
    for index, item in enumerate(items[known:], known):
        if index in dropped:
            notes.append(f"{_named(item)} {dropped[index]}")
            kept += [None] if _is_call(item) else []
        elif index not in pairs.moved:
            kept.append(item)
        kept += added.get(index, ())
    return kept


def _dropped(items: Sequence[Item], known: int, pairs: _Pairs) -> dict[int, str]:
    """Name the calls and outputs that can't stay, by position, each with the reason."""
    dropped = {call: "came twice: the second was dropped" for call in pairs.twins if call >= known}
    for call in pairs.owing:
        if call >= known and items[call].type not in _ANSWERS:
            dropped[call] = "had no output, and no error can stand for it: the call was dropped"
    reference = next((index for index, item in enumerate(items) if item.type == "item_reference"), len(items))
    for output in pairs.strays:
        if pairs.has_answered(output):
            dropped[output] = "was a second output of one call: it was dropped"
        elif output < reference:  # what is referred to may be its call
            dropped[output] = "had no call: it was dropped"
    return dropped


def _end_of_group(items: Sequence[Item], place: int, gone: AbstractSet[int]) -> int:
    """Find the last of the calls, and then outputs, that stand together from a place on."""
    for fits in (_is_call, _is_output):
        while place + 1 < len(items) and (place + 1 in gone or fits(items[place + 1])):
            place += 1
    return place


def _lost(call: Item) -> Item:
    """Make the output of a call whose own is lost."""
    kind = CallKind(_OUTPUTS[call.type], "call_id", "call_id")
    return item_view({**kind.answer(call.raw, _LOST), **_ANSWERS[call.type]})


def _named(item: Item) -> str:
    """Name a call or an output in a note."""
    return f"{item.type} {min((key for _, key in _keys(item)), default='')!r}"


def _with_anchored_reasoning(items: Sequence[Item | None], notes: list[str]) -> list[Item]:
    """Drop reasoning that nothing of the model follows. Where a call was dropped, what led to it goes along."""
    kept: list[Item] = []
    anchored = before_reasoning = False
    for item in reversed(items):
        if item is None:
            anchored = anchored and not before_reasoning
            continue
        before_reasoning = item.type == "reasoning"
        if not before_reasoning:
            anchored = not _is_of_client(item)
        elif not anchored:
            notes.append(f"reasoning {item.id or ''!r} was dropped: what it led to is missing")
            continue
        kept.append(item)
    return kept[::-1]
