"""What the MCP bridge costs: ``python tests/bench/mcp_bridge.py [rounds]``.

A call beside the SDK's own on the same server in the same run; ten servers beside the slowest of them; a line of 50 MB.
"""

import resource
import statistics
import sys
import time
from pathlib import Path

import anyio
import mcp
from mcp import StdioServerParameters

from agentrt import AgentrtError, MCPServer

ROGUE = str(Path(__file__).parent.parent / "mcp" / "rogue.py")
OLD = "2025-11-25"
CALLS = 300


def rogue(mode, *more, **options):
    return MCPServer.stdio(sys.executable, ROGUE, mode, *more, protocol=OLD, **options)


async def timed(call):
    began = time.perf_counter()
    for _ in range(CALLS):
        await call()
    return (time.perf_counter() - began) / CALLS * 1e6


async def overhead(rounds):
    """Give µs per call of ours and of the SDK's, in turn."""
    ours, theirs = [], []
    parameters = StdioServerParameters(command=sys.executable, args=[ROGUE, "good"])
    async with rogue("good") as server, mcp.Client(parameters, mode="legacy") as client:
        await client.list_tools()
        for _ in range(rounds):
            theirs.append(await timed(lambda: client.call_tool("add", {"a": 1, "b": 2})))
            ours.append(await timed(lambda: server.call("add", {"a": 1, "b": 2})))
    return statistics.median(ours), statistics.median(theirs)


async def connect(servers):
    began = time.perf_counter()
    for server in servers:
        server.hold()
    for server in servers:
        problem = await server.settled()
        assert problem is None, problem
    took = time.perf_counter() - began
    async with anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(server.release)
    return took


async def ten():
    """Give the seconds that ten servers take to connect, and those of the slowest by itself."""
    slow = await connect([rogue("slow-start", "1.0", name="slow")])
    both = await connect([rogue("slow-start", "1.0", name="slow"), *(rogue("good", name=f"s{n}") for n in range(9))])
    return both, slow


async def huge():
    """Give the seconds until a line of 50 MB is an error, and MiB that memory grew by."""
    async with rogue("huge-call", "50000000") as server:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        try:
            await server.call("add", {"a": 1, "b": 2})
        except AgentrtError as error:
            took = time.perf_counter() - began
            return took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, error
    raise AssertionError("a line of 50 MB was taken")


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    ours, theirs = await overhead(rounds)
    print(f"a call: {ours:.0f} µs, the SDK's own {theirs:.0f} µs: {ours / theirs:.2f} x (goal 1.2)")
    both, slow = await ten()
    print(f"ten servers connect in {both:.2f} s, the slowest alone in {slow:.2f} s: {both / slow:.2f} x (goal 1.3)")
    took, grown, error = await huge()
    print(f"a line of 50 MB: {type(error).__name__} after {took:.2f} s (goal 1), memory up {grown:.0f} MiB (goal 64)")


for backend in ("asyncio", "trio"):
    print(backend)
    anyio.run(main, backend=backend)
