"""Items as views over the dicts that came: messages, calls of the client's own tools, and what shapes the context.

An attribute has the type that it promises, whatever came: a missing list is empty; a missing text is empty where the
field is required, and None where it is not. ``raw`` has the values as they came. Sources: the item types of the
Responses API as listed by the openai 3.54 wheel's types (output, input, stored and conversation items), and Open
Responses 2026-04-24. The views of the built-in tools are in `agentrt.wire.tool_views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentrt.wire.json import (
    Field,
    as_dicts,
    as_is,
    as_str,
    as_str_or_dicts,
    dict_or_none,
    dump,
    is_true,
    str_or_none,
)

__all__ = [
    "AdditionalTools",
    "Compaction",
    "CompactionTrigger",
    "ConfigurationUpdate",
    "CustomToolCall",
    "CustomToolCallOutput",
    "FunctionCall",
    "FunctionCallOutput",
    "Item",
    "ItemReference",
    "Message",
    "Program",
    "ProgramOutput",
    "Reasoning",
    "ToolSearchCall",
    "ToolSearchOutput",
    "item_type",
]


def item_type(raw: Mapping[str, Any]) -> str:
    """Tell the type of an item: messages and references may come without one."""
    told = as_str(raw.get("type"))
    if told or "role" in raw:
        return told or "message"
    return "item_reference" if "id" in raw and raw.keys() <= {"id", "type"} else ""


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
        return item_type(self.raw)

    id = Field(str_or_none)
    """The server's id of the item, where it gave one."""
    status = Field(str_or_none)
    """``in_progress``, ``completed``, ``incomplete`` or a wider value; many types have none."""

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
    """A message of the model, or one that the client wrote."""

    __slots__ = ()

    role = Field(as_str)
    """``assistant``, ``user``, ``system`` or ``developer``."""
    phase = Field(str_or_none)
    """``commentary`` beside calls, ``final_answer``, or None where the provider doesn't say."""

    @property
    def content(self) -> list[dict[str, Any]]:
        """The content parts; content that is a plain text is one part."""
        told = self.raw.get("content")
        if isinstance(told, str):
            return [{"type": "output_text" if self.role == "assistant" else "input_text", "text": told}]
        return as_dicts(told)

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return self._join("text")

    @property
    def refusal(self) -> str | None:
        """The refusal's words, or None when the model did not refuse."""
        return self._join("refusal") or None

    @property
    def annotations(self) -> list[dict[str, Any]]:
        """The annotations of all parts in order: ``url_citation``, ``file_citation``, ``file_path``, …."""
        return [note for part in self.content for note in as_dicts(part.get("annotations"))]

    def _join(self, key: str) -> str:
        return "".join(as_str(part.get(key)) for part in self.content)


class FunctionCall(Item):
    """A call of a function tool, made by the model. ``call_id`` is the only key that ties its output to it."""

    __slots__ = ()

    name = Field(as_str)
    """The tool's name as the model wrote it."""
    call_id = Field(as_str)
    """The key that the output must carry."""
    arguments = Field(as_is)
    """A JSON string by the specification; some providers send an object."""
    async_ = Field(is_true)
    """True when the model goes on without the output, which may follow in a later request."""
    caller = Field(dict_or_none)
    """Who called: the model directly, or a program of its; the output must carry it too."""
    namespace = Field(str_or_none)
    """The namespace of the tool; tools of one name may live in several."""
    created_by = Field(str_or_none)


class FunctionCallOutput(Item):
    """What a function tool gave, written by the client."""

    __slots__ = ()

    call_id = Field(str_or_none)
    output = Field(as_str_or_dicts)
    """A text, or content parts."""
    caller = Field(dict_or_none)
    name = Field(str_or_none)
    namespace = Field(str_or_none)
    created_by = Field(str_or_none)


class CustomToolCall(Item):
    """A call of a custom tool, made by the model: its input is free text, not JSON."""

    __slots__ = ()

    name = Field(as_str)
    call_id = Field(as_str)
    input = Field(as_str)
    async_ = Field(is_true)
    caller = Field(dict_or_none)
    namespace = Field(str_or_none)
    created_by = Field(str_or_none)


class CustomToolCallOutput(Item):
    """What a custom tool gave, written by the client."""

    __slots__ = ()

    call_id = Field(as_str)
    output = Field(as_str_or_dicts)
    """A text, or content parts."""
    caller = Field(dict_or_none)
    created_by = Field(str_or_none)


class Reasoning(Item):
    """What the model thought, as a summary, in clear, or encrypted; bound to the provider that made it."""

    __slots__ = ()

    summary = Field(as_dicts)
    """Parts of type ``summary_text``. Replayed even when empty."""
    content = Field(as_dicts)
    """Parts of type ``reasoning_text``, from models that show their reasoning."""
    encrypted_content = Field(str_or_none)
    """The reasoning for replay without a store; whole only once the item is done."""

    @property
    def text(self) -> str:
        """The summary's parts as paragraphs, or the content's where there is no summary."""
        texts = [as_str(part.get("text")) for part in self.summary or self.content]
        return "\n\n".join(text for text in texts if text)


class Compaction(Item):
    """An earlier part of the conversation, compacted by the server; bound to the provider that made it."""

    __slots__ = ()

    encrypted_content = Field(as_str)
    created_by = Field(str_or_none)


class CompactionTrigger(Item):
    """Asks the server to compact the conversation now; only clients send it."""

    __slots__ = ()


class ConfigurationUpdate(Item):
    """Changes reasoning or text format from here on, without a change of the request."""

    __slots__ = ()

    reasoning = Field(dict_or_none)
    text = Field(dict_or_none)


class ItemReference(Item):
    """An item that the server has stored, by its id; only clients send it."""

    __slots__ = ()


class AdditionalTools(Item):
    """More tools from here on, without a change of the request's ``tools``, which would cost the prompt cache."""

    __slots__ = ()

    role = Field(as_str)
    tools = Field(as_dicts)


class ToolSearchCall(Item):
    """The model looks for tools whose loading was deferred; ``execution`` says who searches."""

    __slots__ = ()

    call_id = Field(str_or_none)
    """None where the server searches."""
    arguments = Field(as_is)
    """An object by the specification; some providers send a JSON string."""
    execution = Field(str_or_none)
    """``server`` or ``client``."""
    created_by = Field(str_or_none)


class ToolSearchOutput(Item):
    """The tools that a search found, loaded from here on."""

    __slots__ = ()

    call_id = Field(str_or_none)
    tools = Field(as_dicts)
    execution = Field(str_or_none)
    created_by = Field(str_or_none)


class Program(Item):
    """Code that the model wrote to call tools; the provider runs it, and its calls carry a ``caller``."""

    __slots__ = ()

    call_id = Field(as_str)
    code = Field(as_str)
    fingerprint = Field(as_str)
    """What the provider needs to go on with the program when it is replayed."""


class ProgramOutput(Item):
    """What a program gave."""

    __slots__ = ()

    call_id = Field(as_str)
    result = Field(as_str)
