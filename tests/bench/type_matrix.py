"""The type matrix (``tests/tools/cases.py``) on agentrt and on other runtimes; prints Markdown. Run it by hand.

``python tests/bench/type_matrix.py [--peer NAME] [--envs DIR]``

A runtime makes a tool from each function and gets what a model writes as JSON text. ``yes`` means that the function was
called with what it asked for, types included. The adapters, ``peers/types_NAME.py``, import this file too, in their own
environments: there is only the standard library, pydantic and typing_extensions for it.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import functools
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pydantic

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
from tests.tools.cases import CASES  # noqa: E402 - the path comes first

PEERS = ["openai_agents", "pydantic_ai", "langchain", "strands"]
PEER_SECONDS = 300
SHOWN_CHARACTERS = 40

Build = Callable[[Callable[..., Any]], Any]
Give = Callable[[Any, str], Awaitable[None]]


class RefusedError(Exception):
    """The runtime told the model that its arguments don't fit."""


class BrokenError(Exception):
    """A peer gave no outcomes."""


def plain(function: Any) -> Any:
    """The Python function that runs in the end."""
    if isinstance(function, functools.partial):
        return function.func
    if inspect.isclass(function):
        return function.__init__
    return function if inspect.isroutine(function) else type(function).__call__


def wanted(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the function's parameters must hold, defaults and all."""
    if isinstance(function, functools.partial):
        return wanted(function.func, (*function.args, *args), {**function.keywords, **kwargs})
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


class Recorder:
    """Keeps what a function's parameters held whenever it was called, in threads too.

    A wrapper around the function would change what some runtimes see: partials, classes and callable objects have no
    name or type hints to copy. One recorder is for all cases, because threads that outlive a case keep its hook.
    """

    def __init__(self) -> None:
        self.code: CodeType | None = None
        self.calls: list[dict[str, Any]] = []

    def expect(self, code: CodeType) -> None:
        """Forget the last function and look out for this one."""
        self.code = code
        self.calls = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is self.code:
            self.calls.append(dict(frame.f_locals))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be called whenever a function is."""
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


def difference(got: Any, due: Any) -> str:
    """The first thing that isn't as it must be, in a few words; empty if there is none."""
    if type(got) is not type(due):
        return f"{type(got).__name__} instead of {type(due).__name__}"
    if isinstance(due, pydantic.BaseModel) or dataclasses.is_dataclass(due):
        got, due = vars(got), vars(due)
    if isinstance(due, dict) and len(got) == len(due):
        return difference([*got, *got.values()], [*due, *due.values()])
    if isinstance(due, list | tuple | collections.deque) and len(got) == len(due):
        return next(filter(None, map(difference, got, due)), "")
    return "" if got == due else f"got {shortened(repr(got))}"


def shortened(text: str) -> str:
    """Cut a text to what a cell can hold."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def outcome(case: tuple[Any, Any, Any], build: Build, give: Give, recorder: Recorder) -> str:
    """Put one case through a runtime; gives what to print for it."""
    function, arguments, (args, kwargs) = case
    try:
        tool = build(function)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        return f"no tool: {type(error).__name__}"
    due = wanted(function, args, kwargs)
    problem = "not called"
    recorder.expect(plain(function).__code__)
    try:
        asyncio.run(give(tool, json.dumps(arguments)))
    except RefusedError:
        problem = "refused"
    except Exception as error:  # noqa: BLE001 - the same
        problem = f"not called: {type(error).__name__}"
    if not recorder.calls:
        return problem
    return difference({name: recorder.calls[0][name] for name in due}, due) or "yes"


def outcomes(give: Give, *builds: Build) -> list[str]:
    """Put all cases through a runtime. With several ways to make a tool it is enough that one works."""
    found = []
    recorder = Recorder()
    with recorder.watching():
        for case in CASES:
            each = [outcome(case, build, give, recorder) for build in builds]
            found.append("yes" if "yes" in each else each[-1])
    return found


def report(give: Give, *builds: Build) -> None:
    """Print the outcomes as JSON: what an adapter does."""
    print(json.dumps(outcomes(give, *builds)))


def of_agentrt() -> list[str]:
    """Put the cases through agentrt, in this process."""
    # The peers' environments don't have it.
    from agentrt import Registry, Tool

    async def give(registry: Any, text: str) -> None:
        (tool,) = registry
        call = {"type": "function_call", "call_id": "c", "name": tool.name, "arguments": text}
        (output,) = await registry.dispatch([call])
        if output["output"] != "null":
            raise RefusedError

    def build(function: Any) -> Any:
        registry = Registry([Tool(function)])
        registry.definitions()
        return registry

    return outcomes(give, build)


def of_peer(name: str, envs: Path | None) -> list[str]:
    """Run an adapter in the peer's environment."""
    # They need packages that the peers' environments don't have.
    from envs import interpreter
    from run import environment

    adapter = HERE / "peers" / f"types_{name}.py"
    # -P: the folder has files that are called like the peers' packages.
    command = [interpreter(adapter, envs), "-P", str(adapter)]
    try:
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=PEER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BrokenError(f"{name} took over {PEER_SECONDS} s") from error
    if done.returncode:
        raise BrokenError(f"{name} broke:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def label(case: tuple[Any, Any, Any]) -> str:
    """Name a case: the function and what the model gives."""
    function, arguments, _ = case
    if isinstance(function, functools.partial):
        name = f"partial of {function.func.__name__}"
    else:
        name = getattr(function, "__qualname__", f"a {type(function).__name__}")
    return f"{name}, `{shortened(json.dumps(arguments))}`"


def table(found: dict[str, list[str]]) -> str:
    """Lay out the cases where somebody failed, and the counts."""
    rows = [["case", *(name.replace("_", "-") for name in found)], ["---"] * (len(found) + 1)]
    for case, cells in zip(CASES, zip(*found.values(), strict=True), strict=True):
        if set(cells) != {"yes"}:
            rows.append([label(case), *cells])
    counts = [str(cells.count("yes")) for cells in found.values()]
    rows.append([f"`yes`, of {len(CASES)} cases", *counts])
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", choices=PEERS, default=[], help="only this one; repeatable")
    parser.add_argument("--envs", type=Path, help="where the peers' environments are kept; default the user's cache")
    given = parser.parse_args()
    from envs import EnvError

    try:
        found = {name: of_peer(name, given.envs) for name in given.peer or PEERS}
    except (BrokenError, EnvError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table({"agentrt": of_agentrt(), **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
