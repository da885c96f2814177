"""Tools that the provider runs: counted, shown as events, replayed, and what they brought is within reach."""

import base64

import anyio

from agentrt import Agent, tool
from agentrt.testing import call, calls, say

CITATION = {"type": "url_citation", "url": "https://x.test", "title": "X", "start_index": 0, "end_index": 3}
FILE = {"type": "container_file_citation", "container_id": "cntr_1", "file_id": "cfile_1", "filename": "a.csv"}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "who?", "sources": [{"type": "url", "url": "https://x.test"}]},
}
CODE = {
    "type": "code_interpreter_call",
    "id": "ci_1",
    "status": "completed",
    "code": "1+1",
    "container_id": "cntr_1",
    "outputs": [{"type": "logs", "logs": "2"}],
}
IMAGE = {
    "type": "image_generation_call",
    "id": "ig_1",
    "status": "completed",
    "result": base64.b64encode(b"PNG!").decode(),
}
MCP = {
    "type": "mcp_call",
    "id": "mcp_1",
    "status": "failed",
    "server_label": "docs",
    "name": "lookup",
    "arguments": "{}",
    "error": {"type": "http_error", "code": 500},
}


def answer(text="see X", notes=(CITATION, FILE)):
    (message,) = say(text).output
    (part,) = message["content"]
    return {**message, "content": [{**part, "annotations": list(notes)}]}


@tool(name="add")
async def add_tool(a: int, b: int) -> int:
    return a + b


TOOLS = [{"type": "web_search"}, add_tool]


async def test_hosted_calls_are_events_and_are_replayed(serve, client_of):
    server = serve(calls(SEARCH, CODE, MCP, call("add", a=1, b=2)), calls(IMAGE, answer()))
    async with client_of(server) as client:
        agent = Agent("m", tools=TOOLS, client=client)
        async with agent.stream("go") as run:
            events = [event async for event in run]
    told = [(e.type, e.name, e.hosted) for e in events if e.type.startswith("tool.")]
    assert sorted(told) == sorted(
        [
            (kind, name, True)
            for name in ("web_search", "code_interpreter", "lookup", "image_generation")
            for kind in ("tool.started", "tool.finished")
        ]
        + [("tool.started", "add", False), ("tool.finished", "add", False)]
    )
    finished = {event.name: event for event in events if event.type == "tool.finished"}
    assert finished["lookup"].failed
    assert "logs" in finished["code_interpreter"].output
    assert not finished["web_search"].failed
    started = {event.name: event for event in events if event.type == "tool.started"}
    assert "who?" in started["web_search"].arguments
    result = run.result
    assert result.output == "see X"
    assert result.citations == [CITATION, FILE]
    assert result.images == [b"PNG!"]
    assert server.requests[1].json["input"][1:4] == [SEARCH, CODE, MCP]


async def test_hosted_calls_count_towards_the_limit(serve, client_of):
    server = serve(calls(SEARCH, {**SEARCH, "id": "ws_2"}, call("add", a=1, b=2)), say("enough"))
    async with client_of(server) as client:
        result = await Agent("m", tools=TOOLS, client=client, max_tool_calls=2).run("go")
    assert (result.status, result.stopped_by, result.text) == ("limit", "max_tool_calls", "enough")
    assert server.requests[0].json["max_tool_calls"] == 2


async def test_an_agent_waits_for_a_background_response(serve, client_of):
    server = serve(calls(call("add", a=1, b=2), polls=1), say("3", polls=1))
    async with client_of(server) as client:
        with anyio.fail_after(20):
            result = await Agent("m", tools=[add_tool], client=client, background=True).run("go")
    assert result.output == "3"
    posts = [request.json for request in server.requests if request.method == "POST"]
    assert all(body["background"] and body["store"] for body in posts)
