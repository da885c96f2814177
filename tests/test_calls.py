"""Calls between the reply and their outputs: what is asked about, held up, limited, interrupted. One rule a test."""

import runpy
from pathlib import Path

import pytest

from agentrt import Limits, Result, RunState, UsageError
from agentrt.core.diagram import diagram
from agentrt.core.history import final_text, has_broken_arguments
from agentrt.core.loop import LEGAL, step
from agentrt.core.pending import Answer, Approve, Deny, Pending
from agentrt.core.protocol import (
    Ask,
    CallModel,
    CallSeen,
    Decided,
    Finish,
    ModelReplied,
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

USER = item_view({"type": "message", "role": "user", "content": "go"})
CHILD = "main/1.0"


def call(number, **more):
    return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}", **more}


def ask(position, thread=MAIN, turn=1):
    return Pending(f"p{position}", "tool", "f", {}, "f()", "agent", thread, turn, position, f"c{position}")


def helper(**limits):
    return Verdict("helper", "agent", begin=Thread(items=(USER,), given=1, agent="helper", limits=Limits(**limits)))


def begun(*output, verdicts=None, parallel=True, **limits):
    """A run after its first reply, with what it asks for then."""
    thread = Thread(items=(USER,), given=1, parallel=parallel)
    state, _ = step(RunState("r", Limits(**limits), threads={MAIN: thread}), Start())
    return replied(state, *output, verdicts=verdicts)


def replied(state, *output, verdicts=None, thread=MAIN, **more):
    response = Response({"status": "completed", "output": list(output)})
    return step(state, ModelReplied(state.threads[thread].turn, response, thread, verdicts or {}, **more))


def back(position, text="ok", turn=1, thread=MAIN):
    return ToolReturned(
        turn, position, {"type": "function_call_output", "call_id": f"c{position}", "output": text}, thread
    )


def say(text):
    return message_item("m", text)


def outputs(state, thread=MAIN):
    return [item.raw["output"] for item in state.threads[thread].items if item.type == "function_call_output"]


def started(effects):
    return [effect.position for effect in effects if isinstance(effect, RunTool)]


# --- decisions


def test_a_call_that_waits_cannot_return_before_somebody_decided():
    state, effects = begun(call(0), verdicts={0: Verdict("f", ask=ask(0))})
    assert effects == [Ask(ask(0)), Finish("pending")]
    with pytest.raises(UsageError, match="call 0 of turn 1 is not open"):
        step(state, back(0))
    state, effects = step(state, Decided(1, 0, Approve()))
    assert (started(effects), state.status, state.pending) == ([0], None, [])


def test_a_call_that_did_not_get_its_turn_cannot_return():
    state, effects = begun(call(0), call(1), parallel=False)
    assert started(effects) == [0]
    with pytest.raises(UsageError, match="call 1 of turn 1 is not open"):
        step(state, back(1))


@pytest.mark.parametrize("decision", [Answer(object()), Approve({"n": object()}), Approve(["n"])])
def test_a_decision_that_no_state_could_hold_is_refused(decision):
    state, _ = begun(call(0), verdicts={0: Verdict("f", ask=ask(0))})
    with pytest.raises(UsageError, match="must be"):
        step(state, Decided(1, 0, decision))


def test_edited_arguments_are_not_silently_dropped_where_a_sub_agent_is_asked():
    state, _ = begun(call(0), verdicts={0: evolve(helper(), ask=ask(0))})
    with pytest.raises(UsageError, match="a sub-agent begins with what the model asked"):
        step(state, Decided(1, 0, Approve({"task": "other"})))
    _, effects = step(state, Decided(1, 0, Approve()))
    assert [effect.thread for effect in effects] == [CHILD]


def test_an_exclusive_call_behind_one_that_waits_holds_up_what_comes_after_it():
    verdicts = {0: Verdict("f", lane="a", ask=ask(0)), 1: Verdict("f", lane="a", exclusive=True), 2: Verdict("f")}
    state, effects = begun(call(0), call(1), call(2), verdicts=verdicts)
    assert effects == [Ask(ask(0)), Finish("pending")]
    _, effects = step(state, Decided(1, 0, Deny()))
    assert started(effects) == [1, 2]


def test_a_handoff_is_never_asked_about():
    verdicts = {0: Verdict("h", "handoff", agent="other", ask=ask(0)), 1: Verdict("f", ask=ask(1))}
    state, _ = begun(call(0), call(1), verdicts=verdicts)
    assert [pending.position for pending in state.pending] == [1]


def test_the_first_handoff_of_a_reply_is_the_one_that_counts():
    verdicts = {position: Verdict("h", "handoff", agent=f"agent {position}") for position in (1, 0)}
    state, _ = begun(call(0), call(1), verdicts=verdicts)
    assert state.threads[MAIN].agent == "agent 0"
    assert "goes to agent 0 already" in outputs(state)[1]


# --- limits


def test_a_run_that_used_its_tokens_up_makes_no_further_request_even_when_one_turn_is_left():
    state, _ = begun(call(0), max_turns=2, tokens=1, on_limit="stop")
    state = evolve(state, meter=state.meter._replace(usage=state.meter.usage._replace(input_tokens=5)))
    state, effects = step(state, back(0))
    assert (effects, state.stopped_by) == ([Finish("limit")], "tokens")


def test_a_last_turn_without_an_answer_names_its_limit():
    verdicts = {0: Verdict("final", "output")}
    state, effects = begun(call(0, status="incomplete"), verdicts=verdicts, max_turns=1)
    assert (effects, state.stopped_by) == ([Finish("limit")], "max_turns")


def test_a_sub_agents_own_limit_is_not_the_runs():
    state, _ = begun(call(0), verdicts={0: helper(calls={"f": 1})})
    calls = [call(5), call(6)]
    state, effects = replied(state, *calls, verdicts=dict.fromkeys((0, 1), Verdict("f")), thread=CHILD)
    assert started(effects) == [0]
    state, _ = step(state, back(0, thread=CHILD))
    assert "limit reached (calls of f)" in outputs(state, CHILD)[1]
    state, _ = replied(state, say("found it"), thread=CHILD)
    assert outputs(state) == ["found it"]
    state, effects = replied(state, say("done"))
    assert (effects, state.stopped_by, state.threads[CHILD].stopped_by) == ([Finish("completed")], None, "calls")


def test_a_limit_of_the_run_is_noted_beside_one_of_the_sub_agents_own():
    verdicts = dict.fromkeys(range(3), Verdict("g"))
    state, _ = begun(call(0), verdicts={0: helper(max_calls_per_turn=2)}, calls={"g": 1})
    state, _ = replied(state, call(5), call(6), call(7), verdicts=verdicts, thread=CHILD)
    assert state.stopped_by == "calls"
    assert state.threads[CHILD].stopped_by == "max_calls_per_turn"


def test_a_last_turn_that_was_the_sub_agents_own_does_not_end_the_run_as_limited():
    state, _ = begun(call(0), verdicts={0: helper(max_turns=1)}, max_turns=4)
    state, _ = replied(state, call(5), verdicts={0: Verdict("f")}, thread=CHILD)
    assert outputs(state) == ["Error: helper ended limit (max_turns)"]
    state, effects = replied(state, say("done"))
    assert effects == [Finish("completed")]


def test_sub_agents_that_no_request_is_left_for_are_answered_one_after_another_in_serial_mode():
    verdicts = dict.fromkeys(range(3), helper())
    state, effects = begun(call(0), call(1), call(2), verdicts=verdicts, parallel=False, max_turns=2)
    assert [type(effect) for effect in effects] == [CallModel]
    assert [text.startswith("Error: limit reached (max_turns)") for text in outputs(state)] == [True] * 3


# --- calls that run before their reply is whole


def seen(position, verdict, thread=MAIN):
    return CallSeen(1, position, item_view(call(position)), verdict, thread)


def asked(**limits):
    return step(RunState("r", Limits(**limits), threads={MAIN: Thread(items=(USER,), given=1)}), Start())[0]


def test_a_call_in_a_lane_does_not_run_early():
    assert started(step(asked(), seen(0, Verdict("f", effect="pure")))[1]) == [0]
    assert step(asked(), seen(0, Verdict("f", effect="pure", lane="file")))[1] == []


def test_two_sub_agents_do_not_both_start_the_one_call_that_is_left():
    state, _ = begun(call(0), call(1), verdicts=dict.fromkeys((0, 1), helper()), max_tool_calls=3)
    for thread in (CHILD, "main/1.1"):
        assert step(state, seen(0, Verdict("f", effect="pure"), thread))[1] == []
    state, _ = begun(call(0), verdicts={0: helper(max_tool_calls=1)})
    assert started(step(state, seen(0, Verdict("f", effect="pure"), CHILD))[1]) == [0]
    assert step(state, seen(1, Verdict("f", effect="pure"), CHILD))[1] == []


def test_an_early_call_that_was_withdrawn_runs_once_its_reply_has_come():
    pure = Verdict("f", effect="pure")
    state, _ = step(asked(), seen(0, pure))
    state, _ = step(state, Withdrawn(1, (0,)))
    _, effects = replied(state, call(0), verdicts={0: pure})
    assert started(effects) == [0]


# --- interrupted


def test_only_calls_that_are_under_way_can_be_withdrawn():
    state, _ = begun(call(0), call(1), verdicts={0: helper()})
    for event in (Withdrawn(2, (1,)), Withdrawn(1, (0,)), Withdrawn(1, (7,))):
        with pytest.raises(UsageError, match="is not open"):
            step(state, event)
    state, effects = step(state, Withdrawn(1, (1,)))
    assert effects == []
    state, effects = step(state, Resume())
    assert started(effects) == [1]
    assert outputs(state) == []


def test_on_a_resume_all_threads_are_looked_at_before_the_run_is_called_pending():
    state, _ = begun(call(0), call(1), verdicts={0: helper(), 1: Verdict("f", ask=ask(1))})
    state, _ = replied(state, call(5), verdicts={0: Verdict("g", effect="pure")}, thread=CHILD)
    state, effects = step(RunState.from_json(state.to_json()), Resume())
    assert (state.status, [type(effect) for effect in effects]) == (None, [Ask, RunTool])


def test_a_sub_agent_that_was_at_work_had_begun():
    state, _ = begun(call(0), verdicts={0: helper()})
    state, effects = step(state, Stop("limit", "seconds", 3.0, "time is up"))
    assert effects == [Finish("limit")]
    assert "had begun when the run was stopped (seconds), so its outcome is unknown" in outputs(state)[0]
    assert (state.notes, state.meter.seconds, Result(state).notes) == (("time is up",), 3.0, ("time is up",))


def test_a_changed_definition_voids_the_decision_that_was_taken_on_it():
    waits = Verdict("f", effect="pure", definition="old", ask=ask(0))
    state, _ = begun(call(0), verdicts={0: waits})
    state, _ = step(state, Decided(1, 0, Approve({"n": 2})))
    state, effects = step(state, Resume({(MAIN, 0): evolve(waits, definition="new")}))
    assert effects == [Ask(ask(0)), Finish("pending")]
    assert "the tool 'f' was changed" in state.notes[0]
    state, effects = step(state, Decided(1, 0, Approve()))
    assert effects == [RunTool(1, 0, state.threads[MAIN].calls[0], MAIN, None)]


# --- what a result reads off a history


def test_the_answer_is_what_was_said_since_the_last_call_and_the_last_word_of_the_user():
    items = [item_view(say("before")), USER, item_view(say("after"))]
    assert final_text(items) == "after"
    assert has_broken_arguments(item_view(call(1, arguments="{")))
    assert not has_broken_arguments(item_view(call(1, arguments="")))


def test_a_result_gives_what_waits_what_was_cited_drawn_and_spent():
    note = {"type": "url_citation", "url": "https://example.com"}
    cited = {**say("see"), "content": [{"type": "output_text", "text": "see", "annotations": [note]}]}
    image = {"type": "image_generation_call", "id": "i", "status": "completed", "result": "aGk="}
    state, _ = begun(cited, image, call(2), verdicts={2: Verdict("f", ask=ask(2))})
    result = Result(state)
    assert (result.status, result.pending, result.agent, result.cost) == ("pending", [ask(2)], "agent", 0.0)
    assert (result.citations, result.images) == ([note], [b"hi"])
    state, _ = step(state, Decided(1, 2, Answer({"n": 1})))
    assert outputs(state) == ['{"n":1}']


# --- the drawing of the table


def test_the_page_about_the_loop_shows_the_table_as_it_is():
    page = (Path(__file__).parent.parent / "docs" / "loop.md").read_text()
    _, shown = page.split("<!-- diagram: begin -->\n\n")
    shown, _ = shown.split("\n<!-- diagram: end -->")
    assert shown == diagram(), "put what `python -m agentrt.core.diagram` prints between the markers of docs/loop.md"


def test_the_drawing_names_every_move(capsys):
    runpy.run_path(diagram.__code__.co_filename, run_name="__main__")
    drawn = capsys.readouterr().out
    assert drawn == diagram()
    for (phase, event), move in LEGAL.items():
        assert f"{event.__name__} " in drawn
        assert move.says in drawn
        for then in move.to:
            (arrow,) = (line for line in drawn.splitlines() if line.startswith(f"    {phase} --> {then}: "))
            assert event.__name__ in arrow
