"""The parameters of a request: all of them have a type, and what no provider takes is refused with what to change."""

import httpx2
import pytest

from agentrt import Agent, Client, Image, Limits, Result, UsageError, builtin, tool
from agentrt.client import Provider
from agentrt.core.state import evolve
from agentrt.testing import say
from agentrt.wire.items import item_view
from agentrt.wire.requests import RANGES, RequestParams, RequestSettings, check_request


def test_an_agents_settings_are_parameters_of_a_request():
    assert set(RequestSettings.__annotations__) < set(RequestParams.__annotations__)


CLIENT = Client(base_url="http://test/v1")

REFUSED = [
    ({"temperature": 2.5}, "temperature must be a number from 0 to 2, but is 2.5"),
    ({"temperature": "0.5"}, "must be a number"),
    ({"temperature": True}, "must be a number"),
    ({"top_p": -0.1}, "from 0 to 1"),
    ({"top_logprobs": 21, "include": ["message.output_text.logprobs"]}, "from 0 to 20"),
    ({"top_logprobs": 5}, "needs include="),
    ({"max_output_tokens": 0}, "1 or more"),
    ({"max_tool_calls": 0}, "1 or more"),
    ({"frequency_penalty": 3}, "from -2 to 2"),
    ({"metadata": {str(n): "v" for n in range(17)}}, "at most 16 pairs"),
    ({"metadata": ["a"]}, "must be a dict"),
    ({"metadata": {"k" * 65: "v"}}, "65 characters, 64 are allowed"),
    ({"metadata": {"k": "v" * 513}}, "at most 512"),
    ({"metadata": {"k": 1}}, "must be a text"),
    ({"conversation": "c", "previous_response_id": "r"}, "exclude each other"),
    ({"stream_options": {"include_obfuscation": False}}, "with a stream only"),
    ({"background": True, "store": False}, "needs the response to be stored"),
    ({"background": "yes"}, "true or false"),
    ({"store": 1}, "true or false"),
    ({"background_options": {"completion_window": "8h"}}, "needs background=True and no stream"),
    ({"background_options": {"completion_window": "2h"}, "background": True, "stream": True}, "no stream"),
    ({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}, "needs a name"),
    ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "needs a schema"),
    ({"truncation": "none"}, "'auto' or 'disabled'"),
    ({"safety_identifier": "x" * 129}, "at most 128"),
    ({"safety_identifier": 5}, "must be a text"),
    ({"input": "x" * 10_485_761}, "10485760 are allowed"),
    ({"include": "reasoning.encrypted_content"}, "must be a list"),
    ({"include": 5, "top_logprobs": 3}, "must be a list|needs include="),
    ({"metadata": {1: "v"}}, "must be a text"),
    ({"extra_body": 5}, "extra_body must be a dict, but is 5"),
    ({"extra_headers": "a: b"}, "extra_headers must be a dict"),
    ({"max_output_tokens": 1.5}, "max_output_tokens must be a whole number 1 or more, but is 1.5"),
    ({"instructions": 5}, "instructions must be a text, but is 5"),
    ({"conversation": 5}, r"conversation must be an id such as 'conv_…', but is 5"),
    ({"conversation": {}}, "conversation must be an id"),
    ({"reasoning": "high"}, r"reasoning must be a dict, such as reasoning=\{'effort': 'high'\}"),
    ({"text": "json"}, r"text must be a dict, such as text="),
    ({"prompt": "pmpt_1"}, r"prompt must be a dict, such as"),
    ({"input": 5}, r"input must be a text, or a list of items"),
    ({"timeout": "5"}, "timeout must be a number"),
    ({"max_retries": -1}, "max_retries must be a number, 0 or more"),
    ({"temprature": 1}, r"no parameter 'temprature'\. Did you mean 'temperature'"),
    ({"messages": []}, "Did you mean 'input'"),
    ({"seed": 1}, r"no parameter 'seed'\. What is newer .* extra_body=\{'seed'"),
]


@pytest.mark.parametrize(
    ("params", "message"), REFUSED, ids=[str(list(params)) + message for params, message in REFUSED]
)
def test_what_no_provider_takes_is_refused_before_it_is_sent(params, message):
    with pytest.raises(UsageError, match=message):
        check_request({"model": "m", **params})


def test_what_some_provider_takes_is_sent():
    check_request(
        {
            "model": "m",
            "input": "hi",
            "temperature": 2,
            "top_p": 0,
            "top_logprobs": 20,
            "include": ["message.output_text.logprobs", "acme:new"],
            "metadata": {str(n): "v" * 512 for n in range(16)},
            "max_output_tokens": 1,
            "background": True,
            "background_options": {"completion_window": "8h"},
            "text": {"format": {"type": "json_schema", "name": "a", "schema": {}}, "verbosity": "low"},
            "truncation": "auto",
            "service_tier": "some new tier",
            "safety_identifier": "x" * 128,
            "conversation": {"id": "c"},
            "store": None,
            "stream": True,
            "stream_options": {"include_obfuscation": False},
            "extra_body": {"temperature": 99},
        }
        | {"background_options": {"completion_window": "soonest"}}
    )
    check_request({"background": True, "background_options": {"completion_window": "8h"}, "text": {"verbosity": "low"}})
    assert RANGES["temperature"] == (0, 2)


def test_a_profile_may_be_narrower():
    narrow = Client(provider=Provider("http://test/v1", ranges={"max_output_tokens": (16, 100)}))
    with pytest.raises(UsageError, match="from 16 to 100"):
        narrow.prepare(model="m", input="hi", max_output_tokens=8)
    narrow.prepare(model="m", input="hi", max_output_tokens=16)


def test_a_request_can_be_looked_at_without_sending_it():
    client = Client(base_url="http://test/v1", api_key="secret", headers={"x-team": "t"})
    request = client.prepare(
        model="m", input=["What is it?", {"type": "input_image", "image_url": "http://a/b"}], extra_headers={"x-a": "b"}
    )
    assert (request.method, request.url) == ("POST", httpx2.URL("http://test/v1/responses"))
    assert request.headers["x-team"] == "t"
    assert request.headers["x-a"] == "b"
    assert "secret" not in repr(request)
    assert "hidden" not in repr(Client(base_url="http://test/v1", headers={"api-key": "hidden"}).prepare(model="m"))
    assert "hidden" not in repr(Provider("http://test/v1", headers={"api-key": "hidden"}))
    (message,) = request.json["input"]
    assert [part["type"] for part in message["content"]] == ["input_text", "input_image"]
    assert client.prepare(model="m", input="hi", stream=True).json["stream"] is True


def test_input_in_every_form_is_written_out():
    client = Client(base_url="http://test/v1")
    part = Image("http://a/b.png")
    for given in (part, [part], (part,), [{"role": "user", "content": [part]}]):
        (item,) = client.prepare(model="m", input=given).json["input"]
        assert item["content"] == [part.raw]
    assert "input" not in client.prepare(model="m", prompt={"id": "p"}).json


def test_tools_of_every_kind_are_written_out():
    @tool
    def add(a: int, b: int) -> int:
        return a + b

    client = Client(base_url="http://test/v1")
    body = client.prepare(model="m", input="hi", tools=[add, builtin.WebSearch(sources=True), {"type": "mcp"}]).json
    assert [entry["type"] for entry in body["tools"]] == ["function", "web_search", "mcp"]
    assert body["include"] == ["web_search_call.action.sources"]
    assert client.prepare(model="m", input="hi", tools=[add]).json["tools"] == [add.definition()]


def test_an_agents_first_request_can_be_looked_at():
    agent = Agent("m", instructions="Be short.", client=Client(base_url="http://test/v1"), top_logprobs=3)
    body = agent.prepare("hi").json
    assert body["instructions"] == "Be short."
    assert body["store"] is False
    assert body["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]


@pytest.mark.parametrize("on_limit", ["answer", "stop"])
@pytest.mark.parametrize("bound", [{"max_turns": 1}, {"max_turns": 5}, {"max_tool_calls": 0}, {"max_tool_calls": 3}])
async def test_what_prepare_gives_is_what_a_run_sends(serve, client_of, bound, on_limit):
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    server, other = serve(say("a")), serve(say("b"))
    async with client_of(other) as client:
        elsewhere = await Agent("m", client=client).run("first")
    thought = item_view({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"})
    main = elsewhere.state.threads["main"]
    items = (main.items[0], thought, *main.items[1:])
    elsewhere = Result(evolve(elsewhere.state, threads={"main": evolve(main, items=items)}))
    async with client_of(server) as client:
        agent = Agent("m", tools=[add], client=client, limits=Limits(on_limit=on_limit, **bound))
        prepared = agent.prepare("hi", after=elsewhere).json
        await agent.run("hi", after=elsewhere)
    assert server.requests[0].json == prepared
    assert "secret" not in str(prepared)


async def test_stream_options_of_an_agent_go_with_its_streams(serve, client_of):
    server = serve(say("a"), say("b"))
    async with client_of(server) as client:
        agent = Agent("m", client=client, stream_options={"include_obfuscation": False})
        await agent.run("hi")
        async with agent.stream("hi") as run:
            async for _ in run:
                pass
    assert "stream_options" not in server.requests[0].json
    assert server.requests[1].json["stream_options"] == {"include_obfuscation": False}


@pytest.mark.parametrize("tools", ["web_search", ["web_search"], {"type": "web_search"}, builtin.WebSearch(), 5])
def test_what_is_no_list_of_tools_is_refused(tools):
    with pytest.raises(UsageError, match="tools must be a list of tools or their definitions"):
        CLIENT.prepare(model="m", input="hi", tools=tools)


@pytest.mark.parametrize("include", ["message.x", 5])
def test_an_include_that_is_no_list_is_refused_beside_tools_too(include):
    with pytest.raises(UsageError, match="include must be a list"):
        CLIENT.prepare(model="m", input="hi", tools=[builtin.WebSearch(sources=True)], include=include)
    with pytest.raises(UsageError, match="include must be a list"):
        Agent("m", include=include)


def test_a_model_is_named_by_text():
    for model in (5, ["m", 5]):
        with pytest.raises(UsageError, match="model must be a name or a list of names, but has 5"):
            CLIENT.prepare(model=model, input="hi")
    with pytest.raises(UsageError, match="tools must be a list of tools"):
        CLIENT.prepare(model="m", input="hi", tools=[builtin.WebSearch])


def test_tools_from_a_generator_go_to_each_model():
    tools = ({"type": "function", "name": name} for name in ("a", "b"))
    for request in CLIENT._prepare({"model": ["m", "n"], "input": "hi", "tools": tools}):
        assert [tool["name"] for tool in request.json["tools"]] == ["a", "b"]


def test_each_models_request_has_an_idempotency_key_of_its_own():
    requests = CLIENT._prepare({"model": ["m", "n"], "input": "hi", "extra_headers": {"Idempotency-Key": "mine"}})
    assert [request.headers["idempotency-key"] for request in requests] == ["mine", "mine-1"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_in_json_is_not_sent(number):
    with pytest.raises(UsageError, match="NaN or infinite"):
        CLIENT.prepare(model="m", input="hi", extra_body={"x": [1.5, number]})
    told = CLIENT.prepare(model="m", input="NaN and Infinity").json["input"]
    assert told == "NaN and Infinity"
