"""The table of the loop as a drawing, for ``docs/loop.md``: ``python -m agentrt.core.diagram`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import get_args

from agentrt.core.loop import LEGAL
from agentrt.core.state import Phase

__all__ = ["diagram"]

_HEAD = ("phase", "event", "what happens", "next")


def diagram() -> str:
    """Draw `LEGAL`: as a table in plain text, and as a Mermaid state diagram.

    Returns:
        Two fenced blocks of Markdown.
    """
    return f"```text\n{_table()}\n```\n\n```mermaid\n{_mermaid()}\n```\n"


def _table() -> str:
    rows = [
        (phase, event.__name__, move.says, f"→ {' | '.join(move.to)}")
        for known in get_args(Phase)
        for (phase, event), move in LEGAL.items()
        if phase == known
    ]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    lines = [_row(_HEAD, widths), " " + "─" * (sum(widths) + 3 * len(widths) - 3)]
    for before, row in zip([_HEAD, *rows], rows, strict=False):
        same = before[0] == row[0]
        lines.append(_row(("" if same else row[0], *row[1:]), widths))
    return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f" {'   '.join(padded)}".rstrip()


def _mermaid() -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for (phase, event), move in LEGAL.items():
        for to in move.to:
            arrows.setdefault((phase, to), []).append(event.__name__)
    drawn = [f"    {phase} --> {to}: {', '.join(names)}" for (phase, to), names in sorted(arrows.items(), key=_order)]
    return "\n".join(["stateDiagram-v2", "    [*] --> new", *drawn, "    done --> [*]"])


def _order(arrow: tuple[tuple[str, str], list[str]]) -> tuple[int, int]:
    phases = get_args(Phase)
    return phases.index(arrow[0][0]), phases.index(arrow[0][1])


if __name__ == "__main__":
    sys.stdout.write(diagram())
