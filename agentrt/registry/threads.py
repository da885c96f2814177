"""Daemon threads for sync tools, on any event loop.

Not anyio's own worker threads: on asyncio they keep the interpreter from exiting after an abandoned call (measured
with anyio 4.16: 8.2 s for a function that sleeps 8 s). Not ``asyncio.to_thread``: it has 6 threads on two cores.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

__all__ = ["Job", "asyncio_is_running", "call_soon", "copied_context", "held_jobs", "run_in_thread", "submit"]

T = TypeVar("T")
Job = Callable[[], None]

held_jobs: contextvars.ContextVar[Callable[[Job], Job] | None] = contextvars.ContextVar("held_jobs", default=None)
"""Wraps the jobs of a test whose clock must stand still while they run."""


class _Worker:
    """A thread that waits for one job at a time; idle ones wait in `_idle` and end after a while."""

    IDLE_SECONDS = 10.0

    def __init__(self) -> None:
        self._job: Job | None = None
        self._wake = threading.Semaphore(0)
        threading.Thread(target=self._loop, name="agentrt-tool", daemon=True).start()

    def give(self, job: Job) -> None:
        self._job = job
        self._wake.release()

    def _loop(self) -> None:
        while True:
            if not self._wake.acquire(timeout=self.IDLE_SECONDS):
                try:
                    _idle.remove(self)
                except ValueError:  # pragma: no cover - a race: it was just taken, and the job is on its way
                    self._wake.acquire()
                else:
                    return
            job, self._job = self._job, None
            assert job is not None
            job()
            del job
            _idle.append(self)


_idle: deque[_Worker] = deque()
if hasattr(os, "register_at_fork"):  # pragma: no branch - where there is fork, threads don't survive it
    os.register_at_fork(after_in_child=_idle.clear)


def submit(job: Job) -> None:
    """Run a job in a daemon thread, without waiting for it. The job must not raise."""
    hold = held_jobs.get()
    if hold is not None:
        job = hold(job)
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.give(job)


def copied_context() -> contextvars.Context:
    """Copy the context variables for another thread, all but the note of which event loop runs in this one."""
    context = contextvars.copy_context()
    sniffio: Any = sys.modules.get("sniffio")
    if sniffio is not None:  # pragma: no branch - it comes with trio, so every test has it
        context.run(sniffio.current_async_library_cvar.set, None)
    return context


def asyncio_is_running() -> bool:
    """Tell whether the running event loop is asyncio's."""
    asyncio: Any = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.get_running_loop() is not None
    except RuntimeError:
        return False


def call_soon(token: Any, function: Callable[[T], None], argument: T) -> None:
    """Run a function on an event loop, from another thread and without waiting. After the loop's end it does nothing.

    Args:
        token: The event loop's, from ``anyio.lowlevel.current_token()``.
        function: What to run there.
        argument: What it gets.
    """
    native = token.native_token
    soon: Callable[..., Any] = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
    with contextlib.suppress(Exception):  # RuntimeError, trio.RunFinishedError: nobody listens any more
        soon(function, argument)


async def run_in_thread(function: Callable[[], T]) -> T:
    """Run a sync function in a daemon thread, with the caller's context variables.

    A cancelled caller goes on at once; the thread ends when the function does and its result is dropped.

    Args:
        function: What to run, without arguments.

    Returns:
        What the function returned.

    Raises:
        BaseException: Whatever the function raised.
    """
    from anyio import from_thread  # noqa: PLC0415 - 5 ms of import that only sync tools need

    done = anyio.Event()
    token = anyio.lowlevel.current_token()
    context = copied_context()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def job() -> None:
        try:
            outcome.append(context.run(function))
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the caller
            failure.append(error)
        with contextlib.suppress(RuntimeError):  # the event loop has ended: nobody waits any more
            from_thread.run_sync(done.set, token=token)

    submit(job)
    await done.wait()
    if failure and isinstance(failure[0], StopIteration):  # which would end this coroutine in a riddle
        raise RuntimeError("the function let a StopIteration out: next() found nothing") from failure[0]
    if failure:
        raise failure[0]
    return outcome[0]
