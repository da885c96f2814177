"""Tools that come from elsewhere and may change while an agent works: MCP servers."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import anyio

if TYPE_CHECKING:
    from agentrt.registry.context import Context
    from agentrt.registry.registry import Registry
    from agentrt.registry.tool import Tool

__all__ = ["ToolSource", "Toolbox", "definitions_of", "hold_all", "release_all"]


@runtime_checkable
class ToolSource(Protocol):
    """Gives tools that are known only once it is connected."""

    name: str
    """What it is called among the agent's sources."""

    def offered(self, taken: Container[str] = ()) -> Mapping[str, Tool[..., Any]]:
        """Give the tools that it has now, by key.

        Args:
            taken: Keys that others have.
        """
        ...

    @property
    def namespaces(self) -> Mapping[str, str]:
        """What the model reads about the namespaces of its tools, by name."""
        ...

    def hold(self) -> None:
        """Begin to use it: it connects, if it isn't connected. Each use ends with `release`."""
        ...

    async def release(self) -> None:
        """End a use; after the last one it is closed when this returns. Raises nothing."""
        ...

    async def settled(self) -> str | None:
        """Wait until it is ready, or known to have failed; gives why it has no tools, for people to read."""
        ...


class Toolbox(Mapping[str, "Tool[..., Any]"]):
    """All tools of an agent by key: its own, then those of its sources as they are now.

    Args:
        registry: The agent's own tools.
        sources: Where the others come from.
    """

    def __init__(self, registry: Registry, sources: Sequence[ToolSource]) -> None:
        self._registry = registry
        self._sources = sources

    def definitions(self, context: Context[Any]) -> list[dict[str, Any]]:
        """Give what goes into a request's ``tools``, as `Registry.definitions` does."""
        namespaces = dict(self._registry.namespaces)
        for source in self._sources:
            namespaces.update(source.namespaces)
        return definitions_of(self._all(), namespaces, context)

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        """The tools by key, as `Registry.tools`."""
        return self

    def _all(self) -> dict[str, Tool[..., Any]]:
        tools = dict(self._registry.tools)
        for source in self._sources:
            for key, tool in source.offered(tools).items():
                tools.setdefault(key, tool)
        return tools

    def __getitem__(self, key: str) -> Tool[..., Any]:
        """Give the tool of that key; raises KeyError when there is none."""
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in the order of the sources."""
        return iter(self._all())

    def __len__(self) -> int:
        """Count the tools."""
        return len(self._all())


def hold_all(sources: Iterable[ToolSource]) -> None:
    """Begin to use sources."""
    for source in sources:
        source.hold()


async def release_all(sources: Iterable[ToolSource]) -> None:
    """End the use of sources, all at once, as each may take a while to close."""
    with anyio.CancelScope(shield=True):  # each bounds itself
        async with anyio.create_task_group() as group:
            for source in sources:
                group.start_soon(source.release)


def definitions_of(
    tools: Mapping[str, Tool[..., Any]], namespaces: Mapping[str, str], context: Context[Any]
) -> list[dict[str, Any]]:
    """Give what goes into a request's ``tools``. Those of one namespace stand in it, where the first of them is.

    Args:
        tools: The tools by key.
        namespaces: What the model reads about namespaces, by name; default the name itself.
        context: What ``enabled=`` predicates are asked with.
    """
    listed: list[dict[str, Any]] = []
    spaces: dict[str, list[dict[str, Any]]] = {}
    for tool in tools.values():
        if not tool.is_enabled(context):
            continue
        if tool.namespace is None:
            listed.append(tool.definition())
            continue
        if tool.namespace not in spaces:
            members = spaces[tool.namespace] = []
            told = namespaces.get(tool.namespace, tool.namespace)
            listed.append({"type": "namespace", "name": tool.namespace, "description": told, "tools": members})
        spaces[tool.namespace].append(tool.definition())
    return listed
