"""The test kit: a model in process, a clock that jumps, a network that is blocked, fixtures for pytest."""

import functools
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import httpx2
import pytest

from agentrt import Agent, Client, UsageError, tool
from agentrt.errors import (
    AuthenticationError,
    DeadlineError,
    IncompleteStreamError,
    RateLimitError,
    StatusError,
    UnreachableError,
)
from agentrt.testing import (
    FakeClock,
    NetworkBlockedError,
    ResponsesServer,
    ScriptedModel,
    call,
    calls,
    http_error,
    no_network,
    raw,
    say,
)


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


# --- ScriptedModel


async def test_a_scripted_model_is_a_client_that_plays_a_script():
    model = ScriptedModel([calls(call("add", a=1, b=2)), http_error(503, headers={"retry-after-ms": "1"}), say("3")])
    with no_network(loopback=False):
        result = await Agent("any", tools=[add], client=model).run("What is 1 + 2?")
    assert isinstance(model, Client)
    assert result.output == "3"
    assert [request.path for request in model.requests] == ["/v1/responses"] * 3
    assert model.requests[2].json["input"][-1]["output"] == "3"


async def test_a_scripted_model_and_the_server_send_the_same_bytes(serve, client_of):
    def script():
        output = calls(call("add", a=1), *say("and words").output).output
        return [calls(*output), calls(*output), http_error(404), raw(b"<html>", "text/html")]

    shared = script()
    server = serve(*shared)
    told = []
    for client in (client_of(server), ScriptedModel(shared)):
        async with client, client.stream(model="m", input="hi") as stream:
            events = [event.type async for event in stream]
        whole = await client.create(model="m", input="hi")
        errors = []
        for _ in range(2):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - both kinds are compared
                await client.create(model="m", input="hi")
            errors.append(type(caught.value))
        await client.aclose()
        clean = {name: value for name, value in whole.raw.items() if not name.endswith("_at")}
        told.append((events, clean, errors, whole.request_id))
    assert told[0] == told[1]
    first, second = [request.headers for request in server.requests][:2]
    assert first["x-client-request-id"] != second["x-client-request-id"]


async def test_a_scripted_model_streams_in_order_and_a_cut_is_a_broken_connection():
    model = ScriptedModel([say("a b c"), say("a b c", cut_after=4)], max_retries=0)
    async with model.stream(model="m", input="hi") as stream:
        types = [event.type async for event in stream]
    assert (types[0], types[-1]) == ("response.created", "response.completed")
    async with model.stream(model="m", input="hi") as stream:
        with pytest.raises((UnreachableError, IncompleteStreamError)):
            await stream.whole()
    broken = ScriptedModel([say("a", cut_after=0), say("b")])
    assert (await broken.create(model="m", input="hi")).text == "b"
    assert len(broken.requests) == 2


async def test_a_scripted_model_keeps_responses_files_and_conversations():
    model = ScriptedModel(lambda body: say(f"{len(model.context(body))} items"))
    model.files["c", "f"] = b"content"
    first = await model.create(model="m", input="one")
    second = await model.create(model="m", input="two", previous_response_id=first.id)
    assert (first.text, second.text) == ("1 items", "3 items")
    assert await model.container_file("c", "f") == b"content"
    conversation = await model.conversations.create()
    assert model.context(conversation.id) == []
    model.forget()
    with pytest.raises(StatusError):
        await model.retrieve(first.id)


async def test_the_background_response_of_a_scripted_model_is_taken_up_where_its_stream_was_cut():
    model = ScriptedModel([say("A long answer, in many pieces.", cut_after=(5, 2)), say("Done.", polls=1)])
    async with model.stream(model="m", input="hi", background=True) as stream:
        numbers = [event.sequence_number async for event in stream]
    assert numbers == list(range(len(numbers)))
    assert [request.method for request in model.requests] == ["POST", "GET", "GET"]
    assert (await model.wait(await model.create(model="m", input="hi", background=True))).text == "Done."


async def test_many_requests_to_a_scripted_model_run_at_the_same_time():
    model = ScriptedModel(lambda body: say(body["input"], delay=0.05))
    answers = []

    async def ask(number):
        answers.append((await model.create(model="m", input=f"{number}")).text)

    with anyio.fail_after(3):
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(ask, number)
    assert sorted(map(int, answers)) == list(range(100))


def test_a_scripted_model_works_from_sync_code_and_on_one_event_loop_after_the_other():
    model = ScriptedModel(lambda body: say("hi"))
    agent = Agent("any", client=model)
    assert agent.run_sync("x").output == "hi"
    for backend in ("asyncio", "trio"):
        assert anyio.run(agent.run, "x", backend=backend).output == "hi"
    assert len(model.requests) == 3


async def test_a_scripted_model_sends_its_key_and_insists_on_it():
    model = ScriptedModel([say("a")], api_key="the-right-key")
    with pytest.raises(AuthenticationError):
        await model.create(model="m", input="hi", extra_headers={"authorization": "Bearer wrong"})
    assert (await model.create(model="m", input="hi")).text == "a"
    assert model.requests[1].headers["authorization"] == "Bearer the-right-key"
    asked = ScriptedModel([say("a")], api_key=lambda: "a-fresh-key")
    await asked.create(model="m", input="hi")
    assert asked.requests[0].headers["authorization"] == "Bearer a-fresh-key"
    with pytest.raises(UsageError, match="http_client"):
        ScriptedModel([], http_client=None)


# --- FakeClock


def on_fake_time(backend, function, *args):
    """Give what it returned, the seconds that it took, and hold that it didn't really take them."""
    clock, start = FakeClock(), time.perf_counter()
    returned = clock.run(function, *args, backend=backend)
    assert time.perf_counter() - start < 2
    return returned, clock.now


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_a_long_sleep_is_over_at_once(backend):
    async def nap(seconds):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, seconds / 2)
            await anyio.sleep(seconds)
        return "awake"

    assert on_fake_time(backend, nap, 3600.0) == ("awake", pytest.approx(3600))


@BACKENDS
def test_a_retry_waits_as_long_as_the_server_says_without_anybody_waiting(backend):
    model = ScriptedModel([http_error(429, headers={"retry-after": "30"}), say("a")])
    returned, took = on_fake_time(backend, functools.partial(model.create, model="m", input="hi"))
    assert returned.text == "a"
    assert took == pytest.approx(30, abs=0.5)


@BACKENDS
def test_the_whole_timeout_and_the_idle_timeout_follow_the_fake_clock(backend):
    async def late(seconds):
        with pytest.raises(DeadlineError):
            await ScriptedModel(lambda _: say("a", delay=1000)).create(model="m", input="hi", timeout=seconds)

    async def silent():
        model = ScriptedModel([say("a", pause=1000)], idle_timeout=50, max_retries=0)
        async with model.stream(model="m", input="hi") as stream:
            with pytest.raises(UnreachableError, match="50 seconds"):
                await stream.whole()

    async def refused():
        model = ScriptedModel(lambda _: http_error(429, headers={"retry-after": "40"}), timeout=100)
        with pytest.raises(RateLimitError):
            await model.create(model="m", input="hi")

    assert on_fake_time(backend, late, 300)[1] == pytest.approx(300)
    assert on_fake_time(backend, silent)[1] == pytest.approx(50)
    assert on_fake_time(backend, refused)[1] == pytest.approx(80)


@BACKENDS
def test_polling_a_background_response_follows_the_fake_clock(backend):
    async def poll():
        model = ScriptedModel([say("a", polls=20)])
        response = await model.create(model="m", input="hi", background=True)
        with pytest.raises(DeadlineError):
            await model.wait(response, timeout=10)
        return (await model.wait(response)).text

    returned, took = on_fake_time(backend, poll)
    assert returned == "a"
    assert took > 25


@BACKENDS
def test_time_stands_still_while_a_sync_tool_runs(backend):
    clock = FakeClock()
    seen = []

    @tool(timeout=5)
    def slow() -> str:
        """Work for a while."""
        before = clock.now
        time.sleep(0.2)
        seen.append(clock.now - before)
        return "done"

    async def work():
        model = ScriptedModel([calls(call("slow"), call("slow")), say("ok", delay=100)])
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 3600)
            result = await Agent("any", tools=[slow], client=model).run("go")
            group.cancel_scope.cancel()
        return model.requests[1].json["input"][-1]["output"], result.output

    assert clock.run(work, backend=backend) == ("done", "ok")
    assert seen == [0, 0]
    assert clock.now == pytest.approx(100, abs=1)


@BACKENDS
def test_what_fails_under_a_fake_clock_is_raised_and_the_clock_can_run_again(backend):
    clock = FakeClock()

    async def fail():
        await anyio.sleep(7)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        clock.run(fail, backend=backend)
    assert clock.now == pytest.approx(7)
    clock.run(anyio.sleep, 3, backend=backend)
    assert clock.now == pytest.approx(3)
    with pytest.raises(UsageError, match="backend"):
        clock.run(fail, backend="curio")


# --- no_network


async def test_no_network_lets_loopback_through_and_nothing_else(serve, client_of):
    with no_network():
        async with client_of(serve(say("a"))) as client:
            assert (await client.create(model="m", input="hi")).text == "a"
        for host in ("192.0.2.1", "api.example.com", "2001:db8::1"):
            address = f"[{host}]" if ":" in host else host
            async with Client(base_url=f"http://{address}:8000/v1") as away:
                with pytest.raises(NetworkBlockedError, match="ResponsesServer") as caught:
                    await away.create(model="m", input="hi")
            assert (caught.value.host, caught.value.port) == (host, 8000)


async def test_no_network_can_block_loopback_too(serve, client_of):
    server = serve(say("a"))
    async with client_of(server) as client:
        with no_network(loopback=False), pytest.raises(NetworkBlockedError, match=r"127\.0\.0\.1"):
            await client.create(model="m", input="hi")
        assert (await client.create(model="m", input="hi")).text == "a"


def test_no_network_holds_for_plain_sockets_and_lookups_and_ends_with_its_block():
    methods = dict(vars(socket.socket))
    functions = {name: getattr(socket, name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")}
    with no_network():
        with no_network(loopback=False), pytest.raises(NetworkBlockedError):
            socket.getaddrinfo("localhost", 80)
        assert socket.getaddrinfo("localhost", 80)
        assert socket.gethostbyname("127.0.0.1") == "127.0.0.1"
        for blocked in (socket.gethostbyname, socket.gethostbyname_ex, lambda name: socket.getaddrinfo(name, "http")):
            with pytest.raises(NetworkBlockedError, match=r"example\.com"):
                blocked("example.com")
        with socket.socket() as plain:
            for connect in (plain.connect, plain.connect_ex):
                with pytest.raises(NetworkBlockedError):
                    connect(("198.51.100.7", 443))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            with pytest.raises(NetworkBlockedError):
                datagrams.sendto(b"x", ("198.51.100.7", 53))
            with pytest.raises(NetworkBlockedError):
                datagrams.sendmsg([b"x"], [], 0, ("198.51.100.7", 53))
        with pytest.raises(NetworkBlockedError), httpx2.Client(trust_env=False) as http:
            http.get("http://198.51.100.7/")
    assert dict(vars(socket.socket)) == methods
    assert {name: getattr(socket, name) for name in functions} == functions


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no unix sockets")
def test_no_network_leaves_unix_sockets_free():
    with no_network(loopback=False):
        one, other = socket.socketpair()
        with one, other, socket.socket(socket.AF_UNIX) as lonely:
            one.sendall(b"x")
            assert other.recv(1) == b"x"
            with pytest.raises(FileNotFoundError):
                lonely.connect("/nonexistent/socket")


def test_no_network_holds_in_other_threads_and_when_blocks_overlap():
    first, second = no_network(), no_network(loopback=False)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    caught = []

    def look_up():
        try:
            socket.getaddrinfo("localhost", 80)
        except NetworkBlockedError as error:
            caught.append(error)

    thread = threading.Thread(target=look_up)
    thread.start()
    thread.join()
    second.__exit__(None, None, None)
    assert len(caught) == 1
    assert socket.getaddrinfo("localhost", 80)


# --- the plugin

TESTS = """
import os
import socket
import pytest
from agentrt import Agent, Client
from agentrt.testing import NetworkBlockedError, say

URL = os.environ.get("SERVER")


class TestAgent:
    @pytest.mark.parametrize("word", ["one", "two/three"])
    def test_it_answers(self, cassette, word):
        options = {"base_url": URL, "api_key": "a-secret-key"} if cassette.records else {}
        assert Agent("any", client=cassette.client(**options)).run_sync(word).output == "hi"


def test_it_fails(cassette):
    if cassette.records:
        Agent("any", client=cassette.client(base_url=URL)).run_sync("x")
    assert os.environ.get("PASS")


def test_the_network_is_blocked(no_network, responses_server):
    server = responses_server([say("served")])
    assert Agent("any", client=Client(base_url=server.url)).run_sync("x").output == "served"
    with pytest.raises(NetworkBlockedError):
        socket.create_connection(("198.51.100.7", 80))
"""


def test_the_plugin_records_once_and_replays_from_then_on(tmp_path, monkeypatch):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["agentrt.testing.plugin"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "test_agent.py").write_text(TESTS)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))

    def pytest_says(*options):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
        return done.stdout + done.stderr

    folder = tmp_path / "cassettes" / "test_agent"
    assert "3 failed, 1 passed" in pytest_says("--agentrt-cassettes=replay")  # nothing is there to be replayed
    assert not folder.exists()
    with ResponsesServer(lambda _: say("hi")) as server:
        monkeypatch.setenv("SERVER", server.url)
        assert "1 failed, 3 passed" in pytest_says()
        assert len(server.requests) == 3
        names = sorted(path.name for path in folder.iterdir())
        assert len(names) == 2  # none for the test that failed
        assert names[0] == "TestAgent.test_it_answers[one].json"
        assert names[1].startswith("TestAgent.test_it_answers[two_three]-")
        assert "a-secret-key" not in (folder / names[0]).read_text()
        monkeypatch.setenv("CI", "true")
        monkeypatch.setenv("PASS", "1")
        assert "4 passed" in pytest_says()
        assert len(server.requests) == 3
        assert "4 passed" in pytest_says("--agentrt-cassettes=record")
        assert len(server.requests) == 6
    monkeypatch.delenv("SERVER")
    assert "2 passed" in pytest_says("-k", "answers")
