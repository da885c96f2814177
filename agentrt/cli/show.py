"""Shows a run while it goes on: the calls with arguments, result and time, and the answer as it is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from agentrt.agent import Agent, Input
from agentrt.core.result import Result
from agentrt.events import (
    ReasoningDelta,
    RunEvent,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnRestarted,
    TurnStarted,
)
from agentrt.registry.doctor import Examined
from agentrt.wire.items import CALLS
from agentrt.wire.text import visible

__all__ = ["as_json", "show_run"]

_SHOWN = 400


async def show_run(agent: Agent, given: Input, *, calls: Console, answer: Console) -> Result:
    """Run the agent and show what happens.

    Args:
        agent: The agent.
        given: Its input.
        calls: Where calls are shown.
        answer: Where the answer is written.
    """
    said = _Said(answer)
    async with agent.stream(given) as run:
        async for event in run:
            if isinstance(event, TextDelta):
                said.add(visible(event.delta))
            elif isinstance(event, TurnRestarted):
                said.take_back()
                calls.print(Text(f"  the reply broke off and is asked for again: {visible(event.reason)}", "yellow"))
            elif not isinstance(event, ReasoningDelta):
                said.end()
                _show(event, calls)
    said.end()
    return run.result


class _Said:
    """What the model says in a turn: shown live on a terminal; elsewhere when the turn is over, as it may break off."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._kept: list[str] = []
        self._open = False

    def add(self, text: str) -> None:
        self._kept.append(text)
        self._open = not text.endswith("\n")
        if self._console.is_terminal:
            self._flush()

    def take_back(self) -> None:
        self._kept.clear()
        if self._console.is_terminal and self._open:
            _write(self._console, "\n")
        self._open = False

    def end(self) -> None:
        self._flush()
        if self._open:
            _write(self._console, "\n")
            self._open = False

    def _flush(self) -> None:
        _write(self._console, "".join(self._kept))
        self._kept.clear()


def _write(console: Console, text: str) -> None:
    """Write text as it is: rich would expand tabs and wrap lines."""
    if not console.quiet:
        console.file.write(text)
        console.file.flush()


_LEVELS = {"error": "red", "warning": "yellow", "note": "dim"}


def _show(event: RunEvent, console: Console) -> None:
    if isinstance(event, ToolStarted):
        console.print(
            Text.assemble(("  call    ", "bold cyan"), visible(f"{event.name} {event.arguments}")), soft_wrap=True
        )
    elif isinstance(event, ToolProgress):
        done = "" if event.fraction is None else f"{event.fraction:.0%} "
        console.print(Text(f"  …       {visible(done + (event.message or event.output))}", style="dim"), soft_wrap=True)
    elif isinstance(event, ToolFinished):
        output = event.output if len(event.output) <= _SHOWN else event.output[:_SHOWN] + " …"
        style = "bold red" if event.failed else "bold green"
        console.print(
            Text.assemble(("  result  ", style), visible(output), (f"  {event.seconds * 1000:.1f} ms", "dim")),
            soft_wrap=True,
        )
    elif isinstance(event, TurnStarted) and event.last and event.turn > 1:
        console.print(Text("  a limit is reached: the model answers with what it has", style="yellow"))


def show_examined(examined: Iterable[Examined], console: Console) -> None:
    """Show what the doctor found, tool by tool, and what all of them cost."""
    total = 0
    for name, tokens, findings in examined:
        total += tokens or 0
        cost = "no tool as it is" if tokens is None else f"about {tokens} tokens"
        console.print(Text.assemble((visible(name), "bold"), f"  {cost}"), soft_wrap=True)
        for level, text in findings:
            console.print(Text.assemble(f"  {level:8}", visible(text), style=_LEVELS[level]), soft_wrap=True)
    console.print(f"about {total} tokens in each request")


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
