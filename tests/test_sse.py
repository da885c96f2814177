import random

import pytest

from agentrt.errors import WireError
from agentrt.wire.compose import message_item, response_events, response_resource, sse_bytes
from agentrt.wire.sse import SSEDecoder


def decode(*chunks, **options):
    decoder = SSEDecoder(**options)
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def test_one_event():
    assert decode(b'event: a\ndata: {"type": "a"}\n\n') == [{"type": "a"}]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_all_three_line_ends(end):
    stream = end.join([b'data: {"type": "a",', b'data: "b": 1}', b"", b'data: {"type": "c"}', b"", b""])
    assert decode(stream) == [{"type": "a", "b": 1}, {"type": "c"}]
    assert decode(*(bytes([byte]) for byte in stream)) == [{"type": "a", "b": 1}, {"type": "c"}]


def test_a_byte_order_mark_is_dropped_wherever_the_chunks_end():
    stream = b'\xef\xbb\xbfdata: {"type": "a"}\n\n'
    for cut in range(len(stream)):
        assert decode(stream[:cut], stream[cut:]) == [{"type": "a"}]


def test_comments_ids_and_unknown_fields_are_no_events():
    assert decode(b": ping\n\nid: 3\nretry: 10\nfoo\n\n", b'data:{"type":"a"}\n\n') == [{"type": "a"}]


def test_done_ends_the_stream_and_what_follows_is_ignored():
    decoder = SSEDecoder()
    assert decoder.feed(b'data: {"type": "a"}\n\ndata: [DONE]\n\ndata: {"type": "b"}\n\n') == [{"type": "a"}]
    assert decoder.done


def test_the_type_may_stand_in_the_event_line_only():
    assert decode(b'event: response.created\ndata: {"x": 1}\n\n') == [{"type": "response.created", "x": 1}]
    assert decode(b'data: {"error": {"message": "m"}}\n\n') == [{"type": "error", "error": {"message": "m"}}]
    assert decode(b'data: {"x": 1}\n\n') == [{"type": "", "x": 1}]


@pytest.mark.parametrize("data", [b"<html>", b'{"a": NaN}', b'{"a": "\xff"}', b"[1]", b'"text"', b'{"a"'])
def test_what_is_no_json_object_is_an_error_of_ours(data):
    with pytest.raises(WireError, match="event that is not"):
        decode(b"data: " + data + b"\n\n")


def test_an_event_has_a_bound_whether_it_ends_or_not():
    with pytest.raises(WireError, match="more than 100 bytes"):
        decode(b"data: " + b"x" * 200, max_event_bytes=100)
    with pytest.raises(WireError, match="more than 100 bytes"):
        decode(b"data: " + b"x" * 200 + b"\n\n", max_event_bytes=100)


def golden() -> bytes:
    text = "Grüße aus Zürich 🙂, at some length. " * 3
    response = response_resource(
        {"model": "m"}, response_id="r", created_at=1, output=[message_item("m1", text)], usage=(1, 2)
    )
    return b"\xef\xbb\xbf: hello\r\n\r\n" + b"".join(
        sse_bytes(event).replace(b"\n", end)
        for event, end in zip(response_events(response, chunk=7), [b"\n", b"\r\n", b"\r"] * 100, strict=False)
    )


@pytest.mark.parametrize("cases", [300, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_any_chunking_gives_the_same_events(cases):
    stream = golden()
    expected = decode(stream)
    assert len(expected) > 20
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(cases):
        cuts = sorted(source.choices(range(len(stream)), k=source.choice([1, 3, 20])))
        chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert decode(*chunks) == expected
    assert decode(*(bytes([byte]) for byte in stream)) == expected


def test_all_events_together_have_a_bound_and_comments_do_not_count():
    event = b'data: {"type": "a"}\n\n'
    decoder = SSEDecoder(max_turn_bytes=len(event) * 3)
    for _ in range(3):
        assert decoder.feed(b": ping\n\n" * 100 + event) == [{"type": "a"}]
    with pytest.raises(WireError, match="events of more than"):
        decoder.feed(event)


def test_empty_data_is_a_keep_alive():
    assert decode(b'data:\n\ndata: \n\nevent: ping\ndata\n\ndata: {"type": "a"}\n\n') == [{"type": "a"}]
