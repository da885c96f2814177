"""fastresponses: someone else's server of Open Responses that keeps state, with a pydantic-ai agent behind it.

The agent's model is a function (``fastresponses_server.py``), which calls what it is asked to call and otherwise tells
all that it was ever told, so that an answer shows what the server knew.
"""

import anyio
import pytest

from agentrt import Agent, Client, UsageError, tool
from agentrt.errors import AuthenticationError, ResponseFailedError, StatusError

KEY = "peer-key"
HISTORIES = ["replay", "response", "conversation"]


@pytest.fixture(scope="session")
def fastresponses(require, start_peer):
    require("fastresponses", "pydantic_ai", install="'fastresponses[pydantic-ai]'")
    with start_peer("fastresponses_server.py") as url:
        yield f"{url}/v1"


@pytest.fixture
async def client(fastresponses):
    async with Client(base_url=fastresponses, api_key=KEY, max_retries=1) as client:
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


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


# --- the client


async def test_text_comes_whole_and_streamed_alike(client):
    whole = await client.create(model="m", input="hello", instructions="Be brief")
    async with client.stream(model="m", input="hello", instructions="Be brief") as stream:
        events = [event async for event in stream]
    assert whole.text == stream.response.text == "told Be brief: [hello]"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.text
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (whole.status, whole.usage.output_tokens > 0) == ("completed", True)


async def test_a_conversation_goes_on_from_a_previous_response(client):
    first = await client.create(model="m", input="one")
    second = await client.create(model="m", input="two", previous_response_id=first.id)
    assert second.text == "told: [one] [two]"
    async with client.stream(model="m", input="three", previous_response_id=second.id) as stream:
        async for _ in stream:
            pass
    assert stream.response.text == "told: [one] [two] [three]"
    beside = await client.create(model="m", input="other", previous_response_id=first.id)
    assert beside.text == "told: [one] [other]"


async def test_an_unknown_previous_response_is_a_typed_error(client):
    request = {"model": "m", "input": "two", "previous_response_id": "resp_none"}
    with pytest.raises(StatusError, match="'resp_none' not found") as refused:
        await client.create(**request)
    error = refused.value
    assert (error.status, error.code, error.param, error.retryable) == (
        400,
        "previous_response_not_found",
        "previous_response_id",
        False,
    )
    with pytest.raises(StatusError, match="'resp_none' not found"):
        async with client.stream(**request):
            pass


async def test_what_was_not_stored_cannot_be_gone_on_from(client):
    first = await client.create(model="m", input="one", store=False)
    with pytest.raises(StatusError) as refused:
        await client.create(model="m", input="two", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"


async def test_stored_responses_are_fetched_and_deleted(client):
    made = await client.create(model="m", input="hello")
    assert (await client.retrieve(made.id)).raw == made.raw
    await client.delete(made.id)
    with pytest.raises(StatusError, match="not found") as refused:
        await client.retrieve(made.id)
    assert (refused.value.status, refused.value.code) == (404, "response_not_found")


async def test_a_background_response_is_waited_for_streamed_and_cancelled(client):
    queued = await client.create(model="m", input="hello", background=True)
    assert queued.status == "queued"
    assert (await client.wait(queued)).text == "told: [hello]"
    async with client.stream(model="m", input="hello", background=True) as stream:
        types = [event.type async for event in stream]
    assert (types[0], types[-1]) == ("response.created", "response.completed")
    async with client.resume(stream.response.id, starting_after=2) as again:
        async for _ in again:
            pass
    assert again.response.text == stream.response.text == "told: [hello]"
    lingering = await client.create(model="m", input="linger", background=True)
    assert (await client.cancel(lingering.id)).status == "cancelled"
    assert (await client.wait(lingering.id)).status == "cancelled"


async def test_a_compacted_conversation_goes_on(client):
    compacted = await client.compact(model="m", input="hello")
    assert [item.type for item in compacted.items] == ["compaction"]
    response = await client.create(model="m", input=[*compacted.items, {"role": "user", "content": "and now"}])
    assert response.text == "told: [hello] [and now]"


async def test_failures_are_typed(client, fastresponses):
    with pytest.raises(StatusError, match="the model broke") as refused:
        await client.create(model="m", input="fail")
    assert (refused.value.status, refused.value.code) == (500, "server_error")
    async with client.stream(model="m", input="fail") as stream:
        types = [event.type async for event in stream]
    assert types[-2:] == ["error", "response.failed"]
    assert stream.response.status == "failed"
    assert "the model broke" in stream.response.error["message"]
    with pytest.raises(StatusError) as refused:
        await client.create(model="m", input="hi", extra_body={"temperature": "warm"})
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "invalid_value", "temperature")
    async with Client(base_url=fastresponses, api_key="wrong") as stranger:
        with pytest.raises(AuthenticationError, match="pass the right api_key="):
            await stranger.create(model="m", input="hi")


# --- the agent


@pytest.mark.parametrize("history", HISTORIES)
async def test_a_chat_with_calls_goes_on_in_every_history(client, weather, ran, history, drive):
    agent = Agent("m", tools=[weather], client=client, history=history, instructions="Be brief")
    first, _ = await drive(agent, "weather Paris Rome")
    assert (first.status, sorted(ran)) == ("completed", ["Paris", "Rome"])
    assert outputs(first) == ["rainy in Paris", "rainy in Rome"]
    told = "told Be brief: [weather Paris Rome] [rainy in Paris] [rainy in Rome]"
    assert first.output == told
    second, _ = await drive(agent, "and now", after=first)
    assert second.output == f"{told} [and now]"  # each was sent once
    third, _ = await drive(agent, "weather Oslo", after=second)
    assert third.output == f"{told} [and now] [weather Oslo] [rainy in Oslo]"
    assert [item.type for item in third.items] == ["function_call", "function_call_output", "message"]


async def test_a_run_over_previous_responses_makes_a_chain(client, weather, ran, drive):
    agent = Agent("m", tools=[weather], client=client, history="response")
    result, _ = await drive(agent, "weather Paris")
    last = await client.retrieve(result.state.threads["main"].anchor)
    before = await client.retrieve(last.raw["previous_response_id"])
    assert (last.text, before.raw["previous_response_id"]) == (result.output, None)
    assert [item.type for item in before.items] == ["function_call"]


async def test_a_run_goes_on_from_a_response_that_was_made_outside(client, weather, drive):
    made = await client.create(model="m", input="one")
    agent = Agent("m", tools=[weather], client=client, history="response", previous_response_id=made.id)
    result, _ = await drive(agent, "weather Paris")
    assert result.output == "told: [one] [weather Paris] [rainy in Paris]"


async def test_a_response_that_was_lost_in_the_run_is_made_up_for(client):
    @tool
    async def weather(city: str) -> str:
        """The weather of a city."""
        await client.delete(run.state.threads["main"].anchor)
        return f"rainy in {city}"

    async with Agent("m", tools=[weather], client=client, history="response").stream("weather Paris") as run:
        async for _ in run:
            pass
    assert (run.result.status, run.result.output) == ("completed", "told: [weather Paris] [rainy in Paris]")


async def test_what_began_outside_and_was_lost_is_an_error_that_says_so(client, weather, ran, drive):
    agent = Agent("m", tools=[weather], client=client, history="response", previous_response_id="resp_none")
    with pytest.raises(UsageError, match=r"lost 'resp_none'.*after="):
        await drive(agent, "weather Paris")
    assert ran == []


@pytest.mark.parametrize("history", HISTORIES)
async def test_what_the_server_runs_itself_is_kept_and_sent_back(client, weather, ran, history, drive):
    agent = Agent("m", tools=[weather], client=client, history=history)
    first, _ = await drive(agent, "clock Oslo")
    assert [item.type for item in first.items] == ["pydantic_ai:function_call", "message"]
    assert (first.output, ran) == ("told: [clock Oslo] [noon in Oslo]", [])
    second, _ = await drive(agent, "weather Rome", after=first)
    assert second.output == "told: [clock Oslo] [noon in Oslo] [weather Rome] [rainy in Rome]"


async def test_a_model_that_fails_ends_the_run_with_its_state(client, weather, drive):
    with pytest.raises((ResponseFailedError, StatusError), match="the model broke") as failed:
        await drive(Agent("m", tools=[weather], client=client), "fail")
    assert failed.value.state.threads["main"].turn == 1


async def test_runs_at_once_are_kept_apart(client, weather, ran):
    agent = Agent("m", tools=[weather], client=client, history="response")
    results = {}

    async def go(city):
        first = await agent.run(f"weather {city}")
        results[city] = await agent.run("and now", after=first)

    async with anyio.create_task_group() as group:
        for city in ("Paris", "Rome", "Oslo"):
            group.start_soon(go, city)
    assert sorted(ran) == ["Oslo", "Paris", "Rome"]
    for city, result in results.items():
        assert result.output == f"told: [weather {city}] [rainy in {city}] [and now]"
