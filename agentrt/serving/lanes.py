"""Calls of several clients that must not overlap."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

__all__ = ["Lanes"]


class Lanes:
    """Lets a call wait for others: those of its lane (``resource=``), and all others where it is ``exclusive``."""

    def __init__(self) -> None:
        self._changed = anyio.Condition()
        self._busy: set[str] = set()
        self._running = 0
        self._alone = 0
        """Exclusive calls that run or wait: nothing else begins meanwhile, or they would wait for ever."""

    @asynccontextmanager
    async def held(self, lane: str | None, *, exclusive: bool) -> AsyncGenerator[None]:
        """Wait for one's turn, and have it for the length of a block."""
        self._alone += exclusive
        try:
            async with self._changed:
                while self._must_wait(lane, exclusive=exclusive):
                    await self._changed.wait()
                self._running += 1
                if lane is not None:
                    self._busy.add(lane)
            try:
                yield
            finally:
                self._running -= 1
                self._busy.discard(lane or "")
        finally:
            self._alone -= exclusive
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._changed.notify_all()

    def _must_wait(self, lane: str | None, *, exclusive: bool) -> bool:
        if exclusive:
            return self._running > 0
        return self._alone > 0 or lane in self._busy
