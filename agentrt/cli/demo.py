"""``agentrt demo``: a real model calls real Python tools on real input."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from agentrt import Agent, Client, Result
from agentrt.cli.show import as_json, show_run
from agentrt.registry import Tool
from agentrt_tools import calculator, count_lines

__all__ = ["EXAMPLES", "QUESTIONS", "demo", "pick_file"]

QUESTIONS = ("Calculate 1234 * 5678.", "Count the lines of {file}.")


def _example(
    number: int, question: str, tool: Tool[..., Any], arguments: str, output: str, answer: str
) -> list[dict[str, str]]:
    call_id = f"example_{number}"
    return [
        {"type": "message", "role": "user", "content": question},
        {"type": "function_call", "call_id": call_id, "name": tool.name, "arguments": arguments},
        {"type": "function_call_output", "call_id": call_id, "output": output},
        {"type": "message", "role": "assistant", "content": answer},
    ]


EXAMPLES = [
    *_example(
        1, "Count the lines of setup.cfg.", count_lines, '{"path": "setup.cfg"}', "208", "setup.cfg has 208 lines."
    ),
    *_example(2, "Calculate 7 + 5.", calculator, '{"expression": "7 + 5"}', "12", "7 + 5 is 12."),
    *_example(3, "Count the lines of todo.txt.", count_lines, '{"path": "todo.txt"}', "31", "todo.txt has 31 lines."),
    *_example(4, "Calculate 90 * 11.", calculator, '{"expression": "90 * 11"}', "990", "90 * 11 is 990."),
]
"""Earlier turns of the conversation, with other numbers and files. A model of 135 M parameters needs to see how it is
done; without them it often picks the wrong one. Larger models get the bare question."""


def pick_file(folder: Path) -> str | None:
    """Choose a text file of the folder to count: a README where there is one, else the first by name."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and _is_text(entry))
    plain = [name for name in names if not name.startswith(".") and name.isascii() and " " not in name]
    return next((name for name in plain if name.lower().startswith("readme")), plain[0] if plain else None)


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return bool(head) and b"\0" not in head


async def demo(*, provider: str | None, model: str, local: bool, as_script: bool) -> list[Result]:
    """Run the demo and give its results.

    Args:
        provider: A provider's name; None lets the environment choose.
        model: The model's name.
        local: Whether that is the embedded model.
        as_script: Print one JSON object per question instead of the show.
    """
    console = Console(highlight=False, quiet=as_script)
    questions = [QUESTIONS[0]]
    file = pick_file(Path.cwd())
    if file is not None:
        questions.append(QUESTIONS[1].format(file=file))
    about = "embedded: " + _local_name() if local else f"{model} through {provider or 'the provider that is set'}"
    console.print(Text.assemble(("agentrt demo", "bold"), f"  model: {about}"))
    if local:
        console.print(
            Text("A tiny demonstration model: it shows the way through, not what agents can do.", style="dim")
        )
    results: list[Result] = []
    async with Client(provider=provider) as client:
        for question in questions:
            agent = Agent(model, name="demo", tools=[calculator, count_lines], client=client)
            console.print(Text.assemble(("\n> ", "bold"), question))
            started = time.perf_counter()
            given = [*(EXAMPLES if local else []), {"type": "message", "role": "user", "content": question}]
            result = await show_run(agent, given, calls=console, answer=console)
            seconds = time.perf_counter() - started
            results.append(result)
            console.print(Text(f"  {result.status}, {result.turns} requests, {seconds:.1f} s", style="dim"))
            if as_script:
                print(as_json(result, question=question, seconds=round(seconds, 3)))  # noqa: T201 - for a script
    console.print(Text('\nYour own tools: agentrt run "…" --tool your_module:your_function', style="dim"))
    return results


def _local_name() -> str:
    own = os.environ.get("AGENTRT_LOCAL_MODEL")
    return Path(own).name if own else "SmolLM2-135M-Instruct, 4 bits, on this machine"
