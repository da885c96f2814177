"""Items: what a response is made of and what a request carries; which view fits which, and which calls want an answer.

The views themselves are in `agentrt.wire.views` and `agentrt.wire.tool_views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from agentrt.wire import tool_views, views
from agentrt.wire.json import as_str
from agentrt.wire.views import FunctionCall, Item, Message, item_type

__all__ = ["CALLS", "CLIENT_CALLS", "HOSTED_CALLS", "CallKind", "FunctionCall", "Item", "Message", "item_view"]


class CallKind(NamedTuple):
    """One row of the table of calls that the client must answer.

    Attributes:
        output_type: The type of the item that answers the call.
        key: The field of the answer that ties it to the call.
        call_key: The field of the call that it holds.
    """

    output_type: str
    key: str
    call_key: str

    def answer(self, call: Mapping[str, Any], output: str | list[dict[str, Any]]) -> dict[str, Any]:
        """Make the item that answers ``call``. A ``caller`` is copied, as programmatic tool calling demands."""
        item = {"type": self.output_type, self.key: as_str(call.get(self.call_key)), "output": output}
        if call.get("caller") is not None:
            item["caller"] = call["caller"]
        return item

    def refusal(self, call: Mapping[str, Any], text: str) -> dict[str, Any]:
        """Make the item that tells the model why ``call`` was not run."""
        if self.output_type == "mcp_approval_response":
            return self.approval(call, approve=False, reason=text)
        return self.answer(call, f"Error: {text}")

    def approval(self, call: Mapping[str, Any], *, approve: bool, reason: str = "") -> dict[str, Any]:
        """Make the item that lets a hosted MCP server run what it asked for, or not."""
        item = {"type": self.output_type, self.key: as_str(call.get(self.call_key)), "approve": approve}
        return {**item, "reason": reason} if reason else item


CALLS: Mapping[str, CallKind] = MappingProxyType(
    {
        "function_call": CallKind("function_call_output", "call_id", "call_id"),
        "mcp_approval_request": CallKind("mcp_approval_response", "approval_request_id", "id"),
    }
)
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
        "shell_call": "shell_call_output",
    }
)
"""Calls that a client owes an answer to, but that no tool of this version can give: type of call, type of answer."""

_VIEWS: Mapping[str, type[Item]] = {
    "additional_tools": views.AdditionalTools,
    "apply_patch_call": tool_views.ApplyPatchCall,
    "apply_patch_call_output": tool_views.ApplyPatchCallOutput,
    "code_interpreter_call": tool_views.CodeInterpreterCall,
    "compaction": views.Compaction,
    "compaction_trigger": views.CompactionTrigger,
    "computer_call": tool_views.ComputerCall,
    "computer_call_output": tool_views.ComputerCallOutput,
    "configuration_update": views.ConfigurationUpdate,
    "custom_tool_call": views.CustomToolCall,
    "custom_tool_call_output": views.CustomToolCallOutput,
    "file_search_call": tool_views.FileSearchCall,
    "function_call": FunctionCall,
    "function_call_output": views.FunctionCallOutput,
    "image_generation_call": tool_views.ImageGenerationCall,
    "item_reference": views.ItemReference,
    "local_shell_call": tool_views.LocalShellCall,
    "local_shell_call_output": tool_views.LocalShellCallOutput,
    "mcp_approval_request": tool_views.McpApprovalRequest,
    "mcp_approval_response": tool_views.McpApprovalResponse,
    "mcp_call": tool_views.McpCall,
    "mcp_list_tools": tool_views.McpListTools,
    "message": Message,
    "program": views.Program,
    "program_output": views.ProgramOutput,
    "reasoning": views.Reasoning,
    "shell_call": tool_views.ShellCall,
    "shell_call_output": tool_views.ShellCallOutput,
    "tool_search_call": views.ToolSearchCall,
    "tool_search_output": views.ToolSearchOutput,
    "web_search_call": tool_views.WebSearchCall,
}


def item_view(raw: dict[str, Any]) -> Item:
    """Give the view that fits the item's type; an unknown type gets the plain `Item`."""
    return _VIEWS.get(item_type(raw), Item)(raw)
