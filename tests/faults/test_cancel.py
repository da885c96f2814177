"""Cancelled at every await: no task, socket or place in the pool is left behind, and the next request works."""

import asyncio
import gc
from pathlib import Path

import anyio
import httpx2
import pytest

from agentrt import Agent, Client, tool
from agentrt.testing import ResponsesServer, call, calls, say


@tool
async def slow(x: int) -> int:
    await anyio.sleep(0.001)
    return x


@tool
def in_a_thread(x: int) -> int:
    return x


def model(request):
    last = request["input"][-1]
    if last.get("type") == "function_call_output":
        return say("done")
    return calls(call("slow", x=1), call("in_a_thread", x=2), call("slow", x=3))


class CancelAt:
    """Runs a coroutine, and cancels its scope at its k-th wait."""

    def __init__(self, coroutine, k, cancel):
        self.coroutine, self.k, self.cancel, self.waits = coroutine, k, cancel, 0

    def __await__(self):
        steps = self.coroutine.__await__()
        value, error = None, None
        while True:
            try:
                wish = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            self.waits += 1
            if self.waits == self.k:
                self.cancel()
            value = error = None
            try:
                value = yield wish
            except BaseException as raised:  # noqa: BLE001 - it belongs to the coroutine
                error = raised


def descriptors():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


async def turn(client, streaming):
    agent = Agent("m", tools=[slow, in_a_thread], client=client)
    if streaming:
        async with agent.stream("go") as run:
            async for _ in run:
                pass
        return run.result
    return await agent.run("go")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("own", [False, True])
async def test_cancelled_at_every_await_of_a_turn(streaming, own, anyio_backend_name):
    with ResponsesServer(model) as server:
        http = httpx2.AsyncClient() if own else None
        async with Client(base_url=server.url, http_client=http) as client:
            assert (await turn(client, streaming)).output == "done"
            gc.collect()
            before = descriptors()
            tasks = asyncio.all_tasks() if anyio_backend_name == "asyncio" else set()
            k = 0
            while True:
                k += 1
                with anyio.CancelScope() as scope:
                    stepper = CancelAt(turn(client, streaming), k, scope.cancel)
                    result = await stepper
                    if not scope.cancel_called:
                        break
                if anyio_backend_name == "asyncio":
                    assert asyncio.all_tasks() == tasks, k
                assert k < 2000
            assert result.output == "done"
            print(k - 1, "waits")
            assert k > 5
            assert (await client.create(model="m", input=[{"role": "user", "content": "x"}])).items
        if http is not None:
            await http.aclose()
        with anyio.fail_after(5):
            while descriptors() > before:  # the server's half of the connections, on a thread of its own
                gc.collect()
                await anyio.sleep(0.01)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
async def test_cancelled_requests_do_not_use_up_the_client(count):
    with ResponsesServer(lambda request: say("ok", delay=0.002)) as server:
        async with Client(base_url=server.url) as client:

            async def one(seconds):
                with anyio.move_on_after(seconds):
                    await client.create(model="m", input="hi")

            for batch in range(0, count, 50):
                async with anyio.create_task_group() as group:
                    for number in range(50):
                        group.start_soon(one, (batch + number) % 60 / 10_000)
            assert (await client.create(model="m", input="hi")).text == "ok"
            async with client.stream(model="m", input="hi") as stream:
                assert [event async for event in stream][-1].type == "response.completed"
