"""JSON as editors write it: with comments and trailing commas."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from agentrt.wire.json import parse

__all__ = ["Table", "parse_jsonc"]

# Without an end a string or a comment goes on to the end of the text, so that each character is looked at once.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)'
_COMMENTS = re.compile(rf"{_STRING}|(//[^\r\n]*|/\*.*?(?:\*/|\Z))", re.DOTALL)
_LAST_COMMAS = re.compile(rf"{_STRING}|[\[{{]\s*,|(,)(?=\s*[\]}}])", re.DOTALL)


class Table(dict[str, Any]):
    """An object of a JSON file.

    Args:
        pairs: What it holds, in the order of the file; of a key that is there twice the last one counts.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated: list[str] = []
        """Keys that the file has more than once."""
        if len(self) < len(pairs):
            self.repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def parse_jsonc(text: str) -> Any:
    """Read one JSON value, in which comments and trailing commas are allowed, as VS Code has them ("jsonc").

    Args:
        text: The file, without a byte order mark.

    Returns:
        The value; its objects are `Table`.

    Raises:
        ValueError: It can't be read; the message names the line and the column, and shows nothing of the text.
    """
    # What goes is replaced by blanks, so that a fault is told where the user sees it.
    plain = _LAST_COMMAS.sub(_blank, _COMMENTS.sub(_blank, text))
    try:
        value = json.loads(plain, object_pairs_hook=Table)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        value = None  # and the next line says so
    parse(plain)  # refuses depth, NaN and halves of characters
    return value


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\r\n]", " ", match[0]) if match[1] else match[0]
