"""llama.cpp's own ``/v1/responses``, which deviates in many ways, with the embedded model's weights.

The letters are those of the table of deviations in the project's notes on llama.cpp (2026-11). The model is tiny, but it
copies: after a few earlier turns it calls what was called there, in the form in which it was called, so that each
deviation can be had for the asking.
"""

import copy
import json
from pathlib import Path

import anyio
import pytest
from typing_extensions import TypedDict

from agentrt import Agent, AgentrtError, Client, Limits, tool
from agentrt.errors import AuthenticationError, LocalModelError, ResponseFailedError, StatusError, WireError
from agentrt.local.weights import find_weights

# The first test may have to fetch the weights.
pytestmark = pytest.mark.timeout(60, func_only=True)

KEY = "peer-key"
EXACT = {"temperature": 0, "max_output_tokens": 30, "extra_body": {"seed": 1}}
CITIES = ("Rome", "Oslo")
PAIRS = (("Rome", "Oslo"), ("Lima", "Cairo"), ("Bonn", "Kyiv"))


class Forecast(TypedDict):
    city: str
    sky: str


def user(text):
    return {"role": "user", "content": text}


def said(text):
    # Without a type llama.cpp "cannot determine" what an assistant's message is.
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def called(city, arguments=None, name="weather"):
    return {
        "type": "function_call",
        "call_id": f"call_{city}",
        "name": name,
        "arguments": json.dumps(arguments or {"city": city}),
    }


def returned(city, output="sunny"):
    return {"type": "function_call_output", "call_id": f"call_{city}", "output": output}


def ask(before=None):
    """Give a chat in which each question about a city was answered in one way, and a question about the next city."""
    before = before or (lambda city: [called(city), returned(city), said(f"It is sunny in {city}.")])
    turns = [item for city in CITIES for item in (user(f"Weather in {city}?"), *before(city))]
    return [*turns, user("Weather in Paris?")]


def ask_for_two():
    turns = []
    for pair in PAIRS:
        turns += [user("Weather in {} and in {}?".format(*pair)), *map(called, pair), *map(returned, pair)]
        turns += [said("It is sunny in {} and in {}.".format(*pair))]
    return [*turns, user("Weather in Paris and in Madrid?")]


@pytest.fixture(scope="session")
def llamacpp(require, start_peer):
    require("xllamacpp", "filelock", install="'agentrt[local]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AGENTRT_LOCAL_MODEL", raising=False)
        try:
            weights = find_weights()
        except LocalModelError as error:
            pytest.skip(f"the weights can't be had: {error}")
    with start_peer("llamacpp_server.py", weights, Path(__file__).with_name("calls.jinja"), KEY) as url:
        yield f"{url}/v1"


@pytest.fixture
async def client(llamacpp):
    async with Client(base_url=llamacpp, api_key=KEY) as client:
        yield client


@pytest.fixture
async def impatient(llamacpp):
    """A client that never tries again; so it must not meet a connection that the server has just closed."""
    async with Client(base_url=llamacpp, api_key=KEY, max_retries=0, headers={"connection": "close"}) as client:
        yield client


@pytest.fixture
def ran():
    """Which cities the tool was run for, in any order."""
    return []


@pytest.fixture
def weather(ran):
    @tool
    async def weather(city: str) -> str:
        """The weather of a city."""
        ran.append(city)
        return "rainy"

    return weather


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


# --- text


async def test_text_comes_whole_and_streamed_alike_though_most_fields_are_missing(client):
    request = {"model": "m", "input": "Say hello.", **EXACT}
    whole = await client.create(**request)
    async with client.stream(**request) as stream:
        events = [event async for event in stream]
    assert not whole.raw.keys() & {"error", "incomplete_details", "tools", "metadata", "previous_response_id"}  # a
    assert not any(event.raw.keys() & {"sequence_number", "output_index", "content_index"} for event in events)  # k
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.text
    for response in (whole, stream.response):
        assert response.text.startswith("Hello")
        assert (response.status, response.error, response.incomplete_reason) == ("completed", None, None)
        assert response.usage.output_tokens > 1
        assert response.usage.reasoning_tokens == 0
        assert response.model.endswith(".gguf")  # n: the model's name is ignored, and answered with a path
    assert [item.text for item in stream.response.items] == [whole.text]


async def test_events_stay_as_they_came(client):
    async with client.stream(model="m", input="Say hello.", **EXACT) as stream:
        seen = [(event, copy.deepcopy(event.raw)) async for event in stream]
    assert [event.raw for event, _ in seen] == [raw for _, raw in seen]
    assert next(event for event, _ in seen if event.type == "response.output_item.added").raw["item"]["content"] == []


async def test_what_was_cut_at_max_output_tokens_says_completed(client):
    response = await client.create(model="m", input="Tell a story.", **{**EXACT, "max_output_tokens": 5})
    assert (response.status, response.incomplete_reason, response.usage.output_tokens) == ("completed", None, 5)  # g


async def test_a_format_that_was_ignored_is_an_error_where_the_value_is_asked_for(client):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    text = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    response = await client.create(model="m", input="Say hello.", text=text, **EXACT)
    with pytest.raises(WireError, match="the provider ignores it"):  # c
        _ = response.parsed
    own = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    settings = {**EXACT, "extra_body": {**EXACT["extra_body"], **own}}
    response = await client.create(model="m", input="Say hello.", **settings)
    assert isinstance(response.parsed["a"], int)


async def test_a_structured_answer_comes_as_a_call_where_the_format_is_ignored(llamacpp, drive):
    def answered(city):
        return [called(city, {"city": city, "sky": "sunny"}, "final_answer"), returned(city, "Taken."), said("Good.")]

    async with Client(provider="llamacpp", base_url=llamacpp, api_key=KEY) as client:
        result, _ = await drive(Agent("m", output_type=Forecast, client=client, **EXACT), ask(answered))
    assert result.output["city"] == "Paris"
    assert result.output.keys() == {"city", "sky"}
    assert [item.type for item in result.items] == ["function_call", "function_call_output"]


async def test_a_stream_that_is_left_early_frees_the_server(client):
    async with client.stream(
        model="m", input="Tell a very long story.", **{**EXACT, "max_output_tokens": 1900}
    ) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
    with anyio.fail_after(10):
        assert (await client.create(model="m", input="Say hello.", **EXACT)).text.startswith("Hello")


# --- calls


async def test_a_run_calls_the_tool_and_answers(client, weather, ran, drive):
    result, events = await drive(Agent("m", tools=[weather], client=client, **EXACT), ask())
    assert (result.status, ran, outputs(result)) == ("completed", ["Paris"], ["rainy"])
    assert "rainy" in result.output
    assert [item.type for item in result.items] == ["function_call", "function_call_output", "message"]
    if drive.streaming:
        assert "".join(event.delta for event in events if event.type == "text.delta") == result.output


async def test_calls_of_one_reply_are_kept_apart_without_an_index(client, weather):
    request = {
        "model": "m",
        "input": ask_for_two(),
        "tools": [weather.definition()],
        "tool_choice": "required",
        **EXACT,
        "max_output_tokens": 60,
    }
    async with client.stream(**request) as stream:
        events = [event async for event in stream]
    items = stream.response.items
    assert [item.type for item in items] == ["function_call"] * len(items)
    assert [json.loads(item.arguments) for item in items[:2]] == [{"city": "Paris"}, {"city": "Madrid"}]
    assert len({item.call_id for item in items}) == len(items)
    for item in items:
        pieces = [
            event.delta for event in events if event.type.endswith("arguments.delta") and event.item_id == item.id
        ]
        assert "".join(pieces) == item.arguments
    assert [item.raw for item in items] == events[-1].raw["response"]["output"]


@pytest.mark.parametrize(
    ("provider", "history"), [(None, "response"), (None, "conversation"), ("llamacpp", "response")]
)
async def test_history_that_the_server_does_not_keep_is_replayed(llamacpp, weather, ran, provider, history):
    async with Client(provider=provider, base_url=llamacpp, api_key=KEY) as client:
        result = await Agent("m", tools=[weather], client=client, history=history, **EXACT).run(ask())  # b
    assert (result.status, ran) == ("completed", ["Paris"])
    assert "rainy" in result.output


async def test_a_tool_that_was_not_the_chosen_one_still_works(client, weather, ran):
    def clock(city: str) -> str:
        """The time in a city."""
        raise AssertionError

    choice = {"type": "function", "name": "clock"}
    result = await Agent("m", tools=[weather, clock], client=client, tool_choice=choice, **EXACT).run(ask())  # d
    assert (result.status, ran) == ("completed", ["Paris"])


async def test_a_required_call_that_never_came_is_an_answer(client, weather, ran):
    settings = {**EXACT, "max_output_tokens": 3}
    result = await Agent("m", tools=[weather], client=client, tool_choice="required", **settings).run(ask())  # e
    assert (result.status, ran, [item.type for item in result.items]) == ("completed", [], ["message"])


async def test_a_call_that_came_as_text_is_not_run(client, weather, ran):
    result = await Agent("m", tools=[weather], client=client, limits=Limits(max_turns=1), **EXACT).run(ask())  # f
    assert json.loads(result.output) == {"name": "weather", "arguments": {"city": "Paris"}}
    assert ran == []


@pytest.mark.parametrize("tokens", [6, 15])
async def test_a_call_whose_arguments_were_cut_is_never_run(impatient, weather, ran, tokens, drive):
    settings = {**EXACT, "max_output_tokens": tokens}
    agent = Agent("m", tools=[weather], client=impatient, limits=Limits(max_turns=2), **settings)
    try:
        result, _ = await drive(agent, ask())
        state = result.state
    except AgentrtError as error:
        state = error.state
    cut = next(item for item in state.threads["main"].items if item.type == "function_call" and item.id)
    # It came as completed (h), and was put into JSON when llama.cpp would not read it again.
    came = json.loads(cut.arguments)["invalid_arguments"]
    assert (cut.status, came) == ("completed", "{" if tokens == 6 else '{"city": "Paris"')
    assert ran == []


async def test_a_run_goes_on_after_arguments_that_were_cut(impatient, weather):
    settings = {**EXACT, "max_output_tokens": 12}
    result = await Agent("m", tools=[weather], client=impatient, limits=Limits(max_turns=2), **settings).run(ask())
    assert "not valid JSON" in outputs(result)[0]


async def test_arguments_against_the_schema_are_answered_not_run(client, weather, ran):
    def wrongly(city):
        return [called(city, {"city": len(city), "unit": "c"}), returned(city), said(f"It is sunny in {city}.")]

    result = await Agent("m", tools=[weather], client=client, **EXACT).run(ask(wrongly))  # i
    (output,) = outputs(result)
    assert "`city` must be a string, but is " in output
    assert "`unit` is not an argument of this tool" in output
    assert (result.status, ran) == ("completed", [])


def with_text(city):
    return [said(f'{{"name": "weather", "arguments": {{"city": "{city}"}}}} I called it for you.')]


def of_unknown_tool(city):
    return [called(city, name="forecast"), returned(city), said(f"It is sunny in {city}.")]


@pytest.mark.parametrize("before", [with_text, of_unknown_tool])
async def test_a_reply_that_the_server_cannot_read_is_a_typed_error_and_runs_nothing(impatient, weather, ran, before):
    with pytest.raises(StatusError, match="does not match the expected") as refused:  # j
        await Agent("m", tools=[weather], client=impatient, **EXACT).run(ask(before))
    assert (refused.value.status, refused.value.retryable, ran) == (500, True, [])


async def test_a_reply_that_turns_out_unreadable_fails_and_runs_nothing(client, weather, ran):
    with pytest.raises(ResponseFailedError, match="does not match the expected"):
        async with Agent("m", tools=[weather], client=client, **EXACT).stream(ask(with_text)) as run:
            async for _ in run:
                pass
    assert ran == []


async def test_an_error_without_a_name_ends_a_stream_as_failed(client, weather):
    async with client.stream(model="m", input=ask(with_text), tools=[weather.definition()], **EXACT) as stream:
        types = [event.type async for event in stream]
    assert "response.function_call_arguments.delta" in types
    assert not {"response.completed", "response.failed"} & set(types)
    assert stream.response.status == "failed"
    assert "does not match the expected" in stream.response.error["message"]
    assert [item.status for item in stream.response.items] == ["incomplete"]


async def test_a_tool_that_the_provider_should_run_is_skipped(client, weather, ran):
    result = await Agent("m", tools=[weather, {"type": "web_search"}], client=client, **EXACT).run(ask())  # n
    assert (result.status, ran) == ("completed", ["Paris"])


# --- refusals


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"input": "hi", "previous_response_id": "resp_1"}, "does not support 'previous_response_id'"),  # b
        ({"input": "word " * 4000}, "exceeds the available context size"),  # m
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "Cannot determine type"),  # n
        ({"input": [user("hi"), {"type": "reasoning", "id": "rs_1", "summary": []}, user("hi")]}, "is not an array"),
        ({"input": [user("hi"), {"role": "assistant", "content": "Hi."}, user("hi")]}, "Cannot determine type"),
    ],
    ids=["previous response", "too long", "reference", "reasoning", "assistant without type"],
)
async def test_a_refusal_is_a_typed_error_at_once(client, request_, message):
    with pytest.raises(StatusError, match=message) as refused:
        await client.create(model="m", **request_)
    assert (refused.value.status, refused.value.retryable) == (400, False)
    with pytest.raises(StatusError, match=message):
        async with client.stream(model="m", **request_):
            pass


async def test_the_code_of_an_error_tells_what_it_was(client):
    with pytest.raises(StatusError) as refused:
        await client.create(model="m", input="word " * 4000)
    assert refused.value.code == "exceed_context_size_error"  # m


async def test_a_wrong_key(llamacpp):
    async with Client(base_url=llamacpp, api_key="wrong") as client:
        with pytest.raises(AuthenticationError, match="pass the right api_key="):
            await client.create(model="m", input="hi")


async def test_an_output_without_its_call_is_taken(client):
    response = await client.create(model="m", input=[user("hi"), returned("Rome")], **{**EXACT, "max_output_tokens": 5})
    assert response.status == "completed"  # n


async def test_other_endpoints_answer_or_are_typed_errors(client):
    assert await client.input_tokens(model="m", input="Say hello.") > 2
    for asked in (
        client.retrieve("resp_1"),
        client.cancel("resp_1"),
        client.delete("resp_1"),
        client.compact(model="m", input="hi"),
    ):
        with pytest.raises(StatusError) as refused:
            await asked
        assert refused.value.status == 404  # n
