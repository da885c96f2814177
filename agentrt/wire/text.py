"""Text that others wrote, made safe to look at."""

from __future__ import annotations

import itertools
import unicodedata

__all__ = ["unmistakable", "visible"]

_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_BLANK = frozenset(
    map(
        chr,
        itertools.chain(
            (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180F, 0x2800, 0x3164, 0xFFA0),
            range(0x180B, 0x180E),
            range(0xFE00, 0xFE10),
            range(0xE0100, 0xE01F0),
        ),
    )
)
"""Marks, letters and symbols that show nothing: Unicode's Default_Ignorable_Code_Point, and the empty Braille cell."""


def visible(text: str) -> str:
    """Make control and bidi characters visible, so that what a model or a tool wrote can't steer the terminal."""
    return "".join(
        _escaped(char) if (unicodedata.category(char) == "Cc" and char not in "\n\t") or char in _BIDI else char
        for char in text
    )


def unmistakable(text: str) -> str:
    """Make all that can't be seen visible, line ends too: for texts that somebody decides by."""
    return "".join(_escaped(char) if unicodedata.category(char) in _UNSEEN or char in _BLANK else char for char in text)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"  # noqa: PLR2004 - what \u can say
