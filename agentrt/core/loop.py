"""What happens next: the one place where a run's state changes.

`step` is pure: no I/O, no clock, no randomness, no user code. A driver performs the effects that it returns and feeds
back what happened as events. The table `LEGAL` at the end is the whole of what may happen when; anything else raises
and changes nothing. Events and effects are in ``protocol.py``, what interrupts a run in ``interrupts.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agentrt.core import interrupts
from agentrt.core.history import answer_all, edited_notice, failure, final_text, is_twin, read_reply
from agentrt.core.protocol import (
    Ask,
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
    ToolReturned,
    Withdrawn,
)
from agentrt.core.roles import OWN, own_roles, taken
from agentrt.core.state import Meter, Phase, RunState, Status, Thread, Verdict, evolve
from agentrt.errors import UsageError
from agentrt.wire.items import HOSTED_CALLS, Item, item_view
from agentrt.wire.json import as_str

__all__ = ["LEGAL", "Move", "step"]

_PLAIN = Verdict()
_TURN = Meter(turns=1)
_COUNTED = ("tool", "agent")
_NONE: frozenset[int] = frozenset()
_NO_CALLS: Mapping[str, Any] = {
    "calls": {},
    "outputs": {},
    "verdicts": {},
    "handed": _NONE,
    "waiting": _NONE,
    "edited": {},
    "decided": _NONE,
}


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
    if thread is None or move is None:
        where = f"in phase {thread.phase!r}" if thread is not None else f"of the unknown thread {event.thread!r}"
        raise UsageError(f"{type(event).__name__} can't happen {where}; feed each effect's outcome back once")
    return move.handler(state, thread, event)


# --- asking the model


def _begin(state: RunState, _: Thread, event: Start) -> Step:
    return _ask(state, event.thread)


def _ask(state: RunState, name: str) -> Step:
    """Ask the model, for the last time where a limit is near; or end the thread where there is nothing left."""
    thread = state.threads[name]
    last: str | None = None
    for limits, meter, reserved in state.scopes(name):
        because = meter.last_because(limits, reserved)
        if because is not None:
            gentle = limits.on_limit == "answer" or because == "max_turns" or thread.turn == 0
            if meter.turns >= limits.max_turns or not gentle:
                return _finish(state.limited(name, because, run=limits is state.limits), name, "limit")
            last = last or because
    state = state.charged(name, _TURN)
    thread = evolve(state.threads[name], phase="model", turn=thread.turn + 1, last=last, **_NO_CALLS)
    return state.put(name, thread), [request(state, name, thread)]


def request(state: RunState, name: str, thread: Thread) -> CallModel:
    """Make the effect that asks the model in the thread's turn."""
    forced = thread.last is not None and (thread.limits or state.limits).on_limit == "answer"
    lefts = [left for limits, meter, _ in state.scopes(name) if (left := meter.calls_left(limits)) is not None]
    return CallModel(thread.turn, forced, min(lefts, default=None) or None, name)


# --- the reply


def _seen(state: RunState, thread: Thread, event: CallSeen) -> Step:
    """Run a pure call while its reply goes on, if it fits whatever comes before it."""
    check_turn(thread, event.turn)
    key = as_str(event.call.raw.get("call_id"))
    again = any(as_str(call.raw.get("call_id")) == key for call in thread.calls.values())
    room, _, _ = _room(state, event.thread, thread, 0)
    caps = state.caps(event.thread)
    if again or not thread.parallel or event.position >= min(room, caps.get(event.verdict.key, room)):
        return state, []
    thread = evolve(
        thread,
        calls={**thread.calls, event.position: event.call},
        verdicts={**thread.verdicts, event.position: event.verdict},
        handed=thread.handed | {event.position},
    )
    return state.put(event.thread, thread), [RunTool(event.turn, event.position, event.call, event.thread)]


def _replied(state: RunState, thread: Thread, event: ModelReplied) -> Step:
    check_turn(thread, event.turn)
    name, response, verdicts = event.thread, event.response, event.verdicts
    reply = read_reply(response.items)
    calls = reply.calls
    kinds = [item.type for item in reply.kept]
    hosted = sum(kind in HOSTED_CALLS for kind in kinds)
    counted = [index for index in calls if verdicts.get(index, _PLAIN).role in _COUNTED]
    caps = state.caps(name)
    refused, limit, of_run = _beyond(state, name, thread, verdicts, calls, counted, hosted, caps)
    by_tool: dict[str, int] = {}
    for index in counted if caps else ():
        key = verdicts.get(index, _PLAIN).key
        by_tool[key] = by_tool.get(key, 0) + 1
    spent = Meter(0, hosted + len(counted), response.usage, event.cost or 0.0, 0.0, by_tool)
    state = state.charged(name, spent)
    state = evolve(state, meter=evolve(state.meter, seconds=max(state.meter.seconds, event.seconds)))
    before, thread = thread, evolve(state.threads[name], items=(*thread.items, *reply.kept))
    if "compaction" in kinds:
        thread = evolve(thread, compacted=True)
    if thread.history != "replay":
        anchor = response.id if thread.history == "response" else thread.anchor
        thread = evolve(thread, anchor=anchor, known=len(thread.items) if anchor else 0)
    if response.status != "completed":
        told = f"the reply ended {response.status}, so its calls were not run"
        items = answer_all(thread.items, calls, {index: failure(call, told) for index, call in calls.items()})
        status: Status = "cancelled" if response.status == "cancelled" else "incomplete"
        return _finish(state.put(name, evolve(thread, items=items)), name, status)
    if not calls:
        return _answered(state.put(name, thread), name, event)
    outputs = {**reply.refused, **refused}
    handed = set(outputs)
    for index, call in before.calls.items():  # those that ran eagerly
        if index in calls and index not in outputs and is_twin(call, calls[index]):
            handed.add(index)
            outputs.update({index: before.outputs[index]} if index in before.outputs else {})
    waiting = frozenset(i for i, v in verdicts.items() if v.ask is not None and i in calls and i not in outputs)
    more = {"calls": calls, "outputs": outputs, "handed": frozenset(handed), "waiting": waiting, "verdicts": verdicts}
    thread = evolve(thread, phase="tools", **more)
    if any(verdict.role in OWN for verdict in verdicts.values()):
        thread = own_roles(thread, event.output_retries)
    state = state.put(name, thread)
    if limit is not None:
        state = state.limited(name, limit, run=of_run)
    return settle(state, name, [])


def check_turn(thread: Thread, turn: int) -> None:
    """Raise UsageError where an event is of another turn."""
    if turn != thread.turn:
        raise UsageError(f"a reply to turn {turn} can't come in turn {thread.turn}")


def _room(state: RunState, name: str, thread: Thread, hosted: int) -> tuple[int, str, bool]:
    """Count how many local calls of a reply may run, and name the limit that refuses the rest, and whose it is."""
    scopes = state.scopes(name)
    if thread.last is not None:
        limits, meter, reserved = scopes[0]
        spent = any(meter.calls_left(limits) == 0 for limits, meter, _ in scopes)
        of_run = thread.parent is None or meter.last_because(limits, reserved - 1) is not None
        return 0, "max_tool_calls" if spent else thread.last, of_run
    found = (state.limits.max_calls_per_turn, "max_calls_per_turn", True)
    for limits, meter, _ in scopes:
        left = meter.calls_left(limits)
        of_run = limits is state.limits
        found = min(found, (limits.max_calls_per_turn, "max_calls_per_turn", of_run), key=lambda room: room[0])
        if left is not None and max(0, left - hosted) < found[0]:
            found = (max(0, left - hosted), "max_tool_calls", of_run)
    return found


def _beyond(
    state: RunState,
    name: str,
    thread: Thread,
    verdicts: Mapping[int, Verdict],
    calls: Mapping[int, Item],
    counted: Sequence[int],
    hosted: int,
    caps: dict[str, int],
) -> tuple[dict[int, Item], str | None, bool]:
    """Answer the calls that no limit leaves room for; gives also the limit, and whether it is the run's."""
    room, limit, of_run = _room(state, name, thread, hosted)
    told = f"limit reached ({limit}), so this call was not run; answer with what you have"
    over = {index: failure(calls[index], told) for index in counted[room:]}
    if thread.last is not None:
        free = (index for index in calls if verdicts.get(index, _PLAIN).role in ("handoff", "mcp"))
        over |= {index: failure(calls[index], told) for index in free}
    reached = limit if over else None
    for index in counted[:room] if caps else ():
        key = verdicts.get(index, _PLAIN).key
        if caps.get(key, 1) <= 0:
            told = f"limit reached (calls of {key}), so this call was not run; go on without it"
            over[index] = failure(calls[index], told)
            reached = reached or "calls"
        caps[key] = caps.get(key, 1) - 1
    return over, reached, of_run or reached == "calls"


def _answered(state: RunState, name: str, event: ModelReplied) -> Step:
    """End the thread with its answer, or send back one that doesn't fit."""
    thread, response = state.threads[name], event.response
    if event.problem is None or response.refusal is not None:
        refusal = response.refusal is not None and not response.text
        return _finish(state, name, "refused" if refusal else "completed")
    if thread.last is not None or thread.tries >= event.output_retries:
        return _finish(state.put(name, evolve(thread, problem=event.problem)), name, "incomplete")
    told = f"This answer can't be used: {event.problem}\nAnswer again, in the form that was asked for."
    items = (*thread.items, item_view({"type": "message", "role": "user", "content": told}))
    return _ask(state.put(name, evolve(thread, items=items, tries=thread.tries + 1)), name)


# --- running calls


def _returned(state: RunState, thread: Thread, event: ToolReturned) -> Step:
    if event.turn != thread.turn or event.position not in thread.calls or event.position in thread.outputs:
        raise UsageError(
            f"call {event.position} of turn {event.turn} is not open; feed each effect's outcome back once"
        )
    thread = evolve(thread, outputs={**thread.outputs, event.position: Item(event.output)})
    state = state.put(event.thread, thread)
    return (state, []) if thread.phase == "model" else settle(state, event.thread, [])


def settle(state: RunState, name: str, effects: list[Effect]) -> Step:
    """Hand out what may run now, and go on once every call has its output; outputs follow in the calls' order."""
    if len(state.threads[name].handed) < len(state.threads[name].calls):
        state, more = _hand_out(state, name)
        effects = effects + more
    thread = state.threads[name]
    if len(thread.outputs) < len(thread.calls):
        return _or_pending(state, effects)
    thread = evolve(thread, items=answer_all(thread.items, thread.calls, thread.outputs))
    if thread.handoff is not None:
        thread = evolve(thread, agent=thread.handoff[0], parallel=thread.handoff[1], handoff=None)
    state = state.put(name, thread)
    if thread.answer is not None:
        state, more = _finish(state, name, "completed")
    elif thread.problem is not None:
        state, more = _finish(state, name, "incomplete")
    else:
        state, more = _ask(state, name) if thread.last is None else _finish(state, name, "limit")
    return state, effects + more


def _hand_out(state: RunState, name: str) -> Step:
    """Give out the calls that nothing holds up: one at a time in serial mode, and none behind one that waits."""
    thread = state.threads[name]
    effects: list[Effect] = []
    new: list[int] = []
    lanes: set[str | None] = set()
    for index, call in thread.calls.items():
        verdict = thread.verdicts.get(index, _PLAIN)
        if index in thread.outputs or (verdict.lane is not None and verdict.lane in lanes):
            continue
        if index not in thread.handed:
            new.append(index)
            if index in thread.waiting and verdict.ask is not None:
                effects.append(Ask(verdict.ask))
            elif verdict.role != "agent":
                effects.append(RunTool(thread.turn, index, call, name, thread.edited.get(index)))
        if index in thread.waiting:
            lanes.add(verdict.lane)
        if not thread.parallel or (verdict.exclusive and index in thread.waiting):
            break
    state = state.put(name, evolve(thread, handed=thread.handed.union(new)))
    for index in new:
        verdict = thread.verdicts.get(index, _PLAIN)
        if verdict.begin is not None and index not in thread.waiting:
            state, more = _spawn(state, name, index, verdict.begin)
            effects += more
    return state, effects


def _spawn(state: RunState, name: str, position: int, begin: Thread) -> Step:
    """Begin the thread of a sub-agent, if there are requests left for its answer and for those that wait."""
    thread = state.threads[name]
    for limits, meter, reserved in state.scopes(name):
        if meter.turns + reserved + 2 > limits.max_turns:
            told = "limit reached (max_turns), so this call was not run; answer with what you have"
            outputs = {**thread.outputs, position: failure(thread.calls[position], told)}
            state = state.put(name, evolve(thread, outputs=outputs))
            return state.limited(name, "max_turns", run=limits is state.limits), []
    child = f"{name}/{thread.turn}.{position}"
    call_id = as_str(thread.calls[position].raw.get("call_id"))
    begin = evolve(begin, parent=name, position=position, call_id=call_id)
    return _ask(state.put(child, begin), child)


def _or_pending(state: RunState, effects: list[Effect]) -> Step:
    """End in ``pending`` where nothing goes on any more without a decision."""
    threads = state.threads.values()
    if any(thread.waiting for thread in threads) and not any(map(_works, threads)):
        return evolve(state, status="pending"), [*effects, Finish("pending")]
    return state, effects


def _works(thread: Thread) -> bool:
    """Tell whether something of a thread is under way; a sub-agent's own thread speaks for it."""
    if thread.phase != "tools":
        return thread.phase != "done"
    open_ones = thread.handed - thread.waiting - thread.outputs.keys()
    return any(thread.verdicts.get(index, _PLAIN).role != "agent" for index in open_ones)


def _finish(state: RunState, name: str, status: Status) -> Step:
    """End a thread: the run with the main one, else the call that it answers has its output."""
    thread = evolve(state.threads[name], phase="done", **_NO_CALLS)
    state = state.put(name, thread)
    if thread.parent is None:
        status = "limit" if status == "completed" and state.stopped_by is not None else status
        return evolve(state, status=status), [Finish(status)]
    parent = state.threads[thread.parent]
    call = parent.calls[thread.position]
    text = thread.answer if thread.answer is not None else final_text(thread.items[thread.given :])
    if status in ("completed", "limit") and (text or status == "completed"):
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
    ("new", Start): Move(_begin, ("model", "done"), "ask the model"),
    ("model", ConversationMade): Move(interrupts.made, ("model",), "note the conversation"),
    ("model", Moved): Move(interrupts.moved, ("model",), "leave out what only another server can read"),
    ("model", CallSeen): Move(_seen, ("model",), "run a pure call early"),
    ("model", ToolReturned): Move(_returned, ("model",), "keep its output"),
    ("model", ModelReplied): Move(_replied, ("tools", "model", "done"), "run the calls, or end with the answer"),
    ("model", ModelFailed): Move(interrupts.failed, ("model",), "ask again in another form"),
    ("tools", ToolReturned): Move(_returned, ("tools", "model", "done"), "ask again once all outputs are there"),
    ("tools", Decided): Move(interrupts.decided, ("tools", "model", "done"), "run the call, or answer it"),
    ("model", Withdrawn): Move(interrupts.withdrawn, ("model",), "take back calls that had not begun"),
    ("tools", Withdrawn): Move(interrupts.withdrawn, ("tools",), "take back calls that had not begun"),
    ("new", Resume): Move(interrupts.resumed, ("model", "done"), "begin"),
    ("model", Resume): Move(interrupts.resumed, ("model",), "ask again"),
    ("tools", Resume): Move(interrupts.resumed, ("tools", "model", "done"), "run again what may be run twice"),
    ("new", Stop): Move(interrupts.stopped, ("done",), "end"),
    ("model", Stop): Move(interrupts.stopped, ("done",), "end"),
    ("tools", Stop): Move(interrupts.stopped, ("done",), "answer what is open, and end"),
}
"""Every legal pair of phase and event, and what it leads to."""
