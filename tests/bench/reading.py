"""One reading, in an interpreter of its own: ``python reading.py TASK`` prints a line of JSON.

It knows the standard library only, since a peer's environment has nothing else. The task names an adapter: a file with
``opened(base_url, add)``, an async context manager that gives an object with ``run(prompt) -> text`` and
``stream(prompt) -> pieces of text``.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

marks: list[float] = []
"""The process's CPU time whenever the tool ran."""


async def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first one.
        b: The second one.
    """
    marks.append(time.process_time())
    return a + b


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bench_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def memory(kind: str) -> int | None:
    """KiB of resident memory: ``VmRSS`` now, ``VmHWM`` at its peak; None where there is no /proc."""
    try:
        return int(re.search(rf"{kind}:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    except OSError:
        return None


async def batch(work: Callable[[str], Awaitable[Any]], prompt: str, runs: int, *, at_once: bool) -> list[Any]:
    """Work on the prompt several times; a run that fails gives its exception."""
    if at_once:
        return await asyncio.gather(*(work(prompt) for _ in range(runs)), return_exceptions=True)
    outcomes = []
    for _ in range(runs):
        try:
            outcomes.append(await work(prompt))
        except Exception as error:  # noqa: BLE001 - it is counted
            outcomes.append(error)
    return outcomes


def wrong(outcome: Any, pieces: int) -> bool:
    return outcome != (["word "] * pieces if pieces else "done")


async def reading(task: dict[str, Any]) -> dict[str, Any]:
    async with load(task["adapter"]).opened(task["url"], add) as subject:
        work = getattr(subject, task["method"])
        warm = await batch(work, task["warm_prompt"], task["warm_runs"], at_once=False)
        broken = next((outcome for outcome in warm if isinstance(outcome, Exception)), None)
        if broken is not None:
            raise broken
        marks.clear()
        gc.collect()
        before = memory("VmRSS")
        wall, cpu = time.perf_counter(), time.process_time()
        outcomes = await batch(work, task["prompt"], task["runs"], at_once=task["at_once"])
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = memory("VmHWM")
    errors = [outcome for outcome in outcomes if wrong(outcome, task["pieces"])]
    missing = abs(len(marks) - task["tool_calls"])
    return {
        "cpu": cpu,
        "wall": wall,
        "rss_kib": None if before is None or peak is None else max(0, peak - before),
        "marks": marks,
        "errors": max(len(errors), missing),
        "first_error": repr(errors[0])[:300] if errors else f"{missing} tool calls too many or too few" * bool(missing),
    }


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given["core"] is not None:
        os.sched_setaffinity(0, {given["core"]})
    print(json.dumps(asyncio.run(reading(given))))
