"""`Agent`: a model, instructions and tools, ready to run."""

from __future__ import annotations

import functools
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

import anyio.lowlevel
from typing_extensions import TypeForm, TypeVar, Unpack

from agentrt.assembly import (
    ToolLike,
    check_costs,
    check_settings,
    check_types,
    checked_hooks,
    checked_storage,
    output_form,
    prices_from,
    sort_tools,
    take_anchor,
)
from agentrt.client import Client, PreparedRequest
from agentrt.core.limits import Limits, check_whole
from agentrt.core.pending import Decision
from agentrt.core.result import Result
from agentrt.core.state import MAIN, History, RunState, Thread, evolve
from agentrt.delegates import AgentTool
from agentrt.hooks import Hooks
from agentrt.options import RunOptions
from agentrt.registry import Context, Registry
from agentrt.registry.source import Toolbox, ToolSource, hold_all, release_all
from agentrt.registry.tool import ToolOptions
from agentrt.wire.items import Item, item_view
from agentrt.wire.parts import Input, input_items
from agentrt.wire.requests import LOGPROBS, RequestSettings, model_names

if TYPE_CHECKING:
    from agentrt.drivers.local import Run
    from agentrt.drivers.plan import AgentPlan, Delegate, Plan
    from agentrt.events import RunEvent
    from agentrt.prices import Prices
    from agentrt.store import Store

__all__ = ["Agent", "Input", "RunOptions", "ToolLike"]

Out = TypeVar("Out", default=str)
Decisions = Mapping[str, Decision | Mapping[str, Any]] | None
State = RunState | str | bytes
Instructions = str | Callable[[Context[Any]], str | Awaitable[str]]


class Agent(Generic[Out]):
    """A model with instructions and tools. It keeps no state of its runs: they may be concurrent.

    Args:
        model: The model's name, as the provider knows it; of a list, the next one is asked when the first stays
            unavailable.
        name: The agent's own name, for events, logs, and other agents.
        instructions: What the model is told before anything else; or a function of the context that gives it, sync or
            async, asked before each request.
        tools: Functions, `Tool` objects, registries, MCP servers, other agents (``agent.as_tool()``,
            ``handoff(agent)``), and tools that the provider runs: `agentrt.builtin`, or a dict, which is sent as it is.
        output_type: What the answer must be: any type that pydantic takes. The model is told its schema, and what
            doesn't fit is sent back.
        output_validators: Functions of (the context and) the answer that give it back, or raise ValueError.
        output_retries: How often an answer that doesn't fit is sent back.
        limits: What each run may use.
        parallel_tool_calls: Whether the model may ask for several calls at once; they then run at once, up to 64.
            False is sent as false, and what comes all the same is run one after another.
        max_tool_calls: The same as ``Limits(max_tool_calls=…)``.
        history: What each request carries. ``replay``: the whole history, which works with every provider;
            ``response``: only what is new, on top of ``previous_response_id``; ``conversation``: only what is new, into
            a conversation on the server (``conversation=`` names one). Both fall back to replaying when the server has
            lost what the run made.
        max_history: Items that a request replays at most; the oldest are left out, in whole groups.
        client: The client; default one of the agent's own, made from the environment when it is first needed.
        storage: Where sessions and runs are kept: ``agentrt.store.SQLiteStore("runs.db")``.
        hooks: Your code before and after model calls and tool calls.
        observers: Functions that are told each event of each run when it happens. They must not wait.
        prices: US dollars per million tokens by model, for costs; ``{}`` takes what the extra ``prices`` knows.
        **settings: More parameters of the request, by the Responses API's names: ``temperature``, ``reasoning``, …

    Raises:
        UsageError: Two tools have one name, something can't become a tool, or a limit is out of range.
    """

    def __init__(  # noqa: PLR0913 - keyword only, each with a default
        self,
        model: str | Sequence[str],
        *,
        name: str = "agent",
        instructions: Instructions | None = None,
        tools: Iterable[ToolLike] = (),
        output_type: TypeForm[Out] = str,  # type: ignore[assignment] # what Out is by default
        output_validators: Sequence[Callable[..., Any]] = (),
        output_retries: int = 2,
        limits: Limits | None = None,
        parallel_tool_calls: bool = True,
        max_tool_calls: int | None = None,
        history: History = "replay",
        max_history: int | None = None,
        client: Client | None = None,
        storage: Store | None = None,
        hooks: Sequence[Hooks] = (),
        observers: Sequence[Callable[[RunEvent], None]] = (),
        prices: Prices | None = None,
        **settings: Unpack[RequestSettings],
    ) -> None:
        check_settings(settings)
        self.model = model
        self.name = name
        self.instructions = instructions
        self.registry = Registry()
        include = list(settings.get("include") or ())
        self.sources: list[ToolSource] = []
        """Where tools come from that are known only in a run: MCP servers."""
        self._hosted = sort_tools(tools, self.registry, self.sources, include)
        if settings.get("top_logprobs") and LOGPROBS not in include:
            include.append(LOGPROBS)
        told = None if callable(instructions) else instructions
        check_types(limits=(limits, Limits), client=(client, Client), name=(name, str), instructions=(told, str))
        self.limits = limits or Limits()
        if max_tool_calls is not None:
            self.limits = replace(self.limits, max_tool_calls=max_tool_calls)
        self.parallel_tool_calls = parallel_tool_calls
        self._box = Toolbox(self.registry, self.sources) if self.sources else self.registry
        self._varies = any(not isinstance(tool.enabled, bool) for tool in self.registry) or bool(self.sources)
        everything = [*(tool.definition() for tool in self.registry), *self._hosted]
        definitions = everything if self._varies else self._offer(Context())
        given = {name: value for name, value in settings.items() if value is not None}
        self._fixed: dict[str, Any] = {"model": model, "instructions": told, **given}
        if include:
            self._fixed["include"] = include
        if definitions:
            self._fixed["tools"] = definitions
        self.history: History = history
        anchor = take_anchor(history, self._fixed)
        check_whole("max_history", 1 if max_history is None else max_history, 1)
        self.max_history = max_history
        self._output = output_form(output_type, output_validators, output_retries, self._fixed)
        self._output_retries = output_retries
        self._client = client
        provider = None if client is None else client.base_url
        self._blank = Thread(agent=name, parallel=parallel_tool_calls, history=history, provider=provider)
        self._blank = evolve(self._blank, anchor=anchor, outside=anchor)
        self._own_client: Client | None = None
        self._users: anyio.lowlevel.RunVar[int] = anyio.lowlevel.RunVar("users", 0)
        self._storage = checked_storage(storage)
        self._hooks = checked_hooks(hooks)
        self._observers = tuple(observers)
        self.prices = prices_from(prices)
        if self.limits.cost is not None:
            check_costs([self.plan({})])

    def _offer(self, context: Context[Any]) -> list[Any]:
        """Give what goes into a request's ``tools``."""
        return [*self._box.definitions(context), *self._hosted]

    async def run(self, input: Input, **options: Unpack[RunOptions]) -> Result[Out]:
        """Run the agent until the model answers without a call, a limit ends it, or a decision is needed.

        Args:
            input: The user's message, or items (messages with parts, earlier calls and outputs, …).
            **options: See `RunOptions`.

        Returns:
            The result; look at its ``status``. Reaching a limit is a result, not an error.

        Raises:
            AgentrtError: The run can't go on; its ``state`` tells where it stood, and `resume` goes on from there.
        """
        async with self._start(input, options, streaming=False) as run:
            async for _ in run:
                pass
            return run.result

    def run_sync(self, input: Input, **options: Unpack[RunOptions]) -> Result[Out]:
        """Run the agent from sync code: scripts, notebooks, threads. As `run` otherwise.

        Raises:
            UsageError: Called by a coroutine that `run_sync` itself runs.
        """
        from agentrt.drivers.sync import run_in_portal  # noqa: PLC0415 - asyncio costs 25 ms, and trio never needs it

        return run_in_portal(lambda: self.run(input, **options))

    def stream(self, input: Input, **options: Unpack[RunOptions]) -> Run[Out]:
        """Run the agent and watch: ``async with agent.stream("…") as run: async for event in run: …``.

        The arguments are those of `run`. Afterwards ``run.result`` is the result; ``run.cancel()`` ends it early.
        """
        return self._start(input, options, streaming=True)

    async def resume(self, state: State, decisions: Decisions = None, **options: Unpack[RunOptions]) -> Result[Out]:
        """Go on with a run that was put away: after an error, a cancellation, or with decisions on what is pending.

        Tools that are pure or idempotent and have no output run again; an unsafe one that had begun is answered
        "outcome unknown". A run that is over gives its result once more.

        Args:
            state: The state, or its JSON: ``result.state``, ``error.state``, ``run.state``.
            decisions: Decisions on what is pending, by its id; they may come one at a time.
            **options: See `RunOptions`; ``limits`` replaces those of the state.

        Returns:
            The result.

        Raises:
            UsageError: The state can't be read, or a decision fits nothing that is pending.
            AgentrtError: As for `run`.
        """
        async with self._taken_up(state, decisions, options, streaming=False) as run:
            async for _ in run:
                pass
            return run.result

    def resume_sync(self, state: State, decisions: Decisions = None, **options: Unpack[RunOptions]) -> Result[Out]:
        """Go on with a run that was put away, from sync code; see `resume`."""
        from agentrt.drivers.sync import run_in_portal  # noqa: PLC0415 - see `run_sync`

        return run_in_portal(lambda: self.resume(state, decisions, **options))

    def resume_stream(self, state: State, decisions: Decisions = None, **options: Unpack[RunOptions]) -> Run[Out]:
        """Go on with a run that was put away, and watch; see `resume`."""
        return self._taken_up(state, decisions, options, streaming=True)

    def as_tool(self, **options: Unpack[ToolOptions]) -> AgentTool:
        """Make a tool that asks this agent: it works in a thread of the asking run, and its answer is the output.

        Its limits hold inside those of the run, its calls count there too, and what it waits for is pending there.

        Args:
            **options: As for any tool; ``name`` is by default the agent's, ``description`` its instructions' beginning.
        """
        return AgentTool(self, **options)

    async def compact(self, after: Result[Any] | Sequence[Item]) -> list[Item]:
        """Let the provider shorten a conversation: ``POST /responses/compact``.

        Args:
            after: A result, or the items of a conversation; it must have begun here, not at the server.

        Returns:
            Items that stand for it from now on, for ``after=``. Only this provider can read them.
        """
        from agentrt.planning import whole_conversation  # noqa: PLC0415 - see `_plan`

        items, client = whole_conversation(after), self._acquire()
        try:
            return (await client.compact(model=self.model, input=items)).items
        finally:
            await self._release()

    def prepare(self, input: Input, *, after: Result[Any] | Sequence[Item] | None = None) -> PreparedRequest:
        """Give the first request that `run` would send, without sending it.

        Args:
            input: As for `run`.
            after: As for `run`.
        """
        from agentrt.planning import first_request  # noqa: PLC0415 - see `_plan`

        client = self._client or Client()
        return first_request(self.plan({}), self._thread(input, after)[0], client)

    def _start(self, input: Input, options: RunOptions, *, streaming: bool) -> Run[Out]:
        thread, notes = self._thread(input, options.get("after"))
        limits, run_id = options.get("limits") or self.limits, uuid.uuid4().hex
        state, plan = RunState(run_id, limits, threads={MAIN: thread}, notes=notes), self._plan
        otel: Any = sys.modules.get("opentelemetry.trace")
        if options or self._storage is not None or getattr(otel, "_TRACER_PROVIDER", None) is not None:
            from agentrt.planning import planned  # noqa: PLC0415 - see `_plan`

            given = options.get("run_id")
            state = evolve(state, session=options.get("session"), run_id=run_id if given is None else given)
            begin = functools.partial(self._begun, state, input)  # it is asked for once the session is held
            plan = planned(plan, options, self._storage, provider=self._provider, begin=begin)
            if limits is not self.limits and limits.cost is not None:
                check_costs(plan.agents.values())
        return self._run_class(plan, state, streaming=streaming)

    def _taken_up(self, state: State, decisions: Decisions, options: RunOptions, *, streaming: bool) -> Run[Out]:
        from agentrt.planning import planned, read_state  # noqa: PLC0415 - see `_plan`

        state = read_state(state, decisions, options)
        plan = planned(self._plan, options, self._storage, provider=self._provider, session=state.session)
        if state.limits.cost is not None:
            check_costs(plan.agents.values())
        return self._run_class(evolve(plan, resumes=True, decisions=decisions or {}), state, streaming=streaming)

    def _begun(self, state: RunState, input: Input, last: RunState) -> RunState:
        thread, notes = self._thread(input, last)
        return evolve(state, threads={MAIN: thread}, notes=notes)

    @property
    def _provider(self) -> str | None:
        return None if self._client is None else self._client.provider

    @functools.cached_property
    def _plan(self) -> Plan:
        # What runs is imported with the first run: it would take a tenth of what importing agentrt takes.
        from agentrt.drivers.local import Run  # noqa: PLC0415
        from agentrt.drivers.plan import Plan  # noqa: PLC0415
        from agentrt.planning import family  # noqa: PLC0415

        self._run_class: type[Run[Any]] = Run
        return Plan(family(self), observers=self._observers)

    def plan(self, delegates: Mapping[str, Delegate]) -> AgentPlan:
        """Plan what this agent brings to a run, with its tools that stand for other agents by key."""
        from agentrt.drivers.plan import AgentPlan  # noqa: PLC0415 - see `_plan`

        return AgentPlan(
            self.name,
            self._acquire_all if self.sources else self._acquire,
            self._release_all if self.sources else self._release,
            self._box.tools,
            self._fixed,
            model_names(self.model)[0],
            self.limits,
            parallel=self.parallel_tool_calls,
            hosted=bool(self._hosted),
            offer=self._offer if self._varies else None,
            sources=tuple(self.sources),
            instructions=self.instructions if callable(self.instructions) else None,
            output=self._output,
            output_retries=self._output_retries,
            hooks=self._hooks,
            delegates=delegates,
            prices=self.prices,
            is_priced=self.prices is not None or self.limits.cost is not None,
            provider=self._provider,
            max_history=self.max_history,
            is_plain=not (self._hooks or delegates or self._output),
            attended=bool(self._hooks or self.sources),
        )

    def thread(self, input: Input) -> Thread:
        """Make the thread that a run begins with."""
        text = {"type": "message", "role": "user", "content": input}
        items = (item_view(text),) if isinstance(input, str) else tuple(input_items(input))
        return evolve(self._blank, items=items, given=len(items))

    def _thread(
        self, input: Input, after: Result[Any] | RunState | Sequence[Item] | None
    ) -> tuple[Thread, tuple[str, ...]]:
        """Make it on top of what came before, which is mended; gives also what was mended."""
        begun = self.thread(input)
        if after is None:
            return begun, ()
        from agentrt.planning import continued  # noqa: PLC0415 - see `_plan`

        return continued(begun, after)

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

    def _acquire_all(self) -> Client:
        client = self._acquire()
        hold_all(self.sources)
        return client

    async def _release_all(self) -> None:
        try:
            await self._release()
        finally:
            await release_all(self.sources)

    async def __aenter__(self) -> Self:
        """Keep connections open between the runs of the block. MCP servers begin to connect, and aren't waited for."""
        self._acquire_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the agent's own client, and its MCP servers."""
        await self._release_all()

    def __repr__(self) -> str:
        """Show the name, the model and the tools."""
        return f"Agent({self.name!r}, model={self.model!r}, tools={[tool.name for tool in self.registry]})"
