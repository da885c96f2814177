"""Run ids: a known run is gone on with or gives its result, and no effect is had twice, whatever ends a process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentrt import Agent, Approve, Limits, RunState, tool
from agentrt.errors import StatusError, StoreError, UsageError
from agentrt.store import MemoryStore, SQLiteStore
from agentrt.testing import ResponsesServer, ScriptedModel, call, calls, http_error, say

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["memory", "sqlite"])
async def storage(request, tmp_path):
    async with MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "kept.db") as store:
        yield store


@tool(effect="pure")
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def agent_of(storage, *script, tools=(add,), **options):
    model = ScriptedModel(list(script), max_retries=0)
    return model, Agent("m", tools=tools, storage=storage, client=model, **options)


def outputs(request):
    return [item["output"] for item in request.json["input"] if item["type"] == "function_call_output"]


# --- run ids


async def test_a_known_run_gives_its_result_without_a_request(storage):
    model, agent = agent_of(storage, calls(call("add", a=1, b=2)), say("3"))
    first = await agent.run("1 + 2?", run_id="daily")
    again = await agent.run("1 + 2?", run_id="daily")
    assert (again.output, again.turns, again.status) == ("3", first.turns, "completed")
    assert [item.raw for item in again.items] == [item.raw for item in first.items]
    assert len(model.requests) == 2
    async with agent.stream("1 + 2?", run_id="daily") as run:
        assert [event.type async for event in run] == ["run.started", "run.finished"]
    assert run.result.output == "3"


async def test_a_known_run_that_failed_goes_on_where_it_stood(storage):
    model, agent = agent_of(storage, calls(call("add", a=1, b=2)), http_error(500), say("3"))
    with pytest.raises(StatusError):
        await agent.run("1 + 2?", run_id="daily")
    assert (await agent.run("1 + 2?", run_id="daily")).output == "3"
    assert outputs(model.requests[2]) == ["3"]


async def test_a_known_pending_run_gives_what_is_pending(storage):
    ran = []

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    model, agent = agent_of(storage, calls(call("pay", amount=5)), say("Paid."), tools=[pay])
    first = await agent.run("Pay 5.", run_id="daily")
    again = await agent.run("Pay 5.", run_id="daily")
    assert [pending.id for pending in again.pending] == [first.pending[0].id]
    assert len(model.requests) == 1
    done = await agent.resume(again.state, {again.pending[0].id: Approve()})
    assert (done.output, ran) == ("Paid.", [5])
    assert (await agent.run("Pay 5.", run_id="daily")).output == "Paid."


async def test_a_state_that_the_run_has_left_behind_is_refused(storage):
    ran = []

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    _, agent = agent_of(storage, calls(call("pay", amount=5)), say("Paid."), tools=[pay])
    first = await agent.run("Pay 5.", run_id="daily")
    text = first.state.to_json()
    await agent.resume(text, {first.pending[0].id: Approve()})
    with pytest.raises(UsageError, match=r"has gone on .* run_id='daily'"):
        await agent.resume(text, {first.pending[0].id: Approve()})
    assert ran == [5]


async def test_a_state_may_be_resumed_with_other_limits(storage):
    _, agent = agent_of(storage, http_error(500), say("3"))
    with pytest.raises(StatusError) as caught:
        await agent.run("1 + 2?", run_id="daily")
    result = await agent.resume(caught.value.state, limits=Limits(max_turns=9))
    assert (result.output, result.state.limits.max_turns) == ("3", 9)


async def test_a_run_belongs_to_the_session_that_it_was_begun_in(storage):
    _, agent = agent_of(storage, say("a"))
    await agent.run("Hi.", run_id="daily", session="ann")
    with pytest.raises(UsageError, match="session='ann'"):
        await agent.run("Hi.", run_id="daily", session="bob")
    with pytest.raises(UsageError, match="session='ann'"):
        await agent.run("Hi.", run_id="daily")


async def test_a_run_of_another_agent_is_refused(storage):
    _, agent = agent_of(storage, say("a"), name="one")
    _, other = agent_of(storage, say("b"), name="two")
    state = (await agent.run("Hi.", run_id="daily")).state
    with pytest.raises(UsageError, match="'one'"):
        await other.run("Hi.", run_id="daily")
    with pytest.raises(UsageError, match="'one'"):
        await other.resume(state)


# --- the store itself


class Failing(MemoryStore):
    """Fails to write from some put on; at first it never does."""

    def __init__(self):
        super().__init__()
        self.left = 1000

    async def put(self, kind, key, text):
        self.left -= 1
        if self.left < 0:
            raise StoreError("the disk is full")
        await super().put(kind, key, text)


def payer(ran):
    @tool
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    return pay


async def test_what_cannot_be_written_is_not_begun():
    ran, store = [], Failing()
    store.left = 1  # the first request is written, its reply is not
    model, agent = agent_of(store, calls(call("pay", amount=5)), say("Paid."), tools=[payer(ran)])
    with pytest.raises(StoreError, match="disk is full") as caught:
        await agent.run("Pay 5.", run_id="daily")
    assert (ran, len(model.requests)) == ([], 1)
    store.left = 1000
    result = await agent.resume(caught.value.state)
    assert (result.output, ran) == ("Paid.", [5]), "nothing had begun, so nothing is unknown"
    assert (await agent.run("Pay 5.", run_id="daily")).output == "Paid."


async def test_a_run_goes_on_from_the_later_of_its_two_records():
    store = Failing()
    store.left = 3  # with the reply the session is written, and the run's own record is not
    model, agent = agent_of(store, calls(call("add", a=1, b=2)), say("3"))
    with pytest.raises(StoreError):
        await agent.run("1 + 2?", run_id="daily", session="ann")
    store.left = 1000
    result = await agent.run("1 + 2?", run_id="daily", session="ann")
    assert (result.output, result.turns, len(model.requests)) == ("3", 2, 2)
    assert outputs(model.requests[1]) == ["3"]


async def test_a_tool_that_has_run_is_not_lost_with_the_write_after_it():
    ran, store = [], Failing()
    store.left = 2  # that the tool begins is written, what it gave is not
    _, agent = agent_of(store, calls(call("pay", amount=5)), say("Paid."), tools=[payer(ran)])
    with pytest.raises(StoreError) as caught:
        await agent.run("Pay 5.", run_id="daily")
    store.left = 1000
    model, agent = agent_of(store, say("Paid."), tools=[payer(ran)])
    result = await agent.resume(caught.value.state.to_json())
    assert (result.output, ran) == ("Paid.", [5])
    assert outputs(model.requests[0]) == ["paid"]


async def test_what_ended_a_run_is_told_though_it_cannot_be_written():
    store = Failing()
    _, agent = agent_of(store, calls(call("add", a=1, b=2)))
    with pytest.raises(ZeroDivisionError) as caught:
        async with agent.stream("1 + 2?", session="ann", run_id="daily") as run:
            async for event in run:
                if event.type == "tool.finished":
                    store.left = 0
                    raise ZeroDivisionError
    assert any("disk is full" in note for note in caught.value.__notes__)
    store.left = 1000
    _, agent = agent_of(store, say("3"))
    assert (await agent.resume(run.state)).output == "3", "the session is free"


async def test_a_last_write_that_fails_is_an_error_with_the_state_and_lets_go():
    store = Failing()
    _, agent = agent_of(store, calls(call("add", a=1, b=2)))
    with pytest.raises(StoreError) as caught:
        async with agent.stream("Wait.", session="ann") as run:
            async for event in run:
                if event.type == "tool.finished":
                    store.left = 0
                    break
    assert caught.value.state.to_json() == run.state.to_json()
    store.left = 1000
    _, agent = agent_of(store, say("Hi."))
    await agent.run("Hi?", session="ann")


async def test_a_store_that_cannot_be_read_begins_nothing(tmp_path):
    path = tmp_path / "kept.db"
    path.write_text("no store at all, though it is long enough to be read as one" * 20)
    model, agent = agent_of(SQLiteStore(path), say("Hi."))
    with pytest.raises(UsageError, match="is no store"):
        await agent.run("Hi.", session="ann")
    assert model.requests == []


async def test_a_text_that_is_no_state_is_told_of(storage):
    await storage.put("session", "ann", "[]")
    model, agent = agent_of(storage, say("Hi."))
    with pytest.raises(UsageError, match="session 'ann' can't be read"):
        await agent.run("Hi.", session="ann")
    assert model.requests == []
    await storage.delete("session", "ann")
    assert (await agent.run("Hi.", session="ann")).output == "Hi."


async def test_a_session_without_a_storage_is_a_clear_error():
    _, agent = agent_of(None, say("Hi."))
    with pytest.raises(UsageError, match=r"session= needs a storage: Agent\(storage=SQLiteStore"):
        await agent.run("Hi.", session="ann")


async def test_a_session_and_after_are_two_histories(storage):
    _, agent = agent_of(storage, say("Hi."))
    first = await agent.run("Hi.")
    with pytest.raises(UsageError, match="two different histories"):
        await agent.run("Hi.", session="ann", after=first)


@pytest.mark.parametrize("given", [{"session": ""}, {"session": 3}, {"run_id": 3}, {"run_id": "x" * 600}])
async def test_ids_are_texts_of_some_length(storage, given):
    model, agent = agent_of(storage, say("Hi."))
    with pytest.raises(UsageError):
        await agent.run("Hi.", **given)
    assert model.requests == []


async def test_a_run_is_kept_as_a_state_that_can_be_read(storage):
    _, agent = agent_of(storage, say("Hi."))
    result = await agent.run("Hi.", session="ann", run_id="daily")
    for text in (await storage.get("run", "daily"), await storage.get("session", "ann")):
        assert RunState.from_json(text).to_json() == result.state.to_json()


# --- processes

PROGRAM = """
import sys, time
from pathlib import Path
from agentrt import Agent, Client, tool
from agentrt.errors import BusyError
from agentrt.store import SQLiteStore

url, folder = sys.argv[1], Path(sys.argv[2])

def note(what):
    with (folder / "journal").open("a") as journal:
        journal.write(what + "\\n")

@tool(effect="pure")
def look() -> str:
    "Look."
    note("look")
    return "looked"

@tool
def pay() -> str:
    "Pay."
    note("pay")
    print("paying", flush=True)
    sys.stdin.readline()
    return "paid"

agent = Agent("m", tools=[look, pay], client=Client(base_url=url, api_key="k"), storage=SQLiteStore(folder / "kept.db"))
try:
    result = agent.run_sync("Pay.", run_id="cron", session="jobs")
except BusyError as error:
    print("busy", error, flush=True)
    sys.exit(75)
print(result.output, flush=True)
"""


@pytest.fixture
def program(tmp_path):
    """Start the program of a cron job; what still runs at the end is killed."""
    (tmp_path / "program.py").write_text(PROGRAM)
    started = []

    def start(server):
        command = [sys.executable, str(tmp_path / "program.py"), server.url, str(tmp_path)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def journal(tmp_path):
    return (tmp_path / "journal").read_text().split()


def test_a_killed_run_goes_on_and_no_unsafe_tool_is_run_twice(program, tmp_path):
    with ResponsesServer([calls(call("look"), call("pay")), say("It may be paid.")]) as server:
        first = program(server)
        assert first.stdout.readline() == "paying\n"
        first.send_signal(signal.SIGKILL)
        first.wait()
        second, _ = program(server).communicate("", timeout=30)
        assert second == "It may be paid.\n"
        looked, paid = outputs(server.requests[1])
    assert looked == "looked"
    assert "outcome is unknown" in paid
    assert journal(tmp_path).count("pay") == 1


def test_a_killed_run_runs_its_pure_tools_again(tmp_path, program):
    code = PROGRAM.replace(
        'return "looked"', 'print("looking", flush=True)\n    sys.stdin.readline()\n    return "looked"'
    )
    (tmp_path / "program.py").write_text(code)
    with ResponsesServer([calls(call("look")), say("Seen.")]) as server:
        first = program(server)
        assert first.stdout.readline() == "looking\n"
        first.send_signal(signal.SIGKILL)
        first.wait()
        second, _ = program(server).communicate("\n", timeout=30)
        assert second == "looking\nSeen.\n"
        assert outputs(server.requests[1]) == ["looked"]
    assert journal(tmp_path) == ["look", "look"]


def test_a_cron_job_that_fires_twice_does_its_work_once(program, tmp_path):
    with ResponsesServer([calls(call("pay")), say("Paid.")]) as server:
        first = program(server)
        assert first.stdout.readline() == "paying\n"
        second = program(server)
        told, _ = second.communicate("", timeout=30)
        assert told.startswith("busy")
        assert second.returncode == 75
        assert first.communicate("\n", timeout=30)[0] == "Paid.\n"
        third = program(server)
        assert third.communicate("", timeout=30)[0] == "Paid.\n"
        assert len(server.requests) == 2
    assert journal(tmp_path) == ["pay"]
