"""Names as the wire takes them: 1 to 64 letters, digits, ``_`` and ``-`` (Open Responses, FunctionToolParam)."""

from __future__ import annotations

import hashlib
import re

__all__ = ["wire_name"]

_FITS = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAX, _HASH = 64, 8


def wire_name(name: str) -> str:
    """Give the name under which the model sees something: the name itself where it fits, else one of its own.

    The same name always gives the same; two different ones don't meet, as a hash of the name is part of it.
    """
    if _FITS.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    readable = re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_")[: _MAX - _HASH - 1]
    return f"{readable}_{digest}" if readable else digest
