"""`Agent`: a model, instructions and tools, ready to run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import anyio.lowlevel
from typing_extensions import Unpack

from agentrt.client import Client, PreparedRequest
from agentrt.core.history import next_request
from agentrt.core.limits import Limits
from agentrt.core.result import Result
from agentrt.core.state import MAIN, History, Meter, RunState, Thread, evolve
from agentrt.drivers.local import Plan, Run
from agentrt.errors import UsageError
from agentrt.registry import Context, Registry, Tool
from agentrt.wire.items import Item, item_view
from agentrt.wire.json import is_dict
from agentrt.wire.parts import Input, input_items
from agentrt.wire.requests import LOGPROBS, RequestSettings, check_ranges, no_such

if TYPE_CHECKING:
    from agentrt.builtin import BuiltinTool

__all__ = ["Agent", "Input", "ToolLike"]

_CALLED_HERE = {
    "input": "agent.run(…)",
    "max_turns": "limits=Limits(max_turns=…)",
    "messages": "agent.run(…)",
    "stream": "agent.stream(…)",
    "system_prompt": "instructions",
}

ToolLike: TypeAlias = "Callable[..., Any] | Tool[..., Any] | Registry | BuiltinTool | Mapping[str, Any]"


class Agent:
    """A model with instructions and tools. It keeps no state of its runs: they may be concurrent.

    Args:
        model: The model's name, as the provider knows it; of a list, the next one is asked when the first stays
            unavailable.
        name: The agent's own name, for events and logs.
        instructions: What the model is told before anything else.
        tools: Functions, `Tool` objects, registries, and tools that the provider runs: `agentrt.builtin`, or a dict,
            which is sent as it is.
        limits: What each run may use.
        parallel_tool_calls: Whether the model may ask for several calls at once; they then run at once, up to 64.
            False is sent as false, and what comes all the same is run one after another.
        max_tool_calls: The same as ``Limits(max_tool_calls=…)``.
        history: What each request carries. ``replay``: the whole history, which works with every provider;
            ``response``: only what is new, on top of ``previous_response_id``; ``conversation``: only what is new, into
            a conversation on the server (``conversation=`` names one). Both fall back to replaying when the server has
            lost what the run made.
        client: The client to use; default one of the agent's own, made from the environment when it is first needed.
        **settings: More parameters of the request, by the Responses API's names: ``temperature``, ``reasoning``, …

    Raises:
        UsageError: Two tools have one name, something can't become a tool, or a limit is out of range.
    """

    def __init__(  # noqa: PLR0913 - keyword only, each with a default
        self,
        model: str | Sequence[str],
        *,
        name: str = "agent",
        instructions: str | None = None,
        tools: Iterable[ToolLike] = (),
        limits: Limits | None = None,
        parallel_tool_calls: bool = True,
        max_tool_calls: int | None = None,
        history: History = "replay",
        client: Client | None = None,
        **settings: Unpack[RequestSettings],
    ) -> None:
        for setting in settings:
            if setting not in RequestSettings.__annotations__:
                raise no_such("an agent has no setting", setting, RequestSettings.__annotations__, _CALLED_HERE)
        self.model = model
        self.name = name
        self.registry = Registry()
        check_ranges(settings)
        include = list(settings.get("include") or ())
        hosted = _sort_tools(tools, self.registry, include)
        if settings.get("top_logprobs") and LOGPROBS not in include:
            include.append(LOGPROBS)
        _check_types(limits=(limits, Limits), client=(client, Client), instructions=(instructions, str))
        self.limits = limits or Limits()
        if max_tool_calls is not None:
            self.limits = replace(self.limits, max_tool_calls=max_tool_calls)
        self.parallel_tool_calls = parallel_tool_calls
        self._hosted = hosted
        self._varies = any(not isinstance(tool.enabled, bool) for tool in self.registry)
        definitions = (
            [*(tool.definition() for tool in self.registry), *hosted] if self._varies else self._offer(Context())
        )
        given = {name: value for name, value in settings.items() if value is not None}
        self._fixed: dict[str, Any] = {"model": model, "instructions": instructions, **given}
        if include:
            self._fixed["include"] = include
        if definitions:
            self._fixed["tools"] = definitions
        self.history: History = history
        self._anchor = self._take_anchor()
        self._client = client
        self._own_client: Client | None = None
        self._users: anyio.lowlevel.RunVar[int] = anyio.lowlevel.RunVar("users", 0)

    def _offer(self, context: Context[Any]) -> list[Any]:
        """Give what goes into a request's ``tools``."""
        return [*self.registry.definitions(context), *self._hosted]

    def _take_anchor(self) -> str | None:
        """Take what the settings say of an anchor out of them: from then on a run's thread knows it."""
        if self.history not in ("replay", "response", "conversation"):
            raise UsageError(f"history must be 'replay', 'response' or 'conversation', but is {self.history!r}")
        if self._fixed.get("conversation") is not None and self.history != "conversation":
            raise UsageError("conversation= needs history='conversation', so that only what is new is sent into it")
        if self.history == "replay":
            return None
        if self._fixed.get("store") is False:
            raise UsageError(f"history={self.history!r} needs the server to store; leave store=False out")
        given: Any = self._fixed.pop("previous_response_id" if self.history == "response" else "conversation", None)
        anchor: str | None = given.get("id") if is_dict(given) else given
        if given is not None and not (isinstance(anchor, str) and anchor):
            raise UsageError("conversation= and previous_response_id= take an id, such as 'conv_…' or 'resp_…'")
        return anchor

    async def run(
        self,
        input: Input,
        *,
        deps: Any = None,
        after: Result | Sequence[Item] | None = None,
        limits: Limits | None = None,
        run_id: str | None = None,
    ) -> Result:
        """Run the agent until the model answers without a call, or a limit ends it.

        Args:
            input: The user's message, or items (messages with parts, earlier calls and outputs, …).
            deps: What tools get as ``context.deps``: a database, a user, ….
            after: An earlier result: the conversation goes on from there. Or all items of a conversation, the
                user's own messages included (``result.items`` has only what the run added).
            limits: Limits for this run instead of the agent's.
            run_id: An id of your own for the run.

        Returns:
            The result; look at its ``status``. Reaching a limit is a result, not an error.

        Raises:
            AgentrtError: The run can't go on; its ``state`` tells where it stood.
        """
        async with self._start(input, deps, after, limits, run_id, streaming=False) as run:
            async for _ in run:
                pass
            return run.result

    def run_sync(
        self,
        input: Input,
        *,
        deps: Any = None,
        after: Result | Sequence[Item] | None = None,
        limits: Limits | None = None,
        run_id: str | None = None,
    ) -> Result:
        """Run the agent from sync code: scripts, notebooks, threads. As `run` otherwise.

        Raises:
            UsageError: Called by a coroutine that `run_sync` itself runs.
        """
        from agentrt.drivers.sync import run_in_portal  # noqa: PLC0415 - asyncio costs 25 ms, and trio never needs it

        return run_in_portal(lambda: self.run(input, deps=deps, after=after, limits=limits, run_id=run_id))

    def stream(
        self,
        input: Input,
        *,
        deps: Any = None,
        after: Result | Sequence[Item] | None = None,
        limits: Limits | None = None,
        run_id: str | None = None,
    ) -> Run:
        """Run the agent and watch: ``async with agent.stream("…") as run: async for event in run: …``.

        The arguments are those of `run`. Afterwards ``run.result`` is the result; ``run.cancel()`` ends it early.
        """
        return self._start(input, deps, after, limits, run_id, streaming=True)

    def prepare(self, input: Input, *, after: Result | Sequence[Item] | None = None) -> PreparedRequest:
        """Give the first request that `run` would send, without sending it.

        Args:
            input: As for `run`.
            after: As for `run`.
        """
        thread = self._thread(input, after)
        client = self._client or Client()
        last = Meter().is_last_turn(self.limits)
        left = self.limits.max_tool_calls
        params = next_request(
            thread, last=last, max_tool_calls=left, fixed=self._fixed, refused=client.refused(self.model)
        )
        params.pop("stream_options", None)
        if self._varies:
            params["tools"] = self._offer(Context())
        return client.prepare(**params)

    def _start(
        self,
        input: Input,
        deps: Any,
        after: Result | Sequence[Item] | None,
        limits: Limits | None,
        run_id: str | None,
        *,
        streaming: bool,
    ) -> Run:
        if limits is not None and not isinstance(limits, Limits):  # pyright: ignore[reportUnnecessaryIsInstance]
            _check_types(limits=(limits, Limits))
        threads = {MAIN: self._thread(input, after)}
        state = RunState(run_id=run_id or uuid.uuid4().hex, limits=limits or self.limits, threads=threads)
        offer = self._offer if self._varies else None
        plan = Plan(self._acquire, self.registry.tools, self._fixed, self._release, bool(self._hosted), deps, offer)
        return Run(plan, state, streaming=streaming)

    def _thread(self, input: Input, after: Result | Sequence[Item] | None) -> Thread:
        """Make the thread that a run begins with: what is new, on top of what came before."""
        after = () if after is None else after
        text = {"type": "message", "role": "user", "content": input}
        if isinstance(after, str | Mapping) or not isinstance(after, Result | Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"after= takes an earlier Result, or the items of a conversation, not {type(after).__name__}; to go on "
                "from a response's id, make the agent with history='response' and previous_response_id=…"
            )
        new = [item_view(text)] if isinstance(input, str) else input_items(input)
        earlier = (
            after.state.threads[MAIN]
            if isinstance(after, Result)
            else Thread(items=tuple(after and input_items(after)))
        )
        items = (*earlier.items, *new)
        begun = Thread(items=items, given=len(items), parallel=self.parallel_tool_calls, history=self.history)
        goes_on = earlier.history == self.history and earlier.anchor is not None
        if earlier.items and not (goes_on and self._anchor in (None, earlier.outside)):
            self._check_nothing_is_lost(earlier)
        if goes_on and self.history != "replay":
            return evolve(begun, anchor=earlier.anchor, known=earlier.known, outside=earlier.outside)
        return evolve(begun, anchor=self._anchor, outside=self._anchor)

    def _check_nothing_is_lost(self, earlier: Thread) -> None:
        """Refuse to go on from two histories at once, or from one of which only the server has the beginning."""
        if earlier.outside is not None and earlier.anchor is None:
            raise UsageError(
                f"the run before was cancelled while the model was asked, so {earlier.outside!r} may hold its input, "
                "or not: look with client.conversations.items(…), and go on without after=, with what is missing as "
                "input"
            )
        if self._anchor is not None:
            raise UsageError(
                f"after= and {self._anchor!r} are two different histories; leave after= out to go on from the latter, "
                "or make an agent without it to go on from after="
            )
        if earlier.outside is not None:
            raise UsageError(
                f"the run before began from {earlier.outside!r}, which only the server has; go on with an agent of "
                f"history={earlier.history!r}, or pass the whole conversation as after="
            )

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


def _check_types(**given: tuple[object, type]) -> None:
    for name, (value, kind) in given.items():
        if value is not None and not isinstance(value, kind):
            wanted = "a text" if kind is str else f"{kind.__name__}(…)"
            raise UsageError(f"{name}= takes {wanted}, not {value!r:.100}")


def _sort_tools(tools: Iterable[ToolLike], registry: Registry, include: list[str]) -> list[Mapping[str, Any]]:
    """Put the tools that run here into the registry, and give the definitions of those that the provider runs.

    What these need of ``include`` is added to it.
    """
    if isinstance(tools, (str, Tool, Mapping)) or not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("tools must be a list, such as tools=[weather]")
    hosted: list[Mapping[str, Any]] = []
    for entry in tools:
        if isinstance(entry, Registry):
            for member in entry:
                registry.add(member)
        elif isinstance(entry, type) and hasattr(entry, "definition"):
            raise UsageError(f"tools= has the class {entry.__name__}; write {entry.__name__}(…)")
        elif callable(entry):
            registry.add(entry)
        elif isinstance(entry, Mapping):
            hosted.append(entry)
        elif hasattr(entry, "definition") and hasattr(entry, "include"):
            hosted.append(entry.definition())
            include.extend(value for value in entry.include if value not in include)
        else:
            raise UsageError(f"a tool is a function, a Tool, a Registry or a dict, but tools= has {entry!r}")
    return hosted
