"""Runs the calls of one reply: each gets exactly one output item, whatever its tool does.

`Crew` says what runs when, `prepare_call` and `run_prepared` answer one call.
"""

from __future__ import annotations

import inspect
import itertools
import logging
import sys
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import anyio
import anyio.abc
import anyio.lowlevel

from agentrt.errors import ToolError, ToolRetry
from agentrt.registry.context import Ask, Context, ToolAsks, call_key
from agentrt.registry.escapes import let_out
from agentrt.registry.output import as_text, encode_output
from agentrt.registry.tool import ToolTimeout
from agentrt.wire.items import CALLS
from agentrt.wire.json import as_str
from agentrt.wire.responses import Usage

if TYPE_CHECKING:
    from agentrt.registry.tool import Tool

__all__ = [
    "MAX_PARALLEL",
    "Answer",
    "Approver",
    "Caller",
    "Crew",
    "Prepared",
    "answer_call",
    "context_of",
    "needs_approval",
    "prepare_call",
    "run_prepared",
]

AnyTool: TypeAlias = "Tool[..., Any]"
Approver = Callable[["Tool[..., Any]", dict[str, Any]], bool | Awaitable[bool]]
"""Says whether a call may run: takes the tool and the call's checked arguments by name."""

_SHOWN_NAMES, _SHOWN_ERROR = 20, 2000
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0

logger = logging.getLogger("agentrt.registry")

MAX_PARALLEL = 64
"""Calls that run at once. 64 sync tools of 50 ms then take 56 ms, where a bound of 16 would take 207 (measured)."""


class Answer(NamedTuple):
    """How a call ended.

    Attributes:
        item: The output item for the model.
        failed: Whether the item tells of an error.
        artifact: The whole output as text, where the item has only its head and its tail.
    """

    item: dict[str, Any]
    failed: bool
    artifact: str | None = None


@dataclass(eq=False, repr=False)
class Caller:
    """For whom calls are answered.

    Args:
        deps: What tools get as ``context.deps``.
        run_id: The run's id, part of each call's idempotency key.
        turn: The turn that the calls came in.
        usage: Tokens used so far.
        approve: Says whether a call that needs approval may run; without it none of them does.
        report: Takes what tools tell meanwhile: call, fraction, message, piece of the output. Called on any thread.
        agent: The name of the agent that calls.
        thread: The run's thread, part of the key too; empty for the main one.
        decided: Whether approval was dealt with before.
        reply: What was answered to what the call asked when it ran before.
        ask: Asks a person while a call goes on; None where there is nobody.
        attended: Whether a call may ask somebody, by raising `ToolAsks`.
    """

    deps: Any = None
    run_id: str = ""
    turn: int = 0
    usage: Usage = field(default_factory=Usage)
    approve: Approver | None = None
    report: Callable[[Mapping[str, Any], float | None, str, Any], None] | None = None
    agent: str = ""
    thread: str = ""
    decided: bool = False
    reply: Mapping[str, Any] | None = None
    ask: Ask | None = None
    attended: bool = False


class Prepared(NamedTuple):
    """A call whose arguments have been read.

    Attributes:
        call: The call item as it came.
        position: Its position in the reply's output.
        tool: The tool that it is for; None where there is none.
        values: The checked arguments by name.
        problem: Why it can't run; None where it can.
        lane: What it works on; see ``resource=`` of a tool.
        exclusive: Whether nothing may run beside it.
    """

    call: Mapping[str, Any]
    position: int
    tool: AnyTool | None
    values: dict[str, Any]
    problem: str | None
    lane: str | None
    exclusive: bool


def prepare_call(tools: Mapping[str, AnyTool], call: Mapping[str, Any], position: int, caller: Caller) -> Prepared:
    """Find a call's tool and read its arguments. Raises nothing.

    Args:
        tools: The tools that may be called, by key.
        call: The call item as it came.
        position: Its position in the reply's output.
        caller: For whom.
    """
    name, namespace = as_str(call.get("name")), as_str(call.get("namespace"))
    tool = tools.get(f"{namespace}.{name}" if namespace else name)
    try:
        if tool is None or (
            tool.enabled is not True and not tool.is_enabled(context_of(tool, call, position, caller, 1))
        ):
            raise ToolError(_unknown([key for key, known in tools.items() if known is not tool], call.get("name")))
        values = tool.form.read(call.get("arguments"))
    except ToolError as error:
        return Prepared(call, position, None, {}, as_text(error), None, exclusive=False)
    except BaseException as error:  # noqa: BLE001 - a validator or a predicate of the user's own may raise anything
        let_out(error)
        return Prepared(call, position, None, {}, _told(call, error), None, exclusive=False)
    lane = None if tool.resource is None else _lane(tool.resource, tool, values)
    return Prepared(call, position, tool, values, None, lane, tool.exclusive)


def _lane(resource: str, tool: Tool[..., Any], values: Mapping[str, Any]) -> str:
    try:
        return resource.format_map({**tool.form.defaults, **values})
    except Exception:  # noqa: BLE001 - a template that doesn't fit these arguments is one lane for all
        return resource


def context_of(tool: AnyTool, call: Mapping[str, Any], position: int, caller: Caller, attempt: int) -> Context[Any]:
    """Make what a tool may know of the run that calls it."""
    report = caller.report

    def tell(fraction: float | None, message: str, piece: Any) -> None:
        if report is not None:
            report(call, fraction, message, piece)

    return Context(
        caller.deps,
        call_id=as_str(call.get("call_id")),
        key=call_key(caller.run_id + caller.thread, caller.turn, position, tool.key),
        run_id=caller.run_id,
        agent=caller.agent,
        turn=caller.turn,
        attempt=attempt,
        timeout=tool.timeout,
        usage=caller.usage,
        report=tell,
        reply=caller.reply,
        ask=caller.ask,
    )


async def answer_call(
    tools: Mapping[str, AnyTool], call: Mapping[str, Any], position: int = 0, caller: Caller | None = None
) -> Answer:
    """Run one call and answer it. Raises nothing but a cancellation of the caller, and a Ctrl-C of the user.

    Args:
        tools: The tools that may be called, by key.
        call: The call item as it came.
        position: Its position in the reply's output.
        caller: For whom; default nobody in particular.
    """
    known = caller or Caller(run_id=uuid.uuid4().hex)
    return await run_prepared(prepare_call(tools, call, position, known), known)


async def run_prepared(prepared: Prepared, caller: Caller) -> Answer:
    """Run a prepared call and answer it; see `answer_call`."""
    call, tool = prepared.call, prepared.tool
    if tool is None:
        return _failed(call, str(prepared.problem))
    for attempt in itertools.count(1):
        try:
            if attempt == 1 and tool.approval is not False and not caller.decided:
                await _check_approval(tool, prepared.values, caller)
            context = context_of(tool, call, prepared.position, caller, attempt) if tool.form.wants_context else None
            direct = tool.is_async and tool.form.is_direct
            made = await (tool.function(**prepared.values) if direct else tool.run(prepared.values.copy(), context))
            output, artifact = encode_output(made)
            return Answer(CALLS["function_call"].answer(call, output), failed=False, artifact=artifact)
        except anyio.get_cancelled_exc_class():
            await anyio.lowlevel.checkpoint_if_cancelled()  # raises again if it is the run that was cancelled
            return _failed(call, "the tool was cancelled")
        except BaseException as error:
            if tool.is_async:  # in a thread nobody presses Ctrl-C
                let_out(error)
            if isinstance(error, ToolAsks):
                if caller.attended:
                    raise
                return _failed(call, f"it asks for values, and there is nobody to give them: {error}")
            if attempt > tool.retries or not _worth_another_try(error, tool):
                text = as_text(error) if isinstance(error, ToolError) else _told(call, error)
                return _failed(call, text)
            logger.info("try %d of the tool %r failed: %s", attempt, call.get("name"), as_text(error))
        await anyio.sleep(min(_FIRST_WAIT * 2.0 ** (attempt - 1), _LONGEST_WAIT))
    raise AssertionError("unreachable")  # pragma: no cover - the count has no end


async def _check_approval(tool: Tool[..., Any], values: dict[str, Any], caller: Caller) -> None:
    """Raise ToolError where a call needs somebody's word and doesn't get it. Only True is a yes."""
    if not await needs_approval(tool, values):
        return
    arguments = {**tool.form.defaults, **values}
    if caller.approve is None:
        raise ToolError("this call needs approval, and there is nobody to give it; it was not run")
    if await _asked(tool, caller.approve, tool, arguments) is not True:
        raise ToolError("this call was not approved; it was not run")


async def needs_approval(tool: Tool[..., Any], values: dict[str, Any]) -> bool:
    """Tell whether a call needs somebody's word; raises ToolError where that can't be found out."""
    return bool(await _asked(tool, tool.approval, {**tool.form.defaults, **values}))


async def _asked(tool: Tool[..., Any], question: Any, *arguments: Any) -> Any:
    if isinstance(question, bool):
        return question
    try:
        answer = question(*arguments)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        logger.exception("whether the tool %r may run could not be asked", tool.given_name)
        raise ToolError("whether this call is approved could not be found out; it was not run") from error


def _worth_another_try(error: BaseException, tool: Tool[..., Any]) -> bool:
    if isinstance(error, ToolRetry):
        return True
    words = isinstance(error, ToolError) and not isinstance(error, ToolTimeout)
    return tool.effect != "unsafe" and isinstance(error, Exception) and not words


def _failed(call: Mapping[str, Any], text: str) -> Answer:
    output, artifact = encode_output(f"Error: {text}")
    return Answer(CALLS["function_call"].answer(call, output), failed=True, artifact=artifact)


def _told(call: Mapping[str, Any], error: BaseException) -> str:
    logger.warning("the tool %r failed", call.get("name"), exc_info=error)
    told = encode_output(error, _SHOWN_ERROR).value
    return told if isinstance(told, str) else as_text(error)


def _unknown(names: list[str], name: object) -> str:
    import difflib  # noqa: PLC0415 - only a model's slip needs it

    near = difflib.get_close_matches(str(name), names, n=3)
    if near:
        return f"there is no tool named {name!r}; did you mean {' or '.join(map(repr, near))}?"
    return f"there is no tool named {name!r}; the tools are {names[:_SHOWN_NAMES]}"


class _Job(NamedTuple):
    run: Callable[[Any], Awaitable[None]]
    argument: Any
    lane: str | None
    exclusive: bool


@dataclass(eq=False, repr=False)
class Crew:
    """Runs jobs, started in the order in which they were added as far as lanes allow.

    Args:
        group: The task group that owns the workers.
        limit: Jobs that may run at once.
    """

    _group: anyio.abc.TaskGroup
    _limit: int
    _queue: deque[_Job] = field(default_factory=deque[Any], init=False)
    _lanes: dict[str, deque[_Job]] = field(default_factory=dict[str, "deque[_Job]"], init=False)
    _handed: deque[_Job] = field(default_factory=deque[Any], init=False)
    _scopes: set[anyio.CancelScope] = field(default_factory=set[Any], init=False)
    _running: int = field(default=0, init=False)
    _alone: bool = field(default=False, init=False)

    def add(
        self,
        job: Callable[[Any], Awaitable[None]],
        argument: Any,
        lane: str | None = None,
        *,
        exclusive: bool = False,
    ) -> None:
        """Queue ``job(argument)``; it starts as soon as a place is free.

        Args:
            job: The job.
            argument: What it gets.
            lane: What it works on: of the jobs of one lane one runs at a time.
            exclusive: Whether it runs with nothing beside it; what comes after it waits.
        """
        self._queue.append(_Job(job, argument, lane, exclusive))
        if len(self._scopes) < self._limit:
            self._scopes.add(scope := anyio.CancelScope())
            self._group.start_soon(self._work, scope)

    def close(self) -> None:
        """Cancel what runs, and begin nothing any more of what waits."""
        self._queue.clear()
        self._handed.clear()
        for scope in self._scopes:
            scope.cancel()

    async def _work(self, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                while (job := self._next()) is not None:
                    self._running += 1
                    self._alone = job.exclusive
                    try:
                        await job.run(job.argument)
                    finally:
                        self._running -= 1
                        if job.lane is not None or job.exclusive:
                            self._end(job)
                    try:  # a crew of tools that never wait must not starve the event loop
                        await anyio.lowlevel.checkpoint()
                    except anyio.get_cancelled_exc_class():
                        # Of the run, and raised again; or of a tool that cancelled its own task and then ended.
                        await anyio.lowlevel.checkpoint_if_cancelled()
        finally:
            self._scopes.discard(scope)

    def _next(self) -> _Job | None:
        if self._handed:
            return self._handed.popleft()
        while self._queue:
            job = self._queue[0]
            if self._alone or (job.exclusive and self._running):
                return None
            self._queue.popleft()
            if job.lane is None:
                return job
            if job.lane not in self._lanes:
                self._lanes[job.lane] = deque()
                return job
            self._lanes[job.lane].append(job)
        return None

    def _end(self, job: _Job) -> None:
        """Hand the lane on, and call back the workers that went while a job ran alone."""
        if isinstance(sys.exc_info()[1], anyio.get_cancelled_exc_class()):
            return self.close()  # a task that is started in a cancelled scope runs up to its first wait all the same
        if job.lane is not None:
            waiting = self._lanes[job.lane]
            if waiting:
                self._handed.append(waiting.popleft())
            else:
                del self._lanes[job.lane]
        if job.exclusive:
            self._alone = False
            for _ in range(min(len(self._queue) - 1, self._limit - len(self._scopes))):
                self._scopes.add(scope := anyio.CancelScope())
                self._group.start_soon(self._work, scope)
        return None
