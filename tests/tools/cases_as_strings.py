"""Annotations as strings (PEP 563), which name types that only a function knows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, TypedDict

from pydantic import BaseModel, Field

from agentrt import Context, tool

if TYPE_CHECKING:
    from decimal import Decimal as Hidden


def make_tools():
    """Give tools whose types are local to this function, and what they were called with."""
    seen = []

    @dataclasses.dataclass
    class Local:
        x: int

    class LocalModel(BaseModel):
        y: Annotated[int, Field(ge=0)]

    class LocalDict(TypedDict):
        z: int

    @tool
    def takes_local(a: Local, b: list[LocalModel], c: LocalDict | None = None) -> str:
        seen.append((a, b, c))
        return "ok"

    def inner():
        @tool
        async def deeper(ctx: Context[Local], a: dict[str, Local], *rest: LocalModel) -> str:
            seen.append((ctx, a, rest))
            return "ok"

        return deeper

    return takes_local, inner(), seen, (Local, LocalModel)


def hidden_return(x: int) -> Hidden:
    return x


def hidden_parameter(x: Hidden) -> int:
    return x


class Later:
    def method(self, other: Later | None, by: Annotated[int, "How many."]) -> Later:
        return self
