"""What users write: messages, calls of the client's own tools, their outputs, and the union of all 33 input items."""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from agentrt.wire.params.content import ContentPart, JsonSchemaFormat, OutputTextParam, PlainTextFormat, RefusalParam
from agentrt.wire.params.tool_items import Caller, Json, Status, ToolItem
from agentrt.wire.params.tools import AsyncField, ToolParam

__all__ = [
    "AdditionalToolsParam",
    "CompactionParam",
    "CompactionTriggerParam",
    "ConfigurationUpdateParam",
    "CustomToolCallOutputParam",
    "CustomToolCallParam",
    "EasyMessageParam",
    "FunctionCallOutputParam",
    "FunctionCallParam",
    "InputItem",
    "ItemReferenceParam",
    "MessageParam",
    "OutputMessageParam",
    "ProgramOutputParam",
    "ProgramParam",
    "ReasoningParam",
    "ReasoningUpdate",
    "TextUpdate",
    "ToolSearchCallParam",
    "ToolSearchOutputParam",
]

_Phase = Literal["commentary", "final_answer"]


class EasyMessageParam(TypedDict, total=False):
    """A message in its short form: a role and a text, or parts."""

    role: Required[Literal["user", "assistant", "system", "developer"]]
    content: Required[str | Sequence[ContentPart]]
    type: Literal["message"] | None
    phase: _Phase | None


class MessageParam(TypedDict, total=False):
    """A message to the model, of parts."""

    role: Required[Literal["user", "system", "developer"]]
    content: Required[Sequence[ContentPart]]
    type: Literal["message"] | None
    status: Status | None


class OutputMessageParam(TypedDict, total=False):
    """A message of the model's; its ``phase`` must be sent back too."""

    type: Required[Literal["message"]]
    id: Required[str]
    role: Required[Literal["assistant"]]
    status: Required[Status]
    content: Required[Sequence[OutputTextParam | RefusalParam]]
    phase: _Phase | None


class FunctionCallParam(AsyncField, total=False):
    """A call of a function."""

    type: Required[Literal["function_call"]]
    call_id: Required[str]
    name: Required[str]
    arguments: Required[str]
    id: str | None
    namespace: str | None
    caller: Caller | None
    status: Status | None


class FunctionCallOutputParam(TypedDict, total=False):
    """What a function gave: the call's ``call_id``, and its ``caller`` where it has one."""

    type: Required[Literal["function_call_output"]]
    output: Required[str | Sequence[ContentPart]]
    call_id: str | None
    id: str | None
    name: str | None
    namespace: str | None
    caller: Caller | None
    status: Status | None


class CustomToolCallParam(AsyncField, total=False):
    """A call of a custom tool."""

    type: Required[Literal["custom_tool_call"]]
    call_id: Required[str]
    name: Required[str]
    input: Required[str]
    id: str | None
    namespace: str | None
    caller: Caller | None


class CustomToolCallOutputParam(TypedDict, total=False):
    """What a custom tool gave."""

    type: Required[Literal["custom_tool_call_output"]]
    call_id: Required[str]
    output: Required[str | Sequence[ContentPart]]
    id: str | None
    caller: Caller | None


class ToolSearchCallParam(TypedDict, total=False):
    """A search for tools."""

    type: Required[Literal["tool_search_call"]]
    arguments: Required[Any]
    id: str | None
    call_id: str | None
    execution: Literal["server", "client"] | None
    status: Status | None


class ToolSearchOutputParam(TypedDict, total=False):
    """The tools that were found."""

    type: Required[Literal["tool_search_output"]]
    tools: Required[Sequence[ToolParam]]
    id: str | None
    call_id: str | None
    execution: Literal["server", "client"] | None
    status: Status | None


class AdditionalToolsParam(TypedDict, total=False):
    """More tools from here on."""

    type: Required[Literal["additional_tools"]]
    role: Required[Literal["developer"]]
    tools: Required[Sequence[ToolParam]]
    id: str | None


class ReasoningUpdate(TypedDict, total=False):
    """Another effort from here on."""

    effort: str | None


class TextUpdate(TypedDict):
    """Another form of the answer from here on."""

    format: PlainTextFormat | JsonSchemaFormat


class ConfigurationUpdateParam(TypedDict, total=False):
    """Changes reasoning or text format from here on."""

    type: Required[Literal["configuration_update"]]
    reasoning: ReasoningUpdate | None
    text: TextUpdate | None
    id: str | None


class ReasoningParam(TypedDict, total=False):
    """The model's reasoning; ``summary`` must be there even when it is empty."""

    type: Required[Literal["reasoning"]]
    id: Required[str]
    summary: Required[Sequence[Json]]
    content: Sequence[Json] | None
    encrypted_content: str | None
    status: Status | None


class CompactionParam(TypedDict, total=False):
    """A compacted part of the conversation."""

    type: Required[Literal["compaction"]]
    encrypted_content: Required[str]
    id: str | None


class CompactionTriggerParam(TypedDict, total=False):
    """Asks the server to compact now."""

    type: Required[Literal["compaction_trigger"]]
    id: str | None


class ItemReferenceParam(TypedDict, total=False):
    """An item that the server has stored."""

    id: Required[str]
    type: Literal["item_reference"] | None


class ProgramParam(TypedDict):
    """A program that calls tools."""

    type: Literal["program"]
    id: str
    call_id: str
    code: str
    fingerprint: str


class ProgramOutputParam(TypedDict):
    """What a program gave."""

    type: Literal["program_output"]
    id: str
    call_id: str
    result: str
    status: Literal["completed", "incomplete"]


InputItem = (
    EasyMessageParam
    | MessageParam
    | OutputMessageParam
    | FunctionCallParam
    | FunctionCallOutputParam
    | CustomToolCallParam
    | CustomToolCallOutputParam
    | ToolSearchCallParam
    | ToolSearchOutputParam
    | AdditionalToolsParam
    | ConfigurationUpdateParam
    | ReasoningParam
    | CompactionParam
    | CompactionTriggerParam
    | ItemReferenceParam
    | ProgramParam
    | ProgramOutputParam
    | ToolItem
)
"""One item of a request's input; `agentrt.wire.items.Item` views go in as well."""
