"""What the loop's own side of a turn costs as a history grows: a run of 200 turns that replays it whole, without a socket.

python tests/bench/turns.py

The figure of a turn is the CPU between two requests, less that of a floor: the same bytes sent by hand over the same
httpx2 client, and the same reply read. Each is the best of several runs, and the median of it and the five turns on
either side.
"""

import asyncio
import itertools
import statistics
import time

import httpx2

from agentrt import Agent, Client, Limits, tool
from agentrt.wire.compose import message_item
from agentrt.wire.json import dump

TURNS, RUNS, WINDOW = 200, 7, 5
GROWTH, OWN_MS = 1.4, 1.0
URL = "http://raw.invalid/v1"
TEXT = "Let me look that up, and then the next one. " * 4


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first one.
        b: The second one.
    """
    return a + b


def reply(number):
    said = message_item(f"msg_{number}", TEXT)
    call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": "add"}
    output = [said, {**call, "arguments": '{"a": 1, "b": 2}', "status": "completed"}] if number < TURNS else [said]
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    return dump({"id": f"resp_{number}", "object": "response", "status": "completed", "output": output, "usage": usage})


REPLIES = [reply(number) for number in range(1, TURNS + 1)]


class Raw(httpx2.AsyncBaseTransport):
    """Answers out of memory, and notes the CPU clock at each request and what it carried."""

    def __init__(self):
        self.clock, self.bodies = [], []

    async def handle_async_request(self, request):
        self.clock.append(time.process_time())
        self.bodies.append(request.content)
        headers = {"content-type": "application/json"}
        return httpx2.Response(200, headers=headers, content=REPLIES[len(self.clock) - 1], request=request)

    def costs(self, end):
        """Give ms per turn."""
        times = [*self.clock, end]
        return [(after - before) * 1e3 for before, after in itertools.pairwise(times)]


async def by_agent():
    raw = Raw()
    async with httpx2.AsyncClient(transport=raw) as http:
        client = Client(base_url=URL, api_key="bench", http_client=http)
        agent = Agent("gpt-bench", tools=[add], client=client, limits=Limits(max_turns=TURNS + 1))
        result = await agent.run("Add.")
        assert (result.status, result.turns) == ("completed", TURNS)
    return raw.costs(time.process_time()), raw.bodies


async def by_hand(bodies):
    raw = Raw()
    async with httpx2.AsyncClient(transport=raw) as http:
        for body in bodies:
            response = await http.post(f"{URL}/responses", content=body, headers={"content-type": "application/json"})
            await response.aread()
    return raw.costs(time.process_time())


def around(costs, turn):
    return statistics.median(costs[turn - 1 - WINDOW : turn + WINDOW])


def main():
    ours, floor = [], []
    for _ in range(RUNS):
        costs, bodies = asyncio.run(by_agent())
        ours.append(costs)
        floor.append(asyncio.run(by_hand(bodies)))
    best, hand = (list(map(min, zip(*all_runs, strict=True))) for all_runs in (ours, floor))
    own = [one - other for one, other in zip(best, hand, strict=True)]
    for turn in (10, 100, 190):
        size = len(bodies[turn - 1]) / 1000
        print(f"turn {turn:3}: {around(best, turn):.3f} ms, by hand {around(hand, turn):.3f} ms, {size:.0f} kB sent")
    growth, own_ms = around(best, 190) / around(best, 10), statistics.mean(own)
    print(f"turn 190 against turn 10: {growth:.2f}, at most {GROWTH}")
    print(f"the loop's own side: {own_ms:.3f} ms a turn, {around(own, 190):.3f} at turn 190, at most {OWN_MS}")
    assert growth <= GROWTH, "a turn grows with the history"
    assert max(own_ms, around(own, 190)) <= OWN_MS, "a turn costs too much"


if __name__ == "__main__":
    main()
