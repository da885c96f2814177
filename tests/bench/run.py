"""CPU of the client's process, as a ratio to a loop by hand over raw httpx2 in the same run. See ``README.md``.

``python tests/bench/run.py [turn delta concurrent growth] [--pairs 5] [--peer NAME] [--small] [--json]``
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

from envs import EnvError, interpreter
from scenarios import SCENARIOS, Reading, Row, Scenario, rows, small

HERE = Path(__file__).parent
RAW = HERE / "raw.py"
PEERS = sorted(path.stem for path in (HERE / "peers").glob("*.py") if not path.stem.startswith("types_"))
GROUPS = ["turn", "delta", "concurrent", "growth"]
MOST_PAIRS = 50
READING_SECONDS = 300
SHOWN_LIBRARIES = ["agentrt", "httpx2", "httpcore2", "h11", "anyio", "sniffio", "pydantic_core"]


class BrokenError(Exception):
    """Nothing can be measured."""


def environment() -> dict[str, str]:
    """The environment of a reading: bytecode may be written, no proxy, no one's keys, nothing sent anywhere."""
    dropped = ("OPENAI_", "AGENTRT_", "COMETAPI_", "LANGSMITH_", "LANGCHAIN_", "LOGFIRE_", "PYTHON")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped) and not k.lower().endswith("_proxy")}
    return {**kept, "OPENAI_API_KEY": "bench", "OPENAI_AGENTS_DISABLE_TRACING": "1", "LANGSMITH_TRACING": "false"}


def two_cores() -> tuple[int | None, int | None]:
    """A core for the client and one for the server, where there are two and the system can pin."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


@contextmanager
def server(core: int | None) -> Iterator[str]:
    """The mock server as a process of its own; gives its address."""
    command = [sys.executable, str(HERE / "server.py"), *([] if core is None else [str(core)])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise BrokenError("the mock server did not start; its error is above")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def stats(address: str) -> dict[str, int]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address}/stats", timeout=10) as answer:
        return json.load(answer)


def read(address: str, adapter: Path, python: str, scenario: Scenario, core: int | None) -> Reading:
    """Take one reading in a fresh interpreter, and hold it against what the server saw."""
    task = {**scenario.task(), "adapter": str(adapter), "url": f"{address}/v1", "core": core}
    command = [python, "-P", str(HERE / "reading.py"), json.dumps(task)]
    before = stats(address)
    try:
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=READING_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BrokenError(f"{adapter.stem} took over {READING_SECONDS} s for {scenario.label!r}") from error
    if done.returncode:
        raise BrokenError(f"{adapter.stem} broke in {scenario.label!r}:\n{done.stderr[-2000:]}")
    reading: Reading = json.loads(done.stdout.strip().splitlines()[-1])
    seen = {name: value - before[name] for name, value in stats(address).items()}
    surplus = abs(seen["requests"] - scenario.requests())
    reading["connections"] = seen["connections"] - 1  # the question itself was one
    reading["errors"] = max(reading["errors"], surplus, seen["faults"])
    if reading["errors"]:
        told = reading["first_error"] or f"{seen['requests']} requests, {scenario.requests()} were due"
        print(f"{adapter.stem}, {scenario.label}: {reading['errors']} errors; {told}", file=sys.stderr)
    return reading


def measure(address: str, name: str, python: str, scenario: Scenario, pairs: int, core: int | None) -> list[Row]:
    """Take adjacent pairs of readings, their order alternated."""
    adapter = HERE / "ours.py" if name == "agentrt" else HERE / "peers" / f"{name}.py"
    taken = []
    for number in range(pairs):
        turns = [(adapter, python), (RAW, sys.executable)]
        readings = {}
        for path, interpreter_path in turns if number % 2 == 0 else reversed(turns):
            readings[path] = read(address, path, interpreter_path, scenario, core)
        taken.append((readings[adapter], readings[RAW]))
        print(f"{scenario.label}: pair {number + 1} of {pairs}", file=sys.stderr)
    lines = rows(scenario, taken)
    return lines if name == "agentrt" else [replace(line, goal=None) for line in lines]


def table(name: str, lines: list[Row]) -> str:
    """Lay the rows out as text."""
    cells = [["scenario", name, "raw httpx2", "ratio", "min", "max", "goal", "", "errors"]]
    for row in lines:
        figures = [row.ratio, min(row.ratios, default=None), max(row.ratios, default=None)]
        shown = ["" if figure is None else f"{figure:.2f}" for figure in figures]
        goal = "" if row.goal is None else f"<= {row.goal}"
        errors = "" if row.errors is None else str(row.errors)
        cells.append([row.label, row.ours, row.other, *shown, goal, row.verdict, errors])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def conditions(pairs: int, cores: tuple[int | None, int | None]) -> dict[str, object]:
    """What the figures depend on beside the code."""
    versions = {}
    for library in SHOWN_LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = None
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": cores,
        "load": load,
        "pairs": pairs,
        "versions": versions,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(GROUPS)}; default all")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of readings per scenario")
    parser.add_argument("--peer", action="append", choices=PEERS, default=[], help="measure this instead; repeatable")
    parser.add_argument("--envs", type=Path, help="where the peers' environments are kept; default the user's cache")
    parser.add_argument("--small", action="store_true", help="small sizes, only to see that everything works")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    given = parser.parse_args()
    unknown = sorted(set(given.scenarios) - set(GROUPS))
    if unknown:
        parser.error(f"there is no scenario {unknown[0]!r}; they are {', '.join(GROUPS)}")
    if not 1 <= given.pairs <= MOST_PAIRS:
        parser.error(f"--pairs is 1 to {MOST_PAIRS}")
    return given


def main() -> int:
    given = arguments()
    groups = given.scenarios or GROUPS
    client_core, server_core = cores = two_cores()
    about = conditions(given.pairs, cores)
    results: dict[str, list[Row]] = {}
    try:
        pythons = {name: interpreter(HERE / "peers" / f"{name}.py", given.envs) for name in given.peer}
        pythons = pythons or {"agentrt": sys.executable}
        with server(server_core) as address:
            for name, python in pythons.items():
                results[name] = []
                for scenario in SCENARIOS:
                    if scenario.group in groups and (name == "agentrt" or not scenario.only_ours):
                        sized = small(scenario) if given.small else scenario
                        results[name] += measure(address, name, python, sized, given.pairs, client_core)
    except (BrokenError, EnvError) as error:
        print(error, file=sys.stderr)
        return 1
    if given.json:
        told = {
            name: [{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in lines]
            for name, lines in results.items()
        }
        print(json.dumps({**about, "results": told}, indent=1))
    else:
        print(", ".join(f"{name} {value}" for name, value in about.items() if name != "versions"))
        print(", ".join(f"{name} {version or 'not installed'}" for name, version in about["versions"].items()))
        for name, lines in results.items():
            print(f"\n{table(name, lines)}")
    return 1 if any(row.errors for lines in results.values() for row in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
