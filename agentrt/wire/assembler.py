"""Folds the events of a stream into the response that the same request would have given as JSON.

Authority: ``output_item.done`` tells the truth about an item, the terminal event about status, usage and items that
were never streamed; deltas only fill the time until then.
"""

from __future__ import annotations

from typing import Any

from agentrt.errors import WireError
from agentrt.wire.events import TERMINAL, Event
from agentrt.wire.json import as_dict, as_list, as_str

__all__ = ["Assembler"]

_TEXT = {"response.output_text.delta": ("output_text", "text"), "response.refusal.delta": ("refusal", "refusal")}
_CALLS = {"response.function_call_arguments.delta": "arguments", "response.custom_tool_call_input.delta": "input"}
_DONE = {"response.function_call_arguments.done": "arguments", "response.custom_tool_call_input.done": "input"}


class Assembler:
    """Takes in events in order; `response` is the whole once `ended` is true."""

    def __init__(self) -> None:
        self._base: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._open: dict[int, str | None] = {}
        self.ended = False
        """True once a terminal event or an error event has come."""

    def feed(self, event: Event) -> None:
        """Fold one event in. Events of unknown type change nothing.

        Raises:
            WireError: The event says something that can't be true, such as an output index that is no index.
        """
        raw = event.raw
        kind = event.type
        if kind in _TEXT:
            self._add_text(event, *_TEXT[kind])
        elif kind in _CALLS:
            item = self._items[self._route(raw)]
            item[_CALLS[kind]] = as_str(item.get(_CALLS[kind])) + event.delta
        elif kind in _DONE:
            self._items[self._route(raw)][_DONE[kind]] = raw.get(_DONE[kind])
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._put(raw, done=kind.endswith("done"))
        elif kind in TERMINAL:
            told = as_dict(raw.get("response"))
            self._end({**told, "status": told.get("status") or kind.removeprefix("response.")})
        elif kind == "error":
            self._end({**self._base, "status": "failed", "error": _error(raw)})
        elif kind in ("response.created", "response.in_progress", "response.queued"):
            self._base = as_dict(raw.get("response")) or self._base

    @property
    def response(self) -> dict[str, Any]:
        """The response as it stands: whole when `ended`, else what has come so far."""
        output = [self._items[index] for index in sorted(self._items)]
        return self._base if self.ended else {**self._base, "output": output}

    def _put(self, raw: dict[str, Any], *, done: bool) -> None:
        item = as_dict(raw.get("item"))
        if done:
            index = self._route({**raw, "item_id": item.get("id") or item.get("call_id")})
            self._open.pop(index, None)
            self._items[index] = item
            return
        claimed: Any = raw.get("output_index")
        if claimed is not None and (not isinstance(claimed, int) or claimed < 0):
            raise WireError(f"the stream opens an item at output_index {claimed!r}, which is no index")
        index = self._next_index() if claimed is None or claimed in self._open else claimed
        self._open[index] = item.get("id") or item.get("call_id")
        self._items[index] = dict(item)

    def _route(self, raw: dict[str, Any]) -> int:
        # By output_index where that item is open, then by id, then the only open item, then a new one: llama.cpp sends
        # no output_index, GitHub Copilot a new item_id on every event (LiteLLM #30071).
        index = raw.get("output_index")
        if isinstance(index, int) and index in self._open:
            return index
        wanted = raw.get("item_id")
        for position, item_id in self._open.items():
            if wanted is not None and item_id == wanted:
                return position
        if len(self._open) == 1:
            return next(iter(self._open))
        index = index if isinstance(index, int) and index >= 0 and index not in self._items else self._next_index()
        self._items[index] = {}
        self._open[index] = wanted
        return index

    def _next_index(self) -> int:
        return max(self._items, default=-1) + 1

    def _add_text(self, event: Event, part_type: str, key: str) -> None:
        item = self._items[self._route(event.raw)]
        item.setdefault("type", "message")
        item.setdefault("role", "assistant")
        content = item["content"] = as_list(item.get("content"))
        position = event.raw.get("content_index")
        if not isinstance(position, int) or not 0 <= position < len(content):
            position = len(content) - 1 if position is None and content else len(content)
        if position == len(content):
            content.append({"type": part_type, key: ""})
        part = content[position] = as_dict(content[position])
        part[key] = as_str(part.get(key)) + event.delta

    def _end(self, response: dict[str, Any]) -> None:
        if self.ended:
            return
        output = as_list(response.get("output"))
        # ChatGPT's own backend completes with output null or [] although items were streamed (openai-python #3312).
        for index in sorted(self._items):
            if index >= len(output):
                open_still = {"status": "incomplete"} if index in self._open else {}
                output = [*output, {**self._items[index], **open_still}]
            elif index not in self._open:
                output = [*output[:index], self._items[index], *output[index + 1 :]]
        self._base = {**self._base, **response, "output": output}
        self.ended = True


def _error(raw: dict[str, Any]) -> dict[str, Any]:
    # Documented flat; OpenAI and Azure really send it nested (openai-dotnet #881, vercel/ai #20022).
    told = raw.get("error")
    error = {"message": told} if isinstance(told, str) else as_dict(told) or raw
    code = error.get("code")
    return {
        "code": str(code) if code is not None else error.get("type") or "error",
        "message": error.get("message") or "the server gave no message",
    }
