"""Nothing is asked for twice that may have been done already, and every wait ends with its deadline."""

import time

import anyio
import httpx2
import pytest

from agentrt import Agent, Client, UsageError, builtin, tool
from agentrt.errors import DeadlineError, ServerError, StatusError, UnreachableError, WireError
from agentrt.testing import call, calls, http_error, say
from agentrt.wire.compose import response_resource, sse_bytes
from tests.faults.raw_server import JSON, SSE, RawServer

FAST = {"retry-after-ms": "1"}
MCP = builtin.HostedMCP("docs", server_url="https://mcp.test", require_approval="never")


@tool(name="add")
async def add_tool(a: int, b: int) -> int:
    return a + b


def posts(server, path="/responses"):
    return [request for request in server.requests if request.method == "POST" and request.path.endswith(path)]


async def read(stream):
    async with stream as parts:
        return [part async for part in parts]


# --- once


async def test_a_broken_reply_is_asked_for_again_under_the_same_key(serve, client_of):
    server = serve(say("broken off", cut_after=4), say("whole"), say("next"))
    async with client_of(server) as client:
        agent = Agent("m", client=client, extra_headers={"X-Mine": "1"})
        async with agent.stream("go") as run:
            async for _ in run:
                pass
        await agent.run("more", after=run.result)
    first, second, third = (request.headers for request in posts(server))
    assert first["idempotency-key"] == second["idempotency-key"] != third["idempotency-key"]
    assert first["x-client-request-id"] == second["x-client-request-id"]
    assert second["x-mine"] == "1"


async def test_a_request_without_what_was_refused_has_a_key_of_its_own(serve, client_of):
    refused = http_error(400, "unsupported_parameter", "Unsupported parameter: 'include'", param="include")
    server = serve(refused, say("fine"))
    async with client_of(server) as client:
        assert (await Agent("m", client=client).run("go")).output == "fine"
    first, second = (request.headers["idempotency-key"] for request in posts(server))
    assert first != second


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("broken", [http_error(500, headers=FAST), say("cut", cut_after=5)])
async def test_a_hosted_mcp_server_is_not_made_to_act_twice(serve, client_of, broken, streaming):
    server = serve(broken, say("never"))
    async with client_of(server) as client:
        agent = Agent("m", tools=[MCP], client=client)
        with pytest.raises(ServerError):
            if streaming:
                await read(agent.stream("pay"))
            else:
                await agent.run("pay")
    assert len(posts(server)) == 1


@pytest.mark.parametrize("refusal", [429, 503])
async def test_what_was_turned_away_at_the_door_is_tried_again_with_a_hosted_mcp_server(serve, client_of, refusal):
    server = serve(http_error(refusal, headers=FAST), say("fine"))
    async with client_of(server) as client:
        assert (await Agent("m", tools=[MCP], client=client).run("go")).output == "fine"


async def test_a_hosted_mcp_server_that_only_reads_may_be_asked_again(serve, client_of):
    server = serve(http_error(500, headers=FAST), say("fine"))
    reader = builtin.HostedMCP("docs", server_url="https://mcp.test", allowed_tools={"read_only": True})
    async with client_of(server) as client:
        assert (await Agent("m", tools=[reader], client=client).run("go")).output == "fine"


async def test_a_background_response_whose_stream_is_lost_is_not_made_again():
    created = response_resource({"background": True}, response_id="resp_b", created_at=1, status="in_progress")

    def answer(number, request):
        if number == 1:
            yield SSE + sse_bytes({"type": "response.created", "sequence_number": 0, "response": created})
        else:
            yield b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\nretry-after-ms: 1\r\n\r\n"

    with RawServer(answer) as server:
        async with Client(base_url=server.url, max_retries=2) as client:
            with pytest.raises(ServerError):
                await read(Agent("m", client=client, background=True).stream("go"))
    assert [request.split(b" ")[0] for request in server.requests].count(b"POST") == 1


@pytest.mark.parametrize("status", [500, 502])
async def test_a_conversation_is_not_written_to_twice(serve, client_of, status):
    sent = []

    async def answer(request):
        sent.append(request)
        return httpx2.Response(status, headers=FAST, json={"error": {"message": "broken"}})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", http_client=http)
        for write in (client.conversations.create(), client.conversations.add_items("c", ["x"])):
            with pytest.raises(StatusError, match="broken"):
                await write
        assert len(sent) == 2
        with pytest.raises(StatusError):
            await client.conversations.retrieve("c")
        assert len(sent) == 2 + 5


async def test_after_a_cancelled_turn_a_conversation_of_the_runs_own_begins_anew(serve, client_of):
    server = serve(say("x" * 400, pause=0.01), say("fine"))
    async with client_of(server) as client:
        agent = Agent("m", client=client, history="conversation")
        async with agent.stream("pay") as run:
            async for event in run:
                if event.type == "text.delta":
                    run.cancel()
        assert run.result.status == "cancelled"
        assert (await agent.run("go on", after=run.result)).output == "fine"
    first, second = (request.json for request in posts(server))
    assert first["conversation"] != second["conversation"]
    assert [item["content"] for item in second["input"]] == ["pay", "go on"]


async def test_after_a_cancelled_turn_a_named_conversation_must_be_looked_at(serve, client_of):
    server = serve(say("x" * 400, pause=0.01), say("never"))
    async with client_of(server) as client:
        named = await client.conversations.create()
        agent = Agent("m", client=client, history="conversation", conversation=named.id)
        async with agent.stream("pay") as run:
            async for event in run:
                if event.type == "text.delta":
                    run.cancel()
        with pytest.raises(UsageError, match=r"may hold its input, or not: look with client\.conversations\.items"):
            await agent.run("go on", after=run.result)
    assert len(posts(server)) == 1


async def test_two_histories_are_not_mixed(serve, client_of):
    server = serve(say("one"), say("two"), say("three"))
    async with client_of(server) as client:
        mine, yours = await client.conversations.create(), await client.conversations.create()
        agent = Agent("m", client=client, history="conversation", conversation=mine.id)
        result = await agent.run("a")
        assert (await agent.run("b", after=result)).output == "two"
        for history, settings in (
            ("conversation", {"conversation": yours.id}),
            ("response", {"previous_response_id": "resp_other"}),
        ):
            other = Agent("m", client=client, history=history, **settings)
            with pytest.raises(UsageError, match="two different histories"):
                await other.run("c", after=result)
        with pytest.raises(UsageError, match="two different histories"):
            await agent.run("c", after=result.items)
    assert len(posts(server)) == 2


async def test_a_chain_that_began_outside_goes_on_by_its_results(serve, client_of):
    server = serve(say("zero"), say("one"), say("two"))
    async with client_of(server) as client:
        zero = await client.create(model="m", input="0")
        agent = Agent("m", client=client, history="response", previous_response_id=zero.id)
        one = await agent.run("a")
        assert (await agent.run("b", after=one)).output == "two"
    assert posts(server)[2].json["previous_response_id"] == one.state.threads["main"].anchor


# --- on time


def background(*, streaming, hanging):
    """A background response that never ends: its stream breaks, and later requests hang, or tell that it goes on."""
    created = response_resource({"background": True}, response_id="resp_b", created_at=1, status="in_progress")
    body = httpx2.Response(200, json=created).content

    def answer(number, request):
        if number == 1 and streaming:
            yield SSE + sse_bytes({"type": "response.created", "sequence_number": 0, "response": created})
        elif number > 1 and hanging:
            yield 30
        elif b"stream=true" in request:
            yield b"HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        else:
            yield JSON + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body

    return answer


@pytest.mark.parametrize("hanging", [False, True])
@pytest.mark.parametrize("way", ["client.stream", "agent.run", "agent.stream", "wait"])
async def test_a_background_response_is_waited_for_until_the_deadline(hanging, way):
    with RawServer(background(streaming="stream" in way, hanging=hanging)) as server:
        async with Client(base_url=server.url) as client:
            agent = Agent("m", client=client, background=True, timeout=1)
            started = time.monotonic()
            with pytest.raises(DeadlineError), anyio.fail_after(5):
                if way == "client.stream":
                    await read(client.stream(model="m", input="hi", background=True, timeout=1))
                elif way == "agent.run":
                    await agent.run("hi")
                elif way == "agent.stream":
                    await read(agent.stream("hi"))
                else:
                    created = await client.create(model="m", input="hi", background=True)
                    await client.wait(created, timeout=1)
            assert 0.2 < time.monotonic() - started < 1.6


async def test_several_models_have_one_deadline():
    def answer(number, request):
        yield 30

    with RawServer(answer) as server:
        async with Client(base_url=server.url, timeout=0.4) as client:
            started = time.monotonic()
            with pytest.raises(DeadlineError):
                await client.create(model=["a", "b", "c"], input="hi")
            assert time.monotonic() - started < 0.9
    assert len(server.requests) == 1


async def test_what_comes_after_a_refusal_has_what_is_left_of_the_time():
    def answer(number, request):
        if number == 1:
            yield 0.5
            body = b'{"error": {"message": "Unsupported parameter: \'include\'", "param": "include"}}'
            yield b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body
        else:
            yield 30

    with RawServer(answer) as server:
        async with Client(base_url=server.url, timeout=1) as client:
            started = time.monotonic()
            with pytest.raises(DeadlineError):
                await Agent("m", client=client).run("hi")
            assert time.monotonic() - started < 1.4


@pytest.mark.parametrize("retries", [0, 1])
async def test_an_agents_retries_are_its_own(serve, client_of, retries):
    server = serve(*[say("cut", cut_after=4)] * 3)
    async with client_of(server) as client:
        with pytest.raises(ServerError):
            await read(Agent("m", client=client, max_retries=retries).stream("go"))
    assert len(posts(server)) == 1 + retries


async def test_a_key_that_never_comes(serve):
    async def key():
        await anyio.sleep_forever()
        return ""

    async with Client(base_url=serve().url, api_key=key, timeout=0.3) as client:
        with pytest.raises(DeadlineError, match=r"api_key function gave no key within 0\.3 seconds"):
            await client.create(model="m", input="hi")


# --- what is no answer


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"ok": true}', b"null", b"<html>", b""])
async def test_what_is_no_response_is_none_from_any_endpoint(body):
    async def answer(request):
        return httpx2.Response(200, content=body)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", http_client=http)
        for ask in (
            client.retrieve("resp_1"),
            client.cancel("resp_1"),
            client.compact(model="m", input="x"),
            client.wait("resp_1"),
            client.input_tokens(model="m", input="x"),
            client.conversations.create(),
            client.conversations.retrieve("conv_1"),
            anext(client.input_items("resp_1")),
        ):
            with pytest.raises(WireError, match=r"http://test/v1|server|GET"):
                await ask
        await client.delete("resp_1")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_even_by_a_client_that_would(status):
    seen = []

    async def answer(request):
        seen.append(request.url.host)
        return httpx2.Response(status, headers={"location": "http://elsewhere/v1/responses"})

    transport = httpx2.MockTransport(answer)
    async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as http:
        client = Client(base_url="http://test/v1", http_client=http, headers={"api-key": "secret-key"}, max_retries=0)
        with pytest.raises(StatusError, match=str(status)):
            await client.create(model="m", input="hi")
    assert seen == ["test"]


async def test_a_key_that_the_server_repeats_is_not_shown():
    async def answer(request):
        told = f"bad key {request.headers['authorization']} and {request.headers['api-key']}"
        if request.method == "GET":
            return httpx2.Response(200, content=told)
        return httpx2.Response(400, json={"error": {"message": told}})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(
            base_url="http://test/v1", api_key="sk-12345678", http_client=http, headers={"api-key": "other-secret"}
        )
        for ask in (client.create(model="m", input="hi"), client.retrieve("resp_1")):
            with pytest.raises(ServerError, match="bad key Bearer …") as caught:
                await ask
            assert "12345678" not in repr(caught.value) + str(getattr(caught.value, "told", ""))
            assert "other-secret" not in repr(caught.value)


async def test_a_post_without_a_body_says_so(serve, client_of):
    server = serve(say("x", polls=100))
    async with client_of(server) as client:
        queued = await client.create(model="m", input="hi", background=True)
        await client.cancel(queued.id)
    assert posts(server, "/cancel")[0].headers["content-length"] == "0"


# --- odd arguments


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"base_url": 5}, "base_url must be a text, not int"),
        ({"api_key": 5, "base_url": "http://test/v1"}, "api_key must be a text, not int"),
        ({"base_url": "http://test/v1?key=secret"}, r"without user, password or '\?'"),
        ({"base_url": "http://test:port/v1"}, "full address"),
        ({"base_url": "http://[::1/v1"}, "full address"),
        ({"base_url": "http://test/v1", "headers": "x"}, "headers must be a dict"),
        ({"base_url": "http://test/v1", "headers": {5: "x"}}, "the header 5 must be a text"),
    ],
)
def test_a_client_of_odd_arguments(options, told):
    with pytest.raises(UsageError, match=told) as caught:
        Client(**options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"limits": {"max_turns": 3}}, r"limits= takes Limits\(…\), not \{'max_turns': 3\}"),
        ({"client": "openai"}, r"client= takes Client\(…\), not 'openai'"),
        ({"instructions": 5}, "instructions= takes a text, not 5"),
        ({"temperature": 3}, "temperature must be a number from 0 to 2"),
        ({"max_tokens": 5}, r"no setting 'max_tokens'\. Did you mean 'max_output_tokens'\?"),
        ({"system_prompt": "x"}, "Did you mean 'instructions'"),
        ({"max_turns": 5}, r"Did you mean 'limits=Limits\(max_turns=…\)'"),
        ({"messages": []}, r"Did you mean 'agent\.run\(…\)'"),
        ({"stream": True}, r"Did you mean 'agent\.stream\(…\)'"),
        ({"temprature": 1}, "Did you mean 'temperature'"),
    ],
)
def test_an_agent_of_odd_arguments(settings, told):
    with pytest.raises(UsageError, match=told):
        Agent("m", **settings)


async def test_ids_are_texts(serve, client_of):
    async with client_of(serve()) as client:
        for ask in (client.retrieve(5), client.delete(None), client.cancel("..")):
            with pytest.raises(UsageError, match="is no id"):
                await ask
        with pytest.raises(UsageError, match="order must be 'asc' or 'desc'"):
            await anext(client.input_items("resp_1", order="up"))
        with pytest.raises(UsageError, match="enter the stream first"):
            await client.stream(model="m", input="hi").whole()


async def test_settings_that_are_none_count_as_left_out(serve, client_of):
    server = serve(say("fine"))
    async with client_of(server) as client:
        agent = Agent("m", client=client, include=None, store=None, temperature=None)
        assert (await agent.run("hi")).output == "fine"
        assert "temperature" not in agent.prepare("hi").json
    assert posts(server)[0].json["store"] is False


async def test_how_to_stream_is_no_part_of_a_request_that_does_not(serve, client_of):
    async with client_of(serve()) as client:
        agent = Agent("m", client=client, stream_options={"include_obfuscation": False})
        assert "stream_options" not in agent.prepare("hi").json


async def test_a_http_client_that_is_closed():
    http = httpx2.AsyncClient()
    await http.aclose()
    with pytest.raises(UsageError, match="http_client that was passed is closed"):
        await Client(base_url="http://test/v1", http_client=http).create(model="m", input="hi")


async def test_ids_that_are_no_texts_are_none():
    async def answer(request):
        return httpx2.Response(200, json={"id": 5, "model": 7, "output": [], "incomplete_details": {"reason": 1}})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        response = await Client(base_url="http://test/v1", http_client=http).create(model="m", input="hi")
    assert (response.id, response.model, response.incomplete_reason) == (None, None, None)


# --- what was chosen, what was refused


async def test_a_refusal_concerns_the_model_that_was_asked(serve, client_of):
    refused = http_error(400, "invalid_request_error", "Encrypted content is not supported with this model")
    server = serve(refused, say("one"), say("two"), say("three"))
    async with client_of(server) as client:
        assert (await Agent("small", client=client).run("a")).output == "one"
        assert (await Agent("small", client=client).run("a")).output == "two"
        assert (await Agent("large", client=client).run("a")).output == "three"
    assert ["include" in request.json for request in posts(server)] == [True, False, False, True]


async def test_a_narrowed_choice_stays_narrow(serve, client_of):
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "add"}]}
    server = serve(calls(call("add", a=1, b=2)), say("3"))
    async with client_of(server) as client:
        await Agent("m", client=client, tools=[add_tool], tool_choice=choice).run("go")
    assert posts(server)[0].json["tool_choice"] == choice
    assert posts(server)[1].json["tool_choice"] == {**choice, "mode": "auto"}


async def test_reasoning_that_is_refused_leaves_a_conversation_where_it_is(serve, client_of):
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    refused = http_error(400, "invalid_encrypted_content", "could not be verified")
    server = serve(refused, say("fine"))
    async with client_of(server) as client:
        mine = await client.conversations.create()
        agent = Agent("m", client=client, history="conversation", conversation=mine.id)
        assert (await agent.run([reasoning, "go"])).output == "fine"
    first, second = (request.json for request in posts(server))
    assert first["conversation"] == second["conversation"] == mine.id
    assert [item["type"] for item in second["input"]] == ["message"]


def test_unreachable_is_no_reason_to_ask_another_model_when_time_is_over():
    from agentrt.client.retries import unavailable

    assert unavailable(UnreachableError("gone"))
    assert not unavailable(DeadlineError("over"))
