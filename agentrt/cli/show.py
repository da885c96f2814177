"""Shows a run while it goes on: the calls with arguments, result and time, and the answer as it is written."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text

from agentrt.agent import Agent, Input
from agentrt.core.result import Result
from agentrt.events import TextDelta, ToolFinished, ToolStarted, TurnStarted
from agentrt.wire.items import CALLS

__all__ = ["as_json", "show_run", "visible"]

_SHOWN = 400
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")


def visible(text: str) -> str:
    """Make control and bidi characters visible, so that what a model or a tool wrote can't steer the terminal."""
    return "".join(
        f"\\u{ord(char):04x}" if (unicodedata.category(char) == "Cc" and char not in "\n\t") or char in _BIDI else char
        for char in text
    )


async def show_run(agent: Agent, given: Input, *, calls: Console, answer: Console) -> Result:
    """Run the agent and show what happens.

    Args:
        agent: The agent.
        given: Its input.
        calls: Where calls are shown.
        answer: Where the answer is written.
    """
    column = 0
    async with agent.stream(given) as run:
        async for event in run:
            if isinstance(event, TextDelta):
                text = visible(event.delta)
                column = 0 if text.endswith("\n") else 1
                _write(answer, text)
            else:
                if column:
                    _write(answer, "\n")
                    column = 0
                _show(event, calls)
    if column:
        _write(answer, "\n")
    return run.result


def _write(console: Console, text: str) -> None:
    """Write text as it is: rich would expand tabs and wrap lines."""
    if not console.quiet:
        console.file.write(text)
        console.file.flush()


def _show(event: TurnStarted | ToolStarted | ToolFinished, console: Console) -> None:
    if isinstance(event, ToolStarted):
        console.print(
            Text.assemble(("  call    ", "bold cyan"), visible(f"{event.name} {event.arguments}")), soft_wrap=True
        )
    elif isinstance(event, ToolFinished):
        output = event.output if len(event.output) <= _SHOWN else event.output[:_SHOWN] + " …"
        style = "bold red" if event.failed else "bold green"
        console.print(
            Text.assemble(("  result  ", style), visible(output), (f"  {event.seconds * 1000:.1f} ms", "dim")),
            soft_wrap=True,
        )
    elif event.last and event.turn > 1:
        console.print(Text("  a limit is reached: the model answers with what it has", style="yellow"))


def as_json(result: Result, **more: Any) -> str:
    """Write a result for a script."""
    usage = {**result.usage._asdict(), "total_tokens": result.usage.total_tokens}
    calls = [item.raw for item in result.items if item.type in CALLS]
    fields = {
        "status": result.status,
        "stopped_by": result.stopped_by,
        "text": result.text,
        "calls": calls,
        "turns": result.turns,
        "usage": usage,
        "items": [item.raw for item in result.items],
    }
    return json.dumps({**fields, **more}, ensure_ascii=False)
