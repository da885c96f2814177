"""A store in one file: it outlives the process, and several processes may share it."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import anyio
from typing_extensions import override

from agentrt.errors import UsageError
from agentrt.registry.threads import run_in_thread, submit
from agentrt.store.base import Kind, Store, check_key, check_text

if TYPE_CHECKING:
    from agentrt.store.database import Database

__all__ = ["SQLiteStore"]

T = TypeVar("T")


class SQLiteStore(Store):
    """Keeps sessions and runs in one SQLite file, for this process and others on this machine.

    What ``put`` has returned from survives the end of the process and a power cut. The file is made on first use and
    only its owner may read it, as conversations are private. Next to it lie, while it is used, ``….db-wal`` and
    ``….db-shm``, and for good the folder ``….db.locks`` with an empty file for each key that was ever held. That
    folder may be deleted while no program uses the store, not before.

    Args:
        path: The file. Its folder must exist and be on a local disk, as network disks lock unreliably.

    Raises:
        UsageError: The path can't be a store's.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = _checked(path)
        self._database: Database | None = None
        self._lock = threading.Lock()  # guards the database, which does one thing at a time
        self._owner = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._call(lambda _: None)  # a file that can't be a store's is told of now, not by the first run
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @override
    async def get(self, kind: Kind, key: str) -> str | None:
        check_key(kind, key)
        return await self._call(lambda database: database.get(kind, key))

    @override
    async def put(self, kind: Kind, key: str, text: str) -> None:
        check_key(kind, key)
        check_text(kind, key, text)
        await self._call(lambda database: database.put(kind, key, text))

    @override
    async def delete(self, kind: Kind, key: str) -> bool:
        check_key(kind, key)
        return await self._call(lambda database: database.delete(kind, key))

    @override
    async def keys(self, kind: Kind) -> list[str]:
        check_key(kind, "any")
        return await self._call(lambda database: database.keys(kind))

    @override
    @asynccontextmanager
    async def hold(self, kind: Kind, key: str) -> AsyncGenerator[None]:
        from agentrt.store.database import KeyLock  # noqa: PLC0415 - sqlite3 is imported on use

        check_key(kind, key)
        self._check_open()
        key_lock = KeyLock(self._path, kind, key)

        def release() -> None:
            with self._lock:  # a put that was cancelled in here may be writing still: nobody may come in before its end
                key_lock.release()

        try:
            await run_in_thread(key_lock.take)
        except BaseException:
            submit(key_lock.release)  # the caller was cancelled, and the thread may be taking it right now
            raise
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_thread(release)

    @override
    async def aclose(self) -> None:
        def close() -> None:
            with self._lock:
                self._closed = True
                database, self._database = self._database, None
                if database is not None:
                    database.close()

        with anyio.CancelScope(shield=True):
            await run_in_thread(close)

    async def _call(self, work: Callable[[Database], T]) -> T:
        """Do some work on the database in a thread.

        A cancelled caller goes on at once. Work that had begun goes on too, but all that comes later waits for it;
        work that had not begun never does. Otherwise a put that was given up could undo one that came after it.
        """
        self._check_open()
        given_up = threading.Event()

        def job() -> T:
            with self._lock:
                if given_up.is_set():
                    raise RuntimeError("nobody waits for this")
                return work(self._opened())

        try:
            return await run_in_thread(job)
        finally:
            given_up.set()

    def _opened(self) -> Database:
        from agentrt.store.database import Database  # noqa: PLC0415 - sqlite3 is imported on use

        self._check_open()
        if self._database is None:
            self._database = Database(self._path)
            self._owner = os.getpid()
        return self._database

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(f"the store {self._path} is closed: make a new one, or close it later")
        if self._database is not None and self._owner != os.getpid():
            raise UsageError(
                f"the store {self._path} was opened before this process was forked, and SQLite's files don't survive "
                "that: make a new one here"
            )


def _checked(path: str | os.PathLike[str]) -> Path:
    if os.fspath(path) == ":memory:":
        raise UsageError("SQLiteStore keeps in a file; MemoryStore() keeps in memory")
    try:
        real = Path(path).expanduser().resolve()  # one file has one folder of locks, whatever name it goes by
        is_folder, has_folder = real.is_dir(), real.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"a store can't be at {path!r}: {error}; name a file") from error
    if is_folder:
        raise UsageError(f"{real} is a folder: name a file in it, such as {real / 'agentrt.db'}")
    if not has_folder:
        raise UsageError(f"the folder {real.parent} doesn't exist: make it, or keep the store elsewhere")
    return real
