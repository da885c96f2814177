"""What a run tells while it goes on: one ordered stream of typed events.

Each event has a ``type`` for matching, and the ``thread`` that it belongs to.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from agentrt.core.state import MAIN

__all__ = ["RunEvent", "TextDelta", "ToolFinished", "ToolStarted", "TurnStarted"]


class TurnStarted(NamedTuple):
    """A request goes out.

    Attributes:
        turn: Its number, from 1.
        last: Whether it must be answered without calls, as a limit is reached.
    """

    turn: int
    last: bool
    thread: str = MAIN
    type: Literal["turn.started"] = "turn.started"


class TextDelta(NamedTuple):
    """The model wrote a piece of text."""

    delta: str
    thread: str = MAIN
    type: Literal["text.delta"] = "text.delta"


class ToolStarted(NamedTuple):
    """A call is about to run.

    Attributes:
        call_id: The call's id.
        name: The tool's name.
        arguments: The arguments as the model wrote them.
    """

    call_id: str
    name: str
    arguments: str
    thread: str = MAIN
    type: Literal["tool.started"] = "tool.started"


class ToolFinished(NamedTuple):
    """A call has its output.

    Attributes:
        call_id: The call's id.
        name: The tool's name.
        output: What the model gets to read.
        failed: Whether that is an error.
        seconds: How long the tool took.
    """

    call_id: str
    name: str
    output: str
    failed: bool
    seconds: float
    thread: str = MAIN
    type: Literal["tool.finished"] = "tool.finished"


RunEvent = TurnStarted | TextDelta | ToolStarted | ToolFinished
