"""Several agents in one run: those that answer a call, and those that take the conversation over."""

import json

import anyio
import pytest
from pydantic import BaseModel

from agentrt import Agent, Approve, Deny, Limits, Registry, RunState, ToolError, UsageError, handoff, tool
from agentrt.errors import ResponseFailedError, StatusError
from agentrt.testing import ScriptedModel, call, calls, http_error, say


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def refuse(text="I won't."):
    part = {"type": "refusal", "refusal": text}
    return calls({"type": "message", "id": "msg_r", "role": "assistant", "status": "completed", "content": [part]})


def agent_of(model, *tools, name="agent", **options):
    return Agent("m", name=name, tools=tools, client=model, **options)


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


async def events_of(agent, *arguments, **options):
    async with agent.stream(*arguments, **options) as run:
        events = [event async for event in run]
    return events, run.result


# --- agents as tools


async def test_a_sub_agent_is_asked_and_its_answer_is_the_output():
    back = ScriptedModel([calls(call("add", a=1, b=2)), say("It is 3.")])
    front = ScriptedModel([calls(call("helper", task="What is 1 + 2?")), say("Three.")])
    helper = agent_of(back, add, name="helper", instructions="Do sums.\n\nMore that the tool's description leaves out.")
    agent = agent_of(front, helper.as_tool())
    result = await agent.run("go")
    assert (result.status, result.text, outputs(result)) == ("completed", "Three.", ["It is 3."])
    (definition,) = front.requests[0].json["tools"]
    assert (definition["name"], definition["description"]) == ("helper", "Do sums.")
    assert list(definition["parameters"]["properties"]) == ["task"]
    body = back.requests[0].json
    assert [item["content"] for item in body["input"]] == ["What is 1 + 2?"]
    assert "More" in body["instructions"]
    assert [item.type for item in result.items] == ["function_call", "function_call_output", "message"]


async def test_a_sub_agent_is_a_thread_of_the_runs_state_and_its_usage_is_added():
    back = ScriptedModel([calls(call("add", a=1, b=2)), say("3")])
    front = ScriptedModel([calls(call("helper", task="a")), say("Three.")])
    result = await agent_of(front, agent_of(back, add, name="helper").as_tool()).run("go")
    assert sorted(result.state.threads) == ["main", "main/1.0"]
    thread = result.state.threads["main/1.0"]
    assert (thread.agent, thread.parent, thread.call_id) == ("helper", "main", result.items[0].raw["call_id"])
    assert (result.turns, result.usage.total_tokens, thread.meter.usage.total_tokens) == (4, 60, 30)
    kept = RunState.from_json(result.state.to_json()).threads["main/1.0"]
    assert [item.raw for item in kept.items] == [item.raw for item in thread.items]


async def test_events_of_a_sub_agent_are_nested_by_thread_and_parent():
    back = ScriptedModel([calls(call("add", a=1, b=2)), say("3")])
    front = ScriptedModel([calls(call("helper", task="a")), say("Three.")])
    events, result = await events_of(agent_of(front, agent_of(back, add, name="helper").as_tool()), "go")
    call_id = result.items[0].raw["call_id"]
    told = [(event.type, event.agent, event.thread, event.parent) for event in events]
    outside, inside = ("agent", "main", None), ("helper", "main/1.0", call_id)
    assert told == [
        ("run.started", *outside),
        ("turn.started", *outside),
        ("usage", *outside),
        ("tool.started", *outside),
        ("turn.started", *inside),
        ("usage", *inside),
        ("tool.started", *inside),
        ("tool.finished", *inside),
        ("turn.started", *inside),
        ("text.delta", *inside),
        ("usage", *inside),
        ("tool.finished", *outside),
        ("turn.started", *outside),
        ("text.delta", *outside),
        ("usage", *outside),
        ("run.finished", *outside),
    ]
    started, finished = events[3], events[11]
    assert (started.call_id, started.name, json.loads(started.arguments)) == (call_id, "helper", {"task": "a"})
    assert (finished.call_id, finished.output, finished.failed) == (call_id, "3", False)


async def test_two_sub_agents_of_one_reply_work_at_once():
    arrived = {"a": anyio.Event(), "b": anyio.Event()}

    async def meet(name: str) -> str:
        arrived[name].set()
        await arrived["b" if name == "a" else "a"].wait()
        return f"met {name}"

    def play(body):
        last = body["input"][-1]
        return say(last["output"]) if "output" in last else calls(call("meet", name=last["content"]))

    helper = agent_of(ScriptedModel(play), meet, name="helper")
    front = ScriptedModel([calls(call("helper", task="a"), call("helper", task="b")), say("done")])
    with anyio.fail_after(5):
        result = await agent_of(front, helper.as_tool()).run("go")
    assert outputs(result) == ["met a", "met b"]
    assert sorted(result.state.threads) == ["main", "main/1.0", "main/1.1"]


async def test_without_parallel_tool_calls_they_work_one_after_another():
    working = []

    def play(body):
        working.append(body["input"][-1]["content"])
        return say("ok", delay=0.01)

    helper = agent_of(ScriptedModel(play), name="helper")
    front = ScriptedModel([calls(call("helper", task="a"), call("helper", task="b")), say("done")])
    events, _ = await events_of(agent_of(front, helper.as_tool(), parallel_tool_calls=False), "go")
    assert working == ["a", "b"]
    kinds = [event.type for event in events if event.type.startswith("tool.")]
    assert kinds == ["tool.started", "tool.finished"] * 2


async def test_a_sub_agent_may_ask_another():
    def below(script, *tools, name):
        return agent_of(ScriptedModel(script), *tools, name=name)

    third = below([calls(call("add", a=1, b=2)), say("3")], add, name="third")
    second = below([calls(call("third", task="x")), say("It is 3.")], third.as_tool(), name="second")
    front = ScriptedModel([calls(call("second", task="y")), say("Three.")])
    events, result = await events_of(agent_of(front, second.as_tool()), "go")
    assert (result.text, outputs(result)) == ("Three.", ["It is 3."])
    assert sorted(result.state.threads) == ["main", "main/1.0", "main/1.0/1.0"]
    inner = next(event for event in events if event.type == "tool.started" and event.name == "add")
    middle = next(event for event in events if event.type == "tool.started" and event.name == "third")
    outer = next(event for event in events if event.type == "tool.started" and event.name == "second")
    assert (inner.agent, inner.parent, middle.parent, outer.parent) == ("third", middle.call_id, outer.call_id, None)
    assert result.turns == 6


async def test_one_agent_may_be_a_tool_under_two_names():
    helper = agent_of(ScriptedModel(lambda body: say(body["input"][0]["content"])), name="helper")
    front = ScriptedModel([calls(call("sums", task="1"), call("words", task="2")), say("done")])
    tools = (helper.as_tool(name="sums", description="Sums."), helper.as_tool(name="words", description="Words."))
    assert outputs(await agent_of(front, *tools).run("go")) == ["1", "2"]


async def test_a_sub_agents_structured_answer_is_checked_and_given_as_json():
    class Sum(BaseModel):
        value: int

    back = ScriptedModel([say('{"value": "three"}'), say('{"value": 3}')])
    helper = agent_of(back, name="helper", output_type=Sum)
    front = ScriptedModel([calls(call("helper", task="a")), say("Three.")])
    result = await agent_of(front, helper.as_tool()).run("go")
    assert [json.loads(output) for output in outputs(result)] == [{"value": 3}]
    assert len(back.requests) == 2
    assert (result.output, result.status) == ("Three.", "completed")


async def test_a_sub_agent_without_an_answer_that_fits_has_failed_in_words():
    helper = agent_of(ScriptedModel(lambda _: say("no")), name="helper", output_type=int)
    front = ScriptedModel([calls(call("helper", task="a")), say("Sorry.")])
    result = await agent_of(front, helper.as_tool()).run("go")
    assert outputs(result)[0].startswith("Error: helper ended incomplete (")
    assert result.status == "completed"


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (refuse(), "helper ended refused"),
        (calls(*say("half").output, outcome="incomplete"), "helper ended incomplete"),
    ],
)
async def test_a_sub_agent_that_comes_to_nothing_is_an_error_that_the_model_reads(turn, words):
    helper = agent_of(ScriptedModel([turn]), name="helper")
    front = ScriptedModel([calls(call("helper", task="a")), say("Never mind.")])
    events, result = await events_of(agent_of(front, helper.as_tool()), "go")
    assert words in outputs(result)[0]
    assert (result.status, result.text) == ("completed", "Never mind.")
    (finished,) = (event for event in events if event.type == "tool.finished")
    assert finished.failed


async def test_a_sub_agents_own_limits_hold_inside_and_are_no_limit_of_the_run():
    back = ScriptedModel([calls(call("add", a=1, b=1), call("add", a=2, b=2)), say("One of two.")])
    helper = agent_of(back, add, name="helper", max_tool_calls=1)
    front = ScriptedModel([calls(call("helper", task="a")), say("done")])
    result = await agent_of(front, helper.as_tool()).run("go")
    assert (result.status, result.stopped_by, outputs(result)) == ("completed", None, ["One of two."])
    assert result.state.threads["main/1.0"].stopped_by == "max_tool_calls"
    assert back.requests[1].json["tool_choice"] == "none"


async def test_a_sub_agent_whose_limit_leaves_no_answer_has_failed():
    helper = agent_of(
        ScriptedModel(lambda _: calls(call("add", a=1, b=1))), add, name="helper", limits=Limits(max_turns=2)
    )
    front = ScriptedModel([calls(call("helper", task="a")), say("done")])
    result = await agent_of(front, helper.as_tool()).run("go")
    assert outputs(result) == ["Error: helper ended limit (max_turns)"]
    assert result.status == "completed"


async def test_the_runs_limits_bind_sub_agents_and_leave_a_turn_for_the_answer():
    back = ScriptedModel(
        lambda body: say("so far") if body.get("tool_choice") == "none" else calls(call("add", a=1, b=1))
    )
    front = ScriptedModel([calls(call("helper", task="a")), say("done")])
    result = await agent_of(front, agent_of(back, add, name="helper").as_tool(), limits=Limits(max_turns=5)).run("go")
    assert (result.status, result.text, outputs(result), result.turns) == ("completed", "done", ["so far"], 5)
    assert len(back.requests) == 3


async def test_sub_agents_for_whom_no_turn_is_left_are_refused_in_words():
    helper = agent_of(ScriptedModel(lambda _: say("ok")), name="helper")
    front = ScriptedModel([calls(*(call("helper", task=str(n)) for n in range(4))), say("done")])
    result = await agent_of(front, helper.as_tool(), limits=Limits(max_turns=4)).run("go")
    assert ["limit reached (max_turns)" in output for output in outputs(result)] == [False, True, True, True]
    assert (result.status, result.stopped_by, result.turns) == ("limit", "max_turns", 3)


@pytest.mark.parametrize("arguments", ['{"task": 7}', "{}", '{"task": "a"', '{"question": "a"}'])
async def test_arguments_that_do_not_fit_are_answered_and_ask_nobody(arguments):
    back = ScriptedModel([])
    front = ScriptedModel([calls(call("helper", raw_arguments=arguments)), say("done")])
    result = await agent_of(front, agent_of(back, name="helper").as_tool()).run("go")
    assert outputs(result)[0].startswith("Error: ")
    assert "task" in outputs(result)[0] or "JSON" in outputs(result)[0]
    assert not back.requests
    assert sorted(result.state.threads) == ["main"]


async def test_a_sub_agent_gets_the_runs_deps_and_a_key_of_its_own_thread():
    from agentrt import Context

    seen = []

    @tool
    def look(ctx: Context) -> str:
        seen.append((ctx.deps, ctx.agent, ctx.run_id, ctx.key))
        return "ok"

    def play(body):
        return say("ok") if "output" in body["input"][-1] else calls(call("look"))

    helper = agent_of(ScriptedModel(play), look, name="helper")
    front = ScriptedModel([calls(call("helper", task="a"), call("look"), call("helper", task="b")), say("done")])
    await agent_of(front, helper.as_tool(), look).run("go", deps="db", run_id="r1")
    assert {(deps, run_id) for deps, _, run_id, _ in seen} == {("db", "r1")}
    assert sorted(agent for _, agent, _, _ in seen) == ["agent", "helper", "helper"]
    assert len({key for *_, key in seen}) == 3


# --- put away in the middle


async def test_an_http_error_in_a_sub_agent_carries_a_state_that_goes_on_there():
    ran = []

    @tool
    async def act(n: int) -> str:
        ran.append(n)
        return f"did {n}"

    back = ScriptedModel([calls(call("act", n=1)), http_error(400, "bad", "no"), say("It is done.")])
    front = ScriptedModel([calls(call("helper", task="a"), call("act", n=2)), say("done")])
    agent = agent_of(front, agent_of(back, act, name="helper").as_tool(), act)
    with pytest.raises(StatusError) as caught:
        await agent.run("go")
    assert caught.value.state.threads["main/1.0"].phase == "model"
    result = await agent.resume(caught.value.state.to_json())
    assert (result.status, outputs(result)) == ("completed", ["It is done.", "did 2"])
    assert sorted(ran) == [1, 2]
    assert (len(back.requests), len(front.requests)) == (3, 2)


async def test_a_failed_response_in_a_sub_agent_ends_the_run_with_its_error():
    error = {"error": {"code": "server_error", "message": "it broke"}}
    helper = agent_of(ScriptedModel([calls(outcome="failed", extra=error)]), name="helper")
    front = ScriptedModel([calls(call("helper", task="a"))])
    with pytest.raises(ResponseFailedError, match="it broke") as caught:
        await agent_of(front, helper.as_tool()).run("go")
    assert caught.value.state.threads["main/1.0"].phase == "model"


async def test_one_sub_agents_error_does_not_lose_what_the_other_has_done():
    started, release = anyio.Event(), anyio.Event()

    @tool(effect="idempotent")
    async def wait() -> str:
        started.set()
        await release.wait()
        return "waited"

    def play(body):
        first, last = body["input"][0]["content"], body["input"][-1]
        if first == "b":
            return http_error(400, "bad", "no") if not release.is_set() else say("b is done")
        return say(f"a: {last['output']}") if "output" in last else calls(call("wait"))

    helper = agent_of(ScriptedModel(play), wait, name="helper")
    front = ScriptedModel([calls(call("helper", task="a"), call("helper", task="b")), say("done")])
    agent = agent_of(front, helper.as_tool())
    with anyio.fail_after(5), pytest.raises(StatusError) as caught:
        await agent.run("go")
    release.set()
    result = await agent.resume(caught.value.state)
    assert outputs(result) == ["a: waited", "b is done"]


@tool(approval=True)
def pay(amount: int) -> str:
    """Pay.

    Args:
        amount: Euros.
    """
    return f"paid {amount}"


@pytest.mark.parametrize(
    ("decision", "output"), [(Approve(), "paid 5"), (Approve({"amount": 3}), "paid 3"), (Deny("no"), "no")]
)
async def test_what_a_sub_agent_waits_for_is_pending_at_the_top_and_goes_on_there(decision, output):
    def play(body):
        last = body["input"][-1]
        return say(f"Helper: {last['output']}") if "output" in last else calls(call("pay", amount=5))

    def agent():
        front = ScriptedModel(
            lambda body: say("done") if "output" in body["input"][-1] else calls(call("helper", task="a"))
        )
        return agent_of(front, agent_of(ScriptedModel(play), pay, name="helper").as_tool())

    waiting = await agent().run("go")
    (pending,) = waiting.pending
    assert (waiting.status, pending.agent, pending.thread, pending.name) == ("pending", "helper", "main/1.0", "pay")
    result = await agent().resume(waiting.state.to_json(), {pending.id: decision})
    assert (result.status, result.text) == ("completed", "done")
    assert output in outputs(result)[0]


async def test_asking_a_sub_agent_may_need_approval_itself():
    back = ScriptedModel([say("helped")])
    front = ScriptedModel([calls(call("helper", task="a")), say("done")])
    agent = agent_of(front, agent_of(back, name="helper").as_tool(approval=True))
    waiting = await agent.run("go")
    assert (waiting.status, waiting.pending[0].arguments, back.requests) == ("pending", {"task": "a"}, [])
    result = await agent.resume(waiting.state, {waiting.pending[0].id: Approve({"task": "b"})})
    assert back.requests[0].json["input"][0]["content"] == "b"
    assert "helped" in outputs(result)[0]


async def test_an_edited_task_is_still_the_edited_one_after_another_putting_away():
    back = ScriptedModel(lambda body: say(body["input"][0]["content"]))
    front = ScriptedModel([calls(call("pay", amount=1), call("helper", task="a")), say("done")])
    helper = agent_of(back, name="helper").as_tool(approval=True)
    agent = agent_of(front, pay, helper, parallel_tool_calls=False)
    first = await agent.run("go")
    second = await agent.resume(first.state.to_json(), {first.pending[0].id: Approve()})
    third = await agent.resume(second.state.to_json(), {second.pending[0].id: Approve({"task": "b"})})
    assert [one.pending[0].name for one in (first, second)] == ["pay", "helper"]
    assert outputs(third)[1].endswith("b")
    assert "changed the arguments" in outputs(third)[1]


async def test_cancelling_a_run_ends_its_sub_agents_with_every_call_answered():
    ended = []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    helper = agent_of(ScriptedModel([calls(call("slow"))]), slow, name="helper")
    front = ScriptedModel([calls(call("helper", task="a"))])
    with anyio.fail_after(5):
        async with agent_of(front, helper.as_tool()).stream("go") as run:
            async for event in run:
                if event.type == "tool.started" and event.name == "slow":
                    run.cancel()
    assert (run.result.status, ended) == ("cancelled", [True])
    for thread in run.result.state.threads.values():
        kinds = [item.type for item in thread.items]
        assert kinds.count("function_call") == kinds.count("function_call_output") == 1


# --- outside of a run


async def test_a_sub_agents_tool_can_be_called_by_hand():
    helper = agent_of(ScriptedModel([say("helped")]), name="helper")
    assert await helper.as_tool()("a") == "helped"


async def test_a_sub_agents_tool_works_in_a_batch_of_calls():
    helper = agent_of(ScriptedModel([say("helped"), refuse()]), name="helper")
    registry = Registry([helper.as_tool()])
    (answer,) = await registry.dispatch([call("helper", task="a")])
    assert answer["output"] == "helped"
    (answer,) = await registry.dispatch([call("helper", task="a")])
    assert "helper ended refused" in answer["output"]
    with pytest.raises(ToolError, match="helper ended"):
        await agent_of(ScriptedModel([refuse()]), name="helper").as_tool()("a")


async def test_a_handoff_in_a_batch_of_calls_is_answered_in_words():
    other = agent_of(ScriptedModel([]), name="billing")
    (answer,) = await Registry([handoff(other)]).dispatch([call("transfer_to_billing")])
    assert "works in a run of an agent only" in answer["output"]


# --- handing over


async def test_a_handoff_lets_the_other_agent_answer():
    front = ScriptedModel([calls(*say("One moment.").output, call("transfer_to_billing"))])
    back = ScriptedModel([calls(call("add", a=1, b=2)), say("Billing here: 3.")])
    billing = Agent("other", name="billing", instructions="Bill.", tools=[add], client=back)
    agent = agent_of(front, handoff(billing), instructions="Greet.")
    result = await agent.run("How much?")
    assert (result.status, result.text, result.agent) == ("completed", "Billing here: 3.", "billing")
    body = back.requests[0].json
    assert (body["model"], body["instructions"]) == ("other", "Bill.")
    assert [item["type"] for item in body["input"]] == ["message", "message", "function_call", "function_call_output"]
    assert body["input"][-1]["output"] == "billing goes on from here."
    assert [tool["name"] for tool in body["tools"]] == ["add"]
    assert list(result.state.threads) == ["main"]


async def test_a_handoff_takes_effect_after_its_batch_and_a_second_one_is_refused():
    ran = []

    def note(text: str) -> str:
        ran.append(text)
        return "noted"

    front = ScriptedModel(
        [calls(call("transfer_to_billing"), call("note", text="a"), call("transfer_to_sales"), call("note", text="b"))]
    )
    billing = agent_of(ScriptedModel([say("Billing.")]), name="billing")
    sales = agent_of(ScriptedModel([]), name="sales")
    result = await agent_of(front, handoff(billing), handoff(sales), note).run("go")
    assert (result.text, sorted(ran)) == ("Billing.", ["a", "b"])
    assert outputs(result) == [
        "billing goes on from here.",
        "noted",
        "Error: the conversation goes to billing already",
        "noted",
    ]


async def test_the_conversation_may_be_handed_back():
    front_model = ScriptedModel([calls(call("transfer_to_billing")), say("Anything else?")])
    billing = agent_of(
        ScriptedModel([calls(call("back"))]),
        handoff(lambda: front, name="back", description="Hand back."),
        name="billing",
    )
    front = agent_of(front_model, handoff(billing), name="front")
    events, result = await events_of(front, "go")
    assert (result.text, result.agent) == ("Anything else?", "front")
    changes = [(event.before, event.agent, event.thread) for event in events if event.type == "agent.changed"]
    assert changes == [("front", "billing", "main"), ("billing", "front", "main")]
    assert len(front_model.requests[1].json["input"]) == 5


async def test_events_after_a_handoff_are_the_new_agents():
    front = ScriptedModel([calls(call("transfer_to_billing"))])
    billing = agent_of(ScriptedModel([say("Billing.")]), name="billing")
    events, _ = await events_of(agent_of(front, handoff(billing), name="front"), "go")
    agents = [(event.type, event.agent) for event in events]
    assert agents == [
        ("run.started", "front"),
        ("turn.started", "front"),
        ("usage", "front"),
        ("agent.changed", "billing"),
        ("turn.started", "billing"),
        ("text.delta", "billing"),
        ("usage", "billing"),
        ("run.finished", "billing"),
    ]


async def test_another_provider_does_not_get_reasoning_that_it_can_not_read():
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"}
    front = ScriptedModel([calls(reasoning, call("transfer_to_billing"))], base_url="http://one.invalid/v1")
    back = ScriptedModel([say("Billing.")], base_url="http://two.invalid/v1")
    events, result = await events_of(agent_of(front, handoff(agent_of(back, name="billing"))), "go")
    assert [item["type"] for item in back.requests[0].json["input"]] == [
        "message",
        "function_call",
        "function_call_output",
    ]
    assert len(result.notes) == 1
    assert "reasoning" in result.notes[0]
    assert [event.note for event in events if event.type == "note"] == list(result.notes)


async def test_the_same_provider_gets_reasoning_as_it_was():
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"}
    model = ScriptedModel([calls(reasoning, call("transfer_to_billing")), say("Billing.")])
    result = await agent_of(model, handoff(agent_of(model, name="billing"))).run("go")
    assert model.requests[1].json["input"][1] == reasoning
    assert result.notes == ()


async def test_a_run_that_was_handed_over_resumes_with_the_other_agent():
    front = ScriptedModel([calls(call("transfer_to_billing"))])
    back = ScriptedModel([calls(call("pay", amount=5)), say("Paid.")])
    agent = agent_of(front, handoff(agent_of(back, pay, name="billing")))
    waiting = await agent.run("go")
    assert (waiting.status, waiting.agent, waiting.pending[0].agent) == ("pending", "billing", "billing")
    result = await agent.resume(waiting.state.to_json(), {waiting.pending[0].id: Approve()})
    assert (result.text, result.agent, len(front.requests)) == ("Paid.", "billing", 1)


async def test_a_handoff_waits_for_a_call_of_its_batch_that_is_pending():
    front = ScriptedModel([calls(call("transfer_to_billing"), call("pay", amount=5))])
    back = ScriptedModel([say("Billing.")])
    agent = agent_of(front, handoff(agent_of(back, name="billing")), pay)
    waiting = await agent.run("go")
    assert (waiting.status, waiting.agent, back.requests) == ("pending", "agent", [])
    result = await agent.resume(waiting.state.to_json(), {waiting.pending[0].id: Approve()})
    assert (result.text, outputs(result)[1]) == ("Billing.", "paid 5")


async def test_a_sub_agent_may_hand_its_part_over():
    third = agent_of(ScriptedModel([say("Third.")]), name="third")
    second = agent_of(ScriptedModel([calls(call("transfer_to_third"))]), handoff(third), name="second")
    front = ScriptedModel([calls(call("second", task="a")), say("done")])
    result = await agent_of(front, second.as_tool()).run("go")
    assert (outputs(result), result.agent, result.state.threads["main/1.0"].agent) == (["Third."], "agent", "third")


async def test_the_next_message_begins_with_the_agent_that_is_asked():
    front = ScriptedModel([calls(call("transfer_to_billing")), say("Hello again.")])
    agent = agent_of(front, handoff(agent_of(ScriptedModel([say("Billing.")]), name="billing")), name="front")
    first = await agent.run("go")
    second = await agent.run("and now?", after=first)
    assert (second.text, second.agent) == ("Hello again.", "front")
    assert len(front.requests[1].json["input"]) == 5


async def test_other_instances_of_the_agents_can_resume_by_their_names():
    def agents(back):
        return agent_of(
            ScriptedModel([calls(call("transfer_to_billing"))]), handoff(agent_of(back, pay, name="billing"))
        )

    waiting = await agents(ScriptedModel([calls(call("pay", amount=5))])).run("go")
    result = await agents(ScriptedModel([say("Paid.")])).resume(
        waiting.state.to_json(), {waiting.pending[0].id: Approve()}
    )
    assert result.text == "Paid."
    with pytest.raises(UsageError, match="'billing'"):
        await agent_of(ScriptedModel([])).resume(waiting.state.to_json())


# --- mistakes


@pytest.mark.parametrize("as_tool", [True, False])
async def test_two_agents_of_one_name_are_refused_before_the_run(as_tool):
    one, other = (agent_of(ScriptedModel([]), name="twin") for _ in range(2))
    tools = (
        (one.as_tool(name="a"), other.as_tool(name="b"))
        if as_tool
        else (handoff(one, name="a"), handoff(other, name="b"))
    )
    model = ScriptedModel([])
    with pytest.raises(UsageError, match="two agents are named 'twin'"):
        await agent_of(model, *tools).run("go")
    assert not model.requests


def test_mistakes_with_handoffs_are_told():
    with pytest.raises(UsageError, match="needs name="):
        handoff(lambda: None)
    with pytest.raises(UsageError, match="takes an Agent"):
        handoff("billing")
    with pytest.raises(UsageError, match=r"agent\.as_tool"):
        agent_of(ScriptedModel([]), agent_of(ScriptedModel([])))


async def test_a_handoff_to_what_is_no_agent_is_told_before_the_run():
    with pytest.raises(UsageError, match="takes an Agent"):
        await agent_of(ScriptedModel([]), handoff(lambda: "billing", name="x")).run("go")
