import gzip
import json

import anyio
import httpx
import httpx2
import pytest

from agentrt import Client, UsageError
from agentrt.client import Provider
from agentrt.client.providers import known_providers, resolve
from agentrt.client.retries import backoff, retry_after, should_retry
from agentrt.errors import AuthenticationError, DeadlineError, RateLimitError, StatusError, UnreachableError, WireError
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
        (raw(b"<html>Welcome</html>", "text/html"), r"text/html, neither JSON.*Welcome.*base_url"),
        (raw(b"", "text/html"), "text/html"),
        (raw(b'{"output": ['), "broken JSON"),
        (raw(b""), "broken JSON"),
        (raw(b"[1]"), "no JSON object"),
        (raw(b'{"choices": []}'), r"not a response.*choices"),
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
        with pytest.raises(UsageError, match=r"no request can be sent|must begin with http"):
            await client.create(model="m", input="hi")


async def test_create_does_not_quietly_drop_a_wish_to_stream(serve, client_of):
    server = serve(say("never"))
    with pytest.raises(UsageError, match=r"use stream\(\)"):
        await ask(client_of(server), stream=True)
    assert server.requests == []


def test_an_address_that_is_none():
    with pytest.raises(UsageError, match="without user"):
        Client(base_url="http://user:secret@127.0.0.1/v1")
    with pytest.raises(UsageError, match="full address"):
        Client(base_url="localhost:8000")


@pytest.mark.parametrize("headers", [{"x": "a\nb"}, {"x": "€"}, {"x": 5}])
async def test_a_header_that_cannot_be_sent(headers):
    with pytest.raises(UsageError, match="the header 'x' must be a text"):
        Client(base_url="http://test/v1", headers=headers)
    with pytest.raises(UsageError, match="the header 'x' must be a text"):
        await ask(Client(base_url="http://test/v1"), extra_headers=headers)


@pytest.mark.parametrize("options", [{"timeout": "5"}, {"max_retries": -1}, {"idle_timeout": None}])
def test_a_number_that_is_none(options):
    with pytest.raises(UsageError, match="must be a number, 0 or more"):
        Client(base_url="http://test/v1", **options)


# --- keys that expire, models that fall back, what headers tell


async def test_a_key_may_be_a_function_asked_before_each_try(serve):
    server = serve(http_error(500, headers=FAST), say("a"), say("b"))
    keys = iter(["one", "two", "three"])

    async def later():
        return next(keys)

    async with Client(base_url=server.url, api_key=lambda: next(keys)) as client:
        await client.create(model="m", input="hi")
    async with Client(base_url=server.url, api_key=later) as client:
        await client.create(model="m", input="hi")
        assert "three" not in repr(client)
    assert [r.headers["authorization"] for r in server.requests] == ["Bearer one", "Bearer two", "Bearer three"]
    with pytest.raises(UsageError, match="must give a text"):
        await ask(Client(base_url=server.url, api_key=lambda: None))


@pytest.mark.parametrize("status", [503, 429, 404])
async def test_the_next_model_is_asked_when_the_first_stays_unavailable(serve, client_of, status):
    def script(request):
        return say("b") if request["model"] == "second" else http_error(status, "insufficient_quota", headers=FAST)

    server = serve(script)
    async with client_of(server, max_retries=1) as client:
        assert (await client.create(model=["first", "second"], input="hi")).text == "b"
        async with client.stream(model=("first", "second"), input="hi") as stream:
            async for _ in stream:
                pass
        assert stream.response.text == "b"
        with pytest.raises(StatusError):
            await client.create(model=["first"], input="hi")
        with pytest.raises(UsageError, match="names no model"):
            await client.create(model=[], input="hi")


async def test_a_refusal_that_concerns_the_request_is_not_asked_of_another_model(serve, client_of):
    server = serve(http_error(400), say("never"))
    with pytest.raises(StatusError):
        async with client_of(server) as client:
            await client.create(model=["first", "second"], input="hi")
    assert len(server.requests) == 1


async def test_what_the_headers_tell_is_on_the_response(serve, client_of):
    headers = {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-reset-requests": "6m0.5s",
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "soon",
        "x-ratelimit-reset-tokens": "12ms",
    }
    server = serve(say("a", headers=headers), say("b", headers=headers))
    async with client_of(server) as client:
        response = await client.create(model="m", input="hi")
        async with client.stream(model="m", input="hi") as stream:
            async for _ in stream:
                pass
    assert response.rate_limits == (100, 99, 360.5, None, None, 0.012)
    assert stream.response.rate_limits == response.rate_limits
    assert stream.response.request_id


async def test_errors_carry_the_ids_that_support_asks_for(serve, client_of):
    server = serve(http_error(400), raw(b"<p>", "text/html"))
    async with client_of(server) as client:
        for kind in (StatusError, WireError):
            with pytest.raises(kind) as caught:
                await client.create(model="m", input="hi")
            assert caught.value.request_id.startswith("req_")
            assert caught.value.client_request_id == server.requests[-1].headers["x-client-request-id"]
    with pytest.raises(UnreachableError) as caught:
        await ask(Client(base_url="http://127.0.0.1:9/v1", max_retries=0))
    assert caught.value.client_request_id
    assert caught.value.request_id is None


# --- bodies


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_a_packed_answer_is_unpacked_though_none_was_asked_for(serve, library):
    import zlib

    body = json.dumps(response_resource({}, response_id="r", created_at=1)).encode()
    turns = [
        raw(gzip.compress(body), headers={"content-encoding": "gzip"}),
        raw(zlib.compress(body), headers={"content-encoding": "deflate"}),
        raw(b"not packed", headers={"content-encoding": "gzip"}),
        raw(body, headers={"content-encoding": "br"}),
    ]
    server = serve(*turns, *turns)
    async with library.AsyncClient() as http:
        for client in (Client(base_url=server.url), Client(base_url=server.url, http_client=http)):
            async with client:
                for _ in range(2):
                    assert (await client.create(model="m", input="hi")).id == "r"
                with pytest.raises(WireError, match="can't be decompressed"):
                    await client.create(model="m", input="hi")
                with pytest.raises(WireError, match="content-encoding 'br'"):
                    await client.create(model="m", input="hi")
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}


async def test_the_reason_that_follows_a_failure_is_read(serve, client_of):
    failed = response_resource({}, response_id="r", created_at=1, status="failed")
    events = [*response_events({**failed, "error": {"code": "server_error", "message": "filtered?"}})]
    late = {"type": "error", "error": {"code": "content_filter", "message": "the real reason"}}
    body = b"".join(sse_bytes(event) for event in events)
    server = serve(raw(body + sse_bytes(late), "text/event-stream"))
    async with client_of(server) as client, client.stream(model="m", input="hi") as stream:
        types = [event.type async for event in stream]
    assert types[-1] in ("response.failed", "error")
    assert stream.response.error == {"code": "content_filter", "message": "the real reason"}


async def test_a_proxy_in_the_environment_is_used(serve, monkeypatch):
    proxy = serve(lambda request: say("by proxy"))
    monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "")
    async with Client(base_url="http://somewhere.invalid/v1") as client:
        assert (await client.create(model="m", input="hi")).text == "by proxy"
    assert proxy.requests[0].path == "http://somewhere.invalid/v1/responses"


# --- the other endpoints, on a server that keeps state


async def test_a_stored_response_is_fetched_listed_and_deleted(serve, client_of):
    server = serve(say("kept"), say("next"))
    async with client_of(server) as client:
        kept = await client.create(model="m", input="first")
        found = await client.retrieve(kept.id, include=["message.output_text.logprobs"])
        assert (found.text, found.id) == ("kept", kept.id)
        follow = await client.create(model="m", input="second", previous_response_id=kept.id)
        assert follow.text == "next"
        (item,) = [item async for item in client.input_items(kept.id, order="asc")]
        assert item.text == "first"
        await client.delete(kept.id)
        with pytest.raises(StatusError, match="404"):
            await client.retrieve(kept.id)
        with pytest.raises(UsageError, match="is no id"):
            await client.retrieve("")


async def test_pages_are_followed_to_their_end(serve, client_of):
    server = serve(say("kept"))
    many = [{"type": "message", "role": "user", "content": str(number)} for number in range(250)]
    async with client_of(server) as client:
        kept = await client.create(model="m", input=many)
        texts = [item.text async for item in client.input_items(kept.id, order="asc")]
    assert texts == [str(number) for number in range(250)]
    assert sum("input_items" in request.path for request in server.requests) == 3


async def test_a_background_response_is_waited_for_and_cancelled(serve, client_of):
    server = serve(say("at last", polls=2), say("never", polls=1000))
    async with client_of(server) as client:
        queued = await client.create(model="m", input="hi", background=True)
        assert queued.status == "queued"
        with anyio.fail_after(10):
            assert (await client.wait(queued)).text == "at last"
        endless = await client.create(model="m", input="hi", background=True)
        with pytest.raises(DeadlineError, match="it goes on at the server"):
            await client.wait(endless.id, timeout=0.1)
        assert (await client.cancel(endless.id)).status == "cancelled"
        assert (await client.cancel(endless.id)).status == "cancelled"
        assert (await client.wait(endless.id)).status == "cancelled"


async def test_the_stream_of_a_background_response_is_taken_up_where_it_broke(serve, client_of):
    server = serve(say("Hello there, in many pieces.", cut_after=6), say("x"))
    async with client_of(server) as client:
        async with client.stream(model="m", input="hi", background=True) as stream:
            numbers = [event.sequence_number async for event in stream]
        assert numbers == list(range(len(numbers)))
        assert stream.response.text == "Hello there, in many pieces."
        assert any(f"starting_after={numbers[5]}" in request.path for request in server.requests)
        async with client.resume(stream.response.id, starting_after=numbers[-3]) as again:
            assert [event.sequence_number async for event in again] == numbers[-2:]


async def test_a_background_stream_that_was_cancelled_ends_so(serve, client_of):
    server = serve(say("Hello there, in many pieces.", pause=0.02, polls=100))
    async with client_of(server) as client:
        async with client.stream(model="m", input="hi", background=True) as stream:
            first = await anext(stream)
            await client.cancel(first.response["id"])
            with anyio.fail_after(10):
                async for _ in stream:
                    pass
        assert stream.response.status == "cancelled"


async def test_where_a_stream_cannot_be_taken_up_the_response_is_polled(serve, client_of):
    reply = say("Hello there, in many pieces.").output
    created = response_resource({"background": True}, response_id="resp_b", created_at=1, status="in_progress")
    begun = sse_bytes({"type": "response.created", "sequence_number": 0, "response": created})

    async def answer(request):
        if request.method == "POST":
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=begun)
        if "stream" in str(request.url):
            return httpx2.Response(404, json={"error": {"message": "no stream"}})
        return httpx2.Response(200, json={**created, "status": "completed", "output": list(reply)})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", http_client=http)
        async with client.stream(model="m", input="hi", background=True) as stream:
            types = [event.type async for event in stream]
    assert types == ["response.created", "response.completed"]
    assert stream.response.text == "Hello there, in many pieces."


async def test_counting_and_compacting(serve, client_of):
    server = serve()
    async with client_of(server) as client:
        assert await client.input_tokens(model="m", input=["one two three"]) > 0
        compacted = await client.compact(model="m", input=[{"role": "user", "content": "a long story"}])
        assert compacted.items[-1].type == "compaction"
        with pytest.raises(StatusError):
            await client.compact(input="no model")


async def test_conversations(serve, client_of):
    server = serve(say("in it"))
    async with client_of(server) as client:
        made = await client.conversations.create(items=["hello"], metadata={"a": "b"})
        assert (await client.conversations.retrieve(made.id)).metadata == {"a": "b"}
        assert (await client.conversations.update(made.id, metadata={"a": "c"})).metadata == {"a": "c"}
        added = await client.conversations.add_items(made.id, ["more", {"role": "user", "content": "still more"}])
        assert all(item.id for item in added)
        first = await client.conversations.item(made.id, added[0].id)
        assert first.id == added[0].id
        await client.conversations.delete_item(made.id, added[0].id)
        await client.create(model="m", input="hi", conversation=made.id)
        kinds = [item.raw.get("role") async for item in client.conversations.items(made.id, order="asc")]
        assert kinds[-2:] == ["user", "assistant"]
        await client.conversations.delete(made.id)
        with pytest.raises(StatusError, match="404"):
            await client.conversations.retrieve(made.id)
        with pytest.raises(UsageError, match="20 items at once"):
            await client.conversations.add_items("c", ["x"] * 21)


async def test_a_file_that_a_tool_made_is_fetched(serve, client_of):
    server = serve()
    server.files["cntr_1", "cfile_1"] = b"a,b\n1,2\n"
    async with client_of(server) as client:
        assert await client.container_file("cntr_1", "cfile_1") == b"a,b\n1,2\n"
        with pytest.raises(WireError, match="more than 3 bytes"):
            await client.container_file("cntr_1", "cfile_1", max_bytes=3)


async def test_an_endpoint_that_a_provider_does_not_have(serve, client_of):
    async def answer(request):
        return httpx2.Response(200, content=b"<html>")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", http_client=http)
        with pytest.raises(WireError, match="has this endpoint"):
            await client.retrieve("r")
        with pytest.raises(WireError, match="has this endpoint"):
            await client.input_tokens(model="m", input="hi")


# --- profiles


def test_profiles_are_data_that_a_user_can_extend(tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text('[mine]\nbase_url = "http://{MY_HOST}/v1"\nkey = "MY_KEY"\nunsupported = ["store"]\n')
    env = {"AGENTRT_PROVIDERS": str(own), "MY_HOST": "10.0.0.1:8000", "MY_KEY": "k"}
    found = resolve(env, provider="mine")
    assert found[:2] == ("http://10.0.0.1:8000/v1", "k")
    assert found.profile.unsupported == {"store"}
    assert resolve({**env, "COMETAPI_KEY": "c"}, provider="cometapi").api_key == "c"
    with pytest.raises(UsageError, match="needs an address: set MY_HOST"):
        resolve({**env, "MY_HOST": ""}, provider="mine")
    own.write_text("[mine]\nbase_ulr = 3\n")
    known_providers.cache_clear()
    with pytest.raises(UsageError, match=r"\[mine\].*needs base_url"):
        resolve(env, provider="mine")
    with pytest.raises(UsageError, match="can't be read"):
        known_providers(str(tmp_path / "absent.toml"))
    known_providers.cache_clear()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("base_url = 5", "base_url must be a text, but is 5"),
        ('unsupported = "store"', "unsupported must be a list of texts"),
        ("deviates = [1]", "deviates must be a list of texts"),
        ("headers = { a = 1 }", "headers must be texts by name; look at a"),
        ("ranges = { top_p = [1] }", r"ranges must be \[lowest, highest\] by name, but 'top_p'"),
        ("ranges = { top_p = [1, 0] }", "lowest, highest"),
        ('ranges = { top_p = "0-1" }', "lowest, highest"),
        ("ranges = 5", "no provider profile"),
        ('seen = "dreamt"', "seen must be 'run', 'recorded' or 'read'"),
        ('colour = "red"', "colour.*may have key, url"),
    ],
)
def test_a_profile_that_cannot_be_read_is_named(tmp_path, line, told):
    own = tmp_path / "mine.toml"
    base = "" if line.startswith("base_url") else 'base_url = "http://mine/v1"\n'
    own.write_text(f"[mine]\n{base}{line}\n")
    with pytest.raises(UsageError, match=rf"\[mine\] in .*{told}"):
        known_providers(str(own))


def test_a_profile_made_in_python_takes_lists():
    mine = Provider("http://mine/v1", unsupported=["store"], deviates=["in this"])
    assert (mine.unsupported, mine.deviates) == (frozenset({"store"}), ("in this",))
    assert Client(provider=mine).refused("m") == {"store"}


def test_every_preset_is_marked():
    names = {"openai", "azure", "cometapi", "openrouter", "xai", "vllm", "ollama", "lmstudio", "llamacpp", "local"}
    assert set(known_providers()) == names
    for profile in known_providers().values():
        assert profile.seen in ("run", "recorded", "read")
        assert profile.deviates
    azure = resolve(
        {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com/", "AZURE_OPENAI_API_KEY": "k"}, provider="azure"
    )
    assert azure.base_url == "https://x.openai.azure.com/openai/v1"


async def test_what_a_profile_calls_unsupported_is_sent_all_the_same_and_said_once(serve, caplog):
    server = serve(say("a"), say("b"))
    profile = Provider(server.url, unsupported=frozenset({"top_p"}), headers={"x-own": "1"})
    async with Client(provider=profile) as client:
        for _ in range(2):
            await client.create(model="m", input="hi", top_p=0.5)
    assert [request.json["top_p"] for request in server.requests] == [0.5, 0.5]
    assert server.requests[0].headers["x-own"] == "1"
    assert sum("top_p" in record.message for record in caplog.records) == 1
