"""Calls that begin while their reply goes on: which, when, and what becomes of them if it breaks."""

import time

import anyio
import pytest

from agentrt import Agent, Client, Hooks, Limits, builtin, tool
from agentrt.errors import AgentrtError
from agentrt.testing import ScriptedModel, call, calls, http_error, raw, say
from agentrt.wire.compose import response_events, sse_bytes
from tests.run.parts import outputs


class Watched:
    """Tools, and whether their calls began before the reply was whole."""

    def __init__(self):
        self.began, self.ended, self.reply_is_whole = [], [], False

    def tool(self, name="look", wait=0.0, **options):
        options.setdefault("effect", "pure")

        @tool(name=name, **options)
        async def watched(n: int) -> int:
            self.began.append((n, "late" if self.reply_is_whole else "early"))
            await anyio.sleep(wait)
            self.ended.append(n)
            return n

        return watched

    async def stream(self, agent, **options):
        events = []
        async with agent.stream("go", **options) as run:
            async for event in run:
                events.append(event)
                if event.type == "usage":
                    self.reply_is_whole = True
                elif event.type == "turn.started":
                    self.reply_is_whole = False
        return events, run.result


@pytest.fixture
def watched():
    return Watched()


def slowly(*script, pause=0.004, **options):
    """A model whose events come one after another, so that there is time to begin something."""
    turns = [
        turn if turn.pause or turn.body else calls(*turn.output, **{**without_pause(turn), "pause": pause})
        for turn in script
    ]
    return ScriptedModel(turns, **options)


def without_pause(turn):
    return {name: getattr(turn, name) for name in ("outcome", "extra", "usage", "cut", "cut_after")}


def agent_of(model, *tools, **options):
    return Agent("m", tools=tools, client=model, **options)


def looks(*numbers, name="look"):
    return [call(name, n=n) for n in numbers]


# --- the figure


async def test_four_calls_end_with_the_last_of_them(serve):
    """Calls come 300 ms apart and take 500 ms; the reply is whole 300 ms after the last of them has come."""
    times = {}

    @tool(effect="pure")
    async def look(n: int) -> int:
        times[f"began {n}"] = time.monotonic()
        await anyio.sleep(0.5)
        times[f"ended {n}"] = time.monotonic()
        return n

    # An item is four events, at 75 ms each: added, delta, arguments done, item done.
    turn = calls(*looks(1, 2, 3, 4), pause=0.075)
    server = serve(lambda request: turn if len(request["input"]) == 1 else say("done"))
    async with Client(base_url=server.url) as client, agent_of(client, look).stream("go") as run:
        async for event in run:
            if event.type == "turn.started" and event.turn == 2:
                times["asked again"] = time.monotonic()
    assert outputs(run.result) == ["1", "2", "3", "4"]
    apart = [times[f"began {n + 1}"] - times[f"began {n}"] for n in (1, 2, 3)]
    assert all(0.25 < gap < 0.45 for gap in apart), apart
    assert times["began 4"] < times["ended 3"], "they overlap"
    assert times["asked again"] - times["ended 4"] < 0.1


# --- which calls begin early


async def test_a_pure_call_begins_before_the_reply_is_whole(watched):
    model = slowly(calls(*looks(1, 2)), say("done"))
    events, result = await watched.stream(agent_of(model, watched.tool()))
    assert watched.began == [(1, "early"), (2, "early")]
    assert (result.status, outputs(result)) == ("completed", ["1", "2"])
    kinds = [event.type for event in events]
    assert kinds.index("tool.started") < kinds.index("usage")
    assert kinds.count("tool.started") == kinds.count("tool.finished") == 2


@pytest.mark.parametrize(
    "options",
    [
        {"effect": "unsafe"},
        {"effect": "idempotent"},
        {"approval": lambda _: False},
        {"resource": "one"},
    ],
)
async def test_what_may_not_be_thrown_away_begins_when_the_reply_is_whole(watched, options):
    model = slowly(calls(*looks(1), *looks(2, name="other")), say("done"))
    _, result = await watched.stream(agent_of(model, watched.tool(**options), watched.tool("other")))
    assert dict(watched.began) == {1: "late", 2: "early"}
    assert outputs(result) == ["1", "2"]


async def test_in_serial_mode_nothing_begins_early(watched):
    model = slowly(calls(*looks(1, 2)), say("done"))
    await watched.stream(agent_of(model, watched.tool(), parallel_tool_calls=False))
    assert watched.began == [(1, "late"), (2, "late")]


async def test_where_a_hook_must_see_the_reply_nothing_begins_early(watched):
    class Guard(Hooks):
        async def after_model(self, context, response):
            watched.reply_is_whole = True

    model = slowly(calls(*looks(1, 2)), say("done"))
    await watched.stream(agent_of(model, watched.tool(), hooks=[Guard()]))
    assert watched.began == [(1, "late"), (2, "late")]


@pytest.mark.parametrize(("limit", "when"), [(None, "early"), (5, "late")])
async def test_while_hosted_tools_share_a_finite_budget_nothing_begins_early(watched, limit, when):
    model = slowly(calls(*looks(1, 2)), say("done"))
    agent = agent_of(model, watched.tool(), builtin.WebSearch(), limits=Limits(max_tool_calls=limit))
    await watched.stream(agent)
    assert watched.began == [(1, when), (2, when)]


async def test_run_asks_for_the_whole_reply_and_begins_nothing_before(watched):
    model = slowly(calls(*looks(1, 2)), say("done"))
    result = await agent_of(model, watched.tool()).run("go")
    assert outputs(result) == ["1", "2"]
    assert "stream" not in model.requests[0].json


async def test_a_call_that_can_not_run_is_answered_once(watched):
    turn = [call("look", n="x"), call("lok", n=1), *looks(2)]
    events, result = await watched.stream(agent_of(slowly(calls(*turn), say("done")), watched.tool()))
    assert watched.began == [(2, "early")]
    assert [told[:5] for told in outputs(result)] == ["Error", "Error", "2"]
    assert [event.type for event in events].count("tool.finished") == 3


# --- budgets


@pytest.mark.parametrize(
    ("limits", "stopped_by"),
    [
        (Limits(max_tool_calls=2), "max_tool_calls"),
        (Limits(max_calls_per_turn=2), "max_calls_per_turn"),
        (Limits(calls={"look": 2}), "calls"),
    ],
)
async def test_no_call_begins_early_beyond_a_budget(watched, limits, stopped_by):
    model = slowly(calls(*looks(1, 2, 3, 4)), say("done"))
    _, result = await watched.stream(agent_of(model, watched.tool(), limits=limits))
    assert watched.began == [(1, "early"), (2, "early")]
    assert result.stopped_by == stopped_by
    assert ["limit reached" in told for told in outputs(result)] == [False, False, True, True]


async def test_the_last_turn_begins_nothing(watched):
    model = slowly(calls(*looks(1)), calls(*looks(2)))
    _, result = await watched.stream(agent_of(model, watched.tool(), limits=Limits(max_turns=2)))
    assert watched.began == [(1, "early")]
    assert (result.status, result.stopped_by) == ("limit", "max_turns")


# --- replies that break


@pytest.mark.parametrize("wait", [0.0, 30.0])
async def test_what_a_broken_reply_began_is_thrown_away_and_the_turn_asked_again(watched, wait):
    broken = calls(*looks(1, 2), cut_after=9, pause=0.004)
    model = slowly(broken, calls(*looks(3)), say("done"), max_retries=3)
    ticking = watched.tool(wait=wait)
    other = watched.tool("quick")
    with anyio.fail_after(5):
        if wait:  # the second reply calls something that ends
            model = slowly(broken, calls(*looks(3, name="quick")), say("done"), max_retries=3)
        events, result = await watched.stream(agent_of(model, ticking, other))
    assert (1, "early") in watched.began
    assert (outputs(result), result.text, result.turns) == (["3"], "done", 2)
    assert [item.type for item in result.items] == ["function_call", "function_call_output", "message"]
    kinds = [event.type for event in events]
    assert kinds.count("turn.restarted") == 1
    assert model.requests[0].json == model.requests[1].json
    assert 1 not in watched.ended if wait else 1 in watched.ended


async def test_a_reply_that_breaks_for_good_leaves_a_state_without_its_calls(watched):
    model = slowly(calls(*looks(1), cut_after=6), calls(*looks(3)), say("done"), max_retries=0)
    agent = agent_of(model, watched.tool())
    with pytest.raises(AgentrtError) as caught:
        await watched.stream(agent)
    assert watched.began == [(1, "early")]
    (only,) = caught.value.state.threads["main"].items
    assert only.raw["role"] == "user"
    result = await agent.resume(caught.value.state.to_json())
    assert (result.output, outputs(result)) == ("done", ["3"])


@pytest.mark.parametrize("outcome", ["incomplete", "failed"])
async def test_what_began_early_for_a_reply_that_does_not_count_is_thrown_away(watched, outcome):
    model = slowly(calls(*looks(1), outcome=outcome))
    agent = agent_of(model, watched.tool())
    if outcome == "failed":
        with pytest.raises(AgentrtError) as caught:
            await watched.stream(agent)
        state = caught.value.state
    else:
        _, result = await watched.stream(agent)
        assert result.status == "incomplete"
        state = result.state
    assert watched.began == [(1, "early")]
    items = [item.raw for item in state.threads["main"].items]
    assert all("output" not in item or item["output"].startswith("Error: ") for item in items)


def two_faced(streamed, final):
    """A stream whose last event tells of other items than those that were streamed."""
    events = list(response_events({"id": "r", "object": "response", "status": "completed", "output": streamed}))
    events[-1] = {**events[-1], "response": {**events[-1]["response"], "output": final}}
    return raw(b"".join(map(sse_bytes, events)), "text/event-stream")


async def test_items_that_were_streamed_are_the_truth(watched):
    streamed, final = looks(1), looks(2)
    _, result = await watched.stream(agent_of(slowly(two_faced(streamed, final), say("done")), watched.tool()))
    made = [item for item in result.items if item.type == "function_call"]
    assert outputs(result) == [str(item.arguments)[-2] for item in made], "each output is its own call's"


async def test_a_hook_free_run_answers_an_identical_call_once(watched):
    (twin,) = looks(1)
    _, result = await watched.stream(agent_of(slowly(calls(twin, twin), say("done")), watched.tool()))
    assert (outputs(result), len(watched.began)) == (["1"], 1)


async def test_a_second_call_under_the_same_id_is_refused(watched):
    one, two = looks(1, 2)
    two["call_id"] = one["call_id"]
    _, result = await watched.stream(agent_of(slowly(calls(one, two), say("done")), watched.tool()))
    assert watched.began == [(1, "early")]
    assert outputs(result)[0] == "1"
    assert "was used by another call" in outputs(result)[1]


# --- the rest of a run


async def test_cancelling_while_early_calls_run(watched):
    model = slowly(calls(*looks(1, 2, 3)), say("never"))
    with anyio.fail_after(5):
        async with agent_of(model, watched.tool(wait=30)).stream("go") as run:
            async for event in run:
                if event.type == "tool.started":
                    run.cancel()
    assert (run.result.status, run.result.items, watched.ended) == ("cancelled", [], [])


async def test_an_early_call_that_fails_disturbs_nobody(watched):
    @tool(effect="pure")
    async def broken(n: int) -> int:
        raise RuntimeError(f"no {n}")

    model = slowly(calls(*looks(1, name="broken"), *looks(2)), say("done"))
    _, result = await watched.stream(agent_of(model, broken, watched.tool()))
    assert (result.status, outputs(result)[1]) == ("completed", "2")
    assert "no 1" in outputs(result)[0]


async def test_a_sub_agents_pure_calls_begin_early_too(watched):
    child = agent_of(slowly(calls(*looks(1)), say("found")), watched.tool(), name="child")
    boss = agent_of(ScriptedModel([calls(call("child", task="x")), say("done")]), child.as_tool(), name="boss")
    seen = []
    async with boss.stream("go") as run:
        async for event in run:
            if event.thread != "main":
                seen += [event.type]
    assert seen.index("tool.started") < seen.index("usage")
    assert (run.result.output, outputs(run.result)) == ("done", ["found"])


async def test_a_server_that_refuses_the_stream_at_first(watched):
    model = slowly(http_error(503), calls(*looks(1)), say("done"), max_retries=2)
    _, result = await watched.stream(agent_of(model, watched.tool()))
    assert (watched.began, outputs(result)) == ([(1, "early")], ["1"])
