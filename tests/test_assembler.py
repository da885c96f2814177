"""From any legal stream, and from many others, the response that the non-streaming call would have given."""

import copy
import random

import pytest

from agentrt.errors import WireError
from agentrt.testing import call
from agentrt.wire.assembler import Assembler
from agentrt.wire.compose import message_item, response_events, response_resource
from agentrt.wire.events import Event
from agentrt.wire.responses import RateLimits, Response

ADDED, DONE = "response.output_item.added", "response.output_item.done"


def assemble(events):
    assembler = Assembler()
    for event in events:
        assembler.feed(Event(event))
    return assembler


def output(*events):
    return assemble(events).response["output"]


def resource(*items, **more):
    status = more.pop("status", "completed")
    return {**response_resource({"model": "m"}, response_id="r", created_at=1, status=status, output=items), **more}


# --- items whose output_item.done never came: their parts' events tell what there is


def test_reasoning_is_put_together_from_its_parts():
    summary, text = "response.reasoning_summary_text", "response.reasoning_text"
    (item,) = output(
        {"type": ADDED, "output_index": 0, "item": {"type": "reasoning", "id": "rs", "summary": []}},
        {
            "type": "response.reasoning_summary_part.added",
            "output_index": 0,
            "summary_index": 0,
            "part": {"type": "summary_text", "text": ""},
        },
        {"type": f"{summary}.delta", "output_index": 0, "summary_index": 0, "delta": "so "},
        {"type": f"{summary}.delta", "output_index": 0, "summary_index": 0, "delta": "far"},
        {"type": f"{text}.delta", "output_index": 0, "content_index": 0, "delta": "raw"},
        {"type": "response.reasoning.delta", "output_index": 0, "content_index": 1, "delta": "other"},
        {
            "type": "response.reasoning_part.done",
            "output_index": 0,
            "content_index": 1,
            "part": {"type": "reasoning_text", "text": "the other"},
        },
        {"type": f"{text}.done", "output_index": 0, "content_index": 0, "text": "raw and whole"},
    )
    assert item["summary"] == [{"type": "summary_text", "text": "so far"}]
    assert [part["text"] for part in item["content"]] == ["raw and whole", "the other"]


def test_shell_commands_and_their_output_are_put_together():
    command, content = "response.shell_call_command", "response.shell_call_output_content"
    call_item, output_item = output(
        {"type": ADDED, "output_index": 0, "item": {"type": "shell_call", "id": "sh"}},
        {"type": f"{command}.added", "output_index": 0, "command_index": 0, "command": ""},
        {"type": f"{command}.delta", "output_index": 0, "command_index": 0, "delta": "l"},
        {"type": f"{command}.delta", "output_index": 0, "command_index": 0, "delta": "s"},
        {"type": f"{command}.added", "output_index": 0, "command_index": 1, "command": "p"},
        {"type": f"{command}.done", "output_index": 0, "command_index": 1, "command": "pwd"},
        {"type": ADDED, "output_index": 1, "item": {"type": "shell_call_output", "id": "so"}},
        {"type": f"{content}.delta", "output_index": 1, "command_index": 0, "delta": {"stdout": "a"}},
        {"type": f"{content}.delta", "output_index": 1, "command_index": 0, "delta": {"stdout": "b", "stderr": "e"}},
        {"type": f"{content}.delta", "output_index": 1, "command_index": 1, "delta": {"stdout": "?"}},
        {"type": f"{content}.done", "output_index": 1, "command_index": 1, "output": [{"stdout": "/root"}]},
    )
    assert call_item["action"]["commands"] == ["ls", "pwd"]
    assert output_item["output"] == [{"stdout": "ab", "stderr": "e"}, {"stdout": "/root"}]


def test_annotations_statuses_code_and_arguments():
    message, code, search, mcp = output(
        {"type": ADDED, "output_index": 0, "item": {"type": "message", "id": "m", "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "see"},
        {
            "type": "response.output_text.annotation.added",
            "output_index": 0,
            "content_index": 0,
            "annotation_index": 0,
            "annotation": {"type": "url_citation"},
        },
        {
            "type": "response.content_part.done",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": "see there"},
        },
        {"type": ADDED, "output_index": 1, "item": {"type": "code_interpreter_call", "id": "ci"}},
        {"type": "response.code_interpreter_call_code.delta", "output_index": 1, "delta": "1"},
        {"type": "response.code_interpreter_call_code.delta", "output_index": 1, "delta": "+1"},
        {"type": "response.code_interpreter_call.interpreting", "output_index": 1},
        {"type": ADDED, "output_index": 2, "item": {"type": "web_search_call", "id": "ws"}},
        {"type": "response.web_search_call.searching", "item_id": "ws"},
        {"type": "response.image_generation_call.partial_image", "item_id": "nobody"},
        {"type": ADDED, "output_index": 3, "item": {"type": "mcp_call", "id": "mc"}},
        {"type": "response.mcp_call_arguments.done", "output_index": 3, "arguments": "{}"},
    )
    assert message["content"][0] == {
        "type": "output_text",
        "text": "see there",
        "annotations": [{"type": "url_citation"}],
    }
    assert (code["code"], code["status"]) == ("1+1", "interpreting")
    assert search["status"] == "searching"
    assert mcp["arguments"] == "{}"


def test_the_events_that_were_handed_out_stay_as_they_came():
    events = golden()
    before = copy.deepcopy(events)
    assemble(events[:-1])
    assert events == before


def test_hostile_indices_cost_nothing():
    assembler = assemble(
        [
            {"type": "response.output_text.delta", "output_index": [1], "content_index": {"a": 1}, "delta": "a"},
            {"type": "response.output_text.delta", "output_index": [1], "content_index": {"a": 1}, "delta": 5},
            {"type": "response.shell_call_command.delta", "output_index": 10**12, "command_index": -4, "delta": "ls"},
            {"type": "response.image_generation_call.partial_image", "output_index": 0},
        ]
    )
    assert assembler.response["output"][0]["content"][0]["text"] == "a"


# --- routing


def test_events_without_any_index_go_to_the_only_open_item_of_their_type():
    delta = "response.function_call_arguments.delta"
    one, two = output(
        {"type": ADDED, "item": {"type": "message", "id": "m"}},
        {"type": ADDED, "item": {"type": "function_call", "call_id": "c", "arguments": ""}},
        {"type": delta, "delta": "{"},
        {"type": "response.output_text.delta", "delta": "hi"},
        {"type": delta, "delta": "}"},
    )
    assert (one["content"][0]["text"], two["arguments"]) == ("hi", "{}")


def test_an_item_id_that_changes_with_every_event_does_not_matter():
    deltas = [
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 0,
            "item_id": f"changing{n}",
            "delta": str(n),
        }
        for n in range(5)
    ]
    (item,) = output({"type": ADDED, "output_index": 0, "item": {"type": "function_call", "id": "fc"}}, *deltas)
    assert item["arguments"] == "01234"


def test_streamed_items_find_their_twin_in_the_terminal_event_by_id():
    events = list(response_events(resource(message_item("m1", "one"), call("f"), message_item("m2", "two"))))
    told = events[-1]["response"]
    events = [event for event in events if event.get("output_index") != 0]
    for event in events:
        event.pop("output_index", None)
        event.pop("sequence_number")
    assert assemble(events).response["output"] == told["output"]


def test_an_item_of_another_type_is_no_twin():
    events = list(response_events(resource(message_item("m1", "one"))))
    events[-1]["response"]["output"] = [{"type": "reasoning", "id": "rs"}]
    assert [item["type"] for item in assemble(events).response["output"]] == ["message", "reasoning"]


def merged(streamed, told):
    """Give the output where these items were streamed, and those stand in the terminal event."""
    events = list(response_events(resource(*streamed)))
    events[-1]["response"]["output"] = told
    return assemble(events).response["output"]


REASONING = {"type": "reasoning", "id": "rs", "summary": []}


def test_an_item_that_the_terminal_event_lacks_keeps_its_place():
    one, two = {**call("f", a=1), "id": "fc_1"}, {**call("f", a=2), "id": "fc_2"}
    assert merged([REASONING, one, two], [one, two]) == [REASONING, one, two]
    assert merged([REASONING, one, two], [two]) == [REASONING, one, two]
    assert merged([one, REASONING], [one]) == [one, REASONING]


def test_an_item_that_was_never_streamed_keeps_its_place():
    search = {"type": "web_search_call", "id": "ws", "status": "completed"}
    message, late = message_item("m", "found"), message_item("late", "more")
    events = list(response_events(resource(search, message)))
    events = [event for event in events if event.get("output_index") != 0]
    for event in events:
        event.pop("sequence_number")
    events[-1]["response"]["output"] = [search, message, late]
    assert assemble(events).response["output"] == [search, message, late]


def test_a_message_under_another_id_is_the_same_message():
    assert merged([REASONING, message_item("a", "hi")], [message_item("b", "hi")]) == [
        REASONING,
        message_item("a", "hi"),
    ]


def test_calls_of_different_ids_are_different_calls():
    one, two = call("f", a=1), call("f", a=2)
    assert merged([one], [two]) == [one, two]


@pytest.mark.parametrize("name", ["fc_0", "", None])
def test_items_under_one_id_are_told_apart_by_what_else_there_is(name):
    one, two = {**call("f", a=1), "id": name}, {**call("f", a=2), "id": name}
    message = {**message_item("m", "hi"), "id": name}
    reasoning = {**REASONING, "id": name}
    items = [reasoning, message, one, two]
    for told in (items, [one, two, message, reasoning], [{**item, "namespace": None} for item in items]):
        assert merged(items, told) == items


def test_calls_without_an_index_and_with_changing_ids_are_told_apart_by_their_call_ids():
    events = list(response_events(resource(call("f", a=1), call("f", a=2))))
    added = [event for event in events if event["type"] == ADDED]
    done = [event for event in events if event["type"] == DONE]
    stream = [events[0], *added, *done, events[-1]]
    for number, event in enumerate(stream):
        event.pop("output_index", None)
        event.pop("sequence_number")
        if "item" in event:
            event["item"] = {**event["item"], "id": f"changing_{number}"}
    assert [item["arguments"] for item in assemble(stream).response["output"]] == ['{"a":1}', '{"a":2}']


def test_what_comes_after_the_end_does_not_undo_it():
    events = [*golden(), {"type": "response.in_progress", "response": {"id": "r", "status": "in_progress"}}]
    assert assemble(events).response == assemble(golden()).response


def test_of_items_in_another_order_the_streams_order_counts():
    one, two = message_item("a", "1"), message_item("b", "2")
    assert merged([one, two], [two, one]) == [one, two]


def test_what_comes_again_after_a_break_is_dropped():
    events = golden()
    for replayed_from in (0, 2, 5):
        assembler = Assembler()
        for event in events[:5]:
            assert assembler.feed(Event(event))
        assembler.go_on()
        taken = [event for event in copy.deepcopy(events[replayed_from:]) if assembler.feed(Event(event))]
        assert [event["sequence_number"] for event in taken] == [event["sequence_number"] for event in events[5:]]
        assert assembler.response == assemble(events).response


# --- order


CALL = call("f", a=1)


def golden():
    return list(response_events(resource(message_item("m", "Hello there, at some length."), CALL)))


def test_repeated_events_are_dropped():
    events = golden()
    source = random.Random(1)
    noisy = []
    for index, event in enumerate(events):
        noisy.append(event)
        if source.random() < 0.5:
            noisy.append(dict(events[max(0, index - source.randint(0, 3))]))
    assembler = Assembler()
    kept = [event for event in noisy if assembler.feed(Event(event))]
    assert kept == events
    assert assembler.response == assemble(events).response


def test_after_a_gap_or_a_reorder_only_the_end_counts():
    whole = assemble(golden()).response
    for mangle in (lambda e: e.pop(5), lambda e: e.insert(4, e.pop(6))):
        events = golden()
        mangle(events)
        assert assemble(events).response == whole
        events = golden()
        mangle(events)
        events[-1]["response"] = {**events[-1]["response"], "output": None}
        with pytest.raises(WireError, match="lost or came out of order"):
            assemble(events)


def test_a_server_that_does_not_count_is_believed():
    events = golden()
    for event in events:
        event["sequence_number"] = 0
    events[-1]["response"] = {**events[-1]["response"], "output": []}
    assert [item["type"] for item in assemble(events).response["output"]] == ["message", "function_call"]


def test_a_gap_of_any_size_takes_no_memory():
    events = golden()
    for event in events[3:]:
        event["sequence_number"] += 10**15
    assert assemble(events).response["status"] == "completed"


# --- the end


def test_the_kind_of_the_terminal_event_says_what_its_status_does_not():
    for told, status in (("in_progress", "completed"), (None, "completed"), ("incomplete", "incomplete")):
        event = {"type": "response.completed", "response": {"status": told, "output": []}}
        assert assemble([event]).response["status"] == status


def test_what_follows_the_end_changes_only_a_failures_reason():
    late = {"type": "error", "code": "content_filter", "message": "late"}
    completed = {"type": "response.completed", "response": {"id": "r", "output": []}}
    failed = {"type": "response.failed", "response": {"id": "r", "error": {"code": "x", "message": "first"}}}
    bare = {"type": "response.failed", "response": {"id": "r"}}
    assert assemble([completed, late, failed]).response["status"] == "completed"
    assert assemble([failed, late]).response["error"]["message"] == "late"
    told = assemble([late, bare]).response
    assert (told["id"], told["error"]["message"]) == ("r", "late")
    assert assemble([late, failed]).response["error"]["message"] == "first"


# --- views of the response


def test_parsed_takes_the_final_answer_only():
    commentary = {**message_item("c", "let me see"), "phase": "commentary"}
    assert Response(resource(commentary, message_item("m", '{"a": 1}'))).parsed == {"a": 1}
    assert Response(resource(call("f"))).parsed is None
    assert Response(resource(message_item("m", '{"a":'), status="incomplete")).parsed is None
    with pytest.raises(WireError, match="not JSON"):
        _ = Response(resource(message_item("m", "plain words"))).parsed


def test_rate_limits_in_every_form():
    headers = {
        "x-ratelimit-reset-requests": "1h2m3s",
        "x-ratelimit-reset-tokens": "20",
        "x-ratelimit-limit-tokens": "nan",
    }
    assert RateLimits.read(headers) == (None, None, 3723, None, None, 20)
