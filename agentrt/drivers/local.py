"""The driver in this process: performs the effects that the core asks for, and feeds back what happened.

It decides nothing. One task group, owned by ``async with``, holds what runs at once: calls, the turns of sub-agents,
questions to a person. The main thread's turns are read in a pull-based generator, so that a consumer that is slow or
leaves early is simply not asked for more.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, cast

import anyio
import anyio.lowlevel
from typing_extensions import TypeVar

from agentrt.client import Client
from agentrt.core import loop
from agentrt.core.protocol import (
    Ask,
    CallModel,
    Decided,
    Effect,
    Event,
    ModelReplied,
    RunTool,
    Start,
    Stop,
    ToolAsked,
    ToolReturned,
)
from agentrt.core.result import Result
from agentrt.core.state import MAIN, RunState, evolve, within
from agentrt.drivers.asking import Asking, StoppedByCaller
from agentrt.drivers.calls import Calls
from agentrt.drivers.plan import AgentPlan, Plan
from agentrt.errors import AgentrtError, UsageError
from agentrt.events import RunEvent, RunFinished, RunStarted, Where
from agentrt.registry.context import Context
from agentrt.registry.dispatch import MAX_PARALLEL, Crew

__all__ = ["Run"]

Out = TypeVar("Out", default=str)
_NOT_ENTERED = "enter the run first: async with agent.stream(…) as run: async for event in run: …"
logger = logging.getLogger("agentrt.run")

_LEAVE_SECONDS = 2.0
_LEFT = "the run was left before it was over, which ended it; call run.cancel() before leaving to have its result"
_ENDS = (ModelReplied, Stop)
_LOOP_EVENTS = (ToolReturned, ModelReplied, ToolAsked, Decided, Stop)


@dataclass(eq=False, repr=False)
class Run(Generic[Out]):
    """One run under way: ``async with agent.stream(…) as run: async for event in run: …``, then ``run.result``.

    Leaving the block ends all that the run had started; ``agent.resume(run.state)`` goes on from there.

    Args:
        plan: What it needs beside its state.
        state: Where it stands: plain data, JSON with ``to_json()``.
        streaming: Whether replies are streamed.
    """

    plan: Plan
    state: RunState
    streaming: bool
    artifacts: dict[str, str] = field(default_factory=dict[str, str], init=False)
    """The whole text of outputs that were too long for the model, by call id."""
    deciding: int = field(default=0, init=False)
    """Questions that somebody is being asked."""
    questions: Crew | None = field(default=None, init=False)
    """Asks them."""
    values: Mapping[tuple[str, str], Any] = field(default_factory=dict[Any, Any], init=False)
    """Final outputs as they were read, by thread and text."""
    _inbox: deque[RunEvent | Event | Exception | None] = field(default_factory=deque[Any], init=False)
    clients: dict[str, Client] = field(default_factory=dict[str, Client], init=False)
    """The clients of the agents that have worked, by their names."""
    told_sources: dict[str, Any] = field(default_factory=dict[str, Any], init=False)
    """What was told last of each source of tools."""
    _events: AsyncGenerator[RunEvent, None] | None = field(default=None, init=False)
    _arrived: anyio.Event = field(default_factory=anyio.Event, init=False)
    _waiting: anyio.CancelScope | None = field(default=None, init=False)
    _asking: Asking | None = field(default=None, init=False)
    _stop: Stop | None = field(default=None, init=False)
    _left: bool = field(default=False, init=False)
    _is_telling: bool = field(default=False, init=False)
    _paused_at: float | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        """Make the run ready; it begins with the first event that is asked for."""
        if self.plan.keeper is not None:
            self.state = await self.plan.keeper.open(self.state)
        self._started = anyio.current_time() - self.state.meter.seconds
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        home = (threading.get_ident(), anyio.lowlevel.current_token())
        self.calls = Calls(self, Crew(self.group, MAX_PARALLEL), home)
        self._events = self._drive()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs, close what is open."""
        self._left = True
        try:
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                if self._events is not None:
                    await self._events.aclose()
        finally:
            self.group.cancel_scope.cancel()
            # Only a cancellation concerns the group; the user's own exception must not come out wrapped in a group.
            cancelled = kind is not None and issubclass(kind, anyio.get_cancelled_exc_class())
            try:
                await self.group.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))
            except BaseExceptionGroup as group:
                alone = [kind for kind in (KeyboardInterrupt, SystemExit) if group.subgroup(kind) is not None]
                if not alone:
                    raise
                raise alone[0] from group  # Ctrl-C met a tool, or a question was left: it is for the whole program
            finally:
                if self.plan.keeper or self.plan.trace or self._is_telling or self.state.status is None or kind:
                    await self._left_early(error)
                for name in self.clients:
                    with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                        await self.plan.agents[name].release()

    async def _left_early(self, error: BaseException | None) -> None:
        """Put the run away as it stands, and end what was opened for it."""
        from agentrt.drivers.leaving import at_rest, left  # noqa: PLC0415 - most runs are over by now

        if self.state.status is None:
            self.state = at_rest(self._clocked(), self._inbox, self.calls.not_begun(), self._stop)
        if isinstance(error, AgentrtError):
            error.state = self.state
        if self._is_telling:
            self._observe(left(self, error))
        if self.plan.trace is not None:
            self.plan.trace.close()
        if self.plan.keeper is not None:
            await self.plan.keeper.close(self.state, error)

    def __aiter__(self) -> AsyncIterator[RunEvent]:
        """Iterate over the run's events; the run goes on as they are asked for."""
        return self

    async def __anext__(self) -> RunEvent:
        """Give the next event; an error carries the state where the run stopped."""
        if self._events is None or self._left:
            raise UsageError(_LEFT if self._left else _NOT_ENTERED)
        try:
            return await self._events.__anext__()
        except AgentrtError as error:
            error.state = self.state
            raise

    @property
    def result(self) -> Result[Out]:
        """The result, once the run is over; raises UsageError before."""
        if self.state.status is None:
            raise UsageError(_LEFT if self._left else "the run is not over yet: read its events to the end first")
        output = self.agent_of(MAIN).output
        return Result[Out](self.state, self.artifacts, None if output is None else self._decoded)

    def _decoded(self, text: str) -> Out:
        """Give the final output as validators left it; as it was written where the run is known from a store."""
        output = self.agent_of(MAIN).output
        assert output is not None
        return cast("Out", self.values[MAIN, text] if (MAIN, text) in self.values else output.decode(text))

    def cancel(self) -> None:
        """End the run soon: its result then has the status ``cancelled``, with every call answered."""
        self.stop(Stop("cancelled"))

    def stop(self, stop: Stop) -> None:
        """End the run soon, in one of the ways that there are."""
        self._stop = self._stop or stop
        if self._waiting is not None:
            self._waiting.cancel()
        if self._asking is not None:
            self._asking.interrupt()

    def agent_of(self, thread: str) -> AgentPlan:
        """Give the plan of the agent at work in a thread."""
        return self.plan.agents[self.state.threads[thread].agent]

    def where(self, name: str) -> Where:
        """Say where what happens in a thread now belongs."""
        thread = self.state.threads[name]
        return Where(self.state.run_id, thread.agent, name, thread.turn, thread.call_id)

    def context(self, name: str) -> Context[Any]:
        """Make what code of the user's may know that looks at a whole turn of a thread."""
        state, thread = self.state, self.state.threads[name]
        usage = state.meter.usage
        return Context(self.plan.deps, run_id=state.run_id, usage=usage, agent=thread.agent, turn=thread.turn)

    def worked(self) -> float:
        """Count the seconds that the run has worked: without those in which only a person could go on."""
        return (anyio.current_time() if self._paused_at is None else self._paused_at) - self._started

    async def _drive(self) -> AsyncGenerator[RunEvent, None]:
        self._is_telling = bool(self.plan.observers)
        self.tell(RunStarted(self.where(MAIN), self.plan.resumes))
        await self._perform(await self._first())
        while self.state.status is None or (self.state.status == "pending" and (self.deciding or self._inbox)):
            happened: RunEvent | Event | Exception | None
            try:
                if self._asking is not None and self._stop is None:
                    async with aclosing(self._asking.told()) as told:
                        async for part in told:
                            self.tell(part)
                            for event in self._meanwhile():
                                yield event
                    self._asking = None
                happened = await self._delivered()
            except StoppedByCaller:
                happened = self._stopped()
            if isinstance(happened, _LOOP_EVENTS):
                await self._perform(self.take(happened))
            elif happened is not None:
                yield cast("RunEvent", happened)
        self.tell(RunFinished(self.where(MAIN), self.state.status, self.state.stopped_by))
        self._is_telling = False  # whatever a tool that was cut off says from now on
        for happened in tuple(self._inbox):
            if isinstance(happened, RunEvent):
                yield happened
        if self.state.status in ("incomplete", "limit"):
            from agentrt.drivers.leaving import check_end  # noqa: PLC0415 - see above

            check_end(self.state)

    async def _first(self) -> list[Effect]:
        if self.state.limits.seconds is not None:
            self.group.start_soon(self.watch, self.state.limits.seconds)
        if self.state.threads[MAIN].phase == "new" and not self.plan.resumes:
            return self.take(Start())
        from agentrt.drivers.deciding import resume  # noqa: PLC0415 - few runs are taken up again

        return await resume(self)

    def take(self, event: Event) -> list[Effect]:
        """Take the run one event further, and tell what that means."""
        before = self.state
        self.state, effects = loop.step(before, event)
        if self.calls.early or type(event) is Stop:
            self.calls.tidy(event)
        if self._paused_at is not None or self.state.status == "pending":
            self._pause()
        if len(self.plan.agents) > 1 or self.state.stopped_by is not before.stopped_by or self.state.notes:
            from agentrt.drivers.leaving import changes  # noqa: PLC0415 - most steps have none

            for told in changes(self, before, event.thread):
                self.tell(told)
        return effects

    def _pause(self) -> None:
        """Stop the run's clock while only a person can go on, and let it go on afterwards."""
        now = anyio.current_time()
        self._started += 0 if self._paused_at is None else now - self._paused_at
        self._paused_at = now if self.state.status == "pending" else None
        self.state = self._clocked()

    def _clocked(self) -> RunState:
        """Give the state with the time that the run has worked, as a resume must go on counting from there."""
        seconds = max(self.state.meter.seconds, self.worked())
        return evolve(self.state, meter=self.state.meter._replace(seconds=seconds))

    async def _perform(self, effects: list[Effect]) -> None:
        """Begin what is to be done; the main thread's turn is read by whoever asks for events.

        Where the run is kept, it is written before: whoever takes it up after a crash knows what may have begun.
        """
        if self.plan.keeper is not None or self._stop is not None:
            effects = await self._kept(effects)
        for effect in effects:
            if isinstance(effect, RunTool):
                self.calls.start(effect)
            elif isinstance(effect, CallModel):
                if effect.last:
                    from agentrt.drivers.leaving import near  # noqa: PLC0415 - most turns are not the last

                    near(self, effect.thread)
                agent = self.agent_of(effect.thread)
                if agent.name not in self.clients:
                    self.clients[agent.name] = agent.acquire()
                told = (self.clients[agent.name], self.where(effect.thread), effect.thread == MAIN)
                if effect.thread != MAIN:
                    self.group.start_soon(self._ask_aside, Asking(self, effect, agent, *told))
                else:
                    self._asking = Asking(self, effect, agent, *told)
            elif isinstance(effect, Ask):
                from agentrt.drivers.deciding import ask  # noqa: PLC0415 - few runs ask

                ask(self, self.group, effect.pending)

    async def _kept(self, effects: list[Effect]) -> list[Effect]:
        """Write where the run stands, and give the effects; none once it is stopped."""
        self.calls.announce(effects)
        if self.plan.keeper is not None and (effects or not any(isinstance(p, _LOOP_EVENTS) for p in self._inbox)):
            await self.plan.keeper.save(self.state)
        return effects if self._stop is None else []

    async def _ask_aside(self, asking: Asking) -> None:
        """Read a sub-agent's turn. What is wrong with it is raised where events are asked for."""
        try:
            with self.calls.scope_of(asking.key):
                async with aclosing(asking.told()) as told:
                    async for part in told:
                        self.tell(part)
        except Exception as error:  # noqa: BLE001 - it is raised again, in the run
            self.tell(error)

    async def interruptibly(self, awaitable: Awaitable[None]) -> None:
        """Wait for something until the run is stopped."""
        with anyio.CancelScope() as self._waiting:
            if self._stop is not None:
                self._waiting.cancel()
            await awaitable

    async def _delivered(self) -> RunEvent | Event | None:
        while not self._inbox and self._stop is None:
            self._arrived = anyio.Event()
            with anyio.CancelScope() as self._waiting:
                await self._arrived.wait()
        if self._stop is not None:  # nothing of what has come may begin anything any more
            raise StoppedByCaller
        happened = self._inbox.popleft()
        if isinstance(happened, Exception):
            raise happened
        return happened

    def _meanwhile(self) -> Iterator[RunEvent]:
        """Give what has happened while the model is asked; what eager calls gave goes into the state at once."""
        while self._inbox and not isinstance(self._inbox[0], _ENDS):
            happened = self._inbox.popleft()
            if isinstance(happened, ToolReturned):
                self.take(happened)
            elif happened is not None:
                yield cast("RunEvent", happened)

    def _stopped(self) -> Event | None:
        """Take in what has come so far, before the rest is answered."""
        from agentrt.drivers.leaving import at_rest  # noqa: PLC0415 - few runs are stopped

        self.state = at_rest(self._clocked(), self._inbox, self.calls.not_begun(), None)
        self._inbox = deque(part for part in self._inbox if not isinstance(part, _LOOP_EVENTS))
        return self._stop if self.state.status in (None, "pending") else None

    def forget(self, call: tuple[str, int]) -> None:
        """Drop the output of a call that counts no more, if it has come."""
        self._inbox = deque(
            part
            for part in self._inbox
            if not (isinstance(part, ToolReturned) and (part.thread, part.position) == call)
        )

    def forget_inside(self, name: str) -> None:
        """Drop what a sub-agent was to bring that was stopped."""
        self._inbox = deque(
            part for part in self._inbox if not (isinstance(part, _LOOP_EVENTS) and within(part.thread, name))
        )

    def tell(self, happened: RunEvent | Event | Exception | None) -> None:
        """Hand something to the loop, or to observers now and to whoever reads the run's events in its turn."""
        if self._is_telling and isinstance(happened, RunEvent):
            self._observe(happened)
        self._inbox.append(happened)
        self._arrived.set()

    def _observe(self, event: RunEvent) -> None:
        for observer in self.plan.observers:
            try:
                observer(event)
            except Exception:
                logger.exception("an observer failed on %s", event.type)

    async def watch(self, until: float, thread: str = MAIN) -> None:
        """Stop the run, or a sub-agent, when its time is up; time in which the run waits for a person doesn't pass.

        Args:
            until: When, in seconds of the run's work.
            thread: Which of them.
        """
        while (left := until - self.worked()) > 0:  # noqa: ASYNC110 - while a person is asked, no time passes
            await anyio.sleep(max(left, 0.05))
        stop = Stop("limit", "seconds", self.worked(), thread=thread)
        if thread == MAIN:
            self.stop(stop)
        elif self.state.threads[thread].phase != "done" and self._stop is None:
            await self._perform(self.take(stop))  # at once, as it may end by itself meanwhile
            self.tell(None)
