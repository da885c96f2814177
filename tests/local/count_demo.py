"""Counts how often the demo's task succeeds on the embedded model, as a whole loop.

A run counts if its only call is the right one and the tool's value stands in the answer. Each question is asked once
per seed, with the real tools on real files; then once more with tools that return another value, which must change the
answer. Run it with ``python tests/local/count_demo.py [SEEDS [TEMPERATURE…]]``; ``docs/local.md`` holds the figures.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from agentrt import Agent, Client, Result, tool
from agentrt.cli.demo import EXAMPLES, QUESTIONS
from agentrt_tools import calculator, count_lines

FILES = {"README.md": 183, "pyproject.toml": 97, "main.py": 1204, "index.html": 62, "notes.txt": 7}


@tool(name="calculator", description=calculator.description)
def other_calculator(expression: str) -> int:
    return 424242


@tool(name="count_lines", description=count_lines.description)
def other_count(path: str) -> int:
    return 5151


async def ask(client: Client, tools: list, question: str, seed: int, temperature: float) -> Result:
    agent = Agent("local", tools=tools, client=client, temperature=temperature, extra_body={"seed": seed})
    return await agent.run([*EXAMPLES, {"type": "message", "role": "user", "content": question}])


def succeeded(result: Result, name: str, argument: str, value: str) -> bool:
    calls = [item for item in result.items if item.type == "function_call"]
    right = len(calls) == 1 and calls[0].raw["name"] == name and f'"{argument}"' in calls[0].raw["arguments"]
    return right and result.status == "completed" and value in result.text.replace(",", "")


async def count(seeds: int, temperature: float, questions: dict[str, tuple[str, str, str]], tools: list) -> None:
    async with Client(base_url="local://smollm2") as client:
        for question, (name, argument, value) in questions.items():
            started, good = time.perf_counter(), 0
            for seed in range(seeds):
                result = await ask(client, tools, question, seed, temperature)
                fine = succeeded(result, name, argument, value)
                good += fine
                if not fine:
                    print("    seed", seed, [item.raw.get("arguments") for item in result.items][:1], repr(result.text))
            seconds = (time.perf_counter() - started) / seeds
            print(f"temperature {temperature}  {question:32} {good} of {seeds}  {seconds:.2f} s each", flush=True)


def questions(values: Callable[[str, int], str]) -> dict[str, tuple[str, str, str]]:
    asked = {QUESTIONS[0]: ("calculator", "1234 * 5678", values("calculator", 7006652))}
    for file, lines in FILES.items():
        asked[QUESTIONS[1].format(file=file)] = ("count_lines", file, values("count_lines", lines))
    return asked


async def main(seeds: int, temperatures: tuple[float, ...]) -> None:
    real = questions(lambda _, value: str(value))
    switched = questions(lambda name, _: "424242" if name == "calculator" else "5151")
    for temperature in temperatures:
        await count(seeds, temperature, real, [calculator, count_lines])
    print("with other results:")
    await count(seeds, 0.2, switched, [other_calculator, other_count])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in FILES.items():
            Path(folder, name).write_text("line\n" * lines)
        os.chdir(folder)
        given = sys.argv[1:]
        anyio.run(main, int(given[0]) if given else 30, tuple(map(float, given[1:])) or (0.2, 0.7))
