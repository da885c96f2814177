"""The reference servers from npm, as people have them in their configuration files: through an agent, and by hand."""

import base64
import json
import shutil
from pathlib import Path

import anyio

from agentrt import Agent, Answer, Client, MCPServer
from agentrt.bridges.mcp.sampling import Sampling
from agentrt.testing import call, calls, say
from agentrt.testing.mcp_conformance import example_of
from tests.mcp.npm import BIN, PREFIX, needs_npm, script

pytestmark = needs_npm

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def node(package, *args, **options):
    return MCPServer.stdio(shutil.which("node", path=BIN), script(package), *map(str, args), **options)


def everything(**options):
    return node("server-everything", "stdio", name="everything", **options)


def outputs(server, request=-1):
    return [item["output"] for item in server.requests[request].json["input"] if item["type"] == "function_call_output"]


def text_of(result):
    return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")


async def until(server, name):
    """Wait for a tool that the server adds once it knows what the client can do."""
    with anyio.fail_after(10):
        while name not in server.tools:
            await server.call("echo", {"message": "still there?"})


async def test_everything_answers_each_of_its_tools():
    async with everything(deny=["gzip-*", "toggle-*"]) as server:  # these fetch from the Internet, or never end
        await until(server, "everything__trigger-elicitation-request")
        for tool in server.tools.values():
            arguments = example_of(tool.raw["inputSchema"])
            result = await server.call(
                tool.original, arguments | ({"duration": 0.1} if "long" in tool.original else {})
            )
            assert result["content"], tool.original
            assert not result.get("isError"), (tool.original, result)
        assert {block["type"] for block in (await server.call("get-tiny-image"))["content"]} == {"text", "image"}
        links = await server.call("get-resource-links", {"count": 2})
        assert [block["type"] for block in links["content"]] == ["text", "resource_link", "resource_link"]


async def test_a_tool_that_runs_only_as_a_task_is_left_out_and_the_notes_say_so():
    async with everything() as server:
        await until(server, "everything__trigger-elicitation-request")
        assert "simulate-research-query" in {raw["name"] for raw in server.listed}
        assert "everything__simulate-research-query" not in server.tools
        assert [note for note in server.notes if "simulate-research-query" in note and "task" in note]


async def test_tools_that_come_after_the_handshake_are_listed_once_they_have_settled(tmp_path):
    async with everything() as plain:
        await until(plain, "everything__trigger-elicitation-request")
        few = set(plain.tools)
    options = {
        "roots": [tmp_path],
        "sampling": Sampling(client=Client(base_url="http://127.0.0.1:9"), model="m", allow=lambda *_: False),
    }
    async with everything(**options) as server:
        await until(server, "everything__trigger-sampling-request")
        await until(server, "everything__get-roots-list")
        assert server.state == "ready"
        assert set(server.tools) - few == {"everything__trigger-sampling-request", "everything__get-roots-list"}
        assert tmp_path.name in text_of(await server.call("get-roots-list"))


async def test_progress_of_a_long_call_reaches_the_run(script):
    script(calls(call("everything__trigger-long-running-operation", duration=0.4, steps=4)), say("done"))
    async with Agent("m", tools=[everything()]).stream("go") as run:
        told = [event.fraction async for event in run if event.type == "tool.progress"]
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert run.result.text == "done"


async def test_a_progress_keeps_a_call_alive_longer_than_its_timeout():
    async with everything(call_timeout=1.0) as server:
        result = await server.call("trigger-long-running-operation", {"duration": 1.6, "steps": 8})
    assert "completed" in text_of(result)


async def test_the_form_of_an_elicitation_is_asked_live_and_defaults_are_filled_in(script):
    server = script(calls(call("everything__trigger-elicitation-request")), say("done"))
    seen = []

    def decide(pending):
        seen.append(pending)
        return Answer({"name": "Ada"})

    source = everything()
    async with source:
        await until(source, "everything__trigger-elicitation-request")
        result = await Agent("m", tools=[source]).run("go", on_pending=decide)
    assert result.text == "done"
    assert [pending.kind for pending in seen] == ["elicitation"]
    assert "Name: Ada" in outputs(server)[0]
    assert "Favorite Integer: 42" in outputs(server)[0]


async def test_an_elicitation_without_anybody_to_ask_is_declined(script):
    server = script(calls(call("everything__trigger-elicitation-request")), say("done"))
    source = everything()
    async with source:
        await until(source, "everything__trigger-elicitation-request")
        await Agent("m", tools=[source]).run("go")
    assert "declined" in outputs(server)[0]


async def test_a_server_may_ask_the_model_where_sampling_is_set_up(serve):
    model = serve(say("Paris"))
    asked = []

    def allow(name, messages):
        asked.append((name, messages[0]["content"][0]["text"]))
        return True

    async with Client(base_url=model.url) as client:
        options = {"sampling": Sampling(client=client, model="m", allow=allow, max_output_tokens=20)}
        async with everything(**options) as server:
            await until(server, "everything__trigger-sampling-request")
            told = await server.call("trigger-sampling-request", {"prompt": "The capital of France?", "maxTokens": 100})
    assert "Paris" in text_of(told)
    assert asked[0][0] == "everything"
    assert "The capital of France?" in asked[0][1]
    assert model.requests[0].json["max_output_tokens"] == 20


async def test_resources_prompts_and_completions_are_an_api():
    async with everything() as server:
        resources = await server.resources()
        assert {resource["mimeType"] for resource in resources} == {"text/markdown"}
        (read,) = (await server.read_resource(resources[0]["uri"]))["contents"]
        assert read["text"]
        blob = (await server.read_resource("demo://resource/dynamic/blob/1"))["contents"][0]["blob"]
        assert base64.b64decode(blob)
        templates = [template["uriTemplate"] for template in await server.resource_templates()]
        assert "demo://resource/dynamic/text/{resourceId}" in templates
        assert {"simple-prompt", "args-prompt", "resource-prompt"} <= {
            prompt["name"] for prompt in await server.prompts()
        }
        prompt = await server.get_prompt("args-prompt", {"city": "Paris"})
        assert "Paris" in prompt["messages"][0]["content"]["text"]
        assert await server.complete({"name": "completable-prompt"}, "department", "E") == ["Engineering"]
        assert await server.complete({"uri": templates[0]}, "resourceId", "7") == ["7"]


async def test_images_structure_and_texts_reach_the_model_once(script):
    server = script(
        calls(
            call("everything__get-tiny-image"),
            call("everything__get-structured-content", location="Chicago"),
            call("everything__get-sum", a=2, b=3),
            call("everything__get-sum", a="two", b=3),
        ),
        say("done"),
    )
    await Agent("m", tools=[everything()]).run("go")
    image, structured, summed, wrong = outputs(server)
    assert [part["type"] for part in image] == ["input_text", "input_image", "input_text"]
    assert json.loads(structured).keys() == {"temperature", "conditions", "humidity"}
    assert summed == "The sum of 2 and 3 is 5."
    assert "`a`" in wrong


async def test_files_are_written_and_read_where_it_is_allowed(script, tmp_path):
    inside, picture = tmp_path / "notes.txt", tmp_path / "dot.png"
    picture.write_bytes(PIXEL)
    server = script(
        calls(call("files__write_file", path=str(inside), content="one\ntwo\n")),
        calls(
            call("files__read_text_file", path=str(inside)),
            call("files__read_text_file", path="/etc/passwd"),
            call("files__read_text_file", path=str(tmp_path / "none.txt")),
            call("files__edit_file", path=str(inside), edits=[{"oldText": "two", "newText": "2"}]),
            call("files__read_media_file", path=str(picture)),
            call("files__list_directory", path=str(tmp_path)),
        ),
        say("done"),
    )
    source = node("server-filesystem", tmp_path, name="files")
    result = await Agent("m", tools=[source], parallel_tool_calls=False).run("go")
    assert result.text == "done"
    assert inside.read_text() == "one\n2\n"
    (_, read, denied, missing, edited, media, listed) = outputs(server)
    assert read == "one\ntwo\n"  # which comes twice, as structured content too
    assert denied.startswith("Error")
    assert "outside allowed directories" in denied
    assert "ENOENT" in missing
    assert "-two" in edited
    assert [part["type"] for part in media] == ["input_image"]
    assert "notes.txt" in listed


async def test_roots_say_where_the_files_are(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    async with node("server-filesystem", tmp_path, name="files", roots=[inner]) as server:
        with anyio.fail_after(10):
            while str(inner) not in text_of(await server.call("list_allowed_directories")):
                pass  # it asks for the roots once it is connected


async def test_what_is_remembered_is_there_for_the_next_process(script, tmp_path):
    ada = {"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}
    server = script(
        calls(call("memory__create_entities", entities=[ada])),
        calls(call("memory__search_nodes", query="program"), call("memory__create_entities", entities=[{"name": "x"}])),
        say("done"),
    )
    options = {"name": "memory", "env": {"MEMORY_FILE_PATH": str(tmp_path / "memory.jsonl")}}
    await Agent("m", tools=[node("server-memory", **options)]).run("go")
    _, found, wrong = outputs(server)
    assert json.loads(found) == {"entities": [ada], "relations": []}
    assert "entityType" in wrong
    async with node("server-memory", **options) as again:
        graph = await again.call("read_graph")
    assert graph["structuredContent"]["entities"] == [ada]


def running_with(word):
    """Give the processes whose command line holds a word."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in each.read_bytes():
                found.append(each.parent.name)
        except OSError:
            continue
    return found


async def test_a_desktop_clients_file_works_unchanged(script, monkeypatch, tmp_path):
    file = tmp_path / "claude_desktop_config.json"
    npx = {"command": "npx"}
    servers = {
        "everything": {**npx, "args": ["-y", "@modelcontextprotocol/server-everything"]},
        "filesystem": {**npx, "args": ["-y", "@modelcontextprotocol/server-filesystem", str(tmp_path)]},
        "memory": {
            **npx,
            "args": ["-y", "@modelcontextprotocol/server-memory"],
            "env": {"MEMORY_FILE_PATH": str(tmp_path / "memory.jsonl")},
        },
    }
    file.write_text(json.dumps({"mcpServers": servers}))
    monkeypatch.chdir(PREFIX)  # where npx finds the packages without asking the registry
    monkeypatch.setenv("PATH", BIN)
    server = script(
        calls(
            call("everything__echo", message="hi"),
            call("filesystem__list_directory", path=str(tmp_path)),
            call("memory__read_graph"),
        ),
        say("done"),
    )
    agent = Agent("m", tools=MCPServer.from_config(file))
    async with agent:
        assert (await agent.run("go")).text == "done"
        assert running_with(str(tmp_path))
    echoed, listed, graph = outputs(server)
    assert echoed == "Echo: hi"
    assert file.name in listed
    assert json.loads(graph) == {"entities": [], "relations": []}
    assert running_with(str(tmp_path)) == []
