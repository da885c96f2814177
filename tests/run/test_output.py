"""Structured output: what is asked for, what comes back, and what happens to answers that don't fit."""

import dataclasses
import json
from typing import Annotated, Literal

import pydantic
import pytest

from agentrt import Agent, Context, Limits, RunState, ToolError, tool
from agentrt.core.result import Result
from agentrt.errors import AgentrtError, OutputError, StatusError, UsageError
from agentrt.testing import ScriptedModel, call, calls, http_error, say
from agentrt.wire.compose import message_item

NO_TEXT = http_error(400, "unsupported_parameter", "Unsupported parameter: 'text.format'", param="text.format")


class Report(pydantic.BaseModel):
    """How the quarter went."""

    title: str
    total: float
    lines: list[str] = []


GOOD = '{"title": "Q3", "total": 12.5, "lines": ["a"]}'
REPORT = Report(title="Q3", total=12.5, lines=["a"])
BAD = '{"title": "Q3", "total": "a lot"}'
ARGUMENTS = {"title": "Q3", "total": 12.5, "lines": ["a"]}


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def agent_of(*script, output_type=Report, tools=(), **options):
    model = ScriptedModel(list(script), max_retries=0)
    return model, Agent("m", tools=tools, output_type=output_type, client=model, **options)


def by_call(*script, **options):
    """An agent whose provider is known to have no ``text.format``."""
    model, agent = agent_of(*script, **options)
    model.refused("m").add("text")
    return model, agent


def sent(model, number):
    return model.requests[number].json


# --- what is asked for, and what comes back


async def test_the_answer_is_of_the_type_that_was_asked_for():
    model, agent = agent_of(say(GOOD))
    result = await agent.run("Report.")
    assert (result.status, result.output, result.text) == ("completed", REPORT, GOOD)
    form = sent(model, 0)["text"]["format"]
    assert (form["type"], form["name"], form["description"]) == ("json_schema", "Report", "How the quarter went.")
    assert form["schema"]["required"] == ["title", "total", "lines"]
    assert "tools" not in sent(model, 0)


async def test_what_the_user_says_of_the_text_stays_beside_the_form():
    model, agent = agent_of(say(GOOD), text={"verbosity": "low"})
    await agent.run("Report.")
    assert sent(model, 0)["text"]["verbosity"] == "low"
    assert sent(model, 0)["text"]["format"]["type"] == "json_schema"
    assert agent.prepare("Report.").json["text"] == sent(model, 0)["text"]


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@pytest.mark.parametrize(
    ("output_type", "answer", "output"),
    [
        (int, '{"value": 3}', 3),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (int | str, '{"value": "three"}', "three"),
        (Literal["yes", "no"], '{"value": "yes"}', "yes"),
        (Report | None, '{"value": null}', None),
        (dict[str, int], '{"value": {"a": 1}}', {"a": 1}),
        (Annotated[int, pydantic.Field(gt=0)], '{"value": 1}', 1),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (bool, "true", True),
    ],
)
async def test_any_type_that_pydantic_takes(output_type, answer, output):
    _, agent = agent_of(say(answer), output_type=output_type)
    assert (await agent.run("?")).output == output


async def test_calls_come_first_and_the_answer_last():
    model, agent = agent_of(calls(call("add", a=1, b=2)), say(GOOD), tools=[add])
    result = await agent.run("Report.")
    assert result.output == REPORT
    assert [item.type for item in result.items] == ["function_call", "function_call_output", "message"]
    assert sent(model, 1)["text"]["format"]["name"] == "Report"


async def test_a_stream_ends_in_the_same_output():
    _, agent = agent_of(say(BAD), say(GOOD))
    async with agent.stream("Report.") as run:
        kinds = [event.type async for event in run]
    assert run.result.output == REPORT
    assert kinds.count("turn.started") == 2
    assert kinds[-1] == "run.finished"


def test_run_sync_gives_the_type():
    _, agent = agent_of(say(GOOD))
    assert agent.run_sync("Report.").output == REPORT


async def test_commentary_beside_the_answer_is_not_read():
    aside = {**message_item("msg_1", "Let me think."), "phase": "commentary"}
    final = {**message_item("msg_2", GOOD), "phase": "final_answer"}
    _, agent = agent_of(calls(aside, final))
    result = await agent.run("Report.")
    assert (result.output, result.text) == (REPORT, GOOD)


async def test_a_reply_of_commentary_alone_is_asked_for_the_answer():
    aside = {**message_item("msg_1", GOOD), "phase": "commentary"}
    model, agent = agent_of(calls(aside), say(GOOD))
    assert (await agent.run("Report.")).output == REPORT
    assert len(model.requests) == 2


# --- validators


async def test_what_validators_return_is_the_output():
    seen = []

    def shorten(report: Report) -> Report:
        return report.model_copy(update={"title": report.title.lower()})

    async def count(ctx: Context[list], report: Report) -> Report:
        ctx.deps.append(report.title)
        return report.model_copy(update={"total": report.total * 2})

    _, agent = agent_of(say(GOOD), output_validators=[shorten, count])
    result = await agent.run("Report.", deps=seen)
    assert result.output == Report(title="q3", total=25, lines=["a"])
    assert seen == ["q3"]


async def test_what_a_validator_refuses_goes_back_in_its_own_words():
    def positive(report: Report) -> Report:
        if report.total < 0:
            raise ValueError("the total must not be negative")
        return report

    model, agent = agent_of(say('{"title": "Q3", "total": -1, "lines": []}'), say(GOOD), output_validators=[positive])
    assert (await agent.run("Report.")).output == REPORT
    told = sent(model, 1)["input"][-1]
    assert told["role"] == "user"
    assert "the total must not be negative" in told["content"]


async def test_plain_text_may_have_validators_too():
    def short(text: str) -> str:
        if len(text) > 5:
            raise ToolError("use five letters at most")
        return text.upper()

    model, agent = agent_of(say("far too long"), say("short"), output_type=str, output_validators=[short])
    result = await agent.run("?")
    assert (result.output, result.text) == ("SHORT", "short")
    assert "text" not in sent(model, 0)


async def test_a_bug_in_a_validator_ends_the_run_as_the_bug_that_it_is():
    def buggy(report: Report) -> Report:
        return report.titel

    _, agent = agent_of(say(GOOD), output_validators=[buggy])
    with pytest.raises(AttributeError, match="titel"):
        await agent.run("Report.")


async def test_a_validator_that_returns_nothing_is_told_of():
    _, agent = agent_of(say(GOOD), output_validators=[lambda report: None])
    with pytest.raises(UsageError, match="returned None") as caught:
        await agent.run("Report.")
    assert caught.value.state.status is None


# --- answers that don't fit


async def test_an_answer_that_does_not_fit_goes_back_with_what_is_wrong():
    model, agent = agent_of(say(BAD), say("Sorry."), say(GOOD))
    result = await agent.run("Report.")
    assert result.output == REPORT
    assert result.turns == 3
    first, second = sent(model, 1)["input"][-1]["content"], sent(model, 2)["input"][-1]["content"]
    assert "total" in first
    assert "not valid JSON" in second
    assert [item["role"] for item in sent(model, 2)["input"]] == ["user", "assistant", "user", "assistant", "user"]


@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_after_the_last_retry_there_is_an_error_with_the_state(retries):
    model, agent = agent_of(*[say(BAD)] * 5, output_retries=retries)
    with pytest.raises(OutputError, match=rf"retries: {retries}\): .*total") as caught:
        await agent.run("Report.")
    assert len(model.requests) == retries + 1
    state = caught.value.state
    assert state.status == "incomplete"
    assert RunState.from_json(state.to_json()).to_json() == state.to_json()
    assert Result(state).text == BAD


async def test_the_last_turn_of_a_limit_is_not_sent_back():
    model, agent = agent_of(say(BAD), say(GOOD), limits=Limits(max_turns=1))
    with pytest.raises(OutputError, match="retries: 0"):
        await agent.run("Report.")
    assert len(model.requests) == 1


async def test_a_limit_ends_in_an_answer_of_the_type():
    model, agent = agent_of(
        calls(call("add", a=1, b=2), call("add", a=3, b=4)), say(GOOD), tools=[add], max_tool_calls=1
    )
    result = await agent.run("Report.")
    assert (result.status, result.stopped_by, result.output) == ("limit", "max_tool_calls", REPORT)
    assert sent(model, 1)["tool_choice"] == "none"


async def test_a_refusal_is_an_outcome_of_its_own():
    refusal = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    model, agent = agent_of(calls({**refusal, "content": [{"type": "refusal", "refusal": "I won't."}]}))
    result = await agent.run("Report.")
    assert result.status == "refused"
    assert len(model.requests) == 1
    with pytest.raises(UsageError, match="'refused'"):
        _ = result.output


async def test_a_refusal_after_half_an_answer_is_a_refusal_too():
    parts = [{"type": "output_text", "text": '{"title": "Q', "annotations": []}, {"type": "refusal", "refusal": "No."}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": parts}
    _, agent = agent_of(calls(item))
    result = await agent.run("Report.")
    assert result.status == "refused"
    with pytest.raises(UsageError, match="'refused'"):
        _ = result.output


async def test_an_answer_that_was_cut_off_is_not_read():
    cut = say(GOOD[:10], outcome="incomplete", extra={"incomplete_details": {"reason": "max_output_tokens"}})
    model, agent = agent_of(cut)
    result = await agent.run("Report.")
    assert result.status == "incomplete"
    assert len(model.requests) == 1
    with pytest.raises(UsageError, match="'incomplete'"):
        _ = result.output


async def test_a_run_that_broke_between_two_tries_goes_on_with_the_second():
    model, agent = agent_of(say(BAD), http_error(500), say(BAD), say(GOOD), output_retries=1)
    with pytest.raises(StatusError) as caught:
        await agent.run("Report.")
    text = caught.value.state.to_json()
    with pytest.raises(OutputError, match="retries: 1"):
        await agent.resume(text)
    assert len(model.requests) == 3
    assert (await agent.resume(text)).output == REPORT


async def test_a_run_that_is_over_gives_its_output_again():
    _, agent = agent_of(say(GOOD))
    state = (await agent.run("Report.")).state
    assert (await agent.resume(state.to_json())).output == REPORT


# --- by a call, where the provider has no text.format


async def test_a_provider_that_refuses_the_form_gets_a_tool_instead():
    model, agent = agent_of(NO_TEXT, calls(call("final_answer", **ARGUMENTS)), calls(call("final_answer", **ARGUMENTS)))
    result = await agent.run("Report.")
    assert (result.status, result.output) == ("completed", REPORT)
    assert json.loads(result.text) == ARGUMENTS
    request = sent(model, 1)
    assert "text" not in request
    assert [one["name"] for one in request["tools"]] == ["final_answer"]
    assert request["tool_choice"] == "required"
    assert [item.type for item in result.items] == ["function_call", "function_call_output"]
    assert (await agent.run("Again.")).output == REPORT
    assert len(model.requests) == 3, "the next run knows it already"


async def test_a_profile_may_say_that_it_has_none(tmp_path, monkeypatch):
    profiles = tmp_path / "providers.toml"
    profiles.write_text('[mine]\nbase_url = "http://mine.invalid/v1"\nunsupported = ["text"]\n')
    monkeypatch.setenv("AGENTRT_PROVIDERS", str(profiles))
    model = ScriptedModel([calls(call("final_answer", **ARGUMENTS))], provider="mine", base_url=None)
    result = await Agent("m", output_type=Report, client=model).run("Report.")
    assert result.output == REPORT
    assert "text" not in sent(model, 0)


async def test_the_text_that_the_user_wrote_is_sent_all_the_same():
    model, agent = by_call(calls(call("final_answer", **ARGUMENTS)), text={"verbosity": "low"})
    await agent.run("Report.")
    assert sent(model, 0)["text"] == {"verbosity": "low"}


async def test_a_call_with_a_wrong_answer_is_answered_and_tried_again():
    model, agent = by_call(calls(call("final_answer", title="Q3", total="x")), calls(call("final_answer", **ARGUMENTS)))
    assert (await agent.run("Report.")).output == REPORT
    told = sent(model, 1)["input"][-1]
    assert told["type"] == "function_call_output"
    assert "total" in told["output"]


async def test_calls_with_wrong_answers_end_in_an_error():
    wrong = call("final_answer", title="Q3", total="x")
    model, agent = by_call(*[calls(wrong)] * 5, output_retries=1)
    with pytest.raises(OutputError, match="retries: 1") as caught:
        await agent.run("Report.")
    assert len(model.requests) == 2
    items = caught.value.state.threads["main"].items
    assert [item.type for item in items[-2:]] == ["function_call", "function_call_output"]


async def test_the_other_calls_of_the_batch_are_run():
    ran = []

    @tool
    def note(text: str) -> str:
        """Note."""
        ran.append(text)
        return "noted"

    _, agent = by_call(calls(call("final_answer", **ARGUMENTS), call("note", text="x")), tools=[note])
    result = await agent.run("Report.")
    assert (result.output, ran) == (REPORT, ["x"])
    assert [item.raw.get("output") for item in result.items[2:]] == ["This is taken as the answer.", "noted"]


async def test_the_first_of_two_answers_counts():
    other = {**ARGUMENTS, "title": "Q4"}
    _, agent = by_call(calls(call("final_answer", **ARGUMENTS), call("final_answer", **other)))
    result = await agent.run("Report.")
    assert json.loads(result.text)["title"] == result.output.title == "Q3"


async def test_on_the_last_turn_the_answer_is_forced_and_no_call_is_counted():
    model, agent = by_call(
        calls(call("add", a=1, b=2)), calls(call("final_answer", **ARGUMENTS)), tools=[add], max_tool_calls=1
    )
    result = await agent.run("Report.")
    assert (result.status, result.output) == ("completed", REPORT)
    assert result.state.meter.calls == 1
    assert sent(model, 0)["tool_choice"] == "required"
    assert sent(model, 1)["tool_choice"] == {"type": "function", "name": "final_answer"}


async def test_a_forced_tool_is_followed_by_a_required_answer():
    model, agent = by_call(
        calls(call("add", a=1, b=2)),
        calls(call("final_answer", **ARGUMENTS)),
        tools=[add],
        tool_choice={"type": "function", "name": "add"},
    )
    assert (await agent.run("Report.")).output == REPORT
    assert sent(model, 0)["tool_choice"] == {"type": "function", "name": "add"}
    assert sent(model, 1)["tool_choice"] == "required"


async def test_an_answer_in_words_is_read_there_too():
    _, agent = by_call(say(GOOD))
    assert (await agent.run("Report.")).output == REPORT


async def test_validators_look_at_calls_too():
    def double(report: Report) -> Report:
        return report.model_copy(update={"total": report.total * 2})

    _, agent = by_call(calls(call("final_answer", **ARGUMENTS)), output_validators=[double])
    assert (await agent.run("Report.")).output.total == 25


async def test_a_call_is_streamed_like_any_answer():
    _, agent = by_call(calls(call("final_answer", **ARGUMENTS)))
    async with agent.stream("Report.") as run:
        kinds = [event.type async for event in run]
    assert run.result.output == REPORT
    assert "tool.started" not in kinds


async def test_an_answer_by_call_goes_on_in_the_next_message():
    model, agent = by_call(calls(call("final_answer", **ARGUMENTS)), calls(call("final_answer", **ARGUMENTS)))
    first = await agent.run("Report.")
    await agent.run("Again.", after=first)
    kinds = [item["type"] for item in sent(model, 1)["input"]]
    assert kinds == ["message", "function_call", "function_call_output", "message"]


# --- several agents


async def test_a_sub_agent_answers_in_its_own_type_and_is_sent_back_by_itself():
    model = ScriptedModel([calls(call("clerk", task="Report.")), say(BAD), say(GOOD), say("It was good.")])
    clerk = Agent("m", name="clerk", instructions="Write reports.", output_type=Report, client=model)
    boss = Agent("m", name="boss", tools=[clerk.as_tool()], client=model)
    result = await boss.run("How was it?")
    assert result.output == "It was good."
    assert json.loads(sent(model, 3)["input"][-1]["output"]) == json.loads(GOOD)


async def test_a_sub_agent_without_a_fitting_answer_fails_as_a_tool_does():
    model = ScriptedModel([calls(call("clerk", task="Report.")), say(BAD), say("I don't know.")])
    clerk = Agent("m", name="clerk", output_type=Report, output_retries=0, client=model)
    boss = Agent("m", name="boss", tools=[clerk.as_tool()], client=model)
    result = await boss.run("How was it?")
    assert (result.status, result.output) == ("completed", "I don't know.")
    assert "total" in sent(model, 2)["input"][-1]["output"]


# --- mistakes


def test_a_tool_of_the_same_name_is_refused_at_once():
    @tool
    def final_answer(text: str) -> str:
        """Answer."""
        return text

    with pytest.raises(UsageError, match="final_answer"):
        Agent("m", tools=[final_answer], output_type=Report)
    Agent("m", tools=[final_answer])


def test_two_forms_at_once_are_refused():
    with pytest.raises(UsageError, match="output_type="):
        Agent("m", output_type=Report, text={"format": {"type": "json_object"}})


@pytest.mark.parametrize("retries", [-1, 1.5, "2", True])
def test_retries_are_a_number(retries):
    with pytest.raises(UsageError, match="output_retries"):
        Agent("m", output_type=Report, output_retries=retries)


def test_what_is_no_type_is_refused_at_once():
    with pytest.raises(AgentrtError, match="output_type"):
        Agent("m", output_type=object())
