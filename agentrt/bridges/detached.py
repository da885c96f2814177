"""Tasks that belong to the event loop and to nobody in it: what is opened in one task can be closed in another."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from agentrt.registry.threads import asyncio_is_running

__all__ = ["spawn"]

_tasks: set[Any] = set()


def spawn(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function in a task of its own. It must let no error out; the event loop's end cancels it.

    Args:
        work: What to run. It may enter cancel scopes and task groups of its own.
    """
    if asyncio_is_running():
        import asyncio  # noqa: PLC0415 - trio never needs it

        task = asyncio.get_running_loop().create_task(work())
        _tasks.add(task)  # the event loop itself keeps only a weak reference
        task.add_done_callback(_tasks.discard)
    else:
        import trio  # noqa: PLC0415 - whoever runs on it has it

        trio.lowlevel.spawn_system_task(work)
