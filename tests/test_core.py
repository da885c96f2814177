"""The machine by itself: no client, no tools, no event loop."""

import itertools
import random

import pytest

from agentrt import Limits, Result, RunState, UsageError
from agentrt.core.history import next_request, unanswerable
from agentrt.core.loop import LEGAL, step
from agentrt.core.protocol import (
    CallModel,
    ConversationMade,
    Finish,
    ModelFailed,
    ModelReplied,
    RunTool,
    Start,
    Stop,
    ToolReturned,
)
from agentrt.core.state import MAIN, Meter, Thread, evolve
from agentrt.wire.compose import message_item
from agentrt.wire.items import item_view
from agentrt.wire.responses import Response, Usage

USER = item_view({"type": "message", "role": "user", "content": "go"})


def call(number, **more):
    return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": f'{{"n": {number}}}', **more}


def reply(*output, **more):
    return Response(
        {"status": "completed", "output": list(output), "usage": {"input_tokens": 10, "output_tokens": 2}, **more}
    )


def fresh(*, parallel=True, history="replay", **limits):
    thread = Thread(items=(USER,), given=1, parallel=parallel, history=history)
    return RunState("r", Limits(**limits), threads={MAIN: thread})


def reply_to(turn, *output, **more):
    return ModelReplied(turn, reply(*output, **more))


def out(effect, text="ok"):
    return ToolReturned(
        effect.turn,
        effect.position,
        {"type": "function_call_output", "call_id": effect.call.raw["call_id"], "output": text},
    )


def play(state, *replies):
    """Run a whole script; every tool answers at once."""
    state, effects = step(state, Start())
    seen, replies = list(effects), iter(replies)
    while state.status is None:
        effect = effects.pop(0)
        event = ModelReplied(effect.turn, next(replies)) if isinstance(effect, CallModel) else out(effect)
        state, more = step(state, event)
        effects += more
        seen += more
    return state, seen


def outputs(state):
    return [item.raw["output"] for item in state.threads[MAIN].items if item.type == "function_call_output"]


def test_a_run_without_calls():
    state, seen = play(fresh(), reply(message_item("m", "hi")))
    assert seen == [CallModel(1, False, None, MAIN), Finish("completed")]
    assert state.meter == Meter(turns=1, calls=0, usage=Usage(10, 2))
    assert Result(state).text == "hi"


def test_parallel_calls_start_at_once_and_answer_in_order():
    state, _ = step(fresh(), Start())
    state, effects = step(state, ModelReplied(1, reply(message_item("m", "wait"), call(1), call(2), call(3))))
    assert [(effect.turn, effect.position) for effect in effects] == [(1, 1), (1, 2), (1, 3)]
    for effect in reversed(effects):
        assert isinstance(effect, RunTool)
        state, more = step(state, out(effect, f"out {effect.position}"))
    assert more == [CallModel(2, False, None, MAIN)]
    assert outputs(state) == ["out 1", "out 2", "out 3"]


def test_serial_calls_start_one_after_another():
    state, _ = step(fresh(parallel=False), Start())
    state, effects = step(state, ModelReplied(1, reply(call(1), call(2))))
    assert [effect.position for effect in effects] == [0]
    state, effects = step(state, out(effects[0]))
    assert [effect.position for effect in effects] == [1]
    state, effects = step(state, out(effects[0]))
    assert effects == [CallModel(2, False, None, MAIN)]


def test_every_illegal_event_raises_and_changes_nothing():
    asked, _ = step(fresh(), Start())
    tools, _ = step(asked, ModelReplied(1, reply(call(1), call(2))))
    done, _ = step(asked, Stop())
    effect = RunTool(1, 0, item_view(call(1)), MAIN)
    events = {Start: Start(), ModelReplied: ModelReplied(1, reply()), ToolReturned: out(effect), Stop: Stop()}
    states = {"new": fresh(), "model": asked, "tools": tools, "done": done}
    for (phase, state), (kind, event) in itertools.product(states.items(), events.items()):
        before = state.to_json()
        if (phase, kind) == ("model", ToolReturned):
            with pytest.raises(UsageError, match="call 0 of turn 1 is not open"):
                step(state, event)
        elif (phase, kind) in LEGAL:
            step(state, event)
        else:
            with pytest.raises(UsageError, match=f"{kind.__name__} can't happen in phase '{phase}'"):
                step(state, event)
        assert state.to_json() == before


def test_answers_to_nothing_are_refused():
    asked, _ = step(fresh(), Start())
    tools, effects = step(asked, ModelReplied(1, reply(call(1), call(2))))
    once, _ = step(tools, out(effects[0]))
    with pytest.raises(UsageError, match="call 0 of turn 1 is not open"):
        step(once, out(effects[0]))
    with pytest.raises(UsageError, match="turn 7"):
        step(tools, out(effects[0])._replace(turn=7))
    with pytest.raises(UsageError, match="turn 7 can't come in turn 1"):
        step(asked, ModelReplied(7, reply()))
    with pytest.raises(UsageError, match="unknown thread 'other'"):
        step(asked, Stop(thread="other"))


# --- limits


def test_max_tool_calls_lets_the_first_ones_run_and_ends_in_an_answer():
    state, seen = play(
        fresh(max_tool_calls=2), reply(call(1), call(2), call(3)), reply(message_item("m", "with what I have"))
    )
    assert [effect.position for effect in seen if isinstance(effect, RunTool)] == [0, 1]
    assert [effect for effect in seen if isinstance(effect, CallModel)] == [
        CallModel(1, False, 2, MAIN),
        CallModel(2, True, None, MAIN),
    ]
    assert "limit reached (max_tool_calls)" in outputs(state)[2]
    assert (state.status, state.stopped_by, state.meter.calls) == ("limit", "max_tool_calls", 3)
    assert Result(state).output == "with what I have"


def test_a_run_that_uses_its_calls_up_exactly_is_completed():
    state, seen = play(fresh(max_tool_calls=2), reply(call(1)), reply(call(2)), reply(message_item("m", "done")))
    assert [effect.max_tool_calls for effect in seen if isinstance(effect, CallModel)] == [2, 1, None]
    assert (state.status, state.stopped_by) == ("completed", None)


def test_hosted_calls_count_first():
    hosted = {"type": "web_search_call", "id": "ws", "status": "completed"}
    state, seen = play(
        fresh(max_tool_calls=3), reply(call(1), hosted, hosted, call(2)), reply(message_item("m", "done"))
    )
    assert [effect.position for effect in seen if isinstance(effect, RunTool)] == [0]
    assert state.meter.calls == 4
    state, seen = play(fresh(max_tool_calls=1), reply(hosted, hosted, call(2)), reply(message_item("m", "done")))
    assert not [effect for effect in seen if isinstance(effect, RunTool)]


def test_no_calls_at_all():
    state, seen = play(fresh(max_tool_calls=0), reply(message_item("m", "done")))
    assert seen[0] == CallModel(1, True, None, MAIN)
    assert state.status == "completed"


def test_calls_in_the_last_turn_are_answered_and_end_the_run():
    state, seen = play(fresh(max_turns=2), reply(call(1)), reply(message_item("m", "partly"), call(2)))
    assert [effect.last for effect in seen if isinstance(effect, CallModel)] == [False, True]
    assert (state.status, state.stopped_by) == ("limit", "max_turns")
    assert "limit reached (max_turns)" in outputs(state)[1]
    with pytest.raises(UsageError, match="'limit'"):
        _ = Result(state).output
    state, _ = play(fresh(max_tool_calls=0), reply(call(1)))
    assert (state.status, state.stopped_by) == ("limit", "max_tool_calls")


def test_a_run_that_needs_its_last_turn_only_to_answer_is_completed():
    state, _ = play(fresh(max_turns=2), reply(call(1)), reply(message_item("m", "done")))
    assert (state.status, state.stopped_by) == ("completed", None)


def test_max_calls_per_turn():
    state, seen = play(fresh(max_calls_per_turn=3), reply(*map(call, range(5))), reply(message_item("m", "done")))
    assert len([effect for effect in seen if isinstance(effect, RunTool)]) == 3
    assert (state.status, state.stopped_by) == ("limit", "max_calls_per_turn")
    assert [text.startswith("Error: limit") for text in outputs(state)] == [False] * 3 + [True] * 2


@pytest.mark.parametrize(
    "limits",
    [
        {"max_turns": 0},
        {"max_turns": True},
        {"max_tool_calls": -1},
        {"max_calls_per_turn": 0},
        {"calls": ["f"]},
        {"calls": {"f": -1}},
        {"tokens": 0},
        {"cost": 0},
        {"cost": float("nan")},
        {"seconds": "1"},
        {"seconds": True},
        {"on_limit": "shout"},
    ],
)
def test_limits_out_of_range(limits):
    with pytest.raises(UsageError, match="must be"):
        Limits(**limits)


# --- replies that are not plain


@pytest.mark.parametrize(
    ("given", "status"), [("incomplete", "incomplete"), ("cancelled", "cancelled"), ("queued", "incomplete")]
)
def test_calls_of_a_reply_that_did_not_complete_are_answered_but_not_run(given, status):
    state, seen = play(fresh(), reply(call(1), call(2, status="incomplete", arguments='{"n'), status=given))
    assert not [effect for effect in seen if isinstance(effect, RunTool)]
    assert state.status == status
    assert [f"ended {given}" in text for text in outputs(state)] == [True, True]


def test_a_refusal():
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    state, _ = play(fresh(), reply(refusal))
    assert state.status == "refused"
    with pytest.raises(UsageError, match="'refused'"):
        _ = Result(state).output


def test_twins_of_one_call_id():
    same, other = call(1, id="x"), call(1, arguments='{"n": 9}')
    state, seen = play(
        fresh(), reply(call(1), same, other, call(2, status="incomplete")), reply(message_item("m", "done"))
    )
    assert [effect.position for effect in seen if isinstance(effect, RunTool)] == [0]
    texts = outputs(state)
    assert texts[0] == "ok"
    assert "used by another call" in texts[1]
    assert "came incomplete" in texts[2]
    assert state.status == "completed"


def test_a_call_that_waits_for_somebody_else():
    items = [item_view({"type": "shell_call"}), item_view({"type": "shell_call_output"})]
    assert unanswerable(items) is None
    assert unanswerable([*items, item_view({"type": "custom_tool_call"})]) == "custom_tool_call"


def test_stopping_answers_what_is_open():
    state, _ = step(fresh(), Start())
    state, effects = step(state, ModelReplied(1, reply(call(1), call(2))))
    state, _ = step(state, out(effects[1], "had ended"))
    state, effects = step(state, Stop())
    assert effects == [Finish("cancelled")]
    told = "this call had begun when the run was cancelled, so its outcome is unknown; it is not repeated"
    assert outputs(state) == [f"Error: {told}", "had ended"]
    assert step(fresh(), Stop())[0].status == "cancelled"


# --- the state as JSON


def test_the_state_survives_json_in_every_phase():
    state = fresh(max_tool_calls=9)
    for event in (
        None,
        Start(),
        ModelReplied(1, reply(call(1), call(2))),
        out(RunTool(1, 1, item_view(call(2)), MAIN)),
        Stop(),
    ):
        if event is not None:
            state, _ = step(state, event)
        again = RunState.from_json(state.to_json())
        assert again.to_json() == state.to_json()
        assert again.limits == state.limits
        assert again.meter == state.meter


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1}', '{"version": 1, "meter": 3}'])
def test_what_is_no_state_is_refused(text):
    with pytest.raises(UsageError, match="state"):
        RunState.from_json(text)


# --- what the next request carries


def request(**more):
    options = {"last": False, "max_tool_calls": None, "fixed": {"model": "m", "tools": [{}]}}
    thread = {name: more.pop(name) for name in list(more) if name in Thread.__dataclass_fields__ and name != "last"}
    return next_request(Thread(**{"items": (USER,), "turn": 1, **thread}), **{**options, **more})


def test_what_an_agent_adds_to_a_request():
    assert request(max_tool_calls=3) == {
        "model": "m",
        "tools": [{}],
        "input": [USER],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "parallel_tool_calls": True,
        "max_tool_calls": 3,
    }
    assert "parallel_tool_calls" not in request(fixed={"model": "m"})
    assert request(parallel=False)["parallel_tool_calls"] is False
    assert "include" not in request(refused=frozenset({"include"}))


def test_what_the_user_wrote_stays():
    mine = {"model": "m", "tools": [{}], "store": True, "include": ["x"], "max_tool_calls": 7}
    assert request(fixed=mine, refused=frozenset({"store", "include"})) == {
        **mine,
        "input": [USER],
        "parallel_tool_calls": True,
    }
    assert request(fixed=mine)["include"] == ["x", "reasoning.encrypted_content"]
    assert request(fixed={"include": ["reasoning.encrypted_content"]})["include"] == ["reasoning.encrypted_content"]
    assert request(fixed={"background": True})["store"] is True


def test_a_forced_choice_is_made_once_and_the_last_turn_is_without_calls():
    forced = {"model": "m", "tools": [{}], "tool_choice": "required"}
    assert request(fixed=forced)["tool_choice"] == "required"
    assert request(fixed=forced, turn=2)["tool_choice"] == "auto"
    assert request(fixed=forced, last=True)["tool_choice"] == "none"
    assert request(fixed={**forced, "tool_choice": "none"}, turn=2)["tool_choice"] == "none"
    assert "tool_choice" not in request(turn=2)


def test_a_result_tells_the_answer_from_what_was_said_beside_calls():
    commentary = {**message_item("m", "thinking aloud"), "phase": "commentary"}
    state, _ = play(
        fresh(),
        reply(message_item("m", "let me see"), call(1)),
        reply(commentary, message_item("m", "the "), message_item("m", "answer")),
    )
    result = Result(state)
    assert result.text == result.output == "the answer"
    assert (result.turns, result.usage.total_tokens, result.stopped_by) == (2, 24, None)
    assert "completed" in repr(result)


# --- any script


@pytest.mark.parametrize("runs", [300, pytest.param(30_000, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_whatever_the_model_does_every_call_is_answered_once_and_in_order(runs):
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(runs):
        limits = {
            "max_turns": source.randint(1, 6),
            "max_tool_calls": source.choice([None, 0, 1, 3, 8]),
            "max_calls_per_turn": source.choice([1, 2, 128]),
        }
        state, effects = step(fresh(parallel=source.random() < 0.5, **limits), Start())
        numbers, ran = itertools.count(), 0
        while state.status is None:
            effect = effects.pop(source.randrange(len(effects)))
            if isinstance(effect, CallModel):
                assert not effects
                items = [call(next(numbers)) for _ in range(source.choice([0, 1, 1, 2, 5]))]
                items += [{"type": "web_search_call"}] * source.choice([0, 0, 1])
                source.shuffle(items)
                state, more = step(
                    state,
                    ModelReplied(effect.turn, reply(*items, status=source.choice(["completed"] * 9 + ["incomplete"]))),
                )
            else:
                ran += 1
                state, more = step(state, out(effect) if source.random() < 0.97 else Stop())
            effects = [] if state.status is not None else effects + more
        items = state.threads[MAIN].items
        asked = [item.raw["call_id"] for item in items if item.type == "function_call"]
        assert asked == [item.raw["call_id"] for item in items if item.type == "function_call_output"]
        assert state.meter.turns <= limits["max_turns"]
        assert limits["max_tool_calls"] is None or ran <= limits["max_tool_calls"]


# --- what the server holds of a thread


def asked(state, turn=1, **fields):
    state, _ = step(state, Start())
    thread = evolve(state.threads[MAIN], **fields)
    return evolve(state, threads={MAIN: thread}), turn


def test_a_lost_state_is_asked_again_with_everything_in_the_same_turn():
    state, turn = asked(fresh(), history="response", anchor="resp_1", known=1)
    again, (effect,) = step(state, ModelFailed(turn, "state_lost"))
    assert isinstance(effect, CallModel)
    assert (effect.turn, again.meter.turns) == (1, state.meter.turns)
    thread = again.threads[MAIN]
    assert (thread.history, thread.anchor, thread.known) == ("response", None, 0)
    again, _ = step(state, ModelFailed(turn, "unsupported"))
    assert again.threads[MAIN].history == "replay"


def test_what_began_outside_the_run_cannot_be_rebuilt():
    state, turn = asked(fresh(), history="conversation", anchor="conv", outside="conv")
    with pytest.raises(UsageError, match="can't be rebuilt"):
        step(state, ModelFailed(turn, "state_lost"))
    with pytest.raises(UsageError, match="can't come in turn 1"):
        step(state, ModelFailed(7, "state_lost"))


def test_reasoning_that_is_refused_goes_with_the_ids_that_hang_on_it():
    reasoning = item_view({"type": "reasoning", "id": "rs"})
    items = (USER, reasoning, item_view({**call(1), "id": "fc"}), item_view({"type": "web_search_call", "id": "ws"}))
    state, turn = asked(fresh(), items=items, given=2)
    again, _ = step(state, ModelFailed(turn, "reasoning_refused"))
    thread = again.threads[MAIN]
    assert [item.type for item in thread.items] == ["message", "function_call", "web_search_call"]
    assert [item.id for item in thread.items] == [None, None, "ws"]
    assert thread.given == 1


def test_reasoning_is_left_out_of_what_is_sent_first_and_of_what_the_server_holds_then():
    reasoning, follower = item_view({"type": "reasoning", "id": "rs"}), item_view({**call(1), "id": "fc"})
    items = (USER, reasoning, follower, USER, reasoning, follower)
    state, turn = asked(fresh(history="response"), items=items, given=6, anchor="resp_1", known=3)
    state, _ = step(state, ModelFailed(turn, "reasoning_refused"))
    thread = state.threads[MAIN]
    assert (thread.anchor, thread.known, thread.given) == ("resp_1", 3, 5)
    assert [item.id for item in thread.items] == [USER.id, "rs", "fc", USER.id, None]
    earlier, _ = asked(fresh(history="response"), items=items, given=1, anchor="resp_1", known=3)
    assert step(earlier, ModelFailed(turn, "reasoning_refused"))[0].threads[MAIN].given == 1
    state, _ = step(state, ModelFailed(turn, "reasoning_refused"))
    thread = state.threads[MAIN]
    assert (thread.anchor, thread.known, thread.given) == (None, 0, 4)
    assert [item.type for item in thread.items] == ["message", "function_call", "message", "function_call"]


def test_after_a_stop_in_mid_turn_a_conversation_counts_no_more():
    state, _ = asked(fresh(history="conversation"), anchor="conv", known=0)
    stopped, _ = step(state, Stop())
    assert stopped.threads[MAIN].anchor is None
    state, _ = step(state, reply_to(1, call(1)))
    stopped, _ = step(state, Stop())
    assert (stopped.threads[MAIN].anchor, stopped.threads[MAIN].known) == ("conv", 2)


def test_an_anchor_moves_with_each_reply():
    state, _ = step(fresh(history="response"), Start())
    state, _ = step(state, reply_to(1, call(1), id="resp_1"))
    thread = state.threads[MAIN]
    assert (thread.anchor, thread.known) == ("resp_1", 2)
    assert request(items=thread.items, anchor="resp_1", known=2, history="response")["input"] == []
    state, _ = step(fresh(history="conversation"), Start())
    state, _ = step(state, ConversationMade(1, "conv_1"))
    state, _ = step(state, reply_to(1, call(1), id="resp_1"))
    assert state.threads[MAIN].anchor == "conv_1"
    assert request(history="conversation", anchor="conv_1")["conversation"] == "conv_1"
    assert RunState.from_json(state.to_json()).to_json() == state.to_json()
