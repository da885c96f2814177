"""What the next request carries, against a server that keeps state and may lose it in the middle of a run."""

import json

import anyio
import pytest

from agentrt import Agent, Client, RunState, UsageError, tool
from agentrt.errors import ServerError
from agentrt.testing import call, calls, http_error, say
from agentrt.wire.compose import sse_bytes
from tests.faults.raw_server import SSE, RawServer

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


@tool(name="add")
async def add_tool(a: int, b: int) -> int:
    return a + b


def bodies(server):
    return [request.json for request in server.requests if request.path.endswith("/responses")]


def kinds(body):
    return [item.get("type", "message") for item in body["input"]]


@pytest.mark.parametrize("streaming", [False, True])
async def test_only_what_is_new_is_sent_on_top_of_the_last_response(serve, client_of, streaming):
    server = serve(calls(REASONING, call("add", a=1, b=2)), calls(call("add", a=3, b=4)), say("3 and 7"))
    async with client_of(server) as client:
        agent = Agent("m", tools=[add_tool], client=client, history="response")
        if streaming:
            async with agent.stream("go") as run:
                async for _ in run:
                    pass
            result = run.result
        else:
            result = await agent.run("go")
        assert result.output == "3 and 7"
        one, two, three = bodies(server)
        assert (one["store"], "previous_response_id" in one, kinds(one)) == (True, False, ["message"])
        assert (two["previous_response_id"], kinds(two)) == (
            "resp_1" if not streaming else two["previous_response_id"],
            ["function_call_output"],
        )
        assert kinds(three) == ["function_call_output"]
        assert three["previous_response_id"] != two["previous_response_id"]
        assert [item.type for item in result.items].count("function_call_output") == 2


async def test_the_next_message_of_a_chat_goes_on_from_there(serve, client_of):
    server = serve(say("one"), say("two"))
    async with client_of(server) as client:
        agent = Agent("m", client=client, history="response")
        first = await agent.run("a")
        restored = RunState.from_json(first.state.to_json())
        assert restored.to_json() == first.state.to_json()
        second = await agent.run("b", after=first)
    assert second.output == "two"
    assert bodies(server)[1]["previous_response_id"] == first.state.threads["main"].anchor
    assert [item["content"] for item in bodies(server)[1]["input"]] == ["b"]


async def test_a_server_that_loses_its_state_gets_the_whole_history(serve, client_of):
    def script(request):
        if len(bodies(server)) == 2:
            server.forget()
        return next(turns)

    turns = iter([calls(call("add", a=1, b=2)), calls(call("add", a=3, b=4)), say("3 and 7")])
    server = serve(script)
    async with client_of(server) as client:
        result = await Agent("m", tools=[add_tool], client=client, history="response").run("go")
    assert (result.output, result.turns) == ("3 and 7", 3)
    last = bodies(server)[-1]
    assert "previous_response_id" not in last
    assert kinds(last) == ["message", "function_call", "function_call_output", "function_call", "function_call_output"]


async def test_what_began_outside_and_is_lost_is_a_clear_error(serve, client_of):
    server = serve(say("never"))
    async with client_of(server) as client:
        agent = Agent("m", client=client, history="response", previous_response_id="resp_of_old")
        with pytest.raises(UsageError, match="lost 'resp_of_old', which began before this run"):
            await agent.run("go")


async def test_a_conversation_is_made_and_only_what_is_new_is_sent_into_it(serve, client_of):
    server = serve(calls(call("add", a=1, b=2)), say("3"), say("again"))
    async with client_of(server) as client:
        agent = Agent("m", tools=[add_tool], client=client, history="conversation")
        result = await agent.run("go")
        one, two = bodies(server)
        assert one["conversation"] == two["conversation"] == result.state.threads["main"].anchor
        assert kinds(two) == ["function_call_output"]
        kept = [item.type async for item in client.conversations.items(one["conversation"], order="asc")]
        assert kept == ["message", "function_call", "function_call_output", "message"]
        mine = await client.conversations.create()
        named = Agent("m", client=client, history="conversation", conversation=mine.id)
        assert (await named.run("hi")).output == "again"
        assert bodies(server)[2]["conversation"] == mine.id


async def test_a_lost_conversation_goes_on_by_replay(serve, client_of):
    def script(request):
        if len(bodies(server)) == 1:
            server.forget()
        return next(turns)

    turns = iter([calls(call("add", a=1, b=2)), say("3")])
    server = serve(script)
    async with client_of(server) as client:
        result = await Agent("m", tools=[add_tool], client=client, history="conversation").run("go")
    assert result.output == "3"
    assert kinds(bodies(server)[-1]) == ["message", "function_call", "function_call_output"]
    assert "conversation" not in bodies(server)[-1]


@pytest.mark.parametrize("streaming", [False, True])
async def test_what_goes_into_a_conversation_is_not_sent_twice(serve, client_of, streaming):
    server = serve(say("cut off", cut_after=0 if not streaming else 4), say("never"))
    async with client_of(server) as client:
        agent = Agent("m", client=client, history="conversation")
        with pytest.raises(ServerError):
            if streaming:
                async with agent.stream("pay") as run:
                    async for _ in run:
                        pass
            else:
                await agent.run("pay")
    assert len(bodies(server)) == 1


async def test_a_locked_conversation_is_tried_again(serve, client_of):
    locked = http_error(400, "conversation_locked", headers={"retry-after-ms": "1"})
    server = serve(locked, say("free"))
    async with client_of(server) as client:
        assert (await client.create(model="m", input="hi")).text == "free"


async def test_reasoning_that_the_server_cannot_read_is_left_out_once(serve, client_of):
    refused = http_error(400, "invalid_encrypted_content", "could not be verified")
    server = serve(calls(REASONING, call("add", a=1, b=2)), refused, say("3"))
    async with client_of(server) as client:
        result = await Agent("m", tools=[add_tool], client=client).run("go")
    assert result.output == "3"
    assert kinds(bodies(server)[1]) == ["message", "reasoning", "function_call", "function_call_output"]
    assert kinds(bodies(server)[2]) == ["message", "function_call", "function_call_output"]
    assert "id" not in bodies(server)[2]["input"][1]


async def test_a_provider_that_keeps_no_state_is_replayed_to(serve):
    refusal = http_error(400, "invalid_request_error", "llama.cpp does not support 'previous_response_id'.")
    server = serve(calls(call("add", a=1, b=2)), refusal, say("3"))
    async with Client(base_url=server.url) as client:
        result = await Agent("m", tools=[add_tool], client=client, history="response").run("go")
    assert result.output == "3"
    assert result.state.threads["main"].history == "replay"


async def test_a_profile_that_says_so_is_replayed_to_from_the_start(serve):
    server = serve(calls(call("add", a=1, b=2)), say("3"))
    async with Client(base_url=server.url, provider="ollama") as client:
        result = await Agent("m", tools=[add_tool], client=client, history="response").run("go")
    assert result.output == "3"
    assert not any("previous_response_id" in body or "store" in body for body in bodies(server))


def test_a_state_of_the_first_version_is_read():
    old = RunState("r").to_json().replace('"version":2', '"version":1')
    for name in ("history", "anchor", "known", "outside"):
        import re

        old = re.sub(rf'"{name}":[^,}}]*,', "", old)
    assert "anchor" not in old
    assert RunState.from_json(old).threads["main"].history == "replay"


def test_a_state_of_the_second_version_is_read():
    for outside, read in ((True, "resp_1"), (False, None)):
        thread = {"history": "response", "anchor": "resp_1", "known": 0, "outside": outside, "given": 0}
        state = json.loads(RunState("r").to_json())
        state["version"] = 2
        state["threads"]["main"].update(thread)
        assert RunState.from_json(json.dumps(state)).threads["main"].outside == read


async def test_a_run_can_be_cancelled_while_its_conversation_is_made(client_of):
    with RawServer(lambda number, request: iter([60])) as server:
        async with client_of(server) as client:
            agent = Agent("m", client=client, history="conversation")
            with anyio.fail_after(5):
                async with agent.stream("go") as run, anyio.create_task_group() as group:
                    group.start_soon(cancel_soon, run)
                    async for _ in run:
                        pass
    assert run.result.status == "cancelled"


async def cancel_soon(run):
    await anyio.sleep(0.05)
    run.cancel()


async def test_a_background_stream_can_be_cancelled_while_it_waits(client_of):
    created = {"id": "resp_1", "background": True, "status": "in_progress", "output": []}
    event = sse_bytes({"type": "response.created", "sequence_number": 0, "response": created})
    with RawServer(lambda number, request: iter([SSE + event] if number == 1 else [60])) as server:
        async with client_of(server) as client:
            agent = Agent("m", client=client, background=True)
            with anyio.fail_after(5):
                async with agent.stream("go") as run, anyio.create_task_group() as group:
                    group.start_soon(cancel_soon, run)
                    async for _ in run:
                        pass
    assert run.result.status == "cancelled"


@pytest.mark.parametrize("status", [400, 500])
async def test_arguments_that_are_no_json_are_put_into_some_where_they_are_refused(serve, client_of, status):
    refused = http_error(status, "invalid_request_error", "arguments must be JSON", headers={"x-should-retry": "false"})
    server = serve(calls(call("add", raw_arguments='{"a": 1,')), refused, say("sorry"))
    async with client_of(server) as client:
        result = await Agent("m", tools=[add_tool], client=client).run("go")
    assert result.output == "sorry"
    assert bodies(server)[1]["input"][1]["arguments"] == '{"a": 1,'
    assert bodies(server)[2]["input"][1]["arguments"] == '{"invalid_arguments":"{\\"a\\": 1,"}'
