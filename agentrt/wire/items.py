"""Items: what a response is made of and what a request carries, as views over the dicts that came.

Sources: the item types of the Responses API as listed by the openai 3.54 wheel's types, and Open Responses 2026-04-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from agentrt.wire.json import as_dict, as_list, as_str, dump

__all__ = ["CALLS", "CLIENT_CALLS", "HOSTED_CALLS", "CallKind", "FunctionCall", "Item", "Message", "item_view"]


class Item:
    """One item, read-only. Attributes are views; ``raw`` is the dict that came and what is replayed.

    Args:
        raw: The item as the wire has it. It is shared, not copied: treat it as frozen.
    """

    __slots__ = ("_json", "raw")

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self._json: bytes | None = None

    @property
    def type(self) -> str:
        """The item's type; a message may come without one."""
        return _type(self.raw)

    @property
    def id(self) -> str | None:
        """The server's id of the item, where it gave one."""
        return self.raw.get("id")

    @property
    def status(self) -> str | None:
        """``in_progress``, ``completed``, ``incomplete`` or a wider value; many types have none."""
        return self.raw.get("status")

    @property
    def json(self) -> bytes:
        """The item's JSON, written once: a long history costs each turn only the copying of bytes."""
        if self._json is None:
            self._json = dump(self.raw)
        return self._json

    def __repr__(self) -> str:
        """Show the raw dict."""
        return f"{type(self).__name__}({self.raw!r})"


class Message(Item):
    """A message: ``role`` and content parts."""

    __slots__ = ()

    @property
    def role(self) -> str:
        """``assistant``, ``user``, ``system`` or ``developer``."""
        return self.raw.get("role") or ""

    @property
    def phase(self) -> str | None:
        """``commentary`` beside calls, ``final_answer``, or None where the provider doesn't say."""
        return self.raw.get("phase")

    @property
    def text(self) -> str:
        """The text parts, joined."""
        content = self.raw.get("content")
        return content if isinstance(content, str) else self._join("text")

    @property
    def refusal(self) -> str | None:
        """The refusal's words, or None when the model did not refuse."""
        return self._join("refusal") or None

    def _join(self, key: str) -> str:
        parts = (as_dict(part).get(key) for part in as_list(self.raw.get("content")))
        return "".join(part for part in parts if isinstance(part, str))


class FunctionCall(Item):
    """A call of a function tool. ``call_id`` is the only key that ties its output to it."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The tool's name as the model wrote it."""
        return as_str(self.raw.get("name"))

    @property
    def call_id(self) -> str:
        """The key that the output must carry."""
        return as_str(self.raw.get("call_id"))

    @property
    def arguments(self) -> Any:
        """A JSON string by the specification; some providers send an object."""
        return self.raw.get("arguments")


class CallKind(NamedTuple):
    """One row of the table of calls that the client must answer.

    Attributes:
        output_type: The type of the item that answers the call.
        key: The field that ties the two together, the same in both.
    """

    output_type: str
    key: str

    def answer(self, call: Mapping[str, Any], output: str) -> dict[str, Any]:
        """Make the item that answers ``call``. A ``caller`` is copied, as programmatic tool calling demands."""
        item = {"type": self.output_type, self.key: as_str(call.get(self.key)), "output": output}
        if call.get("caller") is not None:
            item["caller"] = call["caller"]
        return item


CALLS: Mapping[str, CallKind] = MappingProxyType({"function_call": CallKind("function_call_output", "call_id")})
"""Calls that the client owes an answer to, by type. Every other call is the server's own."""

HOSTED_CALLS: frozenset[str] = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"}
)
"""Calls that the server ran by itself; they count towards ``max_tool_calls``."""

CLIENT_CALLS: Mapping[str, str] = MappingProxyType(
    {
        "apply_patch_call": "apply_patch_call_output",
        "computer_call": "computer_call_output",
        "custom_tool_call": "custom_tool_call_output",
        "local_shell_call": "local_shell_call_output",
        "mcp_approval_request": "mcp_approval_response",
        "shell_call": "shell_call_output",
    }
)
"""Calls that a client owes an answer to, but that no tool of this version can give: type of call, type of answer."""

_VIEWS: Mapping[str, type[Item]] = {"message": Message, "function_call": FunctionCall}


def item_view(raw: dict[str, Any]) -> Item:
    """Give the view that fits the item's type; an unknown type gets the plain `Item`."""
    return _VIEWS.get(_type(raw), Item)(raw)


def _type(raw: Mapping[str, Any]) -> str:
    return as_str(raw.get("type")) or ("message" if "role" in raw else "")
