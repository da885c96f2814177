"""Iterators as results: what they give is told as it comes, and joined in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from agentrt.registry.context import Context
from agentrt.registry.output import joined
from agentrt.registry.threads import run_in_thread

__all__ = ["MAX_PIECES", "MAX_PIECE_CHARS", "gathered"]

MAX_PIECES, MAX_PIECE_CHARS = 100_000, 10_000_000
"""What an iterator may give before it is left: more can't be shown to a model anyway."""


async def gathered(pieces: Iterator[Any] | AsyncIterator[Any], context: Context[Any]) -> Any:
    """Give all that an iterator gives, as one result; a sync one is read in a thread, until nobody waits any more."""
    basket = _Basket(context)
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            if not basket.take(piece):
                break
        if hasattr(pieces, "aclose"):
            await pieces.aclose()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    else:
        await run_in_thread(lambda: basket.fill(pieces))
    return joined(basket.pieces)


class _Basket:
    """What an iterator gave so far; told as it comes."""

    def __init__(self, context: Context[Any]) -> None:
        self.pieces: list[Any] = []
        self._context = context
        self._chars = 0

    def take(self, piece: Any) -> bool:
        """Keep a piece; false when it is enough."""
        self.pieces.append(piece)
        self._chars += len(piece) if isinstance(piece, str | bytes) else 0
        self._context.give(piece)
        return len(self.pieces) < MAX_PIECES and self._chars < MAX_PIECE_CHARS

    def fill(self, pieces: Iterator[Any]) -> None:
        """Keep all pieces."""
        for piece in pieces:
            if not self.take(piece) or self._context.cancelled:
                break
        if hasattr(pieces, "close"):
            pieces.close()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
