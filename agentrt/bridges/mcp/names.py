"""Names of a server's tools as the model sees them: readable, the same on every run, and never one for two tools.

Names are only made here, never taken apart again: whoever gives one remembers what it stands for.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable

__all__ = ["name_tools", "wire_name"]

_FITS = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LIKE_A_HASH = re.compile(r"_[0-9a-f]{8,}")
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]+")
_MAX, _SHORT, _LONG = 64, 8, 32


def wire_name(alias: str, tool: str, *, prefix: bool = True) -> str:
    """Give the name under which the model sees a server's tool: ``alias__tool``, or one with a hash.

    The hash stands at the end of a name that had to be changed, was too long, or could be read in two ways; no name
    without one ends like that, so that two different tools don't meet. What OpenAI takes: ``^[a-zA-Z0-9_-]{1,64}$``.

    Args:
        alias: What the user calls the server.
        tool: The server's own name for the tool; MCP allows more than providers do.
        prefix: Whether the alias stands before it.
    """
    name = f"{alias}__{tool}" if prefix else tool
    # Read from the left, the first "__" ends the alias: then each name can be read in one way only.
    is_ambiguous = prefix and ("__" in alias or alias.endswith("_") or not alias)
    if _FITS.fullmatch(name) and not is_ambiguous and not _ends_like_a_hash(name):
        return name
    return _hashed(alias, tool, prefix=prefix)


def name_tools(alias: str, tools: Iterable[str], *, prefix: bool, taken: Container[str]) -> dict[str, str]:
    """Name all tools of a server. The order in which they are listed plays no part.

    Args:
        alias: What the user calls the server.
        tools: Its own names for them.
        prefix: Whether the alias stands before each; False where only names that are taken, or would meet, get it.
        taken: Names that belong to others.

    Returns:
        The server's own names by what the model sees, in the order of the tools.
    """
    forms: list[Callable[[str], str]] = [
        lambda tool: wire_name(alias, tool, prefix=prefix),
        lambda tool: wire_name(alias, tool),
        lambda tool: _hashed(alias, tool),
        lambda tool: _hashed(alias, tool, digits=_LONG),
    ]
    levels = dict.fromkeys(tools, 0)
    while True:
        names = {tool: forms[level](tool) for tool, level in levels.items()}
        times = Counter(names.values())
        again = [tool for tool, name in names.items() if name in taken or times[name] > 1]
        again = [tool for tool in again if levels[tool] < len(forms) - 1]
        if not again:
            return {name: tool for tool, name in names.items()}
        for tool in again:
            levels[tool] += 1


def _ends_like_a_hash(name: str) -> bool:
    tail = name[name.rfind("_") :] if "_" in name else f"_{name}"
    return _LIKE_A_HASH.fullmatch(tail) is not None


def _hashed(alias: str, tool: str, *, prefix: bool = True, digits: int = _SHORT) -> str:
    digest = hashlib.sha256(f"{alias}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    readable = _UNFIT.sub("_", f"{alias}__{tool}" if prefix else tool).strip("_")[: _MAX - digits - 1]
    return f"{readable}_{digest}" if readable else digest
