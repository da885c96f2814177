"""Items of the built-in tools as views: what the server ran by itself, and what it asks the client to run.

Rules and sources are those of `agentrt.wire.views`.
"""

from __future__ import annotations

import binascii
from typing import Any

from agentrt.wire.json import (
    Field,
    as_dict,
    as_dicts,
    as_error,
    as_str,
    as_strs,
    dict_or_none,
    int_or_none,
    is_true,
    str_or_none,
)
from agentrt.wire.views import Item

__all__ = [
    "ApplyPatchCall",
    "ApplyPatchCallOutput",
    "CodeInterpreterCall",
    "ComputerCall",
    "ComputerCallOutput",
    "FileSearchCall",
    "ImageGenerationCall",
    "LocalShellCall",
    "LocalShellCallOutput",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "McpCall",
    "McpListTools",
    "ShellCall",
    "ShellCallOutput",
    "WebSearchCall",
]


class FileSearchCall(Item):
    """A search in vector stores, run by the server."""

    __slots__ = ()

    queries = Field(as_strs)
    results = Field(as_dicts)
    """Comes with ``include=["file_search_call.results"]``."""


class WebSearchCall(Item):
    """A search in the web, a page opened or searched, run by the server."""

    __slots__ = ()

    action = Field(as_dict)
    """Its ``type`` is ``search``, ``open_page`` or ``find_in_page``."""

    @property
    def queries(self) -> list[str]:
        """What was searched for; older servers tell one ``query``."""
        return as_strs(self.action.get("queries")) or as_strs([self.action.get("query")])

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The pages that were read; they come with ``include=["web_search_call.action.sources"]``."""
        return as_dicts(self.action.get("sources"))


class CodeInterpreterCall(Item):
    """Code that the model wrote and the server ran in a container."""

    __slots__ = ()

    code = Field(str_or_none)
    container_id = Field(as_str)
    outputs = Field(as_dicts)
    """Of type ``logs`` or ``image``; they come with ``include=["code_interpreter_call.outputs"]``."""


class ImageGenerationCall(Item):
    """An image that the server made."""

    __slots__ = ()

    result = Field(str_or_none)
    """The image, base64."""
    action = Field(str_or_none)
    background = Field(str_or_none)
    error = Field(dict_or_none)
    output_format = Field(str_or_none)
    quality = Field(str_or_none)
    revised_prompt = Field(str_or_none)
    """The prompt that was really used."""
    size = Field(str_or_none)
    svg_usage = Field(dict_or_none)

    @property
    def image(self) -> bytes | None:
        """The image's bytes; None when there are none yet, or when they are broken."""
        try:
            return binascii.a2b_base64(self.result or "", strict_mode=True) or None
        except ValueError:
            return None


class ComputerCall(Item):
    """Actions on a computer's screen that the model asks the client for."""

    __slots__ = ()

    call_id = Field(as_str)
    pending_safety_checks = Field(as_dicts)
    """What a person must acknowledge before the actions are done."""
    action = Field(dict_or_none)
    """The one action, from models that don't batch them."""

    @property
    def actions(self) -> list[dict[str, Any]]:
        """The actions in order, whether they came as one or as a batch."""
        return as_dicts(self.raw.get("actions")) or as_dicts([self.action])


class ComputerCallOutput(Item):
    """The screen after the actions, sent by the client."""

    __slots__ = ()

    call_id = Field(as_str)
    output = Field(as_dict)
    """A ``computer_screenshot`` with ``image_url`` or ``file_id``."""
    acknowledged_safety_checks = Field(as_dicts)
    created_by = Field(str_or_none)


class ShellCall(Item):
    """Shell commands that the model asks for; whose shell runs them, ``environment`` says."""

    __slots__ = ()

    call_id = Field(as_str)
    action = Field(as_dict)
    """``commands``, which may run at once, and perhaps ``timeout_ms`` and ``max_output_length``."""
    environment = Field(dict_or_none)
    """``local`` is the client's; a ``container_reference`` is the server's, which then sends the output too."""
    caller = Field(dict_or_none)
    created_by = Field(str_or_none)


class ShellCallOutput(Item):
    """What shell commands wrote, and how they ended."""

    __slots__ = ()

    call_id = Field(as_str)
    output = Field(as_dicts)
    """One entry per command: ``stdout``, ``stderr`` and ``outcome``."""
    max_output_length = Field(int_or_none)
    caller = Field(dict_or_none)
    created_by = Field(str_or_none)


class LocalShellCall(Item):
    """A command for the client's shell, in the older form; its output is tied to it by ``id``."""

    __slots__ = ()

    call_id = Field(as_str)
    action = Field(as_dict)
    """``command`` as a list, ``env``, and perhaps ``timeout_ms``, ``user`` and ``working_directory``."""


class LocalShellCallOutput(Item):
    """What a command gave, in the older form; ``id`` is the call's."""

    __slots__ = ()

    output = Field(as_str)
    """A JSON string."""


class ApplyPatchCall(Item):
    """A change of one file that the model asks the client for."""

    __slots__ = ()

    call_id = Field(as_str)
    operation = Field(as_dict)
    """``create_file``, ``update_file`` or ``delete_file``, with ``path`` and ``diff``."""
    caller = Field(dict_or_none)
    created_by = Field(str_or_none)


class ApplyPatchCallOutput(Item):
    """Whether the change was made: ``status`` is ``completed`` or ``failed``."""

    __slots__ = ()

    call_id = Field(as_str)
    output = Field(str_or_none)
    caller = Field(dict_or_none)
    created_by = Field(str_or_none)


class McpListTools(Item):
    """The tools of an MCP server that the provider talks to."""

    __slots__ = ()

    server_label = Field(as_str)
    tools = Field(as_dicts)
    error = Field(str_or_none)


class McpCall(Item):
    """A call of an MCP tool, made by the provider."""

    __slots__ = ()

    name = Field(as_str)
    server_label = Field(as_str)
    arguments = Field(as_str)
    output = Field(str_or_none)
    error = Field(as_error)
    """``mcp_protocol_error``, ``mcp_tool_execution_error`` or ``http_error``; a plain text becomes its ``message``."""
    approval_request_id = Field(str_or_none)


class McpApprovalRequest(Item):
    """The provider asks the client whether it may make an MCP call."""

    __slots__ = ()

    name = Field(as_str)
    server_label = Field(as_str)
    arguments = Field(as_str)


class McpApprovalResponse(Item):
    """The client's answer to an `McpApprovalRequest`."""

    __slots__ = ()

    approval_request_id = Field(as_str)
    approve = Field(is_true)
    reason = Field(str_or_none)
