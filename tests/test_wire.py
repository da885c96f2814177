import json
import random

import pytest

from agentrt.core.history import read_reply, unanswerable
from agentrt.errors import UsageError, WireError
from agentrt.wire.assembler import Assembler
from agentrt.wire.compose import message_item, response_events, response_resource
from agentrt.wire.events import Event
from agentrt.wire.items import CALLS, FunctionCall, Item, Message, item_view
from agentrt.wire.json import as_dict, as_list, dump, parse
from agentrt.wire.requests import encode_request
from agentrt.wire.responses import Response, Usage
from agentrt.wire.sse import SSEDecoder

CALL = {
    "type": "function_call",
    "id": "fc",
    "call_id": "c1",
    "name": "add",
    "arguments": '{"a": 1}',
    "status": "completed",
}
REFUSAL = {
    "type": "message",
    "id": "m2",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "refusal", "refusal": "No, I can't."}],
}
REASONING = {"type": "reasoning", "id": "rs", "summary": []}


def assemble(events):
    assembler = Assembler()
    for event in events:
        assembler.feed(Event(event))
    return assembler


def resource(*output, **more):
    return response_resource({"model": "m"}, response_id="r", created_at=1, output=output, usage=(3, 4)) | more


# --- json


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", '"\\ud800"', "[" * 100_000])
def test_broken_json_is_a_value_error(text):
    with pytest.raises(ValueError, match="line 1"):
        parse(text)


@pytest.mark.parametrize("value", [object(), {"a": {1, object()}}, "\ud800"])
def test_what_is_no_json_value_is_a_value_error(value):
    with pytest.raises(ValueError, match="not a JSON value"):
        dump(value)


def test_null_where_a_list_or_an_object_was_due():
    assert as_list(None) == []
    assert as_dict(None) == {}


# --- items


def test_an_item_keeps_what_it_does_not_know():
    raw = {"type": "acme:thing", "z": 1, "a": {"b": None}}
    item = item_view(raw)
    assert type(item) is Item
    assert (item.type, item.id, item.status) == ("acme:thing", None, None)
    assert item.json == b'{"type":"acme:thing","z":1,"a":{"b":null}}'
    assert item.json is item.json
    assert "acme:thing" in repr(item)


def test_a_message_without_a_type_is_a_message():
    item = item_view({"role": "user", "content": "hi"})
    assert isinstance(item, Message)
    assert (item.type, item.role, item.text, item.refusal, item.phase) == ("message", "user", "hi", None, None)


def test_a_message_of_parts():
    item = item_view(REFUSAL)
    assert isinstance(item, Message)
    assert (item.text, item.refusal) == ("", "No, I can't.")
    assert Message({"type": "message", "content": None}).text == ""
    assert Message({"type": "message"}).role == ""


def test_a_function_call():
    item = item_view(CALL)
    assert isinstance(item, FunctionCall)
    assert (item.name, item.call_id, item.arguments, item.status) == ("add", "c1", '{"a": 1}', "completed")
    empty = FunctionCall({})
    assert (empty.type, empty.name, empty.call_id, empty.arguments) == ("", "", "", None)


def test_an_answer_carries_the_key_and_the_caller():
    caller = {"type": "program", "caller_id": "p1"}
    answer = CALLS["function_call"].answer({**CALL, "caller": caller}, "2")
    assert answer == {"type": "function_call_output", "call_id": "c1", "output": "2", "caller": caller}
    assert CALLS["function_call"].answer({}, "2") == {"type": "function_call_output", "call_id": "", "output": "2"}


# --- responses


def test_missing_usage_is_zero():
    assert Usage.read(None) == Usage(0, 0, 0, 0)
    assert Usage.read({"input_tokens": 3, "output_tokens": None, "input_tokens_details": None}).total_tokens == 3
    assert Usage(1, 2, 3, 4, 5).plus(Usage(1, 1, 1, 1, 1)) == Usage(2, 3, 4, 5, 6)


def test_a_response_with_almost_nothing():
    response = Response({"output": None})
    assert (response.id, response.model, response.status, response.items) == (None, None, "completed", [])
    assert (response.text, response.refusal, response.error, response.incomplete_reason) == ("", None, None, None)


def test_a_response_with_all_kinds_of_items():
    response = Response(resource(REASONING, message_item("m", "hi"), CALL, REFUSAL, "junk"), {"x-request-id": "req_1"})
    assert [item.type for item in response.items] == ["reasoning", "message", "function_call", "message"]
    assert response.text == "hi"
    assert response.refusal == "No, I can't."
    assert response.usage == Usage(3, 4)
    assert response.request_id == "req_1"
    assert "items=4" in repr(response)
    assert Response({"incomplete_details": {"reason": "content_filter"}}).incomplete_reason == "content_filter"


# --- requests


def test_a_request_joins_the_bytes_of_its_items():
    item = item_view({"type": "message", "role": "user", "content": "hi"})
    body = encode_request(
        {"model": "m", "input": [item, {"role": "user", "content": "ho"}], "top_p": None, "extra_body": {"seed": 1}}
    )
    assert json.loads(body) == {"model": "m", "input": [item.raw, {"role": "user", "content": "ho"}], "seed": 1}
    assert json.loads(encode_request({"model": "m", "input": "hi"})) == {"model": "m", "input": "hi"}


def test_a_request_that_is_not_json_names_the_value():
    with pytest.raises(UsageError, match="object"):
        encode_request({"model": "m", "metadata": {"a": object()}})


# --- events to response


@pytest.mark.parametrize(
    "response",
    [
        resource(message_item("m", "Hello, world, at some length.")),
        resource(CALL),
        resource(REASONING, message_item("m", "first"), CALL, {**CALL, "id": "fc2", "call_id": "c2"}),
        resource(REFUSAL),
        resource(),
        resource(
            message_item("m", "cut", status="incomplete"),
            status="incomplete",
            incomplete_details={"reason": "max_output_tokens"},
        ),
        resource(status="failed", error={"code": "server_error", "message": "m"}),
    ],
)
def test_a_stream_folds_to_the_response_that_json_would_have_given(response):
    assembler = assemble(response_events(response))
    assert assembler.ended
    assert assembler.response == response


@pytest.mark.parametrize("output", [None, []])
def test_an_empty_terminal_output_is_rebuilt_from_the_items(output):
    events = list(response_events(resource(CALL)))
    events[-1]["response"] = {**events[-1]["response"], "output": output}
    assert assemble(events).response["output"] == [CALL]


def test_items_that_were_never_streamed_come_from_the_terminal_event():
    events = list(response_events(resource(CALL)))
    events[-1]["response"]["output"] = [CALL, REFUSAL]
    assert assemble(events).response["output"] == [CALL, REFUSAL]


def test_an_item_that_never_ended_comes_from_the_terminal_event():
    response = resource(CALL)
    events = [event for event in response_events(response) if event["type"] != "response.output_item.done"]
    events[-1]["response"] = {**response, "output": [{**CALL, "arguments": "the truth"}]}
    assert assemble(events).response["output"][0]["arguments"] == "the truth"


def test_the_response_so_far_can_be_seen():
    events = list(response_events(resource(message_item("m", "Hello, world, at length."), REFUSAL)))
    seen = assemble(events[:5]).response
    assert seen["status"] == "in_progress"
    (part,) = seen["output"][0]["content"]
    assert (part["type"], part["text"]) == ("output_text", "Hello, world")


def test_deltas_without_anything_before_them_make_their_item():
    assembler = assemble(
        [
            {"type": "response.output_text.delta", "delta": "a", "item_id": "m"},
            {"type": "response.output_text.delta", "delta": "b", "item_id": "m"},
            {"type": "response.output_text.delta", "delta": "c", "output_index": 4, "item_id": "other"},
        ]
    )
    assert assembler.response["output"][0]["content"][0]["text"] == "abc"
    assert not assembler.ended


def test_parallel_calls_without_output_index_are_told_apart_by_their_id():
    added = "response.output_item.added"
    delta = "response.function_call_arguments.delta"
    one, two = (
        {**CALL, "id": None, "call_id": "c1", "arguments": ""},
        {**CALL, "id": None, "call_id": "c2", "arguments": ""},
    )
    events = [
        {"type": added, "item": one},
        {"type": added, "item": two},
        {"type": delta, "item_id": "c2", "delta": "2"},
        {"type": delta, "item_id": "c1", "delta": "1"},
        {"type": "response.function_call_arguments.done", "item_id": "c1", "arguments": "11"},
        {"type": delta, "item_id": "unheard of", "delta": "3", "output_index": 7},
    ]
    arguments = [item.get("arguments") for item in assemble(events).response["output"]]
    assert arguments == ["11", "2", "3"]


def test_an_index_that_two_items_claim_is_given_once():
    added = "response.output_item.added"
    assembler = assemble(
        [{"type": added, "output_index": 0, "item": CALL}, {"type": added, "output_index": 0, "item": REFUSAL}]
    )
    assert [item["type"] for item in assembler.response["output"]] == ["function_call", "message"]


def test_an_index_that_is_none_is_an_error():
    with pytest.raises(WireError, match="no index"):
        assemble([{"type": "response.output_item.added", "output_index": "first", "item": CALL}])


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "error", "code": "x", "message": "flat"}, {"code": "x", "message": "flat"}),
        ({"type": "error", "error": {"code": 500, "message": "nested"}}, {"code": "500", "message": "nested"}),
        (
            {"type": "error", "error": {"type": "too_many_requests", "code": None}},
            {"code": "too_many_requests", "message": "the server gave no message"},
        ),
        ({"type": "error"}, {"code": "error", "message": "the server gave no message"}),
    ],
)
def test_an_error_event_ends_the_response_as_failed(event, error):
    event = dict(event)
    assembler = assemble([*list(response_events(resource(CALL)))[:2], event, {"type": "error", "message": "late"}])
    assert assembler.ended
    assert assembler.response["status"] == "failed"
    assert assembler.response["error"] == error


def test_an_item_that_never_ended_and_is_nowhere_else_is_incomplete():
    events = [event for event in response_events(resource(CALL)) if event["type"] != "response.output_item.done"]
    events[-1]["response"] = {**events[-1]["response"], "output": []}
    for event in events:
        del event["sequence_number"]
    assert assemble(events).response["output"][0]["status"] == "incomplete"


def test_a_failure_without_a_status_is_a_failure():
    assert assemble([{"type": "response.failed", "response": {"status": None}}]).response["status"] == "failed"
    assert Response({"error": "boom"}).status == "failed"
    assert Response({"error": "boom"}).error["message"] == "boom"
    assert assemble([{"type": "error", "error": "boom"}]).response["error"]["message"] == "boom"


def test_nothing_on_the_wire_raises_anything_but_our_errors():
    """Any JSON value in any field of any event: a typed error or a response, never a TypeError."""
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    values = [None, 5, -1, 1.5, "x", "", True, [], [0], {}, {"a": 1}, ["x"], {"type": ["y"]}, {"message": 3}]
    golden = list(response_events(resource(CALL, message_item("m", "Hello, world"), REFUSAL, REASONING)))
    for _ in range(4000):
        events = json.loads(json.dumps(golden))
        for _ in range(source.randint(1, 4)):
            target = source.choice(events)
            while source.random() < 0.6 and any(isinstance(part, dict) and part for part in target.values()):
                target = source.choice([part for part in target.values() if isinstance(part, dict) and part])
            target[source.choice(sorted(target))] = source.choice(values)
        try:
            response = Response(assemble(events).response)
        except WireError:
            continue
        assert isinstance(response.text, str)
        assert response.usage.total_tokens >= -2
        assert isinstance(response.status, str)
        assert response.refusal is None or isinstance(response.refusal, str)
        read_reply(response.items)
        unanswerable(response.items)
        assert response.error is None or response.error


def test_unknown_events_change_nothing():
    event = Event({"type": "acme:thing", "delta": {"x": 1}, "output_index": 1, "item_id": "i", "sequence_number": 4})
    assert (event.delta, event.output_index, event.item_id, event.sequence_number) == ("", 1, "i", 4)
    assert "acme" in repr(event)
    assert Event({}).type == ""
    assert assemble([event.raw]).response == {"output": []}
    assert assemble([{"type": "response.created", "response": None}]).response == {"output": []}


# --- recorded from llama.cpp, which leaves out output_index, ids and sequence numbers


def recorded(name, datadir):
    return assemble(SSEDecoder().feed((datadir / "llamacpp" / name).read_bytes()))


@pytest.fixture
def datadir(request):
    return request.path.parent / "data"


def test_recorded_text(datadir):
    response = Response(recorded("s1-text.sse", datadir).response)
    assert response.status == "completed"
    assert response.text


def test_recorded_parallel_calls(datadir):
    response = Response(recorded("s3-parallel.sse", datadir).response)
    calls = [item for item in response.items if isinstance(item, FunctionCall)]
    assert len(calls) == 2
    assert len({call.call_id for call in calls}) == 2
    for call in calls:
        json.loads(call.arguments)


def test_a_recorded_error_without_a_name(datadir):
    response = Response(recorded("21s-http500-unparsable-output.sse", datadir).response)
    assert response.status == "failed"
    assert "peg-native" in response.error["message"]


# --- CometAPI's page: its sample response, and its nine events in order

NINE = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def test_cometapis_sample_response(datadir):
    raw = json.loads((datadir / "cometapi-response.json").read_text())
    response = Response(raw)
    assert response.id == "resp_0a153ae8201f73bc0069a7e8044cc481"
    assert (response.status, response.text, response.model) == ("completed", "Four.", "gpt-4.1-nano")
    assert response.usage == Usage(input_tokens=19, output_tokens=9)
    assert response.usage.total_tokens == raw["usage"]["total_tokens"]
    assert [json.loads(item.json) for item in response.items] == raw["output"]


def test_cometapis_nine_events_give_its_sample_response(datadir):
    raw = json.loads((datadir / "cometapi-response.json").read_text())
    events = list(response_events(raw))
    assert [event["type"] for event in events] == NINE
    assert assemble(events).response == raw
