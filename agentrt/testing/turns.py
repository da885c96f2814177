"""What a `ResponsesServer` answers, in words that a test can read."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrt.wire.compose import message_item
from agentrt.wire.json import dump

__all__ = ["Turn", "call", "calls", "http_error", "raw", "say"]

_ids = itertools.count(1)


@dataclass(frozen=True)
class Turn:
    """One answer.

    Attributes:
        output: The response's output items.
        outcome: The response's status: ``completed``, ``incomplete`` or ``failed``.
        extra: Fields of the response to set otherwise, such as ``error`` or ``incomplete_details``.
        usage: Input and output tokens.
        status: The HTTP status.
        headers: More HTTP headers.
        body: A body to send as it is, instead of a response.
        content_type: The type of ``body``.
        delay: Seconds before the answer begins.
        pause: Seconds between the chunks of the answer.
        cut: Close the connection instead of ending the body.
        cut_after: Close it after this many chunks; an event of a stream is a chunk, and a JSON body is one. With
            ``background``, the response goes on all the same; several numbers cut its next streams too.
        polls: How many times ``GET`` finds a ``background`` response unfinished.
    """

    output: tuple[Mapping[str, Any], ...] = ()
    outcome: str = "completed"
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    usage: tuple[int, int] = (10, 5)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    content_type: str = "application/json"
    delay: float = 0.0
    pause: float = 0.0
    cut: bool = False
    cut_after: int | tuple[int, ...] | None = None
    polls: int = 1


def say(text: str, **more: Any) -> Turn:
    """Answer with a message.

    Args:
        text: Its text.
        **more: Fields of `Turn`.
    """
    return Turn(output=(message_item(f"msg_{next(_ids)}", text),), **more)


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    """Make a function call item; ``raw_arguments="…"`` as the only argument sets the arguments' text itself."""
    text = arguments["raw_arguments"] if arguments.keys() == {"raw_arguments"} else dump(arguments).decode()
    number = next(_ids)
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": name}
    return {**item, "arguments": text, "status": "completed"}


def calls(*items: Mapping[str, Any], **more: Any) -> Turn:
    """Answer with items, such as those that `call` makes.

    Args:
        *items: Output items.
        **more: Fields of `Turn`.
    """
    return Turn(output=items, **more)


def http_error(status: int, code: str = "error", message: str = "scripted", **more: Any) -> Turn:
    """Answer with an HTTP error.

    Args:
        status: The status, 400 or more.
        code: The error's code.
        message: Its message.
        **more: Fields of `Turn`, such as ``headers={"retry-after": "1"}``.
    """
    error = {"message": message, "type": code, "param": more.pop("param", None), "code": code}
    return Turn(status=status, body=dump({"error": error}), **more)


def raw(body: bytes, content_type: str = "application/json", **more: Any) -> Turn:
    """Answer with bytes of your own.

    Args:
        body: The body.
        content_type: Its type.
        **more: Fields of `Turn`.
    """
    return Turn(body=body, content_type=content_type, **more)
