import gc
import socket
import time
import tracemalloc

import anyio
import httpx2
import pytest
from mcp import Client, MCPError

from agentrt import AgentrtError, UsageError
from agentrt.bridges.mcp.endpoint import HttpEndpoint, OAuth
from agentrt.bridges.mcp.http import HttpTransport
from agentrt.errors import AuthenticationError, RateLimitError, StatusError, UnreachableError, WireError
from tests.mcp.rogue_http import MIB, Rogue, SseRogue, real_server, serving

SECRET = "a-token-to-be-kept"


def transport(url, **options):
    return HttpTransport(HttpEndpoint(url=url, auth=SECRET, **options), name="files")


async def error_of(way, client, name="add", **arguments):
    with pytest.raises(MCPError) as raised:
        await client.call_tool(name, arguments)
    return way.error_for(raised.value.data), raised.value


def first_of(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


ROWS = [
    ("401", AuthenticationError, "answered 401.*invalid_token.*check the key", {"status": 401, "repeatable": True}),
    ("403", AuthenticationError, "answered 403: not for you, Bearer …", {"status": 403}),
    ("404", StatusError, "answered 404: nothing here.*check the address", {"status": 404}),
    ("429", RateLimitError, "answered 429.*slow down.*wait 7 seconds", {"retry_after": 7.0, "retryable": True}),
    ("500", StatusError, "answered 500: it broke", {"status": 500, "repeatable": False}),
    ("503", StatusError, "answered 503.*in repair", {"status": 503}),
    ("html", WireError, "Log in.*Is this the right address", {}),
    ("accepted", WireError, "accepted a request that it should have answered", {}),
    ("empty", WireError, "broken JSON", {}),
    ("broken_json", WireError, "broken JSON", {}),
    ("array", WireError, "no JSON-RPC", {}),
    ("wrong_id", WireError, "another request than was asked", {}),
    ("cut_before", UnreachableError, "no answer from", {"sent": True, "repeatable": False}),
    ("cut_body", UnreachableError, "no answer from", {"sent": True}),
    ("cut_sse", UnreachableError, "no answer from|ended its answer", {"sent": True}),
    ("end_sse", UnreachableError, "ended its answer before the end", {"sent": True}),
    ("huge", WireError, "52428800 bytes", {}),
    ("huge_unsaid", WireError, "more than the 33554432 bytes", {}),
    ("huge_error", StatusError, "answered 500: xxx", {"status": 500}),
    ("huge_event", WireError, "an event of more than 16777216 bytes", {}),
    ("bomb", WireError, "more than the 33554432 bytes", {}),
    ("event_bomb", WireError, "an event of more than", {}),
    ("no_gzip", WireError, "can't be read", {}),
    ("redirect_away", StatusError, "http://localhost:9/elsewhere, which is not followed", {"status": 307}),
    ("redirect_get", StatusError, "/login, which is not followed", {"status": 302}),
]


@pytest.mark.parametrize(("mode", "kind", "told", "facts"), ROWS, ids=[row[0] for row in ROWS])
async def test_a_failed_exchange_says_what_happened_and_costs_that_call_only(mode, kind, told, facts):
    with Rogue(mode) as server:
        way = transport(server.url)
        async with Client(way, mode="legacy", cache=None) as client:
            with anyio.fail_after(5):
                error, raised = await error_of(way, client)
            assert type(error) is kind
            assert way.failure is error
            for name, value in facts.items():
                assert getattr(error, name) == value
            text = " ".join(str(error).split())
            with pytest.raises(AssertionError, match=told):
                raise AssertionError(text)
            assert "the MCP server 'files' (http://127.0.0.1:" in text
            assert SECRET not in text
            assert "key=secret" not in text
            assert way.error_for(raised.data) is None
            server.at = "nothing"
            assert (await client.call_tool("add", {})).content[0].text == "3"
            assert way.failure is None


@pytest.mark.parametrize("mode", ["sse", "sse_split", "zipped", "redirect", "resumable"])
async def test_answers_of_every_form_are_read(mode):
    with Rogue(mode) as server:
        async with Client(transport(server.url), mode="legacy", cache=None) as client:
            assert (await client.call_tool("add", {})).content[0].text == "3"
            if mode == "redirect":
                followed = [headers for path, headers, _ in server.requests if path == "/mcp2?key=secret"]
                assert [headers["authorization"] for headers in followed] == [f"Bearer {SECRET}"]


@pytest.mark.parametrize("mode", ["params", "null_id"])
async def test_an_error_of_the_protocol_stays_one_whatever_its_status(mode):
    with Rogue(mode) as server:
        way = transport(server.url)
        async with Client(way, mode="legacy", cache=None) as client:
            error, raised = await error_of(way, client)
            assert error is None
            assert raised.code == -32602
            assert way.failure is None


@pytest.mark.parametrize("mode", ["forgotten", "forgotten400"])
async def test_a_forgotten_session_is_told_apart(mode):
    with Rogue(mode, session=True) as server:
        way = transport(server.url)
        async with Client(way, mode="legacy", cache=None) as client:
            error, raised = await error_of(way, client)
            assert (raised.code, raised.message) == (-32600, "Session terminated")
            assert error.repeatable
            assert error.status == (404 if mode == "forgotten" else 400)


@pytest.mark.parametrize("mode", ["401", "429", "500", "html", "404"])
async def test_a_failure_at_the_handshake_says_what_happened(mode):
    with Rogue(mode, at="*") as server:
        way = transport(server.url)
        with anyio.fail_after(5), pytest.raises(BaseExceptionGroup) as raised:
            async with Client(way, cache=None):
                pass
        error = way.error_for(first_of(raised.value).data)
        assert mode == "html" or error.status == int(mode)
        assert server.methods() == ["server/discover", "initialize"]


@pytest.mark.parametrize("sse", [False, True])
async def test_a_refused_connection_was_not_sent(sse):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/mcp"
    way = transport(url, sse=sse)
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the SDK wraps it in groups
        async with Client(way, mode="legacy", cache=None):
            pass
    error = first_of(raised.value)
    error = error if sse else way.error_for(error.data)
    assert isinstance(error, UnreachableError)
    assert not error.sent
    assert error.repeatable
    assert way.failure is error


@pytest.mark.parametrize("mode", ["hang", "drip", "endless_sse"])
async def test_a_call_that_is_given_up_leaves_the_connection_in_use(mode):
    with Rogue(mode) as server:
        async with Client(transport(server.url), mode="legacy", cache=None) as client:
            with anyio.move_on_after(0.2) as waited:
                await client.call_tool("add", {})
            assert waited.cancelled_caught
            server.at = "nothing"
            assert (await client.call_tool("add", {})).content[0].text == "3"
            began = time.monotonic()
        assert time.monotonic() - began < 1


async def test_leaving_is_bounded(monkeypatch):
    monkeypatch.setattr("agentrt.bridges.mcp.http._CLOSE_SECONDS", 0.3)
    with Rogue("hang", session=True) as server:
        async with Client(transport(server.url), mode="legacy", cache=None) as client:
            await client.list_tools()
            began = time.monotonic()
        assert 0.2 < time.monotonic() - began < 1
        assert "DELETE" in server.methods()


async def test_a_cancelled_use_leaves_at_once():
    with Rogue("hang", session=True) as server:
        began = time.monotonic()
        with anyio.move_on_after(0.2):
            async with Client(transport(server.url), mode="legacy", cache=None) as client:
                await client.call_tool("add", {})
        assert time.monotonic() - began < 1


async def test_memory_stays_flat_under_a_flood():
    with Rogue("huge_unsaid") as server:
        way = transport(server.url)
        async with Client(way, mode="legacy", cache=None) as client:
            gc.collect()
            tracemalloc.start()
            try:
                began = time.monotonic()
                await error_of(way, client)
                assert time.monotonic() - began < 2
                assert tracemalloc.get_traced_memory()[1] < 72 * MIB
            finally:
                tracemalloc.stop()


async def test_headers_go_along_cookies_are_not_kept_and_no_log_has_the_key(caplog):
    caplog.set_level("INFO")
    with Rogue("401", at="nothing") as server:
        way = HttpTransport(HttpEndpoint(url=f"{server.url}?key=hidden", headers={"x-team": "blue"}), name="files")
        async with Client(way, mode="legacy", cache=None) as client:
            await client.call_tool("add", {})
        assert {headers["x-team"] for _, headers, _ in server.requests} == {"blue"}
        assert {path for path, _, _ in server.requests} == {"/mcp?key=hidden"}
        assert not any("cookie" in headers for _, headers, _ in server.requests)
        assert f"HTTP Request: POST {server.url} " in caplog.text
        assert "hidden" not in caplog.text


FORMS = {
    "json": lambda: real_server().streamable_http_app(json_response=True),
    "events": lambda: real_server().streamable_http_app(),
    "stateless": lambda: real_server().streamable_http_app(stateless_http=True),
}


@pytest.fixture(scope="module", params=FORMS)
def real(request):
    with serving(FORMS[request.param]) as origin:
        yield f"{origin}/mcp"


async def together(client):
    """Five calls that wait a while each take little longer than one."""
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(client.call_tool, "wait", {"seconds": 0.1})
    assert time.monotonic() - began < 0.45


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_real_servers_of_both_eras_work(real, mode):
    async with Client(transport(real), mode=mode, cache=None) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        assert {tool.name for tool in (await client.list_tools()).tools} == {"add", "wait"}
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
        await together(client)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_restarted_server_is_used_again_or_has_forgotten_the_session(mode):
    with serving(FORMS["json"]) as origin:
        port = int(origin.rpartition(":")[2])
        way = transport(f"{origin}/mcp")
        opened = Client(way, mode=mode, cache=None)
        client = await opened.__aenter__()
        await client.call_tool("add", {"a": 1, "b": 2})
    try:
        error, _ = await error_of(way, client, a=1, b=2)
        assert isinstance(error, UnreachableError)
        assert not error.sent
        with serving(FORMS["json"], port):
            if mode == "auto":
                assert not (await client.call_tool("add", {"a": 1, "b": 2})).is_error
            else:
                error, raised = await error_of(way, client, a=1, b=2)
                assert error.status == 404
                assert raised.code == -32600
    finally:
        await opened.__aexit__(None, None, None)


async def test_http_and_sse_works_with_a_real_server():
    with serving(lambda: real_server().sse_app()) as origin:
        async with Client(transport(f"{origin}/sse", sse=True), cache=None) as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
            await together(client)


async def test_over_sse_an_event_may_be_large_and_a_refused_post_costs_that_call_only():
    with serving(lambda: SseRogue("big")) as origin:
        async with Client(transport(f"{origin}/sse", sse=True), mode="legacy", cache=None) as client:
            assert len((await client.call_tool("add", {})).content[0].text) == 3 * MIB
    with serving(lambda: SseRogue("refuses")) as origin:
        way = transport(f"{origin}/sse", sse=True)
        async with Client(way, mode="legacy", cache=None) as client:
            for _ in range(2):
                error, _ = await error_of(way, client)
                assert isinstance(error, RateLimitError)
                assert error.retry_after == 3
                assert len((await client.list_tools()).tools) == 1


@pytest.mark.parametrize(
    ("mode", "kind", "told"),
    [
        ("401", AuthenticationError, "answered 401: hi"),
        ("no_events", WireError, "text/plain instead of events"),
        ("no_endpoint", WireError, "before it said where"),
        ("elsewhere", WireError, "at another address"),
    ],
)
async def test_an_sse_address_that_is_none_says_so(mode, kind, told):
    with serving(lambda: SseRogue(mode)) as origin:
        way = transport(f"{origin}/sse", sse=True)
        with anyio.fail_after(5), pytest.raises(AgentrtError, match=told) as raised:
            async with way:
                pass
        assert type(raised.value) is kind
        assert way.failure is raised.value


async def test_over_sse_the_end_of_the_events_is_the_end():
    with serving(lambda: SseRogue("ends")) as origin:
        way = transport(f"{origin}/sse", sse=True)
        with anyio.fail_after(5), pytest.raises(BaseExceptionGroup):
            async with Client(way, mode="legacy", cache=None):
                pass
        assert isinstance(way.failure, UnreachableError)


async def test_a_transport_is_of_use_once():
    with Rogue("401", at="nothing") as server:
        way = transport(server.url)
        async with way:
            pass
        with pytest.raises(UsageError, match="of use once"):
            await way.__aenter__()


def test_an_endpoint_shows_no_secret():
    endpoint = HttpEndpoint(
        url="https://me:pass@example.com/mcp?key=k#f", headers={"x": "hidden"}, auth=OAuth(client_id="a")
    )
    assert repr(endpoint) == "HttpEndpoint('https://example.com')"
    assert "hidden" not in repr(OAuth(client_id="a", client_secret="hidden", issuer="https://as"))


@pytest.mark.parametrize("url", ["", "example.com", "ftp://example.com", "http://", "http://[", "http://a:99999", None])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UsageError, match="full address"):
        HttpEndpoint(url=url)


@pytest.mark.parametrize("headers", [{"a": 1}, {"a": "x\ny"}, {"a\n": "x"}])
def test_headers_that_are_none_are_refused(headers):
    with pytest.raises(UsageError, match="text of one line"):
        HttpEndpoint(url="http://a/", headers=headers)


async def test_an_auth_of_httpx_logs_in_and_anything_else_is_refused():
    with Rogue("401", at="nothing") as server:
        way = HttpTransport(HttpEndpoint(url=server.url, auth=httpx2.BasicAuth("me", "pass")), name="files")
        async with Client(way, mode="legacy", cache=None) as client:
            await client.call_tool("add", {})
        assert {headers["authorization"] for _, headers, _ in server.requests} == {"Basic bWU6cGFzcw=="}
        with pytest.raises(UsageError, match="auth= takes"):
            HttpTransport(HttpEndpoint(url=server.url, auth=5), name="files")
