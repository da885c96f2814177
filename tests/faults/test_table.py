"""The faults of the wire, one by one, each injected on a real socket. Sizes, clocks, cuts and cancellation have files of
their own."""

import contextlib
import io
import json
import logging
import random
import traceback

import anyio
import pytest

from agentrt import Agent, AgentrtError, Client, RunState, UsageError, tool
from agentrt.errors import IncompleteStreamError, StatusError, UnreachableError, WireError
from agentrt.testing import call, calls, http_error, raw, say
from agentrt.wire.compose import response_events, response_resource, sse_bytes
from tests.faults.raw_server import JSON, RESET, SSE, RawServer

STARTED = []


@tool
def pay(amount: int) -> str:
    """Pay: it must never run from a broken reply."""
    STARTED.append(amount)
    return "paid"


def body_of(*items, **more):
    response = {**response_resource({"model": "m"}, response_id="r", created_at=1, output=items), **more}
    return json.dumps(response).encode()


def stream_of(*items):
    return b"".join(sse_bytes(e) for e in response_events(json.loads(body_of(*items))))


def whole(body):
    return JSON + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body


async def test_a_connection_reset_before_the_headers_is_tried_again_under_the_same_key():
    def answer(number, request):
        if number < 3:
            yield RESET
        yield whole(body_of(*say("third time").output))

    with RawServer(answer) as server:
        async with Client(base_url=server.url) as client:
            assert (await client.create(model="m", input="hi")).text == "third time"
    keys = {line for head in server.requests for line in head.lower().split(b"\r\n") if b"idempotency-key" in line}
    assert len(server.requests) == 3
    assert len(keys) == 1


@pytest.mark.parametrize("ending", ["reset", "close", "clean"])
async def test_a_stream_that_ends_before_its_end_runs_nothing(ending):
    STARTED.clear()
    stream = stream_of(call("pay", amount=100))
    cut = stream.index(b"event: response.completed")

    def answer(number, request):
        if ending == "clean":
            yield SSE.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
            yield b"%x\r\n%s\r\n0\r\n\r\n" % (cut, stream[:cut])
        else:
            yield SSE.replace(b"\r\n\r\n", b"\r\ncontent-length: %d\r\n\r\n" % len(stream)) + stream[:cut]
            if ending == "reset":
                yield RESET

    with RawServer(answer) as server:
        async with Client(base_url=server.url, max_retries=0) as client:
            with pytest.raises((IncompleteStreamError, UnreachableError)) as caught:
                async with Agent("m", tools=[pay], client=client).stream("go") as run:
                    async for _ in run:
                        pass
    assert caught.value.state.meter.turns == 1
    assert not STARTED


async def test_a_stream_that_broke_once_is_asked_for_again_and_runs_each_call_once():
    STARTED.clear()
    stream = stream_of(call("pay", amount=7))

    def answer(number, request):
        yield SSE
        if number == 1:
            yield stream[: len(stream) - 40]
        elif number == 2:
            yield stream
        else:
            yield stream_of(*say("paid").output)

    with RawServer(answer) as server:
        client = Client(base_url=server.url)
        async with client, Agent("m", tools=[pay], client=client).stream("go") as run:
            types = [event.type async for event in run]
    assert STARTED == [7]
    assert run.result.output == "paid"
    assert types.count("turn.restarted") == 1


async def test_a_character_cut_in_two_and_events_of_every_ending():
    stream = stream_of(*say("Grüße 🙂").output)
    mixed = b"\xef\xbb\xbf: hello\r\n\r\n" + stream.replace(b"\n", b"\r")

    def answer(number, request):
        yield SSE
        for byte in mixed:
            yield bytes([byte])

    with RawServer(answer) as server:
        async with Client(base_url=server.url) as client, client.stream(model="m", input="hi") as events:
            async for _ in events:
                pass
    assert events.response.text == "Grüße 🙂"


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\xff}\n\n",
        b'data: {"type": "a", "x": NaN}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"type": "a", "x": "\\ud800"}\n\n',
        b"data: 1\n\n",
        b"data: {}\n\ndata: [DONE]\n\n",
        b"",
    ],
)
async def test_broken_events_are_errors_of_ours(body):
    with RawServer(lambda number, request: iter([SSE + body])) as server:
        async with Client(base_url=server.url, max_retries=0) as client:
            with pytest.raises(WireError):
                async with client.stream(model="m", input="hi") as events:
                    async for _ in events:
                        pass


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/9.9 banana\r\n\r\n",
        b"\x00\x01\x02",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"",
    ],
)
async def test_what_is_not_even_http_is_an_error_of_ours(start):
    with RawServer(lambda number, request: iter([start])) as server:
        async with Client(base_url=server.url, max_retries=0) as client:
            with pytest.raises(UnreachableError):
                await client.create(model="m", input="hi")


async def test_calls_of_an_incomplete_reply_are_not_run(serve, client_of):
    STARTED.clear()
    cut = calls(call("pay", amount=1), outcome="incomplete", extra={"incomplete_details": {"reason": "content_filter"}})
    async with client_of(serve(cut)) as client:
        result = await Agent("m", tools=[pay], client=client).run("go")
    assert result.status == "incomplete"
    assert not STARTED


async def test_an_error_inside_a_good_status_is_no_success(serve, client_of):
    event = b'data: {"type": "error", "error": {"type": "too_many_requests", "message": "slow down"}}\n\n'
    server = serve(raw(event, "text/event-stream"))
    async with client_of(server) as client:
        with pytest.raises(AgentrtError, match="slow down"):
            await Agent("m", client=client).run("go")


async def test_a_server_that_hangs_up_between_two_requests_costs_nothing():
    def answer(number, request):
        body = body_of(*say(str(number)).output)
        yield JSON + b"content-length: %d\r\n\r\n" % len(body) + body  # keep-alive promised, then closed

    with RawServer(answer) as server:
        async with Client(base_url=server.url) as client:
            texts = [(await client.create(model="m", input="hi")).text for _ in range(5)]
    assert texts == ["1", "2", "3", "4", "5"]


def test_a_damaged_state_is_an_error_of_ours():
    """Every truncation, and random damage: a typed error or a state, never anything else."""
    text = RunState("r").to_json().encode()
    for end in range(len(text)):
        with pytest.raises(UsageError):
            RunState.from_json(text[:end])
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(3000):
        damaged = bytearray(text)
        for _ in range(source.randint(1, 3)):
            damaged[source.randrange(len(damaged))] ^= 1 << source.randrange(8)
        with contextlib.suppress(UsageError):
            RunState.from_json(bytes(damaged))


async def test_a_key_is_nowhere_to_be_seen(serve, caplog):
    secret = "sk-canary-0123456789"
    turns = [
        http_error(500, headers={"retry-after-ms": "1"}),
        http_error(400, "x", "Incorrect key"),
        raw(b"<p>", "text/html"),
    ]
    server = serve(*turns)
    caplog.set_level(logging.DEBUG, "agentrt")
    seen = io.StringIO()
    async with Client(base_url=server.url, api_key=secret, max_retries=1) as client:
        print(client, client.prepare(model="m", input="hi"), file=seen)
        for _ in range(2):
            with pytest.raises((StatusError, WireError)) as caught:
                await client.create(model="m", input="hi")
            print(repr(caught.value), "".join(traceback.format_exception(caught.value)), file=seen)
    assert server.requests[0].headers["authorization"] == f"Bearer {secret}"
    assert secret not in seen.getvalue() + caplog.text


async def test_two_hundred_requests_at_once_are_told_apart(serve, client_of):
    server = serve(lambda request: say(request["input"], delay=0.005))
    answers = {}
    async with client_of(server) as client, anyio.create_task_group() as group:

        async def one(number):
            answers[number] = (await client.create(model="m", input=f"number {number}")).text

        for number in range(200):
            group.start_soon(one, number)
    assert answers == {number: f"number {number}" for number in range(200)}
