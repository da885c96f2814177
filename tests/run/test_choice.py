"""What the model may call, from turn to turn."""

import pytest

from agentrt import Agent, Limits, tool
from agentrt.testing import ScriptedModel, call, calls, http_error, say
from tests.run.parts import outputs


@tool
def look(n: int) -> int:
    return n


def sent(model, name):
    return [request.json.get(name) for request in model.requests]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "look"}])
async def test_a_forced_choice_is_free_again_once_it_was_obeyed(choice):
    model = ScriptedModel([calls(call("look", n=1)), calls(call("look", n=2)), say("done")])
    result = await Agent("m", tools=[look], client=model, tool_choice=choice).run("go")
    assert (result.output, outputs(result)) == ("done", ["1", "2"])
    assert sent(model, "tool_choice") == [choice, "auto", "auto"]


async def test_a_forced_choice_stays_forced_for_a_turn_that_is_asked_again():
    model = ScriptedModel([http_error(401), calls(call("look", n=1)), say("done")])
    agent = Agent("m", tools=[look], client=model, tool_choice="required")
    with pytest.raises(Exception, match="scripted") as caught:
        await agent.run("go")
    assert (await agent.resume(caught.value.state.to_json())).output == "done"
    assert sent(model, "tool_choice") == ["required", "required", "auto"]


async def test_each_run_of_a_conversation_forces_it_anew():
    model = ScriptedModel([calls(call("look", n=1)), say("one"), calls(call("look", n=2)), say("two")])
    agent = Agent("m", tools=[look], client=model, tool_choice="required")
    first = await agent.run("go")
    await agent.run("again", after=first)
    assert sent(model, "tool_choice") == ["required", "auto", "required", "auto"]


async def test_the_last_turn_overrules_a_forced_choice():
    model = ScriptedModel([say("what I know")])
    result = await Agent("m", tools=[look], client=model, tool_choice="required", limits=Limits(max_turns=1)).run("go")
    assert (result.output, sent(model, "tool_choice")) == ("what I know", ["none"])


async def test_a_tool_that_was_withdrawn_between_turns_is_neither_offered_nor_run():
    ran = []

    @tool
    def lock() -> str:
        ran.append("lock")
        return "locked"

    @tool(enabled=lambda _: "lock" not in ran)
    def delete(n: int) -> int:
        ran.append(n)
        return n

    model = ScriptedModel([calls(call("delete", n=1), call("lock")), calls(call("delete", n=2)), say("done")])
    result = await Agent("m", tools=[delete, lock], client=model, parallel_tool_calls=False).run("go")
    assert ran == [1, "lock"]
    assert outputs(result)[:2] == ["1", "locked"]
    assert "there is no tool named 'delete'" in outputs(result)[2]
    offered = [[definition["name"] for definition in tools] for tools in sent(model, "tools")]
    assert offered == [["delete", "lock"], ["lock"], ["lock"]]


@pytest.mark.parametrize("parallel", [True, False])
async def test_whether_calls_may_be_parallel_is_said_only_where_there_are_tools(parallel):
    for tools in ([look], []):
        model = ScriptedModel([say("hi")])
        await Agent("m", tools=tools, client=model, parallel_tool_calls=parallel).run("go")
        assert sent(model, "parallel_tool_calls") == [parallel if tools else None]
