"""Where logins to MCP servers are kept: one file that only its owner can read, or a store of the user's own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import stat
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio

from agentrt.errors import StoreError
from agentrt.wire.json import as_dict, parse

__all__ = ["FileTokenStore", "Login", "TokenStore"]

_LOCK_SECONDS = 5.0
_OTHERS = 0o077

logger = logging.getLogger("agentrt.mcp")


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login to an MCP server: it goes to that server only, and to no other host.

    Args:
        server: The server's address.
        issuer: The authorization server that it is from.
        principal: Whose it is.
        tokens: The tokens, as the authorization server sent them (RFC 6749, section 5.1). Never shown.
        client: The client that they belong to (RFC 7591, section 3.2.1). Never shown.
        expires_at: When the access token ends, in Unix time; None for unknown.
        metadata: What the authorization server says of itself (RFC 8414).
        resource: What the MCP server says of where to log in (RFC 9728).
    """

    server: str
    issuer: str
    principal: str = "default"
    tokens: Mapping[str, Any] | None = field(default=None, repr=False)
    client: Mapping[str, Any] | None = field(default=None, repr=False)
    expires_at: float | None = None
    metadata: Mapping[str, Any] | None = field(default=None, repr=False)
    resource: Mapping[str, Any] | None = field(default=None, repr=False)


class TokenStore(Protocol):
    """Keeps logins, one for each server, issuer and principal."""

    async def load(self, server: str, principal: str) -> Login | None:
        """Give the login that was saved last for a server and a principal."""
        ...

    async def save(self, login: Login) -> None:
        """Keep a login, in place of the one of the same server, issuer and principal."""
        ...

    async def forget(self, server: str, principal: str) -> None:
        """Drop what is kept for a server and a principal."""
        ...


class FileTokenStore:
    """Keeps logins in one JSON file, mode 0600, that is replaced as a whole.

    With ``filelock`` installed, processes that save at once take turns; without it the last one wins.

    Args:
        path: The file; default in the user's data folder.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        if path is None:
            import platformdirs  # noqa: PLC0415 - only this default needs it

            path = Path(platformdirs.user_data_dir("agentrt")) / "mcp-logins.json"
        self._path = Path(path)

    async def load(self, server: str, principal: str) -> Login | None:
        """Give the login that was saved last for a server and a principal."""
        for login in reversed(self._read()):
            if (login.server, login.principal) == (server, principal):
                return login
        return None

    async def save(self, login: Login) -> None:
        """Keep a login, in place of the one of the same server, issuer and principal."""
        key = (login.server, login.issuer, login.principal)
        async with self._turn():
            others = [kept for kept in self._read() if (kept.server, kept.issuer, kept.principal) != key]
            self._write([*others, login])

    async def forget(self, server: str, principal: str) -> None:
        """Drop what is kept for a server and a principal."""
        async with self._turn():
            self._write([kept for kept in self._read() if (kept.server, kept.principal) != (server, principal)])

    def _read(self) -> list[Login]:
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if os.name == "posix" and stat.S_IMODE(mode) & _OTHERS:
                    self._path.chmod(0o600)
                    logger.warning("%s could be read by others; it is its owner's only now", self._path)
                kept = as_dict(parse(file.read()))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise self._unusable(error) from None
        try:
            return [Login(**entry) for entry in kept["logins"]]
        except (KeyError, TypeError):
            raise self._unusable("it is not in the form that this version writes") from None

    def _write(self, logins: list[Login]) -> None:
        text = json.dumps({"version": 1, "logins": [asdict(login) for login in logins]}, indent=1)
        new = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self._path)
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from None

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        try:
            import filelock  # noqa: PLC0415 - of the extra `local`
        except ImportError:
            yield
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unusable(error) from None
        lock = filelock.FileLock(f"{self._path}.lock", mode=0o600)
        with anyio.move_on_after(_LOCK_SECONDS):
            while True:
                with contextlib.suppress(filelock.Timeout):
                    lock.acquire(timeout=0)
                    break
                await anyio.sleep(0.02)
        if not lock.is_locked:
            raise self._unusable("another process is at it")
        try:
            yield
        finally:
            lock.release()

    def _unusable(self, why: object) -> StoreError:
        return StoreError(
            f"logins can't be kept in {self._path}: {why}. Mend the file or move it away, and log in again"
        )
