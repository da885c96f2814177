"""Stores: what they keep, what they refuse, and who may hold a key. What they survive is in `faults/test_store.py`."""

import asyncio
import contextlib
import os
import stat
import threading

import anyio
import pytest

from agentrt.errors import AgentrtError, BusyError, StoreError, UsageError
from agentrt.store import MemoryStore, SQLiteStore
from tests.faults.processes import python

MIB = 1024 * 1024


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    async with MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "agent.db") as made:
        yield made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "agent.db"


HOLDER = """
import anyio
from agentrt.store import SQLiteStore

async def main():
    async with SQLiteStore(sys.argv[1]) as store, store.hold("session", "ann"):
        print("held", flush=True)
        sys.stdin.readline()

anyio.run(main)
print("free", flush=True)
"""


async def test_what_was_put_is_what_is_got(store):
    assert await store.get("session", "ann") is None
    await store.put("session", "ann", '{"a": 1}')
    await store.put("run", "ann", "another kind")
    assert await store.get("session", "ann") == '{"a": 1}'
    await store.put("session", "ann", "")
    assert await store.get("session", "ann") == ""
    assert await store.get("run", "ann") == "another kind"


@pytest.mark.parametrize(
    "text", ["a\0b", "ü😀\r\n\u2028", "'; DROP TABLE texts; --", "x" * MIB], ids=["nul", "unicode", "sql", "mib"]
)
async def test_every_character_of_keys_and_texts_comes_back(store, text):
    key = text[:512]
    await store.put("run", key, text)
    assert await store.get("run", key) == text
    assert await store.keys("run") == [key]
    async with store.hold("run", key):
        pass


async def test_keys_come_oldest_first_and_a_later_put_does_not_move_them(store):
    for key in ("c", "a", "b"):
        await store.put("run", key, "1")
    await store.put("run", "c", "2")
    await store.put("session", "z", "1")
    assert await store.keys("run") == ["c", "a", "b"]
    assert await store.delete("run", "c") is True
    await store.put("run", "c", "3")
    assert await store.keys("run") == ["a", "b", "c"]


async def test_what_was_deleted_is_gone_and_a_second_time_says_so(store):
    await store.put("run", "r", "x")
    assert [await store.delete("run", "r"), await store.delete("run", "r")] == [True, False]
    assert await store.get("run", "r") is None
    assert await store.keys("run") == []


@pytest.mark.parametrize("key", ["", "k" * 513, None, 7, b"k", "\ud800"])
async def test_what_is_no_key_is_refused_everywhere(store, key):
    for use in (store.get, store.delete, lambda kind, key: store.put(kind, key, "x")):
        with pytest.raises(UsageError, match="the id of a run"):
            await use("run", key)
    with pytest.raises(UsageError, match="the id of a run"):
        async with store.hold("run", key):
            pytest.fail("held")
    assert await store.keys("run") == []


async def test_the_longest_key_is_kept(store):
    await store.put("run", "k" * 512, "x")
    assert await store.get("run", "k" * 512) == "x"


async def test_an_unknown_kind_is_refused(store):
    for use in (store.get("runs", "k"), store.put("runs", "k", "x"), store.delete("runs", "k"), store.keys("runs")):
        with pytest.raises(UsageError, match="session and run"):
            await use


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "must be a text"), (b"{}", "must be a text"), ({}, "write it as JSON"), ("\udc00", "half a character")],
)
async def test_what_is_no_text_is_refused_and_the_old_one_stays(store, text, told):
    await store.put("run", "r", "old")
    with pytest.raises(UsageError, match=told):
        await store.put("run", "r", text)
    assert await store.get("run", "r") == "old"


async def test_a_text_of_64_mib_is_kept_and_one_byte_more_is_refused(store):
    largest = "x" * (64 * MIB)
    await store.put("run", "r", largest)
    for larger in (largest + "x", "ü" * (32 * MIB) + "x"):
        with pytest.raises(UsageError, match="larger than 64 MiB"):
            await store.put("run", "r", larger)
    assert await store.get("run", "r") == largest


async def test_a_closed_store_says_so(store):
    await store.put("run", "r", "x")
    await store.aclose()
    await store.aclose()
    for use in (store.get("run", "r"), store.put("run", "r", "x"), store.delete("run", "r"), store.keys("run")):
        with pytest.raises(UsageError, match="is closed"):
            await use
    with pytest.raises(UsageError, match="is closed"):
        async with store.hold("run", "r"):
            pytest.fail("held")


async def test_a_held_key_is_busy_at_once_and_others_are_free(store):
    async with store.hold("session", "ann"):
        with anyio.fail_after(2), pytest.raises(BusyError, match="works with the session 'ann' right now") as caught:
            async with store.hold("session", "ann"):
                pytest.fail("held twice")
        assert isinstance(caught.value, UsageError)
        async with store.hold("session", "bob"), store.hold("run", "ann"):
            await store.put("session", "ann", "x")
    async with store.hold("session", "ann"):
        assert await store.get("session", "ann") == "x"


async def test_a_hold_ends_with_an_error_inside_it(store):
    with pytest.raises(ZeroDivisionError):
        async with store.hold("run", "r"):
            _ = 1 / 0
    async with store.hold("run", "r"):
        pass


async def test_a_hold_ends_with_a_cancellation_inside_it(store):
    with anyio.CancelScope() as scope:
        async with store.hold("run", "r"):
            scope.cancel()
            await anyio.sleep_forever()
    async with store.hold("run", "r"):
        pass


@pytest.mark.parametrize("steps", range(6))
async def test_a_cancellation_on_the_way_into_a_hold_leaves_it_free(store, steps):
    async def hold():
        async with store.hold("run", "r"):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(hold)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    with anyio.fail_after(5):
        await until_free(store, "run", "r")


async def until_free(store, kind, key):
    while True:
        with contextlib.suppress(BusyError):
            async with store.hold(kind, key):
                return


async def test_of_many_who_want_a_key_at_once_one_gets_it(store):
    inside, refused = [], []
    everybody_tried = anyio.Event()

    async def want(name):
        try:
            async with store.hold("session", "ann"):
                inside.append(name)
                await everybody_tried.wait()
        except BusyError:
            refused.append(name)
        if len(refused) == 15:
            everybody_tried.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(16):
                group.start_soon(want, number)
    assert (len(inside), len(refused)) == (1, 15)


async def test_nobody_is_inside_a_hold_together_with_somebody_else(store):
    inside, entered = 0, 0

    async def work():
        nonlocal inside, entered
        while entered < 30:
            with contextlib.suppress(BusyError):
                async with store.hold("run", "r"):
                    inside += 1
                    entered += 1
                    assert inside == 1
                    text = await store.get("run", "r")
                    await store.put("run", "r", str(int(text or 0) + 1))
                    inside -= 1
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(40):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(work)
    assert int(await store.get("run", "r")) == entered


def test_one_store_serves_eight_threads_each_with_an_event_loop(path, anyio_backend):
    for store in (MemoryStore(), SQLiteStore(path)):
        failures = []

        async def work(name, store=store):
            for number in range(20):
                await store.put("run", f"{name}-{number}", f"{name} {number}")
                await store.put("session", "shared", f"{name} {number}")
                assert await store.get("run", f"{name}-{number}") == f"{name} {number}"

        def thread(name, work=work, failures=failures):
            try:
                anyio.run(work, name, backend=anyio_backend)
            except BaseException as error:  # noqa: BLE001 - it is looked at below
                failures.append(error)

        threads = [threading.Thread(target=thread, args=(name,)) for name in range(8)]
        for started in threads:
            started.start()
        for started in threads:
            started.join()
        assert failures == []
        keys = anyio.run(store.keys, "run", backend=anyio_backend)
        assert sorted(keys) == sorted(f"{name}-{number}" for name in range(8) for number in range(20))
        assert [key for key in keys if key.startswith("3-")] == [f"3-{number}" for number in range(20)]
        assert anyio.run(store.get, "session", "shared", backend=anyio_backend).endswith(" 19")
        anyio.run(store.aclose, backend=anyio_backend)


async def test_many_tasks_may_put_at_once(store):
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(store.put, "run", f"r{number}", str(number))
    assert len(await store.keys("run")) == 100


async def test_a_put_that_was_given_up_never_undoes_a_later_one(store):
    for number in range(30):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(store.put, "run", "r", f"given up {number}")
            for _ in range(number % 4):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await store.put("run", "r", f"kept {number}")
        assert await store.get("run", "r") == f"kept {number}"
    await store.put("run", "end", "x")  # what had begun is done by now
    assert await store.get("run", "r") == "kept 29"


def test_asyncio_s_own_cancellation_leaves_a_hold_free_and_the_text_whole(path):
    async def work(store, number):
        async with store.hold("run", "r"):
            await store.put("run", "r", str(number) * 100_000)
            await asyncio.sleep(60)

    async def main():
        async with SQLiteStore(path) as store:
            for number in range(10):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(work(store, number), 0.002 * number)
                await asyncio.wait_for(until_free(store, "run", "r"), 5)
                text = await store.get("run", "r")
                assert text is None or (len(text) == 100_000 and len(set(text)) == 1)

    asyncio.run(main())


async def test_a_store_closes_while_puts_are_given_up(path):
    store = SQLiteStore(path)
    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(store.put, "run", f"r{number}", "x" * MIB)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    with anyio.fail_after(20):
        await store.aclose()
    async with SQLiteStore(path) as again:
        for key in await again.keys("run"):
            assert await again.get("run", key) == "x" * MIB


async def test_a_file_outlives_its_store(path):
    async with SQLiteStore(path) as store:
        await store.put("run", "r", "x")
    async with SQLiteStore(str(path)) as store:
        assert await store.get("run", "r") == "x"
    assert [file.name for file in path.parent.iterdir()] == ["agent.db"]


@pytest.mark.skipif(os.name != "posix", reason="file modes")
async def test_only_the_owner_may_read_what_is_kept(path):
    async with SQLiteStore(path) as store, store.hold("run", "r"):
        await store.put("run", "r", "x")
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert modes == {"agent.db": 0o600, "agent.db-wal": 0o600, "agent.db-shm": 0o600, "agent.db.locks": 0o700}


async def test_a_key_that_was_held_leaves_one_empty_file(path):
    async with SQLiteStore(path) as store:
        for _ in range(3):
            async with store.hold("run", "r"):
                pass
    [left] = (path.parent / "agent.db.locks").iterdir()
    assert left.stat().st_size == 0


async def test_stores_under_two_names_of_one_file_share_its_locks(path):
    path.touch()
    other = path.with_name("link.db")
    other.symlink_to(path)
    async with SQLiteStore(path) as first, SQLiteStore(other) as second, first.hold("run", "r"):
        with pytest.raises(BusyError):
            async with second.hold("run", "r"):
                pytest.fail("held twice")


async def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("agent.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    async with store:
        assert (tmp_path / "agent.db").exists()


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere/agent.db", "doesn't exist: make it"),
        (".", "is a folder: name a file"),
        ("a\0b", "can't be at"),
        (":memory:", r"MemoryStore\(\)"),
    ],
)
def test_a_path_that_can_be_no_store_is_refused_when_it_is_named(tmp_path, place, told):
    with pytest.raises(UsageError, match=told):
        SQLiteStore(place if place == ":memory:" else str(tmp_path / place))
    assert list(tmp_path.iterdir()) == []


async def test_a_key_that_another_process_holds_is_busy(path):
    with python(HOLDER, path) as holder:
        assert holder.stdout.readline() == "held\n"
        async with SQLiteStore(path) as store:
            with pytest.raises(BusyError):
                async with store.hold("session", "ann"):
                    pytest.fail("held twice")
            async with store.hold("session", "bob"):
                await store.put("session", "bob", "x")
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "free\n"
            async with store.hold("session", "ann"):
                pass


async def test_our_hold_keeps_another_process_out_and_closing_other_stores_does_not_free_it(path):
    async with SQLiteStore(path) as store, store.hold("session", "ann"):
        for _ in range(3):
            async with SQLiteStore(path) as other:
                with pytest.raises(BusyError):
                    async with other.hold("session", "ann"):
                        pytest.fail("held twice")
        with python(HOLDER, path) as late:
            output, errors = late.communicate("\n", timeout=30)
        assert output == ""
        assert "BusyError" in errors


async def test_what_a_holder_does_with_a_closed_store_is_refused_but_its_hold_lasts(path):
    async with SQLiteStore(path) as other:
        store = SQLiteStore(path)
        async with store.hold("run", "r"):
            await store.aclose()
            with pytest.raises(BusyError):
                async with other.hold("run", "r"):
                    pytest.fail("held twice")
        async with other.hold("run", "r"):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_store_that_was_opened_before_a_fork_says_so_in_the_child(path):
    code = """
import os
import anyio
from agentrt.errors import UsageError
from agentrt.store import SQLiteStore

store = SQLiteStore(sys.argv[1])
unopened = SQLiteStore(sys.argv[1])
anyio.run(store.put, "run", "r", "parent")
child = os.fork()
if child == 0:
    try:
        anyio.run(store.put, "run", "r", "child")
    except UsageError as error:
        print(error, flush=True)
    anyio.run(unopened.put, "run", "c", "child")
    os._exit(0)
os.waitpid(child, 0)
print(anyio.run(store.get, "run", "r"), anyio.run(store.get, "run", "c"))
"""
    with python(code, path) as process:
        output, errors = process.communicate(timeout=30)
    assert "make a new one here" in output, errors
    assert output.endswith("parent child\n")


def test_importing_the_stores_does_not_load_sqlite():
    with python("sys.modules.pop('sqlite3', None)\nimport agentrt.store\nprint('sqlite3' in sys.modules)") as process:
        assert process.communicate(timeout=30)[0] == "False\n"


def test_the_errors_of_stores_have_their_place_in_the_tree():
    assert issubclass(StoreError, AgentrtError)
    assert not issubclass(StoreError, UsageError)
    assert issubclass(BusyError, UsageError)
