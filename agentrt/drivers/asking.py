"""One turn of a thread: asks the model until there is a reply, and tells what comes meanwhile."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from agentrt.client import Client, ResponseStream
from agentrt.core.history import final_text, next_request, unanswerable
from agentrt.core.protocol import CallModel, ModelFailed, ModelReplied, Moved, Stop
from agentrt.core.state import Meter, Thread, Verdict
from agentrt.drivers.hosted import HostedCalls
from agentrt.drivers.plan import AgentPlan
from agentrt.errors import (
    IncompleteStreamError,
    ResponseFailedError,
    RunRefused,
    ServerError,
    StatusError,
    UnreachableError,
    UsageError,
)
from agentrt.events import ReasoningDelta, RunEvent, TextDelta, TurnRestarted, TurnStarted, UsageReported, Where
from agentrt.hooks import asked
from agentrt.registry.context import Context
from agentrt.wire.events import Event
from agentrt.wire.items import CALLS, CLIENT_CALLS
from agentrt.wire.responses import Response

if TYPE_CHECKING:
    from agentrt.drivers.local import Run

__all__ = ["Asking", "StoppedByCaller", "composed"]

T = TypeVar("T")
Told = RunEvent | ModelReplied | Stop | None
logger = logging.getLogger("agentrt.run")

_CANCEL_SECONDS = 2.0
_NOTHING = Meter()
_REASONING = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")


class StoppedByCaller(Exception):  # noqa: N818 - it never leaves the driver
    """The run was cancelled, or its time is up."""


class _BrokenReply(Exception):  # noqa: N818 - it never leaves this module
    """A stream that had begun broke: nothing that counts was run from it, so it can be asked for again."""

    def __init__(self, error: ServerError, stream: ResponseStream) -> None:
        super().__init__(str(error))
        self.error = error
        self.stream = stream


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """The request itself was refused: in another form it may be taken."""

    def __init__(self, error: StatusError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(eq=False, repr=False)
class Asking:
    """One turn.

    Args:
        run: The run.
        effect: What the core asks for.
        plan: The plan of the thread's agent.
        client: Its client.
        where: Where what happens belongs.
        interruptible: Whether `interrupt` may be called; other turns end with their task.
    """

    _run: Run[Any]
    _effect: CallModel
    _plan: AgentPlan
    _client: Client
    _where: Where
    _interruptible: bool
    _interrupted: bool = False
    _waiting: anyio.CancelScope | None = None
    _reading: ResponseStream | None = None
    _background_id: str | None = None
    _spent: Meter = _NOTHING

    @property
    def key(self) -> tuple[str, int]:
        """Where its scope is kept, beside those of the thread's calls."""
        return self._effect.thread, -1

    def interrupt(self) -> None:
        """End the wait that is under way, and allow no other."""
        self._interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()
        if self._reading is not None:
            self._reading.interrupt()

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Wait for something in such a way that `interrupt` ends the wait."""
        if not self._interruptible:
            return await awaitable
        with anyio.CancelScope() as self._waiting:
            if self._interrupted:
                self._waiting.cancel()
            return await awaitable
        raise StoppedByCaller

    async def told(self) -> AsyncGenerator[Told, None]:
        """Give what happens, and at last the reply, or that a hook refuses to go on."""
        effect, plan, run = self._effect, self._plan, self._run
        fixed, thread = plan.fixed, run.state.threads[effect.thread]
        yield TurnStarted(self._where, effect.last, plan.model)
        if thread.provider != self._client.base_url or thread.history != "replay":
            await self._prepare_history()
        if plan.offer is not None or plan.instructions is not None:
            fixed = await self._varied(fixed)
        deadline = anyio.current_time() + fixed.get("timeout", self._client.timeout)
        again, tries = dict[str, Any](), 0
        while True:
            thread = run.state.threads[effect.thread]
            params = {**composed(plan, thread, effect, fixed, self._client), **again}
            try:
                async with aclosing(self._reply(params, deadline)) as parts:
                    async for part in parts:
                        yield part
            except StoppedByCaller:
                await self._cancel_background()
                raise
            except RunRefused as refused:
                yield Stop("refused", None, run.worked(), str(refused), effect.thread, self._spent)
                return
            except _Refused as refusal:
                if not self._mended(refusal.error, params):
                    raise refusal.error from refusal.error.__cause__
                again = {}  # it is another request now, under another key
            except _BrokenReply as broken:
                tries += broken.stream.tries
                left = deadline - anyio.current_time()
                wait = self._client.wait_before(broken.error, tries, left, max_retries=fixed.get("max_retries"))
                if wait is None or not broken.stream.repeatable:
                    raise broken.error from broken.error.__cause__
                logger.warning("the reply broke off and is asked for again in %.1f s: %s", wait, broken.error)
                run.calls.throw_away(effect)
                yield TurnRestarted(self._where, str(broken.error))
                await self.wait(anyio.sleep(wait))
                again = dict[str, Any](extra_headers=broken.stream.request.own_headers(fixed.get("extra_headers")))
            else:
                return
            again["timeout"] = max(0.1, deadline - anyio.current_time())
            again["max_retries"] = max(0, fixed.get("max_retries", self._client.max_retries) - tries)

    def _context(self) -> Context[Any]:
        return self._run.context(self._effect.thread)

    async def _varied(self, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for what may differ from turn to turn: the tools on offer, the instructions."""
        varied, context = dict(fixed), self._context()
        if self._plan.sources:
            from agentrt.drivers.sources import settled  # noqa: PLC0415 - few agents have any

            await self.wait(settled(self._run, self._plan.sources, self._where))
        if self._plan.offer is not None:
            varied["tools"] = self._plan.offer(context)
        if self._plan.instructions is not None:
            made = self._plan.instructions(context)
            text = await self.wait(asked(made))
            if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"instructions= gave {text!r:.100}; the function must return a text")
            varied["instructions"] = text
        return varied

    async def _hooked(self, params: dict[str, Any]) -> dict[str, Any]:
        for hook in self._plan.hooks:
            changed = await self.wait(asked(hook.before_model(self._context(), params)))
            params = params if changed is None else dict(changed)
        return params

    async def _prepare_history(self) -> None:
        """Leave out what this provider can't read, and make the conversation that the thread keeps its history in."""
        effect, run = self._effect, self._run
        if run.state.threads[effect.thread].provider != self._client.base_url:
            run.take(Moved(effect.turn, self._client.base_url, effect.thread))
        thread = run.state.threads[effect.thread]
        if thread.history == "replay" or thread.anchor is not None:
            return
        name = "previous_response_id" if thread.history == "response" else "conversation"
        if name not in self._client.refused(self._plan.fixed["model"]):
            from agentrt.drivers.refusals import conversation  # noqa: PLC0415 - only this form of history needs it

            if thread.history == "response" or await conversation(self, run, effect, self._client):
                return
        logger.warning("the provider keeps no history (%s); it is replayed instead", name)
        run.take(ModelFailed(effect.turn, "unsupported", effect.thread))

    async def _reply(self, params: dict[str, Any], deadline: float) -> AsyncGenerator[Told, None]:
        if self._interrupted:
            raise StoppedByCaller
        if self._plan.hooks:
            params = await self._hooked(params)
        hosted = HostedCalls(self._where) if self._plan.hosted else None
        said = 0
        if self._run.streaming:
            stream = self._client.stream(**params)
            await self._posted(stream.__aenter__())
            async with aclosing(stream), aclosing(self._streamed(stream, hosted)) as parts:
                async for part in parts:
                    if isinstance(part, TextDelta):
                        said += len(part.delta)
                    elif isinstance(part, TurnRestarted):
                        said = 0
                    yield part
                response = stream.response
        else:
            params.pop("stream_options", None)  # they say how to stream, and this doesn't
            response = await self._posted(self._client.create(**params))
        if response.status in ("queued", "in_progress"):
            self._background_id = response.id
            response = await self.wait(self._client.wait(response, timeout=deadline - anyio.current_time()))
        if self._run.streaming and len(response.text) > said:  # it was polled, or told only at the end
            yield TextDelta(self._where, response.text[said:])
        for part in () if hosted is None else hosted.rest(response.items):
            yield part
        cost = self._cost(response) if self._plan.is_priced or self._run.state.limits.cost is not None else None
        yield UsageReported(self._where, response, self._run.state.meter.usage, cost)
        yield await self._replied(response, cost)

    async def _streamed(self, stream: ResponseStream, hosted: HostedCalls | None) -> AsyncGenerator[Told, None]:
        begun, background = 1, stream.request.background
        early = self._run.calls.starts_early(self._effect)
        where = self._where
        while (event := await self._next_event(stream, background=background)) is not None:
            if background:
                self._background_id = stream.partial.id
            if background and stream.begun > begun:
                begun = stream.begun
                self._run.calls.throw_away(self._effect)
                yield TurnRestarted(where, "the server sends the reply from its beginning again")
            kind = event.type
            if kind == "response.output_text.delta":
                yield TextDelta(where, event.delta)
            elif kind in _REASONING:
                yield ReasoningDelta(where, event.delta)
            elif kind.startswith("response.output_item."):
                if early and kind == "response.output_item.done":
                    self._run.calls.see(self._effect, event)
                for part in hosted.told(event) if hosted is not None else ():
                    yield part
            if early and self._run.calls.early:
                yield None  # what early calls tell meanwhile is not kept back until the reply is whole

    async def _cancel_background(self) -> None:
        """Let the server end what it works on in the background, as nobody waits for it any more."""
        if self._background_id is not None:
            with anyio.move_on_after(_CANCEL_SECONDS, shield=True):
                try:
                    await self._client.cancel(self._background_id)
                except ServerError as error:
                    logger.warning("the background response %s could not be cancelled: %s", self._background_id, error)

    async def _posted(self, request: Awaitable[T]) -> T:
        """Send a request; a status that refuses it is told apart from one that comes later, while its reply is read."""
        try:
            return await self.wait(request)
        except StatusError as error:
            raise _Refused(error) from error.__cause__

    async def _next_event(self, stream: ResponseStream, *, background: bool) -> Event | None:
        if self._interrupted:
            raise StoppedByCaller
        self._reading = stream  # `interrupt` reaches it: a scope around each event would cost a tenth of a stream
        try:
            if background:  # taking a stream up again has waits of its own
                return await self.wait(anext(stream, None))
            return await anext(stream, None)
        except (UnreachableError, IncompleteStreamError) as error:
            if self._interrupted:
                raise StoppedByCaller from error
            raise _BrokenReply(error, stream) from error
        finally:
            self._reading = None

    async def _replied(self, response: Response, cost: float | None) -> ModelReplied:
        """Find out what the core must know of a reply: its calls, and what is wrong with its answer."""
        run, plan, effect = self._run, self._plan, self._effect
        for hook in plan.hooks:
            self._spent = Meter(0, 0, response.usage, cost or 0.0)
            changed = await self.wait(asked(hook.after_model(self._context(), response)))
            response = response if changed is None else changed
        verdicts: dict[int, Verdict] = {}
        for position, item in enumerate(response.items):
            if item.type in CALLS:
                found = run.calls.verdict(effect.thread, position, item)
                verdicts[position] = found if isinstance(found, Verdict) else await self.wait(found)
            elif item.type in CLIENT_CALLS:
                _check_answerable(response)
        if response.status == "failed":
            error = response.error or {}
            message = error.get("message") or "the server gave no reason"
            raise ResponseFailedError(f"the model's response failed: {message}", code=error.get("code"))
        problem = await self._problem(response) if plan.output is not None and not verdicts else None
        told = (effect.turn, response, effect.thread, verdicts, problem, cost)
        return ModelReplied(*told, run.worked(), plan.output_retries)

    async def _problem(self, response: Response) -> str | None:
        from agentrt.drivers.triage import problem_of  # noqa: PLC0415 - only a structured answer needs it

        text = final_text(response.items)
        if response.status != "completed" or (response.refusal is not None and not text):
            return None
        return await self.wait(problem_of(self._run, self._effect.thread, text))

    def _cost(self, response: Response) -> float | None:
        plan = self._plan
        from agentrt.prices import cost_of  # noqa: PLC0415 - few want to know
        from agentrt.wire.requests import model_names  # noqa: PLC0415 - as above

        names = (response.model, *model_names(plan.fixed["model"]))
        costs = (cost_of(name, response.usage, plan.prices, self._client.provider) for name in names)
        return next((cost for cost in costs if cost is not None), None)

    def _mended(self, error: StatusError, params: Mapping[str, Any]) -> bool:
        """Note what was refused and can be left out or told in another way; false if it was something else."""
        from agentrt.drivers.refusals import mend  # noqa: PLC0415 - on a refusal only

        effect, run = self._effect, self._run
        reason = mend(error, params, run.state.threads[effect.thread], self._plan.fixed, self._client)
        if reason is not None and reason != "parameter":
            run.take(ModelFailed(effect.turn, reason, effect.thread))
        return reason is not None


def _check_answerable(response: Response) -> None:
    waiting = unanswerable(response.items)
    if waiting is not None:
        raise UsageError(f"the model made a {waiting}, which agentrt can't answer yet; leave that tool out of tools=")


def composed(
    plan: AgentPlan, thread: Thread, effect: CallModel, fixed: Mapping[str, Any], client: Client
) -> dict[str, Any]:
    """Compose the parameters of a request as the history stands and with what the provider is known to refuse.

    Args:
        plan: The plan of the thread's agent.
        thread: The thread as it stands.
        effect: What the core asks for.
        fixed: The plan's own parameters, with what varies from turn to turn.
        client: The agent's client.
    """
    refused, final = client.refused(fixed["model"]), None
    if thread.compacted or plan.max_history is not None or plan.output is not None:
        from agentrt.drivers.triage import shaped  # noqa: PLC0415 - most requests are as they are

        thread, fixed, final = shaped(plan, thread, fixed, by_call="text" in refused)
    last, left = effect.last, effect.max_tool_calls
    return next_request(thread, last=last, max_tool_calls=left, fixed=fixed, refused=refused, final=final)
