"""What happens next: the one place where a run's state changes.

`step` is pure: no I/O, no clock, no randomness, no user code. A driver performs the effects that it returns and feeds
back what happened as events. The table `LEGAL` at the end is the whole of what may happen when; anything else raises
and changes nothing. Events and effects are in ``protocol.py``; what is rarer than a reply with calls of tools
is in ``replies.py``, what interrupts a run in ``interrupts.py``, what limits leave in ``budget.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from agentrt.core import budget, interrupts, replies
from agentrt.core.history import answer_all, edited_notice, failure, final_text, has_answer, read_reply
from agentrt.core.protocol import (
    CallModel,
    CallSeen,
    ConversationMade,
    Decided,
    Effect,
    Event,
    Finish,
    ModelFailed,
    ModelReplied,
    Moved,
    Resume,
    RunTool,
    Start,
    Step,
    Stop,
    ToolAsked,
    ToolReturned,
    Withdrawn,
)
from agentrt.core.roles import taken
from agentrt.core.state import NO_CALLS, Meter, Phase, RunState, Status, Thread, evolve
from agentrt.errors import UsageError
from agentrt.wire.items import Item, item_view

__all__ = ["LEGAL", "Move", "step"]

_TURN = Meter(turns=1)
_ASK, _ROLE, _WAITS = attrgetter("ask"), attrgetter("role"), attrgetter("waiting")
_TOOLS = frozenset({"tool"})


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
    move = LEGAL.get((thread.phase, type(event))) if thread is not None else None
    if thread is None or move is None or getattr(event, "turn", thread.turn) != thread.turn:
        raise UsageError(f"{type(event).__name__} {_misfit(thread, event)}; feed each effect's outcome back once")
    after, effects = move.handler(state, thread, event)
    if any(map(_WAITS, after.threads.values())) and after.status is None and not isinstance(event, Withdrawn):
        after, effects = _or_pending(after, effects)
    return evolve(after, steps=state.steps + 1), effects


def _misfit(thread: Thread | None, event: Any) -> str:
    if thread is None:
        return f"can't happen of the unknown thread {event.thread!r}"
    if (thread.phase, type(event)) not in LEGAL:
        return f"can't happen in phase {thread.phase!r}"
    return f"of turn {event.turn} can't come in turn {thread.turn}: that turn is not open"


def _or_pending(state: RunState, effects: list[Effect]) -> Step:
    """End in ``pending`` where nothing goes on any more without a decision."""
    if not any(map(_works, state.threads.values())):
        return evolve(state, status="pending"), [*effects, Finish("pending")]
    return state, effects


# --- asking the model


def _begin(state: RunState, _: Thread, event: Start) -> Step:
    return ask(state, event.thread)


def ask(state: RunState, name: str) -> Step:
    """Ask the model, for the last time where a limit is near; or end the thread where there is nothing left."""
    near: budget.Near | None = None
    if len(state.threads) > 1 or state.meter.last_because(state.limits) is not None:
        near = budget.near(state, name)
        if near is not None and near.spent:
            return finish(state.limited(name, near.limit, run=near.of_run), name, "limit")
    state = state.charged(name, _TURN)
    last, of_run = (None, False) if near is None else (near.limit, near.of_run)
    thread = state.threads[name]
    thread = evolve(thread, phase="model", turn=thread.turn + 1, last=last, last_of_run=of_run, **NO_CALLS)
    return state.put(name, thread), [request(state, name, thread)]


def request(state: RunState, name: str, thread: Thread) -> CallModel:
    """Make the effect that asks the model in the thread's turn."""
    forced = (
        thread.last is not None
        and (state.limits if thread.last_of_run else thread.limits or state.limits).on_limit == "answer"
    )
    bounded = len(state.threads) > 1 or state.limits.max_tool_calls is not None
    return CallModel(thread.turn, forced, budget.calls_left(state, name) if bounded else None, name)


# --- the reply


def _replied(state: RunState, thread: Thread, event: ModelReplied) -> Step:
    name, response, verdicts = event.thread, event.response, event.verdicts
    reply = read_reply(response.items)
    calls, free = reply.calls, state.limits
    bounded = free.max_tool_calls is not None or free.calls or len(calls) > free.max_calls_per_turn
    simple = (
        len(state.threads) == 1 and thread.last is None and not bounded and {*map(_ROLE, verdicts.values())} <= _TOOLS
    )
    refused, reached = dict[int, Item](), list[tuple[str, bool]]()
    worked = max(0.0, event.seconds - state.meter.seconds)
    spent = Meter(0, reply.hosted + len(calls), response.usage, event.cost or 0.0, worked)
    if not simple:
        refused, reached, spent = budget.held(state, name, reply, verdicts, spent)
    state = state.charged(name, spent)
    before, thread = thread, evolve(state.threads[name], items=(*thread.items, *reply.kept))
    if reply.compacted or thread.history != "replay":
        thread = replies.kept_by_server(thread, response, compacted=reply.compacted)
    if response.status != "completed":
        return replies.cut_off(state.put(name, thread), name, calls, response.status)
    if not calls:
        if event.problem is not None:
            return replies.sent_back(state.put(name, thread), name, event)
        return finish(state.put(name, thread), name, "refused" if response.is_refusal else "completed")
    plain = simple and thread.parallel and not (before.calls or reply.refused)
    if not plain or any(map(_ASK, verdicts.values())):
        return replies.mixed(state, name, thread, before, reply, refused, reached, event)
    thread = evolve(thread, phase="tools", calls=calls, verdicts=verdicts, handed=frozenset(calls))
    return state.put(name, thread), [RunTool(event.turn, index, call, name) for index, call in calls.items()]


# --- running calls


def _returned(state: RunState, thread: Thread, event: ToolReturned) -> Step:
    thread.check_under_way(event.position)
    thread = evolve(thread, outputs={**thread.outputs, event.position: item_view(event.output)})
    state = state.put(event.thread, thread)
    return (state, []) if thread.phase == "model" else settle(state, event.thread, [])


def settle(state: RunState, name: str, effects: list[Effect]) -> Step:
    """Hand out what may run now, and go on once every call has its output; outputs follow in the calls' order."""
    thread, answered = state.threads[name], -1
    while len(thread.handed) < len(thread.calls) and len(thread.outputs) > answered:
        answered = len(thread.outputs)  # a sub-agent that can't begin is answered, which lets the next one begin
        state, more = replies.hand_out(state, name)
        thread, effects = state.threads[name], effects + more
    if len(thread.outputs) < len(thread.calls):
        return state, effects
    thread = evolve(thread, items=answer_all(thread.items, thread.calls, thread.outputs))
    if thread.handoff is not None:
        thread = evolve(thread, agent=thread.handoff[0], parallel=thread.handoff[1], handoff=None)
    state = state.put(name, thread)
    if thread.answer is not None:
        state, more = finish(state, name, "completed")
    elif thread.problem is not None:
        state, more = finish(state, name, "incomplete")
    elif thread.last is None:
        state, more = ask(state, name)
    else:
        state, more = finish(state.limited(name, thread.last, run=thread.last_of_run), name, "limit")
    return state, effects + more


def _works(thread: Thread) -> bool:
    """Tell whether something of a thread is under way; a sub-agent's own thread speaks for it."""
    if thread.phase != "tools":
        return thread.phase != "done"
    return any(map(thread.under_way, thread.handed))


def finish(state: RunState, name: str, status: Status) -> Step:
    """End a thread: the run with the main one, else the call that it answers has its output."""
    thread = evolve(state.threads[name], phase="done", **NO_CALLS)
    state = state.put(name, thread)
    if thread.parent is None:
        status = "limit" if status == "completed" and state.stopped_by is not None else status
        return evolve(state, status=status), [Finish(status)]
    parent = state.threads[thread.parent]
    call = parent.calls[thread.position]
    text = thread.answer if thread.answer is not None else final_text(thread.items[thread.given :])
    if has_answer(status, text):
        edited = parent.edited.get(thread.position)
        output = taken(call, text if edited is None else f"{edited_notice(edited)}\n{text}")
    else:
        why = thread.problem or thread.stopped_by or text
        output = failure(call, f"{thread.agent} ended {status}" + (f" ({why})" if why else ""))
    parent = evolve(parent, outputs={**parent.outputs, thread.position: output})
    return settle(state.put(thread.parent, parent), thread.parent, [])


class Move(NamedTuple):
    """One row of the table.

    Attributes:
        handler: What it does.
        to: The phases that the event's thread may be in afterwards.
        says: What happens, in a few words.
    """

    handler: Callable[[RunState, Thread, Any], Step]
    to: tuple[Phase, ...]
    says: str


LEGAL: Mapping[tuple[Phase, type[Event]], Move] = {
    ("new", Start): Move(_begin, ("model",), "ask the model"),
    ("model", ConversationMade): Move(interrupts.made, ("model",), "note the conversation"),
    ("model", Moved): Move(interrupts.moved, ("model",), "leave out what only another server can read"),
    ("model", CallSeen): Move(replies.seen, ("model",), "run a pure call early"),
    ("model", ToolReturned): Move(_returned, ("model",), "keep its output"),
    ("model", ModelReplied): Move(_replied, ("tools", "model", "done"), "run the calls, or end with the answer"),
    ("model", ModelFailed): Move(interrupts.failed, ("model",), "ask again in another form"),
    ("tools", ToolReturned): Move(_returned, ("tools", "model", "done"), "ask again once all outputs are there"),
    ("tools", ToolAsked): Move(interrupts.asked, ("tools",), "ask somebody, and run it again with the answer"),
    ("tools", Decided): Move(interrupts.decided, ("tools", "model", "done"), "run the call, or answer it"),
    ("model", Withdrawn): Move(interrupts.withdrawn, ("model",), "take back calls that had not begun"),
    ("tools", Withdrawn): Move(interrupts.withdrawn, ("tools",), "take back calls that had not begun"),
    ("new", Resume): Move(interrupts.resumed, ("model",), "ask the model"),
    ("model", Resume): Move(interrupts.resumed, ("model",), "ask again"),
    ("tools", Resume): Move(interrupts.resumed, ("tools", "model", "done"), "run again what may be run twice"),
    ("new", Stop): Move(interrupts.stopped, ("done",), "end"),
    ("model", Stop): Move(interrupts.stopped, ("done",), "end"),
    ("tools", Stop): Move(interrupts.stopped, ("done",), "answer what is open, and end"),
}
"""Every legal pair of phase and event, and what it leads to."""
