"""Runs a coroutine within its time, also one that won't be cancelled. asyncio only.

On trio a cancellation can't be swallowed for good, as every later wait is cancelled too; nor could it be left behind.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import logging
from collections.abc import Coroutine
from typing import Any

import anyio

__all__ = ["GRACE_SECONDS", "run_within"]

GRACE_SECONDS = 2.0
"""Seconds that a cancelled tool may take to clean up."""

logger = logging.getLogger("agentrt.registry")


async def run_within(coroutine: Coroutine[Any, Any, Any], seconds: float) -> list[Any]:
    """Run a coroutine in a task of its own, and leave it behind if it goes on after it was cancelled.

    Args:
        coroutine: What to run.
        seconds: Its time.

    Returns:
        A list with its result; an empty one when its time was up.

    Raises:
        BaseException: Whatever it raised.
    """
    outcome: list[Any] = []
    failure: list[BaseException] = []
    done = anyio.Event()

    async def work() -> None:
        try:
            outcome.append(await coroutine)
        except BaseException as error:  # noqa: BLE001 - it is raised again below; here it would end the event loop
            failure.append(error)
        finally:
            done.set()

    task = asyncio.create_task(work())
    in_time = False
    try:
        with anyio.move_on_after(seconds):
            await done.wait()
            in_time = True
    finally:
        if not in_time:
            task.cancel()
            with anyio.move_on_after(GRACE_SECONDS, shield=True):
                await done.wait()
            if not done.is_set():
                _leave_behind(task)
    if in_time and failure:
        raise failure[0]
    return outcome if in_time else []


def _leave_behind(task: asyncio.Task[None]) -> None:
    """Forget a task, so that the end of the event loop doesn't wait for it (asyncio's docs, "Extending")."""
    logger.warning("a tool goes on though it was cancelled %g seconds ago; it is left behind", GRACE_SECONDS)
    asyncio.tasks._unregister_task(task)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue]
