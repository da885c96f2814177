"""The blocking half of an `SQLiteStore`: its file, its locks, and what SQLite's errors mean.

Nothing here opens and closes the file by itself while SQLite has it open: that would drop SQLite's locks (its "How To
Corrupt", 2.2).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agentrt.errors import AgentrtError, BusyError, StoreError, UsageError
from agentrt.store.base import Kind

__all__ = ["Database", "KeyLock"]

_APPLICATION = 0x61677274  # "agrt"
_VERSION = 1
_SCHEMA = """
CREATE TABLE texts (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    crc INTEGER NOT NULL,
    UNIQUE (kind, key)
)
"""
_PUT = """
INSERT INTO texts (kind, key, text, crc) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET text = excluded.text, crc = excluded.crc
"""
_WAIT_SECONDS = 10.0
_HOLD_SECONDS = 0.1
"""Two who come at the same moment see each other's first look: one of them gets through within this time."""

_DAMAGED = "{path} is damaged: put back a copy of it, or name another file for the store"
_LOCKED = f"another program has kept {{path}} locked for {_WAIT_SECONDS:g} s: end what it does there, then try again"
_MEANINGS: dict[int, tuple[type[AgentrtError], str]] = {
    sqlite3.SQLITE_NOTADB: (UsageError, "{path} is no store, or a damaged one: name another file, or put back a copy"),
    sqlite3.SQLITE_CORRUPT: (UsageError, _DAMAGED),
    sqlite3.SQLITE_ERROR: (UsageError, _DAMAGED),  # our statements fit our tables, so the tables are no longer ours
    sqlite3.SQLITE_CONSTRAINT: (UsageError, _DAMAGED),
    sqlite3.SQLITE_BUSY: (StoreError, _LOCKED),
    sqlite3.SQLITE_LOCKED: (StoreError, _LOCKED),
    sqlite3.SQLITE_FULL: (
        StoreError,
        "the disk of {path} is full: free some space, then try again; what was kept before is still there",
    ),
    sqlite3.SQLITE_READONLY: (
        StoreError,
        "{path} may not be written: check its permissions, and those of its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StoreError,
        "{path} can't be opened: {error}; check that its folder is there and may be written",
    ),
}
_UNKNOWN = (
    StoreError,
    "{path} can't be read or written: {error}; check the disk's space, quota and health, then try again",
)

_creating = threading.Lock()


class Database:
    """The texts in an SQLite file. One thread at a time.

    Args:
        path: The file; it is made if it isn't there.

    Raises:
        UsageError: It is no file of a store, one of a newer agentrt, or damaged.
        StoreError: It can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _our_errors(path):
            self._connection = _connect(path)
            try:
                _prepare(self._connection, path)
            except BaseException:
                self._connection.close()
                raise

    def get(self, kind: Kind, key: str) -> str | None:
        """Give a text; None when there is none."""
        with _our_errors(self._path):
            row = self._connection.execute(
                "SELECT text, crc FROM texts WHERE kind = ? AND key = ?", (kind, key)
            ).fetchone()
        if row is None:
            return None
        text, crc = row
        if not isinstance(text, bytes) or _crc(kind, key, text) != crc:
            raise _damaged(self._path)
        return text.decode()

    def put(self, kind: Kind, key: str, text: str) -> None:
        """Keep a text; it is on the disk when this returns."""
        with _our_errors(self._path):
            self._connection.execute(_PUT, (kind, key, text, _crc(kind, key, text.encode())))

    def delete(self, kind: Kind, key: str) -> bool:
        """Forget a text, and tell whether there was one."""
        with _our_errors(self._path):
            return self._connection.execute("DELETE FROM texts WHERE kind = ? AND key = ?", (kind, key)).rowcount > 0

    def keys(self, kind: Kind) -> list[str]:
        """Give all keys of a kind, oldest first."""
        with _our_errors(self._path):
            rows = self._connection.execute("SELECT key FROM texts WHERE kind = ? ORDER BY number", (kind,)).fetchall()
            if not all(isinstance(key, bytes) for (key,) in rows):
                raise _damaged(self._path)
            return [key.decode() for (key,) in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


class KeyLock:
    """Holds one key against all other holders, in this process and in others. The system frees it with the process.

    Each key has an empty SQLite file of its own, on which a transaction is open for as long as the key is held. SQLite
    knows how to lock a file on every system, and keeps apart those of one process too. The file stays: were it deleted,
    one could hold the old file while another holds the new one.

    Args:
        path: The store's file.
        kind: What is held.
        key: Its id.
    """

    def __init__(self, path: Path, kind: Kind, key: str) -> None:
        self._kind: Kind = kind
        self._key = key
        self._path = path.with_name(f"{path.name}.locks") / hashlib.sha256(f"{kind}\0{key}".encode()).hexdigest()
        self._guard = threading.Lock()
        self._over = False
        self._connection: sqlite3.Connection | None = None

    def take(self) -> None:
        """Take it, unless it was released already.

        Raises:
            BusyError: Somebody else holds it.
            StoreError: The lock can't be written.
        """
        with self._guard, _our_errors(self._path):
            if self._over:
                return
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=_HOLD_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode=MEMORY")  # no second file
                connection.execute("BEGIN EXCLUSIVE")
                connection.execute("PRAGMA user_version=1")  # in memory only; a file that can't be locked refuses it
            except BaseException as error:
                connection.close()
                if isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_BUSY:
                    raise BusyError(self._kind, self._key) from None
                raise
            self._connection = connection

    def release(self) -> None:
        """Let it go; a `take` that is still on its way takes nothing."""
        with self._guard:
            self._over = True
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    with _creating:  # closing the new file must not drop the locks of another thread that has just opened it
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.text_factory = bytes
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")  # two processes may find the file new at the same moment
    if _is_new(connection, path):
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={_VERSION}")
    connection.execute("COMMIT")
    mode = _ask(connection, "PRAGMA journal_mode=WAL")
    if mode != b"wal":
        raise StoreError(f"{path} can't have a write-ahead log beside it: keep the store on a local disk")


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    application, version = _ask(connection, "PRAGMA application_id"), _ask(connection, "PRAGMA user_version")
    tables = _ask(connection, "SELECT count(*) FROM sqlite_master")
    if application == version == tables == 0:
        return True
    if application != _APPLICATION:
        raise UsageError(f"{path} is another program's database: name another file for the store")
    if version > _VERSION:
        raise UsageError(
            f"{path} was written by a newer agentrt (version {version} of the file, this one reads {_VERSION}): update "
            "agentrt, or name another file"
        )
    return False


def _crc(kind: Kind, key: str, text: bytes) -> int:
    """Give what tells a damaged text, or that of another key, which SQLite would hand out without a word."""
    return zlib.crc32(text, zlib.crc32(f"{kind}\0{key}\0".encode()))


def _ask(connection: sqlite3.Connection, question: str) -> Any:
    return connection.execute(question).fetchone()[0]


@contextmanager
def _our_errors(path: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _explained(error, path) from error
    except UnicodeDecodeError as error:  # sqlite3 makes a text of SQLite's message, which quotes the damaged part
        raise _damaged(path) from error


def _explained(error: sqlite3.Error | OSError, path: Path) -> AgentrtError:
    code = _code(error) if isinstance(error, sqlite3.Error) else sqlite3.SQLITE_CANTOPEN
    kind, meaning = _MEANINGS.get(code, _UNKNOWN)
    return kind(meaning.format(path=path, error=error))


def _damaged(path: Path) -> UsageError:
    return UsageError(_DAMAGED.format(path=path))


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
