"""The driver in this process: performs the effects that the core asks for, and feeds back what happened.

It decides nothing. One task group, owned by ``async with``, holds the calls that run; a pull-based generator does the
rest, so that a consumer that is slow or leaves early is simply not asked for more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anyio
import anyio.lowlevel

from agentrt.client import Client, ResponseStream
from agentrt.core import loop
from agentrt.core.history import next_request, unanswerable
from agentrt.core.result import Result
from agentrt.core.state import MAIN, RunState, evolve
from agentrt.drivers.hosted import HostedCalls
from agentrt.errors import (
    AgentrtError,
    IncompleteStreamError,
    ResponseFailedError,
    ServerError,
    StatusError,
    UnreachableError,
    UsageError,
)
from agentrt.events import RunEvent, TextDelta, ToolFinished, ToolProgress, ToolStarted, TurnRestarted, TurnStarted
from agentrt.registry import Tool
from agentrt.registry.context import Context
from agentrt.registry.dispatch import MAX_PARALLEL, Caller, Crew, Prepared, prepare_call, run_prepared
from agentrt.registry.output import encode_output, output_text
from agentrt.registry.threads import call_soon
from agentrt.wire.events import Event
from agentrt.wire.items import FunctionCall
from agentrt.wire.json import as_str
from agentrt.wire.responses import Response

__all__ = ["Plan", "Run"]

T = TypeVar("T")
logger = logging.getLogger("agentrt.run")

_LEAVE_SECONDS = 2.0
_LEFT = "the run was left before it was over, which ended it; call run.cancel() before leaving to have its result"
_NO_ENDPOINT = (404, 405, 501)


@dataclass(frozen=True)
class Plan:
    """What a run needs beside its state.

    Args:
        acquire: Gives the client when the run is entered.
        tools: The tools that run here, by name.
        fixed: The request's parameters that the user chose: model, instructions, tools and settings.
        release: Gives it back when the run is left.
        hosted: Whether the provider runs tools of its own.
        deps: What tools get as ``context.deps``.
        offer: Gives what goes into the request's ``tools``, where that may change from turn to turn.
    """

    acquire: Callable[[], Client]
    tools: Mapping[str, Tool[..., Any]]
    fixed: Mapping[str, Any]
    release: Callable[[], Awaitable[None]]
    hosted: bool = False
    deps: Any = None
    offer: Callable[[Context[Any]], list[Any]] | None = None


class _CancelledByCaller(Exception):  # noqa: N818 - it never leaves this module
    pass


class _BrokenReply(Exception):  # noqa: N818 - it never leaves this module
    """A stream that had begun broke: nothing was run from it, so it can be asked for again."""

    def __init__(self, error: ServerError, stream: ResponseStream) -> None:
        super().__init__(str(error))
        self.error = error
        self.stream = stream


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """The request itself was refused: in another form it may be taken."""

    def __init__(self, error: StatusError) -> None:
        super().__init__(str(error))
        self.error = error


class Run:
    """One run under way: ``async with agent.stream(…) as run: async for event in run: …``, then ``run.result``.

    Leaving the block ends all that the run had started, whether it was over or not.
    """

    state: RunState
    """Where the run stands: plain data, JSON with ``to_json()``."""
    artifacts: dict[str, str]
    """The whole text of outputs that were too long for the model, by call id."""

    def __init__(self, plan: Plan, state: RunState, *, streaming: bool) -> None:
        self.state = state
        self._plan = plan
        self._streaming = streaming
        self._inbox: deque[RunEvent | loop.ToolReturned] = deque()
        self._arrived = anyio.Event()
        self._events: AsyncGenerator[RunEvent, None] | None = None
        self._waiting: anyio.CancelScope | None = None
        self._reading: ResponseStream | None = None
        self._cancelled = self._left = False
        self.artifacts = {}

    async def __aenter__(self) -> Self:
        """Make the run ready; it begins with the first event that is asked for."""
        self._client = self._plan.acquire()
        self._home = (threading.get_ident(), anyio.lowlevel.current_token())
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._crew = Crew(self._group, MAX_PARALLEL if self.state.threads[MAIN].parallel else 1)
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
            if self._cancelled and self.state.status is None:
                self.state, _ = loop.step(self.state, loop.Stop())
        finally:
            self._group.cancel_scope.cancel()
            # Only a cancellation concerns the group; the user's own exception must not come out wrapped in a group.
            cancelled = kind is not None and issubclass(kind, anyio.get_cancelled_exc_class())
            try:
                await self._group.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))
            except BaseExceptionGroup as group:
                if group.subgroup(KeyboardInterrupt) is None:
                    raise
                raise KeyboardInterrupt from group  # Ctrl-C met a tool: it is for the whole program
            finally:
                with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                    await self._plan.release()

    def __aiter__(self) -> AsyncIterator[RunEvent]:
        """Iterate over the run's events; the run goes on as they are asked for."""
        return self

    async def __anext__(self) -> RunEvent:
        """Give the next event; an error carries the state where the run stopped."""
        if self._events is None:
            raise UsageError("enter the run first: async with agent.stream(…) as run: async for event in run: …")
        if self._left:
            raise UsageError(_LEFT)
        try:
            return await self._events.__anext__()
        except AgentrtError as error:
            error.state = self.state
            raise

    @property
    def result(self) -> Result:
        """The result, once the run is over; raises UsageError before."""
        if self.state.status is None:
            raise UsageError(_LEFT if self._left else "the run is not over yet: read its events to the end first")
        return Result(self.state, self.artifacts)

    def cancel(self) -> None:
        """End the run soon: its result then has the status ``cancelled``, with every call answered."""
        self._cancelled = True
        if self._waiting is not None:
            self._waiting.cancel()
        if self._reading is not None:
            self._reading.interrupt()

    async def _drive(self) -> AsyncGenerator[RunEvent, None]:
        try:
            event: loop.Event = loop.Start(await self._begin_history())
        except _CancelledByCaller:
            event = loop.Stop()
        while self.state.status is None:
            self.state, effects = loop.step(self.state, event)
            try:
                for effect in effects:
                    if isinstance(effect, loop.CallModel):
                        async with aclosing(self._ask(effect)) as told:
                            async for part in told:
                                if isinstance(part, Response):
                                    event = loop.ModelReplied(effect.turn, part, effect.thread)
                                else:
                                    yield part
                    elif isinstance(effect, loop.RunTool):
                        usage = self.state.meter.usage
                        caller = Caller(self._plan.deps, self.state.run_id, effect.turn, usage, report=self._report)
                        ready = prepare_call(self._plan.tools, effect.call.raw, effect.position, caller)
                        self._crew.add(self._run_tool, (effect, ready, caller), ready.lane, exclusive=ready.exclusive)
                while self.state.threads[MAIN].phase == "tools":
                    delivered = await self._delivered()
                    if isinstance(delivered, loop.ToolReturned):
                        event = delivered
                        break
                    yield delivered
            except _CancelledByCaller:
                event = loop.Stop()

    async def _begin_history(self) -> str | None:
        """Make the conversation that the run keeps its history in; replay where the provider is known to keep none."""
        thread = self.state.threads[MAIN]
        if thread.history == "replay" or thread.anchor is not None:
            return None
        name = "previous_response_id" if thread.history == "response" else "conversation"
        if name not in self._client.refused(self._plan.fixed["model"]):
            if thread.history == "response":
                return None
            try:
                return (await self._interruptible(self._client.conversations.create())).id
            except StatusError as error:
                if error.status not in _NO_ENDPOINT:
                    raise
        logger.warning("the provider keeps no history (%s); it is replayed instead", name)
        self.state = evolve(self.state, threads={MAIN: evolve(thread, history="replay")})
        return None

    async def _delivered(self) -> RunEvent | loop.ToolReturned:
        while not self._inbox:
            self._arrived = anyio.Event()
            await self._interruptible(self._arrived.wait())
        return self._inbox.popleft()

    async def _interruptible(self, awaitable: Awaitable[T]) -> T:
        """Wait for something in such a way that `cancel` ends the wait."""
        with anyio.CancelScope() as self._waiting:
            if self._cancelled:
                self._waiting.cancel()
            return await awaitable
        raise _CancelledByCaller

    async def _ask(self, effect: loop.CallModel) -> AsyncGenerator[RunEvent | Response, None]:
        yield TurnStarted(effect.turn, effect.last, effect.thread)
        fixed: Mapping[str, Any] = self._plan.fixed
        if self._plan.offer is not None:
            context = Context(self._plan.deps, run_id=self.state.run_id, usage=self.state.meter.usage)
            fixed = {**fixed, "tools": self._plan.offer(context)}
        deadline = time.monotonic() + fixed.get("timeout", self._client.timeout)
        refused = self._client.refused(fixed["model"])
        again: dict[str, Any]
        again, tries = {}, 0
        while True:
            thread = self.state.threads[effect.thread]
            left = effect.max_tool_calls
            params = next_request(thread, last=effect.last, max_tool_calls=left, fixed=fixed, refused=refused)
            params.update(again)
            try:
                async with aclosing(self._reply(params, effect.thread, effect.turn, deadline)) as parts:
                    async for part in parts:
                        yield part
            except _Refused as refusal:
                if not self._mended(refusal.error, params, effect):
                    raise refusal.error from refusal.error.__cause__
                again = {}  # it is another request now, under another key
            except _BrokenReply as broken:
                tries += broken.stream.tries
                time_left = deadline - time.monotonic()
                wait = self._client.wait_before(broken.error, tries, time_left, max_retries=fixed.get("max_retries"))
                if wait is None or not broken.stream.repeatable:
                    raise broken.error from broken.error.__cause__
                logger.warning("the reply broke off and is asked for again in %.1f s: %s", wait, broken.error)
                yield TurnRestarted(effect.turn, str(broken.error), effect.thread)
                await self._interruptible(anyio.sleep(wait))
                again = {"extra_headers": broken.stream.request.own_headers(fixed.get("extra_headers"))}
            else:
                return
            again["timeout"] = max(0.1, deadline - time.monotonic())
            again["max_retries"] = max(0, fixed.get("max_retries", self._client.max_retries) - tries)

    async def _reply(
        self, params: dict[str, Any], thread: str, turn: int, deadline: float
    ) -> AsyncGenerator[RunEvent | Response, None]:
        hosted = HostedCalls(thread) if self._plan.hosted else None
        if self._streaming:
            said, begun = 0, 1
            stream = self._client.stream(**params)
            await self._posted(stream.__aenter__())
            async with aclosing(stream):
                background = stream.request.background
                while (event := await self._next_event(stream, background=background)) is not None:
                    if background and stream.begun > begun:
                        said, begun = 0, stream.begun
                        yield TurnRestarted(turn, "the server sends the reply from its beginning again", thread)
                    if event.type == "response.output_text.delta":
                        delta = event.delta
                        said += len(delta)
                        yield TextDelta(delta, thread)
                    elif hosted is not None and event.type.startswith("response.output_item."):
                        for part in hosted.told(event):
                            yield part
                response = stream.response
        else:
            params.pop("stream_options", None)  # they say how to stream, and this doesn't
            said = 0
            response = await self._posted(self._client.create(**params))
        if response.status in ("queued", "in_progress"):
            response = await self._interruptible(self._client.wait(response, timeout=deadline - time.monotonic()))
        if self._streaming and len(response.text) > said:  # it was polled, or told only at the end
            yield TextDelta(response.text[said:], thread)
        if hosted is not None:
            for part in hosted.rest(response.items):
                yield part
        _check_reply(response)
        yield response

    async def _posted(self, request: Awaitable[T]) -> T:
        """Send a request; a status that refuses it is told apart from one that comes later, while its reply is read."""
        try:
            return await self._interruptible(request)
        except StatusError as error:
            raise _Refused(error) from error.__cause__

    async def _next_event(self, stream: ResponseStream, *, background: bool) -> Event | None:
        if self._cancelled:
            raise _CancelledByCaller
        self._reading = stream  # `cancel` interrupts it: a scope around each event would cost a tenth of a stream
        try:
            if background:  # taking a stream up again has waits of its own
                return await self._interruptible(anext(stream, None))
            return await anext(stream, None)
        except (UnreachableError, IncompleteStreamError) as error:
            if self._cancelled:
                raise _CancelledByCaller from error
            raise _BrokenReply(error, stream) from error
        finally:
            self._reading = None

    def _mended(self, error: StatusError, params: Mapping[str, Any], effect: loop.CallModel) -> bool:
        """Note what was refused and can be left out or told in another way; false if it was something else."""
        from agentrt.drivers.refusals import mend  # noqa: PLC0415 - on a refusal only

        reason = mend(error, params, self.state.threads[effect.thread], self._plan.fixed, self._client)
        if reason is not None and reason != "parameter":
            self.state, _ = loop.step(self.state, loop.ModelFailed(effect.turn, reason, effect.thread))
        return reason is not None

    async def _run_tool(self, job: tuple[loop.RunTool, Prepared, Caller]) -> None:
        effect, prepared, caller = job
        call = cast("FunctionCall", effect.call)
        self._deliver(ToolStarted(call.call_id, call.name, str(call.arguments or ""), effect.thread))
        started = time.perf_counter()
        answer = await run_prepared(prepared, caller)
        output = answer.item["output"]
        output = output if isinstance(output, str) else output_text(output)
        took = time.perf_counter() - started
        told = ToolFinished(call.call_id, call.name, output, answer.failed, took, effect.thread)
        if answer.artifact is not None:
            told = told._replace(artifact=answer.artifact)
            self.artifacts[call.call_id] = answer.artifact
        self._deliver(told)
        self._deliver(loop.ToolReturned(effect.turn, effect.position, answer.item, effect.thread))

    def _report(self, call: Mapping[str, Any], fraction: float | None, message: str, piece: Any) -> None:
        output = "" if piece is None else output_text(encode_output(piece).value)
        call_id, name = as_str(call.get("call_id")), as_str(call.get("name"))
        told = ToolProgress(call_id, name, fraction, message, output)
        thread, token = self._home
        if threading.get_ident() == thread:
            self._deliver(told)
        else:
            call_soon(token, self._deliver, told)

    def _deliver(self, part: RunEvent | loop.ToolReturned) -> None:
        self._inbox.append(part)
        self._arrived.set()


def _check_reply(response: Response) -> None:
    """Raise where a run can't go on from a reply."""
    if response.status == "failed":
        error = response.error or {}
        message = error.get("message") or "the server gave no reason"
        raise ResponseFailedError(f"the model's response failed: {message}", code=error.get("code"))
    waiting = unanswerable(response.items)
    if waiting is not None:
        mend = "require_approval='never'" if waiting == "mcp_approval_request" else "leave that tool out of tools="
        raise UsageError(f"the model made a {waiting}, which agentrt can't answer yet; {mend}")
