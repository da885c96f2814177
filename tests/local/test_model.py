"""The embedded model itself. Skipped where it is not installed or its weights are not in the cache."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentrt import Agent, Client, tool
from agentrt.cli.demo import EXAMPLES
from agentrt.errors import LocalModelError, StatusError, UsageError
from agentrt.local.weights import weights_path
from agentrt_tools import calculator, count_lines

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="the extra 'local' is not installed"),
    pytest.mark.skipif(
        not weights_path().is_file(), reason="the weights are not in the cache; `agentrt demo` fetches them"
    ),
]
QUESTION = [*EXAMPLES, {"type": "message", "role": "user", "content": "Calculate 1234 * 5678."}]
TOOLS = [calculator.definition(), count_lines.definition()]
ORDER = "created in_progress output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done completed"


@pytest.fixture
async def client():
    async with Client(base_url="local://smollm2") as client:
        yield client


@tool(name="calculator", description=calculator.description)
def other_calculator(expression: str) -> int:
    return 424242


@pytest.mark.parametrize(("function", "value"), [(calculator, "7006652"), (other_calculator, "424242")])
async def test_the_answer_is_the_tools_value_whatever_it_is(client, function, value):
    agent = Agent("local", tools=[function, count_lines], client=client, extra_body={"seed": 1})
    async with agent.stream(QUESTION) as run:
        events = [event async for event in run]
    (started,) = (event for event in events if event.type == "tool.started")
    assert (started.name, json.loads(started.arguments)) == ("calculator", {"expression": "1234 * 5678"})
    assert value in run.result.output
    assert "".join(event.delta for event in events if event.type == "text.delta") == run.result.output


async def test_text_streams_in_full_order_and_json_is_the_same(client):
    request = {
        "model": "smollm2",
        "input": "Say hello.",
        "max_output_tokens": 200,
        "temperature": 0,
        "extra_body": {"seed": 1},
    }
    async with client.stream(**request) as stream:
        events = [event async for event in stream]
    types = [event.type.removeprefix("response.") for event in events]
    assert " ".join(dict.fromkeys(types)) == ORDER
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert types.count("output_text.delta") > 1
    whole = await client.create(**request)
    assert whole.text == stream.response.text
    assert whole.status == "completed"
    assert whole.usage.output_tokens > 1
    assert whole.model == "smollm2-135m-instruct.q4_1"


async def test_a_call_always_parses_and_a_truncated_one_is_never_completed(client):
    request = {"model": "local", "input": QUESTION, "tools": TOOLS}
    for seed in range(3):
        response = await client.create(**request, temperature=1.5, extra_body={"seed": seed})
        (item,) = response.items
        if response.status == "completed":
            assert item.name in ("calculator", "count_lines")
            json.loads(item.arguments)
    cut = await client.create(**request, max_output_tokens=6)
    assert (cut.status, cut.incomplete_reason, cut.items[0].status) == ("incomplete", "max_output_tokens", "incomplete")
    async with client.stream(**request, max_output_tokens=6) as stream:
        assert [event async for event in stream][-1].type == "response.incomplete"


async def test_what_it_cannot_do_is_an_http_error(client):
    for request, code in (
        ({"model": "gpt-5.4", "input": "hi"}, "model_not_found"),
        ({"model": "local", "input": "hi", "previous_response_id": "r"}, "unsupported_parameter"),
        ({"model": "local", "input": "word " * 5000}, "context_length_exceeded"),
    ):
        with pytest.raises(StatusError) as caught:
            await client.create(**request)
        assert caught.value.code == code
    with pytest.raises(UsageError, match="no embedded model 'llama'"):
        await Client(base_url="local://llama").create(model="m", input="hi")


async def test_leaving_a_stream_stops_the_writing(client):
    async with client.stream(model="local", input="Tell a very long story.", max_output_tokens=1500) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
    response = await client.create(model="local", input="Say hello.", max_output_tokens=5)
    assert response.usage.output_tokens == 5


async def test_another_gguf_decides_by_itself(client, monkeypatch, tmp_path):
    (tmp_path / "Other.gguf").symlink_to(weights_path())
    monkeypatch.setenv("AGENTRT_LOCAL_MODEL", str(tmp_path / "Other.gguf"))
    request = {
        "input": "Hello there, how are you?",
        "tools": TOOLS,
        "temperature": 0,
        "max_output_tokens": 60,
        "extra_body": {"seed": 1},
    }
    response = await client.create(model="local", **request)
    assert response.model == "other"
    assert response.items[0].type in ("message", "function_call")
    forced = await client.create(model="other", **request, tool_choice={"type": "function", "name": "count_lines"})
    assert [item.name for item in forced.items] == ["count_lines"]
    free = await client.create(model="other", **request, tool_choice="none")
    assert [item.type for item in free.items] == ["message"]
    (tmp_path / "broken.gguf").write_bytes(b"GGUF, but not really")
    monkeypatch.setenv("AGENTRT_LOCAL_MODEL", str(tmp_path / "broken.gguf"))
    with pytest.raises(LocalModelError, match=r"can't load .*broken\.gguf"):
        await client.create(model="local", input="hi")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_demo_from_start_to_first_call_and_its_memory(tmp_path):
    (tmp_path / "README.md").write_text("line\n" * 183)
    script = (
        "import sys, time\n"
        "started = time.perf_counter()\n"
        "import agentrt.cli.show as show\n"
        "old = show._show\n"
        "def watch(event, console):\n"
        "    if event.type == 'tool.started' and not seen: seen.append(time.perf_counter() - started)\n"
        "    old(event, console)\n"
        "seen = []\n"
        "show._show = watch\n"
        "sys.argv = ['agentrt', 'demo']\n"
        "from agentrt.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    peak = next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "    print('FIGURES', seen[0], peak / 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr
    seconds, megabytes = map(float, done.stdout.rpartition("FIGURES")[2].split())
    print(f"first call after {seconds:.2f} s, {megabytes:.0f} MB")
    assert "183" in done.stdout
    assert megabytes < 300
