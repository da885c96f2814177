"""What of a server's words to believe, and how to show them."""

from __future__ import annotations

import itertools
import unicodedata
from typing import Literal

from agentrt.wire.json import as_dict
from agentrt.wire.text import unmistakable

__all__ = ["effect_of", "visible"]

_EMOJI_FORM = "\ufe0f"
_MAX_RUN = 3


def visible(text: str, limit: int) -> str:
    r"""Give a text of a server as a model may read it: what can't be seen is shown, and it has an end.

    Control, direction and zero-width characters, tags and the like are shown as ``\u200b``. More than three of them in
    a row could spell something that a model reads and a person doesn't, so they are counted only. Line ends and tabs
    stay, and so does what makes a sign an emoji.

    Args:
        text: What the server says.
        limit: Characters that the result may have.
    """
    kept = text[:limit].replace("\r\n", "\n")
    if not (kept.isascii() and kept.replace("\n", "").replace("\t", "").isprintable()):
        kept = _shown(kept)
    if len(text) <= limit and len(kept) <= limit:
        return kept
    end = f" [cut off: {len(text)} characters]"[:limit]
    return kept[: limit - len(end)] + end


def _shown(text: str) -> str:
    shown = ""
    for hidden, run in itertools.groupby(text, lambda char: char not in "\n\t" and unmistakable(char) != char):
        part = "".join(run)
        if not hidden or (part == _EMOJI_FORM and unicodedata.category(shown[-1:] or "a") == "So"):
            shown += part
        else:
            shown += unmistakable(part) if len(part) <= _MAX_RUN else f"[{len(part)} hidden characters]"
    return shown


def effect_of(annotations: object, *, trusted: bool) -> Literal["pure", "idempotent", "unsafe"]:
    """Read a tool's effect off its annotations, which are hints that only a trusted server's word makes facts.

    Args:
        annotations: The tool's annotations (MCP, server/tools, "Tool").
        trusted: Whether the user trusts the server.
    """
    hints = as_dict(annotations) if trusted else {}
    if hints.get("readOnlyHint") is True:
        return "pure"
    return "idempotent" if hints.get("idempotentHint") is True else "unsafe"
