"""One event of a response's stream, as a view over the dict that came.

The 59 events of the Responses API share a handful of fields, so one view serves all of them; ``type`` tells them apart.
Source: the stream events as listed by the openai 3.54 wheel's types.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agentrt.wire.json import Field, as_dict, as_dicts, as_str, dict_or_none, int_or_none, str_or_none

__all__ = ["EVENTS", "TERMINAL", "Event"]

TERMINAL: frozenset[str] = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The events that end a stream. ``cancelled`` has no event of its own: it is only a status."""

_ITEM = "item_id output_index"
_PART = f"{_ITEM} content_index"
_SUMMARY = f"{_ITEM} summary_index"
_COMMAND = "output_index command_index"
_PICTURE = "background output_format quality size"  # how the image is made; may be left out
_GROUPS = {
    "response": "created queued in_progress completed incomplete failed",
    "output_index item": "output_item.added output_item.done",
    f"{_PART} part": "content_part.added content_part.done",
    f"{_PART} delta": "refusal.delta reasoning_text.delta",
    f"{_PART} delta logprobs": "output_text.delta",
    f"{_PART} text": "reasoning_text.done",
    f"{_PART} text logprobs": "output_text.done",
    f"{_PART} refusal": "refusal.done",
    f"{_PART} annotation annotation_index": "output_text.annotation.added",
    f"{_SUMMARY} part": "reasoning_summary_part.added",
    f"{_SUMMARY} part status": "reasoning_summary_part.done",
    f"{_SUMMARY} delta": "reasoning_summary_text.delta",
    f"{_SUMMARY} text": "reasoning_summary_text.done",
    f"{_ITEM} delta": (
        "function_call_arguments.delta mcp_call_arguments.delta custom_tool_call_input.delta"
        " code_interpreter_call_code.delta"
    ),
    f"{_ITEM} arguments": "function_call_arguments.done mcp_call_arguments.done",
    f"{_ITEM} input": "custom_tool_call_input.done",
    f"{_ITEM} code": "code_interpreter_call_code.done",
    f"{_COMMAND} command": "shell_call_command.added shell_call_command.done",
    f"{_COMMAND} delta obfuscation": "shell_call_command.delta",
    f"{_COMMAND} item_id delta": "shell_call_output_content.delta",
    f"{_COMMAND} item_id output": "shell_call_output_content.done",
    f"{_ITEM} partial_image_b64 partial_image_index {_PICTURE}": "image_generation_call.partial_image",
    _ITEM: (
        "file_search_call.in_progress file_search_call.searching file_search_call.completed"
        " web_search_call.in_progress web_search_call.searching web_search_call.completed"
        " code_interpreter_call.in_progress code_interpreter_call.interpreting code_interpreter_call.completed"
        " image_generation_call.in_progress image_generation_call.generating image_generation_call.completed"
        " mcp_call.in_progress mcp_call.completed mcp_call.failed"
        " mcp_list_tools.in_progress mcp_list_tools.completed mcp_list_tools.failed"
        " compaction.compacting"
    ),
    "delta": "audio.delta audio.transcript.delta",
    "": "audio.done audio.transcript.done",
}

EVENTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "error": frozenset({"type", "sequence_number", "code", "message", "param"}),
        **{
            f"response.{name}": frozenset({"type", "sequence_number", *fields.split()})
            for fields, names in _GROUPS.items()
            for name in names.split()
        },
    }
)
"""The fields of each type of event. Deltas may also carry ``obfuscation``, and servers send types beyond these."""


class Event:
    """One event, read-only. An attribute that the event's type doesn't have is empty or None.

    Args:
        raw: The event as the wire has it.
    """

    __slots__ = ("raw", "type")

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.type: str = as_str(raw.get("type"))

    sequence_number = Field(int_or_none)
    """The event's number in its stream; some servers leave it out."""
    response = Field(dict_or_none)
    """The whole response so far, of the events that tell of its state."""
    item = Field(dict_or_none)
    """The item of ``output_item`` events; only ``done`` tells it whole."""
    part = Field(dict_or_none)
    """The content or summary part of ``…_part`` events."""

    item_id = Field(str_or_none)
    """Id of the item that the event belongs to."""
    output_index = Field(int_or_none)
    """Position of the item in the response's output."""
    content_index = Field(int_or_none)
    """Position of the part in its item's content."""
    summary_index = Field(int_or_none)
    """Position of the part in a reasoning item's summary."""
    annotation_index = Field(int_or_none)
    """Position of the annotation in its part."""
    command_index = Field(int_or_none)
    """Position of the command in its shell call."""
    partial_image_index = Field(int_or_none)
    """Number of the preview of an image, from 0."""

    delta = Field(as_str)
    """The piece of text, arguments, code, command or base64 audio that a delta event adds; empty for all others."""
    delta_object = Field(dict_or_none, "delta")
    """The ``delta`` of ``response.shell_call_output_content.delta``: ``stdout`` and ``stderr``."""
    obfuscation = Field(str_or_none)
    """Noise that hides the length of a delta; ``stream_options`` can switch it off."""
    text = Field(as_str)
    """The whole text of an output, reasoning or summary part that is done."""
    refusal = Field(as_str)
    """The whole refusal of a part that is done."""
    arguments = Field(as_str)
    """The whole arguments of a call, when they are done."""
    input = Field(as_str)
    """The whole input of a custom tool's call, when it is done."""
    command = Field(as_str)
    """A shell command: its beginning when it is added, all of it when it is done."""
    output = Field(as_dicts)
    """What shell commands wrote: ``stdout``, ``stderr`` and ``outcome`` of each."""
    logprobs = Field(as_dicts)
    """Log probabilities of a delta's or text's tokens, if asked for."""
    annotation = Field(dict_or_none)
    """A citation that was added to a text part."""
    partial_image_b64 = Field(as_str)
    """A preview of an image, base64."""
    background = Field(str_or_none)
    """``transparent``, ``opaque`` or ``auto``: the background of the image that is made."""
    output_format = Field(str_or_none)
    """The format of the image that is made."""
    quality = Field(str_or_none)
    """The quality of the image that is made."""
    size = Field(str_or_none)
    """The size of the image that is made."""
    status = Field(str_or_none)
    """``incomplete`` where a summary part was cut off."""

    @property
    def code(self) -> str | None:
        """The whole code of ``code_interpreter_call_code.done``, or the error's code of an ``error`` event."""
        return str_or_none(self._told("code"))

    @property
    def message(self) -> str:
        """What went wrong, of an ``error`` event."""
        told = self._told("message")
        return as_str(self.raw.get("error") if told is None else told)

    @property
    def param(self) -> str | None:
        """The parameter that an ``error`` event blames."""
        return str_or_none(self._told("param"))

    def _told(self, key: str) -> Any:
        # Documented flat; OpenAI, Azure and Open Responses send errors nested (openai-dotnet #881, vercel/ai #20022).
        told = self.raw.get(key)
        return as_dict(self.raw.get("error")).get(key) if told is None else told

    def __repr__(self) -> str:
        """Show the raw dict."""
        return f"Event({self.raw!r})"
