"""What users write: the content parts of messages and outputs, and the formats of a model's text."""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

__all__ = [
    "ContentPart",
    "InputAudioData",
    "InputAudioParam",
    "InputFileParam",
    "InputImageParam",
    "InputTextParam",
    "InputVideoParam",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "OutputTextParam",
    "PlainTextFormat",
    "PromptCacheBreakpoint",
    "RefusalParam",
    "TextFormat",
]


class PromptCacheBreakpoint(TypedDict, total=False):
    """Marks the end of a prefix to cache; up to 4 per request."""

    mode: Required[Literal["explicit"]]
    ttl: Literal["30m", "12h"] | None


class InputTextParam(TypedDict, total=False):
    """Text for the model."""

    type: Required[Literal["input_text"]]
    text: Required[str]
    prompt_cache_breakpoint: PromptCacheBreakpoint | None


class InputImageParam(TypedDict, total=False):
    """An image, by URL, data URL or file id."""

    type: Required[Literal["input_image"]]
    image_url: str | None
    file_id: str | None
    detail: Literal["low", "high", "auto", "original"] | None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None


class InputFileParam(TypedDict, total=False):
    """A file, by URL, file id, or as a data URL with its name."""

    type: Required[Literal["input_file"]]
    file_url: str | None
    file_id: str | None
    file_data: str | None
    filename: str | None
    detail: Literal["auto", "low", "high"] | None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None


class InputAudioData(TypedDict):
    """Sound as base64, and its format: ``mp3`` or ``wav`` for most servers."""

    data: str
    format: str


class InputAudioParam(TypedDict):
    """Sound, in the shape of Chat Completions, as servers of open models take it; not among OpenAI's types."""

    type: Literal["input_audio"]
    input_audio: InputAudioData


class InputVideoParam(TypedDict):
    """A video by URL; Open Responses' own."""

    type: Literal["input_video"]
    video_url: str


ContentPart = InputTextParam | InputImageParam | InputFileParam | InputAudioParam | InputVideoParam
"""One part of a message to the model, or of a tool's output."""


class OutputTextParam(TypedDict, total=False):
    """Text that the model wrote, sent back."""

    type: Required[Literal["output_text"]]
    text: Required[str]
    annotations: Required[Sequence[dict[str, Any]]]
    logprobs: Sequence[dict[str, Any]] | None


class RefusalParam(TypedDict):
    """The model's refusal, sent back."""

    type: Literal["refusal"]
    refusal: str


class PlainTextFormat(TypedDict):
    """Free text, which is the default."""

    type: Literal["text"]


class JsonObjectFormat(TypedDict):
    """Any JSON object; the older form, to be asked for in the prompt too."""

    type: Literal["json_object"]


class JsonSchemaFormat(TypedDict, total=False):
    """JSON that follows a schema; the name has up to 64 letters, digits, ``_`` and ``-``."""

    type: Required[Literal["json_schema"]]
    name: Required[str]
    schema: Required[dict[str, Any]]
    description: str | None
    strict: bool | None


TextFormat = PlainTextFormat | JsonObjectFormat | JsonSchemaFormat
"""The form of the model's answer."""
