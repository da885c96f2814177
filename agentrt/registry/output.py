"""What a tool returned becomes the text that the model reads. Nothing here raises."""

from __future__ import annotations

from typing import Any

import pydantic_core

__all__ = ["MAX_OUTPUT_CHARS", "as_text", "encode_output"]

MAX_OUTPUT_CHARS = 100_000
"""Upper bound for one output. 100,000 characters are about 25,000 tokens, more than most models should be fed."""


def encode_output(value: Any, limit: int = MAX_OUTPUT_CHARS) -> str:
    """Write a tool's result as text: a string as it is, anything else as JSON.

    Args:
        value: Any value: None, numbers, containers, dataclasses, pydantic models, and all else by its ``str()``.
        limit: Characters to keep. A longer output keeps its head and its tail, with a marker between them.
    """
    text = value if isinstance(value, str) else _json(value)
    # A lone surrogate in an output would break the next request (measured with httpx and httpx2).
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def _json(value: Any) -> str:
    try:
        return pydantic_core.to_json(value, fallback=as_text, inf_nan_mode="constants").decode()
    except Exception:  # noqa: BLE001 - cyclic values, broken models, lone surrogates: the text form is the way out
        return as_text(value)


def as_text(value: object) -> str:
    """Give ``str(value)``, or what can be said of a value whose ``__str__`` fails."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value may refuse even that
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"
