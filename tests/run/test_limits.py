"""Limits over a whole run: what counts, what is refused, and how a run ends that has reached one."""

import anyio
import pytest
from pydantic import BaseModel

from agentrt import Agent, Approve, Limits, Result, RunState, UsageError, handoff, tool
from agentrt.errors import AgentrtError, LimitReachedError
from agentrt.prices import Price
from agentrt.testing import FakeClock, ScriptedModel, call, calls, http_error, say

SEARCH = {"type": "web_search"}


def search(number):
    return {"type": "web_search_call", "id": f"ws_{number}", "status": "completed", "action": {"query": "x"}}


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def adds(count, **more):
    return calls(*(call("add", a=n, b=1) for n in range(count)), **more)


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


def refused(result):
    return ["limit reached" in output for output in outputs(result)]


def agent_of(model, *tools, **options):
    return Agent("m", tools=tools or [add], client=model, **options)


async def run_of(agent, streaming):
    if not streaming:
        return await agent.run("go")
    async with agent.stream("go") as run:
        async for _ in run:
            pass
    return run.result


def choices(model):
    return [request.json.get("tool_choice") for request in model.requests]


# --- turns


async def test_the_last_of_max_turns_is_asked_to_answer_and_offers_the_same_tools():
    model = ScriptedModel([adds(1), adds(1), say("so far")])
    result = await agent_of(model, limits=Limits(max_turns=3)).run("go")
    assert (result.status, result.stopped_by, result.text, result.turns) == ("completed", None, "so far", 3)
    assert choices(model) == [None, None, "none"]
    bodies = [request.json for request in model.requests]
    assert all(body["tools"] == bodies[0]["tools"] for body in bodies)
    assert all(body["parallel_tool_calls"] for body in bodies)


async def test_one_turn_is_one_request_that_must_answer():
    model = ScriptedModel([say("at once")])
    result = await agent_of(model, limits=Limits(max_turns=1)).run("go")
    assert (result.status, result.text, choices(model)) == ("completed", "at once", ["none"])


async def test_calls_made_in_the_last_turn_all_the_same_are_answered_and_end_the_run():
    model = ScriptedModel([adds(1), adds(2)])
    result = await agent_of(model, limits=Limits(max_turns=2)).run("go")
    assert (result.status, result.stopped_by, result.turns) == ("limit", "max_turns", 2)
    assert refused(result) == [False, True, True]
    with pytest.raises(UsageError, match="'limit'"):
        _ = result.output


async def test_words_beside_a_refused_call_are_kept_in_the_items():
    model = ScriptedModel([calls(*say("Almost.").output, call("add", a=1, b=1))])
    result = await agent_of(model, limits=Limits(max_turns=1)).run("go")
    assert [item.type for item in result.items] == ["message", "function_call", "function_call_output"]
    assert (result.status, result.items[0].text) == ("limit", "Almost.")


# --- calls


async def test_hosted_calls_count_before_local_ones_wherever_they_stand_in_the_reply():
    model = ScriptedModel([calls(call("add", a=1, b=1), search(1), call("add", a=2, b=2), search(2)), say("done")])
    result = await agent_of(model, add, SEARCH, max_tool_calls=3).run("go")
    assert outputs(result)[0] == "2"
    assert refused(result) == [False, True]
    assert (result.status, result.stopped_by) == ("limit", "max_tool_calls")


async def test_the_request_carries_what_remains_of_max_tool_calls():
    model = ScriptedModel([calls(search(1), call("add", a=1, b=1)), adds(1), say("done")])
    await agent_of(model, add, SEARCH, max_tool_calls=4).run("go")
    assert [request.json.get("max_tool_calls") for request in model.requests] == [4, 2, 1]


async def test_invalid_and_unknown_calls_count():
    model = ScriptedModel([calls(call("ad", a=1), call("add", a="x"), call("add", a=1, b=1)), say("done")])
    result = await agent_of(model, max_tool_calls=2).run("go")
    assert refused(result) == [False, False, True]
    assert choices(model) == [None, "none"]


async def test_exactly_as_many_calls_as_allowed_refuse_nothing():
    model = ScriptedModel([adds(2), say("two")])
    result = await agent_of(model, max_tool_calls=2).run("go")
    assert (result.status, result.stopped_by, choices(model)) == ("completed", None, [None, "none"])
    assert "max_tool_calls" not in model.requests[1].json


async def test_no_calls_at_all():
    model = ScriptedModel([say("without")])
    result = await agent_of(model, max_tool_calls=0).run("go")
    assert (result.status, choices(model)) == ("completed", ["none"])


@pytest.mark.parametrize("streaming", [True, False])
async def test_hosted_calls_alone_spend_it_too(streaming):
    model = ScriptedModel([calls(search(1), search(2), call("add", a=1, b=1)), say("done")])
    agent = agent_of(model, add, SEARCH, max_tool_calls=2)
    assert refused(await run_of(agent, streaming)) == [True]


async def test_sub_agents_calls_count_in_the_run():
    front = ScriptedModel([calls(call("helper", task="a"), call("add", a=1, b=1)), say("done")])
    back = ScriptedModel([adds(2), say("helped")])
    helper = agent_of(back, name="helper")
    result = await agent_of(front, helper.as_tool(), add, max_tool_calls=3).run("go")
    assert (result.status, result.stopped_by) == ("limit", "max_tool_calls")
    assert [request.json.get("max_tool_calls") for request in back.requests] == [1, None]
    assert result.state.meter.calls == 4
    assert outputs(result) == ["helped", "2"]
    told = back.requests[1].json["input"]
    assert "limit reached" in told[-1]["output"]
    assert choices(back) == [None, "none"]


async def test_handoffs_do_not_count():
    back = ScriptedModel([adds(1), say("from billing")])
    front = ScriptedModel([calls(call("transfer_to_billing"))])
    billing = agent_of(back, name="billing")
    result = await agent_of(front, handoff(billing), max_tool_calls=1).run("go")
    assert (result.status, result.text, result.state.meter.calls) == ("completed", "from billing", 1)
    assert refused(result) == [False, False]


class Report(BaseModel):
    title: str


async def test_the_output_tool_does_not_count():
    def play(body):
        if "text" in body:
            return http_error(400, "unsupported_parameter", "Unsupported parameter: 'text'")
        if body["input"][-1]["type"] != "function_call_output":
            return adds(1)
        return calls(call("final_answer", title="x"))

    model = ScriptedModel(play)
    result = await agent_of(model, max_tool_calls=1, output_type=Report).run("go")
    assert (result.status, result.output, result.state.meter.calls) == ("completed", Report(title="x"), 1)
    assert choices(model)[-1] == {"type": "function", "name": "final_answer"}


async def test_max_calls_per_turn_bounds_each_reply_and_the_run_goes_on():
    model = ScriptedModel([adds(3), adds(2), say("done")])
    result = await agent_of(model, limits=Limits(max_calls_per_turn=2)).run("go")
    assert refused(result) == [False, False, True, False, False]
    assert (result.status, result.stopped_by, result.output) == ("limit", "max_calls_per_turn", "done")
    assert choices(model) == [None, None, None]


async def test_single_tools_have_limits_of_their_own():
    @tool
    def cheap() -> str:
        return "ok"

    model = ScriptedModel(
        [
            calls(call("add", a=1, b=1), call("cheap"), call("add", a=2, b=2)),
            calls(call("cheap"), call("add", a=3, b=3)),
            say("done"),
        ]
    )
    result = await agent_of(model, add, cheap, limits=Limits(calls={"add": 1})).run("go")
    assert outputs(result)[:2] == ["2", "ok"]
    assert refused(result) == [False, False, True, False, True]
    assert "calls of add" in outputs(result)[2]
    assert (result.status, result.stopped_by, result.output) == ("limit", "calls", "done")


async def test_a_tool_that_may_not_be_called_is_refused_at_once():
    model = ScriptedModel([adds(1), say("without")])
    result = await agent_of(model, limits=Limits(calls={"add": 0})).run("go")
    assert (refused(result), result.status) == ([True], "limit")


# --- tokens and cost


async def test_tokens_are_looked_at_before_each_request():
    model = ScriptedModel([adds(1, usage=(60, 10)), adds(1, usage=(60, 10)), say("enough", usage=(1000, 1000))])
    result = await agent_of(model, limits=Limits(tokens=100)).run("go")
    assert (result.status, result.text, choices(model)) == ("completed", "enough", [None, None, "none"])
    assert result.usage.total_tokens == 2140


async def test_cost_is_counted_by_prices_of_ones_own():
    model = ScriptedModel([adds(1, usage=(1_000_000, 0)), say("enough", usage=(0, 1_000_000))])
    result = await agent_of(model, prices={"m": Price(2, 8)}, limits=Limits(cost=1.5)).run("go")
    assert (result.status, choices(model)) == ("completed", [None, "none"])
    assert result.cost == pytest.approx(10)


async def test_cost_is_counted_by_list_prices():
    pytest.importorskip("genai_prices", reason="an extra")
    model = ScriptedModel([adds(1, usage=(1_000_000, 0)), say("enough")])
    agent = Agent("gpt-4o", tools=[add], client=model, limits=Limits(cost=1))
    result = await agent.run("go")
    assert (result.status, choices(model)) == ("completed", [None, "none"])
    assert result.cost > 1


@pytest.mark.parametrize(("prices", "counted"), [(None, False), ({}, True)])
async def test_without_a_limit_cost_is_counted_where_prices_are_asked_for(prices, counted):
    pytest.importorskip("genai_prices", reason="an extra")
    model = ScriptedModel([say("hi", usage=(1_000_000, 0))])
    result = await Agent("gpt-4o", client=model, prices=prices).run("go")
    assert (result.cost > 1) == counted


@pytest.mark.parametrize("where", ["agent", "run"])
async def test_a_cost_that_can_not_be_known_is_an_error_before_the_run(where):
    model, limits = ScriptedModel(), Limits(cost=1)
    with pytest.raises(UsageError, match=r"price.*'no-such-model'"):
        if where == "agent":
            Agent("no-such-model", client=model, limits=limits)
        else:
            await Agent("no-such-model", client=model).run("go", limits=limits)
    assert not model.requests


async def test_a_sub_agents_model_must_have_a_price_too():
    model = ScriptedModel()
    helper = Agent("no-such-model", name="helper", client=model)
    agent = Agent("m", tools=[helper.as_tool()], client=model, prices={"m": Price(1, 1)}, limits=Limits(cost=1))
    with pytest.raises(UsageError, match=r"price.*'no-such-model'"):
        await agent.run("go")
    assert not model.requests


async def test_a_server_on_a_machine_of_ones_own_needs_no_price():
    model = ScriptedModel([say("free")], provider="ollama")
    result = await Agent("my-model", client=model, limits=Limits(cost=1)).run("go")
    assert (result.status, result.cost) == ("completed", 0.0)


async def test_a_sub_agents_own_limit_of_cost_binds_it():
    pytest.importorskip("genai_prices", reason="an extra")
    front = ScriptedModel([calls(call("helper", task="a")), say("done")])
    back = ScriptedModel([adds(1, usage=(1_000_000, 0)), say("enough")])
    helper = Agent("gpt-4o", name="helper", tools=[add], client=back, limits=Limits(cost=1))
    result = await agent_of(front, helper.as_tool()).run("go")
    assert (choices(back), result.text) == ([None, "none"], "done")


async def test_the_price_is_that_of_the_model_that_answered():
    model = ScriptedModel(
        [http_error(404, "model_not_found", "no such model"), say("ok", usage=(1_000_000, 0), extra={"model": "b"})]
    )
    agent = Agent(["a", "b"], client=model, prices={"a": Price(100, 1), "b": Price(3, 1)})
    assert (await agent.run("go")).cost == pytest.approx(3)


# --- time


async def forever() -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("streaming", [True, False])
def test_seconds_cut_a_tool_and_answer_the_calls(backend, streaming):
    ended = []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def main():
        model = ScriptedModel([calls(call("slow"), call("add", a=1, b=1))])
        agent = agent_of(model, slow, add, limits=Limits(seconds=90))
        return await run_of(agent, streaming), model

    clock = FakeClock()
    result, model = clock.run(main, backend=backend)
    assert clock.now == pytest.approx(90, abs=1)
    assert (result.status, result.stopped_by, len(model.requests)) == ("limit", "seconds", 1)
    assert outputs(result)[1] == "2"
    assert "seconds" in outputs(result)[0]
    assert ended == [True]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_seconds_cut_a_model_that_takes_its_time(backend):
    async def main():
        return await agent_of(ScriptedModel([say("late", delay=600)]), limits=Limits(seconds=20)).run("go")

    clock = FakeClock()
    result = clock.run(main, backend=backend)
    assert clock.now == pytest.approx(20, abs=1)
    assert (result.status, result.stopped_by, result.text) == ("limit", "seconds", "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_time_in_which_only_a_person_could_go_on_does_not_count(backend):
    @tool(approval=True)
    def risky() -> str:
        return "done"

    async def decide(_):
        await anyio.sleep(3600)
        return Approve()

    async def main():
        model = ScriptedModel([calls(call("risky")), say("ok", delay=30)])
        return await agent_of(model, risky, limits=Limits(seconds=60)).run("go", on_pending=decide)

    clock = FakeClock()
    result = clock.run(main, backend=backend)
    assert (result.status, result.text) == ("completed", "ok")
    assert clock.now == pytest.approx(3630, abs=1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_seconds_count_on_after_a_resume(backend):
    @tool(approval=True)
    async def risky() -> str:
        await anyio.sleep(100)
        return "done"

    async def main():
        model = ScriptedModel([calls(call("risky"), delay=40), say("never")])
        agent = agent_of(model, risky, limits=Limits(seconds=60))
        waiting = await agent.run("go")
        await anyio.sleep(1000)
        return await agent.resume(waiting.state.to_json(), {waiting.pending[0].id: Approve()})

    clock = FakeClock()
    result = clock.run(main, backend=backend)
    assert (result.status, result.stopped_by) == ("limit", "seconds")
    assert clock.now == pytest.approx(1060, abs=1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("busy", ["tool", "model", "agent", "person"])
def test_a_sub_agents_own_seconds_cut_it_and_the_run_goes_on(backend, busy):
    ended = []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    @tool(approval=True)
    def risky() -> None:
        pass

    async def quick() -> str:
        await anyio.sleep(40)
        return "quick"

    async def ask(pending):
        await anyio.sleep_forever()

    def back(name, limits=None):
        if busy == "agent" and name == "helper":
            script, tools = (lambda _: calls(call("below", task="x"))), [back("below").as_tool()]
        elif busy == "model":
            script, tools = (lambda _: say("late", delay=60)), [slow]
        else:
            script, tools = (lambda _: calls(call("risky" if busy == "person" else "slow"))), [slow, risky]
        return agent_of(ScriptedModel(script), *tools, name=name, limits=limits)

    async def main():
        helper = back("helper", Limits(seconds=30))
        front = ScriptedModel([calls(call("helper", task="a"), call("quick"), call("helper", task="b")), say("done")])
        agent = agent_of(front, helper.as_tool(), quick, limits=Limits(seconds=100))
        return await agent.run("go", on_pending=ask if busy == "person" else None)

    clock = FakeClock()
    result = clock.run(main, backend=backend)
    assert clock.now == pytest.approx(40, abs=1)
    assert (result.status, result.text) == ("completed", "done")
    assert ["helper ended limit (seconds)" in output for output in outputs(result)] == [True, False, True]
    assert len(ended) == (0 if busy in ("model", "person") else 2)
    assert {thread.phase for thread in result.state.threads.values()} == {"done"}


# --- how it ends


LIMITS = [
    ("max_turns", {"max_turns": 2}, [adds(1), adds(1)]),
    ("max_tool_calls", {"max_tool_calls": 1}, [adds(2), adds(1)]),
    ("tokens", {"tokens": 10}, [adds(1), adds(1)]),
    ("cost", {"cost": 1e-9}, [adds(1), adds(1)]),
]


@pytest.mark.parametrize(("name", "limits", "script"), LIMITS, ids=[row[0] for row in LIMITS])
async def test_stopping_at_a_limit_gives_what_there_is(name, limits, script):
    model = ScriptedModel(script)
    agent = agent_of(model, limits=Limits(**limits, on_limit="stop"), prices={"m": Price(1, 1)})
    result = await agent.run("go")
    assert (result.status, result.stopped_by) == ("limit", name)
    assert "none" not in choices(model)
    kinds = [item.type for item in result.items]
    assert kinds.count("function_call") == kinds.count("function_call_output")
    assert len(model.requests) == (2 if name == "max_turns" else 1)


@pytest.mark.parametrize(("name", "limits", "script"), LIMITS, ids=[row[0] for row in LIMITS])
async def test_raising_at_a_limit_carries_the_state_and_the_limit(name, limits, script):
    model = ScriptedModel(script)
    agent = agent_of(model, limits=Limits(**limits, on_limit="raise"), prices={"m": Price(1, 1)})
    with pytest.raises(LimitReachedError, match=name) as caught:
        await agent.run("go")
    error = caught.value
    assert (error.stopped_by, error.state.status) == (name, "limit")
    assert isinstance(error, AgentrtError)
    assert outputs(Result(error.state))[0] == "1"
    assert RunState.from_json(error.state.to_json()).stopped_by == name


@pytest.mark.parametrize("limits", [{"calls": {"add": 1}}, {"max_calls_per_turn": 1}])
async def test_raising_for_a_refused_call_raises_when_the_run_is_over(limits):
    model = ScriptedModel([adds(2), say("done")])
    with pytest.raises(LimitReachedError) as caught:
        await agent_of(model, limits=Limits(**limits, on_limit="raise")).run("go")
    assert Result(caught.value.state).text == "done"


@pytest.mark.parametrize("on_limit", ["stop", "raise"])
async def test_a_run_that_needs_no_more_than_its_limits_completes(on_limit):
    model = ScriptedModel([adds(1), say("done")])
    limits = Limits(max_turns=2, max_tool_calls=2, tokens=1000, on_limit=on_limit)
    result = await agent_of(model, limits=limits).run("go")
    assert (result.status, result.output) == ("completed", "done")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_time_that_is_up_raises_where_that_is_asked_for(backend):
    async def main():
        model = ScriptedModel([calls(call("forever"))])
        with pytest.raises(LimitReachedError) as caught:
            await agent_of(model, forever, limits=Limits(seconds=5, on_limit="raise")).run("go")
        return caught.value

    error = FakeClock().run(main, backend=backend)
    assert (error.stopped_by, error.state.status) == ("seconds", "limit")


async def test_a_run_that_was_limited_goes_on_as_the_next_message():
    model = ScriptedModel([adds(2), say("One of two."), say("The rest.")])
    agent = agent_of(model, max_tool_calls=1)
    first = await agent.run("go")
    second = await agent.run("go on", after=first)
    assert (first.status, second.status, second.text) == ("limit", "completed", "The rest.")
    assert second.state.meter.calls == 0


async def test_limits_of_one_run_replace_those_of_the_agent():
    model = ScriptedModel([adds(3), say("done")])
    result = await agent_of(model, max_tool_calls=1).run("go", limits=Limits())
    assert (result.status, refused(result)) == ("completed", [False] * 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_turns": 0}, "max_turns must be a whole number, at least 1"),
        ({"max_tool_calls": -1}, "max_tool_calls must be a whole number, at least 0"),
        ({"max_calls_per_turn": True}, "max_calls_per_turn must be"),
        ({"calls": {"add": "two"}}, r"calls\['add'\] must be"),
        ({"calls": ["add"]}, "from a tool's name to a number"),
        ({"tokens": 0}, "tokens must be"),
        ({"cost": float("nan")}, "cost must be a number"),
        ({"seconds": 0}, "seconds must be a number"),
        ({"on_limit": "explode"}, "on_limit must be"),
    ],
)
def test_limits_out_of_range_are_refused(given, words):
    with pytest.raises(UsageError, match=words):
        Limits(**given)
