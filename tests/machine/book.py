"""What must hold for any run: a ledger of its own, kept from events and effects and from nothing that the core says."""

import json

from agentrt.core.pending import Answer, Approve
from agentrt.core.protocol import Ask, CallModel, Finish, RunTool
from agentrt.core.state import MAIN, Verdict
from tests.machine.budgets import CALLS, KEYS, Budgets, Call, Scope, Talk

UNKNOWN = "outcome is unknown"


class Book(Budgets):
    """The whole run."""

    def __init__(self, limits, parallel):
        super().__init__(limits, parallel)
        self.over = self.pending = False
        self.status = None
        self.withdrawn = False

    # --- events, before the step

    def replied(self, talk, event):
        raws = [item.raw for item in event.response.items]
        usage = event.response.usage
        reasons = list(self.reasons)
        fates = self.fates(talk, raws, event.verdicts)
        self.charge(talk, tokens=usage.total_tokens, cost=event.cost or 0.0)
        talk.asking, early, talk.early = False, talk.early, {}
        talk.calls = {p: Call(raws[p], event.verdicts.get(p, Verdict()), fate) for p, fate in fates.items()}
        if event.response.status != "completed":
            for call in talk.calls.values():
                call.says = f"ended {event.response.status}"
            how = "cancelled" if event.response.status == "cancelled" else "incomplete"
            self.reasons = reasons  # none of them would have run
            talk.ending = (how, f"ended {how}")
        elif not fates:
            self.said(talk, event)
        else:
            self.called(talk, event, early)

    def said(self, talk, event):
        response = event.response
        if response.refusal is not None or event.problem is None:
            refused = response.refusal is not None and (not response.text or event.problem is not None)
            talk.ending = ("refused", "ended refused") if refused else ("completed", response.text[-8:])
        elif talk.last is not None or talk.tries >= event.output_retries:
            talk.ending = ("incomplete", "ended incomplete")
        else:
            talk.tries += 1

    def called(self, talk, event, early):
        handed_over = answered = False
        problem, tries = None, talk.tries
        for position, call in talk.calls.items():
            verdict, role = call.verdict, call.verdict.role
            before = early.get(position)
            if before is not None and before.handed and before.raw == call.raw:
                assert call.says is None or "limit" not in call.says, "it ran early, beyond a budget"
                if call.says is None:
                    call.handed, call.says = True, before.says
            if call.says is not None:
                continue
            if role == "handoff":
                call.says = "already" if handed_over else "goes on from here"
                talk.next_parallel = talk.next_parallel if handed_over else verdict.parallel
                handed_over = True
            elif role == "output" and verdict.problem is None:
                call.says = "taken as the answer"
                talk.ending = talk.ending if answered else ("completed", json.dumps(call.raw["arguments"])[1:-1])
                answered = True
            elif role == "output":
                call.says = verdict.problem
                problem = talk.last is not None or tries >= event.output_retries
                talk.tries = tries + 1  # however many wrong ones the reply has
            else:
                call.waits = verdict.ask is not None
        if problem and not answered:
            talk.ending = ("incomplete", "ended incomplete")
        elif talk.last is not None and not answered:
            talk.ending = ("limit", "")
            self.limited(*talk.last)

    def returned(self, talk, position, text):
        (talk.early if talk.asking else talk.calls)[position].says = text

    def decided(self, talk, position, decision):
        call = talk.calls[position]
        assert call.waits
        call.waits = False
        self.pending = False
        if isinstance(decision, Approve) and call.verdict.role == "mcp":
            call.says = '"approve": true'
        elif isinstance(decision, Approve):
            call.approved, call.edited = True, decision.edited
        else:
            call.says = "was denied" if not isinstance(decision, Answer) else str(decision.value)[:11]

    def resumed(self, verdicts):
        """Forget what was under way; ``verdicts`` are the new ones, by thread and position."""
        self.pending = self.withdrawn = False
        for talk in self.talks.values():
            talk.early = {}
            for position, call in talk.calls.items():
                if call.says is not None or call.begun:
                    continue
                if call.handed and call.verdict.effect == "unsafe" and call.verdict.role == "tool":
                    call.says = UNKNOWN
                    continue
                before, call.verdict = call.verdict, verdicts.get((talk.name, position), call.verdict)
                asked, asks = before.ask and before.ask.id, call.verdict.ask and call.verdict.ask.id
                if before.definition != call.verdict.definition or (asked and asks and asked != asks):
                    call.approved, call.edited = False, None
                call.handed = call.asked = False
                call.waits = call.verdict.ask is not None and not call.approved

    def stopped(self, event):
        self.status = event.status
        for talk in self.talks.values():
            talk.early, talk.asking = {}, False
            for call in talk.calls.values():
                if call.says is None:
                    unsafe = call.handed and call.verdict.role == "tool" and call.verdict.effect == "unsafe"
                    ran = "had ended" if call.handed and not call.waits else "ran"
                    call.says = UNKNOWN if unsafe or call.begun else f"before this call {ran}"
                call.waits = False

    # --- effects, after the step

    def took(self, effects, state, *, resumed=False):
        """Check what a step gave, and note it."""
        assert not self.over, "an effect after the end"
        done = [talk for talk in self.talks.values() if not talk.ended and state.threads[talk.name].phase == "done"]
        for talk in sorted(done, key=lambda talk: -talk.name.count("/")):
            self.ended(talk, state)
        for effect in effects:
            if isinstance(effect, CallModel):
                self.asks_model(effect, state, resumed=resumed)
            elif isinstance(effect, RunTool):
                self.runs(effect)
            elif isinstance(effect, Ask):
                self.asks_somebody(effect.pending)
            else:
                assert isinstance(effect, Finish)
                assert effect is effects[-1]
                self.finishes(effect, state)
        self.checks_counts(state)
        if not self.over and not self.withdrawn:
            for talk in self.talks.values():
                self.refused_agents(talk)
                self.nothing_forgotten(talk)
            self.checks_pending()

    def asks_model(self, effect, state, *, resumed):
        if effect.thread not in self.talks:
            self.begins(effect.thread, state)
        talk = self.talks[effect.thread]
        again = talk.asking and effect.turn == talk.turn
        assert not talk.ended
        if not again:
            assert not talk.asking, "asked twice"
            assert effect.turn == talk.turn + 1
            self.refused_agents(talk)
            self.batch_is_answered(talk, state)
            assert talk.ending is None, "it was to end"
            for scope, root in self.chain(talk):
                limits = scope.limits
                near = scope.requests + 1 + self.busy(root, talk.name) >= limits.max_turns
                used = scope.used_up()
                assert used is None or limits.on_limit == "answer" or talk.turn == 0, "asked over a hard limit"
                if (used or near) and not resumed:
                    talk.last = talk.last or (used or "max_turns", scope is self.run)
            if resumed and (last := state.threads[talk.name].last):  # others ended before or after: not seen here
                talk.last = (last, state.threads[talk.name].last_of_run)
            self.charge(talk, requests=1)
            talk.turn, talk.asking, talk.calls = effect.turn, True, {}
            if talk.next_parallel is not None:
                talk.parallel, talk.next_parallel = talk.next_parallel, None
        for scope, _ in self.chain(talk):
            assert scope.requests <= scope.limits.max_turns, "more requests than max_turns"
        whose = self.run if talk.last is not None and talk.last[1] else talk.scope
        assert effect.last == (talk.last is not None and whose.limits.on_limit == "answer")
        rooms = [scope.room() for scope, _ in self.chain(talk) if scope.room() is not None]
        assert effect.max_tool_calls == (min(rooms, default=None) or None)

    def begins(self, name, state):
        parent, _, place = name.rpartition("/")
        turn, position = map(int, place.split("."))
        above = self.talks[parent]
        call = above.calls[position]
        self.refused_before(above, position)
        assert turn == above.turn
        assert call.verdict.role == "agent"
        assert call.says is None
        assert {call.waits, call.begun, call.handed} == {False}
        assert not self.held(above, position)
        for scope, root in self.chain(above):
            assert scope.requests + self.busy(root, parent) + 2 <= scope.limits.max_turns, "no request left for it"
        call.begun = True
        begin = call.verdict.begin
        assert state.threads[name].items[0].raw == begin.items[0].raw
        self.talks[name] = Talk(name, begin.parallel, Scope(begin.limits), parent, position)

    def runs(self, effect):
        talk = self.talks[effect.thread]
        assert effect.turn == talk.turn
        if talk.asking:
            call = talk.early[effect.position]
            assert talk.parallel
            assert call.verdict.effect == "pure"
            assert call.verdict.lane is None, "what it must wait for may stand before it"
        else:
            call = talk.calls[effect.position]
            self.refused_before(talk, effect.position)
            assert not self.held(talk, effect.position), "run before its turn"
        assert effect.call.raw == call.raw
        assert call.says is None, f"it has its answer: {call.says}"
        assert not call.waits
        assert call.approved or call.verdict.ask is None, "nobody agreed"
        assert call.verdict.role in ("tool", "mcp")
        assert not call.handed, "handed out twice"
        assert effect.edited == call.edited
        call.handed = True

    def asks_somebody(self, pending):
        call = self.talks[pending.thread].calls[pending.position]
        self.refused_before(self.talks[pending.thread], pending.position)
        assert call.waits
        assert not call.asked
        assert call.verdict.ask == pending
        assert not self.held(self.talks[pending.thread], pending.position)
        call.asked = True

    def under_way(self):
        known = ((talk.name, talk.calls | talk.early) for talk in self.talks.values())
        return {(name, p) for name, calls in known for p, call in calls.items() if call.handed and call.says is None}

    def waiting(self):
        known = ((talk.name, talk.calls) for talk in self.talks.values())
        return [(name, p) for name, calls in known for p, call in calls.items() if call.waits and call.says is None]

    def held(self, talk, position):
        """Tell whether something before a call holds it up."""
        call = talk.calls[position]
        before = [(p, other) for p, other in talk.calls.items() if p < position and other.says is None]
        if not talk.parallel:
            return bool(before)
        lane = call.verdict.lane
        return any(
            (other.verdict.exclusive or (lane is not None and other.verdict.lane == lane))
            and (other.waits or self.held(talk, p))
            for p, other in before
        )

    def refused_before(self, talk, position):
        if not talk.parallel:
            self.refused_agents(talk, position)

    def refused_agents(self, talk, end=99):
        """A sub-agent that did not begin was refused, as no request is left for its answer."""
        for position, call in talk.calls.items():
            if position >= end or call.verdict.role != "agent" or call.says is not None or call.begun or call.waits:
                continue
            if self.held(talk, position):
                continue
            for scope, root in self.chain(talk):
                if scope.requests + self.busy(root, talk.name) + 2 > scope.limits.max_turns:
                    call.says = "limit reached (max_turns)"
                    self.limited("max_turns", scope is self.run)
                    break
            else:
                raise AssertionError("a sub-agent did not begin, and nothing hindered it")

    def nothing_forgotten(self, talk):
        if talk.ended or talk.asking:
            return
        for position, call in talk.calls.items():
            if call.says is None and not self.held(talk, position):
                assert call.handed or call.begun or call.asked, "a call was forgotten"
        assert any(call.says is None for call in talk.calls.values()), "all is answered, and nothing goes on"

    def ended(self, talk, state):
        """A thread is over: its calls are answered, and the call that it answers has its output."""
        self.refused_agents(talk)
        if self.status is None:
            assert all(call.says is not None for call in talk.calls.values())
        self.batch_is_answered(talk, state)
        talk.ended, talk.asking = True, False
        if self.status is not None:
            return
        if talk.ending is None:
            self.cut(talk)
        if talk.parent is not None:
            self.talks[talk.parent].calls[talk.position].says = talk.ending[1]

    def cut(self, talk):
        for scope, _ in self.chain(talk):
            used = scope.used_up()
            assert scope.requests < scope.limits.max_turns, "it was to have a last turn"
            if used and scope.limits.on_limit != "answer":
                self.limited(used, scope is self.run)
                talk.ending = ("limit", "")
                return
        raise AssertionError("it ended, and no limit is reached")

    def batch_is_answered(self, talk, state):
        items = [item.raw for item in state.threads[talk.name].items]
        open_ones = []
        for raw in items:
            kind = raw["type"]
            if kind in CALLS:
                open_ones.append((CALLS[kind], raw[KEYS[kind]]))
            elif kind in KEYS:
                assert open_ones, "an answer to nothing"
                assert open_ones.pop(0) == (kind, raw[KEYS[kind]]), "out of order"
        assert not open_ones, "a call has no answer"
        if talk.calls:
            for raw, call in zip(items[-len(talk.calls) :], talk.calls.values(), strict=True):
                assert raw[KEYS[raw["type"]]] == call.raw[KEYS[call.raw["type"]]]
                assert call.says in json.dumps(raw), (call.says, raw)

    def checks_counts(self, state):
        for talk in self.talks.values():
            thread = state.threads[talk.name]
            meter = state.meter if talk.parent is None else thread.meter
            spent = (talk.scope.requests, talk.scope.calls, talk.scope.tokens)
            assert (meter.turns, meter.calls, meter.usage.total_tokens) == spent
            assert thread.known <= len(thread.items)
            assert thread.given <= len(thread.items)
            assert thread.anchor is not None or thread.known == 0
            assert thread.turn == talk.turn

    def checks_pending(self):
        waits = bool(self.waiting())
        works = bool(self.under_way()) or any(talk.asking for talk in self.talks.values())
        assert waits or works, "nothing goes on"
        assert self.pending == (waits and not works), "pending, if and only if nothing goes on without a decision"

    def finishes(self, effect, state):
        assert effect.status == state.status
        if effect.status == "pending":
            self.pending = True
            return
        self.over = True
        main = self.talks[MAIN]
        assert all(talk.ended for talk in self.talks.values())
        assert not state.pending
        expected = self.status
        if expected is None:
            expected = main.ending[0]
            expected = "limit" if expected == "completed" and self.reasons else expected
            assert expected != "limit" or self.reasons, "limit, and none was reached"
            assert state.stopped_by == (self.reasons[0] if self.reasons else None)
        assert effect.status == expected, (effect.status, expected)
