"""Tools that read the user's own folder, and nothing outside of it."""

from __future__ import annotations

import difflib
from pathlib import Path

from agentrt import ToolError, tool

__all__ = ["count_lines"]

_CHUNK = 1024 * 1024


@tool(effect="pure")
def count_lines(path: str) -> int:
    """Count the lines of a file in the current folder.

    Args:
        path: The file's path, relative to the current folder.
    """
    lines, last = 0, b"\n"
    with _inside(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


def _inside(path: str) -> Path:
    folder = Path.cwd().resolve()
    try:
        file = (folder / path).resolve()
        inside, regular = file.is_relative_to(folder), file.is_file()
    except (OSError, ValueError) as error:
        raise ToolError(f"{path!r} is not a path: {error}") from error
    if not inside:
        raise ToolError(f"{path!r} is outside of the current folder, which this tool does not leave")
    if not regular:
        near = difflib.get_close_matches(path, [entry.name for entry in folder.iterdir() if entry.is_file()], n=3)
        raise ToolError(f"there is no file {path!r} here" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    return file
