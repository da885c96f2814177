import base64
import json
from pathlib import Path

import pytest

from agentrt.bridges.mcp.outputs import encode_result
from agentrt.registry.output import Output, encode_output

DATA = Path(__file__).parent / "data"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 20).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff" + b"0" * 20).decode()
GIF = base64.b64encode(b"GIF89a" + b"0" * 20).decode()
WEBP = base64.b64encode(b"RIFF0000WEBP" + b"0" * 20).decode()
PDF = base64.b64encode(b"%PDF-1.7" + b"0" * 20).decode()
AUDIENCE = {"annotations": {"audience": ["user"]}}


def text(value, **more):
    return {"type": "text", "text": value, **more}


def image(data=PNG, mime="image/png", **more):
    return {"type": "image", "data": data, "mimeType": mime, **more}


def result(*blocks, **more):
    return {"content": list(blocks), **more}


def calls(server):
    return json.loads((DATA / f"{server}.json").read_text("utf-8"))["calls"]


# --- texts and structured content


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (result(text("hello")), "hello"),
        (result(text("a"), text("b")), "a\nb"),
        (result(text("")), ""),
        (result(), "(no output)"),
        ({}, "(no output)"),
        ({"content": None}, "(no output)"),
        (result(text("kept \x1b[31mas it is\x07")), "kept \x1b[31mas it is\x07"),
        (result(text("half \ud83d")), "half ?"),
        (result(text("seen"), _meta={"secret": 1}), "seen"),
        (result({"type": "dance", "steps": 3}), '{"type":"dance","steps":3}'),
    ],
)
def test_texts_are_one_text(given, value):
    assert encode_result(given) == (value, False, None, ())


@pytest.mark.parametrize(
    ("structured", "texts", "value"),
    [
        ({"a": 1}, ['{\n  "a": 1\n}'], '{"a":1}'),
        ({"a": 1}, [], '{"a":1}'),
        ({"a": 1}, ["Found one thing."], 'Found one thing.\n{"a":1}'),
        ({"a": 1}, ['{"a":1}', "Mind the date."], '{"a":1}\nMind the date.'),
        ({"a": 1}, ['{"a": 2}'], '{"a": 2}\n{"a":1}'),
        ({"result": [1, 2]}, ["1", "2"], '{"result":[1,2]}'),
        ({"result": ["a", "b"]}, ["a", "b"], '{"result":["a","b"]}'),
        ({"result": "hi"}, ["hi"], "hi"),
        ({"content": "line\n"}, ["line\n"], "line\n"),
        ({"entities": [{"n": 1}]}, ['[{"n":1}]'], '{"entities":[{"n":1}]}'),
        ([1, 2], ["1", "2"], "[1,2]"),
        (None, ["null"], "null"),
        (None, [], "null"),
        (False, ["false"], "false"),
        (0, ["none left"], "none left\n0"),
        ("word", ["word"], '"word"'),
        (True, ["1"], "1\ntrue"),
        ({"a": "é"}, ['{"a":"\\u00e9"}'], '{"a":"é"}'),
    ],
)
def test_structured_content_is_written_once_and_prose_stays(structured, texts, value):
    assert encode_result(result(*map(text, texts), structuredContent=structured)).value == value


def test_structured_content_that_repeats_the_blocks_is_left_out():
    made = encode_result(result(image(), structuredContent={"content": [image()]}))
    assert [part["type"] for part in made.value] == ["input_image"]
    assert made.artifact is None


@pytest.mark.parametrize(
    ("server", "call", "value"),
    [
        ("everything", "echo", "Echo: hi"),
        (
            "everything",
            "get-structured-content",
            '{"temperature":36,"conditions":"Light rain / drizzle","humidity":82}',
        ),
        ("filesystem", 'read_text_file {"path": "/files/a.txt"}', "hello\nworld\n"),
        ("filesystem", "list_directory", "[FILE] a.txt"),
        ("memory", "create_entities", '{"entities":[{"name":"A","entityType":"p","observations":["x"]}]}'),
        ("memory", "delete_entities", '{"success":true,"message":"Entities deleted successfully"}'),
    ],
)
def test_what_the_reference_servers_give_is_said_once(server, call, value):
    assert encode_result(calls(server)[call]) == (value, False, None, ())


# --- images and other parts


@pytest.mark.parametrize(("data", "mime"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")])  # fmt: skip
def test_an_image_becomes_a_part(data, mime):
    part = {"type": "input_image", "detail": "auto", "image_url": f"data:{mime};base64,{data}"}
    assert encode_result(result(image(data, mime))) == ([part], False, None, ())
    assert encode_result(result(image(data, "image/x-unknown"))).value == [part], "the bytes say what it is"
    in_lines = "\n".join(data[at : at + 10] for at in range(0, len(data), 10))
    assert encode_result(result(image(in_lines, mime))).value == [part]


def test_texts_keep_their_place_beside_images():
    made = encode_result(result(text("a"), text("b"), image(), text("c"), image(JPEG), text("d"))).value
    assert [part.get("text", part["type"]) for part in made] == ["a\nb", "input_image", "c", "input_image", "d"]


def test_the_image_of_the_reference_server_becomes_a_part():
    first, second, third = encode_result(calls("everything")["get-tiny-image"]).value
    assert (first["type"], second["type"], third["type"]) == ("input_text", "input_image", "input_text")
    assert second["image_url"].startswith("data:image/png;base64,iVBORw0KGgo")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (image("!!!"), "image/png of"),
        (image("!!!"), "its base64 is broken"),
        (image(""), "only PNG, JPEG, WebP and GIF images and PDF documents can be"),
        (image(None), "image/png of 0 bytes"),
        (image(base64.b64encode(b"<svg/>").decode(), "image/svg+xml"), "image/svg+xml of 6 bytes"),
        ({"type": "audio", "data": PNG, "mimeType": "audio/wav"}, "audio/wav of 28 bytes: not given to you"),
        (
            {"type": "resource", "resource": {"uri": "x://y.bin", "blob": "AAAA"}},
            "resource x://y.bin (of unknown type) of 3",
        ),
        ({"type": "resource", "resource": {}}, "resource "),
    ],
)
def test_what_cannot_be_given_is_told_and_kept(block, words):
    given = result(text("before"), block, text("after"))
    made = encode_result(given)
    assert made.value.startswith("before\n[")
    assert made.value.endswith("it is kept outside of this conversation]\nafter")
    assert words in made.value
    assert json.loads(made.artifact) == given


def test_an_artifact_is_text_that_can_be_stored_whatever_the_server_sent():
    made = encode_result(result(image("!"), text("half \ud83d, é")))
    assert json.loads(made.artifact)["content"][1]["text"] == "half ?, é"


def test_too_big_and_too_many_images_are_told_and_kept():
    made = encode_result(result(*[image()] * 3), max_images=2)
    assert [part["type"] for part in made.value] == ["input_image", "input_image", "input_text"]
    assert "only the first 2 images and documents are" in made.value[2]["text"]
    assert len(json.loads(made.artifact)["content"]) == 3
    made = encode_result(result(image()), max_image_bytes=20)
    assert "image/png of 28 bytes: not given to you, as at most 20 bytes can be" in made.value
    assert made.artifact is not None


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("file:///docs/My%20report.pdf", "My report.pdf"),
        ("https://x.org/a/b.pdf?token=secret", "b.pdf"),
        ("x://", "document.pdf"),
        ("", "document.pdf"),
        ("file:///a/%2e%2e%2fnasty%00;name.pdf", "nasty_name.pdf"),
    ],
)
def test_a_pdf_becomes_a_file(uri, name):
    block = {"type": "resource", "resource": {"uri": uri, "mimeType": "application/pdf", "blob": PDF}}
    part = {"type": "input_file", "filename": name, "file_data": f"data:application/pdf;base64,{PDF}"}
    assert encode_result(result(block)) == ([part], False, None, ())


def test_resources_are_told_by_their_uri():
    given = calls("everything")['get-resource-reference {"resourceType": "Text", "resourceId": 1}']
    lines = encode_result(given).value.split("\n")
    assert lines[1] == "[resource demo://resource/dynamic/text/1]"
    assert lines[2].startswith("Resource 1: This is a plaintext resource")


def test_a_link_is_one_line_and_is_not_followed():
    lines = encode_result(calls("everything")["get-resource-links"]).value.split("\n")
    assert lines[1] == (
        "[link to Blob Resource 1: demo://resource/dynamic/blob/1 (text/plain)] Resource 1: plaintext resource"
    )
    made = encode_result(
        result({"type": "resource_link", "name": "a\n\nb", "uri": "x://y", "description": "d" * 10_000})
    )
    assert made.value.startswith("[link to a b: x://y] ddd")
    assert len(made.value) < 600
    assert made.artifact is not None
    assert encode_result(result({"type": "resource_link"})).value == "[link to a resource: ]"


# --- for whom, failures, bounds


def test_what_is_for_the_user_only_is_not_for_the_model():
    hidden = image(**AUDIENCE)
    both = text("both", annotations={"audience": ["user", "assistant"]})
    assert encode_result(result(hidden, both)) == ("both", False, None, (hidden,))
    assert encode_result(result(hidden)) == ("(no output)", False, None, (hidden,))


def test_a_failure_is_told():
    assert encode_result(calls("everything")["nope"]) == ("MCP error -32602: Tool nope not found", True, None, ())
    assert encode_result(result(isError=True)) == ("(no output)", True, None, ())
    made = encode_result(result(image(), text("see the picture"), isError=True))
    assert made.failed
    assert made.value[0] == {"type": "input_text", "text": "Error: the tool failed; this is what it gave:"}
    assert [part["type"] for part in made.value] == ["input_text", "input_image", "input_text"]


def test_long_texts_keep_their_head_and_tail_and_all_of_it_is_kept_beside():
    given = result(text("a" * 60 + "b" * 60), image(), text("c" * 100))
    made = encode_result(given, max_chars=150)
    assert made.value[0]["text"] == "a" * 60 + "b" * 60
    assert "characters left out" in made.value[2]["text"]
    assert json.loads(made.artifact) == given
    made = encode_result(result(text("x" * 200_000)))
    assert len(made.value) < 100_100
    assert len(json.loads(made.artifact)["content"][0]["text"]) == 200_000


@pytest.mark.parametrize("block", [None, 1, "text", [], {}, {"type": 1}, {"type": "text"}, {"type": "image"}, {"type": "audio"}, {"type": "resource", "resource": 1}, {"type": "text", "text": 1, "annotations": 3}])  # fmt: skip
def test_nothing_that_comes_raises(block):
    made = encode_result({"content": [block], "structuredContent": {"x": [block]}, "isError": "yes"})
    assert isinstance(made.value, str)
    assert made.failed is False


# --- the runtime's own encoder


@pytest.mark.parametrize("value", ["text " * 100, [{"type": "input_text", "text": "x" * 100}]])
def test_an_output_that_is_made_already_is_let_be(value):
    made = Output(value, "all of it")
    assert encode_output(made, 10) is made
    assert encode_output(("a", None)).value == '["a",null]', "any other tuple is a value"
