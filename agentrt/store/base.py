"""What a store is, and what it takes."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, get_args

from agentrt.errors import UsageError

__all__ = ["Kind", "Store", "check_key", "check_text"]

Kind = Literal["session", "run"]

_KEY_CHARACTERS = 512
_TEXT_BYTES = 64 * 1024 * 1024


class Store(Protocol):
    """Keeps texts by kind and key.

    All methods may be called on asyncio and trio, on several event loops and threads at once. A method that is
    cancelled has done its work whole or not at all, and what is called later finds it done or never does.
    """

    async def get(self, kind: Kind, key: str) -> str | None:
        """Give what was put last.

        Args:
            kind: What is asked for.
            key: Its id.

        Returns:
            The text; None when there is none.

        Raises:
            UsageError: The key can't be one, or the store is closed or damaged.
            StoreError: The store can't be read.
        """
        ...

    async def put(self, kind: Kind, key: str, text: str) -> None:
        """Keep a text in place of the one before. When this returns, it is kept for good.

        Args:
            kind: What it is.
            key: Its id: 1 to 512 characters.
            text: At most 64 MiB of UTF-8.

        Raises:
            UsageError: The key or the text can't be kept, or the store is closed or damaged.
            StoreError: The store can't be written; what it kept before is still there.
        """
        ...

    async def delete(self, kind: Kind, key: str) -> bool:
        """Forget a text.

        Args:
            kind: What it is.
            key: Its id.

        Returns:
            Whether there was one.

        Raises:
            UsageError: The key can't be one, or the store is closed or damaged.
            StoreError: The store can't be written.
        """
        ...

    async def keys(self, kind: Kind) -> list[str]:
        """Give all keys of a kind, the one that was put first first.

        Args:
            kind: What is asked for.

        Raises:
            UsageError: The store is closed or damaged.
            StoreError: The store can't be read.
        """
        ...

    def hold(self, kind: Kind, key: str) -> AbstractAsyncContextManager[None]:
        """Keep everybody else from holding a key, as long as the ``async with`` lasts.

        It binds those who hold, too: reading and writing are free to all.

        Args:
            kind: What it is.
            key: Its id; it needs no text.

        Raises:
            BusyError: Somebody else holds it.
            UsageError: The key can't be one, or the store is closed.
            StoreError: It can't be told whether somebody holds it.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything that is open. What is held stays held until its own end."""
        ...


def check_key(kind: Kind, key: str) -> None:
    """Refuse what is no key.

    Raises:
        UsageError: The message says what one looks like.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"a store keeps {' and '.join(get_args(Kind))}, nothing of kind {kind!r}")
    if not isinstance(key, str) or not 1 <= len(key) <= _KEY_CHARACTERS:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"the id of a {kind} is a text of 1 to {_KEY_CHARACTERS} characters, not {_short(key)}")
    _encode(key, f"the id of a {kind}")


def check_text(kind: Kind, key: str, text: str) -> None:
    """Refuse what is no text that can be kept.

    Raises:
        UsageError: The message says what is wrong with it.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"the {kind} {key!r} must be a text, not {_short(text)}: write it as JSON first")
    if len(text) > _TEXT_BYTES or len(_encode(text, f"the {kind} {key!r}")) > _TEXT_BYTES:
        raise UsageError(
            f"the {kind} {key!r} is larger than {_TEXT_BYTES // 1024 // 1024} MiB, more than a store keeps under one "
            "id: begin a new one, and keep large files elsewhere"
        )


def _encode(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{name} holds half a character (a lone surrogate), which no file can keep") from error


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:40]}…"  # noqa: PLR2004 - enough to know it again
