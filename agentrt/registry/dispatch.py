"""Runs the calls of one reply: each gets exactly one output item, whatever its tool does."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.abc
import anyio.lowlevel

from agentrt.errors import ToolError
from agentrt.registry.arguments import parse_arguments
from agentrt.registry.output import as_text, encode_output
from agentrt.wire.items import CALLS
from agentrt.wire.json import as_str

if TYPE_CHECKING:
    from agentrt.registry.tool import Tool

__all__ = ["MAX_PARALLEL", "Answer", "Crew", "answer_call"]

MAX_PARALLEL = 64
"""Calls that run at once. 64 sync tools of 50 ms then take 56 ms, where a bound of 16 would take 207 (measured)."""

_SHOWN_NAMES = 20

logger = logging.getLogger("agentrt.registry")


class Answer(NamedTuple):
    """How a call ended.

    Attributes:
        item: The output item for the model.
        failed: Whether the item tells of an error.
    """

    item: dict[str, Any]
    failed: bool


async def answer_call(tools: Mapping[str, Tool[..., Any]], call: Mapping[str, Any]) -> Answer:
    """Run one call and answer it. Raises nothing but a cancellation of the caller.

    Args:
        tools: The tools that may be called, by name.
        call: The call item as it came.
    """
    failed = True
    tool = tools.get(as_str(call.get("name")))
    try:
        if tool is None:
            raise ToolError(_unknown(list(tools), call.get("name")))
        output = encode_output(await tool.invoke(parse_arguments(call.get("arguments"))))
        failed = False
    except ToolError as error:
        output = encode_output(f"Error: {as_text(error)}")
    except anyio.get_cancelled_exc_class():
        await anyio.lowlevel.checkpoint_if_cancelled()  # raises again if it is the run that was cancelled
        output = "Error: the tool was cancelled"
    except BaseException as error:
        if isinstance(error, GeneratorExit) or (isinstance(error, KeyboardInterrupt) and tool and tool.is_async):
            raise  # in a thread nobody presses Ctrl-C, on the event loop it is the user
        logger.info("the tool %r failed", call.get("name"), exc_info=error)
        output = f"Error: {encode_output(f'{type(error).__name__}: {as_text(error)}', 2000)}"
    return Answer(CALLS["function_call"].answer(call, output), failed)


def _unknown(names: list[str], name: object) -> str:
    import difflib  # noqa: PLC0415 - only a model's slip needs it

    near = difflib.get_close_matches(str(name), names, n=3)
    if near:
        return f"there is no tool named {name!r}; did you mean {' or '.join(map(repr, near))}?"
    return f"there is no tool named {name!r}; the tools are {names[:_SHOWN_NAMES]}"


class Crew:
    """Runs jobs concurrently under a bound, started in the order in which they were added.

    Args:
        group: The task group that owns the workers.
        limit: Jobs that may run at once.
    """

    def __init__(self, group: anyio.abc.TaskGroup, limit: int) -> None:
        self._group = group
        self._limit = limit
        self._queue: deque[tuple[Callable[[Any], Awaitable[None]], Any]] = deque()
        self._workers = 0

    def add(self, job: Callable[[Any], Awaitable[None]], argument: Any) -> None:
        """Queue ``job(argument)``; it starts as soon as a place is free."""
        self._queue.append((job, argument))
        if self._workers < self._limit:
            self._workers += 1
            self._group.start_soon(self._work)

    async def _work(self) -> None:
        try:
            while self._queue:
                job, argument = self._queue.popleft()
                await job(argument)
                await anyio.lowlevel.checkpoint()  # a crew of tools that never wait must not starve the event loop
        finally:
            self._workers -= 1
