"""What is measured: sizes, goals, and how a reading becomes the rows of the table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

WINDOW = 5
"""A turn's CPU is the median of the turns up to this far before and after it."""

Reading = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One thing to measure.

    ``turns`` is the requests of one run, ``runs`` how many runs one reading measures after ``warm_runs`` others;
    ``pieces`` is the deltas of a stream, 0 where nothing is streamed; ``think`` is the server's, in ms.
    """

    group: str
    label: str
    method: str = "run"
    turns: int = 1
    pieces: int = 0
    think: int = 0
    runs: int = 1
    at_once: bool = False
    warm_runs: int = 2
    warm_turns: int | None = None
    goal: float | None = None
    only_ours: bool = False

    def task(self) -> dict[str, Any]:
        """The part of a reading's task that depends on the scenario."""
        kind = f"deltas/{self.pieces}" if self.pieces else f"calls/{self.turns}"
        warm = f"calls/{self.warm_turns}" if self.warm_turns else kind
        return {
            "method": self.method,
            "prompt": f"plan:{kind}/{self.think}",
            "warm_prompt": f"plan:{warm}/{self.think}",
            "runs": self.runs,
            "warm_runs": self.warm_runs,
            "at_once": self.at_once,
            "pieces": self.pieces,
            "tool_calls": self.runs * (self.turns - 1),
        }

    def requests(self) -> int:
        """The requests that the server must have seen, the warm-up's included."""
        return self.runs * self.turns + self.warm_runs * (self.warm_turns or self.turns)


SCENARIOS = [
    Scenario("turn", "turn: CPU per model turn", turns=10, runs=20, warm_runs=3, goal=1.1),
    Scenario("delta", "delta: CPU per delta", "stream", pieces=5000, runs=3, warm_runs=1, goal=1.1),
    Scenario(
        "delta",
        "delta: CPU per delta, client.stream",
        "client_stream",
        pieces=5000,
        runs=3,
        warm_runs=1,
        goal=1.1,
        only_ours=True,
    ),
    Scenario("concurrent", "concurrent: 200 runs", turns=3, think=50, runs=200, at_once=True, goal=0.5),
    Scenario("concurrent", "concurrent: 1000 runs", turns=3, think=50, runs=1000, at_once=True, goal=0.5),
    Scenario("growth", "growth: 200 turns", turns=200, warm_turns=10),
]
GROWTH_GOAL = 1.4


def small(scenario: Scenario) -> Scenario:
    """The same at a size that only shows whether it works."""
    if scenario.pieces:
        return replace(scenario, pieces=500, runs=1)
    if scenario.at_once:
        return replace(scenario, runs=scenario.runs // 10, label=scenario.label + ", a tenth of them")
    if scenario.warm_turns:
        return replace(scenario, turns=40, label="growth: 40 turns")
    return replace(scenario, runs=2)


@dataclass(frozen=True)
class Row:
    """One line of the table: medians as text, and the ratios of the pairs."""

    label: str
    ours: str
    other: str
    ratios: Sequence[float]
    goal: float | None = None
    errors: int | None = None
    """None where another row has counted them."""

    @property
    def ratio(self) -> float | None:
        """The median of the pairs."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def verdict(self) -> str:
        """Whether the goal was held; a run with errors holds nothing."""
        if self.goal is None or self.ratio is None:
            return ""
        return "held" if self.ratio <= self.goal and not self.errors else "missed"


def rows(scenario: Scenario, pairs: Sequence[tuple[Reading, Reading]]) -> list[Row]:
    """Make the rows of one scenario from its pairs of readings: the measured one's, and the raw loop's."""
    errors = sum(reading["errors"] for pair in pairs for reading in pair)

    def row(label: str, unit: str, figure: Callable[[Reading], float | None], **more: Any) -> Row:
        figures = [(figure(ours), figure(raw)) for ours, raw in pairs]
        known = [(ours, raw) for ours, raw in figures if ours is not None and raw is not None]
        columns = [_figure(column, unit) for column in zip(*known, strict=True)] or ["", ""]
        return Row(label, *columns, [ours / raw for ours, raw in known if raw], **more)

    if scenario.pieces:
        events = scenario.runs * scenario.pieces
        return [row(scenario.label, "us", lambda r: r["cpu"] * 1e6 / events, goal=scenario.goal, errors=errors)]
    if scenario.at_once:
        return [
            row(f"{scenario.label}, CPU", "s", lambda r: r["cpu"], goal=scenario.goal, errors=errors),
            row(f"{scenario.label}, wall", "s", lambda r: r["wall"]),
            row(f"{scenario.label}, RSS per run", "KiB", lambda r: r["rss_kib"] and r["rss_kib"] / scenario.runs),
            row(f"{scenario.label}, connections", "", lambda r: r["connections"]),
        ]
    if scenario.warm_turns:
        total = row(f"{scenario.label}, CPU", "s", lambda r: r["cpu"], goal=scenario.goal, errors=errors)
        ours, raw = zip(*pairs, strict=True)
        return [total, _slope(scenario, ours, "", GROWTH_GOAL), _slope(scenario, raw, " (the raw loop's own)", None)]
    turns = scenario.runs * scenario.turns
    return [row(scenario.label, "ms", lambda r: r["cpu"] * 1e3 / turns, goal=scenario.goal, errors=errors)]


def _slope(scenario: Scenario, readings: Sequence[Reading], whose: str, goal: float | None) -> Row:
    late, early = scenario.turns - 10, 10
    figures = [(_turn_ms(reading["marks"], late), _turn_ms(reading["marks"], early)) for reading in readings]
    cells = [_figure(column, "ms") for column in zip(*figures, strict=True)]
    label = f"growth: turn {late} against turn {early}{whose}"
    return Row(label, *cells, [last / first for last, first in figures], goal)


def _figure(values: Sequence[float], unit: str) -> str:
    """The median, to three digits."""
    median = statistics.median(values)
    return f"{median:{'.0f' if median >= 100 else '.3g'}} {unit}".strip()


def _turn_ms(marks: Sequence[float], turn: int) -> float:
    """CPU from the call of the turn before to the call of this turn."""
    around = range(turn - WINDOW, turn + WINDOW + 1)
    return 1e3 * statistics.median(marks[each - 1] - marks[each - 2] for each in around)
