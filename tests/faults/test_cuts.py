"""A stream cut at every byte offset: never a success, never an unsafe tool, never a foreign exception."""

from pathlib import Path

import anyio
import httpx2
import pytest

from agentrt import Agent, AgentrtError, Client, tool
from agentrt.testing import call, say
from agentrt.wire.compose import response_events, response_resource, sse_bytes

DATA = Path(__file__).parent.parent / "data" / "llamacpp"
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Let me think."}]}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
STARTED = []


@tool
def send_money(amount: int, to: str) -> str:
    """Send money: the tool that must never run from a broken reply."""
    STARTED.append(amount)
    return "sent"


def composed(*items):
    response = response_resource({"model": "m"}, response_id="r", created_at=1, output=items, usage=(3, 4))
    return b"".join(sse_bytes(event) for event in response_events(response))


def golden():
    text = "Grüße aus Zürich 🙂, at some length; "
    pay = [call("send_money", amount=number, to="Ann") for number in (1, 2, 3)]
    return {
        "text": composed(*say(text * 2).output),
        "one call": composed(pay[0]),
        "parallel calls": composed(REASONING, *pay),
        "words and a call": composed(*say(text).output, pay[0]),
        "hosted and local": composed(SEARCH, pay[0]),
        **{path.stem: path.read_bytes() for path in sorted(DATA.glob("s[123]-*.sse"))},
    }


def end_of(stream):
    """Where the terminal event is whole: from there on a cut changes nothing."""
    start = max(stream.rfind(b"event: response.completed"), stream.rfind(b"event: response.incomplete"))
    assert start > 0
    return stream.index(b"\n\n", start) + 2


async def outcome(body, *, clean):
    """Run an agent on a stream that ends here; gives what came of it."""

    async def chunks():
        yield body
        if not clean:
            raise httpx2.ReadError("connection reset")

    async def answer(request):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=chunks())

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = Client(base_url="http://test/v1", http_client=http, max_retries=0)
        try:
            async with Agent("m", tools=[send_money], client=client, max_tool_calls=9).stream("go") as run:
                async for _ in run:
                    pass
        except AgentrtError:
            return "ours"
        return run.result.status


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
async def test_a_stream_cut_at_every_byte_is_never_a_success(step, anyio_backend_name):
    STARTED.clear()
    cuts, outcomes = 0, set()
    for name, stream in golden().items():
        for cut in range(anyio_backend_name == "trio", end_of(stream), step):
            outcomes.add(await outcome(stream[:cut], clean=cut % 2 == 0))
            cuts += 1
            assert not STARTED, f"{name} cut at {cut} of {len(stream)}"
    print(cuts, "cuts")
    assert outcomes == {"ours"}
    assert step > 1 or cuts >= 20_000


@pytest.mark.parametrize("name", ["text", "hosted and local"])
async def test_the_whole_stream_is_a_success(name):
    STARTED.clear()
    stream = golden()[name]
    assert await outcome(stream[: end_of(stream)], clean=False) in ("completed", "limit") or STARTED


async def test_a_broken_reply_is_asked_for_again_and_its_words_taken_back():
    reply = composed(*say("the first try").output)
    answers = [reply[: reply.index(b"event: response.output_text.done")], composed(*say("whole").output)]

    async def answer(request):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=answers.pop(0))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        agent = Agent("m", client=Client(base_url="http://test/v1", http_client=http))
        with anyio.fail_after(5):
            async with agent.stream("go") as run:
                types = [event.type async for event in run]
    assert run.result.output == "whole"
    assert run.result.turns == 1
    restarted = types.index("turn.restarted")
    assert "text.delta" in types[:restarted]
    assert types.count("turn.started") == 1
