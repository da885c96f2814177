"""`MCPServer` by itself: calls, restarts, what it offers beside tools, pins, and what is left when it is gone."""

import gc
import json
import resource
import sys
import time

import anyio
import pytest

from agentrt import AgentrtError, MCPServer, UsageError
from agentrt.bridges.mcp.lock import LockFile
from agentrt.errors import DeadlineError, UnreachableError
from tests.mcp import asking
from tests.mcp.parts import descriptors, is_running, rogue


async def test_a_call_gives_the_result_as_it_came_and_tells_of_progress():
    told = []

    async def progress(progress, total, message):
        told.append((progress, total))

    async with rogue("good") as server:
        assert (await server.call("echo", {"text": "hi"}))["content"] == [{"type": "text", "text": "hi"}]
        await server.call("slow", {"seconds": 0.2}, progress=progress)
    assert told
    assert all(total == 0.2 for _, total in told)


async def test_progress_extends_the_silence_that_is_allowed_but_not_for_ever():
    async with rogue("good", call_timeout=0.3, max_call_seconds=30.0) as server:
        await server.call("slow", {"seconds": 1.0})
    async with rogue("good", call_timeout=0.3, max_call_seconds=0.6) as server:
        with pytest.raises(DeadlineError, match="max_call_seconds"):
            await server.call("slow", {"seconds": 5.0})
        assert server.state == "ready"


async def test_a_server_that_crashed_is_started_anew_and_its_calls_are_not_repeated():
    async with rogue("good") as server:
        first = (await server.call("pid"))["content"][0]["text"]
        with pytest.raises(UnreachableError, match="not repeated") as caught:
            await server.call("die")
        assert caught.value.sent
        assert not caught.value.repeatable
        second = (await server.call("pid"))["content"][0]["text"]
        assert first != second
        assert not is_running(first)


async def test_many_callers_share_one_restart():
    async with rogue("good") as server:
        with pytest.raises(UnreachableError):
            await server.call("die")
        pids = set()

        async def ask():
            pids.add((await server.call("pid"))["content"][0]["text"])

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
        assert len(pids) == 1


async def test_a_server_that_never_starts_is_given_up_and_tried_again_when_somebody_asks(tmp_path):
    there = tmp_path / "there"
    script = f"import os, sys\nos.path.exists({str(there)!r}) or sys.exit(3)\n"
    program = script + f"sys.argv[1:] = ['good']\nexec(open({rogue('good').way.args[0]!r}).read())"
    server = MCPServer.stdio(sys.executable, "-c", program, name="late", protocol="2025-11-25", call_timeout=5.0)
    server.hold()
    try:
        with pytest.raises(UnreachableError, match="exited with code 3"):
            await server.call("pid")
        there.touch()
        with anyio.fail_after(20):
            while True:
                try:
                    assert (await server.call("add", {"a": 1, "b": 2}))["content"][0]["text"] == "3"
                    break
                except UnreachableError:
                    await anyio.sleep(0.1)
    finally:
        await server.release()


async def test_a_call_after_many_crashes_is_worked_on_at_once():
    async with rogue("good", call_timeout=5.0) as server:
        for _ in range(6):
            with pytest.raises(UnreachableError):
                await server.call("die")
        began = time.monotonic()
        await server.call("pid")
        assert time.monotonic() - began < 3


async def test_ten_servers_connect_at_once_and_ready_ones_work_meanwhile():
    slow = rogue("slow-start", 1.0, name="slow", connect_timeout=10.0)
    servers = [rogue("good", name=f"s{index}") for index in range(9)]
    slow.hold()
    for server in servers:
        server.hold()
    try:
        assert await servers[0].settled() is None
        assert slow.state == "connecting"
        assert (await servers[0].call("add", {"a": 1, "b": 2}))["content"][0]["text"] == "3"
        began = time.monotonic()
        assert await slow.settled() is None
        assert [await server.settled() for server in servers] == [None] * 9
        assert time.monotonic() - began < 5
    finally:
        for server in [slow, *servers]:
            await server.release()


@pytest.mark.parametrize("protocol", ["2025-11-25", "2026-07-28", "auto"])
async def test_both_eras_are_spoken_in_process(protocol):
    async with MCPServer.in_process(asking.server, protocol=protocol) as server:
        assert server.protocol_version == ("2025-11-25" if protocol == "2025-11-25" else "2026-07-28")
        assert (await server.call("count"))["content"][0]["text"] == "3"


async def test_somebody_can_be_asked_in_a_call_without_a_run():
    seen = []

    async def asker(question):
        seen.append(question)
        return {"street": "High Street"}

    for protocol in ("2025-11-25", "2026-07-28"):
        async with MCPServer.in_process(asking.server, name="asking", protocol=protocol) as server:
            told = await server.call("order", {"item": "tea"}, asker=asker)
            assert told["content"][0]["text"] == "tea to High Street, gift=False"
            told = await server.call("order", {"item": "tea"})
            assert told["content"][0]["text"] == "not ordered: decline"
    assert [(question.server, question.message) for question in seen] == [("asking", "Where does the tea go?")] * 2


async def test_what_changed_since_it_was_approved_is_kept_back(tmp_path, caplog):
    path = tmp_path / "mcp.lock.json"

    def files(mode="good", **more):
        return rogue(mode, name="files", lock=path, **more)

    with pytest.raises(UsageError, match="agentrt mcp lock"):
        await files().__aenter__()
    lock = LockFile()
    async with files(pins="warn") as server:
        lock.approve("files", server.launch, server.listed)
        lock.save(path)
    async with files() as server:
        assert len(server.tools) == 7
    changed = json.loads(path.read_text())
    del changed["servers"]["files"]["tools"]["pid"]
    path.write_text(json.dumps(changed))
    async with files() as server:
        assert "files__pid" not in server.tools
        assert any("files/pid" in note for note in server.notes)
    with pytest.raises(UsageError, match="another way"):
        await files("loud").__aenter__()


async def test_a_tool_that_changes_under_way_is_kept_back_with_a_diff(tmp_path):
    path, lock = tmp_path / "mcp.lock.json", LockFile()
    async with rogue("rug-pull", name="files", lock=path, pins="warn") as server:
        lock.approve("files", server.launch, server.listed)
        lock.save(path)
        names = set(server.tools)
    async with rogue("rug-pull", name="files", lock=path) as server:
        assert set(server.tools) == names
        with anyio.fail_after(5):
            while set(server.tools) == names:
                await server.call("add", {"a": 1, "b": 2})
        assert len(names - set(server.tools)) == 1
        assert any("what changed of files/" in note and "+" in note for note in server.notes)


def test_options_that_can_not_be_are_refused():
    for options, words in {
        "timeout": ({"timeout": 5}, "call_timeout"),
        "protocol": ({"protocol": "2020-01-01"}, "2025-11-25"),
        "allow": ({"allow": "add"}, "allow=\\['add'\\]"),
        "call_timeout": ({"call_timeout": 0}, "more than 0"),
        "pins": ({"pins": "warn"}, "lock="),
        "max_tools": ({"max_tools": 0}, "1 or more"),
    }.values():
        with pytest.raises(UsageError, match=words):
            MCPServer.stdio("x", **options)
    with pytest.raises(UsageError, match="https://"):
        MCPServer.http("example.com/mcp")


def test_servers_are_named_after_what_they_run():
    assert MCPServer.stdio("npx", "-y", "@scope/server-files@1.2").name == "server-files"
    assert MCPServer.stdio("python", "tools/notes.py").name == "notes"
    assert MCPServer.stdio("/usr/bin/serve-it").name == "serve-it"
    assert MCPServer.http("https://www.example.com/mcp").name == "example"


async def cycles(count):
    """Connect, call, crash, call again, close."""
    for _ in range(count):
        async with rogue("good") as server:
            await server.call("add", {"a": 1, "b": 2})
            with pytest.raises(AgentrtError):
                await server.call("die")
            await server.call("add", {"a": 1, "b": 2})


async def leaves_nothing(count):
    await cycles(2)
    gc.collect()
    before, peak = descriptors(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await cycles(count)
    gc.collect()
    assert descriptors() == before
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    print(f"{count} cycles: memory grew by {grown:.1f} MiB")
    assert grown < 16


async def test_connecting_and_crashing_leaves_nothing():
    await leaves_nothing(5)


@pytest.mark.long
async def test_a_hundred_cycles_leave_nothing():
    await leaves_nothing(100)
