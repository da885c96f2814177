"""`Registry`: a set of tools under their names."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, ParamSpec, TypeVar, cast, overload

import anyio
from typing_extensions import Unpack

from agentrt.errors import UsageError
from agentrt.registry.context import Context
from agentrt.registry.dispatch import MAX_PARALLEL, Approver, Caller, Crew, Prepared, prepare_call, run_prepared
from agentrt.registry.source import definitions_of
from agentrt.registry.tool import Tool, ToolOptions
from agentrt.wire.items import Item
from agentrt.wire.json import as_str

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
        """The tools by key: their name, after their namespace where they have one."""
        self.namespaces: dict[str, str] = {}
        """What the model reads about namespaces, by name; default the name itself."""
        if isinstance(tools, str | Mapping | Tool) or not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"a Registry takes a list of tools, such as Registry([weather]), not {tools!r:.100}")
        for entry in tools:
            for item in entry if isinstance(entry, Registry) else (entry,):
                self.add(item)

    def add(self, function: Callable[..., Any] | Tool[..., Any]) -> Tool[..., Any]:
        """Add a function or a tool and give the tool."""
        added = cast("Tool[..., Any]", function) if isinstance(function, Tool) else Tool(function)
        if added.key in self.tools:
            raise UsageError(f"there is a tool named {added.key!r} already; rename one with @tool(name=…)")
        self.tools[added.key] = added
        return added

    @overload
    def tool(self, function: Callable[P, R], /) -> Tool[P, R]: ...
    @overload
    def tool(self, **options: Unpack[ToolOptions]) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
    def tool(self, *functions: Callable[..., Any], **options: Any) -> Any:
        """Decorate a function and add it in one go: ``@registry.tool`` or ``@registry.tool(name=…)``."""

        def add(function: Callable[..., Any]) -> Tool[..., Any]:
            return self.add(Tool(function, **options))

        return add(*functions) if functions else add

    def definitions(self, context: Context[Any] | None = None) -> list[dict[str, Any]]:
        """Give what goes into a request's ``tools``. Those of one namespace stand in it, where the first of them is.

        Args:
            context: What ``enabled=`` predicates are asked with; default one without deps.
        """
        return definitions_of(self.tools, self.namespaces, context or Context())

    async def dispatch(
        self,
        items: Iterable[Item | Mapping[str, Any]],
        *,
        deps: Any = None,
        parallel: bool = True,
        approve: Approver | None = None,
        run_id: str | None = None,
        artifacts: MutableMapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Run the calls among a reply's items and give one output item for each, in the order of the calls.

        A tool that fails never raises here and never disturbs the others: the model gets to read what went wrong.

        Args:
            items: Items of a response; all but calls are passed over.
            deps: What tools get as ``context.deps``.
            parallel: Run up to 64 calls at once, or one after another.
            approve: Takes a tool and a call's arguments, defaults included, and says whether it may run: True, sync or
                async. Without it a call that needs approval is answered so, and never run.
            run_id: Part of the calls' idempotency keys; default a new one.
            artifacts: Gets the whole text of outputs that were too long for the model, by call id.
        """
        if approve is not None and not callable(approve):
            raise UsageError("approve= takes a function of a tool and its arguments that says whether it may run")
        raws = [item.raw if isinstance(item, Item) else dict(item) for item in items]
        calls: list[dict[str, Any]] = []
        reused: set[int] = set()
        first: dict[str, dict[str, Any]] = {}
        for raw in raws:
            if raw.get("type") != "function_call":
                continue
            call_id = as_str(raw.get("call_id"))
            twin = first.setdefault(call_id, raw) if call_id else raw
            if twin is not raw and twin == raw:
                continue  # of two identical calls with one id the second is dropped, a different one is refused
            if twin is not raw:
                reused.add(len(calls))
            calls.append(raw)
        outputs: dict[int, dict[str, Any]] = {}
        caller = Caller(deps, run_id or uuid.uuid4().hex, approve=approve)

        async def run(prepared: Prepared) -> None:
            answer = await run_prepared(prepared, caller)
            outputs[prepared.position] = answer.item
            if answer.artifact is not None and artifacts is not None:
                artifacts[as_str(prepared.call.get("call_id"))] = answer.artifact

        async with anyio.create_task_group() as group:
            crew = Crew(group, MAX_PARALLEL if parallel else 1)
            for index, call in enumerate(calls):
                prepared = prepare_call(self.tools, call, index, caller)
                if index in reused:
                    told = f"the call_id {call['call_id']!r} was used by another call; use a new one"
                    prepared = prepared._replace(tool=None, problem=told, lane=None, exclusive=False)
                crew.add(run, prepared, prepared.lane, exclusive=prepared.exclusive)
        return [outputs[index] for index in range(len(calls))]

    def __getitem__(self, name: str) -> Tool[..., Any]:
        """Give the tool of that key or Python name; raises KeyError when there is none."""
        found = self.tools.get(name) or next((tool for tool in self if tool.given_name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a tool of that name (or that very tool)."""
        return name in self.tools or any(name is tool for tool in self.tools.values())

    def __iter__(self) -> Iterator[Tool[..., Any]]:
        """Iterate over the tools, in the order in which they were added."""
        return iter(self.tools.values())

    def __len__(self) -> int:
        """Count the tools."""
        return len(self.tools)
