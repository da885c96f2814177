"""A batch of calls always comes back whole: lanes, retries, approval, progress, outputs of every kind."""

import dataclasses
import itertools
import json
import re
import sqlite3
import subprocess
import sys
import threading
import time

import anyio
import pytest

from agentrt import Agent, Audio, Context, File, Image, Registry, Text, Tool, ToolError, ToolRetry, UsageError, tool
from agentrt.registry.context import call_key
from agentrt.registry.output import encode_output
from agentrt.testing import call as model_call
from agentrt.testing import calls, say

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


COUNT = itertools.count()


def call(name, call_id=None, **arguments):
    call_id = call_id or f"c{next(COUNT)}"
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": json.dumps(arguments)}


async def outputs_of(registry, *items, **options):
    return [output["output"] for output in await registry.dispatch(items, **options)]


# --- lanes


class Watch:
    """Notes what ran beside what."""

    def __init__(self):
        self.running = set()
        self.beside = {}
        self.order = []

    async def pass_by(self, name, seconds=0.01):
        self.order.append(name)
        self.running.add(name)
        for other in self.running:
            self.beside.setdefault(other, set()).update(self.running - {other})
        await anyio.sleep(seconds)
        self.running.discard(name)


async def test_calls_on_one_thing_wait_for_each_other_and_for_no_other():
    watch = Watch()

    @tool(resource="file:{path}")
    async def write(path: str, n: int, mode: str = "w") -> None:
        await watch.pass_by(f"{path}{n}")

    items = [call("write", path=path, n=n) for n in range(4) for path in "ab"]
    await Registry([write]).dispatch(items)
    assert not any(one[0] == other[0] for one, others in watch.beside.items() for other in others)
    assert any(watch.beside.values())
    assert [name for name in watch.order if name[0] == "a"] == ["a0", "a1", "a2", "a3"]


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ("file:{pth}", "resource names 'pth', which is no parameter; it has path"),
        ("file:{path", "resource 'file:{path' can't be read"),
        ("{}", "resource names '', which is no parameter"),
    ],
)
def test_a_resource_that_no_call_can_have(resource, told):
    @tool(resource=resource)
    def work(path: str) -> None: ...

    with pytest.raises(UsageError, match=re.escape(told)):
        work.definition()


async def test_a_lane_that_does_not_fit_a_calls_arguments_is_one_for_all():
    watch = Watch()

    @tool(resource="{n.name}")
    async def work(n: int) -> None:
        await watch.pass_by(n)

    await Registry([work]).dispatch([call("work", n=n) for n in range(3)])
    assert not any(watch.beside.values())


async def test_lanes_take_pythons_defaults():
    watch = Watch()

    @tool(resource="{where}")
    async def work(n: int, where: str = "here") -> None:
        await watch.pass_by(n)

    await Registry([work]).dispatch([call("work", n=1), call("work", n=2, where="here"), call("work", n=3, where="x")])
    assert watch.beside[1] == {3}


async def test_an_exclusive_call_runs_alone_and_in_its_place():
    watch = Watch()

    @tool
    async def shared(n: int) -> None:
        await watch.pass_by(n)

    @tool(exclusive=True)
    async def alone(n: int) -> None:
        await watch.pass_by(n)

    items = [call("shared", n=0), call("shared", n=1), call("alone", n=2), call("shared", n=3), call("alone", n=4)]
    items += [call("shared", n=n) for n in (5, 6, 7)]
    await Registry([shared, alone]).dispatch(items)
    assert watch.order == list(range(8))
    assert watch.beside[2] == watch.beside[4] == set()
    assert watch.beside[0] == {1}
    assert watch.beside[5] == {6, 7}


# --- retries


@pytest.mark.parametrize(
    ("effect", "error", "retries", "tries"),
    [
        ("unsafe", ToolRetry("again"), 2, 3),
        ("unsafe", ValueError("no"), 2, 1),
        ("pure", ValueError("no"), 2, 3),
        ("idempotent", ValueError("no"), 1, 2),
        ("pure", ToolError("no"), 2, 1),
        ("pure", ValueError("no"), 0, 1),
        ("pure", SystemExit(1), 2, 1),
    ],
)
async def test_what_may_be_tried_again(effect, error, retries, tries):
    attempts = []

    @tool(effect=effect, retries=retries)
    async def work(ctx: Context) -> None:
        attempts.append((ctx.attempt, ctx.key))
        raise error

    (output,) = await outputs_of(Registry([work]), call("work"), run_id="r")
    assert output.startswith("Error: ")
    assert [attempt for attempt, _ in attempts] == list(range(1, tries + 1))
    assert {key for _, key in attempts} == {call_key("r", 0, 0, "work")}


async def test_a_try_that_took_too_long_may_be_tried_again():
    attempts = []

    @tool(effect="pure", retries=1, timeout=0.02)
    async def work(ctx: Context) -> str:
        attempts.append(ctx)
        if ctx.attempt == 1:
            await anyio.sleep_forever()
        return f"{ctx.deadline > time.monotonic()}"

    assert await outputs_of(Registry([work]), call("work")) == ["True"]
    assert [context.cancelled for context in attempts] == [True, True]


# --- approval


async def test_a_call_that_needs_approval_is_not_run_without():
    ran = []

    @tool(approval=True)
    def pay(amount: int) -> str:
        ran.append(amount)
        return "paid"

    @tool(approval=lambda arguments: arguments["amount"] > 10)
    def tip(amount: int) -> str:
        ran.append(amount)
        return "tipped"

    async def slow(_):
        return True

    @tool(approval=slow)
    def ask(amount: int) -> str:
        return "asked"

    registry = Registry([pay, tip, ask])
    items = [call("pay", amount=1), call("tip", amount=5), call("tip", amount=50), call("ask", amount=1)]
    outputs = await outputs_of(registry, *items)
    needs = "Error: this call needs approval, and there is nobody to give it; it was not run"
    assert outputs == [needs, "tipped", needs, needs]
    seen = []

    async def approve(which, arguments):
        seen.append((which.name, arguments))
        return arguments["amount"] < 20

    outputs = await outputs_of(registry, *items, approve=approve)
    assert outputs == ["paid", "tipped", "Error: this call was not approved; it was not run", "asked"]
    assert ("tip", {"amount": 50}) in seen
    assert await outputs_of(registry, items[0], approve=lambda which, arguments: True) == ["paid"]
    assert sorted(ran) == [1, 1, 5, 5]


async def test_who_cannot_be_asked_says_no(caplog):
    def fails(arguments):
        raise KeyError("n")

    @tool(approval=fails)
    def one() -> None: ...

    @tool(approval=lambda arguments: arguments["n"] > 3)
    def two(n: int = 5) -> None: ...

    registry = Registry([one, two])
    outputs = await outputs_of(registry, call("one"), call("two"), approve=lambda which: True)
    assert outputs == ["Error: whether this call is approved could not be found out; it was not run"] * 2
    assert "whether the tool 'one' may run could not be asked" in caplog.text
    assert "not approved" in (await outputs_of(registry, call("two"), approve=lambda which, arguments: "yes"))[0]
    with pytest.raises(UsageError, match="approve= takes a function of a tool and its arguments"):
        await registry.dispatch([call("two")], approve=True)


# --- enabled, namespaces


async def test_a_tool_that_is_not_enabled_is_neither_offered_nor_run():
    @tool(enabled=lambda ctx: ctx.deps == "admin")
    def delete() -> str:
        return "deleted"

    @tool(enabled=False)
    def never() -> None: ...

    registry = Registry([delete, never])
    assert registry.definitions() == []
    assert [d["name"] for d in registry.definitions(Context("admin"))] == ["delete"]
    assert await outputs_of(registry, call("delete"), deps="admin") == ["deleted"]
    assert "there is no tool named 'delete'" in (await outputs_of(registry, call("delete")))[0]


async def test_tools_of_one_namespace_stand_in_it():
    def make(name, namespace=None):
        @tool(name=name, namespace=namespace, defer_loading=True)
        def work() -> str:
            return f"{namespace}.{name}"

        return work

    registry = Registry([make("a", "crm"), make("a"), make("b", "crm"), make("a", "erp")])
    registry.namespaces["crm"] = "Customers."
    crm, plain, erp = registry.definitions()
    assert (crm["type"], crm["name"], crm["description"]) == ("namespace", "crm", "Customers.")
    assert [member["name"] for member in crm["tools"]] == ["a", "b"]
    assert (plain["name"], plain["defer_loading"], erp["description"]) == ("a", True, "erp")
    items = [{**call("a"), "namespace": "crm"}, call("a"), {**call("a"), "namespace": "erp"}, call("b")]
    outputs = await outputs_of(registry, *items)
    assert outputs[:3] == ["crm.a", "None.a", "erp.a"]
    assert "there is no tool named 'b'" in outputs[3]
    assert registry["crm.a"].key == "crm.a"


def test_the_schema_of_what_it_returns_goes_out_where_it_is_asked_for():
    @dataclasses.dataclass
    class Weather:
        degrees: float

    @tool(output_schema=True)
    def weather() -> list[Weather]: ...

    assert weather.definition()["output_schema"] == {
        "type": "array",
        "items": {"properties": {"degrees": {"type": "number"}}, "required": ["degrees"], "type": "object"},
    }

    @tool(output_schema=True)
    def nothing() -> None: ...

    assert "output_schema" not in nothing.definition()

    @tool(output_schema=True)
    def odd() -> object: ...

    odd.function.__annotations__["return"] = threading.Thread
    assert "output_schema" not in odd.definition()
    assert Tool(lambda: 0, name="f").output_schema is None


# --- what a tool may know


async def test_a_context_for_a_unit_test_is_made_by_hand():
    @tool
    def greet(ctx: Context[dict], name: str) -> str:
        ctx.progress(0.5, "half")
        ctx.check()
        return f"{ctx.deps['hello']} {name}"

    told = []
    context = Context({"hello": "Hi"}, report=lambda *args: told.append(args))
    assert greet(context, "Ada") == "Hi Ada"
    greet(context, "Ada")
    context.progress(7)
    assert told == [(0.5, "half", None), (0.5, "half", None), (1.0, "", None)]
    Context().give("nobody listens")
    assert await greet.invoke('{"name": "Bob"}', Context({"hello": "Ho"})) == "Ho Bob"
    assert "Hi" not in repr(context)
    context.cancel()
    with pytest.raises(ToolError, match="the call was cancelled"):
        greet(context, "Ada")


async def test_a_sync_tool_can_see_that_nobody_waits_any_more():
    ended = threading.Event()

    @tool(timeout=0.05)
    def work(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.005)
        ended.set()

    assert "did not finish within 0.05 seconds" in (await outputs_of(Registry([work]), call("work")))[0]
    assert ended.wait(2)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_async_tool_that_will_not_be_cancelled_is_left_behind(monkeypatch, caplog):
    monkeypatch.setattr("agentrt.registry.detached.GRACE_SECONDS", 0.1)
    stop = []

    @tool(timeout=0.05)
    async def stubborn() -> None:
        while not stop:
            try:
                await anyio.sleep(0.02)
            except BaseException:  # noqa: BLE001 - that is the point
                continue

    async def fine() -> str:
        return "fine"

    with anyio.fail_after(2):
        outputs = await outputs_of(Registry([stubborn, fine]), call("stubborn"), call("fine"))
    assert outputs == ["Error: the tool did not finish within 0.05 seconds", "fine"]
    assert "left behind" in caplog.text
    stop.append(True)
    await anyio.sleep(0.1)


def test_a_tool_that_is_left_behind_does_not_keep_the_program():
    script = (
        "import asyncio\nfrom agentrt import Registry, tool\nimport agentrt.registry.detached as d\nd.GRACE_SECONDS = 0.1\n"
        "@tool(timeout=0.05)\nasync def stubborn() -> None:\n"
        "    while True:\n        try:\n            await asyncio.sleep(0.02)\n        except asyncio.CancelledError:\n            pass\n"
        "print(asyncio.run(Registry([stubborn]).dispatch([{'type': 'function_call', 'call_id': 'c', 'name': 'stubborn'}])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=20, check=True
    )
    assert "did not finish within 0.05 seconds" in done.stdout


@pytest.mark.parametrize("how", ["returns", "raises", "exits", "cancelled"])
async def test_an_async_tool_with_a_timeout_ends_like_one_without(how):
    @tool(timeout=5)
    async def work() -> str:
        if how == "raises":
            raise ValueError("mine")
        if how == "exits":
            raise SystemExit(3)
        if how == "cancelled":
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anyio.sleep(1)
            return "went on"
        await anyio.sleep(0.01)
        return "done"

    wanted = {
        "returns": "done",
        "raises": "Error: ValueError: mine",
        "exits": "Error: SystemExit: 3",
        "cancelled": "went on",
    }
    assert await outputs_of(Registry([work]), call("work")) == [wanted[how]]


async def test_cancelling_a_dispatch_cancels_tools_with_a_timeout_too():
    ended = []

    @tool(timeout=5)
    async def forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    with anyio.move_on_after(0.05) as scope:
        await Registry([forever]).dispatch([call("forever")])
    assert scope.cancelled_caught
    assert ended == [True]


# --- many


def many(count):
    script = (
        "import anyio, resource, sys\n"
        "from agentrt import Agent, Client, tool\nfrom agentrt.testing import ResponsesServer, call, calls, say\n"
        "ran = []\n@tool\nasync def work(n: int) -> int:\n    ran.append(n)\n    return n\n"
        "def peak():\n    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "async def main(batch):\n"
        "    client = Client(base_url=server.url)\n"
        "    result = await Agent('m', tools=[work], client=client).run('go')\n"
        "    await client.aclose()\n    return result\n"
        f"batch = calls(*(call('work', n=n) for n in range({count})))\n"
        "with ResponsesServer([calls(call('work', n=1)), say('x'), batch, say('done')]) as server:\n"
        "    anyio.run(main, None)\n    ran.clear()\n    before = peak()\n    result = anyio.run(main, None)\n"
        "outputs = [item.raw['output'] for item in result.items if item.type == 'function_call_output']\n"
        "print(len(ran), len(outputs), sum('limit reached' in o for o in outputs), result.status, peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split()


def test_of_very_many_calls_some_run_and_all_are_answered():
    ran, answered, refused, status, _ = many(1000)
    assert (ran, answered, refused, status) == ("128", "1000", "872", "limit")


@pytest.mark.long
def test_ten_thousand_calls_cost_little_memory():
    ran, answered, refused, status, more = many(10_000)
    assert (ran, answered, refused, status) == ("128", "10000", "9872", "limit")
    print(more, "MiB")
    assert int(more) <= 50


# --- outputs


class Weird(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (b"text", "text"),
        (b"\xff\x00", "/wA="),
        (memoryview(b"view"), "view"),
        (Weird("said"), "Weird: said"),
        ({"b": b"\xff"}, '{"b":"_w=="}'),
        (Text("a"), [{"type": "input_text", "text": "a"}]),
        (["see", Text("a")], [{"type": "input_text", "text": "see"}, {"type": "input_text", "text": "a"}]),
        (
            [Text("a"), 5, {"b": None}],
            [{"type": "input_text", "text": text} for text in ("a", "5", '{"b":null}')],
        ),
        (
            {"x": Image("https://x.test/a.png")},
            '{"x":"[input_image: to be seen, it must stand in a list that the tool returns]"}',
        ),
        ([], "[]"),
    ],
)
def test_outputs_of_all_kinds(value, output):
    assert encode_output(value).value == output


def test_rows_of_a_database_are_objects():
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    rows = database.execute("SELECT 1 AS a, 'x' AS b").fetchall()
    assert encode_output(rows).value == '[{"a":1,"b":"x"}]'
    database.close()


async def test_images_and_files_come_as_parts():
    def draw() -> list:
        return ["here it is", Image(PNG), File(b"%PDF-1.4 x", filename="a.pdf"), Audio(b"RIFF\x00\x00\x00\x00WAVEfmt ")]

    (parts,) = await outputs_of(Registry([draw]), call("draw"))
    assert [part["type"] for part in parts] == ["input_text", "input_image", "input_file", "input_text"]
    assert parts[3]["text"] == "[audio, which an output can't hold]"


async def test_generators_are_joined():
    def words():
        yield "a"
        yield "b"

    async def numbers():
        yield 1
        yield 2

    async def none():
        return
        yield

    assert await outputs_of(Registry([words, numbers, none]), call("words"), call("numbers"), call("none")) == [
        "ab",
        "[1,2]",
        "[]",
    ]


async def test_an_endless_generator_is_left(monkeypatch):
    monkeypatch.setattr("agentrt.registry.generators.MAX_PIECES", 10)
    monkeypatch.setattr("agentrt.registry.generators.MAX_PIECE_CHARS", 100)
    closed = []

    def endless(size: int):
        try:
            while True:
                yield "x" * size
        finally:
            closed.append("sync")

    async def endless_too():
        try:
            while True:
                yield 1
        finally:
            closed.append("async")

    registry = Registry([endless, endless_too])
    one, two, three = await outputs_of(registry, call("endless", size=1), call("endless", size=60), call("endless_too"))
    assert (one, two, three) == ("x" * 10, "x" * 120, str([1] * 10).replace(" ", ""))
    assert sorted(closed) == ["async", "sync", "sync"]


async def test_a_sync_generator_is_left_when_its_time_is_up():
    closed = threading.Event()

    @tool(timeout=0.05)
    def endless():
        try:
            while True:
                time.sleep(0.005)
                yield "x"
        finally:
            closed.set()

    assert "did not finish" in (await outputs_of(Registry([endless]), call("endless")))[0]
    assert closed.wait(2)


async def test_what_was_cut_is_within_reach():
    def long(n: int) -> object:
        return "x" * n if n < 300_000 else [Text("y" * n), "short"]

    artifacts = {}
    outputs = await outputs_of(
        Registry([long]),
        call("long", "a", n=200_000),
        call("long", "b", n=300_000),
        call("long", "c", n=5),
        artifacts=artifacts,
    )
    assert artifacts == {"a": "x" * 200_000, "b": "y" * 300_000 + "\n\nshort"}  # the bound is one for all parts
    assert len(outputs[0]) < 101_000
    assert "200000 characters left out" in outputs[1][0]["text"]


async def test_a_predicate_that_fails_says_whose_it_is(serve, client_of):
    @tool(enabled=lambda ctx: ctx.deps.name)
    def work() -> None: ...

    told = "enabled= of the tool 'work' failed (AttributeError"
    assert told in (await outputs_of(Registry([work]), call("work")))[0]
    agent = Agent("m", tools=[work], client=client_of(serve(say("never"))))
    with pytest.raises(UsageError, match=re.escape(told)):
        await agent.run("go")


async def test_a_stop_iteration_is_no_riddle():
    def first() -> int:
        return next(iter([]))

    assert "StopIteration" in (await outputs_of(Registry([first]), call("first")))[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit, BaseExceptionGroup])
@pytest.mark.parametrize("sync", [True, False])
async def test_what_a_tool_raises_by_itself_never_disturbs_the_others(error, sync):
    made = error("mine", [SystemExit(1)]) if error is BaseExceptionGroup else error("mine")

    async def fails() -> None:
        raise made

    @tool(name="fails")
    def fails_sync() -> None:
        raise made

    async def fine() -> str:
        await anyio.sleep(0.01)
        return "fine"

    registry = Registry([fails_sync if sync else fails, fine])
    first, second = await outputs_of(registry, call("fails"), call("fine"))
    assert first.startswith(f"Error: {error.__name__}")
    assert second == "fine"


# --- in a run


async def test_a_run_gives_deps_and_tells_progress_and_pieces(serve, client_of):
    @tool
    def work(ctx: Context[str], n: int) -> str:
        ctx.progress(0.5, f"{ctx.deps} {n}")
        return f"{ctx.call_id} {ctx.run_id} {ctx.usage.total_tokens > 0} {len(ctx.key)}"

    @tool
    async def write():
        yield "one "
        yield "two"

    @tool
    def long() -> str:
        return "x" * 200_000

    server = serve(calls(model_call("work", n=7), model_call("write"), model_call("long")), say("done"))
    async with client_of(server) as client:
        agent = Agent("m", tools=[work, write, long], client=client)
        async with agent.stream("go", deps="mine", run_id="run_1") as run:
            events = [event async for event in run]
    told = [event for event in events if event.type == "tool.progress"]
    assert [(event.fraction, event.message) for event in told if event.name == "work"] == [(0.5, "mine 7")]
    assert [event.output for event in told if event.name == "write"] == ["one ", "two"]
    outputs = {
        item.raw["call_id"]: item.raw["output"] for item in run.result.items if item.type == "function_call_output"
    }
    first, second, third = outputs
    assert outputs[first] == f"{first} run_1 True 64"
    assert outputs[second] == "one two"
    assert run.result.artifacts == {third: "x" * 200_000}
    finished = {event.call_id: event for event in events if event.type == "tool.finished"}
    assert finished[third].artifact == "x" * 200_000
    assert finished[first].artifact is None


async def test_tools_that_are_enabled_from_turn_to_turn(serve, client_of):
    state = {"on": False}

    @tool(enabled=lambda ctx: state["on"])
    def hidden() -> str:
        return "found"

    @tool
    def switch() -> str:
        state["on"] = True
        return "on"

    server = serve(calls(model_call("hidden"), model_call("switch")), calls(model_call("hidden")), say("done"))
    async with client_of(server) as client:
        result = await Agent("m", tools=[hidden, switch], client=client).run("go")
    offered = [[entry["name"] for entry in request.json["tools"]] for request in server.requests]
    assert offered == [["switch"], ["hidden", "switch"], ["hidden", "switch"]]
    outputs = [item.raw["output"] for item in result.items if item.type == "function_call_output"]
    assert "there is no tool named 'hidden'" in outputs[0]
    assert outputs[1:] == ["on", "found"]


async def test_parts_of_an_output_go_back_to_the_model(serve, client_of):
    def draw() -> object:
        return [Text("see"), Image(PNG)]

    server = serve(calls(model_call("draw")), say("nice"))
    async with client_of(server) as client, Agent("m", tools=[draw], client=client).stream("go") as run:
        events = [event async for event in run]
    sent = server.requests[1].json["input"][-1]["output"]
    assert [part["type"] for part in sent] == ["input_text", "input_image"]
    (finished,) = [event for event in events if event.type == "tool.finished"]
    assert finished.output == "see\n[input_image]"


async def test_progress_after_the_run_is_lost_quietly(serve, client_of):
    going, released = threading.Event(), threading.Event()

    @tool(timeout=0.05)
    def late(ctx: Context) -> None:
        going.set()
        released.wait(5)
        ctx.progress(1.0, "too late")

    server = serve(calls(model_call("late")), say("done"))
    async with client_of(server) as client:
        assert (await Agent("m", tools=[late], client=client).run("go")).output == "done"
    assert going.is_set()
    released.set()
