"""What a tool returned as content for MCP clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote

import mcp_types as types

from agentrt.registry.output import encode_output
from agentrt.serving.offers import Offer
from agentrt.wire import media
from agentrt.wire.json import as_str, parse
from agentrt.wire.parts import Part

_MAX_TEXT = 10_000_000
__all__ = ["failed", "result_of"]

_AUDIO = {"mp3": "audio/mpeg"}
_SHOWN = 2000


def failed(text: str) -> types.CallToolResult:
    """Make the result of a call that failed, for the model to read."""
    return types.CallToolResult(content=[_text(text)], is_error=True)


def result_of(offer: Offer, value: Any) -> types.CallToolResult | types.InputRequiredResult:
    """Write what a tool returned. A result of the SDK's own goes out as it is.

    Args:
        offer: The tool.
        value: What it returned.
    """
    if isinstance(value, types.CallToolResult | types.InputRequiredResult):
        return value
    entries = cast("Sequence[Any]", [value] if isinstance(value, Part) else value)
    if isinstance(value, Part | list | tuple) and any(isinstance(entry, Part) for entry in entries):
        return types.CallToolResult(content=[_block(entry) for entry in entries])
    text = _written(value)
    if offer.returned is None:
        return types.CallToolResult(content=[_text(text)])
    structured, problem = offer.structured(_json_of(value, text))
    if problem is not None:
        return failed(
            f"Error: the tool returned what its return annotation doesn't allow ({problem}); it returned: "
            f"{text[:_SHOWN]}"
        )
    return types.CallToolResult(content=[_text(text)], structured_content=structured)


def _written(value: Any) -> str:
    written = encode_output(value, _MAX_TEXT).value
    return str.__str__(written) if isinstance(written, str) else str(written)


def _json_of(value: Any, text: str) -> Any:
    if isinstance(value, str | bytes | bytearray | memoryview):
        return text
    try:
        return parse(text)
    except ValueError:
        return text  # NaN, or what can be said as a text only


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _block(entry: Any) -> types.ContentBlock:
    if not isinstance(entry, Part):
        return _text(_written(entry))
    raw = entry.raw
    if raw["type"] == "input_text":
        return _text(_written(raw["text"]))
    if raw["type"] == "input_audio":
        audio = raw["input_audio"]
        kind = _AUDIO.get(audio["format"], f"audio/{audio['format']}")
        return types.AudioContent(type="audio", data=audio["data"], mime_type=kind)
    if raw["type"] == "input_image":
        return _image(raw)
    return _file(raw)


def _image(raw: dict[str, Any]) -> types.ContentBlock:
    url = as_str(raw.get("image_url"))
    kind = media.type_of(url)
    if kind is not None:
        return types.ImageContent(type="image", data=url.partition(",")[2], mime_type=kind)
    return _link(url, "image") if url else _text(f"[image {raw.get('file_id')}, which only the provider has]")


def _file(raw: dict[str, Any]) -> types.ContentBlock:
    name = as_str(raw.get("filename")) or "file"
    url = as_str(raw.get("file_data")) or as_str(raw.get("file_url"))
    kind = media.type_of(url)
    if kind is not None:
        data = url.partition(",")[2]
        blob = types.BlobResourceContents(uri=f"attachment:{quote(name)}", mime_type=kind, blob=data)
        return types.EmbeddedResource(type="resource", resource=blob)
    return _link(url, name) if url else _text(f"[file {raw.get('file_id')}, which only the provider has]")


def _link(url: str, name: str) -> types.ResourceLink:
    return types.ResourceLink(type="resource_link", uri=url, name=name)
