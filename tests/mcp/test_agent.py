"""An agent with the tools of MCP servers."""

import json
import sys
from pathlib import Path

import anyio
import pytest

from agentrt import Agent, Answer, Approve, Deny, MCPServer, UsageError, tool
from agentrt.errors import UnreachableError
from agentrt.testing import call, calls, say
from tests.mcp import asking
from tests.mcp.parts import is_running, rogue

OLD, NEW = "2025-11-25", "2026-07-28"


def outputs(server, request=-1):
    return [item["output"] for item in server.requests[request].json["input"] if item["type"] == "function_call_output"]


def names(server, request=0):
    return [tool["name"] for tool in server.requests[request].json.get("tools", [])]


async def test_the_tools_of_a_server_are_called_and_a_bad_server_costs_nothing(script):
    server = script(calls(call("files__add", a=1, b=2), call("files__echo", text="hi"), call("files__ad")), say("done"))
    bad = MCPServer.stdio("there-is-no-such-command", name="bad")
    agent = Agent("m", tools=[rogue("good", name="files"), bad])
    async with agent.stream("go") as run:
        told = [event async for event in run]
    assert run.result.text == "done"
    added, echoed, unknown = outputs(server)
    assert (added, echoed) == ("3", "hi")
    assert "did you mean" in unknown
    states = {event.name: event.problem for event in told if event.type == "mcp.server"}
    assert states["files"] is None
    assert "there-is-no-such-command" in states["bad"]
    assert "files__pid" in names(server)


async def test_a_server_lives_for_a_run_or_as_long_as_somebody_holds_it(script):
    server = script(*[calls(call("files__pid")), say("done")] * 3)
    agent = Agent("m", tools=[rogue("good", name="files")])
    await agent.run("go")
    first = int(outputs(server)[0])
    assert not is_running(first)
    async with agent:
        await agent.run("go")
        second = int(outputs(server)[0])
        assert is_running(second)
        await agent.run("go")
        assert int(outputs(server)[0]) == second
    assert not is_running(second)


async def test_a_server_is_left_from_another_task_twice_and_while_it_connects():
    server = rogue("good")
    await server.__aenter__()
    async with anyio.create_task_group() as group:
        group.start_soon(server.__aexit__, None, None, None)
    await server.__aexit__(None, None, None)
    assert server.state == "closed"
    slow = rogue("hang-init")
    slow.hold()
    assert slow.state in ("closed", "connecting")
    await slow.release()
    assert slow.state == "closed"
    async with server, server:
        assert server.state == "ready"
    assert server.state == "closed"


def test_a_sync_run_works_twice_in_a_row(script):
    server = script(*[calls(call("files__add", a=1, b=2)), say("done")] * 2)
    agent = Agent("m", tools=[rogue("good", name="files")])
    assert agent.run_sync("go").text == "done"
    assert agent.run_sync("go").text == "done"
    assert outputs(server) == ["3"]


async def test_a_cancelled_run_ends_its_servers_at_once(script):
    script(calls(call("files__echo", text="x")), say("done"))
    files = rogue("hang-call", name="files", call_timeout=30.0, close_timeout=0.3)
    agent = Agent("m", tools=[files])
    with anyio.fail_after(3):
        async with agent.stream("go") as run:
            async for event in run:
                if event.type == "tool.started":
                    run.cancel()
    assert run.result.status == "cancelled"
    assert files.state == "closed"


async def test_tools_are_filtered_renamed_and_named_without_prefix(script):
    @tool
    def echo() -> str:
        """Ours."""
        return "ours"

    server = script(say("done"))
    files = rogue("good", name="files", allow=["add", "e*"], deny=["environment"], rename={"add": "sum"}, prefix=False)
    await Agent("m", tools=[echo, files]).run("go")
    assert names(server) == ["echo", "sum", "files__echo"]


async def test_tools_stand_in_a_namespace(script):
    server = script(calls(call("add", a=1, b=2, namespace="files")), say("done"))
    files = rogue("good", name="files", allow=["add"], namespace=True)
    await Agent("m", tools=[files]).run("go")
    (space,) = server.requests[0].json["tools"]
    assert (space["type"], space["name"], [each["name"] for each in space["tools"]]) == ("namespace", "files", ["add"])


async def test_many_tools_stand_behind_two(script):
    server = script(
        calls(call("files__find_tools", query="adding numbers")),
        calls(
            call("files__call_tool", name="files__add", arguments={"a": 1, "b": 2}),
            call("files__call_tool", name="files__add", arguments={"a": "one"}),
            call("files__call_tool", name="files__nope", arguments={}),
        ),
        say("done"),
    )
    files = rogue("good", name="files", search=True)
    await Agent("m", tools=[files]).run("go")
    assert names(server) == ["files__find_tools", "files__call_tool"]
    found, added, wrong, unknown = outputs(server)
    assert json.loads(found)[0]["name"] == "files__add"
    assert added == "3"
    assert "`a`" in wrong
    assert "did you mean" in unknown


async def test_a_call_behind_a_search_asks_for_approval_by_the_tool_it_calls(script):
    server = script(calls(call("files__call_tool", name="files__add", arguments={"a": 1, "b": 2})), say("done"))
    agent = Agent("m", tools=[rogue("good", name="files", search=True, approval=["add"])])
    result = await agent.run("go")
    (pending,) = result.pending
    await agent.resume(result.state, {pending.id: Approve()})
    assert outputs(server) == ["3"]


async def test_a_list_that_changes_is_used_from_the_next_turn_on(script):
    files = rogue("list-changes", name="files")
    async with files:
        before = [name for name in files.tools if name != "files__late"]
        with anyio.fail_after(5):
            while "files__late" not in files.tools:
                await files.call("add", {"a": 1, "b": 2})
        server = script(say("done"))
        await Agent("m", tools=[files]).run("go")
        assert names(server) == [*before, "files__late"]


async def test_names_that_mean_no_tool_are_told_and_prefixed_ones_are_taken(script):
    script(say("done"))
    files = rogue("good", name="files", deny=["files__die", "nope"], approval=["files__add", "wrte_*"])
    async with files:
        assert "files__die" not in files.tools
        assert files.tools["files__add"].approval is True
        assert files.tools["files__echo"].approval is False
        told = "\n".join(files.notes)
        assert "deny= names 'nope'" in told
        assert "approval= names 'wrte_*'" in told


async def test_two_tools_that_are_renamed_alike_are_both_there(script):
    async with rogue("good", name="files", rename={"add": "echo", "die": "end", "big": "end"}) as files:
        assert {"files__add", "files__echo", "files__end", "files__big"} <= set(files.tools)
        assert files.tools["files__add"].original == "add"
        assert sum("keeps its name" in note for note in files.notes) == 2


async def test_wrong_arguments_never_reach_the_server(script):
    server = script(calls(call("files__add", a="one"), call("files__add", b=2)), say("done"))
    await Agent("m", tools=[rogue("good", name="files")]).run("go")
    first, second = outputs(server)
    assert "`a`" in first
    assert "`a` is required" in second


async def test_an_mcp_call_that_needs_approval_waits_and_is_resumed_elsewhere(script):
    server = script(calls(call("files__add", a=1, b=2), call("files__echo", text="hi")), say("done"))

    def agent():
        return Agent("m", tools=[rogue("good", name="files", approval=["add"])])

    result = await agent().run("go")
    (pending,) = result.pending
    assert (result.status, pending.name, dict(pending.arguments)) == ("pending", "files__add", {"a": 1, "b": 2})
    result = await agent().resume(result.state.to_json(), {pending.id: Approve()})
    assert result.text == "done"
    assert outputs(server) == ["3", "hi"]


@pytest.mark.parametrize("way", ["in process", "stdio"])
async def test_a_new_server_asks_by_a_pending_that_may_be_answered_elsewhere(script, way):
    server = script(calls(call("asking__order", item="tea")), say("done"))

    def agent():
        source = (
            MCPServer.in_process(asking.server, name="asking", protocol=NEW)
            if way == "in process"
            else MCPServer.stdio(sys.executable, str(Path(asking.__file__)), name="asking", protocol=NEW)
        )
        return Agent("m", tools=[source])

    result = await agent().run("go")
    (pending,) = result.pending
    assert (result.status, pending.kind) == ("pending", "elicitation")
    assert "Where does the tea go?" in pending.text
    assert pending.arguments["properties"]["street"] == {"type": "string"}
    state = result.state.to_json()
    assert "street (string, required)" in pending.text
    with pytest.raises(UsageError, match="Answer"):
        await agent().resume(state, {pending.id: Answer("High Street")})
    with pytest.raises(UsageError, match="'street'"):
        await agent().resume(state, {pending.id: Approve()})
    result = await agent().resume(state, {pending.id: Answer({"street": "High Street"})})
    assert (result.status, outputs(server)) == ("completed", ["tea to High Street, gift=False"])
    assert json.loads(state)["version"] == 4


async def test_a_question_that_is_denied_declines(script):
    server = script(calls(call("asking__order", item="tea")), say("done"))
    source = MCPServer.in_process(asking.server, name="asking", protocol=NEW)
    agent = Agent("m", tools=[source])
    result = await agent.run("go", on_pending=lambda pending: Deny())
    assert (result.status, outputs(server)) == ("completed", ["not ordered: decline"])


async def test_an_older_server_asks_live_and_is_declined_where_there_is_nobody(script):
    server = script(*[calls(call("asking__order", item="tea")), say("done")] * 2)
    source = MCPServer.in_process(asking.server, name="asking", protocol=OLD)
    agent = Agent("m", tools=[source])
    seen = []

    def decide(pending):
        seen.append(pending)
        return Answer({"street": "High Street", "gift": True})

    result = await agent.run("go", on_pending=decide)
    assert (result.status, outputs(server)) == ("completed", ["tea to High Street, gift=True"])
    assert [pending.kind for pending in seen] == ["elicitation"]
    await agent.run("go")
    assert outputs(server) == ["not ordered: decline"]


async def test_a_question_of_an_older_server_goes_to_nobody_who_may_be_the_wrong_one(script):
    asked = [call("asking__order", item="tea"), call("asking__order", item="milk")]
    server = script(calls(*asked), calls(*asked), say("done"))
    agent = Agent("m", tools=[MCPServer.in_process(asking.server, name="asking", protocol=OLD)])
    seen = []

    def decide(pending):
        seen.append(pending.call_id)
        return Answer({"street": "High Street"})

    await agent.run("go", on_pending=decide)
    first, second = outputs(server)[:2], outputs(server)[2:]
    assert "not ordered: decline" in first
    assert second == ["tea to High Street, gift=False", "milk to High Street, gift=False"]
    assert len(set(seen)) >= 2


async def test_a_run_whose_server_is_away_is_not_taken_up(script):
    server = script(calls(call("files__add", a=1, b=2)), say("done"))
    result = await Agent("m", tools=[rogue("good", name="files", approval=["add"])]).run("go")
    (pending,) = result.pending
    away = Agent("m", tools=[rogue("exit", name="files", approval=["add"])])
    for decisions in ({pending.id: Approve()}, None):
        with pytest.raises(UnreachableError, match="resume when it is there again"):
            await away.resume(result.state, decisions)
    there = Agent("m", tools=[rogue("good", name="files", approval=["add"])])
    result = await there.resume(result.state, {pending.id: Approve()})
    assert (result.status, outputs(server)) == ("completed", ["3"])


@pytest.mark.parametrize("protocol", [OLD, NEW])
async def test_progress_of_a_server_is_progress_of_the_run(script, protocol):
    script(calls(call("asking__count")), say("done"))
    source = MCPServer.in_process(asking.server, name="asking", protocol=protocol)
    async with Agent("m", tools=[source]).stream("go") as run:
        told = [(event.fraction, event.message) async for event in run if event.type == "tool.progress"]
    assert told == [(1 / 3, "at 1"), (2 / 3, "at 2"), (1.0, "at 3")]
