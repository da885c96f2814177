"""What is rarer than a reply with calls of tools and nothing else: mixed ones, and what runs before they are whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentrt.core import budget
from agentrt.core.history import Reply, answer_all, failure, is_twin
from agentrt.core.protocol import Ask, CallSeen, Effect, ModelReplied, RunTool, Step
from agentrt.core.roles import OWN, own_roles
from agentrt.core.state import RunState, Status, Thread, Verdict, evolve
from agentrt.wire.items import Item, item_view
from agentrt.wire.json import as_str
from agentrt.wire.responses import Response

__all__ = ["cut_off", "hand_out", "kept_by_server", "mixed", "seen", "sent_back"]

_PLAIN = Verdict()


def seen(state: RunState, thread: Thread, event: CallSeen) -> Step:
    """Run a pure call while its reply goes on, if it fits whatever comes before it."""
    if not _may_run_early(state, thread, event):
        return state, []
    thread = evolve(
        thread,
        calls={**thread.calls, event.position: event.call},
        verdicts={**thread.verdicts, event.position: event.verdict},
        handed=thread.handed | {event.position},
    )
    return state.put(event.thread, thread), [RunTool(event.turn, event.position, event.call, event.thread)]


def _may_run_early(state: RunState, thread: Thread, event: CallSeen) -> bool:
    key = event.verdict.key
    call_id = as_str(event.call.raw.get("call_id"))
    again = any(as_str(call.raw.get("call_id")) == call_id for call in thread.calls.values())
    if again or not thread.parallel or event.verdict.lane is not None:
        return False  # what shares its lane may stand before it, unseen
    for limits, meter, _ in state.scopes(event.thread):
        bounded = limits.max_tool_calls is not None or key in limits.calls
        if bounded and thread.parent is not None and meter is not thread.meter:
            return False  # others may use up what it counts on before its reply has come
    room, _, _ = budget.room(state, event.thread, thread, 0)
    left, _ = state.caps(event.thread).get(key, (room, True))
    return event.position < min(room, left)


def kept_by_server(thread: Thread, response: Response, *, compacted: bool) -> Thread:
    """Note what the server holds of a history now, and that it has compacted it."""
    thread = evolve(thread, compacted=thread.compacted or compacted)
    if thread.history == "replay":
        return thread
    anchor = response.id if thread.history == "response" else thread.anchor
    return evolve(thread, anchor=anchor, known=len(thread.items) if anchor else 0)


def cut_off(state: RunState, name: str, calls: Mapping[int, Item], how: str) -> Step:
    """End the thread with a reply that is not whole; nothing is run from it."""
    from agentrt.core.loop import finish  # noqa: PLC0415 - loop's table names this module's functions

    thread = state.threads[name]
    told = f"the reply ended {how}, so its calls were not run"
    items = answer_all(thread.items, calls, {index: failure(call, told) for index, call in calls.items()})
    status: Status = "cancelled" if how == "cancelled" else "incomplete"
    return finish(state.put(name, evolve(thread, items=items)), name, status)


def sent_back(state: RunState, name: str, event: ModelReplied) -> Step:
    """Send an answer back that doesn't fit, or end with it where that was done often enough."""
    from agentrt.core.loop import ask, finish  # noqa: PLC0415 - see above

    thread = state.threads[name]
    if event.response.refusal is not None:
        return finish(state, name, "refused")
    if thread.last is not None or thread.tries >= event.output_retries:
        return finish(state.put(name, evolve(thread, problem=event.problem)), name, "incomplete")
    told = f"This answer can't be used: {event.problem}\nAnswer again, in the form that was asked for."
    items = (*thread.items, item_view({"type": "message", "role": "user", "content": told}))
    return ask(state.put(name, evolve(thread, items=items, tries=thread.tries + 1)), name)


def mixed(
    state: RunState,
    name: str,
    thread: Thread,
    before: Thread,
    reply: Reply,
    refused: Mapping[int, Item],
    reached: Sequence[tuple[str, bool]],
    event: ModelReplied,
) -> Step:
    """Go on with a reply some of whose calls are refused, asked about, under way already, or no tool's.

    Args:
        state: The state, with what the reply used.
        name: The thread's name.
        thread: The thread, with the reply's items.
        before: The thread before the reply; it has what was begun early.
        reply: The reply.
        refused: Answers to calls that no limit leaves room for.
        reached: These limits, and whether they are the run's.
        event: What brought it.
    """
    from agentrt.core.loop import settle  # noqa: PLC0415 - see above

    calls, verdicts = reply.calls, event.verdicts
    outputs = {**reply.refused, **refused}
    handed = set(outputs)
    for index, call in before.calls.items():
        if index in before.handed and index in calls and index not in outputs and is_twin(call, calls[index]):
            handed.add(index)
            outputs.update({index: before.outputs[index]} if index in before.outputs else {})
    asked = (i for i, verdict in verdicts.items() if verdict.ask is not None and verdict.role not in OWN)
    waiting = frozenset(i for i in asked if i in calls and i not in outputs)
    thread = evolve(thread, phase="tools", calls=calls, outputs=outputs, handed=frozenset(handed))
    thread = evolve(thread, waiting=waiting, verdicts=verdicts)
    if any(verdict.role in OWN for verdict in verdicts.values()):
        thread = own_roles(thread, event.output_retries)
    state = state.put(name, thread)
    for limit, of_run in reached:
        state = state.limited(name, limit, run=of_run)
    return settle(state, name, [])


def hand_out(state: RunState, name: str) -> Step:
    """Give out the calls that nothing holds up: one at a time in serial mode, and none behind one that waits."""
    thread = state.threads[name]
    effects: list[Effect] = []
    new: list[int] = []
    lanes: set[str] = set()
    for index, call in thread.calls.items():
        verdict = thread.verdicts.get(index, _PLAIN)
        if index in thread.outputs:
            continue
        behind = verdict.lane in lanes
        if index not in thread.handed and not behind:
            new.append(index)
            if index in thread.waiting and verdict.ask is not None:
                effects.append(Ask(verdict.ask))
            elif verdict.role != "agent":
                effects.append(
                    RunTool(thread.turn, index, call, name, thread.edited.get(index), thread.replies.get(index))
                )
        held = behind or index in thread.waiting
        if held and verdict.lane is not None:
            lanes.add(verdict.lane)
        if not thread.parallel or (verdict.exclusive and held):
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
    from agentrt.core.loop import ask  # noqa: PLC0415 - see above

    thread = state.threads[name]
    for limits, meter, reserved in state.scopes(name):
        if meter.turns + reserved + 2 > limits.max_turns:
            told = "limit reached (max_turns), so this call was not run; answer with what you have"
            outputs = {**thread.outputs, position: failure(thread.calls[position], told)}
            state = state.put(name, evolve(thread, outputs=outputs))
            return state.limited(name, "max_turns", run=meter is state.meter), []
    child = f"{name}/{thread.turn}.{position}"
    call_id = as_str(thread.calls[position].raw.get("call_id"))
    begin = evolve(begin, parent=name, position=position, call_id=call_id)
    return ask(state.put(child, begin), child)
