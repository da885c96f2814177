"""Cassettes: recorded against a real server, and replayed when it is gone."""

import gzip
import json
import zlib

import anyio
import httpx2
import pytest

from agentrt import Agent, Client, UsageError, tool
from agentrt.errors import IncompleteStreamError, RateLimitError, StatusError, UnreachableError
from agentrt.testing import Cassette, CassetteMissError, ResponsesServer, call, calls, http_error, no_network, raw, say

KEY = "sk-a-very-secret-key"


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def record(path, script, use, *, key=KEY, **options):
    """Record what `use` does with a client, and give what it gives; the server is gone then."""
    with ResponsesServer(script) as server, Cassette(path, **options) as cassette:
        assert cassette.records
        return await use(cassette.client(base_url=server.url, api_key=key))


async def replay(path, use, *, mode="auto", unused=0, **options):
    with no_network(loopback=False), Cassette(path, mode, **options) as cassette:
        assert not cassette.records
        told = await use(cassette.client())
        assert len(cassette.unused) == unused
        return told


def written(path):
    return json.loads(path.read_text())


async def test_a_run_is_replayed_without_server_key_or_network(tmp_path):
    path = tmp_path / "deep" / "run.json"

    async def use(client):
        return (await Agent("m", tools=[add], client=client).run("What is 1 + 2?")).output

    assert await record(path, [calls(call("add", a=1, b=2)), say("It is 3.")], use) == "It is 3."
    first = path.read_bytes()
    assert await replay(path, use) == "It is 3."
    assert await replay(path, use, mode="replay") == "It is 3."
    assert path.read_bytes() == first
    cassette = written(path)
    assert cassette["version"] == 1
    assert [exchange["request"]["json"]["model"] for exchange in cassette["exchanges"]] == ["m", "m"]
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]


async def test_a_stream_is_replayed_event_by_event(tmp_path):
    path = tmp_path / "stream.json"

    async def use(client):
        async with client.stream(model="m", input="hi") as stream:
            return [event.raw async for event in stream], stream.response.text, stream.response.request_id

    recorded = await record(path, [say("one two three — ü 😀", pause=0.001)], use)
    assert await replay(path, use) == recorded
    (exchange,) = written(path)["exchanges"]
    events = exchange["response"]["events"]
    assert len(events) == len(recorded[0]) + 1  # and [DONE]
    assert all(event.endswith("\n\n") for event in events)
    assert "ü 😀" in path.read_text(encoding="utf-8")
    with Cassette(path) as cassette:
        async with httpx2.AsyncClient(transport=cassette.transport()) as http:
            asked = exchange["request"]
            async with http.stream(asked["method"], f"http://x{asked['path']}", json=asked["json"]) as response:
                assert [chunk.decode() async for chunk in response.aiter_raw()] == events


async def test_errors_are_replayed_with_their_status_and_retries_in_their_order(tmp_path):
    path = tmp_path / "errors.json"

    async def use(client):
        with pytest.raises(StatusError) as caught:
            await client.create(model="m", input="first")
        text = (await client.create(model="m", input="second")).text
        with pytest.raises(RateLimitError) as limited:
            await client.create(model="m", input="third", max_retries=0)
        return caught.value.status, caught.value.code, str(caught.value.told), text, limited.value.retry_after

    quick = {"retry-after-ms": "1"}
    script = [
        http_error(422, "no_good", "not like this"),
        *(http_error(503, headers=quick), http_error(429, headers=quick), say("at last")),
        http_error(429, headers={"retry-after": "7"}),
    ]
    recorded = await record(path, script, use)
    assert recorded == (422, "no_good", "not like this", "at last", 7)
    assert await replay(path, use) == recorded
    assert [exchange["response"]["status"] for exchange in written(path)["exchanges"]] == [422, 503, 429, 200, 429]


async def test_equal_requests_get_their_answers_in_order_and_each_only_once(tmp_path):
    path = tmp_path / "same.json"

    async def ask(client, times=3):
        return [(await client.create(model="m", input="hi")).text for _ in range(times)]

    assert await record(path, [say("1"), say("2"), say("3")], ask) == ["1", "2", "3"]
    assert await replay(path, ask) == ["1", "2", "3"]

    async def once(client):
        return await ask(client, 1)

    assert await replay(path, once, unused=2) == ["1"]
    with pytest.raises(CassetteMissError, match=r"recorded 3 time\(s\), and all of them have been played"):
        await replay(path, lambda client: ask(client, 4))


async def test_what_was_never_played_is_listed(tmp_path):
    path = tmp_path / "unused.json"

    async def use(client):
        for word in ("one", "two"):
            await client.create(model="m", input=word)

    await record(path, lambda _: say("a"), use)
    with Cassette(path) as cassette:
        await cassette.client().create(model="m", input="two")
        (left,) = cassette.unused
    assert (left.method, left.path, left.json["input"]) == ("POST", "/v1/responses", "one")


async def test_a_miss_shows_what_differs_from_the_nearest_request_and_is_not_tried_again(tmp_path):
    path = tmp_path / "miss.json"

    async def use(client):
        for word in ("something else", "How is the weather?"):
            await client.create(model="m", input=[{"role": "user", "content": word}], temperature=0.5)

    await record(path, lambda _: say("a"), use)
    with Cassette(path) as cassette:
        client = cassette.client(max_retries=4)
        with anyio.fail_after(3), pytest.raises(CassetteMissError) as caught:
            await client.create(
                model="m", input=[{"role": "user", "content": "How is the traffic?"}], temperature=0.5, top_p=1
            )
        assert len(cassette.unused) == 2
        told = str(caught.value)
        assert "no. 2, POST /v1/responses" in told
        assert '$.body.input[0].content: recorded "How is the weather?", asked "How is the traffic?"' in told
        assert "$.body.top_p: recorded nothing, asked 1" in told
        assert "temperature" not in told
        assert "mode='record'" in told
        assert "match=" in told
        with pytest.raises(CassetteMissError, match=r"\$\.path: recorded"):
            await client.retrieve("resp_1")
        with pytest.raises(CassetteMissError) as caught:
            await Agent("m", client=client).run("word " * 50_000)
        assert len(str(caught.value)) < 3000
        with pytest.raises(CassetteMissError) as caught:
            await client.create(model="m", input=[{"role": "user", "content": f"{'x' * 500}"}] * 100)
        assert "… and more" in str(caught.value)
        assert len(str(caught.value)) < 3000


async def test_match_leaves_out_what_changes_from_run_to_run(tmp_path):
    path = tmp_path / "match.json"

    def without_metadata(body):
        body.pop("metadata", None)
        return body

    def asking(number):
        async def use(client):
            return (await client.create(model="m", input="hi", metadata={"run": number})).text

        return use

    assert await record(path, [say("a")], asking("1"), match=without_metadata) == "a"
    assert written(path)["exchanges"][0]["request"]["json"]["metadata"] == {"run": "1"}
    assert await replay(path, asking("2"), match=without_metadata) == "a"
    with pytest.raises(CassetteMissError, match=r"metadata\.run"):
        await replay(path, asking("2"))


async def test_secrets_get_into_no_cassette_and_requests_match_all_the_same(tmp_path):
    path = tmp_path / "secret.json"
    secrets = [
        KEY,
        "mcp-bearer-token",
        "mcp-header-value",
        "pass-word-1",
        "hush",
        "another-key-of-mine",
        "in-the-query",
    ]
    hosted = {
        "type": "mcp",
        "server_label": "s",
        "server_url": "https://mcp.invalid",
        "authorization": "mcp-bearer-token",
        "headers": {"X-Team": "mcp-header-value"},
        "require_approval": "never",
    }
    function = {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object", "properties": {"token": {"type": "string"}}},
    }

    def script(body):
        return say(
            f"You sent {KEY} and mcp-header-value.",
            extra={"tools": body["tools"], "user": f"Bearer {KEY}"},
            headers={"set-cookie": "id=hush", "x-ratelimit-limit-requests": "10"},
        )

    def using(streaming):
        async def use(client):
            params = {
                "model": "m",
                "input": f"My key is {KEY}.",
                "tools": [hosted, function],
                "extra_body": {"password": "pass-word-1", "nested": [{"client_secret": "hush"}]},
                "extra_headers": {"x-api-key": "another-key-of-mine", "cookie": "id=hush"},
            }
            if not streaming:
                return (await client.create(**params)).text
            async with client.stream(**params) as stream:
                return (await stream.whole()).text

        return use

    for streaming in (False, True):
        assert KEY in await record(path, script, using(streaming), mode="record")
        text = path.read_text()
        assert [secret for secret in secrets if secret in text] == []
        assert '"token": {' in text  # a schema is no secret
        assert "cookie" not in text
        assert "idempotency" not in text
        assert written(path)["exchanges"][0]["response"]["headers"]["x-ratelimit-limit-requests"] == "10"
        with Cassette(path) as cassette:
            client = cassette.client(api_key=KEY)
            assert (await using(streaming)(client)).startswith("You sent *** and ***.")
        with Cassette(path) as cassette, pytest.raises(CassetteMissError) as caught:
            await using(streaming)(
                Client(
                    base_url="http://x/v2", api_key=KEY, http_client=httpx2.AsyncClient(transport=cassette.transport())
                )
            )
        assert [secret for secret in secrets if secret in str(caught.value)] == []
    with ResponsesServer() as server, Cassette(path, "record") as cassette:
        async with httpx2.AsyncClient(transport=cassette.transport()) as http:
            await http.get(f"{server.url}/models?api-version=1&api_key=in-the-query")
    assert written(path)["exchanges"][0]["request"]["path"] == "/v1/models?api-version=1&api_key=***"


async def test_the_parts_of_a_text_with_log_probabilities_are_no_secrets(tmp_path):
    path = tmp_path / "logprobs.json"
    item = say("Hi").output[0]
    part = {
        **item["content"][0],
        "logprobs": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}],
    }

    async def use(client):
        response = await client.create(model="m", input="hi")
        return response.raw["output"][0]["content"][0]["logprobs"][0]["token"]

    assert await record(path, [calls({**item, "content": [part]})], use) == "Hi"
    assert await replay(path, use) == "Hi"


async def test_bodies_of_every_kind_come_back_as_they_were(tmp_path):
    path = tmp_path / "bodies.json"
    binary, page, broken = bytes(range(256)), "<html>ü</html>", b'{"a": NaN}'
    packed = gzip.compress(b'{"a": 1}')

    async def ask(http, url):
        bodies = [
            (await http.post(f"{url}/responses", json={"model": "m", "n": number})).content for number in range(5)
        ]
        return [*bodies, (await http.post(f"{url}/responses", content=b"\xff\x00no json")).status_code]

    script = [
        raw(binary, "application/octet-stream"),
        raw(page.encode(), "text/html; charset=utf-8"),
        raw(broken),
        raw(b""),
        raw(packed, headers={"content-encoding": "gzip"}),
    ]
    with ResponsesServer(script) as server, Cassette(path) as cassette:
        async with httpx2.AsyncClient(transport=cassette.transport()) as http:
            recorded = await ask(http, server.url)
        assert server.requests[0].headers["accept-encoding"] == "identity"
    assert recorded == [binary, page.encode(), broken, b"", b'{"a": 1}', 400]
    with Cassette(path, "replay") as cassette:
        async with httpx2.AsyncClient(transport=cassette.transport()) as http:
            replayed = await ask(http, "http://elsewhere/v1")
    assert replayed == [*recorded[:4], b'{"a":1}', 400]
    forms = [set(exchange["response"]) - {"status", "headers"} for exchange in written(path)["exchanges"]]
    assert forms == [{"base64"}, {"text"}, {"text"}, set(), {"json"}, {"json"}]


async def test_a_stream_that_broke_breaks_again_and_is_taken_up_again(tmp_path):
    path = tmp_path / "cut.json"

    async def use(client):
        with pytest.raises((UnreachableError, IncompleteStreamError)):
            async with client.stream(model="m", input="hi", max_retries=0) as stream:
                await stream.whole()
        async with client.stream(model="m", input="hi", background=True) as stream:
            return [event.sequence_number async for event in stream]

    script = [say("a b c", cut_after=4), say("A long answer, in many pieces.", cut_after=(5, 2))]
    recorded = await record(path, script, use)
    assert await replay(path, use) == recorded
    cut = [exchange["response"].get("cut", False) for exchange in written(path)["exchanges"]]
    assert cut == [True, True, True, False]


async def test_a_stream_that_was_left_is_recorded_as_far_as_it_came(tmp_path):
    path = tmp_path / "left.json"

    async def use(client):
        async with client.stream(model="m", input="hi") as stream:
            return (await anext(stream)).type

    assert await record(path, [say("a b c", pause=0.05)], use) == "response.created"
    assert await replay(path, use) == "response.created"


async def test_concurrent_requests_are_recorded_and_replayed(tmp_path):
    path = tmp_path / "many.json"

    async def use(client):
        texts = {}

        async def ask(number):
            texts[number] = (await client.create(model="m", input=f"{number}")).text

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, number)
        return [texts[number] for number in range(20)]

    assert await record(path, lambda body: say(f"no. {body['input']}"), use) == [
        f"no. {number}" for number in range(20)
    ]
    assert await replay(path, use) == [f"no. {number}" for number in range(20)]


def test_a_cassette_works_from_sync_code(tmp_path):
    path = tmp_path / "sync.json"
    with ResponsesServer([say("hi")]) as server, Cassette(path) as cassette:
        assert Agent("m", client=cassette.client(base_url=server.url)).run_sync("x").output == "hi"
    with Cassette(path) as cassette:
        assert Agent("m", client=cassette.client(provider="openai")).run_sync("x").output == "hi"


async def test_nothing_is_written_when_the_block_raises_and_what_was_there_stays(tmp_path):
    path = tmp_path / "raises.json"

    async def fail(client):
        await client.create(model="m", input="hi")
        raise RuntimeError("on purpose")

    async def use(client):
        return (await client.create(model="m", input="hi")).text

    with pytest.raises(RuntimeError, match="on purpose"):
        await record(path, [say("a")], fail)
    assert list(tmp_path.iterdir()) == []
    await record(path, [say("a")], use)
    with pytest.raises(RuntimeError, match="on purpose"):
        await record(path, [say("b")], fail, mode="record")
    assert await replay(path, use) == "a"
    await record(path, [say("c")], use, mode="record")
    assert await replay(path, use) == "c"
    assert list(tmp_path.iterdir()) == [path]


async def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "folder.json"
    path.mkdir()  # so that it can't be replaced

    async def use(client):
        await client.create(model="m", input="hi")

    with pytest.raises(OSError, match=r"folder\.json"):
        await record(path, [say("a")], use, mode="record")
    assert list(tmp_path.iterdir()) == [path]


async def test_nothing_is_written_where_nothing_was_asked(tmp_path):
    path = tmp_path / "none.json"
    for mode in ("auto", "record", "replay"):
        with Cassette(path, mode):
            pass
        assert not path.exists()
    with Cassette(path, "replay") as cassette, pytest.raises(CassetteMissError, match="doesn't exist"):
        await cassette.client().create(model="m", input="hi")


async def test_a_file_that_is_there_is_never_added_to(tmp_path):
    path = tmp_path / "there.json"

    async def use(client):
        return (await client.create(model="m", input="hi")).text

    await record(path, [say("a")], use)
    before = path.read_bytes()
    with ResponsesServer([say("b")]) as server, Cassette(path) as cassette:
        client = cassette.client(base_url=server.url)
        with pytest.raises(CassetteMissError):
            await client.create(model="m", input="something new")
        assert server.requests == []
    assert path.read_bytes() == before


async def test_a_refused_connection_is_not_recorded(tmp_path):
    path = tmp_path / "refused.json"
    with ResponsesServer() as server:
        pass
    with Cassette(path) as cassette, pytest.raises(UnreachableError):
        await cassette.client(base_url=server.url, max_retries=0).create(model="m", input="hi")
    assert not path.exists()


async def test_a_transport_of_the_users_own_carries_what_is_recorded(tmp_path):
    path = tmp_path / "own.json"
    inner = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"zlib": zlib.ZLIB_VERSION}))
    with Cassette(path) as cassette:
        async with httpx2.AsyncClient(transport=cassette.transport(inner)) as http:
            told = (await http.get("http://x/v1/models")).json()
    with Cassette(path) as cassette:
        async with httpx2.AsyncClient(transport=cassette.transport()) as http:
            assert (await http.get("http://x/v1/models")).json() == told


async def test_what_is_wrong_with_a_cassette_is_told(tmp_path):
    path = tmp_path / "wrong.json"
    for text in (
        "",
        "[]",
        '{"version": 2}',
        '{"version": 1, "exchanges": [{}]}',
        '{"version": 1, "exchanges": [{"request": 1, "response": 2}]}',
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"wrong\.json.* mode='record'"):
            Cassette(path).__enter__()
    with pytest.raises(UsageError, match="mode must be"):
        Cassette(path, "once")
    cassette = Cassette(tmp_path / "closed.json")
    with cassette:
        client = cassette.client(base_url="http://127.0.0.1:1/v1")
        with pytest.raises(UsageError, match="http_client"):
            cassette.client(http_client=None)
    with pytest.raises(UsageError, match="not open"):
        await client.create(model="m", input="hi")
