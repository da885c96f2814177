"""A store in this process: for tests, and for what may be gone when the process ends."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from typing_extensions import override

from agentrt.errors import BusyError, UsageError
from agentrt.store.base import Kind, Store, check_key, check_text

__all__ = ["MemoryStore"]


class MemoryStore(Store):
    """Keeps sessions and runs in this process; they are gone when it ends."""

    def __init__(self) -> None:
        self._texts: dict[Kind, dict[str, str]] = {"session": {}, "run": {}}
        self._held: set[tuple[Kind, str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @override
    async def get(self, kind: Kind, key: str) -> str | None:
        self._check(kind, key)
        return self._texts[kind].get(key)

    @override
    async def put(self, kind: Kind, key: str, text: str) -> None:
        self._check(kind, key)
        check_text(kind, key, text)
        with self._lock:
            self._texts[kind][key] = text

    @override
    async def delete(self, kind: Kind, key: str) -> bool:
        self._check(kind, key)
        with self._lock:
            return self._texts[kind].pop(key, None) is not None

    @override
    async def keys(self, kind: Kind) -> list[str]:
        self._check(kind, "any")
        with self._lock:
            return list(self._texts[kind])

    @override
    @asynccontextmanager
    async def hold(self, kind: Kind, key: str) -> AsyncGenerator[None]:
        self._check(kind, key)
        with self._lock:
            if (kind, key) in self._held:
                raise BusyError(kind, key)
            self._held.add((kind, key))
        try:
            yield
        finally:
            with self._lock:
                self._held.remove((kind, key))

    @override
    async def aclose(self) -> None:
        self._closed = True

    def _check(self, kind: Kind, key: str) -> None:
        check_key(kind, key)
        if self._closed:
            raise UsageError("this store is closed: make a new one, or close it later")
