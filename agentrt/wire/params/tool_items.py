"""What users write: the calls of built-in tools, and the outputs that clients give them.

Calls are sent back as they came; `Item.raw` is that. What is nested in them is only a dict here, unless clients write
it.
"""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from agentrt.wire.params.tools import ContainerReference, LocalEnvironment

__all__ = [
    "ApplyPatchCallOutputParam",
    "ApplyPatchCallParam",
    "Caller",
    "CodeInterpreterCallParam",
    "ComputerCallOutputParam",
    "ComputerCallParam",
    "ComputerScreenshot",
    "DirectCaller",
    "ExitOutcome",
    "FileSearchCallParam",
    "ImageGenerationCallParam",
    "Json",
    "LocalShellCallOutputParam",
    "LocalShellCallParam",
    "McpApprovalRequestParam",
    "McpApprovalResponseParam",
    "McpCallParam",
    "McpListToolsParam",
    "ProgramCaller",
    "SafetyCheck",
    "ShellCallOutputParam",
    "ShellCallParam",
    "ShellOutput",
    "Status",
    "TimeoutOutcome",
    "ToolItem",
    "WebSearchCallParam",
]

Json = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete"]


class DirectCaller(TypedDict):
    """The model itself called."""

    type: Literal["direct"]


class ProgramCaller(TypedDict):
    """A program that the model wrote called."""

    type: Literal["program"]
    caller_id: str


Caller = DirectCaller | ProgramCaller
"""Who made a call; its output carries the same."""


class FileSearchCallParam(TypedDict, total=False):
    """A search in vector stores."""

    type: Required[Literal["file_search_call"]]
    id: Required[str]
    queries: Required[Sequence[str]]
    status: Required[Literal["in_progress", "searching", "completed", "incomplete", "failed"]]
    results: Sequence[Json] | None


class WebSearchCallParam(TypedDict):
    """A search in the web."""

    type: Literal["web_search_call"]
    id: str
    action: Json
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"]


class CodeInterpreterCallParam(TypedDict, total=False):
    """Code that the server ran."""

    type: Required[Literal["code_interpreter_call"]]
    id: Required[str]
    container_id: Required[str]
    status: Required[Literal["in_progress", "completed", "incomplete", "interpreting", "failed"]]
    code: str | None
    outputs: Sequence[Json] | None


class ImageGenerationCallParam(TypedDict, total=False):
    """An image that the server made."""

    type: Required[Literal["image_generation_call"]]
    id: Required[str]
    status: Required[Literal["in_progress", "completed", "generating", "failed"]]
    result: str | None
    action: Literal["generate", "edit", "auto"] | None
    background: Literal["transparent", "opaque", "auto"] | None
    error: Json | None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None
    revised_prompt: str | None
    size: str | None
    svg_usage: Json | None


class SafetyCheck(TypedDict, total=False):
    """A check of a computer call that a person has acknowledged."""

    id: Required[str]
    code: str | None
    message: str | None


class ComputerCallParam(TypedDict, total=False):
    """Actions on a screen."""

    type: Required[Literal["computer_call"]]
    id: Required[str]
    call_id: Required[str]
    pending_safety_checks: Required[Sequence[SafetyCheck]]
    status: Required[Status]
    action: Json | None
    actions: Sequence[Json] | None


class ComputerScreenshot(TypedDict, total=False):
    """A picture of the screen, as a URL, a data URL or a file's id."""

    type: Required[Literal["computer_screenshot"]]
    image_url: str | None
    file_id: str | None


class ComputerCallOutputParam(TypedDict, total=False):
    """The screen after the actions."""

    type: Required[Literal["computer_call_output"]]
    call_id: Required[str]
    output: Required[ComputerScreenshot]
    id: str | None
    acknowledged_safety_checks: Sequence[SafetyCheck] | None
    status: Status | None


class LocalShellCallParam(TypedDict):
    """A command, in the older form."""

    type: Literal["local_shell_call"]
    id: str
    call_id: str
    action: Json
    status: Status


class LocalShellCallOutputParam(TypedDict, total=False):
    """What a command gave, in the older form; ``id`` is the call's."""

    type: Required[Literal["local_shell_call_output"]]
    id: Required[str]
    output: Required[str]
    status: Status | None


class ShellCallParam(TypedDict, total=False):
    """Shell commands."""

    type: Required[Literal["shell_call"]]
    call_id: Required[str]
    action: Required[Json]
    id: str | None
    caller: Caller | None
    environment: LocalEnvironment | ContainerReference | None
    status: Status | None


class TimeoutOutcome(TypedDict):
    """The command took too long."""

    type: Literal["timeout"]


class ExitOutcome(TypedDict):
    """The command ended."""

    type: Literal["exit"]
    exit_code: int


class ShellOutput(TypedDict):
    """What one command wrote, and how it ended."""

    stdout: str
    stderr: str
    outcome: TimeoutOutcome | ExitOutcome


class ShellCallOutputParam(TypedDict, total=False):
    """What shell commands gave; ``max_output_length`` is the call's."""

    type: Required[Literal["shell_call_output"]]
    call_id: Required[str]
    output: Required[Sequence[ShellOutput]]
    id: str | None
    caller: Caller | None
    max_output_length: int | None
    status: Status | None


class ApplyPatchCallParam(TypedDict, total=False):
    """A change of one file."""

    type: Required[Literal["apply_patch_call"]]
    call_id: Required[str]
    operation: Required[Json]
    status: Required[Literal["in_progress", "completed"]]
    id: str | None
    caller: Caller | None


class ApplyPatchCallOutputParam(TypedDict, total=False):
    """Whether the change was made."""

    type: Required[Literal["apply_patch_call_output"]]
    call_id: Required[str]
    status: Required[Literal["completed", "failed"]]
    id: str | None
    caller: Caller | None
    output: str | None


class McpListToolsParam(TypedDict, total=False):
    """The tools of an MCP server."""

    type: Required[Literal["mcp_list_tools"]]
    id: Required[str]
    server_label: Required[str]
    tools: Required[Sequence[Json]]
    error: str | None


class McpCallParam(TypedDict, total=False):
    """A call of an MCP tool by the provider."""

    type: Required[Literal["mcp_call"]]
    id: Required[str]
    server_label: Required[str]
    name: Required[str]
    arguments: Required[str]
    approval_request_id: str | None
    output: str | None
    error: Json | None
    status: Literal["in_progress", "completed", "incomplete", "calling", "failed"] | None


class McpApprovalRequestParam(TypedDict):
    """The provider's question whether it may make a call."""

    type: Literal["mcp_approval_request"]
    id: str
    server_label: str
    name: str
    arguments: str


class McpApprovalResponseParam(TypedDict, total=False):
    """The client's answer."""

    type: Required[Literal["mcp_approval_response"]]
    approval_request_id: Required[str]
    approve: Required[bool]
    id: str | None
    reason: str | None


ToolItem = (
    FileSearchCallParam
    | WebSearchCallParam
    | CodeInterpreterCallParam
    | ImageGenerationCallParam
    | ComputerCallParam
    | ComputerCallOutputParam
    | LocalShellCallParam
    | LocalShellCallOutputParam
    | ShellCallParam
    | ShellCallOutputParam
    | ApplyPatchCallParam
    | ApplyPatchCallOutputParam
    | McpListToolsParam
    | McpCallParam
    | McpApprovalRequestParam
    | McpApprovalResponseParam
)
"""A call of a built-in tool, or its output."""
