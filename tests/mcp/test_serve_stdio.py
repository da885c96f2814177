"""A server on standard streams: nothing else comes on its wire, and it ends when its client does."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from agentrt import UsageError
from agentrt.serve import serve_mcp
from tests.mcp.served_parts import ERAS, SERVED, client, inherited, stdio, text

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


class Raw:
    """A client that writes lines and reads lines."""

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, SERVED], env=inherited(), **pipes)

    def send(self, *messages):
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self):
        return json.loads(self.process.stdout.readline())

    def call(self, name, number=1):
        self.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": {}}})


@pytest.fixture
def anyio_backend():
    """Servers run on asyncio, and the SDK's client is the same on both."""
    return "asyncio"


@pytest.fixture
def raw():
    client = Raw()
    client.send(INITIALIZE)
    assert client.read()["result"]["serverInfo"]["name"] == "agentrt"
    client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    yield client
    client.process.kill()
    for pipe in (client.process.stdin, client.process.stdout, client.process.stderr):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    client.process.wait()


@pytest.mark.parametrize("era", ERAS)
async def test_both_revisions_are_served(era):
    async with client(stdio(), era) as connected:
        assert text(await connected.call_tool("sums.double", {"number": 2})) == "4.0"


def test_what_tools_print_is_on_stderr_and_never_on_the_wire(raw):
    raw.call("noisy")
    assert raw.read()["result"]["content"] == [{"type": "text", "text": "quiet"}]
    raw.process.stdin.close()
    assert raw.process.stdout.read() == b""
    assert raw.process.wait(3) == 0
    told = raw.process.stderr.read().decode()
    for line in ("printed", "written", "on descriptor 1", "from a child", "from C", "logged", "printed too early"):
        assert line in told


def test_lines_that_are_no_messages_do_no_harm(raw):
    raw.send(b"", b"garbage", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"jsonrpc": "2.0", "id": 7')
    raw.call("weather", number=2)
    raw.call("seen", number=3)
    answers = {}
    while 3 not in answers:
        answer = raw.read()
        answers[answer.get("id")] = answer
    assert "city" in answers[2]["result"]["content"][0]["text"]


def test_a_line_that_is_too_long_is_passed_over_with_memory_flat(raw):
    for _ in range(40):
        raw.process.stdin.write(b"x" * 2**20)
    raw.send(b"")
    raw.call("seen")
    while raw.read().get("id") != 1:
        pass
    status = Path(f"/proc/{raw.process.pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 250 * 1024


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        (None, None, 0),
        ("hangs", None, 0),
        ("stubborn", None, 0),
        ("blocks", signal.SIGINT, 130),
        (None, signal.SIGTERM, 143),
        pytest.param("blocks", None, 0, marks=pytest.mark.long),
        pytest.param("hangs", signal.SIGINT, 130, marks=pytest.mark.long),
        pytest.param("stubborn", signal.SIGTERM, 143, marks=pytest.mark.long),
    ],
)
def test_it_ends_within_two_seconds_whatever_a_tool_does(raw, name, number, code):
    if name is not None:
        raw.call("seen", number=5)
        assert raw.read()["id"] == 5
        raw.call(name)
        time.sleep(0.1)  # no sign tells that a tool has begun which never answers
    began = time.monotonic()
    if number is None:
        raw.process.stdin.close()
    else:
        raw.process.send_signal(number)
    assert raw.process.wait(5) == code
    assert time.monotonic() - began < 2
    assert b"Traceback" not in raw.process.stderr.read()


async def test_inside_an_event_loop_it_says_what_to_do():
    def nothing() -> None: ...

    async def inside():
        for transport in ("stdio", "http"):
            with pytest.raises(UsageError, match="event loop of its own"):
                serve_mcp(nothing, transport=transport)

    await anyio.to_thread.run_sync(lambda: asyncio.run(inside()))
