"""What users write: a request's nested parameters, and the unions of all that its lists may hold.

Sources: the parameters of the Responses API as listed by the openai 3.54 wheel's types, and Open Responses 2026-04-24
where a docstring says so. None is allowed where those types allow null.

For type checkers only: ``import agentrt`` loads nothing of this package. Its modules are without ``from __future__
import annotations``, which would hide ``Required`` from the classes' ``__required_keys__``.
"""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from agentrt.wire.params.content import ContentPart, TextFormat
from agentrt.wire.params.items import InputItem
from agentrt.wire.params.tools import ToolParam

__all__ = [
    "AccessPrograms",
    "AllowedToolsChoice",
    "ApplyPatchChoice",
    "BackgroundOptions",
    "ContentPart",
    "ContextManagement",
    "Conversation",
    "CustomChoice",
    "FunctionChoice",
    "HostedChoice",
    "ImageConfig",
    "Include",
    "InputItem",
    "McpChoice",
    "Moderation",
    "ModerationMode",
    "ModerationPolicy",
    "ProgrammaticChoice",
    "PromptCacheOptions",
    "PromptTemplate",
    "ReasoningConfig",
    "ShellChoice",
    "StreamOptions",
    "TextConfig",
    "ToolChoice",
    "ToolParam",
]


class AccessPrograms(TypedDict, total=False):
    """Restricted programs of the provider's to run under."""

    cyber: Literal["standard", "daybreak_blue", "daybreak_red"] | None


class BackgroundOptions(TypedDict, total=False):
    """How long a background response may take."""

    completion_window: Literal["soonest", "2h", "8h"] | None
    continuation_id: str | None


class ContextManagement(TypedDict, total=False):
    """Compaction by the server once the context has ``compact_threshold`` tokens."""

    type: Required[str]
    compact_threshold: int | None


class Conversation(TypedDict):
    """A conversation that the server keeps."""

    id: str


class ImageConfig(TypedDict, total=False):
    """Whether images in the context are compressed."""

    context_compression: Literal["auto", "enabled", "disabled"] | None


class ModerationMode(TypedDict):
    """Whether what is flagged is only scored, or blocked."""

    mode: Literal["score", "block"]


class ModerationPolicy(TypedDict, total=False):
    """What happens to flagged input and output."""

    input: ModerationMode | None
    output: ModerationMode | None


class Moderation(TypedDict, total=False):
    """The model that moderates, and what follows from it."""

    model: Required[str]
    policy: ModerationPolicy | None


class PromptTemplate(TypedDict, total=False):
    """A prompt that the provider keeps, and the values of its variables."""

    id: Required[str]
    variables: dict[str, str | ContentPart] | None
    version: str | None


class PromptCacheOptions(TypedDict, total=False):
    """How prefixes are cached; ``explicit`` caches at the breakpoints of content parts only."""

    mode: Literal["implicit", "explicit"] | None
    ttl: Literal["30m", "12h"] | None
    prewarm: bool | None
    comparison_response_id: str | None


class ReasoningConfig(TypedDict, total=False):
    """How hard the model thinks (``none`` to ``max``; an open set), and what it shows of it."""

    effort: str | None
    summary: Literal["auto", "concise", "detailed"] | None
    context: Literal["auto", "current_turn", "all_turns"] | None
    mode: str | None
    generate_summary: Literal["auto", "concise", "detailed"] | None  # deprecated: summary


class StreamOptions(TypedDict, total=False):
    """Whether deltas carry noise that hides their length; false saves bandwidth."""

    include_obfuscation: bool | None


class TextConfig(TypedDict, total=False):
    """The form of the answer, and how long-winded it is."""

    format: TextFormat | None
    verbosity: Literal["low", "medium", "high"] | None


class AllowedToolsChoice(TypedDict):
    """Narrows the tools without a change of ``tools``, so that the prompt cache holds."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Sequence[dict[str, Any]]


class HostedChoice(TypedDict):
    """One of the provider's tools, to be called."""

    type: Literal[
        "file_search",
        "web_search_preview",
        "computer",
        "computer_use_preview",
        "computer_use",
        "web_search_preview_2025_03_11",
        "image_generation",
        "code_interpreter",
    ]


class FunctionChoice(TypedDict):
    """The function to be called."""

    type: Literal["function"]
    name: str


class McpChoice(TypedDict, total=False):
    """The MCP server, or its tool, to be called."""

    type: Required[Literal["mcp"]]
    server_label: Required[str]
    name: str | None


class CustomChoice(TypedDict):
    """The custom tool to be called."""

    type: Literal["custom"]
    name: str


class ProgrammaticChoice(TypedDict):
    """A program is to be written."""

    type: Literal["programmatic_tool_calling"]


class ApplyPatchChoice(TypedDict):
    """Files are to be changed."""

    type: Literal["apply_patch"]


class ShellChoice(TypedDict):
    """The shell is to be used."""

    type: Literal["shell"]


ToolChoice = (
    Literal["none", "auto", "required"]
    | AllowedToolsChoice
    | HostedChoice
    | FunctionChoice
    | McpChoice
    | CustomChoice
    | ProgrammaticChoice
    | ApplyPatchChoice
    | ShellChoice
)
"""Whether the model calls tools, and which."""

Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
"""What a response leaves out unless it is asked for."""
