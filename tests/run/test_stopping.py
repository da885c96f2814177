"""A run ends when it is told to: from inside, from outside, by the clock, by Ctrl-C. Nothing of it stays."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import anyio
import pytest

from agentrt import Agent, Hooks, Limits, UsageError, tool
from agentrt.errors import StatusError
from agentrt.testing import FakeClock, ResponsesServer, ScriptedModel, call, calls, http_error, say
from tests.run.parts import ROOT, outputs

HOUR = 3600.0


class Scene:
    """An agent that comes to the phase of its name, and would stay there for an hour."""

    def __init__(self):
        self.arrived = anyio.Event()
        self.ended = []

    async def stay(self, *_):
        self.arrived.set()
        try:
            await anyio.sleep(HOUR)
        finally:
            self.ended.append(True)

    def model(self, *script, **options):
        return ScriptedModel(script, **options)

    def waiting_model(self):
        def model(_):
            self.arrived.set()
            return say("late", delay=HOUR)

        return ScriptedModel(model)

    def a_request(self):
        return Agent("m", client=self.waiting_model())

    def a_stream(self):
        def model(_):
            self.arrived.set()
            return say("slow " * 100, pause=HOUR)

        return Agent("m", client=ScriptedModel(model))

    def a_retry(self):
        def model(_):
            self.arrived.set()
            return http_error(429, headers={"retry-after": "30"})

        return Agent("m", client=ScriptedModel(model, timeout=2 * HOUR))

    def a_tool(self, name="agent"):
        @tool
        async def work() -> None:
            await self.stay()

        return Agent("m", tools=[work], client=self.model(calls(call("work"))), name=name)

    def a_retried_tool(self):
        @tool(retries=20, effect="idempotent")
        async def work() -> None:
            self.arrived.set()
            raise RuntimeError("no luck")

        return Agent("m", tools=[work], client=self.model(calls(call("work"))))

    def a_serial_batch(self):
        agent = self.a_tool()
        script = calls(call("work"), call("work"))
        return Agent("m", tools=agent.registry, client=self.model(script), parallel_tool_calls=False)

    def a_hook(self):
        class Slow(Hooks):
            before_model = after_model = lambda _, *__: self.stay()

        return Agent("m", client=self.model(say("hi")), hooks=[Slow()])

    def instructions(self):
        return Agent("m", client=self.model(say("hi")), instructions=self.stay)

    def a_predicate(self):
        @tool(approval=self.stay)
        def work() -> None: ...

        return Agent("m", tools=[work], client=self.model(calls(call("work"))))

    def a_sub_agents_request(self):
        child = Agent("m", name="child", client=self.waiting_model())
        return Agent("m", tools=[child.as_tool()], client=self.model(calls(call("child", task="x"))))

    def a_sub_agents_tool(self):
        child = self.a_tool("child")
        return Agent("m", tools=[child.as_tool()], client=self.model(calls(call("child", task="x"))))


PHASES = [name for name in vars(Scene) if name.startswith("a_") or name == "instructions"]


async def read(run):
    async with run:
        async for _ in run:
            pass


def check_whole(result):
    made = [item.raw["call_id"] for item in result.items if item.type == "function_call"]
    assert made == [item.raw["call_id"] for item in result.items if item.type == "function_call_output"]


# --- cancelled


@pytest.mark.parametrize("phase", PHASES)
async def test_cancel_ends_a_run_in_every_phase(phase, anyio_backend_name):
    scene = Scene()
    agent = getattr(scene, phase)()
    tasks = asyncio.all_tasks() if anyio_backend_name == "asyncio" else set()
    run = agent.stream("go")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read, run)
            await scene.arrived.wait()
            await anyio.sleep(0.01)
            run.cancel()
            run.cancel()
    assert run.result.status == "cancelled"
    check_whole(run.result)
    assert scene.ended in ([True], []), "what it had begun has ended"
    if anyio_backend_name == "asyncio":
        assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("at", [None, "run.started", "turn.started"])
async def test_cancel_before_the_request_asks_nothing(at):
    model = ScriptedModel([say("never")])
    async with Agent("m", client=model).stream("go") as run:
        if at is None:
            run.cancel()
        async for event in run:
            if event.type == at:
                run.cancel()
    assert (run.result.status, len(model.requests), run.result.items) == ("cancelled", 0, [])


async def test_cancel_after_the_end_changes_nothing():
    async with Agent("m", client=ScriptedModel([say("hi")])).stream("go") as run:
        async for _ in run:
            pass
        run.cancel()
    assert (run.result.status, run.result.output) == ("completed", "hi")
    run.cancel()
    assert run.result.status == "completed"


async def test_a_tool_in_a_thread_does_not_hold_a_cancelled_run_up():
    begun, go_on = anyio.Event(), threading.Event()

    @tool
    def block() -> None:
        anyio.from_thread.run_sync(begun.set, token=token)
        go_on.wait(20)

    token = anyio.lowlevel.current_token()
    run = Agent("m", tools=[block], client=ScriptedModel([calls(call("block"))])).stream("go")
    try:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(read, run)
                await begun.wait()
                run.cancel()
    finally:
        go_on.set()
    assert run.result.status == "cancelled"
    assert "outcome is unknown" in outputs(run.result)[0]


async def test_what_had_ended_before_the_cancel_is_kept():
    scene = Scene()

    @tool
    def quick() -> str:
        return "done before"

    @tool
    async def slow() -> None:
        await scene.stay()

    turn = calls(call("slow"), call("quick"), call("slow"))
    run = Agent("m", tools=[quick, slow], client=ScriptedModel([turn])).stream("go")
    with anyio.fail_after(5):
        async with run:
            async for event in run:
                if event.type == "tool.finished":
                    run.cancel()
    first, second, third = outputs(run.result)
    assert second == "done before"
    assert "outcome is unknown" in first
    assert "outcome is unknown" in third


# --- the clock


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("streaming", [False, True])
def test_seconds_end_a_run_in_every_phase(phase, backend, streaming):
    async def main():
        scene = Scene()
        agent = getattr(scene, phase)()
        options = {"limits": Limits(seconds=20)}
        if not streaming:
            return await agent.run("go", **options)
        run = agent.stream("go", **options)
        await read(run)
        return run.result

    clock = FakeClock()
    result = clock.run(main, backend=backend)
    assert (result.status, result.stopped_by) == ("limit", "seconds")
    assert clock.now == pytest.approx(20, abs=0.5)
    assert result.state.meter.seconds == pytest.approx(20, abs=0.5)
    check_whole(result)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_seconds_count_over_a_resume(backend):
    async def main():
        @tool(effect="pure")
        async def work(n: int) -> int:
            await anyio.sleep(12)
            return n

        model = ScriptedModel([calls(call("work", n=1)), http_error(401), calls(call("work", n=2)), say("done")])
        agent = Agent("m", tools=[work], client=model, limits=Limits(seconds=20))
        try:
            await agent.run("go")
        except StatusError as error:
            state = error.state
        await anyio.sleep(HOUR)  # nobody worked on it meanwhile
        return await agent.resume(state.to_json())

    result = FakeClock().run(main, backend=backend)
    assert (result.status, result.stopped_by) == ("limit", "seconds")
    assert result.state.meter.seconds == pytest.approx(20, abs=0.5)


# --- from outside


@pytest.mark.parametrize("phase", PHASES)
async def test_a_cancellation_from_outside_goes_through_and_the_state_remains(phase):
    scene = Scene()
    run = getattr(scene, phase)().stream("go")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read, run)
            await scene.arrived.wait()
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
    assert run.state.status is None
    assert run.state.threads["main"].turn == 1
    with pytest.raises(UsageError, match="left before it was over"):
        _ = run.result
    assert scene.ended in ([True], [])


async def test_a_deadline_of_the_users_own_ends_a_run():
    with anyio.move_on_after(0.05) as scope:
        await Scene().a_tool().run("go")
    assert scope.cancelled_caught


# --- Ctrl-C


CHILD = """
import anyio, subprocess, sys
from agentrt import Agent, tool
from agentrt.testing import ScriptedModel, call, calls, say

@tool
async def shell(seconds: int) -> str:
    process = await anyio.open_process([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    print(process.pid, flush=True)
    try:
        return str(await process.wait())
    finally:
        process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
        print("cleaned up", flush=True)

agent = Agent("m", tools=[shell], client=ScriptedModel([calls(call("shell", seconds=60))]))

async def watch():
    async with agent.stream("go") as run:
        async for _ in run:
            pass

async def tell():
    print((await agent.run("go")).status)
"""

WAYS = {
    "run_sync": 'agent.run_sync("go")',
    "anyio.run": "anyio.run(tell)",
    "trio": 'anyio.run(tell, backend="trio")',
    "stream": "anyio.run(watch)",
    "stream on trio": 'anyio.run(watch, backend="trio")',
}


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_ends_a_script_within_two_seconds_and_its_children_with_it(way):
    script = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD + WAYS[way]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        child = int(script.stdout.readline())
        assert is_alive(child)
        time.sleep(0.05)
        script.send_signal(signal.SIGINT)
        pressed = time.monotonic()
        out, err = script.communicate(timeout=10)
        took = time.monotonic() - pressed
    finally:
        script.kill()
    assert took < 2, err
    assert out == "cleaned up\n", err
    assert not is_alive(child)
    assert "KeyboardInterrupt" in err.splitlines()[-1], err
    assert script.returncode == -signal.SIGINT


BLOCKED = """
import time
from agentrt import Agent, tool
from agentrt.testing import ScriptedModel, call, calls

@tool
def block() -> None:
    print(1, flush=True)
    time.sleep(60)

Agent("m", tools=[block], client=ScriptedModel([calls(call("block"))])).run_sync("go")
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_ctrl_c_ends_a_script_although_a_thread_is_busy():
    script = subprocess.Popen(
        [sys.executable, "-c", BLOCKED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        script.stdout.readline()
        pressed = time.monotonic()
        script.send_signal(signal.SIGINT)
        _, err = script.communicate(timeout=10)
        assert time.monotonic() - pressed < 2, err
    finally:
        script.kill()


# --- sync


def answering():
    @tool
    def double(n: int) -> int:
        return 2 * n

    def model(request):
        last = request["input"][-1]
        if last["type"] == "function_call_output":
            return say(last["output"])
        return calls(call("double", n=int(last["content"])))

    return Agent("m", tools=[double], client=ScriptedModel(model))


def stopped_at_approval():
    @tool(approval=True)
    def double(n: int) -> int:
        return 2 * n

    model = ScriptedModel([calls(call("double", n=4)), say("eight")])
    return Agent("m", tools=[double], client=model)


def test_sync_runs_work_twice_in_a_row_and_from_many_threads():
    agent = answering()
    assert [agent.run_sync("2").output, agent.run_sync("3").output] == ["4", "6"]
    told = {}
    threads = [threading.Thread(target=lambda n=n: told.update({n: agent.run_sync(str(n)).output})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert told == {n: str(2 * n) for n in range(20)}


def test_a_pending_run_is_resumed_from_sync_code_and_threads():
    agent = stopped_at_approval()
    result = agent.run_sync("go")
    (pending,) = result.pending
    told = []
    decide = {pending.id: {"type": "approve"}}
    thread = threading.Thread(target=lambda: told.append(agent.resume_sync(result.state.to_json(), decide)))
    thread.start()
    thread.join(20)
    assert (told[0].status, told[0].output, outputs(told[0])) == ("completed", "eight", ["8"])
    assert agent.resume_sync(told[0].state).output == "eight"


async def test_sync_calls_work_beside_a_running_event_loop_as_in_a_notebook():
    assert answering().run_sync("2").output == "4"
    agent = stopped_at_approval()
    result = agent.run_sync("go")
    result = agent.resume_sync(result.state, {result.pending[0].id: {"type": "deny"}})
    assert result.output == "eight"


def test_from_inside_a_run_that_run_sync_runs_they_are_refused():
    @tool
    async def nested(how: str) -> str:
        inner = answering()
        try:
            return inner.run_sync("2").output if how == "run" else inner.resume_sync("{}").output
        except UsageError as error:
            return f"refused: {error}"

    @tool
    def in_a_thread() -> str:
        return answering().run_sync("2").output or "-"

    turn = calls(call("nested", how="run"), call("nested", how="resume"), call("in_a_thread"))
    result = Agent("m", tools=[nested, in_a_thread], client=ScriptedModel([turn, say("done")])).run_sync("go")
    first, second, third = outputs(result)
    assert "await agent.run" in first
    assert second.startswith("refused: ")
    assert third == "4", "a sync tool is on a thread of its own"


def test_an_error_of_a_sync_run_carries_its_state():
    agent = Agent("m", client=ScriptedModel([http_error(401), say("hi")]))
    with pytest.raises(Exception, match="scripted") as caught:
        agent.run_sync("go")
    assert agent.resume_sync(caught.value.state).output == "hi"


def test_sync_runs_work_against_a_real_server():
    with ResponsesServer(lambda request: say(str(len(request["input"])))) as server:
        code = f"""
from agentrt import Agent, Client
agent = Agent("m", client=Client(base_url={server.url!r}))
print([agent.run_sync("a").output, agent.run_sync("b").output])
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "['1', '1']\n", "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_siblings_worked_counts_when_a_decision_comes_days_later(backend):
    async def main():
        @tool(effect="pure")
        async def work(n: int) -> int:
            await anyio.sleep(12)
            return n

        @tool(approval=True)
        def sign() -> None: ...

        model = ScriptedModel([calls(call("work", n=1), call("sign")), calls(call("work", n=2)), say("done")])
        agent = Agent("m", tools=[work, sign], client=model, limits=Limits(seconds=20))
        result = await agent.run("go")
        await anyio.sleep(HOUR)
        return await agent.resume(result.state.to_json(), {result.pending[0].id: {"type": "approve"}})

    result = FakeClock().run(main, backend=backend)
    assert (result.status, result.stopped_by) == ("limit", "seconds")
