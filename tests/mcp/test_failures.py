"""The table of failures: whatever a server does, there is a typed error or an output in time, and neighbours go on."""

import time

import anyio
import pytest

from agentrt import AgentrtError, MCPServer
from agentrt.bridges.mcp.endpoint import OAuth
from agentrt.errors import DeadlineError, UnreachableError, WireError
from tests.mcp.parts import rogue

CONNECTING = {
    "exit": UnreachableError,
    "crash-init": UnreachableError,
    "crash-list": UnreachableError,
    "hang-init": DeadlineError,
    "hang-list": DeadlineError,
    "huge-init": WireError,
    "huge-list": WireError,
}
CALLING = {
    "crash-call": UnreachableError,
    "hang-call": DeadlineError,
    "huge-call": WireError,
    "wrong-ids": DeadlineError,
    "close-stdout": UnreachableError,
    "deaf": DeadlineError,
    "result-no-object": AgentrtError,
}
WORKING = [
    "good",
    "garbage",
    "not-utf8",
    "half-characters",
    "endless-pages",
    "repeated-cursor",
    "duplicate-ids",
    "bad-schemas",
    "content-unknown",
    "content-missing",
    "content-no-list",
    "content-broken",
    "structured-missing",
    "structured-wrong",
    "many-tools",
    "list-changes",
    "rug-pull",
    "invisible",
    "ignore-end",
    "loud",
    "weird-names",
]


async def neighbour_works(neighbour):
    assert (await neighbour.call("add", {"a": 1, "b": 2}))["content"] == [{"type": "text", "text": "3"}]


@pytest.mark.parametrize("mode", CONNECTING)
async def test_a_server_that_fails_while_it_connects_is_a_typed_error_in_time(mode):
    server = rogue(mode, close_timeout=0.3)
    async with rogue("good", name="neighbour") as neighbour:
        began = time.monotonic()
        with pytest.raises(CONNECTING[mode]) as caught:
            await server.__aenter__()
        assert time.monotonic() - began < 2.0 + 0.5 + 0.6
        assert "rogue" in str(caught.value)
        assert server.state == "closed"
        await neighbour_works(neighbour)


@pytest.mark.parametrize("mode", CALLING)
async def test_a_server_that_fails_in_a_call_is_a_typed_error_in_time(mode):
    async with rogue("good", name="neighbour") as neighbour, rogue(mode, close_timeout=0.3) as server:
        began = time.monotonic()
        with pytest.raises(CALLING[mode]) as caught:
            await server.call("echo", {"text": "x"})
        assert time.monotonic() - began < 1.0 + 0.5
        assert "rogue" in str(caught.value)
        await neighbour_works(neighbour)


@pytest.mark.parametrize("mode", WORKING)
async def test_what_a_server_does_wrong_beside_its_answers_costs_nothing(mode):
    more = {"call_timeout": 10.0, "connect_timeout": 20.0} if mode == "many-tools" else {}
    async with rogue(mode, close_timeout=0.3, **more) as server:
        result = await server.call("add", {"a": 1, "b": 2})
        assert isinstance(result["content"], list)
        assert server.state == "ready"


async def test_options_that_only_fail_when_a_server_is_opened_are_an_error_and_no_wait():
    server = MCPServer.http("http://127.0.0.1:9/mcp", auth=OAuth(scopes=[7]))
    with anyio.fail_after(5), pytest.raises(AgentrtError):
        await server.__aenter__()
    assert server.state == "closed"
