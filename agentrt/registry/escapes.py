"""What a tool raises and what comes from outside of it, told apart."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from typing import cast

__all__ = ["let_out"]

_RAISE = dis.opmap["RAISE_VARARGS"]
_EVENT_LOOPS = frozenset({"asyncio", "trio", "_core"})


def let_out(error: BaseException) -> None:
    """Raise what concerns the whole program: Ctrl-C, or that the coroutine is thrown away."""
    if any(map(_comes_from_outside, _leaves(error))):
        raise error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _comes_from_outside(error: BaseException) -> bool:
    """Tell whether it is the user's Ctrl-C, or the coroutine being thrown away: no code says ``raise`` for these.

    Event loops' own signal handlers do say so, so their code doesn't count.
    """
    if not isinstance(error, KeyboardInterrupt | GeneratorExit):
        return False
    last = error.__traceback__
    assert last is not None  # it was caught
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    parts = code.co_filename.replace("\\", "/").split("/")
    return code.co_code[last.tb_lasti] != _RAISE or bool(_EVENT_LOOPS.intersection(parts))
