"""What a run tells while it goes on: one ordered stream of typed events.

Each event has a ``type`` for matching, and the ``thread`` that it belongs to.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from agentrt.core.state import MAIN

__all__ = ["RunEvent", "TextDelta", "ToolFinished", "ToolProgress", "ToolStarted", "TurnRestarted", "TurnStarted"]


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


class TurnRestarted(NamedTuple):
    """The reply broke off and is asked for again: what this turn has said so far counts no more.

    Attributes:
        turn: Its number, from 1.
        reason: What broke it.
    """

    turn: int
    reason: str
    thread: str = MAIN
    type: Literal["turn.restarted"] = "turn.restarted"


class TextDelta(NamedTuple):
    """The model wrote a piece of text."""

    delta: str
    thread: str = MAIN
    type: Literal["text.delta"] = "text.delta"


class ToolStarted(NamedTuple):
    """A call is about to run, here or on the server.

    Attributes:
        call_id: The call's id; of a hosted call the item's.
        name: The tool's name; of a hosted call its type, such as ``web_search``.
        arguments: The arguments as the model wrote them; of a hosted call what is known when it begins.
        hosted: Whether the provider runs it.
    """

    call_id: str
    name: str
    arguments: str
    thread: str = MAIN
    hosted: bool = False
    type: Literal["tool.started"] = "tool.started"


class ToolProgress(NamedTuple):
    """A running tool tells how far it is, or gives a part of its output.

    Attributes:
        call_id: The call's id.
        name: The tool's name.
        fraction: From 0 to 1; None where that isn't known.
        message: A few words.
        output: What a generator gave just now, as text.
    """

    call_id: str
    name: str
    fraction: float | None
    message: str
    output: str = ""
    thread: str = MAIN
    type: Literal["tool.progress"] = "tool.progress"


class ToolFinished(NamedTuple):
    """A call has its output.

    Attributes:
        call_id: The call's id; of a hosted call the item's.
        name: The tool's name; of a hosted call its type, such as ``web_search``.
        output: What the model gets to read; of a hosted call what of it was sent along.
        failed: Whether that is an error.
        seconds: How long the tool took, as far as it could be watched.
        hosted: Whether the provider ran it.
        artifact: The whole output, where it was too long for the model.
    """

    call_id: str
    name: str
    output: str
    failed: bool
    seconds: float
    thread: str = MAIN
    hosted: bool = False
    artifact: str | None = None
    type: Literal["tool.finished"] = "tool.finished"


RunEvent = TurnStarted | TurnRestarted | TextDelta | ToolStarted | ToolProgress | ToolFinished
