"""The state of a run as JSON: every version is read, nothing damaged is, and decisions travel as JSON too."""

import contextlib
import copy
import json
import random

import pytest

from agentrt import Limits, RunState, UsageError
from agentrt.core.loop import step
from agentrt.core.pending import Answer, Approve, Deny, Pending, decision_from, decision_json, pending_id
from agentrt.core.protocol import Decided, ModelReplied, Moved, Resume, RunTool, Start, ToolReturned
from agentrt.core.state import MAIN, VERSIONS, Thread, Verdict
from agentrt.wire.items import item_view
from agentrt.wire.responses import Response

USER = {"type": "message", "role": "user", "content": "go"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "ok"}


def call(number):
    return {**CALL, "call_id": f"c{number}"}


def rich():
    """A state that holds something of everything: questions, edits, a sub-agent at work, limits, notes."""

    def ask(position):
        return Pending(
            f"p{position}", "tool", "f", {"n": 1}, "f(n=1)", "agent", MAIN, 1, position, f"c{position}", "v1"
        )

    begin = Thread(items=(item_view(USER),), given=1, limits=Limits(max_turns=3, calls={"f": 2}), agent="helper")
    thread = Thread(items=(item_view(USER),), given=1, history="response")
    state = RunState("r", Limits(max_tool_calls=9, calls={"f": 9}, cost=2.0), threads={MAIN: thread}, notes=("mended",))
    state, _ = step(state, Start())
    verdicts = {
        0: Verdict("f", ask=ask(0), definition="v1"),
        1: Verdict("f", ask=ask(1), lane="a"),
        2: Verdict("f", "agent", begin=begin),
        3: Verdict("g", effect="pure", exclusive=True),
        4: Verdict("to_other", "handoff", agent="other", parallel=False),
    }
    usage = {"input_tokens": 3, "output_tokens": 2}
    response = Response({"id": "resp", "status": "completed", "output": [*map(call, range(5))], "usage": usage})
    state, _ = step(state, ModelReplied(1, response, verdicts=verdicts, cost=0.5, seconds=1.5))
    state, _ = step(state, Decided(1, 0, Approve({"n": 2})))
    state, _ = step(state, ToolReturned(1, 3, {**OUTPUT, "call_id": "c3"}))
    return state


def read(raw):
    return RunState.from_json(json.dumps(raw))


def test_a_state_with_all_there_is_comes_back_as_it_was():
    state = rich()
    again = RunState.from_json(state.to_json())
    assert again.to_json() == state.to_json()
    assert (again.limits, again.meter, again.notes, again.pending) == (
        state.limits,
        state.meter,
        state.notes,
        state.pending,
    )
    for name, thread in state.threads.items():
        for field in ("edited", "decided", "handed", "waiting", "handoff", "limits", "meter", "parent", "call_id"):
            assert getattr(again.threads[name], field) == getattr(thread, field)
    assert again.threads[MAIN].verdicts[0] == state.threads[MAIN].verdicts[0]
    assert RunState.from_json(state.to_json().encode()).run_id == "r"


# --- older versions: as those versions wrote them


def older(version, **thread):
    usage = dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"), 3)
    if version > 1:
        usage["cache_write_tokens"] = 1
        server = {"history": "response", "anchor": "resp_1", "known": 2}
        thread = {**server, "outside": None if version > 2 else False, **thread}
    plain = {"items": [USER, CALL], "given": 1, "phase": "tools", "turn": 1, "last": False, "parallel": True}
    limits = {"max_turns": 9, "max_tool_calls": None, "max_calls_per_turn": 128}
    return {
        "version": version,
        "run_id": "r",
        "limits": limits,
        "meter": {"turns": 1, "calls": 1, "usage": usage},
        "threads": {MAIN: {**plain, "calls": {"1": CALL}, "outputs": {}, **thread}},
        "status": None,
        "stopped_by": None,
    }


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_state_goes_on(version):
    state = read(older(version))
    assert state.meter.usage.input_tokens == 3
    assert json.loads(state.to_json())["version"] == max(VERSIONS)
    done, (ask,) = step(state, ToolReturned(1, 1, OUTPUT))
    assert (ask.turn, ask.thread, done.threads[MAIN].items[-1].raw) == (2, MAIN, OUTPUT)
    resumed, _ = step(state, Resume())
    assert "outcome is unknown" in resumed.threads[MAIN].items[-1].raw["output"]


def test_what_older_versions_wrote_as_yes_or_no_has_a_name_now():
    assert read(older(2, outside=True)).threads[MAIN].outside == "resp_1"
    assert read(older(2)).threads[MAIN].outside is None
    assert read(older(3, outside="before")).threads[MAIN].outside == "before"
    last = read(older(3, last=True, phase="model", calls={})).threads[MAIN]
    assert (last.last, last.last_of_run) == ("max_turns", True)
    assert read(older(3)).threads[MAIN].last is None


def test_every_version_has_its_line():
    assert list(VERSIONS) == list(range(1, len(VERSIONS) + 1))
    with pytest.raises(UsageError, match="version 99, but this agentrt reads"):
        read({**older(3), "version": 99})


# --- damage


def test_a_state_cut_off_anywhere_is_refused():
    text = rich().to_json()
    for end in range(len(text)):
        with pytest.raises(UsageError, match="state"):
            RunState.from_json(text[:end])


def places(value, path=()):
    """Give the paths of all values in a state that are ours, not an item's or an argument's."""
    yield path
    inside = "items", "calls", "outputs", "arguments", "edited", "usage"
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in inside or path in ((), ("limits",)):
                yield from places(part, (*path, key))


WRONG = [None, True, -1, 0.5, "wrong", [], ["wrong"], [-1], {}, {"wrong": 1}, {"1": "wrong"}]


def test_a_wrong_value_anywhere_is_a_usage_error_or_makes_no_harm():
    raw = json.loads(rich().to_json())
    refused = 0
    for path in places(raw):
        for wrong in WRONG:
            damaged = copy.deepcopy(raw)
            target = damaged
            for key in path[:-1]:
                target = target[key]
            if path:
                target[path[-1]] = wrong
            else:
                damaged = wrong
            try:
                state = read(damaged)
            except UsageError:
                refused += 1
                continue
            assert RunState.from_json(state.to_json()).to_json() == state.to_json(), (path, wrong)
            assert len(state.pending) <= 2
            step(state, Resume())
    assert refused > 500


@pytest.mark.parametrize("field", ["run_id", "limits", "meter", "threads"])
def test_a_missing_part_is_a_usage_error(field):
    raw = json.loads(rich().to_json())
    del raw[field]
    with pytest.raises(UsageError, match="not a state"):
        read(raw)


@pytest.mark.parametrize(
    ("thread", "changes", "told"),
    [
        ("main", {"known": 99}, "more items are known than there are"),
        ("main", {"outputs": {"7": OUTPUT}}, "a call that isn't there"),
        ("main", {"waiting": [3]}, "a call waits for nothing"),
        ("main", {"handed": "0"}, "no list of int"),
        ("main", {"handoff": ["other", 1]}, "a handoff goes to"),
        ("main", {"edited": {"0": [1]}}, "are no arguments"),
        ("main", {"items": [7]}, "no list of"),
        ("main", {"phase": "asleep"}, "phase of a Thread is 'asleep'"),
        ("main", {"parent": "main/1.2"}, "the main thread has a parent"),
        ("main/1.2", {"parent": None}, "a thread has no parent"),
        ("main/1.2", {"parent": "main/1.2"}, "another parent"),
        ("main/1.2", {"limits": None}, "no limits"),
        ("main/1.2", {"position": 9}, "answers no call"),
    ],
)
def test_what_no_run_can_have_come_to_is_refused(thread, changes, told):
    raw = json.loads(rich().to_json())
    raw["threads"][thread] |= changes
    with pytest.raises(UsageError, match=told):
        read(raw)


def test_random_bytes_are_refused_or_read():
    seed = random.randrange(2**32)
    print("seed", seed)
    source, text = random.Random(seed), rich().to_json().encode()
    for _ in range(500):
        damaged = bytearray(text)
        for _ in range(source.randint(1, 4)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        with contextlib.suppress(UsageError):
            RunState.from_json(bytes(damaged)).to_json()


# --- decisions


@pytest.mark.parametrize(
    "decision", [Approve(), Approve({"n": 2}), Deny(), Deny("no"), Answer("4"), Answer({"a": [1]})]
)
def test_a_decision_travels_as_json(decision):
    assert decision_from(decision) is decision
    assert decision_from(json.loads(json.dumps(decision_json(decision)))) == decision


@pytest.mark.parametrize("raw", [None, True, "approve", {}, {"type": "maybe"}, ["approve"]])
def test_what_is_no_decision_is_refused(raw):
    with pytest.raises(UsageError, match=r"Approve\(\), Deny\(reason\) or Answer\(value\)"):
        decision_from(raw)


def test_a_decision_may_leave_out_what_it_has_no_use_for():
    assert decision_from({"type": "approve"}) == Approve()
    assert decision_from({"type": "deny", "reason": None}) == Deny()
    assert decision_from({"type": "answer"}) == Answer(None)


def test_an_id_changes_with_anything_that_the_decision_is_about():
    parts = ["run", MAIN, 1, 0, "f", "v1", None, {"n": 1}]
    ids = {pending_id(*parts)}
    assert pending_id(*copy.deepcopy(parts)) in ids
    for index in range(len(parts)):
        ids.add(pending_id(*parts[:index], "other", *parts[index + 1 :]))
    assert len(ids) == len(parts) + 1
    assert pending_id("a", "b") != pending_id("ab")
    assert pending_id({"n": 1}) != pending_id({"n": "1"})


def test_a_decision_made_days_later_on_the_loaded_state_runs_the_call_with_the_edited_arguments():
    state, _ = step(RunState.from_json(rich().to_json()), Resume())
    assert [pending.id for pending in state.pending] == ["p1"]
    state, effects = step(RunState.from_json(state.to_json()), Decided(1, 1, Approve({"n": 5})))
    assert [(effect.position, effect.edited) for effect in effects if isinstance(effect, RunTool)] == [(1, {"n": 5})]


def test_what_another_server_keeps_cannot_be_gone_on_from_here():
    thread = Thread(
        items=(item_view(USER),), given=1, history="response", anchor="resp_1", outside="resp_1", provider="http://a"
    )
    state, _ = step(RunState("r", Limits(), threads={MAIN: thread}), Start())
    with pytest.raises(UsageError, match=r"'resp_1' is kept by http://a.*pass the whole conversation"):
        step(state, Moved(1, "http://b"))
    assert state.threads[MAIN].anchor == "resp_1"


def test_states_go_into_sets_by_their_fields():
    state = rich()
    assert len({state, copy.copy(state), RunState("r", Limits())}) == 2
