"""A driver that does all that a driver may do, in any order: one random run from its beginning to its end."""

import itertools
from collections import Counter
from types import SimpleNamespace

import pytest

from agentrt import Limits, RunState, UsageError
from agentrt.core.loop import LEGAL, step
from agentrt.core.pending import Answer, Approve, Deny, Pending
from agentrt.core.protocol import (
    CallModel,
    CallSeen,
    ConversationMade,
    Decided,
    ModelFailed,
    ModelReplied,
    Moved,
    Resume,
    RunTool,
    Start,
    Stop,
    ToolReturned,
    Withdrawn,
)
from agentrt.core.state import MAIN, Thread, Verdict, evolve
from agentrt.wire.compose import message_item
from agentrt.wire.items import item_view
from agentrt.wire.responses import Response
from tests.machine.book import Book
from tests.machine.budgets import CALLS, HOSTED, Call

USER = item_view({"type": "message", "role": "user", "content": "go"})
EFFECTS = ("pure", "idempotent", "unsafe")
STATUSES = ["completed"] * 24 + ["incomplete", "failed", "cancelled", "queued"]
DEEPEST = 2
MOST_STEPS = 600


class Player:
    """One run; ``source`` decides everything."""

    def __init__(self, source):
        self.source = source
        self.numbers = itertools.count(1)
        self.tight, self.agents = not self.one_of(4), self.pick(2, 2, 2, 12)
        self.steps, self.seen, self.reached = 0, Counter(), set()
        limits, thread = self.limits(), self.thread()
        self.book = Book(limits, thread.parallel)
        self.state = RunState("run", limits, threads={MAIN: thread})
        self.models, self.tools, self.plans = {}, {}, {}
        self.interruptions = 3

    def play(self):
        self.feed(self.pick(*[Start()] * 20, *[Resume()] * 3, Stop()))
        while not self.book.over:
            assert self.steps < MOST_STEPS, "the run does not end"
            self.illegal()
            self.move()
            if not self.one_of(4):
                self.state = RunState.from_json(self.state.to_json())
        for event in (Start(), Resume(), Stop(), Decided(1, 0, Approve()), ToolReturned(1, 0, {})):
            self.refused(event)

    # --- choices

    def one_of(self, number):
        """Be true but for one in so many."""
        return self.source.randrange(number) != 0

    def pick(self, *choices):
        return self.source.choice(choices)

    def limits(self):
        caps = {key: self.source.randint(0, 3) for key in "fgh" if not self.one_of(6)}
        calls = self.source.randint(0, 5) if self.tight else self.pick(*[None] * 12, *range(6))
        return Limits(
            max_turns=self.pick(1, 2, 3, 4, 5, 5, 6, 6, 6, 6),
            max_tool_calls=calls,
            max_calls_per_turn=self.pick(1, 2, 3, 4, 4, 4),
            calls=caps,
            tokens=self.pick(*[None] * 12, 20, 60),
            cost=self.pick(*[None] * 12, 0.5, 2),
            on_limit=self.pick("answer", "answer", "stop", "raise"),
        )

    def thread(self, **more):
        history = self.pick("replay", "replay", "response", "conversation")
        outside = "before" if history != "replay" and not self.one_of(5) else None
        parallel = self.source.random() < 0.6
        fields = {"items": (USER,), "given": 1, "history": history, "anchor": outside, "outside": outside}
        return Thread(**fields, parallel=parallel, **more)

    def verdict(self, name, turn, position, key):
        role = self.pick(*["tool"] * 9, *["agent"] * self.agents, "handoff", "output")
        deep = name.count("/") >= DEEPEST
        role = "tool" if role == "agent" and deep else role
        about = {"key": key, "role": role, "effect": self.pick(*EFFECTS), "definition": "v1"}
        if role == "agent":
            limits = self.limits() if self.one_of(4) else self.state.limits  # the very same object, as users do
            about["begin"] = self.thread(agent="helper", limits=limits)
        elif role == "handoff":
            about |= {"agent": "other", "parallel": self.one_of(2)}
        elif role == "output":
            about["problem"] = self.pick(None, "it does not fit")
        if role == "tool":
            about |= {"lane": self.pick(None, None, None, "a", "b"), "exclusive": not self.one_of(7)}
        if not self.one_of(4):  # which counts for nothing in a handoff or an output
            about["ask"] = self.question(name, turn, position, key)
        return Verdict(**about)

    def question(self, name, turn, position, key, kind="tool"):
        number = next(self.numbers)
        return Pending(f"id{number}", kind, key, {"n": number}, "do it?", "agent", name, turn, position, "c", "v1")

    # --- replies

    def plan(self, name, turn):
        """Make up a reply before it comes, so that its calls can be seen one by one."""
        output, verdicts = [], {}
        for position in range(self.pick(0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6)):
            earlier = [p for p, raw in enumerate(output) if raw["type"] == "function_call"]
            raw, verdict = self.item(name, turn, position, [(output[p], verdicts.get(p)) for p in earlier])
            output.append(raw)
            if verdict is not None:
                verdicts[position] = verdict
        problem = "it does not fit" if not self.one_of(6) else None
        return SimpleNamespace(output=output, verdicts=verdicts, status=self.pick(*STATUSES), problem=problem, seen=0)

    def item(self, name, turn, position, earlier):
        number = next(self.numbers)
        kind = self.pick(*["call"] * 12, *["text"] * 3, "twin", "other", "cut", "hosted", "mcp", "thought", "refusal")
        said = [{"type": "refusal", "refusal": "no"}]
        plain = {
            "text": message_item(f"t{number}", f"say-{number:04}"),
            "refusal": {"type": "message", "role": "assistant", "content": said},
            "thought": {"type": "reasoning", "id": f"r{number}"},
            "hosted": {"type": self.pick(*HOSTED), "id": f"h{number}"},
        }
        if kind in plain:
            return plain[kind], None
        if kind == "mcp":
            ask = self.question(name, turn, position, "mcp", "mcp") if self.one_of(4) else None
            return {"type": "mcp_approval_request", "id": f"m{number}"}, Verdict("srv", "mcp", "unsafe", ask=ask)
        key = self.pick(*"fgh")
        raw = {"type": "function_call", "call_id": f"c{number}", "name": key, "arguments": f'{{"n": {number}}}'}
        if kind in ("twin", "other") and earlier:
            before, verdict = self.source.choice(earlier)
            if kind == "twin":
                return {**before, "id": f"i{number}"}, verdict
            raw["call_id"] = before["call_id"]
        elif kind == "cut":
            raw["status"] = "incomplete"
        return raw, self.verdict(name, turn, position, key) if self.one_of(20) else None

    # --- what a driver does next

    def move(self):
        choices = [*([self.model] * 2 if self.models else []), *([self.tool] * 3 if self.tools else [])]
        choices += [self.decide] if self.state.pending else []
        if self.interruptions and not self.one_of(12):
            choices = [self.resume, self.withdraw, self.stop, self.resume]
        elif not choices:
            choices = [self.resume]  # what was taken back runs again
        self.source.choice(choices)()

    def model(self):
        name, effect = self.source.choice(list(self.models.items()))
        plan = self.plans.get(name) or self.plans.setdefault(name, self.plan(name, effect.turn))
        thread = self.state.threads[name]
        if thread.history == "conversation" and thread.anchor is None and self.one_of(2):
            return self.feed(ConversationMade(effect.turn, "conv", name))
        if thread.provider is None and self.one_of(4):
            return self.feed(Moved(effect.turn, "http://a", name))
        if self.interruptions and not self.one_of(10):
            return self.fail(name, effect)
        while plan.seen < len(plan.output) and self.one_of(6):
            position = plan.seen
            plan.seen += 1
            if self.may_run_early(name, plan, position):
                call = item_view(plan.output[position])
                return self.feed(CallSeen(effect.turn, position, call, plan.verdicts[position], name))
        return self.reply(name, effect, plan)

    def may_run_early(self, name, plan, position):
        """Tell what the driver knows beforehand: an exclusive call may come, hosted calls may use up the budget."""
        verdict, hosted = plan.verdicts.get(position), any(raw["type"] in HOSTED for raw in plan.output)
        if verdict is None or verdict.role != "tool" or plan.output[position].get("status") == "incomplete":
            return False
        if any(plan.verdicts[p].exclusive for p in plan.verdicts if p < position):
            return False
        scopes = self.book.chain(self.book.talks[name])
        if hosted and any(scope.limits.max_tool_calls is not None for scope, _ in scopes):
            return False
        return verdict.effect == "pure" and verdict.ask is None

    def reply(self, name, effect, plan):
        early = self.book.talks[name].early
        if early and not self.one_of(8):  # another call than the one that was seen
            position = self.source.choice(list(early))
            plan.output[position] = {**plan.output[position], "arguments": '{"n": "other"}'}
        raw = {"id": f"resp{next(self.numbers)}", "status": plan.status, "output": plan.output}
        raw["usage"] = {"input_tokens": self.source.randint(0, 20), "output_tokens": self.source.randint(0, 5)}
        cost, retries = self.pick(None, 0.1, 0.3), self.source.randint(0, 2)
        event = ModelReplied(
            effect.turn, Response(raw), name, plan.verdicts, plan.problem, cost, self.steps / 10, retries
        )
        del self.models[name], self.plans[name]
        self.feed(event)

    def fail(self, name, effect):
        self.interruptions -= 1
        reason = self.pick("state_lost", "unsupported", "reasoning_refused", "arguments_refused", "broken")
        event = ModelFailed(effect.turn, reason, name)
        if self.state.threads[name].outside and reason in ("state_lost", "unsupported"):
            return self.refused(event)
        self.plans.pop(name)
        self.drop(name, self.book.talks[name].early)
        self.feed(event)
        thread = self.state.threads[name]
        return None if reason != "state_lost" else self.check(thread.anchor is None and thread.known == 0)

    def check(self, holds):
        assert holds

    def drop(self, name, positions):
        for position in list(positions):
            self.tools.pop((name, position), None)

    def tool(self):
        (name, position), effect = self.source.choice(list(self.tools.items()))
        text = f"out-{next(self.numbers):04}"
        kind = effect.call.type
        output = {"type": CALLS[kind], "call_id": effect.call.raw.get("call_id"), "output": text}
        if kind == "mcp_approval_request":
            answer = {"approval_request_id": effect.call.raw["id"], "approve": False, "reason": text}
            output = {"type": CALLS[kind], **answer}
        del self.tools[name, position]
        self.feed(ToolReturned(effect.turn, position, output, name), text)
        if self.one_of(2):
            self.refused(ToolReturned(effect.turn, position, output, name))

    def decide(self):
        pending = self.source.choice(self.state.pending)
        verdict = self.state.threads[pending.thread].verdicts[pending.position]
        edited = {"n": f"edited-{next(self.numbers)}"}
        value = f"ans-{next(self.numbers):04}"
        event = Decided(pending.turn, pending.position, Approve(), pending.thread)
        if verdict.role in ("mcp", "agent"):
            self.refused(event._replace(decision=Approve(edited)))
        if verdict.role == "mcp":
            self.refused(event._replace(decision=Answer(value)))
            decision = self.pick(Approve(), Deny("because"))
        else:
            decision = self.pick(Approve(), Approve(), Deny(), Deny("because"), Answer(value))
            if verdict.role == "tool" and not self.one_of(3):
                decision = Approve(edited)
        if verdict.role == "tool":
            self.refused(event._replace(decision=self.pick(Answer(object()), Approve({"n": object()}), Approve(["n"]))))
        self.feed(event._replace(decision=decision))

    def resume(self):
        self.interruptions -= 1
        if self.one_of(2):
            self.state = RunState.from_json(self.state.to_json())
        verdicts = {
            (name, position): self.verdict_anew(name, thread, position)
            for name, thread in self.state.threads.items()
            for position in thread.calls
            if not self.one_of(3)
        }
        self.models, self.tools, self.plans = {}, {}, {}
        self.feed(Resume(verdicts))

    def verdict_anew(self, name, thread, position):
        """Look at a call again: its tool may have another definition, effect or approval by now."""
        before = thread.verdicts.get(position, Verdict("f"))
        changed = {"definition": self.pick("v1", "v2", "v3")}
        if before.role in ("tool", "agent"):
            changed["ask"] = self.pick(None, before.ask, self.question(name, thread.turn, position, before.key))
        if before.role == "tool":
            changed["effect"] = self.pick(*EFFECTS)
        return evolve(before, **changed)

    def withdraw(self):
        if self.tools:
            self.interruptions -= 1
            name = self.source.choice([name for name, _ in self.tools])
            mine = [position for thread, position in self.tools if thread == name]
            some = tuple(self.source.sample(mine, self.source.randint(1, len(mine))))
            event = Withdrawn(self.book.talks[name].turn, some, name)
            self.refused(event._replace(turn=event.turn + 1))
            self.drop(name, some)
            self.feed(event)
            if self.one_of(3):
                self.resume()

    def stop(self):
        if not self.one_of(3):
            status = self.pick("cancelled", "limit", "refused")
            limit = "seconds" if status == "limit" else None
            self.models, self.tools = {}, {}
            self.feed(Stop(status, limit, float(self.steps), self.pick(None, "so it is")))

    # --- one step, and what must hold around it

    def feed(self, event, text=""):
        before, book = self.state.to_json(), self.book
        phase = self.state.threads[event.thread].phase
        self.tell(event, text)
        old, (self.state, effects) = self.state, step(self.state, event)
        self.steps += 1
        self.seen[type(event).__name__] += 1
        assert old.to_json() == before, "step changed its input"
        assert RunState.from_json(self.state.to_json()).to_json() == self.state.to_json()
        then = self.state.threads[event.thread].phase
        assert then in LEGAL[phase, type(event)].to
        self.reached.add((phase, type(event), then))
        if isinstance(event, ModelReplied):  # what ran early and came to nothing is left
            self.drop(event.thread, [p for n, p in self.tools if n == event.thread and not self.runs_on(event, p)])
        book.took(effects, self.state, resumed=isinstance(event, Resume))
        for effect in effects:
            self.seen[type(effect).__name__] += 1
            if isinstance(effect, CallModel):
                self.models[effect.thread] = effect
            elif isinstance(effect, RunTool):
                self.tools[effect.thread, effect.position] = effect
        assert book.over or book.under_way() == self.tools.keys()
        for talk in book.talks.values():
            assert talk.parallel or sum(name == talk.name for name, _ in self.tools) <= 1, "two at once in serial mode"
        assert [(pending.thread, pending.position) for pending in self.state.pending] == book.waiting()

    def runs_on(self, event, position):
        thread, effect = self.state.threads[event.thread], self.tools[event.thread, position]
        return thread.under_way(position) and thread.calls[position].raw == effect.call.raw

    def tell(self, event, text):
        """Let the book know what is about to happen."""
        book, talk = self.book, self.book.talks[event.thread]
        match event:
            case ModelReplied():
                book.replied(talk, event)
            case ModelFailed():
                talk.early = {}
            case CallSeen():
                talk.early[event.position] = Call(dict(event.call.raw), event.verdict)
            case ToolReturned():
                book.returned(talk, event.position, text)
            case Decided():
                book.decided(talk, event.position, event.decision)
            case Resume():
                book.resumed(event.verdicts)
            case Withdrawn():
                book.withdrawn = book.withdrawn or not talk.asking
                for position in event.positions:
                    (talk.early if talk.asking else talk.calls)[position].handed = False
            case Stop():
                book.stopped(event)

    def refused(self, event):
        before = self.state.to_json()
        with pytest.raises(UsageError):
            step(self.state, event)
        assert self.state.to_json() == before
        self.seen["refused"] += 1

    def illegal(self):
        """Try something that can't happen now."""
        name = self.source.choice(list(self.state.threads))
        thread = self.state.threads[name]
        response = Response({"status": "completed", "output": []})
        turn, output = thread.turn, {"type": "function_call_output", "call_id": "c", "output": "x"}
        position = self.source.choice([*thread.calls, 7])
        call = item_view({"type": "function_call", "call_id": "zz", "name": "f", "arguments": "{}"})
        events = [
            Start(name),
            ModelReplied(turn, response, name),
            ModelFailed(turn, "broken", name),
            ConversationMade(turn, "conv", name),
            CallSeen(turn, 9, call, Verdict("f", effect="pure"), name),
            ToolReturned(turn, position, output, name),
            Withdrawn(turn, (position,), name),
            Decided(turn, position, Approve(), name),
        ]
        event = self.source.choice(events)
        flaw = self.pick("turn", "thread", "place")
        if flaw == "turn" and not isinstance(event, Start):
            event = event._replace(turn=turn + self.pick(-1, 1))
        elif flaw == "thread":
            event = event._replace(thread=f"{name}/9.9")
        elif (thread.phase, type(event)) in LEGAL:
            waits = position in thread.waiting
            if isinstance(event, Decided) and not waits:
                pass
            elif not isinstance(event, ToolReturned | Withdrawn) or (name, position) in self.tools:
                return
        self.refused(event)
