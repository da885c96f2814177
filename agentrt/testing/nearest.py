"""Which recorded request is nearest to one that has none, and where they differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from agentrt.testing.exchange import canonical
from agentrt.wire.json import is_dict, is_list

__all__ = ["describe_nearest"]

_MISSING = object()
_COUNTED, _SHOWN = 50, 8
_WIDTH, _LEAD = 80, 20


def describe_nearest(asked: dict[str, Any], recorded: Sequence[dict[str, Any]]) -> str:
    """Tell which of the recorded requests is nearest, and in what it differs, in few lines.

    Args:
        asked: What counts of the request: ``method``, ``path`` and ``body``.
        recorded: The same of those that are recorded; at least one.

    Returns:
        A line for the request, and one for each difference: its JSON path, what is recorded, and what was asked.
    """
    number, nearest = min(enumerate(recorded, 1), key=lambda pair: _distance(asked, pair[1]))
    found = list(itertools.islice(_differences(nearest, asked, "$"), _SHOWN + 1))
    shown = found[:_SHOWN]
    lines = [f"the nearest recorded request is no. {number}, {nearest['method']} {_short(nearest['path'])}:"]
    lines += [f"  {path}: recorded {_beside(there, here)}, asked {_beside(here, there)}" for path, there, here in shown]
    return "\n".join([*lines, *["  … and more"] * (len(found) > _SHOWN)])


def _distance(asked: dict[str, Any], recorded: dict[str, Any]) -> tuple[bool, bool, float]:
    found = itertools.islice(_differences(recorded, asked, "$"), _COUNTED)
    cost = sum(_cost(there, here) for _, there, here in found)
    return asked["method"] != recorded["method"], asked["path"] != recorded["path"], cost


def _cost(one: Any, other: Any) -> float:
    """Weigh a difference: 1, but less for texts that begin alike."""
    if isinstance(one, str) and isinstance(other, str):
        return 1 - _common(one, other) / max(len(one), len(other))
    return 1


def _differences(recorded: Any, asked: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if is_dict(recorded) and is_dict(asked):
        for name in dict.fromkeys([*recorded, *asked]):
            yield from _differences(recorded.get(name, _MISSING), asked.get(name, _MISSING), f"{path}.{name}")
    elif is_list(recorded) and is_list(asked):
        pairs = itertools.zip_longest(recorded, asked, fillvalue=_MISSING)
        for number, (there, here) in enumerate(pairs):
            yield from _differences(there, here, f"{path}[{number}]")
    elif recorded is _MISSING or asked is _MISSING or canonical(recorded) != canonical(asked):
        yield _short(path), recorded, asked


def _beside(value: Any, other: Any) -> str:
    """Show a value; a long text from shortly before the place where it differs from the other one."""
    if value is _MISSING:
        return "nothing"
    if isinstance(value, str) and isinstance(other, str):
        start = _common(value, other) - _LEAD
        value = value if start <= 0 else f"…{value[start:]}"
    return _short(canonical(value))


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
