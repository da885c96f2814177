"""Nothing is asked for twice that may have been done already, and every wait ends with its deadline."""

import time

import anyio
import httpx2
import pytest

from agentrt import Agent, Client, RunState, UsageError, builtin, tool
from agentrt.errors import DeadlineError, ServerError, StatusError, UnreachableError, WireError
from agentrt.testing import call, calls, http_error, say
from agentrt.wire.compose import response_events, response_resource, sse_bytes
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


@pytest.mark.parametrize("mended", [False, True])
async def test_a_500_after_broken_arguments_is_mended_only_where_nothing_may_have_been_done(serve, client_of, mended):
    broken = calls(call("add", raw_arguments='{"a": 1,'))
    server = serve(broken, http_error(500, headers={"x-should-retry": "false"}), say("again"))
    async with client_of(server) as client:
        agent = Agent("m", tools=[add_tool, *([] if mended else [MCP])], client=client)
        if mended:
            assert (await agent.run("pay")).output == "again"
        else:
            with pytest.raises(StatusError, match="500"):
                await agent.run("pay")
    assert len(posts(server)) == 2 + mended


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("way", ["create", "client.stream", "agent.run", "agent.stream"])
async def test_a_background_response_is_made_once_however_early_it_is_cut(serve, client_of, way, cut):
    server = serve(say("one", cut_after=cut, polls=0), say("two"))
    async with client_of(server, max_retries=2) as client:
        agent = Agent("m", client=client, extra_body={"background": True})
        errors = []
        try:
            if way == "create":
                await client.create(model="m", input="x", background=True)
            elif way == "client.stream":
                await read(client.stream(model="m", input="x", background=True))
            elif way == "agent.run":
                await agent.run("x")
            else:
                await read(agent.stream("x"))
        except ServerError as error:
            errors.append(error)
        assert not any(error.repeatable for error in errors)
    assert len(posts(server)) == 1


@pytest.mark.parametrize("body", [{"conversation": "c"}, {"tools": [MCP.definition()]}])
async def test_what_stands_in_the_extra_body_counts_too(body):
    sent = []

    async def answer(request):
        sent.append(request)
        return httpx2.Response(500, headers=FAST, json={})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        with pytest.raises(StatusError) as caught:
            await Client(base_url="http://test/v1", http_client=http).create(model="m", input="x", extra_body=body)
    assert (len(sent), caught.value.repeatable) == (1, False)


async def test_errors_tell_whether_the_request_may_be_sent_again():
    async with Client(base_url="http://127.0.0.1:9/v1", max_retries=0) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.create(model="m", input="x", conversation="c")
        assert caught.value.repeatable
    with RawServer(lambda number, request: iter([30])) as server:
        async with Client(base_url=server.url, timeout=0.2) as client:
            for settings, repeatable in (({}, True), ({"conversation": "c"}, False), ({"background": True}, False)):
                with pytest.raises(DeadlineError) as caught:
                    await client.create(model="m", input="x", **settings)
                assert caught.value.repeatable is repeatable


async def test_408_may_mean_that_the_work_had_begun(serve, client_of):
    server = serve(http_error(408, headers=FAST), say("never"))
    async with client_of(server) as client:
        with pytest.raises(StatusError):
            await Agent("m", tools=[MCP], client=client).run("pay")
    assert len(posts(server)) == 1


async def test_a_stream_that_is_taken_up_as_json_gives_the_whole_response():
    created = response_resource({"background": True}, response_id="resp_b", created_at=1, status="in_progress")
    whole = {**created, "status": "completed", "output": list(say("whole answer").output)}
    begun = sse_bytes({"type": "response.created", "sequence_number": 0, "response": created})
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m"}
    begun += sse_bytes({**delta, "sequence_number": 1, "delta": "who"})

    async def answer(request):
        if request.method == "POST":
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=begun)
        return httpx2.Response(200, json=whole)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", http_client=http)
        async with client.stream(model="m", input="hi", background=True) as stream:
            types = [event.type async for event in stream]
        assert (types[-1], stream.response.text) == ("response.completed", "whole answer")
        parts = await read(Agent("m", client=client, background=True).stream("hi"))
    assert "".join(part.delta for part in parts if part.type == "text.delta") == "whole answer"


async def test_a_stream_without_numbers_that_begins_anew_says_so():
    created = response_resource({"background": True}, response_id="resp_b", created_at=1, status="in_progress")
    whole = {**created, "status": "completed", "output": list(say("hello").output)}
    events = list(response_events(whole))
    parts = [sse_bytes({name: value for name, value in event.items() if name != "sequence_number"}) for event in events]
    cut = next(number for number, part in enumerate(parts) if b"output_text.delta" in part) + 1

    async def answer(request):
        if request.method == "GET" and "stream" not in str(request.url):
            return httpx2.Response(200, json=created)
        body = b"".join(parts[:cut] if request.method == "POST" else parts)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        agent = Agent("m", client=Client(base_url="http://test/v1", http_client=http), background=True)
        told = await read(agent.stream("hi"))
    restarted = next(number for number, part in enumerate(told) if part.type == "turn.restarted")
    assert "".join(part.delta for part in told[restarted:] if part.type == "text.delta") == "hello"


async def test_what_began_at_the_server_can_only_go_on_there(serve, client_of):
    server = serve(say("zero"), say("one"), say("never"))
    async with client_of(server) as client:
        zero = await client.create(model="m", input="I am Bob")
        one = await Agent("m", client=client, history="response", previous_response_id=zero.id).run("a")
        for other in (
            Agent("m", client=client),
            Agent("m", client=client, history="conversation"),
        ):
            with pytest.raises(UsageError, match=f"began from '{zero.id}', which only the server has"):
                await other.run("who am I?", after=one)
        other = Agent("m", client=client, history="response", previous_response_id="resp_other")
        with pytest.raises(UsageError, match="two different histories"):
            await other.run("b", after=one)
    assert len(posts(server)) == 2


async def test_the_first_turn_of_a_chat_comes_after_nothing(serve, client_of):
    server = serve(say("1"), say("2"))
    result = None
    async with client_of(server) as client:
        for word in ("one", "two"):
            result = await Agent("m", client=client).run(word, after=result)
    assert len(posts(server)[1].json["input"]) == 3


async def test_items_to_go_on_from_may_be_dicts(serve, client_of):
    server = serve(say("fine"))
    async with client_of(server) as client:
        result = await Agent("m", client=client).run("b", after=[{"role": "user", "content": "a"}])
    assert RunState.from_json(result.state.to_json()).to_json() == result.state.to_json()


# --- on time


async def test_a_wait_looks_once_more_when_its_time_is_over(serve, client_of):
    server = serve(say("done", polls=1))
    async with client_of(server) as client:
        queued = await client.create(model="m", input="x", background=True)
        with pytest.raises(DeadlineError, match=rf"client.wait\('{queued.id}'\)") as caught:
            await client.wait(queued, timeout=0)
        assert (caught.value.response_id, caught.value.repeatable) == (queued.id, False)
        assert (await client.wait(queued, timeout=0.8)).text == "done"


async def test_an_error_names_the_response_that_goes_on(serve, client_of):
    server = serve(say("word " * 200, pause=0.2))
    async with client_of(server, timeout=0.6) as client:
        with pytest.raises(DeadlineError) as caught:
            await read(Agent("m", client=client, background=True).stream("x"))
        assert (await client.cancel(caught.value.response_id)).status == "cancelled"


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


@pytest.mark.parametrize("body", [{"status": 404, "path": "/"}, {"status": "ok"}, {"status": None}])
async def test_a_status_page_is_no_response(body):
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=body))) as http:
        with pytest.raises(WireError, match="not a response"):
            await Client(base_url="http://test/v1", http_client=http).create(model="m", input="x")


async def test_ids_and_cursors_of_a_bad_wire_are_bounded_and_end():
    cursors = iter("abab")

    async def answer(request):
        path = request.url.path
        if path.endswith("/input_items"):
            last = next(cursors) if "resp_loop" in path else "x" * 70_000
            return httpx2.Response(200, json={"data": [{"type": "message"}], "has_more": True, "last_id": last})
        return httpx2.Response(200, json={"id": "x" * 70_000, "status": "queued", "output": []})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", http_client=http)
        assert len([item async for item in client.input_items("resp_loop")]) == 3
        with pytest.raises(WireError, match="70000 characters"):
            _ = [item async for item in client.input_items("resp_1")]
        with pytest.raises(WireError, match="70000 characters"):
            await client.wait("resp_1")


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


async def test_a_key_is_in_no_repr_and_in_no_error_of_a_stream(serve):
    async def answer(request):
        key = request.headers["authorization"].encode()
        body = b"data: " + key + b"\n\n"
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", api_key="sk-12345678", http_client=http)
        with pytest.raises(WireError, match="Bearer …") as caught:
            async with client.stream(model="m", input="x") as stream:
                assert "12345678" not in repr(stream._opened)
                await anext(stream)
    assert "12345678" not in repr(caught.value)


async def test_a_header_with_spaces_around_it_is_sent_without_them(serve):
    server = serve(say("fine"))
    async with Client(base_url=server.url, headers={"api-key": " secret-key "}) as client:
        await client.create(model="m", input="x")
    assert server.requests[0].headers["api-key"] == "secret-key"


async def test_tokens_are_counted_of_what_would_be_sent(serve, client_of):
    server = serve()
    async with client_of(server) as client:
        await client.input_tokens(model="m", input=("a", "b"), tools=[builtin.WebSearch(), add_tool])
        for ask in (client.input_tokens(model="m", inpt="x"), client.compact(model="m", inpt="x")):
            with pytest.raises(UsageError, match=r"Did you mean 'input'"):
                await ask
        with pytest.raises(UsageError, match="metadata"):
            await client.conversations.create(metadata=5)
        with pytest.raises(UsageError, match="items must be a list, not int"):
            await client.conversations.create(items=5)
    (request,) = server.requests
    assert [tool["type"] for tool in request.json["tools"]] == ["web_search", "function"]
    assert [item["type"] for item in request.json["input"]] == ["message"]


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
        ({"base_url": "http://127.0.0.1:99999/v1"}, "full address"),
        ({"provider": ["openai"]}, r"provider must be a name or a Provider\(…\), not list"),
        ({"base_url": "http://test/v1", "http_client": "http://proxy"}, "http_client takes an httpx2"),
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
        ({"timeout": "5"}, "timeout must be a number, 0 or more"),
        ({"max_retries": -1}, "max_retries must be a number, 0 or more"),
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
        for ask in (client.retrieve(5), client.delete(None), client.cancel(".."), client.retrieve("\ud800")):
            with pytest.raises(UsageError, match="is no id"):
                await ask
        with pytest.raises(UsageError, match="include must be a list of texts"):
            await client.retrieve("r", include="x")
        with pytest.raises(UsageError, match="timeout must be a number"):
            await client.wait("r", timeout="1")
        with pytest.raises(UsageError, match=r"limits= takes Limits"):
            await Agent("m", client=client).run("x", limits=5)
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
