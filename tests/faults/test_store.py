"""What an `SQLiteStore` survives: kills, full disks, damaged files, files that it may not write, other programs."""

import contextlib
import os
import random
import sqlite3
import tempfile
import time
from pathlib import Path

import anyio
import pytest

from agentrt.errors import BusyError, StoreError, UsageError
from agentrt.store import SQLiteStore
from tests.faults.processes import python

posix = pytest.mark.skipif(os.name != "posix", reason="signals, limits and file modes of POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "agent.db"


HOLDER = """
import anyio
from agentrt.store import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1])
    async with store.hold("session", "ann"):
        await store.put("session", "ann", "mine")
        print("held", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""

WRITER = """
import anyio
from agentrt.store import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1])
    begin = int(sys.argv[2])
    async with store.hold("session", "counter"):
        for number in range(begin, 1_000_000):
            await store.put("run", f"r{number}", f"{number} " * 200)
            await store.put("session", "counter", str(number))
            print(number, flush=True)

anyio.run(main)
"""


async def test_the_key_of_a_killed_process_is_free(path):
    async with SQLiteStore(path) as store:
        for _ in range(3):
            with python(HOLDER, path) as holder:
                assert holder.stdout.readline() == "held\n"
                holder.kill()
                holder.wait()
            async with store.hold("session", "ann"):
                assert await store.get("session", "ann") == "mine"


async def killed_writers(path, kills, seed):
    print("seed", seed)
    chance = random.Random(seed)
    begin = 0
    for _ in range(kills):
        with python(WRITER, path, begin) as writer:
            first = writer.stdout.readline()
            assert first, writer.stderr.read()
            time.sleep(chance.random() * 0.03)  # noqa: ASYNC251 - nothing else runs, and a kill has no better moment
            writer.kill()
            acknowledged = [
                int(line) for line in [first, *writer.stdout.read().splitlines(keepends=True)] if line.endswith("\n")
            ]
        async with SQLiteStore(path) as store:
            last = int(await store.get("session", "counter"))
            assert acknowledged[-1] <= last <= acknowledged[-1] + 1
            keys = await store.keys("run")
            assert keys[: last + 1] == [f"r{number}" for number in range(last + 1)]
            assert len(keys) <= last + 2
            for number in range(begin, last + 1):
                assert await store.get("run", f"r{number}") == f"{number} " * 200
        begin = len(keys)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    print(f"{kills} kills, {begin} puts")


@posix
async def test_what_was_acknowledged_before_a_kill_is_there(path):
    await killed_writers(path, 10, random.randrange(10**9))  # on two backends: 20


@posix
@pytest.mark.long
@pytest.mark.timeout(600)
async def test_what_was_acknowledged_before_each_of_many_kills_is_there(path):
    await killed_writers(path, 100, random.randrange(10**9))  # on two backends: 200


STARTER = """
import anyio
from agentrt.store import SQLiteStore

print("ready", flush=True)
sys.stdin.readline()
anyio.run(SQLiteStore(sys.argv[1]).put, "run", sys.argv[2], "x")
"""


async def test_processes_that_find_the_file_new_at_once_all_get_in(path):
    with contextlib.ExitStack() as stack:
        starters = [stack.enter_context(python(STARTER, path, number)) for number in range(6)]
        for starter in starters:
            assert starter.stdout.readline() == "ready\n"
        for starter in starters:
            starter.stdin.write("\n")
            starter.stdin.flush()
        for starter in starters:
            assert starter.communicate(timeout=30) == ("", "")
    async with SQLiteStore(path) as store:
        assert sorted(await store.keys("run")) == [str(number) for number in range(6)]


@pytest.fixture
async def filled(path):
    """A closed file with a few hundred texts."""
    async with SQLiteStore(path) as store:
        for number in range(150):
            await store.put("run", f"r{number}", f"{number} " * 50 * (1 + number % 7))
        await store.put("run", "large", "x" * 100_000)
    return path


async def count_refused(path):
    """Read what can be read: every text is whole or refused with an error that names the file."""
    refused = 0
    store = SQLiteStore(path)
    with contextlib.suppress(UsageError, StoreError):
        await store.keys("run")
    for number in range(150):
        try:
            text = await store.get("run", f"r{number}")
        except (UsageError, StoreError) as error:
            refused += str(path) in str(error)
        else:
            assert text in (None, f"{number} " * 50 * (1 + number % 7))
    await store.aclose()
    return refused


async def test_a_truncated_file_is_refused(filled):
    whole = filled.read_bytes()
    for size in (2, 15, 16, 50, 99, 100, 101, 1000, 4095, 4096, 4097, len(whole) // 2, len(whole) - 4096):
        filled.write_bytes(whole[:size])
        assert await count_refused(filled) > 0, size
        assert filled.stat().st_size == size


async def test_random_damage_never_gives_a_wrong_text(filled):
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    whole = filled.read_bytes()
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            place = chance.randrange(len(whole) - 64)
            damaged[place : place + 64] = chance.randbytes(64)
        filled.write_bytes(damaged)
        refused += await count_refused(filled) > 0
    assert refused > 10


@pytest.mark.parametrize(
    "content",
    [b"{}", b"# notes\n" * 1000, b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 4096],
    ids=["json", "text", "zeros", "header"],
)
async def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"agent\.db is (no store|damaged)"):
        async with SQLiteStore(path):
            pytest.fail("opened")
    assert path.read_bytes() == content


async def test_another_program_s_database_is_refused_and_left_as_it_is(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE texts (a)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another program's database"):
        async with SQLiteStore(path):
            pytest.fail("opened")
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_agentrt_is_refused_and_left_as_it_is(filled):
    with contextlib.closing(sqlite3.connect(filled)) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = filled.read_bytes()
    with pytest.raises(UsageError, match=r"newer agentrt .version 2 .*: update agentrt, or name another file"):
        async with SQLiteStore(filled):
            pytest.fail("opened")
    assert filled.read_bytes() == before


async def test_a_store_that_could_not_be_opened_opens_once_its_file_is_mended(path):
    path.write_bytes(b"no store")
    store = SQLiteStore(path)
    with pytest.raises(UsageError, match="no store"):
        await store.put("run", "r", "x")
    path.unlink()
    await store.put("run", "r", "x")
    assert await store.get("run", "r") == "x"
    await store.aclose()


READ_ONLY = """
import os
import anyio.from_thread
from agentrt.errors import AgentrtError
from agentrt.store import SQLiteStore, database

async def main():
    if os.geteuid() == 0:
        os.setuid(65534)  # root may write everything
    store = SQLiteStore(sys.argv[1])
    async def hold():
        async with store.hold("run", "r"):
            pass
    for use in (lambda: store.get("run", "r"), lambda: store.put("run", "r", "new"), hold):
        try:
            print("fine", await use())
        except AgentrtError as error:
            print(type(error).__name__, error)

anyio.run(main)
"""


@pytest.fixture
def open_folder():
    """A folder that other users get to, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@posix
@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "get", "put", "hold"),
    [
        (0o644, 0o555, "its folder", "its folder", "its folder"),
        (0o444, 0o777, "fine old", "may not be written", "fine None"),
        (0o000, 0o777, "can't be opened", "can't be opened", "fine None"),
    ],
    ids=["folder", "file", "unreadable"],
)
async def test_what_may_not_be_written_is_told_and_left_as_it_is(open_folder, file_mode, folder_mode, get, put, hold):
    path = open_folder / "agent.db"
    async with SQLiteStore(path) as store:
        await store.put("run", "r", "old")
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    with python(READ_ONLY, path) as process:
        output, errors = process.communicate(timeout=30)
    open_folder.chmod(0o700)
    path.chmod(0o600)
    for told, line in zip((get, put, hold), output.splitlines(), strict=True):
        assert told in line, errors
        assert line.startswith("fine" if "fine" in told else "StoreError")
    async with SQLiteStore(path) as store:
        assert await store.get("run", "r") == "old"


FULL_DISK = """
import resource
import anyio
from agentrt.errors import StoreError
from agentrt.store import SQLiteStore

async def main():
    async with SQLiteStore(sys.argv[1]) as store:
        await store.put("run", "before", "b" * 50_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        number = 0
        try:
            while True:
                await store.put("run", f"r{number}", f"{number} " * 5_000)
                number += 1
        except StoreError as error:
            print(error)
        async with store.hold("run", "before"):
            assert await store.get("run", "before") == "b" * 50_000
        for kept in range(number):
            assert await store.get("run", f"r{kept}") == f"{kept} " * 5_000
        assert await store.get("run", f"r{number}") is None
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.put("run", "after", "a")
        print(number, await store.keys("run") == ["before", *(f"r{kept}" for kept in range(number)), "after"])

anyio.run(main)
"""


@posix
@pytest.mark.parametrize("limit", [100_000, 500_000, 2_000_000, 6_000_000])
def test_a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room(path, limit):
    with python(FULL_DISK, path, limit) as process:
        output, errors = process.communicate(timeout=50)
    assert errors == ""
    told, last = output.splitlines()
    assert "check the disk's space" in told or "is full" in told
    assert last.endswith(" True")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_put_waits_for_another_program_that_writes(filled):
    other = sqlite3.connect(filled, isolation_level=None, check_same_thread=False)
    async with SQLiteStore(filled) as store:
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                group.start_soon(store.put, "run", "new", "x")
                await anyio.sleep(0.2)  # nothing tells that it waits
                other.execute("COMMIT")
        assert await store.get("run", "new") == "x"


@pytest.mark.long
async def test_a_file_that_another_program_keeps_locked_is_told_after_a_while(filled):
    async with SQLiteStore(filled) as store:
        with contextlib.closing(sqlite3.connect(filled, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"another program has kept .* locked for 10 s"):
                await store.put("run", "new", "x")
            assert await store.get("run", "r1") is not None
        await store.put("run", "new", "x")


async def test_a_put_that_is_given_up_while_another_program_writes_lets_its_caller_go_at_once(filled):
    async with SQLiteStore(filled) as store:
        with contextlib.closing(sqlite3.connect(filled, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            with anyio.move_on_after(0.2):
                await store.put("run", "r1", "given up")
            assert time.monotonic() - begun < 2
        await store.put("run", "r1", "kept")
        assert await store.get("run", "r1") == "kept"


async def test_a_key_is_held_until_a_put_that_was_given_up_inside_is_over(filled):
    async def give_up(store):
        with anyio.move_on_after(0.2):
            async with store.hold("run", "r1"):
                await store.put("run", "r1", "given up")

    async with SQLiteStore(filled) as ours, SQLiteStore(filled) as others:
        with contextlib.closing(sqlite3.connect(filled, isolation_level=None, check_same_thread=False)) as program:
            program.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                group.start_soon(give_up, ours)
                await anyio.sleep(0.6)  # nothing tells that the put waits for the other program
                with pytest.raises(BusyError):
                    await others.hold("run", "r1").__aenter__()
                program.execute("COMMIT")
        async with others.hold("run", "r1"):
            assert await others.get("run", "r1") == "given up"


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")


@linux
async def test_opening_and_closing_two_hundred_times_leaves_nothing_open(path):
    async def cycle(number):
        async with SQLiteStore(path) as store, store.hold("run", "r"):
            await store.put("run", "r", str(number))

    await cycle(0)
    before = open_descriptors()
    for number in range(1, 201):
        await cycle(number)
    assert open_descriptors() <= before


@linux
async def test_what_is_refused_leaves_nothing_open(path):
    broken = path.with_name("broken.db")
    broken.write_bytes(b"no store")
    async with SQLiteStore(path) as store, store.hold("run", "r"):
        before = open_descriptors()
        for _ in range(10):
            with pytest.raises(UsageError):
                await SQLiteStore(broken).get("run", "r")
            with pytest.raises(BusyError):
                await store.hold("run", "r").__aenter__()
        allowed = before + 1  # SQLite keeps one for the next who asks, as long as the key is held
        assert open_descriptors() <= allowed
    assert open_descriptors() < before
