"""What happens next: the one place where a run's state changes.

`step` is pure: no I/O, no clock, no randomness, no user code. A driver performs the effects that it returns and feeds
back what happened as events. The table `LEGAL` is the whole of what may happen when; anything else raises and changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from agentrt.core.history import answer_all, failure, read_reply, with_valid_arguments, without_reasoning
from agentrt.core.limits import Limits
from agentrt.core.state import MAIN, Phase, RunState, Status, Thread, evolve
from agentrt.errors import UsageError
from agentrt.wire.items import HOSTED_CALLS, Item
from agentrt.wire.responses import Response

__all__ = [
    "LEGAL",
    "CallModel",
    "Effect",
    "Event",
    "Finish",
    "ModelFailed",
    "ModelReplied",
    "RunTool",
    "Start",
    "Stop",
    "ToolReturned",
    "step",
]


class Start(NamedTuple):
    """The run begins with the items in the thread's history.

    Attributes:
        anchor: The conversation that was made for the run, where it keeps its history in one.
    """

    anchor: str | None = None
    thread: str = MAIN


class ModelReplied(NamedTuple):
    """The model's reply to the request of this turn has come whole."""

    turn: int
    response: Response
    thread: str = MAIN


class ModelFailed(NamedTuple):
    """The request of this turn was refused for a reason that another form of the history mends.

    Attributes:
        reason: ``state_lost``: the server has no such response or conversation (any more);
            ``unsupported``: it keeps none at all; ``reasoning_refused``: it can't read the reasoning items;
            ``arguments_refused``: it reads no arguments that are no JSON.
    """

    turn: int
    reason: Literal["state_lost", "unsupported", "reasoning_refused", "arguments_refused"]
    thread: str = MAIN


class ToolReturned(NamedTuple):
    """A call has its output item. ``turn`` and ``position`` (in ``output``) are those of the `RunTool` it answers."""

    turn: int
    position: int
    output: dict[str, Any]
    thread: str = MAIN


class Stop(NamedTuple):
    """Somebody cancelled the run: open calls are answered, nothing more is asked."""

    thread: str = MAIN


class CallModel(NamedTuple):
    """Send a request with the thread's history.

    Attributes:
        turn: The turn that the reply must name.
        last: Send ``tool_choice: "none"``, so that the model answers with what it has.
        max_tool_calls: What remains of the run's calls, for the request; None where there is no bound or no call left.
        thread: The conversation.
    """

    turn: int
    last: bool
    max_tool_calls: int | None
    thread: str


class RunTool(NamedTuple):
    """Run one call. Effects of one step may run at once."""

    turn: int
    position: int
    call: Item
    thread: str


class Finish(NamedTuple):
    """The run is over; the state says how."""

    status: Status


Event = Start | ModelReplied | ModelFailed | ToolReturned | Stop
Effect = CallModel | RunTool | Finish
Step = tuple[RunState, list[Effect]]


def step(state: RunState, event: Event) -> Step:
    """Take the run one event further.

    Args:
        state: Where the run stands; it is not changed.
        event: What happened.

    Returns:
        The new state, and what a driver has to do now.

    Raises:
        UsageError: The event can't happen in this phase.
    """
    thread = state.threads.get(event.thread)
    handler = LEGAL.get((thread.phase, type(event))) if thread is not None else None
    if thread is None or handler is None:
        where = f"in phase {thread.phase!r}" if thread is not None else f"of the unknown thread {event.thread!r}"
        raise UsageError(f"{type(event).__name__} can't happen {where}; feed each effect's outcome back once")
    return handler(state, thread, event)


def _put(state: RunState, name: str, thread: Thread, **changes: Any) -> RunState:
    return evolve(state, threads={**state.threads, name: thread}, **changes)


def _ask(state: RunState, name: str, thread: Thread) -> Step:
    last = state.meter.is_last_turn(state.limits)
    meter = evolve(state.meter, turns=state.meter.turns + 1)
    thread = evolve(thread, phase="model", turn=thread.turn + 1, last=last, calls={}, outputs={})
    return _put(state, name, thread, meter=meter), [_request(state, name, thread)]


def _request(state: RunState, name: str, thread: Thread) -> CallModel:
    return CallModel(thread.turn, thread.last, state.meter.calls_left(state.limits) or None, name)


def _begin(state: RunState, thread: Thread, event: Start) -> Step:
    return _ask(state, event.thread, evolve(thread, anchor=event.anchor) if event.anchor else thread)


def _failed(state: RunState, thread: Thread, event: ModelFailed) -> Step:
    """Ask again in the same turn: with the whole history, or without the reasoning."""
    _check_turn(thread, event.turn)
    if event.reason == "reasoning_refused":
        thread = _without_reasoning(thread)
    elif event.reason == "arguments_refused":
        thread = evolve(thread, items=with_valid_arguments(thread.items))
    elif thread.outside:
        raise UsageError("what came before this run's items is lost with the server's state, and can't be rebuilt")
    else:
        kept = thread.history == "response" and event.reason == "state_lost"
        thread = evolve(thread, history="response" if kept else "replay", anchor=None, known=0)
    return _put(state, event.thread, thread), [_request(state, event.thread, thread)]


def _without_reasoning(thread: Thread) -> Thread:
    """Leave reasoning out of what is sent; where none was sent, the server's own is left behind by replaying."""
    known = thread.known
    if not any(item.type == "reasoning" for item in thread.items[known:]):
        thread, known = evolve(thread, anchor=None, known=0), 0
    items = (*thread.items[:known], *without_reasoning(thread.items[known:]))
    given = thread.given
    if given > known:
        given = known + len(without_reasoning(thread.items[known:given]))
    return evolve(thread, items=items, given=given)


def _check_turn(thread: Thread, turn: int) -> None:
    if turn != thread.turn:
        raise UsageError(f"a reply to turn {turn} can't come in turn {thread.turn}")


def _replied(state: RunState, thread: Thread, event: ModelReplied) -> Step:
    response = event.response
    _check_turn(thread, event.turn)
    reply = read_reply(response.items)
    calls = reply.calls
    hosted = sum(item.type in HOSTED_CALLS for item in reply.kept)
    meter = evolve(
        state.meter,
        calls=state.meter.calls + hosted + len(calls),
        usage=state.meter.usage.plus(response.usage),
    )
    left = state.meter.calls_left(state.limits)
    state = evolve(state, meter=meter)
    thread = evolve(thread, items=(*thread.items, *reply.kept))
    if thread.history != "replay":
        anchor = response.id if thread.history == "response" else thread.anchor
        thread = evolve(thread, anchor=anchor, known=len(thread.items) if anchor else 0)
    if response.status != "completed":
        items = answer_all(thread.items, calls, {}, f"the reply ended {response.status}, so its calls were not run")
        status: Status = "cancelled" if response.status == "cancelled" else "incomplete"
        return _finish(state, event.thread, evolve(thread, items=items), status)
    if not calls:
        refusal = response.refusal is not None and not response.text
        return _finish(state, event.thread, thread, "refused" if refusal else "completed")
    allowed, limit = _allowance(state.limits, thread, None if left is None else left - hosted)
    over = {index: failure(call, _over(limit)) for index, call in list(calls.items())[allowed:]}
    if over:
        state = evolve(state, stopped_by=state.stopped_by or limit)
    thread = evolve(thread, phase="tools", calls=calls, outputs={**reply.refused, **over})
    return _settle(state, event.thread, thread, _runnable(event.thread, thread))


def _over(limit: str) -> str:
    return f"limit reached ({limit}), so this call was not run; answer with what you have"


def _allowance(limits: Limits, thread: Thread, left: int | None) -> tuple[int, str]:
    """Count how many local calls of a reply may run, and name the limit that refuses the rest."""
    left = None if left is None else max(0, left)
    if thread.last:
        return 0, "max_tool_calls" if left == 0 else "max_turns"
    if left is not None and left < limits.max_calls_per_turn:
        return left, "max_tool_calls"
    return limits.max_calls_per_turn, "max_calls_per_turn"


def _runnable(name: str, thread: Thread) -> list[Effect]:
    waiting = [
        RunTool(thread.turn, index, call, name) for index, call in thread.calls.items() if index not in thread.outputs
    ]
    return list(waiting if thread.parallel else waiting[:1])


def _returned(state: RunState, thread: Thread, event: ToolReturned) -> Step:
    if event.turn != thread.turn or event.position not in thread.calls or event.position in thread.outputs:
        raise UsageError(
            f"call {event.position} of turn {event.turn} is not open; feed each effect's outcome back once"
        )
    thread = evolve(thread, outputs={**thread.outputs, event.position: Item(event.output)})
    return _settle(state, event.thread, thread, [] if thread.parallel else _runnable(event.thread, thread))


def _settle(state: RunState, name: str, thread: Thread, effects: list[Effect]) -> Step:
    """Go on to the model once every call has its output; outputs follow in the order of the calls."""
    if len(thread.outputs) < len(thread.calls):
        return _put(state, name, thread), effects
    thread = evolve(thread, items=answer_all(thread.items, thread.calls, thread.outputs, ""))
    if thread.last:
        return _finish(state, name, thread, "limit")
    return _ask(state, name, thread)


def _stopped(state: RunState, thread: Thread, event: Stop) -> Step:
    items = answer_all(thread.items, thread.calls, thread.outputs, "the run was cancelled before this call had ended")
    if thread.phase == "model" and thread.history == "conversation":
        # The server may have written the input into it, or not: only a new one is sure to hold each item once.
        thread = evolve(thread, anchor=None, known=0)
    return _finish(state, event.thread, evolve(thread, items=items), "cancelled")


def _finish(state: RunState, name: str, thread: Thread, status: Status) -> Step:
    if status == "completed" and state.stopped_by is not None:
        status = "limit"
    thread = evolve(thread, phase="done", calls={}, outputs={})
    return _put(state, name, thread, status=status), [Finish(status)]


Handler = Callable[[RunState, Thread, Any], Step]
LEGAL: Mapping[tuple[Phase, type[Event]], Handler] = {
    ("new", Start): _begin,
    ("model", ModelReplied): _replied,
    ("model", ModelFailed): _failed,
    ("tools", ToolReturned): _returned,
    ("new", Stop): _stopped,
    ("model", Stop): _stopped,
    ("tools", Stop): _stopped,
}
"""Every legal pair of phase and event, and what it leads to."""
