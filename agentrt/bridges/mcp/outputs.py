"""What a server's tool gave becomes what the model reads. Nothing here raises.

Texts are the server's own words and pass unchanged, control characters and ANSI sequences too: whoever shows them on a
terminal makes them visible there (`agentrt.wire.text.visible`). Only lone surrogates are replaced, as no request could
carry them. The lines in brackets are ours; a server can write such too, so nothing is decided by them.

Results: MCP 2026-07-28, "Tools", "Tool Result"; the parts that an output may hold: openai 3.54, FunctionCallOutput.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import unquote

from agentrt.errors import UsageError
from agentrt.registry.output import MAX_OUTPUT_CHARS, bounded
from agentrt.wire.json import as_dict, as_dicts, as_str, is_dict, is_list, parse
from agentrt.wire.media import decoded_size
from agentrt.wire.parts import File, Image, Part

__all__ = ["Encoded", "encode_result"]

_SHOWN_NAME, _SHOWN_WORDS, _SHOWN_URI = 100, 500, 2000
_PDF, _WITHIN = b"%PDF-", 1024


class Encoded(NamedTuple):
    """A result as an output item holds it.

    Attributes:
        value: A text, or content parts. Parts of a failed call begin with a text that says so; a text doesn't, as that
            of a `ToolError` is marked where it is answered.
        failed: Whether the server says that the call failed.
        artifact: The whole result as JSON text where ``value`` hasn't all that is for the model; else None.
        shown: Blocks that are for the user only (``audience``), as they came.
    """

    value: str | list[dict[str, Any]]
    failed: bool
    artifact: str | None
    shown: tuple[dict[str, Any], ...]


def encode_result(
    result: Mapping[str, Any],
    *,
    max_chars: int = MAX_OUTPUT_CHARS,
    max_images: int = 16,
    max_image_bytes: int = 8 * 1024 * 1024,
) -> Encoded:
    """Write the result of a call: texts as one text, images and PDFs as parts, a line for what can't be given.

    Structured content is written once, as JSON, where the first text that says the same stood; such texts are left
    out, all others stay. ``_meta`` is never written.

    Args:
        result: A ``CallToolResult`` in JSON's own types, with the names of the wire.
        max_chars: Characters of text to keep, of all texts together; a longer one keeps its head and its tail.
        max_images: Images and PDFs to keep.
        max_image_bytes: The largest image or PDF to keep.
    """
    blocks = as_dicts(result.get("content"))
    shown = tuple(block for block in blocks if _is_for_the_user(block))
    writer = _Writer(max_images, max_image_bytes)
    pieces = list(_pieces(result, [block for block in blocks if not _is_for_the_user(block)], writer))
    failed = result.get("isError") is True
    if failed and any(isinstance(piece, Part) for piece in pieces):
        pieces.insert(0, "Error: the tool failed; this is what it gave:")
    value, whole = _bounded(pieces or ["(no output)"], max_chars)
    artifact = None if whole and writer.whole else _plain(_written(dict(result)))
    return Encoded(value, failed, artifact, shown)


def _is_for_the_user(block: Mapping[str, Any]) -> bool:
    return as_dict(block.get("annotations")).get("audience") == ["user"]


def _pieces(result: Mapping[str, Any], blocks: list[dict[str, Any]], writer: _Writer) -> Iterator[str | Part]:
    if "structuredContent" not in result:  # null and false are values
        yield from map(writer.piece, blocks)
        return
    structured = result["structuredContent"]
    if is_dict(structured) and list(structured.values()) == [result.get("content")]:
        yield from map(writer.piece, blocks)  # all of it, images too, is what the reference server for files gives
        return
    texts = [block.get("text") for block in blocks if block.get("type") == "text"]
    if is_dict(structured) and len(structured) == 1 and list(structured.values()) == texts:
        yield from map(writer.piece, blocks)  # one text, which JSON would only escape
        return
    mirror = _Mirror(structured)
    is_written = False
    for block in blocks:
        if block.get("type") != "text" or not mirror.says(as_str(block.get("text"))):
            yield writer.piece(block)
        elif not is_written:
            yield _written(structured)
            is_written = True
    if not is_written:
        yield _written(structured)


def _bounded(pieces: list[str | Part], max_chars: int) -> tuple[str | list[dict[str, Any]], bool]:
    """Join texts that stand beside each other and cut them; gives the value, and whether all is in it."""
    parts: list[dict[str, Any]] = []
    left, whole = max_chars, True
    for is_text, group in groupby(pieces, lambda piece: isinstance(piece, str)):
        if not is_text:
            parts += [piece.raw for piece in group if isinstance(piece, Part)]
            continue
        text, cut = bounded("\n".join(piece for piece in group if isinstance(piece, str)), left)
        left, whole = max(0, left - len(text)), whole and cut is None
        parts.append({"type": "input_text", "text": text})
    if len(parts) == 1 and parts[0]["type"] == "input_text":
        return parts[0]["text"], whole
    return parts, whole


class _Mirror:
    """Knows what says the same as structured content: itself as text, its ``result``, one of their values.

    The specification asks servers to give a text beside it for older clients (MCP, "Tools", "Structured Content"). The
    Python SDK wraps what is no object as ``{"result": …}`` and gives a text for each entry of a list; the reference
    server for files gives ``{"content": text}`` and the text, that for memories ``{"entities": […]}`` and the list.
    """

    def __init__(self, structured: Any) -> None:
        wholes = [structured, structured["result"]] if is_dict(structured) and "result" in structured else [structured]
        values = [entry for whole in wholes if is_list(whole) for entry in whole] + wholes
        values += structured.values() if is_dict(structured) else []
        self._texts = {value for value in values if isinstance(value, str)}
        self._jsons = {_comparable(value) for value in values}

    def says(self, text: str) -> bool:
        if text in self._texts:
            return True
        try:
            return _comparable(parse(text)) in self._jsons
        except (ValueError, TypeError):
            return False


class _Writer:
    def __init__(self, max_attached: int, max_bytes: int) -> None:
        self._left = max_attached
        self._max_attached = max_attached
        self._max_bytes = max_bytes
        self.whole = True
        """Whether all of each block is in what was written."""

    def piece(self, block: Mapping[str, Any]) -> str | Part:
        """Write a block: as text, or as a part."""
        match block.get("type"):
            case "text":
                return as_str(block.get("text"))
            case "image":
                return self._attached(block.get("data"), self._kind(block, "an image"))
            case "audio":
                size = decoded_size(as_str(block.get("data")))
                return self._told(f"{self._kind(block, 'audio')} of {size} bytes", "there is no way to let you hear it")
            case "resource_link":
                return self._link(block)
            case "resource":
                return self._resource(as_dict(block.get("resource")))
            case _:
                return _written(dict(block))

    def _link(self, block: Mapping[str, Any]) -> str:
        words = [self._line(block.get(key), _SHOWN_WORDS) for key in ("name", "mimeType", "description")]
        name, mime, said = words
        uri = self._line(block.get("uri"), _SHOWN_URI)
        return f"[link to {name or 'a resource'}: {uri}{mime and f' ({mime})'}]{said and f' {said}'}"

    def _resource(self, resource: Mapping[str, Any]) -> str | Part:
        uri = self._line(resource.get("uri"), _SHOWN_URI)
        if isinstance(resource.get("text"), str):
            return f"[resource {uri}]\n{resource['text']}"
        what = f"resource {uri} ({self._kind(resource, 'of unknown type')})"
        return self._attached(resource.get("blob"), what, uri)

    def _kind(self, of: Mapping[str, Any], default: str) -> str:
        return self._line(of.get("mimeType"), _SHOWN_WORDS) or default

    def _attached(self, data: object, what: str, uri: str = "") -> str | Part:
        """Give an image or a PDF as a part. What it is its bytes say: one that is none would fail the whole request."""
        payload = "".join(as_str(data).split())  # some break it into lines, as MIME does
        size = decoded_size(payload)
        what = f"{what} of {size} bytes"
        if size > self._max_bytes:
            return self._told(what, f"at most {self._max_bytes} bytes can be")
        try:
            part = _part_of(base64.b64decode(payload, validate=True), uri)
        except ValueError:
            return self._told(what, "its base64 is broken")
        if part is None:
            return self._told(what, "only PNG, JPEG, WebP and GIF images and PDF documents can be")
        if not self._left:
            return self._told(what, f"only the first {self._max_attached} images and documents are")
        self._left -= 1
        return part

    def _told(self, what: str, why: str) -> str:
        self.whole = False
        return f"[{what}: not given to you, as {why}; it is kept outside of this conversation]"

    def _line(self, value: object, limit: int) -> str:
        text = " ".join(as_str(value).split())
        if len(text) <= limit:
            return text
        self.whole = False
        return f"{text[:limit]}…"


def _part_of(data: bytes, uri: str) -> Part | None:
    if _PDF in data[:_WITHIN]:
        last = unquote(re.split("[?#]", uri, maxsplit=1)[0]).rpartition("/")[2]
        stem = re.sub(r"[^\w. -]+", "_", last)[:_SHOWN_NAME].removesuffix(".pdf")
        return File(data, filename=f"{stem or 'document'}.pdf", media_type="application/pdf")
    try:
        return Image(data)
    except UsageError:
        return None


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _comparable(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
