"""Whatever a server does with time, a run ends within half a second of its deadline."""

import time

import httpx
import httpx2
import pytest

from agentrt import Agent, Client
from agentrt.errors import DeadlineError, UnreachableError
from tests.faults.raw_server import JSON, SSE, RawServer


def pings(number, request):
    yield SSE
    while True:
        yield b": ping\n\n"
        yield 0.02


def drip(number, request):
    yield JSON + b"content-length: 100000\r\n\r\n"
    while True:
        yield b" "
        yield 0.1


def streamed_drip(number, request):
    yield SSE
    for byte in b'data: {"type": "response.output_text.delta", "delta": "' + b"x" * 100_000:
        yield bytes([byte])
        yield 0.1


def silence(number, request):
    yield 60


def stall(number, request):
    yield SSE + b'data: {"type": "response.created", "response": {"id": "r", "status": "in_progress"}}\n\n'
    yield 60


LIBRARIES = [httpx2.AsyncClient, httpx.AsyncClient]


@pytest.mark.parametrize(
    ("answer", "library"),
    [
        *[(answer, None) for answer in (pings, drip, streamed_drip, silence, stall)],
        *[(answer, library) for answer in (pings, silence) for library in LIBRARIES],
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
async def test_the_deadline_of_a_run(answer, streaming, library):
    own = None if library is None else library()
    with RawServer(answer) as server:
        async with Client(base_url=server.url, http_client=own, timeout=0.4) as client:
            started = time.monotonic()
            with pytest.raises(DeadlineError, match=r"no whole answer within 0\.4 seconds"):
                if streaming:
                    async with Agent("m", client=client).stream("hi") as run:
                        async for _ in run:
                            pass
                else:
                    await Agent("m", client=client).run("hi")
            took = time.monotonic() - started
    if own is not None:
        await own.aclose()
    assert 0.35 < took < 0.9


@pytest.mark.parametrize("answer", [pings, streamed_drip, stall])
@pytest.mark.parametrize("library", [None, *LIBRARIES])
async def test_silence_between_events(answer, library):
    own = None if library is None else library()
    with RawServer(answer) as server:
        async with Client(base_url=server.url, http_client=own, idle_timeout=0.3, max_retries=0) as client:
            started = time.monotonic()
            with pytest.raises(UnreachableError, match=r"no event for 0\.3 seconds"):
                async with client.stream(model="m", input="hi") as stream:
                    async for _ in stream:
                        pass
            assert 0.25 < time.monotonic() - started < 0.8
    if own is not None:
        await own.aclose()


async def test_a_retry_after_beyond_the_deadline_is_not_waited_for(serve):
    from agentrt.testing import http_error, say

    server = serve(http_error(503, headers={"retry-after": "5"}), say("never"))
    async with Client(base_url=server.url, timeout=1) as client:
        started = time.monotonic()
        with pytest.raises(Exception, match="503") as caught:
            await client.create(model="m", input="hi")
    assert caught.value.retry_after == 5
    assert time.monotonic() - started < 0.5
