"""What interrupts a run: a request in another form, a decision, an end from outside, a resume. Handlers of `LEGAL`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentrt.core.history import answer_all, failure, with_valid_arguments, without_reasoning
from agentrt.core.pending import Answer, Approve, Decision, Deny, Pending
from agentrt.core.protocol import (
    Ask,
    ConversationMade,
    Decided,
    Effect,
    Finish,
    ModelFailed,
    Moved,
    Resume,
    Step,
    Stop,
    ToolAsked,
    Withdrawn,
)
from agentrt.core.repair import for_provider, repaired
from agentrt.core.roles import taken
from agentrt.core.state import NO_CALLS, RunState, Thread, Verdict, evolve, within
from agentrt.errors import UsageError
from agentrt.wire.items import CALLS, Item, item_view
from agentrt.wire.json import as_dict, as_list, dump, text_of

__all__ = [
    "asked",
    "check_decision",
    "decided",
    "ended",
    "failed",
    "made",
    "moved",
    "resumed",
    "stopped",
    "values_of",
    "withdrawn",
]

_UNKNOWN = "this call had begun when the run was {}, so its outcome is unknown; it is not repeated"


def made(state: RunState, thread: Thread, event: ConversationMade) -> Step:
    """Note the conversation that the history is kept in; it is still empty."""
    return state.put(event.thread, evolve(thread, anchor=event.anchor, known=0)), []


def moved(state: RunState, thread: Thread, event: Moved) -> Step:
    """Leave out what the new server can't read: reasoning, compactions, and whatever only the old one holds."""
    if thread.provider is None:
        return state.put(event.thread, evolve(thread, provider=event.provider)), []
    if thread.outside is not None:
        raise UsageError(
            f"{thread.outside!r} is kept by {thread.provider}, so {event.provider} can't go on from it; pass the whole "
            "conversation as input instead"
        )
    kept, notes = for_provider(thread.items)
    items, more = repaired(kept)
    given = len(items) - (len(thread.items) - thread.given)
    if len(items) != len(thread.items):
        given = len(repaired(for_provider(thread.items[: thread.given])[0])[0])
    thread = evolve(thread, items=items, given=given, provider=event.provider, anchor=None, known=0)
    return evolve(state.put(event.thread, thread), notes=(*state.notes, *notes, *more)), []


def failed(state: RunState, thread: Thread, event: ModelFailed) -> Step:
    """Ask again in the same turn: with the whole history, without the reasoning, or as before."""
    from agentrt.core.loop import request  # noqa: PLC0415 - loop's table names this module's functions

    if event.reason == "reasoning_refused":
        thread = _without_reasoning(thread)
    elif event.reason == "arguments_refused":
        thread = evolve(thread, items=with_valid_arguments(thread.items))
    elif event.reason != "broken":
        if thread.outside:
            raise UsageError("what came before this run's items is lost with the server's state, and can't be rebuilt")
        kept = thread.history == "response" and event.reason == "state_lost"
        thread = evolve(thread, history="response" if kept else "replay", anchor=None, known=0)
    thread = evolve(thread, **NO_CALLS)  # a reply that doesn't count takes with it what ran eagerly from it
    return state.put(event.thread, thread), [request(state, event.thread, thread)]


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


def withdrawn(state: RunState, thread: Thread, event: Withdrawn) -> Step:
    """Take back calls that were handed out and had not begun."""
    for position in event.positions:
        thread.check_under_way(position)
    return state.put(event.thread, evolve(thread, handed=thread.handed.difference(event.positions))), []


def asked(state: RunState, thread: Thread, event: ToolAsked) -> Step:
    """Let a call wait for the answer to what it asks."""
    thread.check_under_way(event.position)
    verdict = evolve(thread.verdicts.get(event.position, Verdict()), ask=event.pending)
    verdicts = {**thread.verdicts, event.position: verdict}
    thread = evolve(thread, verdicts=verdicts, waiting=thread.waiting | {event.position})
    return state.put(event.thread, thread), [Ask(event.pending)]


def decided(state: RunState, thread: Thread, event: Decided) -> Step:
    """Run the call that waited, or answer it."""
    from agentrt.core.loop import settle  # noqa: PLC0415 - see above

    index = event.position
    if index not in thread.waiting:
        raise UsageError(f"call {index} of turn {event.turn} waits for no decision; look at state.pending")
    verdict, call = thread.verdicts[index], thread.calls[index]
    check_decision(verdict, event.decision)
    edits = isinstance(event.decision, Approve) and event.decision.edited is not None
    if edits and verdict.role == "agent" and event.begin is None:
        raise UsageError(
            "a sub-agent begins with what the model asked of it; give the thread that it begins with instead"
        )
    thread = evolve(thread, waiting=thread.waiting - {index})
    if verdict.ask is not None and _asked_under_way(verdict):
        replies = {**thread.replies, index: _reply(verdict.ask, event.decision)}
        verdicts = {**thread.verdicts, index: evolve(verdict, ask=None)}
        thread = evolve(thread, replies=replies, verdicts=verdicts, handed=thread.handed - {index})
    elif isinstance(event.decision, Approve) and verdict.role != "mcp":
        edited = {} if event.decision.edited is None else {index: event.decision.edited}
        thread = evolve(
            thread,
            handed=thread.handed - {index},
            decided=thread.decided | {index},
            edited={**thread.edited, **edited},
        )
        if event.begin is not None:
            thread = evolve(thread, verdicts={**thread.verdicts, index: evolve(verdict, begin=event.begin)})
    else:
        thread = evolve(thread, outputs={**thread.outputs, index: _decision_item(call, event.decision)})
    return settle(evolve(state.put(event.thread, thread), status=None), event.thread, [])


def _reply(ask: Pending, decision: Decision) -> dict[str, Any]:
    """Say what was answered, in the words of MCP's elicitation."""
    told: dict[str, Any] = {"id": ask.id, "action": "decline", "state": ask.request_state}
    if isinstance(decision, Deny):
        return told
    return {**told, "action": "accept", "content": values_of(ask, decision)}


def values_of(ask: Pending, decision: Decision) -> dict[str, Any]:
    """Give the values of an answer. To approve of a question whose only value is yes or no is to say yes."""
    if isinstance(decision, Answer):
        return as_dict(decision.value)
    properties = as_dict(ask.arguments.get("properties"))
    is_one = len(properties) == 1 and as_dict(next(iter(properties.values()))).get("type") == "boolean"
    return dict.fromkeys(properties, True) if is_one else {}


def check_decision(verdict: Verdict, decision: Decision) -> None:
    """Refuse a decision that doesn't fit what is asked, or that no state could hold."""
    edited = decision.edited if isinstance(decision, Approve) else None
    if verdict.role == "mcp" and (isinstance(decision, Answer) or edited is not None):
        raise UsageError("a hosted MCP server's call can only be approved or denied; use Approve() or Deny(reason)")
    no_values = edited is not None or (isinstance(decision, Answer) and not isinstance(decision.value, Mapping))
    if _asked_under_way(verdict) and no_values:
        raise UsageError("the server asks for values: use Answer({name: value}), or Deny()")
    if verdict.ask is not None and _asked_under_way(verdict) and not isinstance(decision, Deny):
        _check_values(verdict.ask, values_of(verdict.ask, decision))
    if edited is not None and not isinstance(edited, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"edited must be a dict of all arguments, but is {edited!r:.100}")
    try:
        dump(edited if isinstance(decision, Approve) else getattr(decision, "value", None))
    except ValueError as error:
        raise UsageError(f"a decision must be JSON values: {error}") from error


def _check_values(ask: Pending, values: Mapping[str, Any]) -> None:
    """Refuse an answer that lacks what is asked for and has no default."""
    properties = as_dict(ask.arguments.get("properties"))
    for name in as_list(ask.arguments.get("required")):
        if name not in values and "default" not in as_dict(properties.get(name)):
            raise UsageError(
                f"the server asks for {name!r}, which has no default: use Answer({{…}}) with it, or Deny()"
            )


def _decision_item(call: Item, decision: Decision) -> Item:
    if isinstance(decision, Approve):
        return item_view(CALLS[call.type].approval(call.raw, approve=True))
    if isinstance(decision, Answer):
        return taken(call, text_of(decision.value))
    return failure(call, "this call was denied" + (f": {decision.reason}" if decision.reason else ""))


def stopped(state: RunState, thread: Thread, event: Stop) -> Step:
    """End all threads here; or a sub-agent's with those below it."""
    how = "cancelled" if event.status == "cancelled" else f"stopped ({event.stopped_by or event.status})"
    state = state.charged(event.thread, event.spent)
    if thread.parent is not None:
        return _stopped_below(state, event, how)
    threads = {name: _closed(thread, how) for name, thread in state.threads.items()}
    meter = state.meter._replace(seconds=max(state.meter.seconds, event.seconds))
    notes = state.notes if event.note is None else (*state.notes, event.note)
    stopped_by = state.stopped_by or event.stopped_by
    state = evolve(state, threads=threads, status=event.status, stopped_by=stopped_by, meter=meter, notes=notes)
    return state, [Finish(event.status)]


def _stopped_below(state: RunState, event: Stop, how: str) -> Step:
    from agentrt.core.loop import settle  # noqa: PLC0415 - see above

    name = event.thread
    inside = {other for other in state.threads if within(other, name)}
    threads = {other: _closed(each, how) if other in inside else each for other, each in state.threads.items()}
    thread = evolve(threads[name], stopped_by=event.stopped_by)
    assert thread.parent is not None
    parent = state.threads[thread.parent]
    why = f" ({event.note or event.stopped_by})" if event.note or event.stopped_by else ""
    output = failure(parent.calls[thread.position], f"{thread.agent} ended {event.status}{why}")
    threads[thread.parent] = evolve(parent, outputs={**parent.outputs, thread.position: output})
    return settle(evolve(state, threads={**threads, name: thread}, status=None), thread.parent, [])


def ended(state: RunState) -> RunState:
    """Give a state that another run can go on from: what is open in it is answered."""
    if state.status in (None, "pending"):
        state, _ = stopped(state, Thread(), Stop())
    return state


def _closed(thread: Thread, how: str) -> Thread:
    if thread.phase == "model":
        if thread.history == "conversation":
            # The server may have written the input into it, or not: only a new one is sure to hold each item once.
            thread = evolve(thread, anchor=None, known=0)
    elif thread.phase == "tools":
        outputs = dict(thread.outputs)
        for index, call in thread.calls.items():
            if index not in outputs:
                asked = _asked_under_way(thread.verdicts.get(index, Verdict()))
                begun = asked or _in_flight(thread, index) or _asks_agent(thread, index)
                ran = index in thread.handed and index not in thread.waiting
                told = f"the run was {how} before this call {'had ended' if ran else 'ran'}"
                outputs[index] = failure(call, _UNKNOWN.format(how) if begun else told)
        thread = evolve(thread, items=answer_all(thread.items, thread.calls, outputs))
    return evolve(thread, phase="done", **NO_CALLS)


def _in_flight(thread: Thread, index: int) -> bool:
    """Tell whether a call had begun that must not be run twice."""
    verdict = thread.verdicts.get(index, Verdict())
    return thread.under_way(index) and verdict.role == "tool" and verdict.effect == "unsafe"


def _asks_agent(thread: Thread, index: int) -> bool:
    """Tell whether a sub-agent is at work on a call; whatever it did, the thread above can't see."""
    verdict = thread.verdicts.get(index, Verdict())
    return verdict.role == "agent" and index in thread.handed and index not in thread.waiting


def resumed(state: RunState, _: Thread, event: Resume) -> Step:
    """Go on where the run stood: ask again, run again what may be run twice, ask for decisions again."""
    from agentrt.core.loop import LEGAL, request, settle  # noqa: PLC0415 - see above
    from agentrt.core.protocol import Start  # noqa: PLC0415

    main = state.threads[event.thread]
    if main.phase == "new":
        return LEGAL["new", Start].handler(state, main, Start(event.thread))
    state = evolve(state, status=None)
    effects: list[Effect] = []
    for name, each in state.threads.items():
        if each.phase == "model":
            thread = evolve(each, **NO_CALLS)
            if thread.history == "conversation" and thread.anchor is not None and thread.outside is None:
                thread = evolve(thread, anchor=None, known=0)
            state = state.put(name, thread)
            effects.append(request(state, name, thread))
        elif each.phase == "tools":
            state = _reopened(state, name, each, event)
    for name in list(state.threads):
        if state.threads[name].phase == "tools":
            state, effects = settle(state, name, effects)
    return state, effects


def _asked_under_way(verdict: Verdict) -> bool:
    """Tell whether a call asked somebody while it ran."""
    return verdict.ask is not None and verdict.ask.kind == "elicitation"


def _asks_anew(before: Verdict, now: Verdict) -> bool:
    """Tell whether a decision was on something else than what would run now."""
    asked, asks = before.ask and before.ask.id, now.ask and now.ask.id
    return now.definition != before.definition or (None not in (asked, asks) and asked != asks)


def _reopened(state: RunState, name: str, thread: Thread, event: Resume) -> RunState:
    """Look at a thread's open calls anew: what had begun and is unsafe is answered, the rest may be handed out."""
    notes = state.notes
    outputs, verdicts, edited = dict(thread.outputs), dict(thread.verdicts), dict(thread.edited)
    handed, waiting, approved = set(thread.handed), set(thread.waiting), set(thread.decided)
    for index, call in thread.calls.items():
        before = thread.verdicts.get(index, Verdict())
        now = event.verdicts.get((name, index), before)
        if index in outputs:
            continue
        if _in_flight(thread, index):
            outputs[index] = failure(call, _UNKNOWN.format("interrupted"))
            continue
        if before.role == "agent" and f"{name}/{thread.turn}.{index}" in state.threads:
            continue  # its own thread goes on
        handed.discard(index)
        if index in waiting and _asked_under_way(before) and now.definition == before.definition:
            continue  # whether it may run was decided before; it is asked again for what it asked
        if index in waiting and _asked_under_way(before):
            notes = (*notes, f"the tool {now.key!r} was changed since it asked, so its call begins anew")
        verdicts[index] = now
        if index in approved and _asks_anew(before, now):
            approved.discard(index)
            edited.pop(index, None)
            notes = (
                *notes,
                f"the tool {now.key!r} was changed, or its arguments, so the decision on its call counts no more",
            )
        if index in edited:
            verdicts[index] = evolve(now, begin=before.begin)
        if index not in approved and now.ask is not None:
            waiting.add(index)
        else:
            waiting.discard(index)
    thread = evolve(
        thread,
        outputs=outputs,
        verdicts=verdicts,
        edited=edited,
        handed=frozenset(handed),
        waiting=frozenset(waiting),
        decided=frozenset(approved),
    )
    return evolve(state.put(name, thread), notes=notes)
