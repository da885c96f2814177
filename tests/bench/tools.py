"""What tools cost: defining them, checking a call's arguments, one more call in a batch. See ``README.md``.

``python tests/bench/tools.py [--rounds 5]``
"""

import argparse
import gc
import json
import resource
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pydantic
import pydantic_core
from pydantic_core import core_schema

from agentrt import Registry, Tool
from agentrt.registry.annotation import _kept

COUNT = 200


def simple_functions() -> list[Callable[..., Any]]:
    """Make functions with two parameters and a docstring, each a new one."""
    made: list[Callable[..., Any]] = []
    for number in range(COUNT):
        scope: dict[str, Any] = {}
        exec(
            f'def tool_{number}(x: int, label: str = "a") -> str:\n'
            f'    """Do thing {number}.\n\n    Args:\n        x: How many.\n        label: What to call it.\n    """\n',
            scope,
        )
        made.append(scope[f"tool_{number}"])
    return made


def nested_models() -> list[type[pydantic.BaseModel]]:
    """Make models with models inside, all new ones."""
    made: list[type[pydantic.BaseModel]] = []
    for _ in range(COUNT):
        line = pydantic.create_model(
            "Line", sku=(str, ...), amount=(int, pydantic.Field(ge=1)), note=(str | None, None)
        )
        address = pydantic.create_model("Address", street=(str, ...), city=(str, ...), zip=(str, "0"))
        made.append(
            pydantic.create_model("Order", lines=(list[line], ...), ship_to=(address, ...), bill_to=(address, None))
        )
    return made


def cpu(work: Callable[[], object]) -> float:
    """Give the CPU seconds that something takes."""
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def median(rounds: int, work: Callable[[], float]) -> float:
    """Give the median of several readings, in microseconds."""
    return statistics.median(work() for _ in range(rounds)) * 1e6


def defining(rounds: int) -> list[tuple[str, float, float]]:
    """Measure what one tool costs: name, microseconds, what it may be at most."""

    def simple() -> float:
        functions = simple_functions()
        return cpu(lambda: [Tool(function).definition() for function in functions]) / COUNT

    def registering() -> float:
        functions = simple_functions()
        return cpu(lambda: Registry(functions)) / COUNT

    def pair() -> tuple[float, float]:
        models, others = nested_models(), nested_models()

        def of(model: type[pydantic.BaseModel]) -> Callable[..., Any]:
            def order(order) -> None: ...

            order.__annotations__ = {"order": model}
            return order

        functions = [of(model) for model in models]
        _kept.cache_clear()
        ours = cpu(lambda: [Tool(function).definition() for function in functions]) / COUNT
        theirs = cpu(lambda: [model.model_json_schema() for model in others]) / COUNT
        return ours, theirs

    pair()
    pairs = [pair() for _ in range(rounds)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return [
        ("a simple tool, µs", median(rounds, simple), 150),
        ("registering one, µs", median(rounds, registering), 20),
        ("a tool of nested models, against their own model_json_schema", ratio, 1.25),
    ]


def checking(rounds: int) -> list[tuple[str, float, float]]:
    """Measure a call's arguments against the bare validator."""
    found: list[tuple[str, float, float]] = []

    class Line(pydantic.BaseModel):
        sku: str
        amount: int

    def plain(x: int, label: str = "a") -> None: ...
    def nested(lines: list[Line], notes: dict[str, str]) -> None: ...

    flat = json.dumps({"x": 1, "label": "item-1"})
    deep = json.dumps({"lines": [{"sku": f"s{n}", "amount": n} for n in range(5)], "notes": {"a": "b: c", "d": "e"}})
    for name, function, text in (("flat", plain, flat), ("nested", nested, deep)):
        form = Tool(function).form
        fields = {
            p.name: core_schema.typed_dict_field(form.types[p.name].whole, required=False)
            for p in form.signature.params
        }
        bare = pydantic_core.SchemaValidator(core_schema.typed_dict_schema(fields))

        def many(check: Callable[[str], object], text: str = text) -> float:
            return cpu(lambda: [check(text) for _ in range(20_000)])

        many(form.read)
        ratio = statistics.median(many(form.read) / many(bare.validate_json) for _ in range(rounds))
        found.append((f"arguments, {name}, against SchemaValidator.validate_json", ratio, 2))
    return found


async def batches(rounds: int) -> list[tuple[str, float, float]]:
    """Measure one more async call in a batch, and 64 sync ones."""

    async def nothing() -> None: ...

    def sleepy() -> None:
        time.sleep(0.05)

    registry = Registry([nothing, sleepy])

    def items(name: str, count: int) -> list[dict[str, Any]]:
        return [{"type": "function_call", "call_id": f"c{n}", "name": name, "arguments": "{}"} for n in range(count)]

    async def timed(name: str, count: int, clock: Callable[[], float]) -> float:
        gc.collect()
        started = clock()
        await registry.dispatch(items(name, count))
        return clock() - started

    await timed("nothing", 64, time.process_time)
    await timed("sleepy", 64, time.monotonic)
    more = [
        (await timed("nothing", 2048, time.process_time) - await timed("nothing", 64, time.process_time)) / (2048 - 64)
        for _ in range(rounds)
    ]
    sync = [await timed("sleepy", 64, time.monotonic) for _ in range(rounds)]
    return [
        ("one more async call, µs of CPU", statistics.median(more) * 1e6, 35),
        ("64 sync calls of 50 ms, ms", statistics.median(sync) * 1e3, 75),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="readings per figure")
    rounds = parser.parse_args().rounds
    rows = [*defining(rounds), *checking(rounds), *anyio.run(batches, rounds)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for name, value, most in rows:
        print(f"{name:62} {value:8.2f}  <= {most:g}  {'held' if value <= most else 'MISSED'}")
    print(f"{threading.active_count()} threads, {peak} MiB at most")


if __name__ == "__main__":
    main()
