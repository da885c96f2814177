import json
import time
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client._memory import InMemoryTransport
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

from agentrt.bridges.mcp.endpoint import HttpEndpoint
from agentrt.bridges.mcp.http import HttpTransport
from agentrt.bridges.mcp.sanitise import Flight, Sanitised, in_flight
from tests.mcp.rogue_http import Rogue, real_server, serving

GOOD = {"name": "good", "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}
HELLO = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
        "serverInfo": {"name": "s", "version": "0"},
    },
    "server/discover": {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
    },
}


class Scripted:
    """A transport to a server that answers each method with what a table says: a result, or a function of the request."""

    def __init__(self, results):
        self.results = {**HELLO, **results}

    async def __aenter__(self):
        self._cm = self._open()
        return await self._cm.__aenter__()

    async def __aexit__(self, *_):
        await self._cm.__aexit__(None, None, None)

    @asynccontextmanager
    async def _open(self):
        self.out, read = anyio.create_memory_object_stream(100)
        write, self.inbox = anyio.create_memory_object_stream(100)
        async with anyio.create_task_group() as group, self.out, read, write, self.inbox:
            group.start_soon(self._serve)
            yield read, write
            group.cancel_scope.cancel()

    async def _serve(self):
        async for item in self.inbox:
            message = item.message
            if isinstance(message, JSONRPCRequest):
                answer = self.results.get(message.method, {})
                if callable(answer):
                    await answer(self, message)
                else:
                    await self.say(JSONRPCResponse(jsonrpc="2.0", id=message.id, result=answer))

    async def say(self, message):
        await self.out.send(message if isinstance(message, Exception) else SessionMessage(message))


@asynccontextmanager
async def connected(results, era="2025-11-25", on_end=lambda: None):
    way = Sanitised(Scripted(results), name="files", on_end=on_end)
    mode = "2026-07-28" if era == "2026-07-28" else "legacy"
    with anyio.fail_after(20):
        async with Client(way, mode=mode, cache=None) as client:
            yield client, way


ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])

BAD_TOOLS = {
    "empty schema": ({"name": "x", "inputSchema": {}}, True),
    "no schema": ({"name": "x"}, True),
    "null schema": ({"name": "x", "inputSchema": None}, True),
    "boolean schema": ({"name": "x", "inputSchema": True}, True),
    "list schema": ({"name": "x", "inputSchema": []}, True),
    "text schema": ({"name": "x", "inputSchema": "object"}, True),
    "other type": ({"name": "x", "inputSchema": {"type": "string"}}, True),
    "types": ({"name": "x", "inputSchema": {"type": ["object", "null"]}}, True),
    "bad properties": ({"name": "x", "inputSchema": {"type": "object", "properties": 5}}, True),
    "bad required": ({"name": "x", "inputSchema": {"type": "object", "required": "a"}}, True),
    "output schema": ({"name": "x", "inputSchema": {"type": "object"}, "outputSchema": 5}, True),
    "output schema null": ({"name": "x", "inputSchema": {"type": "object"}, "outputSchema": None}, True),
    "description": ({"name": "x", "inputSchema": {"type": "object"}, "description": 5}, True),
    "title": ({"name": "x", "inputSchema": {"type": "object"}, "title": ["t"]}, True),
    "annotations": ({"name": "x", "inputSchema": {"type": "object"}, "annotations": "read-only"}, True),
    "hints": ({"name": "x", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": {}}}, True),
    "icons": ({"name": "x", "inputSchema": {"type": "object"}, "icons": [{"no": "src"}]}, True),
    "meta": ({"name": "x", "inputSchema": {"type": "object"}, "_meta": []}, True),
    "no name": ({"inputSchema": {"type": "object"}}, False),
    "empty name": ({"name": "", "inputSchema": {"type": "object"}}, False),
    "number name": ({"name": 5, "inputSchema": {"type": "object"}}, False),
    "long name": ({"name": "x" * 1000, "inputSchema": {"type": "object"}}, False),
    "null": (None, False),
    "text": ("x", False),
    "list": ([], False),
    "same name": ({**GOOD, "description": "another"}, False),
    "too big": ({"name": "x", "inputSchema": {"type": "object", "description": "d" * 300_000}}, False),
    "too deep": ({"name": "x", "inputSchema": {"type": "object", "x": json.loads("[" * 100 + "]" * 100)}}, False),
    "far too deep": ({"name": "x", "inputSchema": {"type": "object", "x": eval("[" * 90 + "]" * 90)}}, False),
}


@ERAS
@pytest.mark.parametrize("case", BAD_TOOLS)
async def test_one_bad_tool_costs_no_other(era, case):
    bad, kept = BAD_TOOLS[case]
    before = json.dumps(bad)
    async with connected({"tools/list": {"tools": [GOOD, bad, {**GOOD, "name": "last"}]}}, era) as (client, way):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == (["good", "x", "last"] if kept else ["good", "last"])
        assert way.raw_tools["good"] == GOOD
        assert tools["good"].input_schema == GOOD["inputSchema"]
        assert json.dumps(bad) == before
        assert ("x" in way.raw_tools) is kept
        if kept:
            assert way.raw_tools["x"] is bad
            assert tools["x"].input_schema["type"] == "object"
            assert tools["x"].output_schema is None
        assert way.problems or (era == "2026-07-28" and case in ("bad properties", "bad required"))


@ERAS
async def test_good_tools_pass_as_they_are_and_outputs_are_not_the_sdk_s_to_check(era):
    tool = {
        **GOOD,
        "title": "Good",
        "description": "d",
        "annotations": {"readOnlyHint": True},
        "outputSchema": {"type": "object"},
        "_meta": {"x": 1},
    }
    async with connected({"tools/list": {"tools": [tool]}, "tools/call": {"content": []}}, era) as (client, way):
        (seen,) = (await client.list_tools()).tools
        assert (seen.title, seen.description, seen.annotations.read_only_hint, seen.meta) == (
            "Good",
            "d",
            True,
            {"x": 1},
        )
        assert way.raw_tools == {"good": tool}
        assert way.problems == []
        assert (await client.call_tool("good", {})).content == []


@ERAS
@pytest.mark.parametrize("tools", [None, {}, "x", 5])
async def test_a_list_that_is_none_is_empty(era, tools):
    async with connected({"tools/list": {"tools": tools}}, era) as (client, way):
        assert (await client.list_tools()).tools == []
        assert way.problems == ["tools/list came without a list of tools"]


@ERAS
async def test_a_bad_field_of_a_whole_list_costs_no_tool(era):
    bad = {
        "tools": [GOOD],
        "nextCursor": 5,
        "_meta": "x",
        "ttlMs": "soon",
        "cacheScope": "mine",
        "resultType": "complete",
    }
    async with connected({"tools/list": bad}, era) as (client, _):
        page = await client.list_tools()
        assert [tool.name for tool in page.tools] == ["good"]
        assert page.next_cursor is None


async def test_a_page_is_bounded():
    tools = [{**GOOD, "name": f"t{number}"} for number in range(10_050)]
    async with connected({"tools/list": {"tools": tools}}) as (client, way):
        assert len((await client.list_tools()).tools) == 10_000
        assert "10050 entries" in way.problems[0]


PNG = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
BLOCKS = {
    "unknown": ({"type": "hologram", "x": 1}, '{"type":"hologram","x":1}'),
    "no type": ({"txt": "x"}, '{"txt":"x"}'),
    "null": (None, "null"),
    "plain text": ("x", '"x"'),
    "number text": ({"type": "text", "text": 5}, '{"type":"text","text":5}'),
    "no data": ({"type": "image", "mimeType": "image/png"}, '{"type":"image","mimeType":"image/png"}'),
    "bad resource": ({"type": "resource", "resource": {"uri": 5}}, '{"type":"resource","resource":{"uri":5}}'),
    "long": ({"type": "x", "x": "y" * 20_000}, "more characters]"),
}


@ERAS
@pytest.mark.parametrize("case", BLOCKS)
async def test_a_block_that_is_none_becomes_text(era, case):
    block, told = BLOCKS[case]
    async with connected({"tools/call": {"content": [{"type": "text", "text": "a"}, block, PNG]}}, era) as (
        client,
        way,
    ):
        first, second, third = (await client.session.call_tool("x", {})).content
        assert (first.text, third.mime_type) == ("a", "image/png")
        assert told in second.text
        assert len(second.text) < 10_100
        assert way.problems


@ERAS
async def test_of_a_block_the_fields_that_fit_are_kept(era):
    block = {"type": "text", "text": "a", "annotations": {"audience": ["everyone"]}, "_meta": {"k": 1}}
    async with connected({"tools/call": {"content": [block]}}, era) as (client, _):
        (seen,) = (await client.session.call_tool("x", {})).content
        assert (seen.text, seen.annotations, seen.meta) == ("a", None, {"k": 1})


@ERAS
@pytest.mark.parametrize(
    "result",
    [
        {},
        {"content": None},
        {"content": "x"},
        {"structuredContent": {"a": 1}},
        {"content": [], "isError": "no"},
        {"content": [], "_meta": 5},
    ],
)
async def test_a_result_without_content_is_one(era, result):
    async with connected({"tools/call": result}, era) as (client, _):
        seen = await client.session.call_tool("x", {})
        assert seen.content == []
        assert seen.structured_content == result.get("structuredContent")


@ERAS
@pytest.mark.parametrize("value", [{"a": 1}, [1], "x", 5, False, None])
async def test_structured_content_is_kept(era, value):
    result = {"content": [{"type": "text", "text": "a"}], "structuredContent": value}
    async with connected({"tools/call": result}, era) as (client, _):
        seen = await client.session.call_tool("x", {})
        assert seen.content[0].text == "a"
        if era == "2026-07-28" or isinstance(value, dict):
            assert seen.structured_content == value


async def test_other_lists_lose_only_the_bad_entry():
    results = {
        "resources/list": {"resources": [{"uri": "a:b", "name": "a", "size": "big"}, {"name": "no uri"}, 5]},
        "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "a:{b}", "name": "a"}, {"uriTemplate": 5}]},
        "prompts/list": {"prompts": [{"name": "a", "arguments": [{"name": 5}]}, {}, {"name": "b"}]},
        "resources/read": {"contents": [{"uri": "a:b", "text": "t"}, {"uri": "a:b"}, {"uri": "a:b", "blob": "aGk=", "mimeType": 5}]},
        "prompts/get": {"messages": [{"role": "user", "content": {"type": "text", "text": "a"}}, {"role": "user", "content": {"type": "odd"}}, {"role": "boss", "content": {}}, 5]},
    }  # fmt: skip
    for era in ("2025-11-25", "2026-07-28"):
        async with connected(results, era) as (client, way):
            assert [(one.name, one.size) for one in (await client.list_resources()).resources] == [("a", None)]
            assert [one.name for one in (await client.list_resource_templates()).resource_templates] == ["a"]
            assert [one.name for one in (await client.list_prompts()).prompts] == ["a", "b"]
            assert len((await client.read_resource("a:b")).contents) == 2
            messages = (await client.get_prompt("a")).messages
            assert [one.content.text for one in messages] == ["a", '{"type":"odd"}']
            assert len(way.problems) == 11


async def test_answers_that_nobody_waits_for_are_dropped():
    async def twice(server, request):
        for number in (99, request.id, request.id):
            await server.say(
                JSONRPCResponse(jsonrpc="2.0", id=number, result={"content": [{"type": "text", "text": "a"}]})
            )
        await server.say(JSONRPCError(jsonrpc="2.0", id=None, error={"code": 1, "message": "x"}))
        await server.say(JSONRPCError(jsonrpc="2.0", id="other", error={"code": 1, "message": "x"}))

    async with connected({"tools/call": twice}) as (client, way):
        for _ in range(3):
            assert (await client.session.call_tool("x", {})).content[0].text == "a"
        await client.list_resources()
        assert sum("nothing waits for one with the id" in problem for problem in way.problems) >= 4


async def test_an_id_that_comes_back_as_text_is_known():
    async def as_text(server, request):
        await server.say(JSONRPCResponse(jsonrpc="2.0", id=str(request.id), result={"content": []}))

    async with connected({"tools/call": as_text}) as (client, _):
        assert (await client.session.call_tool("x", {})).content == []


async def test_a_call_that_was_given_up_is_waited_for_no_more():
    async def late(server, request):
        await anyio.sleep(0.2)
        await server.say(JSONRPCResponse(jsonrpc="2.0", id=request.id, result={"content": []}))

    async with connected({"tools/call": late}) as (client, way):
        with anyio.move_on_after(0.05):
            await client.session.call_tool("x", {})
        await client.list_resources()
        assert "nothing waits" in way.problems[0]


async def test_what_is_no_message_is_logged_and_the_rest_goes_on(caplog):
    async def noisy(server, request):
        for _ in range(50):
            await server.say(ValueError("garbage"))
        await server.say(JSONRPCResponse(jsonrpc="2.0", id=request.id, result={"content": []}))

    async with connected({"tools/call": noisy}) as (client, _):
        await client.session.call_tool("x", {})
    told = [record for record in caplog.records if record.name == "agentrt.mcp"]
    assert len(told) == 3
    assert "garbage" in told[0].getMessage()


async def test_the_end_is_told_once():
    ends = []

    async def end(server, request):
        await server.out.aclose()

    async with connected({"tools/call": end}, on_end=lambda: ends.append(1)) as (client, _):
        for _ in range(2):
            with pytest.raises(MCPError, match="Connection closed"):
                await client.session.call_tool("x", {})
        assert ends == [1]
    async with connected({}, on_end=lambda: ends.append(2)):
        pass
    assert ends == [1]


async def test_other_results_pass_as_they_are():
    asked = {"resultType": "input_required", "inputRequests": {}, "requestState": "s"}
    async with connected({"tools/call": asked}, "2026-07-28") as (client, way):
        result = await client.session.call_tool("x", {}, allow_input_required=True)
        assert result.request_state == "s"
        assert way.problems == []


@pytest.mark.parametrize("kind", ["http", "memory"])
async def test_a_call_knows_when_it_has_gone_out(kind):
    async def flown(client):
        flight = Flight()
        token = in_flight.set(flight)
        try:
            assert not flight.sent
            await client.list_tools()
            assert not flight.sent
            await client.session.call_tool("add", {"a": 1, "b": 2})
        finally:
            in_flight.reset(token)
        return flight.sent

    if kind == "http":
        with serving(lambda: real_server().streamable_http_app()) as origin:
            inner = HttpTransport(HttpEndpoint(url=f"{origin}/mcp"), name="files")
            async with Client(Sanitised(inner, name="files", on_end=lambda: None), cache=None) as client:
                assert await flown(client)
    else:
        way = Sanitised(InMemoryTransport(real_server()), name="files", on_end=lambda: None)
        async with Client(way, cache=None) as client:
            assert await flown(client)
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(flown, client)


async def test_over_http_both_wrappers_work_together():
    with Rogue("cut_sse") as server:
        inner = HttpTransport(HttpEndpoint(url=server.url), name="files")
        async with Client(Sanitised(inner, name="files", on_end=lambda: None), mode="legacy", cache=None) as client:
            with pytest.raises(MCPError) as raised:
                await client.session.call_tool("add", {})
            assert inner.error_for(raised.value.data).sent


async def test_a_flood_of_problems_is_bounded():
    async with connected({"tools/list": {"tools": [{"n": number} for number in range(1000)]}}) as (client, way):
        await client.list_tools()
        assert len(way.problems) == 100
        assert max(map(len, way.problems)) < 400


async def test_good_calls_cost_little():
    async def seconds(way, count):
        async with Client(way, mode="legacy", cache=None) as client:
            await client.list_tools()
            best = float("inf")
            for _ in range(5):
                began = time.perf_counter()
                for _ in range(count):
                    await client.call_tool("add", {"a": 1, "b": 2})
                best = min(best, (time.perf_counter() - began) / count)
            return best

    plain = await seconds(InMemoryTransport(real_server()), 30)
    ours = await seconds(Sanitised(InMemoryTransport(real_server()), name="x", on_end=lambda: None), 30)
    print(f"a call in memory: {plain * 1e6:.0f} µs by the SDK, {ours * 1e6:.0f} µs sanitised")
    assert ours < 1.5 * plain + 0.0005
