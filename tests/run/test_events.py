"""One ordered stream of events: where each belongs, when it comes, and that observers hear the same."""

import json
import logging

import anyio
import pytest

from agentrt import Agent, Approve, Context, Limits, handoff, tool
from agentrt.errors import LimitReachedError, OutputError, StatusError
from agentrt.testing import ScriptedModel, call, calls, http_error, say


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(approval=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


def agent_of(model, *tools, **options):
    return Agent("m", tools=tools or [add], client=model, **options)


def adds(count, **more):
    return calls(*(call("add", a=n, b=1) for n in range(count)), **more)


async def watched(agent, observed, *arguments, **options):
    """Run the agent as a stream; what is streamed is what is observed."""
    async with agent.stream(*arguments, **options) as run:
        streamed = [event async for event in run]
    assert list(map(id, streamed)) == list(map(id, observed))
    return streamed, run.result


def kinds(events):
    return [event.type for event in events]


async def test_a_run_with_a_call_is_told_in_this_order():
    told = []
    model = ScriptedModel([calls(*say("Let me add.").output, call("add", a=1, b=2)), say("It is 3.")])
    events, result = await watched(agent_of(model, observers=[told.append]), told, "go", run_id="r1")
    assert kinds(events) == [
        "run.started",
        "turn.started",
        "text.delta",
        "usage",
        "tool.started",
        "tool.finished",
        "turn.started",
        "text.delta",
        "usage",
        "run.finished",
    ]
    assert {(event.run_id, event.agent, event.thread, event.parent) for event in events} == {
        ("r1", "agent", "main", None)
    }
    assert [event.turn for event in events] == [0, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    started, finished = events[4:6]
    assert (started.call_id, started.name, json.loads(started.arguments)) == (finished.call_id, "add", {"a": 1, "b": 2})
    assert (finished.output, finished.failed, started.hosted) == ("3", False, False)
    assert (events[0].resumed, events[-1].status, events[-1].error) == (False, "completed", None)
    assert result.text == "It is 3."


async def test_without_streaming_observers_hear_the_same_but_the_deltas():
    def script():
        return ScriptedModel([calls(*say("Let me add.").output, call("add", a=1, b=2)), say("It is 3.")])

    whole, streamed = [], []
    await agent_of(script(), observers=[whole.append]).run("go")
    await watched(agent_of(script(), observers=[streamed.append]), streamed, "go")
    assert kinds(whole) == [kind for kind in kinds(streamed) if kind != "text.delta"]


async def test_a_call_is_announced_before_it_runs_and_finished_after_it():
    order = []

    def act() -> None:
        order.append("runs")

    def observe(event):
        if event.type.startswith("tool."):
            order.append(event.type)

    await agent_of(ScriptedModel([calls(call("act")), say("done")]), act, observers=[observe]).run("go")
    assert order == ["tool.started", "runs", "tool.finished"]


async def test_several_observers_hear_everything_and_one_that_fails_breaks_nothing(caplog):
    first, last = [], []

    def broken(event):
        raise KeyError("mine")

    model = ScriptedModel([adds(1), say("done")])
    with caplog.at_level(logging.ERROR, "agentrt"):
        result = await agent_of(model, observers=[first.append, broken, last.append]).run("go")
    assert (result.status, result.text) == ("completed", "done")
    assert first == last
    assert kinds(first)[-1] == "run.finished"
    assert "observer" in caplog.text


async def test_reasoning_is_told_as_it_comes():
    summary = [{"type": "summary_text", "text": "Let me think."}]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "x"}
    told = []
    model = ScriptedModel([calls(reasoning, *say("Done.").output)])
    events, _ = await watched(agent_of(model, observers=[told.append]), told, "go")
    assert "".join(event.delta for event in events if event.type == "reasoning.delta") == "Let me think."
    assert kinds(events).index("reasoning.delta") < kinds(events).index("text.delta")


async def test_usage_is_told_with_what_the_run_has_used_so_far():
    told = []
    model = ScriptedModel([adds(1, usage=(100, 10)), say("done", usage=(200, 20), extra={"model": "m-2026-01-01"})])
    await watched(agent_of(model, observers=[told.append], prices={"m": (1_000_000, 0)}), told, "go")
    first, second = (event for event in told if event.type == "usage")
    assert (first.usage.input_tokens, first.total.total_tokens, first.cost) == (100, 110, 100)
    assert (second.usage.output_tokens, second.total.total_tokens, second.cost) == (20, 330, 200)
    assert (second.model, second.status, second.turn) == ("m-2026-01-01", "completed", 2)
    assert second.response_id


async def test_the_model_that_is_asked_is_named():
    told = []
    await Agent(["first", "second"], client=ScriptedModel([say("hi")]), observers=[told.append]).run("go")
    assert told[1].model == "first"


async def test_tools_tell_how_far_they_are_and_what_they_have_already():
    @tool
    def count(ctx: Context):
        ctx.progress(0.5, "half")
        yield "one"
        yield "two"

    told = []
    model = ScriptedModel([calls(call("count")), say("done")])
    events, _ = await watched(agent_of(model, count, observers=[told.append]), told, "go")
    progress = [(event.fraction, event.message, event.output) for event in events if event.type == "tool.progress"]
    assert progress == [(0.5, "half", ""), (None, "", "one"), (None, "", "two")]
    assert [kind for kind in kinds(events) if kind.startswith("tool.")][::4] == ["tool.started", "tool.finished"]


async def test_calls_that_the_provider_runs_are_told_too():
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}
    told = []
    model = ScriptedModel([calls(search, *say("Found.").output)])
    events, _ = await watched(agent_of(model, {"type": "web_search"}, observers=[told.append]), told, "go")
    hosted = [(event.type, event.call_id, event.hosted) for event in events if event.type.startswith("tool.")]
    assert hosted == [("tool.started", "ws_1", True), ("tool.finished", "ws_1", True)]


async def test_hosted_calls_without_ids_are_told_one_by_one():
    searches = [{"type": "web_search_call", "status": "completed", "action": {"query": query}} for query in "ab"]
    told = []
    model = ScriptedModel([calls(*searches, *say("Found.").output)])
    events, _ = await watched(agent_of(model, {"type": "web_search"}, observers=[told.append]), told, "go")
    assert [json.loads(event.arguments)["query"] for event in events if event.type == "tool.started"] == ["a", "b"]
    assert [event.failed for event in events if event.type == "tool.finished"] == [False, False]


async def test_a_reply_that_breaks_off_takes_back_what_it_said():
    told = []
    model = ScriptedModel([say("half an ans", cut_after=6), say("whole")])
    agent = agent_of(model, observers=[told.append])
    events, result = await watched(agent, told, "go")
    assert result.text == "whole"
    assert kinds(events).count("turn.restarted") == 1
    after = events[kinds(events).index("turn.restarted") :]
    assert "".join(event.delta for event in after if event.type == "text.delta") == "whole"


# --- limits, notes, decisions


async def test_a_limit_that_refuses_calls_is_told_once_when_it_does():
    told = []
    model = ScriptedModel([adds(3), say("done")])
    events, _ = await watched(agent_of(model, max_tool_calls=1, observers=[told.append]), told, "go")
    (limit,) = (event for event in events if event.type == "limit")
    assert (limit.limit, limit.turn) == ("max_tool_calls", 1)
    assert [event.last for event in events if event.type == "turn.started"] == [False, True]
    assert (events[-1].status, events[-1].stopped_by) == ("limit", "max_tool_calls")


async def test_a_limit_that_makes_a_turn_the_last_one_is_told_before_it():
    told = []
    model = ScriptedModel([adds(1), say("done")])
    events, result = await watched(agent_of(model, limits=Limits(max_turns=2), observers=[told.append]), told, "go")
    at = kinds(events).index("limit")
    assert (events[at].limit, events[at].turn) == ("max_turns", 2)
    assert (events[at + 1].type, events[at + 1].last) == ("turn.started", True)
    assert (result.status, events[-1].stopped_by) == ("completed", None)


async def test_a_sub_agents_own_limit_is_told_where_it_belongs():
    told = []
    helper = agent_of(ScriptedModel([adds(2), say("ok")]), name="helper", max_tool_calls=1)
    front = ScriptedModel([calls(call("helper", task="x")), say("done")])
    events, _ = await watched(agent_of(front, helper.as_tool(), observers=[told.append]), told, "go")
    limits = [(event.limit, event.agent, event.thread) for event in events if event.type == "limit"]
    assert limits[0] == ("max_tool_calls", "helper", "main/1.0")
    assert {where for _, *where in map(list, limits) for where in [tuple(where)]} == {("helper", "main/1.0")}
    assert events[-1].stopped_by is None


async def test_what_was_mended_is_told_in_a_note():
    told = []
    broken = [
        {"type": "message", "role": "user", "content": "x"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "add", "arguments": "{}"},
    ]
    events, result = await watched(
        agent_of(ScriptedModel([say("ok")]), observers=[told.append]), told, "go", after=broken
    )
    assert [event.note for event in events if event.type == "note"] == list(result.notes)
    assert result.notes


async def test_what_is_pending_is_told_and_the_run_finishes_as_pending():
    told = []
    model = ScriptedModel([calls(call("pay", amount=5)), say("done")])
    agent = agent_of(model, pay, observers=[told.append])
    events, result = await watched(agent, told, "go")
    assert kinds(events)[-2:] == ["pending", "run.finished"]
    assert (events[-2].pending, events[-1].status) == (result.pending[0], "pending")
    told.clear()
    await agent.resume(result.state.to_json(), {result.pending[0].id: Approve()})
    assert kinds(told) == ["run.started", "tool.started", "tool.finished", "turn.started", "usage", "run.finished"]
    assert (told[0].resumed, told[0].run_id) == (True, result.state.run_id)


async def test_what_is_decided_at_once_is_told_in_order():
    told = []
    model = ScriptedModel([calls(call("pay", amount=5)), say("done")])
    events, _ = await watched(agent_of(model, pay, observers=[told.append]), told, "go", on_pending=lambda _: Approve())
    assert kinds(events)[3:6] == ["pending", "tool.started", "tool.finished"]


async def test_a_mixed_run_is_observed_as_it_is_streamed():
    told = []
    third = agent_of(ScriptedModel([say("third")]), name="third")
    other = agent_of(ScriptedModel([adds(3), say("other")]), name="other")
    helper = agent_of(
        ScriptedModel(lambda body: say("ok") if "output" in body["input"][-1] else adds(2)), name="helper"
    )
    asked = calls(call("helper", task="a"), call("helper", task="b"), call("third", task="c"), call("add", a=1, b=1))
    front = ScriptedModel([asked, calls(call("transfer_to_other"))])
    agent = agent_of(front, add, helper.as_tool(), third.as_tool(), handoff(other), observers=[told.append])
    events, result = await watched(agent, told, "go")
    assert result.text == "other"
    started, finished = ([e.call_id for e in events if e.type == kind] for kind in ("tool.started", "tool.finished"))
    assert sorted(started) == sorted(finished)
    assert len(started) == len(set(started)) == 11
    for event in events:
        assert (event.thread == "main") == (event.parent is None)
        assert event.parent is None or event.parent in started
    turns: dict[str, int] = {}
    for event in events:
        assert event.turn >= turns.get(event.thread, 0)
        turns[event.thread] = event.turn


# --- how it ends


def last(told):
    assert kinds(told).count("run.finished") == 1
    assert told[-1].type == "run.finished"
    return told[-1]


@pytest.mark.parametrize("streaming", [True, False])
async def test_observers_hear_of_an_error_that_ends_the_run(streaming):
    told = []
    agent = agent_of(ScriptedModel([adds(1), http_error(400, "bad", "no such thing")]), observers=[told.append])
    with pytest.raises(StatusError):
        if streaming:
            async with agent.stream("go") as run:
                async for _ in run:
                    pass
        else:
            await agent.run("go")
    assert last(told).status is None
    assert "no such thing" in last(told).error


@pytest.mark.parametrize(
    ("options", "turns", "error", "status"),
    [
        ({"limits": Limits(max_turns=1, on_limit="raise")}, [adds(1)], LimitReachedError, "limit"),
        ({"output_type": int, "output_retries": 0}, [say("no")], OutputError, "incomplete"),
    ],
)
async def test_a_run_that_ends_by_itself_in_an_error_is_finished_once(options, turns, error, status):
    told = []
    with pytest.raises(error) as caught:
        await agent_of(ScriptedModel(turns), observers=[told.append], **options).run("go")
    assert (last(told).status, caught.value.state.status) == (status, status)


async def test_observers_hear_that_a_run_was_left():
    told = []
    async with agent_of(ScriptedModel([adds(1), say("done")]), observers=[told.append]).stream("go") as run:
        async for event in run:
            if event.type == "tool.started":
                break
    assert (last(told).status, last(told).error) == (None, None)


async def test_observers_hear_of_an_exception_in_the_block():
    told = []
    with pytest.raises(KeyError):
        async with agent_of(ScriptedModel([say("done")]), observers=[told.append]).stream("go") as run:
            async for _ in run:
                raise KeyError("mine")
    assert "mine" in last(told).error


async def test_observers_hear_of_a_run_that_was_cancelled_from_outside():
    told = []

    async def slow() -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.1):
        await agent_of(ScriptedModel([calls(call("slow"))]), slow, observers=[told.append]).run("go")
    assert (last(told).status, last(told).error) == (None, None)


async def test_nothing_is_told_after_the_end_of_a_cancelled_run():
    told, going = [], anyio.Event()

    @tool
    async def chatty(ctx: Context) -> None:
        going.set()
        try:
            while True:
                ctx.progress(message="on")
                await anyio.sleep(0.001)
        finally:
            ctx.progress(message="cut")

    agent = agent_of(ScriptedModel([calls(call("chatty"))]), chatty, observers=[told.append])
    streamed = []
    with anyio.fail_after(5):
        async with agent.stream("go") as run:
            async for event in run:
                streamed.append(event)
                if going.is_set():
                    run.cancel()
                    await anyio.sleep(0.01)
            await anyio.sleep(0.01)
    assert run.result.status == "cancelled"
    assert last(told).status == "cancelled"
    assert kinds(streamed) == kinds(told)


async def test_a_run_that_is_over_is_told_as_such_when_it_is_asked_for_again():
    told = []
    agent = agent_of(ScriptedModel([say("done")]), observers=[told.append])
    result = await agent.run("go")
    told.clear()
    again = await agent.resume(result.state.to_json())
    assert (again.text, kinds(told)) == ("done", ["run.started", "run.finished"])


async def test_a_run_that_was_never_read_tells_nothing():
    told = []
    async with agent_of(ScriptedModel([]), observers=[told.append]).stream("go"):
        pass
    assert told == []
