"""What a server over HTTP lets in, how it ends, and what a 2026 client keeps while its user is asked."""

import contextlib
import signal
import socket
import threading
import time

import httpx2
import mcp_types as types
import pytest
import uvicorn
from mcp import MCPError

from agentrt import Agent, Answer, Approve, Deny, Registry, Tool, UsageError, handoff, tool
from agentrt.serve import current_request, mcp_app, serve_mcp
from agentrt.testing import ScriptedModel, call, calls, say
from tests.mcp.served_parts import ERAS, client, over_http, text

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
ACCEPT = {"accept": "application/json, text/event-stream"}


@contextlib.contextmanager
def app_served(target, **options):
    """Serve an app by uvicorn in a thread; gives its address. It is made as in a module, outside of any event loop."""
    made = []
    maker = threading.Thread(target=lambda: made.append(mcp_app(target, **options)))
    maker.start()
    maker.join()
    (app,) = made
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            thread.join()


def accepting(heard=None):
    async def answer(_context, params):
        if heard is not None:
            heard.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": True})

    return {"elicitation_callback": answer}


# --- who is let in


@pytest.fixture
def anyio_backend():
    """Servers run on asyncio, and the SDK's client is the same on both."""
    return "asyncio"


@pytest.fixture(scope="module")
def guarded():
    with over_http(SERVED_TOKEN="open sesame") as (url, _process):
        yield url


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", "Basic open sesame", "Bearer open sesame!", "Bearer öpen sesame"]
)
def test_without_the_token_nobody_is_let_in(guarded, header):
    headers = {} if header is None else {"authorization": header.encode()}
    for method in ("POST", "GET", "DELETE"):
        answer = httpx2.request(method, guarded, json=INITIALIZE, headers={**ACCEPT, **headers})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_with_the_token_one_is(guarded):
    headers = {**ACCEPT, "authorization": "bearer open sesame"}
    assert httpx2.post(guarded, json=INITIALIZE, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example.com"}, 421),
        ({"host": "127.0.0.1.evil.example.com:80"}, 421),
        ({"origin": "https://evil.example.com"}, 403),
        ({"origin": "http://localhost:5173"}, 200),
    ],
)
def test_a_page_of_somebody_elses_is_not_answered(guarded, headers, status):
    given = {**ACCEPT, "authorization": "Bearer open sesame", **headers}
    assert httpx2.post(guarded, json=INITIALIZE, headers=given).status_code == status


def test_a_body_that_is_too_big_is_refused(guarded):
    big = {**INITIALIZE, "more": "x" * 5 * 2**20}
    headers = {**ACCEPT, "authorization": "Bearer open sesame"}
    assert httpx2.post(guarded, json=big, headers=headers).status_code == 413


def double(number: float) -> float:
    """Double a number."""
    return number * 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"host": "0.0.0.0"}, "needs token="),
        ({"host": "192.0.2.1"}, "needs token="),
        ({"host": "tools.example.com"}, "needs token="),
        ({"host": "0.0.0.0", "token": "t"}, "needs allowed_hosts="),
        ({"token": ""}, "token= takes a text"),
        ({"token": "ö"}, "token= takes a text"),
        ({"path": "mcp"}, "begins with a slash"),
        ({"max_body": 0}, "max_body="),
        ({"state_key": b"short"}, "state_key= takes 32"),
        ({"on_pending": "yes"}, "on_pending= takes a function"),
        ({"transport": "sse"}, "transport is 'stdio' or 'http'"),
        ({"port": 99999}, "pass another host= or port="),
    ],
)
def test_what_would_be_open_or_wrong_is_refused_with_a_way_out(options, told):
    with pytest.raises(UsageError, match=told):
        serve_mcp(double, **{"transport": "http", "port": 0, **options})


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match=f"can't listen at 127.0.0.1:{taken.getsockname()[1]}"):
            serve_mcp(double, transport="http", port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ([], "nothing to serve"),
        (Registry(), "nothing to serve"),
        ("tools", "a function, a tool, a registry or an agent"),
        ([double, double], "there is a tool named 'double' already"),
        (handoff(Agent("any", name="other")), "serve its agent instead"),
    ],
)
def test_what_cant_be_served_is_refused_before_anybody_connects(target, told):
    with pytest.raises(UsageError, match=told):
        mcp_app(target)


# --- how it ends


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("stubborn", signal.SIGINT),
        pytest.param("hangs", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("blocks", signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_it_ends_within_two_seconds_whatever_a_tool_does(name, number):
    with over_http() as (url, process), httpx2.Client() as http:
        session = http.post(url, json=INITIALIZE, headers=ACCEPT).headers["mcp-session-id"]
        headers = {**ACCEPT, "mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
        http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}
        with contextlib.suppress(httpx2.TimeoutException):
            http.post(url, json=call, headers=headers, timeout=0.3)
        with http.stream("GET", url, headers=headers, timeout=0.3) if name != "blocks" else contextlib.nullcontext():
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(5) == 128 + number
            assert time.monotonic() - began < 2
        assert "Traceback" not in process.stderr.read()


# --- what a 2026 client keeps


@pytest.fixture
def paid():
    return []


@pytest.fixture
def shop(paid):
    @tool(approval=lambda arguments: arguments["amount"] > 1)
    async def pay(amount: int) -> str:
        paid.append(amount)
        return f"paid {amount}"

    return pay


async def asked(connected, **more):
    return await connected.session.call_tool("pay", {"amount": 5}, allow_input_required=True, **more)


ALLOWED = types.ElicitResult(action="accept", content={"approve": True})


async def test_an_approval_holds_for_its_arguments_its_tool_and_one_call(shop, paid):
    with app_served([shop, double]) as url:
        async with client(url, "2026-07-28", **accepting()) as connected:
            first = await asked(connected)
            (key,) = first.input_requests
            given = {"input_responses": {key: ALLOWED}, "request_state": first.request_state}
            for name, arguments in (("pay", {"amount": 500}), ("double", {"number": 5})):
                with pytest.raises(MCPError, match="Invalid or expired requestState"):
                    await connected.session.call_tool(name, arguments, allow_input_required=True, **given)
            with pytest.raises(MCPError, match="Invalid or expired requestState"):
                await asked(connected, **{**given, "request_state": first.request_state[:-2] + "AA"})
            forged = await asked(connected, input_responses={key: ALLOWED})
            assert isinstance(forged, types.InputRequiredResult)
            assert paid == []
            assert text(await asked(connected, **given)) == "paid 5"
            again = await asked(connected, **given)
            assert (again.is_error, paid) == (True, [5])
            assert "was used before" in text(again)


async def test_a_question_that_was_not_answered_is_asked_again(shop, paid):
    with app_served(shop) as url:
        async with client(url, "2026-07-28", **accepting()) as connected:
            first = await asked(connected)
            again = await asked(connected, request_state=first.request_state)
            assert again.input_requests == first.input_requests
            assert paid == []


async def test_replicas_with_one_key_know_each_others_questions(shop, paid):
    key = "k" * 32
    with app_served(shop, state_key=key) as one, app_served(shop, state_key=key) as other:
        async with client(one, "2026-07-28", **accepting()) as connected:
            first = await asked(connected)
        (name,) = first.input_requests
        async with client(other, "2026-07-28", **accepting()) as connected:
            made = await asked(connected, input_responses={name: ALLOWED}, request_state=first.request_state)
    assert text(made) == "paid 5"


# --- the rest of the options


@pytest.mark.parametrize("era", ERAS)
async def test_who_cant_ask_the_user_may_decide_in_code(shop, paid, era):
    seen = []

    async def decide(pending):
        seen.append((pending.name, dict(pending.arguments)))
        return {5: Approve(), 6: Deny("too much"), 7: Answer("later"), 8: Approve({"amount": 1}), 9: None}[
            pending.arguments["amount"]
        ]

    with app_served(shop, on_pending=decide) as url:
        async with client(url, era) as connected:
            made = [text(await connected.call_tool("pay", {"amount": amount})) for amount in (1, 5, 6, 7, 8, 9)]
    assert made[:5] == ["paid 1", "paid 5", "Error: this call was denied: too much", "later", "paid 1"]
    assert "needs approval" in made[5]
    assert paid == [1, 5, 1]
    assert seen[0] == ("pay", {"amount": 5})


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_deps_reach_tools_and_so_does_the_request(era):
    from agentrt import Context

    def who(ctx: Context) -> str:
        return f"{ctx.deps} {current_request().request.headers['host'].split(':')[0]}"

    with pytest.raises(UsageError, match="while they run"):
        current_request()
    with app_served(who, deps="shop", name="the shop", instructions="Be kind.") as url:
        async with client(url, era) as connected:
            assert text(await connected.call_tool("who", {})) == "shop 127.0.0.1"
            assert connected.server_info.name == "the shop"
            assert connected.instructions == "Be kind."


async def test_a_tool_that_is_not_enabled_is_not_there():
    hidden = Tool(double, enabled=lambda ctx: ctx.deps == "open")
    for deps, names in (("open", ["double"]), ("shut", [])):
        with app_served(hidden, deps=deps) as url:
            async with client(url, "2026-07-28") as connected:
                assert [found.name for found in (await connected.list_tools()).tools] == names
                if not names:
                    with pytest.raises(MCPError, match="Unknown tool"):
                        await connected.call_tool("double", {"number": 1})


async def test_what_tools_dont_cover_is_added_to_the_sdks_server():
    async def list_prompts(_ctx, _params):
        return types.ListPromptsResult(prompts=[types.Prompt(name="hello")])

    def extend(server):
        server.add_request_handler("prompts/list", types.PaginatedRequestParams, list_prompts)

    with app_served(double, extend=extend) as url:
        async with client(url, "2026-07-28") as connected:
            assert [prompt.name for prompt in (await connected.list_prompts()).prompts] == ["hello"]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_an_approved_agents_run_goes_on_where_it_was(era):
    done = []

    @tool
    async def before() -> str:
        done.append("before")
        return "ready"

    @tool(approval=True)
    async def after(name: str) -> str:
        done.append(name)
        return "done"

    script = [calls(call("before")), calls(call("after", name="a")), calls(call("after", name="b")), say("All done.")]
    agent = Agent("any", name="worker", tools=[before, after], client=ScriptedModel(script))
    heard = []
    with app_served(agent) as url:
        async with client(url, era, **accepting(heard)) as connected:
            assert connected.server_info.name == "worker"
            assert text(await connected.call_tool("worker", {"task": "Go."})) == "All done."
    assert done == ["before", "a", "b"]
    assert len(heard) == 2


async def test_the_fixture_server_of_the_conformance_suite_serves_tools_and_more():
    with over_http("-m", "agentrt.testing.mcp_server", "--port", "0") as (url, _process):
        async with client(url, "2026-07-28", **accepting()) as connected:
            assert text(await connected.call_tool("test_simple_text", {})).startswith("This is a simple text")
            assert len((await connected.list_prompts()).prompts) == 5
            assert (await connected.read_resource("test://static-text")).contents[0].text
            with pytest.raises(MCPError, match="needs sampling"):
                await connected.call_tool("test_missing_capability", {})
