"""The end of a run, and other changes of its state that are to be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agentrt.core.loop import step
from agentrt.core.protocol import RunTool, Stop, ToolAsked, ToolReturned, Withdrawn
from agentrt.core.state import MAIN, RunState, Thread
from agentrt.errors import LimitReachedError, OutputError
from agentrt.events import AgentChanged, LimitReached, Noted, RunEvent, RunFinished, ToolFinished, ToolStarted
from agentrt.wire.json import as_str

if TYPE_CHECKING:
    from agentrt.drivers.local import Run

__all__ = ["at_rest", "begun", "changes", "check_end", "folded", "left"]


def folded(state: RunState, happened: Iterable[Any]) -> RunState:
    """Take outputs into the state that had come when the run was left."""
    for event in happened:
        came = isinstance(event, ToolReturned | ToolAsked)
        is_late = came and state.threads[event.thread].phase == "done"
        if came and state.status in (None, "pending") and not is_late:
            state, effects = step(state, event)
            for effect in effects:  # it was never handed out
                if isinstance(effect, RunTool) and state.status is None:
                    state, _ = step(state, Withdrawn(effect.turn, (effect.position,), effect.thread))
    return state


def at_rest(state: RunState, happened: Iterable[Any], not_begun: Iterable[RunTool], stop: Stop | None) -> RunState:
    """Give the state of a run that was left, so that it can be taken up again.

    Args:
        state: The state.
        happened: What had been told and not been read.
        not_begun: Calls that had not begun.
        stop: How the run was to end, where somebody had said so.
    """
    state = folded(state, happened)
    for effect in not_begun:
        thread = state.threads[effect.thread]
        if state.status is None and thread.turn == effect.turn and thread.phase != "done":
            state, _ = step(state, Withdrawn(effect.turn, (effect.position,), effect.thread))
    if stop is not None and state.status is None:
        state, _ = step(state, stop)
    return state


def changes(run: Run[Any], before: RunState, at: str) -> Iterator[RunEvent]:
    """Tell what a step has changed: limits, notes, agents that took over, sub-agents that began or ended.

    Args:
        run: The run.
        before: Its state before the step.
        at: The thread that the step was in.
    """
    state = run.state
    if at == MAIN and state.stopped_by is not None and state.stopped_by != before.stopped_by:
        yield LimitReached(run.where(at), state.stopped_by)
    told = 0 if before.threads[MAIN].phase == "new" else len(before.notes)  # a history is mended before the run begins
    for note in state.notes[told:]:
        yield Noted(run.where(MAIN), note)
    for name, thread in state.threads.items():
        earlier = before.threads.get(name)
        if earlier is not None and earlier.agent != thread.agent:
            yield AgentChanged(run.where(name), earlier.agent)
        if thread.parent is not None and thread.stopped_by and not (earlier and earlier.stopped_by):
            yield LimitReached(run.where(name), thread.stopped_by)
        if thread.parent is None or (earlier is not None and earlier.phase == thread.phase):
            continue
        where, parent = run.where(thread.parent), state.threads[thread.parent]
        call_id, call = thread.call_id or "", _of_call(parent, thread.call_id, "function_call")
        if earlier is None:
            yield begun(run, name)
        if thread.phase == "done":
            text = as_str(_of_call(parent, thread.call_id, "function_call_output").get("output"))
            took = run.worked() - run.calls.started_at.pop(name, run.worked())
            yield ToolFinished(where, call_id, as_str(call.get("name")), text, text.startswith("Error:"), took)


def begun(run: Run[Any], name: str) -> ToolStarted:
    """Tell that a sub-agent begins, or goes on after a resume; from now on its time is watched.

    Args:
        run: The run.
        name: Its thread.
    """
    thread = run.state.threads[name]
    assert thread.parent is not None
    run.calls.started_at[name] = run.worked()
    if thread.limits is not None and thread.limits.seconds is not None:
        run.group.start_soon(run.watch, run.worked() + thread.limits.seconds, name)
    call = _of_call(run.state.threads[thread.parent], thread.call_id, "function_call")
    told = (thread.call_id or "", as_str(call.get("name")), as_str(call.get("arguments")))
    return ToolStarted(run.where(thread.parent), *told)


def _of_call(thread: Thread, call_id: str | None, kind: str) -> Mapping[str, Any]:
    """Find a call or its output in a thread, among the open ones and in the history."""
    places = (*thread.calls.values(), *thread.outputs.values(), *reversed(thread.items))
    found = (item.raw for item in places if item.type == kind and item.raw.get("call_id") == call_id)
    return next(found, dict[str, Any]())


def near(run: Run[Any], thread: str) -> None:
    """Tell of the limit for which a turn is the last."""
    limit = run.state.threads[thread].last
    if limit is not None and limit != run.state.stopped_by:
        run.tell(LimitReached(run.where(thread), limit))


def left(run: Run[Any], error: BaseException | None) -> RunFinished:
    """Tell how a run ended that an error ended, or that was left before it was over.

    Args:
        run: The run.
        error: What came up to its block; a cancellation is no error.
    """
    said = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else None
    return RunFinished(run.where(MAIN), run.state.status, run.state.stopped_by, said)


def check_end(state: RunState) -> None:
    """Raise where the end of a run is an error: nothing fits the output type, or a limit that was to raise."""
    thread = state.threads[MAIN]
    if state.status == "incomplete" and thread.problem is not None:
        last = "" if thread.last is None else f", and it was the last turn: {thread.last}"
        raise OutputError(
            f"the model gave no answer that fits the output type (retries: {thread.tries}{last}): {thread.problem}"
        )
    if state.status == "limit" and state.limits.on_limit == "raise":
        raise LimitReachedError(
            f"the run reached {state.stopped_by} and is over: Result(error.state) has what there is, and "
            "agent.run(…, after=Result(error.state), limits=…) goes on from there",
            stopped_by=state.stopped_by,
        )
