"""Corners of the driver: what comes when nobody reads, or when the run was just stopped."""

import anyio

from agentrt import Agent, Approve, Client, Limits, tool
from agentrt.testing import ScriptedModel, call, calls, say


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


async def test_a_decision_that_comes_while_nobody_reads_is_carried_out():
    @tool(approval=True)
    async def pay(amount: int) -> int:
        return amount

    agent = Agent(
        "m", tools=[pay], client=ScriptedModel([calls(call("pay", amount=1), call("pay", amount=2)), say("ok")])
    )
    decided = []
    both = anyio.Event()

    async def decide(pending):
        decided.append(pending.arguments["amount"])
        if len(decided) == 2:
            both.set()
        return Approve()

    async with agent.stream("Pay.", on_pending=decide) as run:
        async for event in run:
            if event.type == "pending":
                await both.wait()
    assert (run.result.status, outputs(run.result)) == ("completed", ["1", "2"])


async def test_a_reply_that_comes_with_the_cancellation_starts_nothing():
    ran = []

    @tool
    async def act() -> str:
        ran.append(1)
        return "done"

    agent = Agent("m", tools=[act], client=ScriptedModel([calls(call("act")), say("never")]))
    async with agent.stream("Go.") as run:
        async for event in run:
            if event.type == "usage":  # the reply is whole by now
                run.cancel()
    assert (run.result.status, ran) == ("cancelled", [])


async def test_a_pure_call_whose_reply_comes_whole_at_once_runs_once():
    ran = []

    @tool(effect="pure")
    async def look() -> str:
        ran.append(1)
        return "seen"

    agent = Agent("m", tools=[look], client=ScriptedModel([calls(call("look")), say("ok")]))
    async with agent.stream("Look.") as run:
        async for _ in run:
            pass
    assert (run.result.status, outputs(run.result), ran) == ("completed", ["seen"], [1])


async def test_a_background_response_is_cancelled_at_the_server_with_the_run(serve):
    server = serve(say("one", polls=1000), say("a b c d e f g", pause=0.1))
    async with Client(base_url=server.url) as client:
        agent = Agent("m", client=client, background=True)
        result = await agent.run("Think.", limits=Limits(seconds=0.3))
        assert (result.status, result.stopped_by) == ("limit", "seconds")
        assert server.requests[-1].path.endswith("/cancel")
        async with agent.stream("Think aloud.") as run:
            async for event in run:
                if event.type == "text.delta":
                    run.cancel()
        assert run.result.status == "cancelled"
        assert server.requests[-1].path.endswith("/cancel")
