"""The transport to MCP servers that run as child processes: what they may do to it, and that none outlives it."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest

from agentrt.bridges.mcp.command import StdioCommand
from agentrt.bridges.mcp.stdio import StdioTransport
from agentrt.errors import UnreachableError, UsageError, WireError

ROGUE = str(Path(__file__).with_name("rogue.py"))
MODERN = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("modern")
@server.tool()
def echo(text: str) -> str: return text
server.run("stdio")
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="watches processes through pidfd and /proc")


def rogue(mode, value=None, **options):
    args = ("-I", "-S", ROGUE, mode, *([] if value is None else [str(value)]))
    options = {"close_timeout": 0.1} | options
    return StdioTransport(StdioCommand(command=sys.executable, args=args, **options), name="files")


def talk(transport, **options):
    return Client(transport, **{"mode": "legacy", "cache": None} | options)


async def said(client, tool, /, **arguments):
    return (await client.call_tool(tool, arguments)).content[0].text


@contextlib.contextmanager
def within(seconds):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


class Watch:
    """Processes that are to go, by their pidfds."""

    def __init__(self, *pids):
        self.pidfds = [os.pidfd_open(pid) for pid in pids]

    def assert_gone(self, seconds=0.0):
        try:
            for pidfd in self.pidfds:
                assert select.select([pidfd], [], [], seconds)[0], "the process is still there"
        finally:
            for pidfd in self.pidfds:
                os.close(pidfd)


async def test_a_server_of_either_era_answers():
    async with talk(rogue("good")) as client:
        assert client.protocol_version == "2025-11-25"
        assert await said(client, "echo", text="zwei Wörter\n\u2028 \U0001f600") == "zwei Wörter\n\u2028 \U0001f600"
    modern = StdioTransport(StdioCommand(command=sys.executable, args=("-c", MODERN)), name="modern")
    async with Client(modern) as client:
        assert client.protocol_version == "2026-07-28"
        assert await said(client, "echo", text="hello") == "hello"
    assert (modern.exit_code, modern.failure) == (0, None)


async def test_calls_run_beside_each_other_and_a_cancelled_one_harms_no_other():
    async with talk(rogue("good")) as client:
        with within(0.8):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(lambda: said(client, "slow", seconds=0.2))
        with anyio.move_on_after(0.1) as scope:
            await said(client, "slow", seconds=60)
        assert scope.cancelled_caught
        assert await said(client, "add", a=1, b=2) == "3"


@pytest.mark.parametrize(
    ("mode", "code", "told"),
    [
        ("exit", 3, "exited with code 3; its stderr: Error: THE_KEY is not set"),
        ("crash-init", 4, "exited with code 4; its stderr: crashed in initialize"),
        ("crash-list", 4, "exited with code 4; its stderr: crashed in tools/list"),
        ("crash-call", 4, "exited with code 4; its stderr: crashed in tools/call"),
    ],
)
async def test_a_crash_fails_what_waits_at_once_and_says_why(mode, code, told):
    transport = rogue(mode)
    with within(1):
        with pytest.raises((MCPError, BaseExceptionGroup)):
            async with talk(transport) as client:
                await client.list_tools()
                await said(client, "add", a=1, b=2)
        assert isinstance(transport.failure, UnreachableError)
        assert str(transport.failure) == f"the MCP server 'files' {told}"
        assert transport.exit_code == code


async def kill(pid):
    os.kill(pid, signal.SIGKILL)


async def test_a_server_that_is_killed_is_told_by_its_signal():
    transport = rogue("good")
    async with talk(transport) as client:
        with within(1):
            async with anyio.create_task_group() as group:
                group.start_soon(kill, transport.pid)
                with pytest.raises(MCPError, match="closed"):
                    await said(client, "slow", seconds=60)
        with within(0.5), pytest.raises(MCPError, match="closed"):
            await said(client, "add", a=1, b=2)
    assert transport.exit_code == -signal.SIGKILL
    assert re.search(
        r"was ended by signal 9 \(Killed\); it wrote nothing to stderr; run .* by hand", str(transport.failure)
    )


@linux
async def test_a_server_whose_child_keeps_the_pipes_is_known_to_have_gone():
    transport = rogue("grandchild")
    async with talk(transport) as client:
        watch = Watch(int(await said(client, "child")))
        with within(1), pytest.raises(MCPError, match="closed"):
            await said(client, "die")
        assert "exited with code 7; its stderr: dying as I was told" in str(transport.failure)
    watch.assert_gone(1)


async def test_a_server_that_hangs_up_but_lives_on_is_ended():
    transport = rogue("close-stdout")
    async with talk(transport) as client:
        with within(1), pytest.raises(MCPError, match="closed"):
            await said(client, "add", a=1, b=2)
        assert "closed its end of the connection, though it still runs" in str(transport.failure)
    assert transport.exit_code == -signal.SIGTERM


async def test_what_is_no_message_is_passed_over_and_logged_a_few_times(caplog):
    caplog.set_level(logging.WARNING, "agentrt.mcp")
    transport = rogue("garbage", env={"THE_KEY": "Server v1.0"})
    async with talk(transport, message_handler=None) as client:
        for number in range(20):
            assert await said(client, "add", a=number, b=1) == str(number + 1)
    assert transport.stray_lines > 200
    logged = [record.getMessage() for record in caplog.records if record.name == "agentrt.mcp"]
    assert len(logged) == 3
    assert logged[0] == "the MCP server 'files' wrote to stdout what is no JSON-RPC: $THE_KEY listening on stdio"
    assert logged[-1].endswith("more of them are not logged")


async def test_broken_characters_cost_no_message():
    async with talk(rogue("not-utf8")) as client:
        assert await said(client, "echo", text="a coffee") == "a caf\ufffd"
    async with talk(rogue("half-characters")) as client:
        assert await said(client, "echo", text="\U0001f600 and a half") == "\U0001f600 and a half?"


async def test_half_a_character_can_be_sent():
    transport = rogue("good")
    async with transport as (heard, order):
        params = {"name": "echo", "arguments": {"text": "\ud83d"}}
        await order.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/call", params=params)))
        assert (await heard.receive()).message.result["content"][0]["text"] == "?"


def peak_memory(*, reset=False):
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


@linux
@pytest.mark.parametrize("mode", ["huge-init", "huge-call"])
async def test_a_line_of_50_mb_is_a_typed_error_within_a_second_and_64_mib(mode):
    transport = rogue(mode, close_timeout=2.0)
    gc.collect()
    before = peak_memory(reset=True)
    with within(1), pytest.raises((MCPError, BaseExceptionGroup)):
        async with talk(transport) as client:
            await client.list_tools()
            await said(client, "add", a=1, b=2)
    assert peak_memory() - before < 64 * 2**20
    assert isinstance(transport.failure, WireError)
    assert "a line of more than 16777216 bytes" in str(transport.failure)


async def test_a_long_line_within_the_cap_takes_time_in_proportion():
    async with talk(rogue("good")) as client:
        with within(2):
            assert len(await said(client, "big", bytes=15 * 10**6)) == 15 * 10**6
    transport = rogue("good", max_line=2000)
    async with talk(transport) as client:
        assert len(await said(client, "big", bytes=1500)) == 1500
        with pytest.raises(MCPError, match="closed"):
            await said(client, "big", bytes=2000)
    assert "more than 2000 bytes" in str(transport.failure)


async def test_a_server_sees_few_variables_and_those_that_it_is_given(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("LANG", "() { :;}; echo gotcha")
    monkeypatch.setenv("SOME_API_KEY", "sk-host")
    monkeypatch.setenv("SHARED", "yes")
    async with talk(
        rogue("good", env={"TOKEN": "t0ken", "USER": "other"}, inherit_env=("SHARED", "NOT_THERE"))
    ) as client:
        seen = json.loads(await said(client, "environment"))
    usual = {"HOME", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"}
    assert seen.keys() <= usual | {"TOKEN", "SHARED"}
    assert {"HOME": "/home/somebody", "TOKEN": "t0ken", "USER": "other", "SHARED": "yes"}.items() <= seen.items()


def test_values_of_variables_are_not_shown():
    assert "t0ken" not in repr(StdioCommand(command="x", env={"TOKEN": "t0ken"}))


async def test_the_end_of_stderr_is_kept_safe_to_show_and_without_secrets():
    transport = rogue("loud")
    async with talk(transport) as client:
        await said(client, "add", a=1, b=2)
    assert transport.stderr_tail.endswith("\nthe last line")
    assert 7000 < len(transport.stderr_tail.encode()) <= 8192
    assert set(transport.stderr_tail.split("\n")[:-1]) == {"é" * 499}

    script = r"import os, sys; sys.stderr.write('\x1b[31m key ' + os.environ['KEY'] + '\u202e\r\nend\n'); sys.exit(1)"
    command = StdioCommand(command=sys.executable, args=("-c", script), env={"KEY": "s3cret-value"})
    transport = StdioTransport(command, name="files")
    async with transport as (heard, _):
        with pytest.raises(anyio.EndOfStream):
            await heard.receive()
    assert transport.stderr_tail == "\\u001b[31m key $KEY\\u202e\nend"
    assert "s3cret" not in str(transport.failure)


async def test_what_cannot_start_says_what_is_missing(tmp_path):
    (tmp_path / "text").write_text("no program")
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    for command, told in [
        (
            StdioCommand(command="no-such-program"),
            "can't start: 'no-such-program': No such file or directory; install it",
        ),
        (StdioCommand(command="echo hi; id"), "'echo hi; id': No such file .*the program only"),
        (
            StdioCommand(command=sys.executable, cwd=str(tmp_path / "gone")),
            "its cwd '.*gone' is no directory; create it",
        ),
        (StdioCommand(command=str(tmp_path / "text")), "Permission denied; correct"),
        (StdioCommand(command=str(tmp_path / "script")), "No such file"),
        (StdioCommand(command="a\0b"), "null byte"),
        (StdioCommand(command="true", env={"A=B": "c"}), "illegal environment variable name"),
    ]:
        transport = StdioTransport(command, name="files")
        with pytest.raises(UsageError, match=f"the MCP server 'files' .*{told}"):
            async with transport:
                pass
        assert (transport.pid, transport.exit_code, transport.failure) == (None, None, None)


@pytest.mark.parametrize(
    "wrong", [{"args": "-y server"}, {"args": ("-p", 80)}, {"env": {"A": 5}}, {"inherit_env": "PATH"}]
)
def test_a_command_is_made_of_texts(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} of an MCP server must be made of texts"):
        StdioCommand(command="npx", **wrong)


async def test_a_transport_is_used_once():
    transport = rogue("good")
    async with transport:
        pass
    with pytest.raises(UsageError, match="make a new one"):
        async with transport:
            pass


async def test_an_error_inside_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with rogue("good"):
            _ = 1 / 0


@linux
@pytest.mark.parametrize(
    ("mode", "seconds", "code"),
    [("good", 0.15, 0), ("ignore-end", 0.3, -signal.SIGTERM), ("ignore-term", 0.5, -signal.SIGKILL)],
)
async def test_leaving_ends_the_server_as_gently_as_it_lets_us(mode, seconds, code):
    transport = rogue(mode)
    async with talk(transport) as client:
        watch = Watch(transport.pid)
        await said(client, "add", a=1, b=2)
        started = time.monotonic()
    assert time.monotonic() - started < seconds
    assert (transport.exit_code, transport.failure) == (code, None)
    watch.assert_gone()


def shell(mode, **options):
    """Give a server below a shell that stays, as one below npx is."""
    line = f"'{sys.executable}' -I -S '{ROGUE}' {mode}; true"
    return StdioTransport(StdioCommand(command="sh", args=("-c", line), close_timeout=0.15, **options), name="files")


@linux
async def test_leaving_ends_what_the_server_started_too():
    transport = shell("ignore-term")
    async with talk(transport) as client:
        inner = int(await said(client, "pid"))
        assert inner != transport.pid
        watch = Watch(transport.pid, inner)
    watch.assert_gone(1)
    async with talk(rogue("grandchild")) as client:
        watch = Watch(int(await said(client, "child")))
    watch.assert_gone(1)


@linux
async def test_a_server_that_reads_no_more_can_be_left():
    transport = rogue("deaf")
    with anyio.move_on_after(0.15) as scope:
        async with talk(transport) as client, anyio.create_task_group() as group:
            watch = Watch(transport.pid)
            for _ in range(5):
                group.start_soon(lambda: client.call_tool("echo", {"text": "x" * 300_000}))
    assert scope.cancelled_caught
    watch.assert_gone()


@linux
async def test_giving_up_during_the_connect_leaves_nothing():
    transport = rogue("hang-init")
    with within(1.5):
        with anyio.move_on_after(0.15) as scope:
            async with talk(transport):
                pytest.fail("connected")
        assert scope.cancelled_caught
    assert transport.exit_code == 0
    for delay in (0, 0.003, 0.02):
        with anyio.move_on_after(delay):
            async with rogue("ignore-term", close_timeout=0.05):
                await anyio.sleep_forever()
    assert_no_children()


def assert_no_children():
    """Other servers of this test process may run; none of ours, and none that nobody waited for."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            command = stat.with_name("cmdline").read_bytes()
            ours = b"rogue.py" in command or b"launcher.py" in command or state == "Z"
            assert not (int(parent) == os.getpid() and ours), command


@linux
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_bare_asyncio_cancellation_kills_at_once():
    for second_after in (None, 0.1):
        transport = rogue("ignore-term")
        up = anyio.Event()

        async def hold(transport=transport, up=up):
            async with talk(transport):
                up.set()
                await anyio.sleep_forever()

        task = asyncio.create_task(hold())
        await up.wait()
        watch = Watch(transport.pid)
        task.cancel()
        if second_after is not None:
            await anyio.sleep(second_after)
            task.cancel()
        with within(1.5), pytest.raises(asyncio.CancelledError):
            await task
        watch.assert_gone(1)


@pytest.mark.parametrize("count", [3, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
@linux
async def test_connections_that_come_and_go_leave_nothing(count):
    async def cycle(number):
        transport = rogue(("good", "crash-call", "ignore-end")[number % 3], close_timeout=0.1)
        async with talk(transport) as client:
            with contextlib.suppress(MCPError):
                await said(client, "add", a=1, b=2)

    def held():
        gc.collect()
        rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), rss

    for number in range(3):
        await cycle(number)
    descriptors, threads, memory = held()
    tasks = len(anyio.get_running_tasks())
    for number in range(count):
        await cycle(number)
    assert held()[0] == descriptors
    assert held()[1] <= threads
    assert held()[2] - memory < 8 * 2**20
    assert_no_children()
    assert len(anyio.get_running_tasks()) == tasks


HOST = """
import os, sys, time, anyio
from agentrt.bridges.mcp.command import StdioCommand
from agentrt.bridges.mcp.stdio import StdioTransport
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest

backend, mode, rogue = sys.argv[1:]
rogue = [sys.executable, "-I", "-S", rogue, "ignore-term"]
plain = StdioTransport(StdioCommand(command=rogue[0], args=tuple(rogue[1:]), close_timeout=0.15), name="plain")
line = " ".join(rogue) + "; true"
chain = StdioTransport(StdioCommand(command="sh", args=("-c", line), close_timeout=0.15), name="chain")

async def main():
    async with plain, chain as (heard, order):
        params = {"name": "pid", "arguments": {}}
        await order.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/call", params=params)))
        inner = (await heard.receive()).message.result["content"][0]["text"]
        fork = os.fork() if mode == "forked" else None
        if fork == 0:
            time.sleep(60)  # it holds this process's ends of all pipes
            os._exit(0)
        print(plain.pid, chain.pid, inner, fork or "", flush=True)
        await anyio.sleep_forever()

anyio.run(main, backend=backend)
"""
ENDS = {"forked": signal.SIGKILL, "killed": signal.SIGKILL, "terminated": signal.SIGTERM, "interrupted": signal.SIGINT}


@linux
@pytest.mark.parametrize(
    ("backend", "modes"),
    [
        ("asyncio", ["forked", "terminated"]),
        ("trio", ["killed", "interrupted"]),
        pytest.param("asyncio", list(ENDS) * 5, marks=pytest.mark.long),
        pytest.param("trio", list(ENDS) * 5, marks=pytest.mark.long),
    ],
)
def test_no_server_outlives_its_host_however_that_ends(backend, modes):
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", HOST, backend, mode, ROGUE], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for mode in modes
    ]
    forks, watches = [], []
    try:
        for mode, host in zip(modes, hosts, strict=True):
            pids = list(map(int, host.stdout.readline().split()))
            forks += pids[3:]
            watches.append(Watch(*pids[:3]))
            host.send_signal(ENDS[mode])
        for watch in watches:
            watch.assert_gone(3)
        for mode, host in zip(modes, hosts, strict=True):
            assert host.wait(3) in ((1, -signal.SIGINT) if mode == "interrupted" else (-ENDS[mode],))
    finally:
        for fork in forks:
            os.kill(fork, signal.SIGKILL)
        for host in hosts:
            host.kill()
            host.communicate()


def test_a_command_is_made_without_importing_mcp():
    code = "import sys, agentrt.bridges.mcp.command; assert not {'mcp', 'mcp_types'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
