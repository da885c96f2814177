"""Reads a docstring: what it says of the function, and of each parameter."""

from __future__ import annotations

from typing import NamedTuple

import docstring_parser

__all__ = ["Docs", "read_docstring"]


class Docs(NamedTuple):
    """What a docstring says.

    Attributes:
        description: The prose, without the sections.
        params: One text per documented parameter.
    """

    description: str
    params: dict[str, str]


def read_docstring(text: str | None) -> Docs:
    """Read a Google, NumPy, reST or epydoc docstring; the style is detected. None gives empty docs."""
    if not text:
        return Docs("", {})
    parsed = docstring_parser.parse(text)
    # Google's and NumPy's guides write the stars of *args and **kwargs; a backslash keeps Sphinx from reading them.
    params = {param.arg_name.lstrip("\\*"): _fold(param.description) for param in parsed.params if param.description}
    return Docs((parsed.description or "").strip(), params)


def _fold(text: str) -> str:
    return " ".join(text.split())
