"""Content parts: what they are made from, what is refused and with which advice, and how input becomes items."""

import base64
import copy
import os
import pickle
import re
import socket
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from agentrt import UsageError
from agentrt.wire.items import FunctionCall, Item, Message, item_view
from agentrt.wire.parts import Audio, File, Image, Part, Text, input_items
from agentrt.wire.requests import encode_request

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
GIF = b"GIF89a\x01\x00\x01\x00"
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 "
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
MP3 = b"ID3\x04\x00"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="files of Linux")
POSIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")


def data_url(media_type, data):
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def message(*content):
    return {"type": "message", "role": "user", "content": list(content)}


def text(words):
    return {"type": "input_text", "text": words}


def raws(items):
    return [item.raw for item in items]


# --- what a part is on the wire


def test_each_part_has_the_shape_of_the_wire():
    assert Text("Hi").raw == {"type": "input_text", "text": "Hi"}
    image = {"type": "input_image", "detail": "auto", "image_url": "https://x.test/a.png"}
    assert Image("https://x.test/a.png").raw == image
    assert list(Image("https://x.test/a.png").raw) == ["type", "detail", "image_url"]
    assert Image(file_id="file-1", detail="low").raw == {"type": "input_image", "detail": "low", "file_id": "file-1"}
    assert File("http://x.test/a.pdf").raw == {"type": "input_file", "file_url": "http://x.test/a.pdf"}
    assert File(file_id="file-1").raw == {"type": "input_file", "file_id": "file-1"}
    assert Audio(MP3).raw == {"type": "input_audio", "input_audio": {"data": "SUQzBAA=", "format": "mp3"}}


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [(True, {"mode": "explicit"}), ("12h", {"mode": "explicit", "ttl": "12h"})],
)
def test_a_cache_breakpoint_is_sent_only_when_it_is_wanted(wanted, sent):
    for make in (
        lambda **more: Text("Hi", **more),
        lambda **more: Image(PNG, **more),
        lambda **more: File(PDF, **more),
    ):
        assert "prompt_cache_breakpoint" not in make().raw
        assert make(cache_breakpoint=wanted).raw["prompt_cache_breakpoint"] == sent


def test_a_part_can_be_written_as_json_within_a_request():
    body = encode_request({"model": "m", "input": input_items(["What is it?", Image(PNG)])})
    assert base64.b64encode(PNG) in body


def test_parts_are_equal_when_the_same_is_sent():
    assert Image(PNG) == Image(PNG) == Part(Image(PNG).raw)
    assert Image(PNG) != Image(JPEG)
    assert Text("a") != {"type": "input_text", "text": "a"}
    with pytest.raises(TypeError, match="unhashable"):
        hash(Text("a"))


def test_a_part_is_read_only_and_survives_copy_and_pickle():
    part = File(PDF)
    with pytest.raises(AttributeError):
        part.raw = {}
    with pytest.raises(AttributeError):
        part.more = 1
    assert copy.deepcopy(part) == part
    assert pickle.loads(pickle.dumps(part)) == part


def test_a_repr_is_short_and_holds_no_data_and_no_secret():
    assert repr(Image(PNG)) == f"Image(detail='auto', image_url=<image/png, {len(PNG)} bytes>)"
    assert repr(File(PDF, filename="a.pdf")) == f"File(filename='a.pdf', file_data=<application/pdf, {len(PDF)} bytes>)"
    assert repr(Audio(WAV)) == f"Audio(<wav, {len(WAV)} bytes>)"
    assert repr(Text("x" * 1000)) == f"Text(text='{'x' * 60}…')"
    assert repr(Text("Hi", cache_breakpoint=True)) == "Text(text='Hi', prompt_cache_breakpoint={'mode': 'explicit'})"
    signed = Image("https://me:secret@x.test/a.png?signature=secret#secret")
    assert repr(signed) == "Image(detail='auto', image_url='https://…x.test/a.png…')"
    assert len(repr(Image("https://x.test/" + "a" * 9999))) < 120
    assert repr(File("data:,plain")) == "File(filename='file.txt', file_data=<text/plain, 3 bytes>)"


# --- files, bytes, URLs


@pytest.mark.parametrize(
    ("data", "media_type"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")]
)
def test_an_images_type_is_what_its_bytes_say_whatever_its_name(data, media_type, tmp_path):
    path = tmp_path / "picture.txt"
    path.write_bytes(data)
    expected = data_url(media_type, data)
    for source in (path, data, bytearray(data)):
        assert Image(source).raw["image_url"] == expected


def test_another_kind_of_image_is_told_by_its_name_or_by_you(tmp_path):
    path = tmp_path / "picture.SVG"
    path.write_bytes(b"<svg/>")
    assert Image(path).raw["image_url"] == data_url("image/svg+xml", b"<svg/>")
    assert Image(b"????ftypheic", media_type="image/heic").raw["image_url"].startswith("data:image/heic;base64,")


@pytest.mark.parametrize("name", ["broken.png", "broken.JPG", "notes.txt", "nothing", "picture.svgz"])
def test_what_is_no_image_is_refused_by_its_name(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(UsageError, match=rf"{re.escape(name)} doesn't begin like a PNG.*media_type='image/…'"):
        Image(path)


def test_bytes_that_are_no_image_are_refused():
    with pytest.raises(UsageError, match=r"what is given doesn't begin like a PNG"):
        Image(PNG[1:])


@pytest.mark.parametrize("give", [{"source": "data:text/plain;base64,aGk="}, {"source": PDF, "media_type": "text/x"}])
def test_an_image_of_another_media_type_is_refused(give):
    with pytest.raises(UsageError, match=r"is no image; pass it as File"):
        Image(**give)


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("report.pdf", b"not really", "application/pdf"),
        ("report", PDF, "application/pdf"),
        ("table.csv", b"a,b", "text/csv"),
        ("plan.docx", b"PK\x03\x04", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("NOTES.MD", b"# Notes", "text/markdown"),
        ("Makefile", b"all:\n", "text/plain"),
        ("scan", PNG, "image/png"),
    ],
)
def test_a_files_type_is_told_by_its_bytes_or_its_name(name, data, media_type, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    expected = {"type": "input_file", "filename": name, "file_data": data_url(media_type, data)}
    assert File(path).raw == expected
    assert File(data, filename=name).raw == expected
    assert list(File(path).raw) == list(expected)


def test_a_file_without_a_name_gets_one_that_fits():
    assert File(PDF).raw["filename"] == "file.pdf"
    assert File(b"hello").raw["filename"] == "file.txt"
    assert File(b"?", media_type="application/x-unheard-of").raw["filename"] == "file"
    url = data_url("application/pdf", PDF)
    assert File(url).raw == {"type": "input_file", "filename": "file.pdf", "file_data": url}
    assert File(url, filename="b.pdf").raw["filename"] == "b.pdf"


def test_a_files_detail_and_name_go_with_every_source():
    url = "https://x.test/1"
    assert File(url, filename="a.pdf", detail="high").raw == {
        "type": "input_file",
        "filename": "a.pdf",
        "file_url": url,
        "detail": "high",
    }


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"\xff\xfe\xfd", b"text\x00"])
def test_a_file_of_no_known_type_is_refused(data):
    with pytest.raises(UsageError, match=r"the type of the file can't be told; pass media_type='…/…', or a filename"):
        File(data)
    with pytest.raises(UsageError, match=r"the type of data.tar.gz can't be told"):
        File(data, filename="data.tar.gz")


@pytest.mark.parametrize("data", [MP3, b"\xff\xfb\x90\x00", b"\xff\xf3\x40\x00"])
def test_mp3_is_known_with_and_without_a_tag(data, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    assert Audio(path).raw["input_audio"] == {"data": base64.b64encode(data).decode(), "format": "mp3"}


def test_wav_is_known_and_another_format_is_yours_to_name():
    assert Audio(WAV).raw["input_audio"]["format"] == "wav"
    assert Audio(b"fLaC", format="flac").raw["input_audio"]["format"] == "flac"


@pytest.mark.parametrize("data", [b"fLaC", b"\xff", b"\xff\xf1\x50", WEBP, b"\x00"])
def test_what_is_neither_wav_nor_mp3_is_refused(data):
    with pytest.raises(UsageError, match=r"doesn't begin like WAV or MP3; convert it, or pass format="):
        Audio(data)


@pytest.mark.parametrize("url", ["https://x.test/a.png", "HTTP://x.test", "https://x.test:8080/a?b=c"])
def test_a_web_url_is_passed_on_untouched(url):
    assert Image(url).raw["image_url"] == url
    assert File(url).raw["file_url"] == url


def test_a_data_url_is_passed_on_untouched():
    url = "DATA:image/PNG;base64,iVBORw0KGgo="
    assert Image(url).raw["image_url"] == url


# --- refusals


@pytest.mark.parametrize("kind", [Image, File])
@pytest.mark.parametrize(
    "given", ["cat.png", "/etc/passwd", "file:///etc/passwd", "~/a.pdf", "https://", "ftp://x.test/a", "", "data:x"]
)
def test_a_string_that_is_no_url_is_never_read_as_a_path(kind, given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cat.png").write_bytes(PNG)
    with pytest.raises(
        UsageError, match=rf"no http, https or data URL. For a local file pass a pathlib.Path: {kind.__name__}"
    ):
        kind(given)


def test_a_long_string_that_is_no_url_is_not_repeated_in_the_error():
    with pytest.raises(UsageError) as told:
        Image("iVBORw0KGgo" * 1000)
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("kind", [Image, File])
def test_a_part_has_one_origin(kind):
    with pytest.raises(UsageError, match=r"needs a source: a URL as str, a pathlib.Path, or bytes; or file_id="):
        kind()
    with pytest.raises(UsageError, match=r"needs a source"):
        kind(file_id="")
    with pytest.raises(UsageError, match=r"takes a source or a file_id, not both"):
        kind(PNG, file_id="file-1")


@pytest.mark.parametrize("kind", [Image, File])
def test_a_media_type_that_nothing_would_use_is_refused(kind):
    for given in ({"source": "https://x.test/a"}, {"file_id": "file-1"}):
        with pytest.raises(UsageError, match=r"media_type goes with bytes or a path only; leave it out"):
            kind(**given, media_type="image/png")
    with pytest.raises(UsageError, match=r"media_type must be like 'image/png', but is 'png'"):
        kind(PNG, media_type="png")


@pytest.mark.parametrize("kind", [Image, File, Audio])
def test_something_else_is_refused_and_an_open_file_is_told_what_to_do(kind, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with (
        path.open("rb") as file,
        pytest.raises(UsageError, match=r"not BufferedReader; of an open file, pass what read"),
    ):
        kind(file)
    with pytest.raises(UsageError, match=r"a pathlib.Path,? or bytes, not int"):
        kind(7)


def test_audio_takes_no_url():
    with pytest.raises(UsageError, match=r"Audio takes a pathlib.Path or bytes, not str"):
        Audio("https://x.test/a.mp3")


def test_any_path_like_object_is_a_path(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    assert Image(PurePosixPath(tmp_path / "a.png")) == Image(PNG)


@pytest.mark.parametrize("kind", [Image, File, Audio])
def test_a_file_that_cannot_be_taken_is_refused_with_what_to_do(kind, tmp_path):
    (tmp_path / "file").write_bytes(PNG)
    (tmp_path / "empty").touch()
    for name, told in {
        "missing.png": r"there is no file '.*missing.png'; check the path. A URL is passed as str",
        "file/below": r"can't be read \(Not a directory\); check the path and its permissions",
        "nul\0": r"can't be read \(embedded null byte\)",
        "x" * 5000: r"can't be read \(File name too long\)",
        "empty": r"empty' is empty; check where it comes from",
        ".": r"is a folder; pass one of its files",
    }.items():
        with pytest.raises(UsageError, match=told):
            kind(tmp_path / name)
    with pytest.raises(UsageError, match=r"is empty"):
        kind(b"")


@LINUX
def test_a_file_that_fails_while_it_is_read_is_refused():
    with pytest.raises(UsageError, match=r"'/proc/self/mem' can't be read \(Input/output error\)"):
        File(Path("/proc/self/mem"))


# --- hangs and sizes


@POSIX
@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", [Image, File, Audio])
def test_a_fifo_or_a_device_never_hangs(kind, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), Path("/dev/tty")):
        with pytest.raises(UsageError, match=r"is a pipe or a device, no regular file; read it yourself|can't be read"):
            kind(path)


@POSIX
def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most 108 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(UsageError, match=r"'s' can't be read"):
            Image(Path("s"))


@pytest.mark.parametrize("kind", [Image, File, Audio])
def test_the_bound_holds_to_the_byte(kind, tmp_path):
    path = tmp_path / "file.png"
    for data in (PNG, PNG + b"1", PNG + b"12"):
        path.write_bytes(data)
        more = {"format": "wav"} if kind is Audio else {}
        assert kind(path, max_bytes=len(data), **more) == kind(data, max_bytes=len(data), **more)
        for source in (path, data):
            with pytest.raises(UsageError, match=rf"more than {len(data) - 1} bytes; make it smaller, upload it"):
                kind(source, max_bytes=len(data) - 1)


@pytest.mark.parametrize("kind", [Image, File])
def test_the_bound_holds_for_data_urls_too(kind):
    for data in (PNG, PNG + b"1", PNG + b"12"):
        url = data_url("image/png", data)
        assert kind(url, max_bytes=len(data))
        with pytest.raises(UsageError, match=r"the data URL of .* has more than"):
            kind(url, max_bytes=len(data) - 1)
    with pytest.raises(UsageError, match=r"the data URL of .* is empty"):
        kind("data:image/png;base64,")


@LINUX
def test_the_default_bound_is_32_mib_and_a_sparse_giant_is_not_read_whole(tmp_path):
    path = tmp_path / "giant.pdf"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    code = (
        "import resource, sys; from pathlib import Path; from agentrt import File, UsageError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"try: File(Path({str(path)!r}))\n"
        "except UsageError as error: assert 'more than 33554432 bytes' in str(error)\n"
        "else: sys.exit('taken')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert int(done.stdout) < 150_000  # KiB: the bytes, and their copy


def test_the_bound_holds_for_a_file_that_grows_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "log.txt"
    path.write_bytes(b"first line\n")
    read = os.read
    asked = []

    def growing(descriptor, size):
        asked.append(size)
        with path.open("ab") as log:
            log.write(b"more\n" * 10_000)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", growing)
    with pytest.raises(UsageError, match=r"more than 3000000 bytes"):
        File(path, max_bytes=3_000_000)
    assert max(asked) <= 1024 * 1024
    assert path.stat().st_size < 5_000_000


@LINUX
def test_a_file_that_says_it_has_no_size_is_read():
    assert Path("/proc/self/status").stat().st_size == 0
    assert repr(File(Path("/proc/self/status"))).startswith("File(filename='status', file_data=<text/plain, ")


# --- input becomes items


def test_a_text_is_one_message():
    assert raws(input_items("Hi")) == [{"type": "message", "role": "user", "content": "Hi"}]
    assert isinstance(input_items("Hi")[0], Message)


def test_neighbouring_texts_and_parts_are_one_message():
    image = Image("https://x.test/a.png")
    assert raws(input_items(["What is it?", image])) == [message(text("What is it?"), image.raw)]
    assert raws(input_items((Text("a"), "b"))) == [message(text("a"), text("b"))]
    assert raws(input_items(["Hi"])) == [message(text("Hi"))]


def test_a_dict_that_is_a_part_is_one():
    video = {"type": "input_video", "video_url": "https://x.test/a.mp4"}
    assert raws(input_items([text("a"), video, Text("b")])) == [message(text("a"), video, text("b"))]


def test_items_between_parts_keep_their_place_and_part_them():
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "1"}
    items = input_items(["a", call, item_view(output), "b", Text("c"), {"role": "user", "content": "d"}, "e"])
    assert raws(items) == [
        message(text("a")),
        call,
        output,
        message(text("b"), text("c")),
        {"role": "user", "content": "d"},
        message(text("e")),
    ]
    assert isinstance(items[1], FunctionCall)
    assert isinstance(items[4], Message)


def test_items_are_kept_as_they_are():
    item = item_view({"type": "reasoning", "id": "rs_1", "summary": []})
    given = {"type": "item_reference", "id": "x"}
    kept = input_items([item, given])
    assert kept[0] is item
    assert kept[1].raw == given
    assert kept[1].raw is not given


def test_parts_inside_a_message_are_written_out_and_what_was_given_stays():
    image = Image("https://x.test/a.png")
    given = {"role": "developer", "content": ["Look.", image, text("Closely.")], "phase": None}
    before = copy.copy(given["content"])
    written = {"role": "developer", "content": [text("Look."), image.raw, text("Closely.")], "phase": None}
    assert raws(input_items([given, Message(given)])) == [written, written]
    assert given["content"] == before
    assert raws(input_items([{"role": "user", "content": image}])) == [{"role": "user", "content": [image.raw]}]
    assert raws(input_items([{"role": "user", "content": (image,)}])) == [{"role": "user", "content": [image.raw]}]


def test_what_the_model_said_is_written_out_as_its_output():
    (item,) = input_items([{"role": "assistant", "content": ["Yes."]}])
    assert item.raw["content"] == [{"type": "output_text", "text": "Yes.", "annotations": []}]
    assert item.text == "Yes."


def test_parts_inside_an_output_are_written_out():
    image = Image("https://x.test/a.png")
    given = {"type": "function_call_output", "call_id": "c1", "output": ["See:", image]}
    assert raws(input_items([given])) == [{**given, "output": [text("See:"), image.raw]}]


@pytest.mark.parametrize("content", [None, [], ["x"][:0], [text("a")], (), "a", 7])
def test_content_without_parts_is_left_alone(content):
    item = Item({"role": "user", "content": content})
    assert input_items([item]) == [item]


@pytest.mark.parametrize(
    ("given", "named"),
    [(7, "int"), (None, "NoneType"), (Image(PNG), "Image"), ({"role": "user"}, "dict"), (b"x", "bytes"), ([7], "int"), (["a", None], "NoneType"), ([["a"]], "list"), ((x for x in "a"), "generator"), (bytearray(b"x"), "bytearray")],
)  # fmt: skip
def test_what_is_no_input_is_refused_by_its_type(given, named):
    with pytest.raises(UsageError, match=rf"input must be a text, or a list of items, texts and parts, not {named}"):
        input_items(given)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (Path("a.pdf"), r"send it as File\(path\) or Image\(path\), or send its text"),
        (Text("a"), "put it into a list"),
        ({"role": "user", "content": "a"}, "put it into a list"),
    ],
)
def test_what_is_no_input_but_could_become_one_says_how(given, advice):
    with pytest.raises(UsageError, match=advice):
        input_items(given)


def test_no_input_is_refused():
    with pytest.raises(UsageError, match=r"there is nothing to run on: input is empty"):
        input_items([])
