"""Whatever ends a run, it goes on from there: nothing is lost, nothing unsafe is done twice."""

import asyncio
import gc
import threading
from collections import Counter
from pathlib import Path

import anyio
import pytest

from agentrt import Agent, Context, Limits, RunState, UsageError, tool
from agentrt.errors import StatusError
from agentrt.store import MemoryStore
from agentrt.testing import ResponsesServer, ScriptedModel, call, calls, http_error, say
from tests.run.parts import outputs, python

UNKNOWN = "this call had begun when the run was interrupted, so its outcome is unknown; it is not repeated"


def others():
    """Count the threads, but for those of tools that wait for the next one and end by themselves."""
    return sum(thread.name != "agentrt-tool" for thread in threading.enumerate())


class Interrupted:
    """Runs coroutines, and cancels a scope at their k-th wait, whichever of them waits."""

    def __init__(self, k):
        self.k, self.waits, self.scope = k, 0, anyio.CancelScope()

    async def __call__(self, coroutine):
        return await _Steps(self, coroutine)

    def count(self):
        self.waits += 1
        if self.waits == self.k:
            self.scope.cancel()


class _Steps:
    def __init__(self, owner, coroutine):
        self.owner, self.coroutine = owner, coroutine

    def __await__(self):
        steps, value, error = self.coroutine.__await__(), None, None
        while True:
            try:
                wish = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            self.owner.count()
            value = error = None
            try:
                value = yield wish
            except BaseException as raised:  # noqa: BLE001 - it belongs to the coroutine
                error = raised


class World:
    """Three tools and what they did. They call each other's names in two turns."""

    def __init__(self):
        self.started, self.ended = Counter(), Counter()
        self.runner = lambda coroutine: coroutine
        self.in_threads = False
        self.failures = {}
        self.requests = []

    def tools(self):
        async def work(name):
            self.started[name] += 1
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            self.ended[name] += 1
            return name

        def work_here(name):
            self.started[name] += 1
            self.ended[name] += 1
            return name

        if self.in_threads:
            return [
                tool(lambda n: work_here(f"read {n}"), name="read", effect="pure"),
                tool(lambda n: work_here(f"put {n}"), name="put", effect="idempotent"),
                tool(lambda n: work_here(f"pay {n}"), name="pay"),
            ]

        @tool(effect="pure")
        async def read(n: int) -> str:
            return await self.runner(work(f"read {n}"))

        @tool(effect="idempotent")
        async def put(n: int) -> str:
            return await self.runner(work(f"put {n}"))

        @tool
        async def pay(n: int) -> str:
            return await self.runner(work(f"pay {n}"))

        return [read, put, pay]

    def model(self, request):
        done = sum(item["type"] == "function_call_output" for item in request["input"]) // 3
        self.requests.append(request["input"])
        if self.failures.get(done):
            self.failures[done] -= 1
            return http_error(503, headers={"x-should-retry": "false"})
        if done == 2:
            return say("done")
        return calls(*(call(name, n=done) for name in ("read", "put", "pay")))

    def agent(self, **options):
        return Agent("m", tools=self.tools(), client=ScriptedModel(self.model), **options)

    def check(self, result, *, after=""):
        """Look at a run that was interrupted and has come to its end."""
        assert (result.status, result.text) == ("completed", "done"), after
        items = [item.raw for item in result.items]
        made = [item["call_id"] for item in items if item["type"] == "function_call"]
        answered = [item["call_id"] for item in items if item["type"] == "function_call_output"]
        assert made == answered, after
        assert len(set(made)) == 6, after
        told = outputs(result)
        for place, name in enumerate(f"{name} {n}" for n in (0, 1) for name in ("read", "put", "pay")):
            if not name.startswith("pay"):
                assert told[place] == name, after
                continue
            not_yet = self.in_threads and told[place] != name  # its thread has it, and may not have been woken yet
            assert self.started[name] in ((0, 1) if not_yet else (1,)), f"{name}: {self.started[name]} times {after}"
            assert told[place] in (name, f"Error: {UNKNOWN}"), after
            if told[place] == name:
                assert self.ended[name] == 1, after


def descriptors():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("streaming", [False, True])
async def test_cancelled_at_every_await_a_run_goes_on_where_it_stood(streaming, parallel, anyio_backend_name):
    gc.collect()
    open_before, threads_before = descriptors(), others()
    tasks = asyncio.all_tasks() if anyio_backend_name == "asyncio" else set()
    k, in_flight = 0, 0
    while True:
        k += 1
        world = World()
        agent = world.agent(parallel_tool_calls=parallel, storage=None if streaming else MemoryStore())
        world.runner = interrupted = Interrupted(k)
        run = agent.stream("go")
        with interrupted.scope:
            world.check(await interrupted(whole_stream(run) if streaming else agent.run("go", run_id="r")))
            break
        if anyio_backend_name == "asyncio":
            assert asyncio.all_tasks() == tasks, k
        world.runner = lambda coroutine: coroutine
        result = await (agent.resume(run.state.to_json()) if streaming else agent.run("go", run_id="r"))
        world.check(result, after=f"after wait {k}")
        in_flight += sum(UNKNOWN in told for told in outputs(result))
        assert k < 1000
    print(f"{k - 1} waits, {in_flight} calls in flight")
    assert k > 25
    assert in_flight >= 2, "the unsafe calls were caught at work, too"
    gc.collect()
    assert descriptors() == open_before
    assert others() <= threads_before  # an idle one may have ended


async def test_cancelled_at_every_await_while_tools_work_in_threads():
    k = 0
    while True:
        k += 1
        world = World()
        world.in_threads = True
        agent = world.agent()
        run = agent.stream("go")
        interrupted = Interrupted(k)
        with interrupted.scope:
            world.check(await interrupted(whole_stream(run)))
            break
        world.check(await agent.resume(run.state.to_json()), after=f"after wait {k}")
    assert k > 10


async def test_cancelled_twice_in_a_row():
    for first in range(1, 40, 5):
        for second in range(1, 40, 5):
            world = World()
            agent = world.agent()
            run = agent.stream("go")
            for k in (first, second):
                world.runner = interrupted = Interrupted(k)
                with interrupted.scope:
                    await interrupted(whole_stream(run))
                world.runner = lambda coroutine: coroutine
                if run.state.status is not None:
                    break
                run = agent.resume_stream(run.state.to_json())
            if run.state.status is None:
                await whole_stream(run)
            world.check(run.result, after=f"after waits {first} and {second}")


# --- errors


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("turn", [0, 1, 2])
async def test_a_run_goes_on_after_an_error_of_the_model(turn, streaming):
    world = World()
    world.failures[turn] = 2
    agent = world.agent()
    with pytest.raises(StatusError) as caught:
        await (whole_stream(agent.stream("go")) if streaming else agent.run("go"))
    with pytest.raises(StatusError) as again:
        await agent.resume(caught.value.state)
    result = await agent.resume(again.value.state.to_json())
    world.check(result)
    assert result.turns == 3, "a request that failed is asked again, in the same turn"
    assert world.requests[turn] == world.requests[turn + 1] == world.requests[turn + 2]
    assert all(count == 1 for count in world.started.values())


async def whole_stream(run):
    async with run:
        async for _ in run:
            pass
    return run.result


async def test_leaving_a_stream_early_is_no_loss():
    for leave in range(1, 30):
        world = World()
        agent = world.agent()
        async with agent.stream("go") as run:
            seen = 0
            async for _ in run:
                seen += 1
                if seen == leave:
                    break
        world.check(await agent.resume(run.state), after=f"after event {leave}")


async def test_an_error_of_the_users_own_leaves_the_state_in_the_run():
    world = World()
    agent = world.agent()
    with pytest.raises(KeyError):
        async with agent.stream("go") as run:
            async for event in run:
                if event.type == "tool.finished":
                    raise KeyError("mine")
    world.check(await agent.resume(run.state))


# --- a run that somebody ended


@pytest.mark.parametrize("at", ["run.started", "turn.started", "tool.started", "tool.finished", "text.delta"])
async def test_cancel_answers_every_call_and_is_an_end(at):
    world = World()
    agent = world.agent()
    async with agent.stream("go") as run:
        async for event in run:
            if event.type == at:
                run.cancel()
    result = run.result
    assert result.status == "cancelled"
    made = [item.raw["call_id"] for item in result.items if item.type == "function_call"]
    assert made == [item.raw["call_id"] for item in result.items if item.type == "function_call_output"]
    again = await agent.resume(result.state.to_json())
    assert (again.status, again.items) == (result.status, again.items)
    assert [item.raw for item in again.items] == [item.raw for item in result.items]
    started = Counter(world.started)
    result = await agent.run("go on", after=result)
    assert result.status == "completed"
    assert all(world.started[name] == 1 for name in started if name.startswith("pay")), started


async def test_resuming_a_run_that_is_over_gives_its_result():
    world = World()
    agent = world.agent()
    result = await agent.run("go")
    asked = len(world.requests)
    again = await agent.resume(result.state.to_json())
    assert (again.status, again.output, again.turns) == ("completed", "done", result.turns)
    events = []
    async with agent.resume_stream(result.state) as run:
        async for event in run:
            events += [event.type]
    assert (run.result.output, len(world.requests)) == ("done", asked)
    assert events == ["run.started", "run.finished"]


async def test_resuming_a_run_that_reached_a_limit_gives_its_result():
    world = World()
    result = await world.agent(limits=Limits(max_turns=1)).run("go")
    again = await world.agent().resume(result.state)
    assert (again.status, again.stopped_by, len(world.requests)) == ("limit", "max_turns", 1)


# --- what changed meanwhile


async def interrupted_at(name, agent):
    """Leave a run when a tool begins."""
    async with agent.stream("go") as run:
        async for event in run:
            if event.type == "tool.started" and event.name == name:
                break
    return run.state


def hanging(**options):
    @tool(**options)
    async def read(n: int) -> str:
        await anyio.sleep_forever()

    return Agent(
        "m", tools=[read], client=ScriptedModel([calls(call("read", n=1))]), name="reader", parallel_tool_calls=False
    )


async def test_a_tool_that_is_gone_is_answered_as_unknown():
    state = await interrupted_at("read", hanging(effect="pure"))
    result = await Agent("m", client=ScriptedModel([say("done")]), name="reader").resume(state)
    assert "there is no tool named 'read'" in outputs(result)[0]
    assert result.output == "done"


async def test_a_tool_whose_arguments_changed_tells_the_model():
    state = await interrupted_at("read", hanging(effect="pure"))

    @tool(effect="pure")
    def read(n: int, book: str) -> str:
        return book

    result = await Agent("m", tools=[read], client=ScriptedModel([say("done")]), name="reader").resume(state)
    assert "`book` is required" in outputs(result)[0]


@pytest.mark.parametrize(("effect", "told"), [("pure", "1"), ("idempotent", "1"), ("unsafe", f"Error: {UNKNOWN}")])
async def test_what_runs_again_goes_by_the_effect_it_had_when_it_began(effect, told):
    state = await interrupted_at("read", hanging(effect=effect))
    for now in ("pure", "unsafe"):

        @tool(effect=now)
        def read(n: int) -> str:
            return str(n)

        result = await Agent("m", tools=[read], client=ScriptedModel([say("done")]), name="reader").resume(state)
        assert outputs(result) == [told]


async def test_the_idempotency_key_stays_the_same_over_a_resume():
    keys = []

    @tool(effect="idempotent")
    async def put(n: int, context: Context) -> str:
        keys.append(context.key)
        if len(keys) == 1:
            await anyio.sleep_forever()
        return "ok"

    agent = Agent("m", tools=[put], client=ScriptedModel([calls(call("put", n=1)), say("done")]))
    result = await agent.resume((await interrupted_at("put", agent)).to_json())
    assert outputs(result) == ["ok"]
    assert keys[0] == keys[1] != ""


async def test_an_agent_of_another_name_is_refused():
    state = await interrupted_at("read", hanging(effect="pure"))
    with pytest.raises(UsageError, match="'reader'"):
        await Agent("m", client=ScriptedModel()).resume(state)


async def test_limits_may_be_raised_for_what_is_left():
    state = await interrupted_at("read", hanging(effect="pure"))
    agent = hanging(effect="pure")
    with pytest.raises(UsageError, match="run_id"):
        await agent.resume(state, run_id="other")
    result = await agent.resume(state, limits=Limits(seconds=0.05))
    assert (result.status, result.stopped_by) == ("limit", "seconds")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 99}', b"\xff", "null", '{"version": 4, "threads": {}}'])
async def test_what_is_no_state_is_said(text):
    with pytest.raises(UsageError, match="state"):
        await Agent("m", client=ScriptedModel()).resume(text)


@pytest.mark.parametrize("state", [None, 5, {"version": 4}])
async def test_a_state_is_a_state_or_its_json(state):
    with pytest.raises(UsageError, match="state"):
        await Agent("m", client=ScriptedModel()).resume(state)


async def test_sub_agents_go_on_where_they_stood():
    started = Counter()

    @tool(effect="idempotent")
    async def look(n: int) -> str:
        started[n] += 1
        if started[n] == 1 and n == 2:
            await anyio.sleep_forever()
        return f"page {n}"

    child_model = ScriptedModel([calls(call("look", n=1)), calls(call("look", n=2)), say("found")])
    child = Agent("m", tools=[look], client=child_model, name="child")
    boss_model = ScriptedModel([calls(call("child", task="look it up")), say("done")])
    boss = Agent("m", tools=[child.as_tool()], client=boss_model, name="boss")
    async with boss.stream("go") as run:
        async for event in run:
            if event.type == "tool.started" and event.name == "look" and started[1]:
                await anyio.sleep(0.01)
                if started[2]:
                    break
    result = await boss.resume(run.state.to_json())
    assert (result.output, outputs(result)) == ("done", ["found"])
    assert started == {1: 1, 2: 2}
    assert (len(child_model.requests), len(boss_model.requests)) == (3, 2)


# --- another process


FRESH = """
import json, sys
from agentrt import Agent, Client, tool
from tests.run.parts import outputs

ran = []

@tool(effect="pure")
def read(n: int) -> str:
    ran.append(n)
    return f"read {n}"

@tool
def pay(n: int) -> str:
    ran.append(n)
    return f"paid {n}"

agent = Agent("m", tools=[read, pay], client=Client(base_url=sys.argv[1]))
result = agent.resume_sync(sys.stdin.read())
print(json.dumps({"status": result.status, "ran": ran, "outputs": outputs(result), "id": result.state.run_id}))
"""


async def test_a_fresh_process_goes_on_with_exactly_the_next_effect():
    @tool(effect="idempotent")
    async def read(n: int) -> str:
        if n == 2:
            await anyio.sleep_forever()
        return f"read {n}"

    @tool
    async def pay(n: int) -> str:
        await anyio.sleep_forever()

    turn = calls(call("read", n=1), call("read", n=2), call("pay", n=3))
    agent = Agent("m", tools=[read, pay], client=ScriptedModel([calls(call("read", n=0)), turn]))
    async with agent.stream("go", run_id="run-7") as run:
        async for event in run:
            if event.type == "tool.finished" and event.output == "read 1":
                break
    with ResponsesServer([say("done")]) as server:
        told = await anyio.to_thread.run_sync(lambda: python(FRESH, server.url, stdin=run.state.to_json()))
        (request,) = server.requests
    answers = ["read 0", "read 1", "read 2", f"Error: {UNKNOWN}"]
    assert told == {"status": "completed", "ran": [2], "outputs": answers, "id": "run-7"}
    assert [item["type"] for item in request.json["input"]] == [
        "message",
        "function_call",
        "function_call_output",
        *["function_call"] * 3,
        *["function_call_output"] * 3,
    ]


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_fresh_process_asks_the_very_request_that_failed(turn):
    script = [calls(call("read", n=0)), http_error(401)] if turn == 2 else [http_error(401)]

    @tool(effect="pure")
    def read(n: int) -> str:
        return f"read {n}"

    @tool
    def pay(n: int) -> str:
        return f"paid {n}"

    model = ScriptedModel(script)
    with pytest.raises(StatusError) as caught:
        await Agent("m", tools=[read, pay], client=model).run("go")
    text = caught.value.state.to_json()
    assert RunState.from_json(text).to_json() == text
    with ResponsesServer([say("done")]) as server:
        told = await anyio.to_thread.run_sync(lambda: python(FRESH, server.url, stdin=text))
        (request,) = server.requests
    assert (told["status"], told["ran"]) == ("completed", [])
    assert request.json == model.requests[-1].json
