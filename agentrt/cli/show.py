"""Shows a run while it goes on: the calls with arguments, result and time, and the answer as it is written."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from agentrt.agent import Agent, Input
from agentrt.core.pending import Approve, Decision, Deny, Pending
from agentrt.core.result import Result
from agentrt.drivers.plan import Decide
from agentrt.events import (
    AgentChanged,
    LimitReached,
    Noted,
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

__all__ = ["as_json", "ask_on", "show_examined", "show_run"]

_SHOWN = 400


async def show_run(
    agent: Agent, given: Input, *, calls: Console, answer: Console, decide: Decide | None = None
) -> Result:
    """Run the agent and show what happens.

    Args:
        agent: The agent.
        given: Its input.
        calls: Where calls are shown, those of sub-agents indented.
        answer: Where the answer is written.
        decide: Decides on what is pending; None leaves it open.
    """
    said = _Said(answer)
    async with agent.stream(given, on_pending=decide) as run:
        async for event in run:
            if isinstance(event, TextDelta):
                if event.parent is None:  # what a sub-agent says is the output of a call
                    said.add(visible(event.delta))
            elif isinstance(event, TurnRestarted):
                if event.parent is None:
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


def ask_on(console: Console) -> Decide:
    """Make a function that asks whoever sits at the terminal, one question at a time.

    Args:
        console: Where questions are shown.
    """
    one_at_a_time = threading.Lock()

    def decide(pending: Pending) -> Decision | None:
        with one_at_a_time:
            asked = pending.text.replace("\n", "\n          ")
            console.print(Text.assemble(("  asks    ", "bold yellow"), visible(pending.agent), ": ", asked))
            try:
                while True:
                    word = console.input("  run it? (y/n) ").strip().lower()
                    if word in ("y", "yes"):
                        return Approve()
                    if word in ("n", "no"):
                        return Deny(console.input("  why not? (for the model; may be empty) ").strip())
            except EOFError:
                return None

    return decide


def _show(event: RunEvent, console: Console) -> None:
    indent = "    " * event.thread.count("/")
    whose = f"  {visible(event.agent)}" if indent else ""
    if isinstance(event, ToolStarted):
        told = visible(f"{event.name} {event.arguments}")
        console.print(Text.assemble((f"{indent}  call    ", "bold cyan"), told, (whose, "dim")), soft_wrap=True)
    elif isinstance(event, ToolProgress):
        done = "" if event.fraction is None else f"{event.fraction:.0%} "
        console.print(
            Text(f"{indent}  …       {visible(done + (event.message or event.output))}", style="dim"), soft_wrap=True
        )
    elif isinstance(event, ToolFinished):
        output = event.output if len(event.output) <= _SHOWN else event.output[:_SHOWN] + " …"
        style = "bold red" if event.failed else "bold green"
        console.print(
            Text.assemble((f"{indent}  result  ", style), visible(output), (f"  {event.seconds * 1000:.1f} ms", "dim")),
            soft_wrap=True,
        )
    elif isinstance(event, TurnStarted) and event.last and event.turn > 1:
        console.print(Text(f"{indent}  a limit is reached: the model answers with what it has", style="yellow"))
    elif isinstance(event, LimitReached):
        console.print(Text(f"{indent}  limit   {event.limit}{whose}", style="yellow"))
    elif isinstance(event, AgentChanged):
        console.print(Text(f"{indent}  agent   {visible(event.agent)} goes on", style="dim"))
    elif isinstance(event, Noted):
        console.print(Text(f"{indent}  note    {visible(event.note)}", style="dim"), soft_wrap=True)


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
        "notes": list(result.notes),
        "pending": [{"id": one.id, "name": one.name, "arguments": dict(one.arguments)} for one in result.pending],
        "state": json.loads(result.state.to_json()) if result.pending else None,
    }
    return json.dumps({**fields, **more}, ensure_ascii=False)
