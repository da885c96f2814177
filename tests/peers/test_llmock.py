"""llmock breaks what it answers, on demand, and judges how its client took it.

Its verdict has no grade above ``passed`` without a finding. It can't be had where it knows less than the client, and
there the tests name the finding that remains:

- it sees only that a request was not sent again, so a stream that ended in an error counts as one that was believed
  (``truncated_stream_accepted``, ``malformed_chunk_ignored``). `Client.stream` never asks again, as its caller has seen
  events already; `Agent.stream` does;
- it doesn't know of refusals that no wait mends: no credit left, a wait beyond what is waited out (``gave_up``).
"""

import json
from collections import Counter

import anyio
import httpx2
import pytest

from agentrt import Agent, AgentrtError, Client, tool
from agentrt.errors import (
    AuthenticationError,
    DeadlineError,
    IncompleteStreamError,
    RateLimitError,
    StatusError,
    UnreachableError,
    WireError,
)

SEED = 20261124
RUNS = 12
WORDS = "One two three"
# created, in_progress, item and part added, three words, text, part and item done; then the end.
BEFORE_END = 10
# created, in_progress, item added, two pieces of arguments, arguments and item done; then the end.
CALL_BEFORE_END = 7


class Chaos:
    """One llmock: what it is to do, what it was asked, what it thinks of it."""

    def __init__(self, url, http):
        self.base_url = f"{url}/v1"
        self._http = http

    async def will(self, what, /, **fields):
        answer = await self._http.post("/_llmock/scenario", json={"behaviors": [{"type": what, **fields}]})
        assert answer.status_code == 201, answer.text

    async def will_fail(self, status, **fields):
        await self.will("fail", status=status, **fields)

    async def will_call(self, *cities, **fields):
        await self.will(
            "reply", tool_calls=[{"name": "weather", "arguments": {"city": city}} for city in cities], **fields
        )

    async def requests(self):
        return (await self._http.get("/_llmock/requests")).json()["requests"]

    async def findings(self):
        return [finding["code"] for finding in (await self._verdict())["findings"]]

    async def assert_resilient(self, *, attempts):
        verdict = await self._verdict()
        assert (verdict["passed"], verdict["findings"], verdict["attempts"]) == (True, [], attempts)
        assert (await self._http.get("/_llmock/scenario")).json()["pending"] == []

    async def _verdict(self):
        return (await self._http.get("/_llmock/verdict")).json()


@pytest.fixture(scope="session")
def llmock_url(require, start_peer):
    require("llmock", install="llmock")
    with start_peer("llmock_server.py", SEED) as url:
        yield url


@pytest.fixture
async def chaos(llmock_url):
    async with httpx2.AsyncClient(base_url=llmock_url) as http:
        await http.post("/_llmock/reset")
        yield Chaos(llmock_url, http)


@pytest.fixture
async def client(chaos):
    async with Client(base_url=chaos.base_url, api_key="any") as client:
        yield client


@pytest.fixture
def ran():
    return []


@pytest.fixture
def weather(ran):
    @tool
    async def weather(city: str) -> str:
        """The weather of a city."""
        ran.append(city)
        return f"rainy in {city}"

    return weather


@pytest.fixture(params=["create", "stream"])
def ask(request):
    """Ask a client, in one piece or streamed."""

    async def go(client, **params):
        params = {"model": "m", "input": "hi", **params}
        if request.param == "create":
            return await client.create(**params)
        async with client.stream(**params) as stream:
            async for _ in stream:
                pass
        return stream.response

    return go


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


async def test_text_comes_whole_and_streamed_alike(chaos, client):
    whole = await client.create(model="m", input="hi there")
    async with client.stream(model="m", input="hi there") as stream:
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert "".join(deltas) == stream.response.text == whole.text != ""
    await chaos.assert_resilient(attempts=2)


async def test_a_run_calls_its_tool_and_answers(chaos, client, weather, ran, drive):
    result, _ = await drive(Agent("m", tools=[weather], client=client), "What is the weather?")
    assert (result.status, len(ran), outputs(result)) == ("completed", 1, [f"rainy in {ran[0]}"])
    assert result.output
    await chaos.assert_resilient(attempts=2)


async def test_a_format_is_kept(chaos, client):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    text = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    assert isinstance((await client.create(model="m", input="hi", text=text)).parsed["n"], int)


# --- refusals


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
async def test_what_may_pass_is_tried_again(chaos, client, ask, status):
    await chaos.will_fail(status, retry_after=0.1)
    assert (await ask(client)).status == "completed"
    await chaos.assert_resilient(attempts=2)


async def test_the_wait_that_was_asked_for_is_waited(chaos, client, weather, ran, drive):
    await chaos.will_fail(429, retry_after=0.8)  # longer than the first wait of our own, which is half a second at most
    result, _ = await drive(Agent("m", tools=[weather], client=client), "What is the weather?")
    assert (result.status, len(ran)) == ("completed", 1)
    refused, again, _ = await chaos.requests()
    assert 0.8 <= again["started_at"] - refused["ended_at"] < 5
    assert refused["body"] == again["body"]
    await chaos.assert_resilient(attempts=3)


async def test_without_such_a_wish_each_wait_is_longer(chaos, client):
    await chaos.will_fail(500, times=2)
    assert (await client.create(model="m", input="hi")).status == "completed"
    one, two, three = await chaos.requests()
    assert two["started_at"] - one["ended_at"] < three["started_at"] - two["ended_at"]
    await chaos.assert_resilient(attempts=3)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, StatusError),
        (401, AuthenticationError),
        (402, StatusError),
        (403, AuthenticationError),
        (404, StatusError),
        (413, StatusError),
        (422, StatusError),
    ],
)
async def test_what_no_retry_mends_is_told_at_once(chaos, client, ask, status, kind):
    await chaos.will_fail(status, message="not like this")
    with pytest.raises(kind, match="not like this") as refused:
        await ask(client)
    assert (refused.value.status, refused.value.retryable) == (status, False)
    await chaos.assert_resilient(attempts=1)


async def test_a_prompt_that_is_too_long_has_its_code(chaos, client, ask):
    await chaos.will_fail(400, code="context_length_exceeded", message="maximum context length")
    with pytest.raises(StatusError) as refused:
        await ask(client)
    assert refused.value.code == "context_length_exceeded"
    await chaos.assert_resilient(attempts=1)


async def test_an_outage_ends_a_run_with_its_state(chaos, weather, ran, drive):
    await chaos.will_fail(503, times=None, retry_after=0.05)
    async with Client(base_url=chaos.base_url, max_retries=2) as client:
        with pytest.raises(StatusError) as refused:
            await drive(Agent("m", tools=[weather], client=client), "What is the weather?")
    assert (refused.value.status, refused.value.state.threads["main"].turn, ran) == (503, 1, [])
    assert len(await chaos.requests()) == 3
    assert await chaos.findings() == []


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ({"code": "insufficient_quota"}, {}),
        ({"retry_after": 90}, {}),
        ({"retry_after": 5}, {"timeout": 2}),
    ],
    ids=["no credit", "a wait too long", "a wait beyond the deadline"],
)
async def test_a_wait_that_makes_no_sense_is_not_begun(chaos, fault, options):
    await chaos.will_fail(429, **fault)
    async with Client(base_url=chaos.base_url, **options) as client:
        with anyio.fail_after(4), pytest.raises(RateLimitError) as refused:
            await client.create(model="m", input="hi")
    assert refused.value.retry_after == fault.get("retry_after", 1)
    assert len(await chaos.requests()) == 1
    assert await chaos.findings() == ["gave_up"]


async def test_a_slow_answer_is_awaited_until_the_deadline(chaos, ask):
    await chaos.will("delay", seconds=0.3, times=2)
    async with Client(base_url=chaos.base_url, timeout=0.1) as client:
        with pytest.raises(DeadlineError, match=r"within 0.1 seconds"):
            await ask(client)
    async with Client(base_url=chaos.base_url, timeout=5) as client:
        assert (await ask(client)).status == "completed"
    assert await chaos.findings() == []


# --- streams that break


@pytest.mark.parametrize(
    ("kind", "error"),
    [("disconnect", UnreachableError), ("truncate", IncompleteStreamError), ("malformed", WireError)],
)
async def test_a_stream_that_breaks_anywhere_is_never_a_success(chaos, client, kind, error):
    for chunks in range(BEFORE_END + 1):
        await chaos.will("reply", text=WORDS)
        await chaos.will("stream_fault", kind=kind, after_chunks=chunks)
        with pytest.raises(error):
            async with client.stream(model="m", input=f"hi {chunks}") as stream:
                async for _ in stream:
                    pass
    faults = [request["fault"] for request in await chaos.requests()]
    assert faults == [f"stream:{kind}@{chunks}" for chunks in range(BEFORE_END + 1)]
    unseen = {"disconnect": "gave_up", "truncate": "truncated_stream_accepted", "malformed": "malformed_chunk_ignored"}
    assert set(await chaos.findings()) == {unseen[kind]}


@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
@pytest.mark.parametrize("chunks", [0, BEFORE_END])
async def test_a_run_asks_again_for_a_reply_that_broke(chaos, client, kind, chunks):
    await chaos.will("reply", text=WORDS, times=2)
    await chaos.will("stream_fault", kind=kind, after_chunks=chunks)
    async with Agent("m", client=client).stream("hi") as run:
        events = [event async for event in run]
    assert (run.result.status, run.result.output) == ("completed", WORDS)
    restart = [event.type for event in events].index("turn.restarted")
    said = [event.delta for event in events[restart:] if event.type == "text.delta"]
    assert "".join(said) == WORDS
    assert [item.type for item in run.result.items] == ["message"]
    await chaos.assert_resilient(attempts=2)


@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
@pytest.mark.parametrize("chunks", [4, CALL_BEFORE_END])
async def test_no_tool_runs_from_a_reply_that_broke(chaos, client, weather, ran, kind, chunks):
    await chaos.will_call("Paris")
    await chaos.will_call("Rome")
    await chaos.will("stream_fault", kind=kind, after_chunks=chunks)
    async with Agent("m", tools=[weather], client=client).stream("What is the weather?") as run:
        async for _ in run:
            pass
    assert (run.result.status, ran, outputs(run.result)) == ("completed", ["Rome"], ["rainy in Rome"])
    await chaos.assert_resilient(attempts=3)


async def test_tries_are_counted_over_broken_replies_too(chaos):
    await chaos.will("stream_fault", kind="truncate", after_chunks=3, times=9)
    async with Client(base_url=chaos.base_url, max_retries=2) as client:
        with pytest.raises((IncompleteStreamError, StatusError)):
            async with Agent("m", client=client).stream("hi") as run:
                async for event in run:
                    if event.type == "turn.restarted":
                        await chaos.will_fail(500, times=2, retry_after=0.05)
    assert len(await chaos.requests()) == 3


async def test_a_piece_that_is_no_json_runs_nothing(chaos, client, weather, ran):
    await chaos.will_call("Paris")
    await chaos.will("stream_fault", kind="malformed", after_chunks=CALL_BEFORE_END)
    with pytest.raises(WireError) as broken:
        async with Agent("m", tools=[weather], client=client).stream("What is the weather?") as run:
            async for _ in run:
                pass
    assert ran == []
    assert broken.value.state.threads["main"].turn == 1
    assert await chaos.findings() == ["malformed_chunk_ignored"]


async def test_a_stream_that_falls_silent_is_left_and_asked_for_again(chaos):
    await chaos.will("reply", text=WORDS, times=2)
    await chaos.will("stream_fault", kind="stall", after_chunks=5, stall_seconds=20)
    async with Client(base_url=chaos.base_url, idle_timeout=1) as client:
        with anyio.fail_after(10):
            async with Agent("m", client=client).stream("hi") as run:
                types = [event.type async for event in run]
    assert run.result.output == WORDS
    assert "turn.restarted" in types
    await chaos.assert_resilient(attempts=2)


async def test_a_slow_first_word_is_no_silence(chaos, client):
    await chaos.will("slow_first_token", seconds=0.4)
    async with client.stream(model="m", input="hi") as stream:
        async for _ in stream:
            pass
    assert stream.response.text
    await chaos.assert_resilient(attempts=1)


# --- calls that can't be run


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [("malformed_arguments", "the arguments are not valid JSON"), ("unknown_tool", "llmock_unknown_tool")],
)
async def test_a_broken_call_is_answered_and_not_run(chaos, client, weather, ran, kind, complaint, drive):
    await chaos.will("tool_fault", kind=kind)
    result, _ = await drive(Agent("m", tools=[weather], client=client), "What is the weather?")
    assert (result.status, ran) == ("completed", [])
    (output,) = outputs(result)
    assert complaint in output
    assert output.startswith("Error: ")
    assert "Traceback" not in output
    _, second = await chaos.requests()
    call, answer = second["body"]["input"][-2:]
    assert (answer["type"], answer["call_id"], answer["output"]) == ("function_call_output", call["call_id"], output)
    await chaos.assert_resilient(attempts=2)


async def test_the_model_may_then_do_better(chaos, client, weather, ran, drive):
    await chaos.will_call("Paris", times=2)
    await chaos.will("tool_fault", kind="malformed_arguments")
    result, _ = await drive(Agent("m", tools=[weather], client=client), "What is the weather?")
    assert (result.status, result.turns, ran) == ("completed", 3, ["Paris"])
    assert outputs(result)[1] == "rainy in Paris"
    await chaos.assert_resilient(attempts=3)


async def test_a_broken_call_does_not_disturb_the_others(chaos, client, weather, ran, drive):
    await chaos.will_call("Paris", "Rome", "Oslo")
    await chaos.will("tool_fault", kind="unknown_tool")
    result, _ = await drive(Agent("m", tools=[weather], client=client), "What is the weather?")
    assert (result.status, sorted(ran)) == ("completed", ["Oslo", "Rome"])
    assert outputs(result)[1:] == ["rainy in Rome", "rainy in Oslo"]
    assert "llmock_unknown_tool" in outputs(result)[0]
    await chaos.assert_resilient(attempts=2)


async def test_a_call_of_an_incomplete_reply_is_not_run(chaos, client, weather, ran, drive):
    await chaos.will_call("Paris", finish_reason="length")
    result, _ = await drive(Agent("m", tools=[weather], client=client), "What is the weather?")
    assert (result.status, ran) == ("incomplete", [])
    assert len(outputs(result)) == 1
    await chaos.assert_resilient(attempts=1)


# --- servers that are like that all the time


@pytest.fixture
def another_llmock(require, start_peer):
    require("llmock", install="llmock")
    return lambda **env: start_peer("llmock_server.py", SEED, **env)


async def test_a_quota_of_tokens_is_waited_for_and_told(another_llmock):
    # A hundred tokens come back each second; each request takes over 3,000 of 6,000.
    with another_llmock(LLMOCK_TPM="6000") as url:
        async with httpx2.AsyncClient(base_url=url) as http, Client(base_url=f"{url}/v1", api_key="any") as client:
            first = await client.create(model="m", input="hi", max_output_tokens=3000)
            second = await client.create(model="m", input="ho", max_output_tokens=3000)
            assert first.rate_limits.limit_tokens == second.rate_limits.limit_tokens == 6000
            assert 2900 < first.rate_limits.remaining_tokens < 3000
            chaos = Chaos(url, http)
            assert [request["status"] for request in await chaos.requests()][:2] == [200, 429]
            assert await chaos.findings() == []


async def test_runs_come_through_faults_at_random(another_llmock):
    print("seed", SEED)
    rates = {"LLMOCK_ERROR_RATE_429": "0.04", "LLMOCK_ERROR_RATE_500": "0.06", "LLMOCK_ERROR_RATE_503": "0.04"}
    rates |= {"LLMOCK_STREAM_FAULT_DISCONNECT": "0.1", "LLMOCK_STREAM_FAULT_TRUNCATE": "0.1"}
    ran, results = Counter(), {}

    @tool
    async def weather(city: str, run: int) -> str:
        """The weather of a city."""
        ran[run] += 1
        return "rainy"

    with another_llmock(**rates) as url:
        async with httpx2.AsyncClient(base_url=url) as http, Client(base_url=f"{url}/v1", max_retries=9) as client:

            async def go(number):
                streamed = Agent("m", tools=[weather], client=client).stream(f"What is the weather? {number}")
                try:
                    async with streamed as run:
                        async for _ in run:
                            pass
                    results[number] = run.result
                except AgentrtError as error:
                    results[number] = error

            async with anyio.create_task_group() as group:
                for number in range(RUNS):
                    group.start_soon(go, number)
            chaos = Chaos(url, http)
            faults = Counter(request["fault"] for request in await chaos.requests())
            findings = await chaos.findings()
    print(json.dumps(faults), findings)
    assert [getattr(result, "status", result) for result in results.values()] == ["completed"] * RUNS
    assert all(len(outputs(result)) == 1 for result in results.values())
    assert sum(ran.values()) == RUNS
    # A wait after a stream that broke knows nothing of those before a refusal, so two in a row may be alike.
    assert set(findings) <= {"no_backoff"}
