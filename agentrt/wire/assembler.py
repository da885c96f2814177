"""Folds the events of a stream into the response that the same request would have given as JSON.

Authority: ``output_item.done`` tells the truth about an item, then the ``done`` of its parts, then deltas; the terminal
event tells about status, usage and items that were never streamed.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from agentrt.errors import WireError
from agentrt.wire.events import TERMINAL, Event
from agentrt.wire.json import as_dict, as_list, as_str, is_dict

__all__ = ["Assembler"]


class _Place(NamedTuple):
    """Where a text event's text goes: into a field of an item, or of a part in one of its lists."""

    item: str
    field: str
    parts: str = ""
    at: str = "content_index"
    part: str = ""


_TEXTS: Mapping[str, _Place] = {
    "response.output_text": _Place("message", "text", "content", part="output_text"),
    "response.refusal": _Place("message", "refusal", "content", part="refusal"),
    "response.reasoning_text": _Place("reasoning", "text", "content", part="reasoning_text"),
    "response.reasoning": _Place("reasoning", "text", "content", part="reasoning_text"),  # Open Responses' name
    "response.reasoning_summary_text": _Place("reasoning", "text", "summary", "summary_index", "summary_text"),
    "response.function_call_arguments": _Place("function_call", "arguments"),
    "response.custom_tool_call_input": _Place("custom_tool_call", "input"),
    "response.mcp_call_arguments": _Place("mcp_call", "arguments"),
    "response.code_interpreter_call_code": _Place("code_interpreter_call", "code"),
}
_DELTAS = {f"{family}.delta": place for family, place in _TEXTS.items()}
_DONES = {f"{family}.done": place for family, place in _TEXTS.items()}
_PARTS: Mapping[str, tuple[str, str, str]] = {
    "response.content_part": ("message", "content", "content_index"),
    "response.reasoning_part": ("reasoning", "content", "content_index"),  # vLLM's
    "response.reasoning_summary_part": ("reasoning", "summary", "summary_index"),
}
_BEGUN = frozenset({"response.created", "response.in_progress", "response.queued"})
_UNFINISHED = frozenset({"", "in_progress", "queued"})
_RECENT = 64
_MAX_GAP = 1000


class Assembler:
    """Takes in events in order; `response` is the whole once `ended` is true."""

    def __init__(self) -> None:
        self._base: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._open: dict[int, tuple[Any, Any]] = {}
        # Text is kept in pieces until somebody looks: joining it at every delta would be quadratic.
        self._live: dict[tuple[Any, ...], tuple[dict[str, Any], str, list[Any]]] = {}
        self._order = _Order()
        self._told_failed = False
        self.ended = False
        """True once a terminal event or an error event has come."""

    def feed(self, event: Event) -> bool:
        """Fold one event in. Events of unknown type change nothing.

        Returns:
            False for an event that came before and is to be ignored.

        Raises:
            WireError: The event says something that can't be true, such as an output index that is no index.
        """
        raw = event.raw
        kind = event.type
        number = raw.get("sequence_number")
        if number is not None and not self._order.accept(number, raw):
            return False
        place = _DELTAS.get(kind)
        if place is not None:
            self._add(kind, place, raw)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._put(raw, done=kind.endswith("done"))
        elif kind in TERMINAL:
            self._finish(kind, as_dict(raw.get("response")))
        elif kind == "error":
            self._fail(_error(raw))
        elif kind in _BEGUN:
            self._base = self._base if self.ended else as_dict(raw.get("response")) or self._base
        else:
            self._fold(kind, raw)
        return True

    @property
    def last_number(self) -> int | None:
        """The highest sequence number so far: a background response goes on after it."""
        return self._order.last

    def go_on(self) -> None:
        """Take what follows as the rest of the stream: of what was asked for again, what came before is dropped."""
        self._order.floor = self._order.last

    @property
    def response(self) -> dict[str, Any]:
        """The response as it stands: whole when `ended`, else what has come so far."""
        self._join()
        output = [self._items[index] for index in sorted(self._items)]
        return self._base if self.ended else {**self._base, "output": output}

    # --- items and routing

    def _put(self, raw: dict[str, Any], *, done: bool) -> None:
        self._join()
        item = as_dict(raw.get("item"))
        if done:
            named = {"item_id": item.get("id"), "call_id": item.get("call_id")}
            index = self._route({**raw, **named}, as_str(item.get("type")))
            self._open.pop(index, None)
            self._items[index] = item
            return
        claimed: Any = raw.get("output_index")
        if claimed is not None and (not isinstance(claimed, int) or claimed < 0):
            raise WireError(f"the stream opens an item at output_index {claimed!r}, which is no index")
        index = self._next_index() if claimed is None or claimed in self._items else claimed
        self._open[index] = (item.get("id"), item.get("call_id"))
        self._items[index] = copy.deepcopy(item)  # it is filled in; the event is the user's to keep

    def _find(self, raw: Mapping[str, Any], kind: str) -> int | None:
        # By output_index where that item is open, then by id, then by call_id, then the only open item of the type:
        # llama.cpp sends no output_index, GitHub Copilot a new item_id on every event (LiteLLM #30071).
        index = raw.get("output_index")
        if isinstance(index, int) and index in self._open:
            return index
        item_id, call_id = raw.get("item_id"), raw.get("call_id")
        for wanted, field in ((call_id, 1), (item_id, 0), (item_id, 1)):
            for position, names in self._open.items():
                if wanted is not None and names[field] == wanted:
                    return position
        fits = [position for position in self._open if as_str(self._items[position].get("type")) in (kind, "")]
        return fits[0] if len(fits) == 1 else None

    def _route(self, raw: Mapping[str, Any], kind: str) -> int:
        found = self._find(raw, kind)
        if found is not None:
            return found
        index = raw.get("output_index")
        index = index if isinstance(index, int) and index >= 0 and index not in self._items else self._next_index()
        self._items[index] = {"type": kind} if kind != "message" else {"type": kind, "role": "assistant"}
        self._open[index] = (raw.get("item_id"), None)
        return index

    def _next_index(self) -> int:
        return max(self._items, default=-1) + 1

    # --- text

    def _add(self, kind: str, place: _Place, raw: dict[str, Any]) -> None:
        index = raw.get("output_index")
        where: tuple[Any, ...] = (
            kind,
            raw.get("item_id") if index is None else index,
            raw.get(place.at) if place.parts else None,
        )
        try:
            live = self._live.get(where)
        except TypeError:  # a list or a dict where an index was due
            self._join()
            live, where = None, (kind,)
        if live is None:
            target = self._target(place, raw)
            live = self._live[where] = (target, place.field, [])
        live[2].append(raw.get("delta"))

    def _target(self, place: _Place, raw: dict[str, Any]) -> dict[str, Any]:
        """Give the dict whose field the text belongs to."""
        item = self._items[self._route(raw, place.item)]
        if not place.parts:
            return item
        return _part(item, place.parts, raw.get(place.at), {"type": place.part, place.field: ""})

    def _join(self) -> None:
        for target, field, pieces in self._live.values():
            target[field] = as_str(target.get(field)) + "".join(piece for piece in pieces if isinstance(piece, str))
        self._live.clear()

    def _fold(self, kind: str, raw: dict[str, Any]) -> None:
        """Fold in the rarer events; they only matter for items whose ``output_item.done`` never comes."""
        self._join()
        place = _DONES.get(kind)
        family, _, suffix = kind.rpartition(".")
        if place is not None:
            self._target(place, raw)[place.field] = raw.get(place.field)
        elif family in _PARTS:
            item_type, parts, at = _PARTS[family]
            item = self._items[self._route(raw, item_type)]
            part = as_dict(raw.get("part"))
            _part(item, parts, raw.get(at), part).update(part)
        elif kind == "response.output_text.annotation.added":
            part = self._target(_TEXTS["response.output_text"], raw)
            part["annotations"] = [*as_list(part.get("annotations")), raw.get("annotation")]
        elif family == "response.shell_call_command":
            action = _dict_in(self._items[self._route(raw, "shell_call")], "action")
            commands = action["commands"] = as_list(action.get("commands"))
            position = _position(commands, raw.get("command_index"))
            told = raw.get("delta") if suffix == "delta" else raw.get("command")
            if position == len(commands):
                commands.append("")
            commands[position] = as_str(commands[position]) + as_str(told) if suffix == "delta" else as_str(told)
        elif family == "response.shell_call_output_content":
            item = self._items[self._route(raw, "shell_call_output")]
            if suffix == "done":
                position = _position(as_list(item.get("output")), raw.get("command_index"))
                item["output"] = [*as_list(item.get("output"))[:position], *as_list(raw.get("output"))]
                return
            entry = _part(item, "output", raw.get("command_index"), {"stdout": "", "stderr": ""})
            for stream, text in as_dict(raw.get("delta")).items():
                entry[stream] = as_str(entry.get(stream)) + as_str(text)
        elif family.endswith("_call"):
            found = self._find(raw, family.removeprefix("response."))
            if found is not None and suffix != "partial_image":
                self._items[found]["status"] = suffix

    # --- the end

    def _finish(self, kind: str, told: dict[str, Any]) -> None:
        failed = kind == "response.failed"
        if self.ended and not (failed and self._base.get("status") == "failed"):
            return
        self._told_failed = failed
        status = as_str(told.get("status"))
        status = kind.removeprefix("response.") if status in _UNFINISHED else status
        error = told.get("error") or self._base.get("error")
        self._end({**told, "status": status, **({"error": error} if error else {})})

    def _fail(self, error: dict[str, Any]) -> None:
        if not self.ended:
            self._end({"status": "failed", "error": error})
        elif self._told_failed:
            # Azure tells the real reason in an error that follows response.failed (maximhq/bifrost #6419).
            self._base = {**self._base, "error": error}

    def _end(self, response: dict[str, Any]) -> None:
        self._join()
        told = [item for item in as_list(response.get("output")) if is_dict(item)]
        if self._order.lost and self._items and response["status"] == "completed":
            if not told:
                raise WireError(
                    "events of the stream were lost or came out of order, and its end doesn't repeat the output, so "
                    "nothing in it counts; try again"
                )
            output = told
        else:
            output = self._merged(told)
        self._base = {**self._base, **response, "output": output}
        self.ended = True

    def _merged(self, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Lay the streamed items over those of the terminal event.

        ChatGPT's own backend completes with output null or [] although items were streamed (openai-python #3312).
        """
        places = self._places(told)
        never_streamed = deque(sorted(set(range(len(told))) - set(places.values())))
        output: list[dict[str, Any]] = []
        for index in sorted(self._items):
            item, is_open, place = self._items[index], index in self._open, places.get(index)
            if place is None:
                output.append({**item, "status": "incomplete"} if is_open else item)
                continue
            while never_streamed and never_streamed[0] < place:
                output.append(told[never_streamed.popleft()])
            output.append(told[place] if is_open else item)
        return output + [told[place] for place in never_streamed]

    def _places(self, told: list[dict[str, Any]]) -> dict[int, int]:
        """Find the streamed items in the terminal output: by their ids, else in order among those of their type.

        GitHub Copilot gives a message another id in each event, so an unknown id makes no other message.
        """
        named: dict[tuple[str, ...], list[int]] = {}
        for place, item in enumerate(told):
            for name in _names(item):
                named.setdefault(name, []).append(place)
        places: dict[int, int] = {}
        left = set(range(len(told)))
        for index in sorted(self._items):
            found = (place for name in _names(self._items[index]) for place in named.get(name, ()) if place in left)
            at = next(found, None)
            if at is not None:
                places[index] = at
                left.discard(at)
        free = sorted(left)
        for index in sorted(self._items.keys() - places.keys()):
            at = next((place for place in free if _may_be(told[place], self._items[index])), None)
            if at is not None:
                places[index] = at
                free.remove(at)
        return places


class _Order:
    """Watches the sequence numbers: what came before is dropped, what is missing is remembered."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.floor: int | None = None
        self._missing: set[int] = set()
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        self._numbered = True
        self._reordered = False

    @property
    def lost(self) -> bool:
        """Whether events are missing or came in another order than they were sent in."""
        return self._numbered and (self._reordered or bool(self._missing))

    def accept(self, number: object, raw: dict[str, Any]) -> bool:
        """Take note of an event's number; False for a repeated event."""
        last = self.last
        if self._numbered and isinstance(number, int):
            if self.floor is not None and number <= self.floor:
                return False
            if last is None or number == last + 1:
                self.last = number
            elif number > last:
                self._missing.update(range(last + 1, min(number, last + _MAX_GAP)))
                self.last = number
            elif raw in self._recent:
                return False
            elif number in self._missing:
                self._missing.discard(number)
                self._reordered = True
            else:
                self._numbered = False  # two events of one number: this server doesn't count
        self._recent.append(raw)
        return True


def _part(item: dict[str, Any], field: str, index: object, new: dict[str, Any]) -> dict[str, Any]:
    """Give the part at an index of one of an item's lists, made from ``new`` where there is none."""
    parts = item[field] = as_list(item.get(field))
    position = _position(parts, index)
    if position == len(parts):
        parts.append(dict(new))
    part = parts[position] = as_dict(parts[position])
    return part


def _position(entries: list[Any], index: object) -> int:
    if isinstance(index, int) and 0 <= index < len(entries):
        return index
    return len(entries) - 1 if index is None and entries else len(entries)


def _dict_in(item: dict[str, Any], field: str) -> dict[str, Any]:
    inner = item[field] = as_dict(item.get(field))
    return inner


def _names(item: Mapping[str, Any]) -> list[tuple[str, ...]]:
    kind = as_str(item.get("type"))
    return [(kind, key, value) for key in ("call_id", "id") if (value := as_str(item.get(key)))]


def _may_be(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two items of different ids may be the same one: of one type, and no two calls."""
    call, twin = as_str(one.get("call_id")), as_str(other.get("call_id"))
    return one.get("type") == other.get("type") and (call == twin or not call or not twin)


def _error(raw: dict[str, Any]) -> dict[str, Any]:
    # Documented flat; OpenAI and Azure really send it nested (openai-dotnet #881, vercel/ai #20022).
    told = raw.get("error")
    error = {"message": told} if isinstance(told, str) else as_dict(told) or raw
    code = error.get("code")
    return {
        "code": str(code) if code is not None else error.get("type") or "error",
        "message": error.get("message") or "the server gave no message",
    }
