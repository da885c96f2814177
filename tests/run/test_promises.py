"""What a reviewer broke once: nothing begins after an end, and a decision holds for what was seen."""

import anyio
import pytest

from agentrt import Agent, Approve, Hooks, Limits, RunRefused, ToolError, UsageError, handoff, tool
from agentrt.store import MemoryStore
from agentrt.testing import ScriptedModel, call, calls, say
from tests.run.parts import outputs


def logged(log, name, seconds=0.0, **options):
    """Make a tool that writes down when it begins and ends."""

    async def work() -> str:
        log.append(f"{name} begins")
        await anyio.sleep(seconds)
        log.append(f"{name} ends")
        return name

    return tool(name=name, **options)(work)


async def test_what_waits_behind_an_exclusive_call_does_not_begin_when_the_run_is_cancelled():
    log = []
    tools = [logged(log, name, 5, exclusive=True) for name in ("a", "b", "c")]
    agent = Agent("m", tools=tools, client=ScriptedModel([calls(*map(call, "abc"))]))
    with anyio.move_on_after(0.1):
        await agent.run("go")
    assert log == ["a begins"]


@pytest.mark.parametrize("how", ["cancel", "seconds"])
async def test_nothing_goes_on_while_the_end_of_a_stopped_run_is_read(how):
    log = []
    tools = [logged(log, name, 0.3, exclusive=True) for name in "ab"]
    limits = Limits(seconds=0.1 if how == "seconds" else 60)
    agent = Agent("m", tools=tools, client=ScriptedModel([calls(call("a"), call("b"))]), limits=limits)
    async with agent.stream("go") as run:
        async for event in run:
            if event.type == "tool.started" and how == "cancel":
                run.cancel()
            if event.type in ("limit", "run.finished"):
                await anyio.sleep(0.5)
    assert "a ends" not in log
    assert "b begins" not in log
    assert "before this call ran" in outputs(run.result)[1]


async def test_a_sub_agent_that_has_answered_is_not_stopped_by_its_clock():
    log = []
    helper = Agent("m", name="helper", client=ScriptedModel([say("quick")]), limits=Limits(seconds=0.1))
    front = ScriptedModel([calls(call("helper", task="x"), call("slow")), say("done")])
    result = await Agent("m", tools=[helper.as_tool(), logged(log, "slow", 0.3)], client=front).run("go")
    assert (result.status, outputs(result)) == ("completed", ["quick", "slow"])


async def test_a_run_that_is_stopped_while_it_is_written_begins_nothing():
    log = []

    class SlowStore(MemoryStore):
        async def put(self, kind, key, text):
            await anyio.sleep(0.2)
            await super().put(kind, key, text)

    agent = Agent("m", tools=[logged(log, "act")], client=ScriptedModel([calls(call("act"))]), storage=SlowStore())
    result = await agent.run("go", limits=Limits(seconds=0.3))
    assert (result.status, log) == ("limit", [])
    assert "before this call ran" in outputs(result)[0]


async def test_a_resumed_run_that_is_cancelled_at_once_runs_nothing():
    log = []
    agent = Agent("m", tools=[logged(log, "act", approval=True)], client=ScriptedModel([calls(call("act")), say("x")]))
    result = await agent.run("go")
    run = agent.resume_stream(result.state, {result.pending[0].id: Approve()})
    run.cancel()
    async with run:
        async for _ in run:
            pass
    assert (run.result.status, log) == ("cancelled", [])


async def test_a_serial_call_that_was_never_handed_out_runs_after_a_resume():
    log = []
    model = ScriptedModel([calls(call("a"), call("b")), say("done")])
    agent = Agent("m", tools=[logged(log, "a"), logged(log, "b")], client=model, parallel_tool_calls=False)
    async with agent.stream("go") as run:
        async for event in run:
            if event.type == "tool.finished":
                break
    result = await agent.resume(run.state.to_json())
    assert (outputs(result), log) == (["a", "b"], ["a begins", "a ends", "b begins", "b ends"])


class Fill(Hooks):
    """Fills in who gets the money, and knows a limit."""

    async def before_tool(self, context, tool, arguments):
        if arguments["amount"] > 100:
            raise ToolError("over the limit of 100")
        return {**arguments, "to": context.deps}


def paying(paid, *script):
    @tool(approval=True, resource="bank")
    async def pay(amount: int, to: str = "") -> str:
        paid.append((amount, to))
        return "paid"

    return Agent("m", tools=[pay], client=ScriptedModel(script), hooks=[Fill()])


async def test_a_decision_holds_for_the_arguments_that_were_seen():
    paid = []
    agent = paying(paid, calls(call("pay", amount=1), call("pay", amount=2)), say("done"))
    first = await agent.run("go", deps="ann")
    later = next(pending for pending in first.pending if pending.arguments["amount"] == 1)
    with pytest.raises(UsageError, match="what it was about has changed"):
        await agent.resume(first.state, {later.id: Approve()}, deps="mallory")
    assert paid == []


async def test_hooks_look_at_edited_arguments_too():
    paid = []
    agent = paying(paid, calls(call("pay", amount=1)), say("done"))
    result = await agent.run("go", deps="ann")
    with pytest.raises(UsageError, match="over the limit of 100"):
        await agent.resume(result.state, {result.pending[0].id: Approve(edited={"amount": 5000})}, deps="ann")
    result = await agent.resume(result.state, {result.pending[0].id: Approve(edited={"amount": 50})}, deps="ann")
    assert (result.status, paid) == ("completed", [(50, "ann")])


async def test_an_approval_of_a_hosted_servers_call_holds_for_that_server():
    def banking(url):
        request = {"type": "mcp_approval_request", "id": "r1", "server_label": "bank", "name": "pay", "arguments": "{}"}
        server = {"type": "mcp", "server_label": "bank", "server_url": url}
        return Agent("m", tools=[server], client=ScriptedModel([calls(request), say("done")]))

    result = await banking("https://bank.example/mcp").run("go")
    with pytest.raises(UsageError, match="what it was about has changed"):
        await banking("https://evil.example/mcp").resume(result.state, {result.pending[0].id: Approve()})


async def test_a_state_whose_handoff_goes_to_nobody_is_refused_before_anything_runs():
    log = []
    other = Agent("m", name="other", client=ScriptedModel([say("hi")]))
    model = ScriptedModel([calls(call("transfer_to_other"), call("act")), say("x")])
    agent = Agent("m", tools=[handoff(other), logged(log, "act", approval=True)], client=model)
    result = await agent.run("go")
    alone = Agent("m", tools=[logged(log, "act", approval=True)], client=model)
    with pytest.raises(UsageError, match="'other'"):
        await alone.resume(result.state, {result.pending[0].id: Approve()})
    assert log == []


async def test_a_hook_may_refuse_a_run_that_is_taken_up():
    class Closed(Hooks):
        closed = False

        def before_tool(self, context, tool, arguments):
            if self.closed:
                raise RunRefused("closed for today")

    log, hook = [], Closed()
    model = ScriptedModel([calls(call("act")), say("x")])
    agent = Agent("m", tools=[logged(log, "act", approval=True)], client=model, hooks=[hook])
    result = await agent.run("go")
    hook.closed = True
    result = await agent.resume(result.state, {result.pending[0].id: Approve()})
    assert (result.status, result.notes, log) == ("refused", ("closed for today",), [])


async def test_a_sub_agents_limit_of_cost_needs_the_prices_of_all_that_it_asks():
    deep = Agent("no-such-model", name="deep", client=ScriptedModel())
    helper = Agent(
        "m", name="helper", tools=[deep.as_tool()], client=ScriptedModel(), prices={"m": (1, 1)}, limits=Limits(cost=1)
    )
    front = ScriptedModel()
    with pytest.raises(UsageError, match="'no-such-model'"):
        await Agent("m", tools=[helper.as_tool()], client=front).run("go")
    assert not front.requests


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Agent("m", storage="a.db"), "storage= takes a store"),
        (lambda: Agent("m", hooks=[Fill]), "hooks=\\[Guard"),
        (lambda: Agent("m", hooks=Fill()), "takes a list"),
        (lambda: Agent("m", name="x").as_tool(timeout=3), "as_tool\\(\\) takes no timeout="),
        (lambda: Agent("m", client=ScriptedModel()).run_sync("x", timeout=3), "Agent\\(timeout=…\\)"),
        (lambda: Agent("m", client=ScriptedModel()).run_sync("x", max_turns=3), "limits=Limits\\(max_turns=…\\)"),
    ],
)
def test_a_wrong_guess_is_told_what_to_write(wrong, words):
    with pytest.raises(UsageError, match=words):
        wrong()


async def test_a_session_keeps_one_record_however_long_it_gets():
    storage = MemoryStore()
    agent = Agent("m", client=ScriptedModel([say(str(number)) for number in range(3)]), storage=storage)
    for _ in range(3):
        await agent.run("go on", session="ann")
    assert (await storage.keys("session"), await storage.keys("run")) == (["ann"], [])


async def test_a_decision_on_a_sub_agent_that_was_stopped_meanwhile_is_dropped(caplog):
    stopped, log = anyio.Event(), []

    class Slow(Hooks):
        async def before_tool(self, context, tool, arguments):
            if tool.name == "late" and decided:
                await stopped.wait()

    decided = []
    risky = logged(log, "risky", approval=True)
    late = logged(log, "late", approval=True)
    script = ScriptedModel([calls(call("risky"), call("late"))])
    helper = Agent("m", name="helper", tools=[risky, late], client=script, limits=Limits(seconds=0.1), hooks=[Slow()])

    async def decide(pending):
        if pending.name == "late":
            decided.append(pending)
            return Approve(edited={})
        await stopped.wait()
        return Approve()

    front = ScriptedModel([calls(call("helper", task="x"), call("slow")), say("done")])
    agent = Agent("m", tools=[helper.as_tool(), logged(log, "slow", 0.4)], client=front)
    async with agent.stream("go", on_pending=decide) as run:
        async for event in run:
            if event.type == "limit":
                stopped.set()
    assert (run.result.status, log) == ("completed", ["slow begins", "slow ends"])
    assert outputs(run.result)[0].endswith("helper ended limit (seconds)")
    assert len(decided) == 1
    assert caplog.records == []
