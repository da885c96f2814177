"""What a tool returned becomes what the model reads. Nothing here raises."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pydantic_core

from agentrt.wire.parts import Part

__all__ = ["FOR_OUTPUTS", "MAX_OUTPUT_CHARS", "Output", "as_text", "bounded", "encode_output", "joined", "output_text"]

MAX_OUTPUT_CHARS = 100_000
"""Upper bound for one output. 100,000 characters are about 25,000 tokens, more than most models should be fed."""

FOR_OUTPUTS = ("input_text", "input_image", "input_file")
"""Content parts that an output may hold (openai 3.54: FunctionCallOutput.output)."""


class Output(NamedTuple):
    """A tool's result as an output item holds it.

    Attributes:
        value: A text, or content parts.
        artifact: The whole text where ``value`` has only its head and its tail.
    """

    value: str | list[dict[str, Any]]
    artifact: str | None = None


def encode_output(value: Any, limit: int = MAX_OUTPUT_CHARS) -> Output:
    """Write a tool's result: a string as it is, `Image`, `File` and `Text` parts as parts, anything else as JSON.

    Args:
        value: Any value: None, numbers, containers, dataclasses, pydantic models, and all else by its ``str()``; an
            `Output` is let be.
        limit: Characters to keep. A longer text keeps its head and its tail, with a marker between them.
    """
    parts = _parts(value) if isinstance(value, Part | list | tuple) else None
    if parts is None:
        plain = value if isinstance(value, str) else _text(value)
        return Output(plain) if len(plain) <= limit and plain.isascii() else bounded(plain, limit)
    if isinstance(value, Output):
        return value
    cut: list[str] = []
    left = limit  # for all texts together
    for index, part in enumerate(parts):
        if part["type"] == "input_text":
            text, whole = bounded(str(part["text"]), left)
            parts[index] = {**part, "text": text}
            left = max(0, left - len(text))
            cut += [] if whole is None else [whole]
    return Output(parts, "\n\n".join(cut) or None)


def _parts(value: Any) -> list[dict[str, Any]] | None:
    if isinstance(value, Output):
        return []
    entries = cast("Sequence[Any]", [value] if isinstance(value, Part) else value)
    if not any(isinstance(entry, Part) for entry in entries):
        return None
    return [_part(entry) for entry in entries]


def _part(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, Part):
        return {"type": "input_text", "text": entry if isinstance(entry, str) else _text(entry)}
    return entry.raw if entry.raw["type"] in FOR_OUTPUTS else _told(entry.raw)


def _told(raw: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_text", "text": f"[{raw['type'].removeprefix('input_')}, which an output can't hold]"}


def bounded(text: str, limit: int) -> Output:
    """Keep the head and the tail of a text that is too long, with a marker between them."""
    # A lone surrogate in an output would break the next request (measured with httpx and httpx2).
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= limit:
        return Output(text)
    half = limit // 2
    marker = f"\n[… {len(text) - 2 * half} characters left out …]\n"
    return Output(f"{text[:half]}{marker}{text[-half:] if half else ''}", text)


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return _of_bytes(bytes(cast("bytes", value)))
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {as_text(value)}"
    if hasattr(value, "__next__"):
        return as_text(value)  # reading it could take for ever
    try:
        return pydantic_core.to_json(value, fallback=_plain, inf_nan_mode="constants", bytes_mode="base64").decode()
    except Exception:  # noqa: BLE001 - cyclic values, broken models, lone surrogates: the text form is the way out
        return as_text(value)


def _plain(value: Any) -> Any:
    """Give something that JSON has for what it hasn't: a mapping's entries (as of a `sqlite3.Row`), else the text."""
    if isinstance(value, Part):
        return f"[{value.raw['type']}: to be seen, it must stand in a list that the tool returns]"
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {str(key): value[key] for key in value.keys()}  # noqa: SIM118 - a Row iterates over its values
    return as_text(value)


def _of_bytes(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")


def output_text(output: Any) -> str:
    """Give an output item's ``output`` as text: of parts their texts, and a word for what is none."""
    if isinstance(output, str):
        return output
    parts: list[Any] = output
    return "\n".join(part["text"] if part["type"] == "input_text" else f"[{part['type']}]" for part in parts)


def joined(pieces: list[Any]) -> Any:
    """Make one result of what a generator gave: one text of texts, else a list."""
    if pieces and all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces)
    return pieces


def as_text(value: object) -> str:
    """Give ``str(value)``, or what can be said of a value whose ``__str__`` fails."""
    try:
        return str(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a value may refuse even that
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"
