"""An agent's run for a client: what it tells meanwhile, and what it says when it comes to no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentrt.core.result import Result
from agentrt.events import RunEvent, TextDelta, ToolFinished, ToolProgress, ToolStarted, TurnStarted
from agentrt.serving.progress import Tell

if TYPE_CHECKING:
    from agentrt.drivers.local import Run

__all__ = ["ended_without", "watched"]

_PIECE = 400
"""Characters of the answer between two notes that it grows."""


async def watched(run: Run[Any], tell: Tell) -> Result[Any]:
    """Do a run to its end and tell of it.

    Args:
        run: The run.
        tell: Takes the news.
    """
    written = 0
    async with run:
        async for event in run:
            if isinstance(event, TextDelta):
                before, written = written, written + len(event.delta)
                if before // _PIECE == written // _PIECE:
                    continue
                tell(None, f"{event.agent} has written {written} characters")
            elif news := _news(event):
                tell(None, news)
        return run.result


def _news(event: RunEvent) -> str:
    if isinstance(event, TurnStarted):
        return f"{event.agent} thinks (turn {event.turn})"
    if isinstance(event, ToolStarted):
        return f"{event.agent} calls {event.name}"
    if isinstance(event, ToolFinished):
        return f"{event.name} {'failed' if event.failed else 'is done'}"
    if isinstance(event, ToolProgress) and event.message:
        return f"{event.name}: {event.message}"
    return ""


def ended_without(name: str, result: Result[Any]) -> str:
    """Say how a run ended that came to no answer.

    Args:
        name: The agent's name.
        result: The run's result.
    """
    if result.status == "pending":
        waiting = "; ".join(dict.fromkeys(pending.name for pending in result.pending))
        return f"Error: the agent {name} needs approval, and there is nobody to give it, for: {waiting}"
    why = f" ({result.stopped_by})" if result.stopped_by else ""
    said = f"; it had said: {result.text}" if result.text else ""
    return f"Error: the agent {name} ended {result.status}{why}{said}"
