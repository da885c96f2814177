import gzip
import json

import anyio
import httpx
import httpx2
import pytest

from agentrt import Client, UsageError
from agentrt.client.providers import known_providers, resolve
from agentrt.client.retries import backoff, retry_after, should_retry
from agentrt.errors import AuthenticationError, RateLimitError, StatusError, UnreachableError, WireError
from agentrt.testing import call, calls, http_error, raw, say
from agentrt.wire.compose import response_events, response_resource, sse_bytes

FAST = {"retry-after-ms": "1"}


async def ask(client, **params):
    async with client:
        return await client.create(model="m", input="hi", **params)


async def test_create_and_stream_give_the_same_response(serve, client_of):
    turn = calls(call("add", a=1), *say("and more").output)
    server = serve(turn, turn)
    async with client_of(server) as client:
        whole = await client.create(model="m", input="hi")
        async with client.stream(model="m", input="hi") as stream:
            with pytest.raises(UsageError, match="not whole yet"):
                _ = stream.response
            types = [event.type async for event in stream]
        streamed = stream.response
    assert types[0] == "response.created"
    assert types[-1] == "response.completed"
    assert streamed.raw == {
        **whole.raw,
        "id": streamed.id,
        "created_at": streamed.raw["created_at"],
        "completed_at": streamed.raw["completed_at"],
    }
    assert whole.request_id.startswith("req_")


async def test_what_is_sent_is_what_was_given(serve, client_of):
    server = serve(say("a"))
    async with Client(base_url=server.url + "/", api_key="secret-key", headers={"x-team": "t"}) as client:
        await client.create(
            model="m", input=[{"role": "user", "content": "hi"}], temperature=0, tools=[], extra_body={"new": 1}
        )
        assert "secret-key" not in repr(client)
        assert client.base_url == server.url
    (request,) = server.requests
    assert request.json == {
        "model": "m",
        "input": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        "tools": [],
        "new": 1,
    }
    assert request.headers["authorization"] == "Bearer secret-key"
    assert request.headers["x-team"] == "t"
    assert request.headers["idempotency-key"]


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_a_client_of_the_users_own(serve, library):
    server = serve(say("a"), http_error(503, headers=FAST), say("b"))
    async with library.AsyncClient() as http:
        async with Client(base_url=server.url, http_client=http) as client:
            assert (await client.create(model="m", input="hi")).text == "a"
            async with client.stream(model="m", input="hi") as stream:
                assert [event async for event in stream][-1].type == "response.completed"
        assert not http.is_closed


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_a_lost_connection_is_ours_with_either_library(library):
    async with library.AsyncClient() as http:
        client = Client(base_url="http://127.0.0.1:9/v1", http_client=http, max_retries=0)
        with pytest.raises(UnreachableError, match=r"127.0.0.1:9.*Check the address"):
            await client.create(model="m", input="hi")


# --- refusals


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (401, AuthenticationError, "pass the right api_key="),
        (403, AuthenticationError, "ask for access"),
        (404, StatusError, "check the model's name"),
        (429, RateLimitError, "raise your limit"),
        (400, StatusError, "scripted"),
    ],
)
async def test_a_refusal_names_what_to_do(serve, client_of, status, kind, advice):
    server = serve(http_error(status, "some_code", headers={"x-should-retry": "false", "retry-after": "7"}))
    with pytest.raises(kind, match=advice) as caught:
        await ask(client_of(server))
    error = caught.value
    assert (error.status, error.code, error.retryable, error.retry_after) == (status, "some_code", False, 7)
    assert error.request_id
    assert len(server.requests) == 1


async def test_a_wrong_key(serve):
    server = serve(say("a"), api_key="right")
    with pytest.raises(AuthenticationError, match="Incorrect API key"):
        await ask(Client(base_url=server.url, api_key="wrong"))


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
async def test_what_may_pass_is_tried_again_under_the_same_key(serve, client_of, status):
    server = serve(http_error(status, headers=FAST), http_error(status, headers=FAST), say("at last"))
    assert (await ask(client_of(server))).text == "at last"
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


async def test_tries_are_counted(serve, client_of):
    server = serve(*[http_error(500, headers=FAST)] * 9)
    with pytest.raises(StatusError):
        await ask(client_of(server, max_retries=2))
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "turn",
    [
        http_error(429, "insufficient_quota"),
        http_error(429, headers={"retry-after": "90"}),
        http_error(400),
        http_error(422),
    ],
)
async def test_what_no_wait_mends_is_not_tried_again(serve, client_of, turn):
    server = serve(turn, say("never"))
    with pytest.raises(StatusError):
        await ask(client_of(server))
    assert len(server.requests) == 1


async def test_a_refused_stream_is_tried_again_too(serve, client_of):
    server = serve(http_error(500, headers=FAST), say("b"))
    async with client_of(server) as client, client.stream(model="m", input="hi") as stream:
        async for _ in stream:
            pass
    assert stream.response.text == "b"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:10 GMT"}, 10),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after-ms": "x"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, now=1795435200.0) == seconds


def test_the_server_may_say_whether_to_retry():
    assert should_retry(400, None, {"x-should-retry": "true"})
    assert not should_retry(500, None, {"x-should-retry": "false"})
    assert should_retry(500, None, {"x-should-retry": "perhaps"})
    assert [backoff(n, 0) for n in (1, 2, 3, 9)] == [0.5, 1, 2, 8]
    assert backoff(1, 1) == 0.375


# --- answers that are no answers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (raw(b"<html>Welcome</html>", "text/html"), r"text/html, not with JSON.*Welcome.*base_url"),
        (raw(b"", "text/html"), "text/html"),
        (raw(b'{"output": ['), "broken JSON"),
        (raw(b""), "broken JSON"),
        (raw(b"[1]"), "not a response"),
        (raw(b'{"choices": []}'), r"not a response.*another kind"),
        (raw(b'data: {"type": "response.created"}\n\n', "text/event-stream"), "ended without"),
        (raw(b"data: nope\n\n", "text/event-stream"), "not JSON"),
    ],
)
async def test_what_is_no_response_is_an_error_of_ours(serve, client_of, turn, message, stream):
    server = serve(turn)
    with pytest.raises(WireError, match=message):
        async with client_of(server, max_retries=0) as client:
            if stream:
                async with client.stream(model="m", input="hi") as events:
                    async for _ in events:
                        pass
            else:
                await client.create(model="m", input="hi")


async def test_an_error_in_a_good_status_is_a_failed_response(serve, client_of):
    response = await ask(client_of(serve(raw(b'{"error": {"code": 502, "message": "upstream"}}'))))
    assert (response.status, response.error["message"], response.items) == ("failed", "upstream", [])


async def test_failed_and_incomplete_responses_are_returned(serve, client_of):
    server = serve(
        calls(outcome="failed", extra={"error": {"code": "server_error", "message": "m"}}),
        say("cut", outcome="incomplete", extra={"incomplete_details": {"reason": "max_output_tokens"}}),
    )
    async with client_of(server) as client:
        assert (await client.create(model="m", input="hi")).error["code"] == "server_error"
        assert (await client.create(model="m", input="hi")).incomplete_reason == "max_output_tokens"


async def test_a_server_that_answers_a_stream_with_json(serve, client_of):
    body = json.dumps(response_resource({}, response_id="r", created_at=1)).encode()
    async with client_of(serve(raw(body))) as client, client.stream(model="m", input="hi") as stream:
        assert [event.type async for event in stream] == ["response.completed"]
    assert stream.response.id == "r"


async def test_a_cut_body_is_asked_for_again(serve, client_of):
    server = serve(raw(b'{"output"', cut=True), say("whole"))
    assert (await ask(client_of(server))).text == "whole"
    assert len(server.requests) == 2


async def test_a_stream_cut_anywhere_is_never_a_success(serve, client_of):
    response = response_resource({}, response_id="r", created_at=1, output=say("Hello there").output)
    stream = b"".join(sse_bytes(event) for event in response_events(response))
    end = stream.index(b"event: response.completed")
    cuts = [*range(0, end, 97), end, len(stream) - 3]
    server = serve(*[raw(stream[:cut], "text/event-stream", cut=number % 2 == 0) for number, cut in enumerate(cuts)])
    async with client_of(server) as client:
        for _ in cuts:
            with pytest.raises((WireError, UnreachableError)):
                async with client.stream(model="m", input="hi") as events:
                    async for _ in events:
                        pass


# --- clocks


async def test_a_server_that_never_answers(serve, client_of):
    server = serve(say("late", delay=30))
    with anyio.fail_after(3), pytest.raises(UnreachableError):
        await ask(client_of(server, timeout=0.1, max_retries=0))


async def test_a_slow_drip_does_not_outlast_the_timeout(serve, client_of):
    def drip(request):
        return say("x" * 2000, pause=0.05)

    server = serve(drip)
    with anyio.fail_after(3), pytest.raises(UnreachableError, match=r"within 0.2 seconds"):
        async with client_of(server, timeout=0.2, max_retries=0) as client:
            await client.create(model="m", input="hi", extra_body={"stream": True})


async def test_keep_alives_are_no_events(client_of):
    async def pings(request):
        async def body():
            while True:
                yield b": ping\n\n"
                await anyio.sleep(0.01)

        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body())

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(pings)) as http:
        client = Client(base_url="http://test/v1", http_client=http, idle_timeout=0.1)
        with anyio.fail_after(3), pytest.raises(UnreachableError, match="only keep-alives"):
            async with client.stream(model="m", input="hi") as stream:
                async for _ in stream:
                    pass


async def test_bodies_have_a_bound(client_of, monkeypatch):
    bomb = gzip.compress(b" " * (80 * 1024 * 1024))

    async def answer(request):
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        return httpx2.Response(200, headers=headers, content=bomb)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        with pytest.raises(WireError, match="more than"):
            await Client(base_url="http://test/v1", http_client=http).create(model="m", input="hi")


# --- leaving early


async def test_a_stream_that_is_left_early_gives_its_connection_back(serve, client_of):
    server = serve(*[say("long " * 50, pause=0.001)] * 5, say("end"))
    async with client_of(server) as client:
        for _ in range(5):
            async with client.stream(model="m", input="hi") as stream:
                async for _ in stream:
                    break
        assert (await client.create(model="m", input="hi")).text == "end"


def test_one_client_on_several_event_loops(serve, client_of):
    server = serve(say("1"), say("2"))
    client = client_of(server)
    assert [anyio.run(ask, client).text for _ in range(2)] == ["1", "2"]


# --- where requests go


def test_the_first_complete_pair_wins():
    everything = {
        "AGENTRT_BASE_URL": "http://own/v1",
        "AGENTRT_API_KEY": "own",
        "OPENAI_API_KEY": "openai",
        "OPENAI_BASE_URL": "http://proxy/v1",
        "COMETAPI_KEY": "comet",
    }
    assert resolve(everything)[:2] == ("http://own/v1", "own")
    assert resolve({**everything, "AGENTRT_PROVIDER": "cometapi"})[:2] == ("https://api.cometapi.com/v1", "comet")
    assert resolve(everything, provider="openai")[:2] == ("http://proxy/v1", "openai")
    assert resolve(everything, provider="openai", api_key="mine")[:2] == ("http://proxy/v1", "mine")
    assert resolve(everything, provider="ollama")[:2] == (known_providers()["ollama"].base_url, None)
    for name in ("AGENTRT_BASE_URL", "AGENTRT_API_KEY"):
        del everything[name]
    assert resolve(everything)[:2] == ("http://proxy/v1", "openai")
    del everything["OPENAI_API_KEY"]
    assert resolve(everything)[:2] == ("https://api.cometapi.com/v1", "comet")


def test_no_key_goes_to_another_host():
    env = {"OPENAI_API_KEY": "openai", "COMETAPI_KEY": "comet", "AGENTRT_API_KEY": "own"}
    assert resolve(env, base_url="http://elsewhere/v1").api_key is None
    assert resolve(env, base_url="http://elsewhere/v1", provider="openai").api_key is None
    assert resolve(env, base_url="https://api.openai.com/v1", provider="openai").api_key == "openai"
    assert resolve({"AGENTRT_BASE_URL": "http://own/v1", "OPENAI_API_KEY": "openai"}).api_key is None
    assert "openai" not in repr(resolve(env, provider="openai")).replace("api.openai.com", "")


@pytest.mark.parametrize(
    ("env", "arguments", "message"),
    [
        ({}, {"provider": "nobody"}, r"no provider named 'nobody'; the providers are azure, cometapi"),
        ({}, {"provider": "cometapi"}, "set COMETAPI_KEY"),
        ({"AGENTRT_PROVIDER": "xai"}, {}, "set XAI_API_KEY"),
        ({"OPENAI_API_KEY": "x"}, {"api_key": "mine"}, "add base_url= or provider="),
    ],
)
def test_no_complete_pair_says_what_to_set(env, arguments, message):
    with pytest.raises(UsageError, match=message):
        resolve(env, **arguments)


def test_nothing_at_all(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"set OPENAI_API_KEY or COMETAPI_KEY.*pip install 'agentrt\[local\]'"):
        resolve({})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert resolve({}).base_url == "local://smollm2"


@pytest.mark.parametrize("key", ["sk-a\nb", "käy", "sk-\u201d"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key):
    with pytest.raises(UsageError, match="characters that no key has") as caught:
        Client(base_url="http://127.0.0.1:9/v1", api_key=key)
    assert key not in str(caught.value)


async def test_a_key_from_a_file_may_end_in_a_line_break(serve):
    server = serve(say("a"), api_key="right")
    assert (await ask(Client(base_url=server.url, api_key="right\n"))).text == "a"


async def test_a_cut_after_the_end_changes_nothing(serve, client_of):
    response = response_resource({}, response_id="r", created_at=1, output=say("Hello").output)
    stream = b"".join(sse_bytes(event) for event in response_events(response))
    server = serve(raw(stream, "text/event-stream", cut=True))
    async with client_of(server) as client, client.stream(model="m", input="hi") as events:
        async for _ in events:
            pass
    assert events.response.text == "Hello"


async def test_an_address_that_no_request_can_go_to():
    async with Client(base_url="ftp://127.0.0.1/v1") as client:
        with pytest.raises(UsageError, match="no request can be sent|must begin with http"):
            await client.create(model="m", input="hi")


async def test_create_does_not_quietly_drop_a_wish_to_stream(serve, client_of):
    server = serve(say("never"))
    with pytest.raises(UsageError, match=r"use stream\(\)"):
        await ask(client_of(server), stream=True)
    assert server.requests == []


def test_an_address_that_is_none():
    with pytest.raises(UsageError, match="without user or password"):
        Client(base_url="http://user:secret@127.0.0.1/v1")
    with pytest.raises(UsageError, match="full address"):
        Client(base_url="localhost:8000")
