"""Tools of every kind, served over stdio or, with a port, over HTTP: ``python served_tools.py [http PORT]``."""

import contextlib
import ctypes
import dataclasses
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import anyio

from agentrt import Agent, Audio, Context, File, Image, Registry, ToolError, ToolRetry, tool
from agentrt.serve import serve_mcp
from agentrt.testing import ScriptedModel, call, calls, say

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc00000000500019dd1ab0e0000000049454e44ae426082"
)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"

registry = Registry()
log = []


@dataclasses.dataclass
class Weather:
    city: str
    celsius: float


@registry.tool(effect="pure")
def weather(city: str, days: int = 1) -> Weather:
    """Tell the weather.

    Args:
        city: Name of the city.
        days: How many days ahead.
    """
    return Weather(city, 21.0 + days)


@registry.tool(effect="idempotent", namespace="sums")
async def double(number: float) -> float:
    """Double a number."""
    return number * 2


@registry.tool
def look() -> list[str | Image | File | Audio]:
    """Give a part of each kind."""
    return [
        "Look:",
        Image(PNG),
        Image("https://example.com/a.png"),
        File(b"%PDF-1.4 x", filename="a b.pdf"),
        Audio(WAV),
    ]


@registry.tool
def fails() -> int:
    """Fail in an unexpected way."""
    return 1 // 0


@registry.tool
def refuses() -> str:
    """Fail in words."""
    raise ToolError("The shop is closed.")


@registry.tool
def lies() -> int:
    """Return what the annotation doesn't allow."""
    return "many"


@registry.tool(approval=True)
def pay(to: str, amount: int = 5) -> str:
    """Pay somebody."""
    log.append(f"pay {to} {amount}")
    return f"paid {to} {amount}"


@registry.tool
def seen() -> list[str]:
    """What was done so far."""
    return log


@registry.tool
def steps(ctx: Context, count: int) -> str:
    """Work in steps, in a thread."""
    for step in range(count):
        ctx.progress((step + 1) / count, f"step {step + 1}")
    return "done"


@registry.tool
def pieces():
    """Give an answer in pieces."""
    yield "one "
    yield "two"


@registry.tool
async def waits() -> str:
    """Wait until cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        log.append("waits was cancelled")


@registry.tool
def works(ctx: Context) -> str:
    """Work in a thread until nobody waits."""
    log.append("works began")
    while not ctx.cancelled:
        time.sleep(0.005)
    log.append("works was cancelled")


@registry.tool(timeout=0.05)
async def slow() -> str:
    """Take too long."""
    await anyio.sleep_forever()


@registry.tool(retries=2)
async def flaky(ctx: Context) -> str:
    """Work at the second try."""
    if ctx.attempt == 1:
        raise ToolRetry("not yet")
    return f"try {ctx.attempt}"


@registry.tool
def noisy() -> str:
    """Print in every way that there is."""
    print("printed")
    sys.stdout.write("written\n")
    sys.stdout.flush()
    os.write(1, b"on descriptor 1\n")
    subprocess.run(
        [sys.executable, "-c", "print('from a child'); import sys; assert sys.stdin.read() == ''"], check=True
    )
    libc = ctypes.CDLL(None)
    libc.puts(b"from C")
    libc.fflush(None)
    logging.getLogger("served").warning("logged")
    return "quiet"


@registry.tool
def hangs() -> str:
    """Never end."""
    while True:
        time.sleep(1)


@registry.tool
async def stubborn() -> str:
    """Take no cancellation."""
    while True:
        with contextlib.suppress(BaseException):
            await anyio.sleep_forever()


@registry.tool
async def blocks() -> str:
    """Stop the event loop."""
    time.sleep(600)  # noqa: ASYNC251 - the point


lane = []


@registry.tool(resource="file:{path}")
async def writes(path: str) -> str:
    """Work on a file, alone."""
    assert path not in lane
    lane.append(path)
    together = len(lane)
    await anyio.sleep(0.05)
    lane.remove(path)
    return f"{together} at once"


@registry.tool(exclusive=True)
async def alone() -> str:
    """Work with nobody beside."""
    assert not lane
    return "alone"


@dataclasses.dataclass
class Report:
    title: str
    pages: int


@tool(approval=True)
def send(to: str) -> str:
    """Send a mail."""
    log.append(f"send {to}")
    return f"sent to {to}"


def mailer(request):
    last = request["input"][-1]
    if last.get("type") == "function_call_output":
        return say(f"Done: {last['output']}")
    return calls(call("send", to="Ann"), call("send", to="Bob"))


def reporter(request):
    return say('{"title": "On snow", "pages": 3}')


def endless(request):
    return calls(call("waits_inside"))


@tool
async def waits_inside() -> str:
    try:
        await anyio.sleep_forever()
    finally:
        log.append("the agent's tool was cancelled")


agents = [
    Agent("any", name="mailer", instructions="You send mails.", tools=[send], client=ScriptedModel(mailer)),
    Agent("any", name="reporter", output_type=Report, client=ScriptedModel(reporter)),
    Agent("any", name="lister", output_type=list[int], client=ScriptedModel(lambda _: say('{"value": [1, 2]}'))),
    Agent("any", name="endless", tools=[waits_inside], client=ScriptedModel(endless)),
    Agent("any", name="broken", client=ScriptedModel([], max_retries=0)),
]


if __name__ == "__main__":
    if Path(sys.argv[0]).name and len(sys.argv) > 1:
        serve_mcp([registry, *agents], transport="http", port=int(sys.argv[2]), token=os.environ.get("SERVED_TOKEN"))
    else:
        print("a banner that was printed too early", end="")
        serve_mcp([registry, *agents], instructions="Be kind.")
