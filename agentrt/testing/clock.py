"""`FakeClock`: an event loop whose time jumps ahead whenever all of its tasks sleep."""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import anyio
import anyio.lowlevel
from typing_extensions import TypeVarTuple

from agentrt.errors import UsageError
from agentrt.registry.threads import Job, call_soon, held_jobs

__all__ = ["FakeClock"]

T = TypeVar("T")
Args = TypeVarTuple("Args")
Read = Callable[[], float]


class FakeClock:
    """Runs a test about time without waiting: half an hour of retries takes some milliseconds.

    ::

        clock = FakeClock()
        clock.run(my_async_test)
        assert clock.now == pytest.approx(30)

    Time stands still while a task works, and while a sync tool runs in its thread. What waits for something outside of
    the event loop (a socket, a subprocess, threads that are not agentrt's) is not seen: use a `ScriptedModel`.
    """

    def __init__(self) -> None:
        self._elapsed: Callable[[], float] = float

    @property
    def now(self) -> float:
        """Seconds since the beginning of the run; after it, how many it took."""
        return self._elapsed()

    def run(
        self,
        async_function: Callable[[*Args], Awaitable[T]],
        *args: *Args,
        backend: Literal["asyncio", "trio"] = "asyncio",
    ) -> T:
        """Run an async function on an event loop of its own, under this clock.

        Args:
            async_function: What to run.
            *args: Its arguments.
            backend: The event loop's library.

        Returns:
            What it returned; what it raises is raised.

        Raises:
            UsageError: There is no such backend.
        """
        if backend not in _OPTIONS:
            raise UsageError(f"backend must be 'asyncio' or 'trio', but is {backend!r}")
        jobs = _Jobs()
        reader, options = _OPTIONS[backend](jobs)

        async def main() -> T:
            read = reader()  # from any thread
            start = read()
            self._elapsed = lambda: read() - start
            jobs.begin()
            held = held_jobs.set(jobs.hold)
            try:
                return await async_function(*args)
            finally:
                held_jobs.reset(held)
                took = self.now
                self._elapsed = lambda: took

        return anyio.run(main, backend=backend, backend_options=options)


class _Jobs:
    """Counts the jobs that run in threads for one event loop, and holds its time while there are any."""

    def __init__(self) -> None:
        self.running = 0
        self.on_change: Callable[[], None] = lambda: None

    def begin(self) -> None:
        self._token = anyio.lowlevel.current_token()
        self._thread = threading.get_ident()

    def hold(self, job: Job) -> Job:
        """Let time stand still until a job is done."""
        if threading.get_ident() != self._thread:  # of another event loop, which a job of this one waits for
            return job
        self._count(1)

        def held() -> None:
            try:
                job()
            finally:
                call_soon(self._token, self._count, -1)

        return held

    def _count(self, change: int) -> None:
        self.running += change
        self.on_change()


def _asyncio(jobs: _Jobs) -> tuple[Callable[[], Read], dict[str, Any]]:
    return lambda: asyncio.get_running_loop().time, {"loop_factory": lambda: _Loop(jobs)}


def _trio(jobs: _Jobs) -> tuple[Callable[[], Read], dict[str, Any]]:
    from trio.testing import MockClock  # noqa: PLC0415 - only where it is used

    clock = MockClock(autojump_threshold=0)

    def on_change() -> None:
        clock.autojump_threshold = math.inf if jobs.running else 0

    jobs.on_change = on_change
    return lambda: clock.current_time, {"clock": clock}


_OPTIONS = {"asyncio": _asyncio, "trio": _trio}


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's own event loop, but its waiting is a jump."""

    def __init__(self, jobs: _Jobs) -> None:
        self._seconds = 0.0
        super().__init__(_Selector(lambda: not jobs.running, self._jump))

    def time(self) -> float:
        return self._seconds

    def _jump(self, seconds: float) -> None:
        self._seconds += seconds


class _Selector(selectors.DefaultSelector):
    """Waits for nothing but what can't be jumped over.

    Args:
        may_jump: Tells whether time may go on.
        jump: Lets so many seconds be over.
    """

    def __init__(self, may_jump: Callable[[], bool], jump: Callable[[float], None]) -> None:
        super().__init__()
        self._may_jump = may_jump
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if not self._may_jump():
            return super().select(None)  # the end of the job wakes the loop
        ready = super().select(0)
        if not ready:
            self._jump(timeout)
        return ready
