"""`Registry`: a set of tools under their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast, overload

import anyio

from agentrt.errors import UsageError
from agentrt.registry.dispatch import MAX_PARALLEL, Crew, answer_call
from agentrt.registry.tool import Strict, Tool
from agentrt.wire.items import Item

__all__ = ["Registry"]

P = ParamSpec("P")
R = TypeVar("R")


class Registry:
    """Tools by name, in the order in which they were added (a stable order keeps prompt caches warm).

    Args:
        tools: Functions, `Tool` objects or other registries.

    Raises:
        UsageError: Two tools have one name, or something can't become a tool.
    """

    def __init__(self, tools: Iterable[Callable[..., Any] | Tool[..., Any] | Registry] = ()) -> None:
        self.tools: dict[str, Tool[..., Any]] = {}
        """The tools by name."""
        for entry in tools:
            for item in entry if isinstance(entry, Registry) else (entry,):
                self.add(item)

    def add(self, function: Callable[..., Any] | Tool[..., Any]) -> Tool[..., Any]:
        """Add a function or a tool and give the tool."""
        added = cast("Tool[..., Any]", function) if isinstance(function, Tool) else Tool(function)
        if added.name in self.tools:
            raise UsageError(f"there is a tool named {added.name!r} already; rename one with @tool(name=…)")
        self.tools[added.name] = added
        return added

    @overload
    def tool(self, function: Callable[P, R], /) -> Tool[P, R]: ...
    @overload
    def tool(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        strict: Strict = "auto",
        timeout: float | None = None,
    ) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
    def tool(self, *functions: Callable[..., Any], **options: Any) -> Any:
        """Decorate a function and add it in one go: ``@registry.tool`` or ``@registry.tool(name=…)``."""

        def add(function: Callable[..., Any]) -> Tool[..., Any]:
            return self.add(Tool(function, **options))

        return add(*functions) if functions else add

    def definitions(self) -> list[dict[str, Any]]:
        """Give what goes into a request's ``tools``."""
        return [tool.definition() for tool in self]

    async def dispatch(
        self, items: Iterable[Item | Mapping[str, Any]], *, parallel: bool = True
    ) -> list[dict[str, Any]]:
        """Run the calls among a reply's items and give one output item for each, in the order of the calls.

        A tool that fails never raises here and never disturbs the others: the model gets to read what went wrong.

        Args:
            items: Items of a response; all but calls are passed over.
            parallel: Run up to 64 calls at once, or one after another.
        """
        raws = [item.raw if isinstance(item, Item) else dict(item) for item in items]
        calls: Sequence[dict[str, Any]] = [raw for raw in raws if raw.get("type") == "function_call"]
        outputs: dict[int, dict[str, Any]] = {}

        async def run(index: int) -> None:
            outputs[index] = (await answer_call(self.tools, calls[index])).item

        async with anyio.create_task_group() as group:
            crew = Crew(group, MAX_PARALLEL if parallel else 1)
            for index in range(len(calls)):
                crew.add(run, index)
        return [outputs[index] for index in range(len(calls))]

    def __getitem__(self, name: str) -> Tool[..., Any]:
        """Give the tool of that name; raises KeyError when there is none."""
        return self.tools[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a tool of that name (or that very tool)."""
        return name in self.tools or any(name is tool for tool in self.tools.values())

    def __iter__(self) -> Iterator[Tool[..., Any]]:
        """Iterate over the tools, in the order in which they were added."""
        return iter(self.tools.values())

    def __len__(self) -> int:
        """Count the tools."""
        return len(self.tools)
