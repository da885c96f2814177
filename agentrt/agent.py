"""`Agent`: a model, instructions and tools, ready to run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import anyio.lowlevel
from typing_extensions import Unpack

from agentrt.client import Client
from agentrt.core.limits import Limits
from agentrt.core.result import Result
from agentrt.core.state import MAIN, RunState, Thread
from agentrt.drivers.local import Plan, Run
from agentrt.errors import UsageError
from agentrt.registry import Registry, Tool
from agentrt.wire.items import Item, item_view
from agentrt.wire.requests import RequestSettings

__all__ = ["Agent", "Input", "ToolLike"]

Input = str | Sequence[Item | Mapping[str, Any]]
ToolLike = Callable[..., Any] | Tool[..., Any] | Registry | Mapping[str, Any]


class Agent:
    """A model with instructions and tools. It keeps no state of its runs: they may be concurrent.

    Args:
        model: The model's name, as the provider knows it.
        name: The agent's own name, for events and logs.
        instructions: What the model is told before anything else.
        tools: Functions, `Tool` objects, registries; a dict is sent as it is, for tools that the server runs.
        limits: What each run may use.
        parallel_tool_calls: Whether the model may ask for several calls at once; they then run at once, up to 64.
            False is sent as false, and what comes all the same is run one after another.
        max_tool_calls: The same as ``Limits(max_tool_calls=…)``.
        client: The client to use; default one of the agent's own, made from the environment when it is first needed.
        **settings: More parameters of the request, by the Responses API's names: ``temperature``, ``reasoning``, …

    Raises:
        UsageError: Two tools have one name, something can't become a tool, or a limit is out of range.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str = "agent",
        instructions: str | None = None,
        tools: Iterable[ToolLike] = (),
        limits: Limits | None = None,
        parallel_tool_calls: bool = True,
        max_tool_calls: int | None = None,
        client: Client | None = None,
        **settings: Unpack[RequestSettings],
    ) -> None:
        if isinstance(tools, (str, Tool, Mapping)) or not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("tools must be a list, such as tools=[weather]")
        self.model = model
        self.name = name
        self.registry = Registry()
        hosted: list[Mapping[str, Any]] = []
        for entry in tools:
            if isinstance(entry, Registry):
                for member in entry:
                    self.registry.add(member)
            elif callable(entry):
                self.registry.add(entry)
            elif isinstance(entry, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                hosted.append(entry)
            else:
                raise UsageError(f"a tool is a function, a Tool, a Registry or a dict, but tools= has {entry!r}")
        for setting in settings:
            if setting not in RequestSettings.__annotations__:
                raise UsageError(
                    f"an agent has no setting {setting!r}; what is newer than agentrt goes into extra_body={{…}}, and "
                    "background, conversation and stream go to Client.create"
                )
        self.limits = limits or Limits()
        if max_tool_calls is not None:
            self.limits = replace(self.limits, max_tool_calls=max_tool_calls)
        self.parallel_tool_calls = parallel_tool_calls
        definitions = [*self.registry.definitions(), *hosted]
        self._fixed: dict[str, Any] = {"model": model, "instructions": instructions, **settings}
        if definitions:
            self._fixed["tools"] = definitions
        self._client = client
        self._own_client: Client | None = None
        self._users: anyio.lowlevel.RunVar[int] = anyio.lowlevel.RunVar("users", 0)
        self._refused: set[str] = set()

    async def run(
        self,
        input: Input,
        *,
        after: Result | Sequence[Item] = (),
        limits: Limits | None = None,
        run_id: str | None = None,
    ) -> Result:
        """Run the agent until the model answers without a call, or a limit ends it.

        Args:
            input: The user's message, or items (messages with parts, earlier calls and outputs, …).
            after: An earlier result, or its items: the conversation goes on from there.
            limits: Limits for this run instead of the agent's.
            run_id: An id of your own for the run.

        Returns:
            The result; look at its ``status``. Reaching a limit is a result, not an error.

        Raises:
            AgentrtError: The run can't go on; its ``state`` tells where it stood.
        """
        async with self._start(input, after, limits, run_id, streaming=False) as run:
            async for _ in run:
                pass
            return run.result

    def run_sync(
        self,
        input: Input,
        *,
        after: Result | Sequence[Item] = (),
        limits: Limits | None = None,
        run_id: str | None = None,
    ) -> Result:
        """Run the agent from sync code: scripts, notebooks, threads. As `run` otherwise.

        Raises:
            UsageError: Called by a coroutine that `run_sync` itself runs.
        """
        from agentrt.drivers.sync import run_in_portal  # noqa: PLC0415 - asyncio costs 25 ms, and trio never needs it

        return run_in_portal(lambda: self.run(input, after=after, limits=limits, run_id=run_id))

    def stream(
        self,
        input: Input,
        *,
        after: Result | Sequence[Item] = (),
        limits: Limits | None = None,
        run_id: str | None = None,
    ) -> Run:
        """Run the agent and watch: ``async with agent.stream("…") as run: async for event in run: …``.

        The arguments are those of `run`. Afterwards ``run.result`` is the result; ``run.cancel()`` ends it early.
        """
        return self._start(input, after, limits, run_id, streaming=True)

    def _start(
        self,
        input: Input,
        after: Result | Sequence[Item],
        limits: Limits | None,
        run_id: str | None,
        *,
        streaming: bool,
    ) -> Run:
        before = after.state.threads[MAIN].items if isinstance(after, Result) else tuple(after)
        items = (*before, *_items(input))
        thread = Thread(items=items, given=len(items), parallel=self.parallel_tool_calls)
        state = RunState(run_id=run_id or uuid.uuid4().hex, limits=limits or self.limits, threads={MAIN: thread})
        plan = Plan(self._acquire, self.registry.tools, self._fixed, self._release, self._refused)
        return Run(plan, state, streaming=streaming)

    def _acquire(self) -> Client:
        if self._client is not None:
            return self._client
        if self._own_client is None:
            self._own_client = Client()
        self._users.set(self._users.get() + 1)
        return self._own_client

    async def _release(self) -> None:
        """Close the agent's own client after its last user on this event loop, so that no connection outlives a run."""
        if self._own_client is not None:
            self._users.set(self._users.get() - 1)
            if self._users.get() == 0:
                await self._own_client.aclose()

    async def __aenter__(self) -> Self:
        """Keep connections open between the runs of the block."""
        self._acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the agent's own client."""
        await self._release()

    def __repr__(self) -> str:
        """Show the name, the model and the tools."""
        return f"Agent({self.name!r}, model={self.model!r}, tools={[tool.name for tool in self.registry]})"


def _items(given: Input) -> list[Item]:
    if isinstance(given, str):
        return [item_view({"type": "message", "role": "user", "content": given})]
    if not isinstance(given, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _bad_input(given)
    if not given:
        raise UsageError("there is nothing to run on: input is empty; pass a text or at least one item")
    items: list[Item] = []
    for item in given:
        if isinstance(item, Item):
            items.append(item)
        elif isinstance(item, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            items.append(item_view(dict(item)))
        else:
            raise _bad_input(item)
    return items


def _bad_input(given: object) -> UsageError:
    return UsageError(f"input must be a text or a list of items (dicts), not {type(given).__name__}")
