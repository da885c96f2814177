"""The calls of a run: what is found out about them, and what runs."""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import anyio

from agentrt.core.protocol import CallModel, CallSeen, Effect, ModelFailed, ModelReplied, RunTool, Stop, ToolReturned
from agentrt.core.state import MAIN, Verdict, within
from agentrt.errors import RunRefused
from agentrt.events import ToolFinished, ToolProgress, ToolStarted
from agentrt.registry import Tool
from agentrt.registry.context import ToolAsks
from agentrt.registry.dispatch import Answer, Caller, Crew, Prepared, prepare_call, run_prepared
from agentrt.registry.output import encode_output, output_text
from agentrt.registry.threads import call_soon
from agentrt.wire.events import Event
from agentrt.wire.items import FunctionCall, Item, item_view
from agentrt.wire.json import as_dict, as_str

if TYPE_CHECKING:
    from agentrt.drivers.local import Run

__all__ = ["Calls", "Key"]

Key = tuple[str, int]
"""A call: its thread, and its position in the reply."""


_NOBODY = RunTool(-1, -1, Item({}), "")


def _is_early(tool: Tool[..., Any]) -> bool:
    return tool.effect == "pure" and tool.approval is False and not tool.may_ask


@dataclass(eq=False, repr=False)
class Calls:
    """The calls of a run.

    Args:
        run: The run.
        crew: Runs them.
        home: The thread and the event loop that the run belongs to.
    """

    _run: Run[Any]
    _crew: Crew
    _home: tuple[int, Any]
    _live: dict[Key, RunTool] = field(default_factory=dict[Key, RunTool], init=False)
    _begun: set[Key] = field(default_factory=set[Key], init=False)
    prepared: dict[Key, Prepared] = field(default_factory=dict[Key, Prepared], init=False)
    """Calls as they were read, until they run."""
    early: dict[Key, anyio.CancelScope | None] = field(default_factory=dict[Key, Any], init=False)
    """What was begun from replies that are not whole yet."""
    _held: set[Key] = field(default_factory=set[Key], init=False)
    _inside: dict[Key, anyio.CancelScope] = field(default_factory=dict[Key, Any], init=False)
    started_at: dict[str, float] = field(default_factory=dict[str, float], init=False)
    """When sub-agents began, by thread, in seconds of the run's work."""

    def verdict(self, thread: str, position: int, item: Item) -> Verdict | Awaitable[Verdict]:
        """Find out what the core must know of a call: now where nobody has to be asked, else later.

        Args:
            thread: The thread whose reply has it.
            position: Its position in the reply's output.
            item: The call.
        """
        agent = self._run.agent_of(thread)
        if item.type == "function_call":
            prepared = prepare_call(agent.tools, item.raw, position, self.caller(thread))
            self.prepared[thread, position] = prepared
            tool = prepared.tool
            if agent.is_plain and (tool is None or (tool.approval is False and not tool.may_ask)):
                if tool is None:  # there is none, or the arguments don't fit: the model is told
                    return Verdict(as_str(item.raw.get("name")), effect="pure")
                return Verdict(tool.key, "tool", tool.effect, prepared.lane, prepared.exclusive)
        from agentrt.drivers.triage import triage  # noqa: PLC0415 - most calls need no closer look

        return triage(self._run, thread, position, item)

    def caller(self, name: str) -> Caller:
        """Say for whom the calls of a thread's turn run."""
        state, thread = self._run.state, self._run.state.threads[name]
        report = functools.partial(self._report, name)
        inside, told = "" if name == MAIN else name, (thread.turn, state.meter.usage, None, report, thread.agent)
        return Caller(self._run.plan.deps, state.run_id, *told, inside, decided=True)

    def start(self, effect: RunTool, *, early: bool = False) -> None:
        """Begin a call as soon as there is a place for it.

        Args:
            effect: What the core asks for.
            early: Whether its reply may still break.
        """
        key = (effect.thread, effect.position)
        caller = self.caller(effect.thread)
        prepared = self.prepared.pop(key, None)
        if prepared is None or effect.edited is not None:
            from agentrt.drivers.triage import prepared_anew  # noqa: PLC0415 - after a decision or a resume only

            prepared = prepared_anew(self._run.agent_of(effect.thread), effect, caller)
        self._live[key] = effect
        job = self._run_early if early else self._run_tool if effect.thread == MAIN else self._run_inside
        self._crew.add(job, (effect, prepared, caller), prepared.lane, exclusive=prepared.exclusive)

    async def _run_tool(self, job: tuple[RunTool, Prepared, Caller]) -> None:
        effect, prepared, caller = job
        run, key = self._run, (effect.thread, effect.position)
        if self._live.get(key) is not effect:
            return  # it was thrown away before it began
        self._begun.add(key)
        call, where = cast("FunctionCall", effect.call), run.where(effect.thread)
        run.tell(ToolStarted(where, call.call_id, call.name, str(call.raw.get("arguments") or "")))
        started = anyio.current_time()
        if run.plan.trace is None and not run.agent_of(effect.thread).attended and effect.edited is None:
            answer = await run_prepared(prepared, caller)
        else:
            attended = await self._run_attended(effect, prepared, caller)
            if attended is None:
                return  # a hook ends the run, though the call has begun; or it asks somebody
            answer = attended
        took = anyio.current_time() - started
        self._begun.discard(key)
        if self._live.get(key) is not effect:
            return
        del self._live[key]
        output = answer.item["output"]
        output = output if isinstance(output, str) else output_text(output)
        if answer.artifact is not None:
            run.artifacts[call.call_id] = answer.artifact
        run.tell(ToolFinished(where, call.call_id, call.name, output, answer.failed, took, artifact=answer.artifact))
        run.tell(ToolReturned(effect.turn, effect.position, answer.item, effect.thread))

    async def _run_attended(self, effect: RunTool, prepared: Prepared, caller: Caller) -> Answer | None:
        from agentrt.drivers.attending import run_attended  # noqa: PLC0415 - with hooks, traces, edited arguments

        run, key = self._run, (effect.thread, effect.position)
        if run.agent_of(effect.thread).sources:
            from agentrt.drivers.sources import may_ask  # noqa: PLC0415 - few agents have any

            caller = may_ask(run, effect, caller)
        try:
            return await run_attended(run.plan, run.agent_of(effect.thread), effect, prepared, caller)
        except ToolAsks as asks:
            from agentrt.drivers.triage import asked_by_tool  # noqa: PLC0415 - few calls ask

            self._begun.discard(key)
            self.prepared[key] = prepared  # as hooks left it
            if self._live.pop(key, None) is effect:
                run.tell(asked_by_tool(run, effect, asks))
        except RunRefused as refused:
            run.tell(Stop("refused", None, run.worked(), str(refused), effect.thread))
        except Exception as error:  # noqa: BLE001 - a hook's; it is raised again, in the run
            run.tell(error)
        return None

    async def _run_inside(self, job: tuple[RunTool, Prepared, Caller]) -> None:
        with self.scope_of((job[0].thread, job[0].position)):
            await self._run_tool(job)

    @contextmanager
    def scope_of(self, key: Key) -> Generator[None]:
        """Let `end_inside` end what a sub-agent does."""
        with anyio.CancelScope() as self._inside[key]:
            yield
        self._inside.pop(key, None)

    def tidy(self, event: object) -> None:
        """Forget what an event has made of no use: what was begun early, what a sub-agent did that was stopped."""
        if isinstance(event, Stop) and event.thread == MAIN:
            self.close()
        elif isinstance(event, Stop):
            self.end_inside(event.thread)
        elif isinstance(event, ModelReplied):
            self.end_early(event.thread)

    def close(self) -> None:
        """End all that the run does."""
        self._live.clear()
        self._crew.close()
        for scope in self._inside.values():
            scope.cancel()
        if self._run.questions is not None:
            self._run.questions.close()

    def end_inside(self, name: str) -> None:
        """End all that a sub-agent and those below it do."""
        for key in [*self._live, *self._inside]:
            if within(key[0], name):
                self._live.pop(key, None)
                self._begun.discard(key)
                scope = self._inside.pop(key, None) or self.early.pop(key, None)
                if scope is not None:
                    scope.cancel()
        self._run.forget_inside(name)

    def _report(self, thread: str, call: Mapping[str, Any], fraction: float | None, message: str, piece: Any) -> None:
        output = "" if piece is None else output_text(encode_output(piece).value)
        call_id, name = as_str(call.get("call_id")), as_str(call.get("name"))
        event = ToolProgress(self._run.where(thread), call_id, name, fraction, message, output)
        home, token = self._home
        if threading.get_ident() == home:
            self._run.tell(event)
        else:
            call_soon(token, self._run.tell, event)

    def announce(self, effects: Iterable[Effect]) -> None:
        """Note calls that are about to start, so that they can be taken back if it comes to nothing."""
        self._live.update(
            ((effect.thread, effect.position), effect) for effect in effects if isinstance(effect, RunTool)
        )

    def not_begun(self) -> list[RunTool]:
        """Give the calls that were handed out and have not begun."""
        return [effect for key, effect in self._live.items() if key not in self._begun]

    # --- early calls

    def starts_early(self, effect: CallModel) -> bool:
        """Tell whether calls of this turn may begin before its reply is whole."""
        run = self._run
        agent, thread = run.agent_of(effect.thread), run.state.threads[effect.thread]
        pure = any(map(_is_early, agent.tools.values()))
        shared = agent.hosted and effect.max_tool_calls is not None
        return pure and thread.parallel and thread.last is None and not shared and not agent.hooks

    def see(self, effect: CallModel, event: Event) -> None:
        """Begin a call of a reply that goes on, if it is pure and nobody has to be asked."""
        position, item = event.raw.get("output_index"), item_view(as_dict(event.raw.get("item")))
        if item.type != "function_call" or not isinstance(position, int) or item.status == "incomplete":
            return
        run, thread = self._run, effect.thread
        prepared = prepare_call(run.agent_of(thread).tools, item.raw, position, self.caller(thread))
        tool = prepared.tool
        if tool is not None and tool.exclusive:
            self._held.add((thread, effect.turn))  # what comes after it waits for it
        if tool is None or not _is_early(tool) or (thread, effect.turn) in self._held:
            return
        if tool.key in run.agent_of(thread).delegates:
            return
        verdict = Verdict(tool.key, "tool", tool.effect, prepared.lane, prepared.exclusive)
        for begun in run.take(CallSeen(effect.turn, position, item, verdict, thread)):
            self.prepared[thread, position] = prepared
            self.early[thread, position] = None
            self.start(cast("RunTool", begun), early=True)

    async def _run_early(self, job: tuple[RunTool, Prepared, Caller]) -> None:
        key = (job[0].thread, job[0].position)
        with anyio.CancelScope() as scope:
            if key in self.early:  # its reply is not whole yet
                self.early[key] = scope
            await self._run_tool(job)

    def end_early(self, name: str) -> None:
        """Keep what was begun early and is in the reply that has come; forget the rest."""
        thread = self._run.state.threads[name]
        for key in [key for key in self.early if key[0] == name]:
            kept = thread.phase == "tools" and key[1] in thread.calls and key[1] not in thread.outputs
            if kept and self._live.get(key, _NOBODY).turn == thread.turn:
                scope = self.early.pop(key)
                if scope is not None and name != MAIN:
                    self._inside[key] = scope
            else:
                self._forget(key)

    def throw_away(self, effect: CallModel) -> None:
        """Forget a reply that broke, with all that was begun from it."""
        if self._run.state.threads[effect.thread].calls:
            for key in [key for key in self.early if key[0] == effect.thread]:
                self._forget(key)
            self._run.take(ModelFailed(effect.turn, "broken", effect.thread))

    def _forget(self, key: Key) -> None:
        scope = self.early.pop(key)
        if scope is not None:
            scope.cancel()
        self._live.pop(key, None)
        self._run.forget(key)
