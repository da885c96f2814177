import json
import logging
import threading
import time

import anyio
import httpx2
import pytest

from agentrt import Agent, Client, Limits, Registry, Result, RunState, UsageError, builtin, tool
from agentrt.errors import AuthenticationError, ResponseFailedError, StatusError, UnreachableError, WireError
from agentrt.testing import call, calls, http_error, raw, say


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def agent_of(monkeypatch):
    """Make an agent with a client of its own, which it closes by itself."""

    def make(server, *tools, **options):
        monkeypatch.setenv("AGENTRT_BASE_URL", server.url)
        return Agent("m", tools=tools, **options)

    return make


async def events_of(agent, *arguments, **options):
    async with agent.stream(*arguments, **options) as run:
        events = [event async for event in run]
    return events, run.result


async def test_a_run_with_a_call(serve, agent_of):
    server = serve(calls(call("add", a=1, b=2)), say("It is 3."))
    agent = agent_of(server, add, instructions="Be short.", temperature=0.5)
    result = await agent.run("What is 1 + 2?")
    assert (result.status, result.output, result.text, result.turns) == ("completed", "It is 3.", "It is 3.", 2)
    assert [item.type for item in result.items] == ["function_call", "function_call_output", "message"]
    assert result.usage.total_tokens == 30
    first, second = (request.json for request in server.requests)
    assert first == {
        "model": "m",
        "instructions": "Be short.",
        "temperature": 0.5,
        "tools": [add.definition()],
        "input": [{"type": "message", "role": "user", "content": "What is 1 + 2?"}],
        "parallel_tool_calls": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert second["input"][:1] == first["input"]
    assert second["input"][1:] == [item.raw for item in result.items[:2]]
    assert {**second, "input": 0} == {**first, "input": 0}


async def test_a_stream_tells_what_happens_in_order(serve, agent_of):
    server = serve(calls(*say("Let me add.").output, call("add", a=1, b=2)), say("It is 3."))
    events, result = await events_of(agent_of(server, add), "go")
    assert [event.type for event in events if event.type != "text.delta"] == [
        "run.started",
        "turn.started",
        "usage",
        "tool.started",
        "tool.finished",
        "turn.started",
        "usage",
        "run.finished",
    ]
    assert "".join(event.delta for event in events if event.type == "text.delta") == "Let me add.It is 3."
    started, finished = (event for event in events if event.type.startswith("tool."))
    assert (started.name, json.loads(started.arguments)) == ("add", {"a": 1, "b": 2})
    assert (finished.output, finished.failed, finished.call_id) == ("3", False, started.call_id)
    assert finished.seconds > 0
    assert result.text == "It is 3."


async def test_run_and_stream_come_to_the_same_end(serve, agent_of):
    script = [calls(call("add", a=1, b=2), call("add", a="x", b=2)), say("done")]
    server = serve(*script, *script)
    agent = agent_of(server, add)
    whole = await agent.run("go")
    _, streamed = await events_of(agent, "go")
    assert [item.raw for item in whole.items] == [item.raw for item in streamed.items]


async def test_a_server_that_does_not_stream(serve, agent_of):
    body = json.dumps({"id": "r", "status": "completed", "output": list(say("all at once").output)}).encode()
    events, _ = await events_of(agent_of(serve(raw(body))), "go")
    assert [event.delta for event in events if event.type == "text.delta"] == ["all at once"]


# --- parallel and serial


async def test_calls_of_one_reply_run_at_once(serve, agent_of):
    async def wait(name: str) -> str:
        arrived[name].set()
        await arrived["b" if name == "a" else "a"].wait()
        return name

    arrived = {"a": anyio.Event(), "b": anyio.Event()}
    server = serve(calls(call("wait", name="a"), call("wait", name="b")), say("done"))
    with anyio.fail_after(5):
        result = await agent_of(server, wait).run("go")
    assert [item.raw["output"] for item in result.items if item.type == "function_call_output"] == ["a", "b"]


async def test_without_parallel_tool_calls_they_run_one_after_another(serve, agent_of):
    running, seen = 0, []

    async def work(n: int) -> int:
        nonlocal running
        running += 1
        seen.append((n, running))
        await anyio.sleep(0.002)
        running -= 1
        return n

    server = serve(calls(*(call("work", n=n) for n in range(5))), say("done"))
    await agent_of(server, work, parallel_tool_calls=False).run("go")
    assert seen == [(n, 1) for n in range(5)]
    assert server.requests[0].json["parallel_tool_calls"] is False


# --- limits


async def test_max_tool_calls_ends_in_an_answer(serve, agent_of):
    server = serve(calls(*(call("add", a=n, b=n) for n in range(3))), say("Two of three."))
    result = await agent_of(server, add, max_tool_calls=2).run("go")
    assert (result.status, result.stopped_by, result.output) == ("limit", "max_tool_calls", "Two of three.")
    outputs = [item.raw["output"] for item in result.items if item.type == "function_call_output"]
    assert outputs[:2] == ["0", "2"]
    assert "limit reached" in outputs[2]
    first, last = (request.json for request in server.requests)
    assert (first["max_tool_calls"], first.get("tool_choice")) == (2, None)
    assert (last.get("max_tool_calls"), last["tool_choice"]) == (None, "none")
    assert last["tools"] == first["tools"]


async def test_max_turns_ends_in_an_answer(serve, agent_of):
    server = serve(calls(call("add", a=1, b=1)), say("So far 2."))
    result = await agent_of(server, add).run("go", limits=Limits(max_turns=2))
    assert (result.status, result.turns) == ("completed", 2)
    assert server.requests[1].json["tool_choice"] == "none"


async def test_a_model_that_never_stops_is_stopped(serve, agent_of):
    server = serve(lambda _: calls(call("add", a=1, b=1)))
    result = await agent_of(server, add, limits=Limits(max_turns=5)).run("go")
    assert (result.status, result.stopped_by, result.turns, len(server.requests)) == ("limit", "max_turns", 5, 5)


# --- what goes wrong


async def test_mistakes_of_the_model_are_answered_so_that_it_can_mend_them(serve, agent_of):
    server = serve(
        calls(call("ad", a=1, b=2), call("add", a=1), call("add", raw_arguments='{"a": 1,')),
        calls(call("add", a=1, b=2)),
        say("3"),
    )
    result = await agent_of(server, add).run("go")
    outputs = [item.raw["output"] for item in result.items if item.type == "function_call_output"]
    assert "did you mean 'add'" in outputs[0]
    assert "`b` is required" in outputs[1]
    assert "not valid JSON" in outputs[2]
    assert outputs[3] == "3"
    assert result.output == "3"


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        (http_error(401), AuthenticationError),
        (http_error(404, message="no such model"), StatusError),
        (raw(b"<html>", "text/html"), WireError),
        (
            calls(outcome="failed", extra={"error": {"code": "server_error", "message": "it broke"}}),
            ResponseFailedError,
        ),
    ],
)
@pytest.mark.parametrize("streaming", [True, False])
async def test_an_error_carries_the_state_where_the_run_stood(serve, agent_of, turn, kind, streaming):
    server = serve(calls(call("add", a=1, b=2)), turn)
    agent = agent_of(server, add)
    with pytest.raises(kind) as caught:
        await (events_of(agent, "go") if streaming else agent.run("go"))
    state = RunState.from_json(caught.value.state.to_json())
    assert [item.type for item in state.threads["main"].items] == ["message", "function_call", "function_call_output"]
    assert state.meter.turns == 2


async def test_an_unreachable_server():
    async with Client(base_url="http://127.0.0.1:9/v1", max_retries=0) as client:
        with pytest.raises(UnreachableError) as caught:
            await Agent("m", client=client).run("go")
    assert caught.value.state is not None


async def test_an_incomplete_reply_runs_nothing(serve, agent_of):
    ran = []

    def work() -> None:
        ran.append(1)

    turn = calls(call("work"), outcome="incomplete", extra={"incomplete_details": {"reason": "max_output_tokens"}})
    result = await agent_of(serve(turn), work).run("go")
    assert (result.status, ran) == ("incomplete", [])
    with pytest.raises(UsageError, match="'incomplete'"):
        _ = result.output


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Unsupported parameter: 'parallel_tool_calls'", "parallel_tool_calls"),
        ("Encrypted content is not supported with this model.", "include"),
    ],
)
async def test_what_agentrt_added_is_dropped_for_a_provider_that_refuses_it(serve, agent_of, caplog, message, name):
    server = serve(http_error(400, "unsupported_parameter", message), say("a"), say("b"))
    agent = agent_of(server, add)
    with caplog.at_level(logging.WARNING, "agentrt"):
        assert (await agent.run("go")).text == "a"
    assert name in caplog.text
    assert (await agent.run("go")).text == "b"
    assert [name in request.json for request in server.requests] == [True, False, False]


@pytest.mark.parametrize(
    "message", ["No vector_store with id vs_1", "Please include a store name", "'store' is closed today"]
)
async def test_a_400_about_something_else_drops_nothing(serve, agent_of, message):
    server = serve(http_error(400, "invalid", message), say("never"))
    with pytest.raises(StatusError):
        await agent_of(server, add).run("go")
    assert len(server.requests) == 1


async def test_a_call_that_agentrt_cannot_answer_is_said(serve, agent_of):
    server = serve(calls({"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"}))
    with pytest.raises(UsageError, match="custom_tool_call"):
        await agent_of(server, {"type": "custom", "name": "sql"}).run("go")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tools": [42]}, "a tool is a function"),
        ({"tools": "ab"}, "must be a list"),
        ({"tools": add}, "must be a list"),
        ({"temprature": 1}, "no setting 'temprature'"),
        ({"stream": True}, "agent.stream"),
        ({"conversation": "conv_1"}, "needs history='conversation'"),
        ({"history": "conversation", "conversation": {}}, "take an id"),
        ({"tools": [builtin.WebSearch]}, r"write WebSearch\("),
        ({"history": "chat"}, "must be 'replay', 'response' or 'conversation'"),
        ({"history": "response", "store": False}, "needs the server to store"),
    ],
)
def test_mistakes_at_an_agents_making(options, message):
    with pytest.raises(UsageError, match=message):
        Agent("m", **options)


async def test_mistakes_at_a_runs_start(serve, agent_of):
    agent = agent_of(serve())
    for given in (42, {"role": "user", "content": "x"}, [42]):
        with pytest.raises(UsageError, match="must be a text, or a list"):
            await agent.run(given)
    with pytest.raises(UsageError, match="enter the run first"):
        async for _ in agent.stream("go"):
            pass


async def test_what_the_user_wrote_is_never_dropped(serve, agent_of):
    server = serve(http_error(400, "unsupported_parameter", "Unsupported parameter: 'store'"))
    with pytest.raises(StatusError):
        await agent_of(server, add, store=True).run("go")


# --- going on, leaving, cancelling


async def test_the_next_message_of_a_conversation(serve, agent_of):
    server = serve(say("Hello."), say("You said hi."), say("Yes."))
    agent = agent_of(server)
    first = await agent.run("hi")
    second = await agent.run("What did I say?", after=first)
    assert [item.text for item in second.items] == ["You said hi."]
    await agent.run([{"role": "user", "content": "Sure?"}], after=second.items)
    sent = [[item.get("content") for item in request.json["input"]] for request in server.requests]
    assert [len(items) for items in sent] == [1, 3, 2]
    assert sent[1][0] == "hi"
    with pytest.raises(UsageError, match="nothing to run on"):
        await agent.run([])


async def test_cancel_ends_the_run_with_every_call_answered(serve, agent_of):
    ended = []

    async def forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    server = serve(calls(call("forever"), call("add", a=1, b=2)))
    with anyio.fail_after(5):
        async with agent_of(server, forever, add).stream("go") as run:
            async for event in run:
                if event.type == "tool.finished":
                    run.cancel()
    assert run.result.status == "cancelled"
    outputs = [item.raw["output"] for item in run.result.items if item.type == "function_call_output"]
    unknown = "this call had begun when the run was cancelled, so its outcome is unknown; it is not repeated"
    assert outputs == [f"Error: {unknown}", "3"]
    assert ended == [True]


async def test_cancel_then_leave_has_a_result(serve, agent_of):
    server = serve(calls(call("add", a=1, b=2)), say("3"))
    async with agent_of(server, add).stream("go") as run:
        async for event in run:
            if event.type == "tool.started":
                run.cancel()
                break
    assert run.result.status == "cancelled"


@pytest.mark.parametrize("streaming", [True, False])
async def test_cancel_while_the_model_is_asked(serve, agent_of, streaming):
    server = serve(say("late", delay=30))
    agent = agent_of(server)
    with anyio.fail_after(5):
        async with agent.stream("go") as run:
            async for _ in run:
                run.cancel()
    assert run.result.status == "cancelled"


async def test_a_cancellation_from_outside_goes_through_and_nothing_stays(serve, agent_of):
    ended = []

    async def forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    server = serve(calls(call("forever")))
    with anyio.move_on_after(0.5) as scope:
        await agent_of(server, forever).run("go")
    assert scope.cancelled_caught
    assert ended == [True]


async def test_leaving_a_stream_early_ends_its_tools_and_keeps_the_users_exception(serve, agent_of):
    ended = []

    async def forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    server = serve(calls(call("forever")))
    with pytest.raises(KeyError, match="mine"):
        async with agent_of(server, forever).stream("go") as run:
            async for event in run:
                if event.type == "tool.started":
                    raise KeyError("mine")
    assert ended in ([True], [])
    with pytest.raises(UsageError, match="left before it was over"):
        _ = run.result


async def test_runs_of_one_agent_may_be_concurrent(serve, agent_of):
    def model(request):
        last = request["input"][-1]
        return (
            say(f"sum {last['output']}")
            if last["type"] == "function_call_output"
            else calls(call("add", a=int(last["content"]), b=1))
        )

    agent = agent_of(serve(model), add)
    results: dict[int, Result] = {}

    async def one(n):
        results[n] = await agent.run(str(n))

    async with anyio.create_task_group() as group:
        for n in range(30):
            group.start_soon(one, n)
    assert [results[n].text for n in range(30)] == [f"sum {n + 1}" for n in range(30)]


# --- from sync code


def test_run_sync_twice_and_from_threads(serve, agent_of):
    agent = agent_of(serve(lambda request: say(f"{len(request['input'])}")))
    assert agent.run_sync("go").text == "1"
    texts = []
    threads = [threading.Thread(target=lambda: texts.append(agent.run_sync("go").text)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["1"] * 4


async def test_run_sync_with_an_event_loop_around_it_as_in_a_notebook(serve, agent_of):
    assert agent_of(serve(say("hi"))).run_sync("go").text == "hi"


def test_run_sync_inside_run_sync_is_refused(serve, agent_of):
    async def nested() -> str:
        return agent.run_sync("go").text

    server = serve(calls(call("nested")), say("done"))
    agent = agent_of(server, nested)
    result = agent.run_sync("go")
    assert "await agent.run" in result.items[1].raw["output"]


# --- an agent's own client


async def test_an_agent_makes_its_client_from_the_environment_and_closes_it(serve, monkeypatch):
    server = serve(*[say("hi")] * 4)
    monkeypatch.setenv("AGENTRT_BASE_URL", server.url)
    monkeypatch.setenv("AGENTRT_API_KEY", "key-of-mine")
    agent = Agent("m")
    assert (await agent.run("go")).text == "hi"
    async with agent:
        await agent.run("go")
        await agent.run("go")
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer key-of-mine"}


def test_an_agent_takes_functions_registries_and_dicts():
    hosted = {"type": "web_search"}
    agent = Agent(
        "m", name="helper", tools=[add, Registry([print_it]), hosted], limits=Limits(max_turns=3), max_tool_calls=9
    )
    assert [entry.name for entry in agent.registry] == ["add", "print_it"]
    assert agent.limits == Limits(max_turns=3, max_tool_calls=9)
    assert "helper" in repr(agent)
    with pytest.raises(UsageError, match="named 'add' already"):
        Agent("m", tools=[add, add])


def print_it(text: str) -> None:
    """Print."""


async def test_no_key_shows_up_anywhere(serve, caplog):
    secret = "sk-canary-0123456789"
    server = serve(http_error(401, message="wrong"), api_key=secret)
    async with Client(base_url=server.url, api_key=secret) as client:
        with caplog.at_level(logging.DEBUG, "agentrt"), pytest.raises(AuthenticationError) as caught:
            await Agent("m", client=client).run("go")
    shown = f"{caught.value!r} {caught.value} {caught.value.state!r} {caught.value.state.to_json()} {caplog.text}"
    assert secret not in shown


async def test_a_client_of_the_users_own_keeps_its_one_connection(serve):
    server = serve(*[calls(call("add", a=1, b=2)), say("3")] * 3)
    async with httpx2.AsyncClient() as http:
        agent = Agent("m", tools=[add], client=Client(base_url=server.url, http_client=http))
        for _ in range(3):
            await agent.run("go")
        connections = http._transport._pool.connections
        assert len(connections) == 1
        assert connections[0].is_idle()


def test_time_is_not_wasted(serve, agent_of):
    started = time.perf_counter()
    agent = agent_of(serve(lambda _: say("hi")))
    for _ in range(20):
        agent.run_sync("go")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("after", ["resp_1", {"a": 1}, 5])
async def test_what_a_run_can_not_go_on_from(agent_of, serve, after):
    with pytest.raises(UsageError, match="after= takes an earlier Result"):
        await agent_of(serve(say("never"))).run("x", after=after)
