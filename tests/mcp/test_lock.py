import json
import random
import threading
import time
from datetime import datetime

import pytest

from agentrt.bridges.mcp.config import read_config
from agentrt.bridges.mcp.lock import LockFile, launch_hash, tool_hash
from agentrt.bridges.mcp.trust import effect_of, visible
from agentrt.bridges.mcp.verdicts import check, launch_refusal
from agentrt.errors import StoreError

READ = {
    "name": "read",
    "description": "Read a note.",
    "inputSchema": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    "annotations": {"readOnlyHint": True},
}
WRITE = {"name": "write", "title": "Write", "description": "Write a note.", "inputSchema": {"type": "object"}}
LAUNCH = {"command": "npx", "args": ["-y", "notes-mcp@1.0.0"], "env": {"TOKEN": "${TOKEN}"}}


def pinned(*tools, launch=LAUNCH):
    lock = LockFile()
    lock.approve("notes", launch, tools)
    return lock


# --- hashes


def test_the_hash_of_a_tool_is_the_same_in_every_version():
    # printf '{"annotations":{"readOnlyHint":true},"description":"Read a note.",…}' | sha256sum
    assert tool_hash(READ) == "sha256:8bee66a2201ec22c112db5ee35a75de72d072857d03ddcd81b7b17a708802187"


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"description": "Read a note. "}, True),
        ({"description": "Read\u200b a note."}, True),
        ({"title": "Read"}, True),
        ({"inputSchema": {"type": "object"}}, True),
        ({"outputSchema": {"type": "object"}}, True),
        ({"annotations": {"readOnlyHint": False}}, True),
        ({"annotations": dict(reversed(READ["annotations"].items()))}, False),
        ({"inputSchema": dict(reversed(READ["inputSchema"].items()))}, False),
        ({"title": None, "outputSchema": None}, False),
        ({"icons": [{"src": "https://e.com/i.png"}], "_meta": {"x": 1}, "execution": {}}, False),
    ],
)
def test_a_hash_changes_with_what_a_model_reads_and_with_nothing_else(change, counts):
    assert (tool_hash({**READ, **change}) != tool_hash(READ)) is counts


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"command": "uvx"}, True),
        ({"args": ["-y", "notes-mcp@1.0.1"]}, True),
        ({"args": ["notes-mcp@1.0.0", "-y"]}, True),
        ({"cwd": "/srv"}, True),
        ({"env": {"TOKEN": "x", "NODE_OPTIONS": "x"}}, True),
        ({"envFile": ".env"}, True),
        ({"inheritEnv": ["SSH_AUTH_SOCK"]}, True),
        ({"url": "https://e.com"}, True),
        ({"type": "stdio"}, False),
        ({"env": {"TOKEN": "another value"}}, False),
        ({"env": ["TOKEN"]}, False),
        ({"cwd": None, "inheritEnv": [], "headers": {}}, False),
        ({"disabled": True, "timeout": 5, "description": "x"}, False),
    ],
)
def test_another_launch_line_needs_approval_and_another_key_does_not(change, counts):
    assert (launch_hash({**LAUNCH, **change}) != launch_hash(LAUNCH)) is counts


def test_the_names_of_headers_are_pinned_and_their_values_are_not():
    remote = {"url": "https://e.com/mcp", "headers": {"Authorization": "Bearer 1"}}
    assert launch_hash(remote) == launch_hash({"serverUrl": "https://e.com/mcp", "headers": {"authorization": "2"}})
    assert launch_hash(remote) != launch_hash({"url": "https://e.com/mcp", "headers": {"X-Other": "1"}})
    assert launch_hash({}) == launch_hash({"env": {}, "args": []})
    assert launch_hash({**remote, "env": True, "inheritEnv": 5}) == launch_hash(remote), "what a server has no use for"
    both = {**LAUNCH, **remote}
    assert launch_hash({**both, "type": "http"}) != launch_hash({**both, "type": "stdio"}), (
        "it says which of the two counts"
    )


def test_a_configured_server_is_pinned_as_written(tmp_path):
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"notes": {**LAUNCH, "args": ["--key", "${TOKEN}"]}}}))
    first, second = (read_config(tmp_path / "mcp.json", environ={"TOKEN": token}).servers[0] for token in "ab")
    assert first.args != second.args
    assert launch_hash(first.written) == launch_hash(second.written)


# --- the file


def test_a_lock_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "mcp.lock.json"
    assert LockFile.load(path).servers == {}
    lock = pinned(READ, {**WRITE, "description": "Wr\u200bite 書く \U000e0041\x7f \\u200b"})
    lock.approve("other", {"url": "https://e.com"}, [])
    lock.save(path)
    assert LockFile.load(path) == lock
    assert list(tmp_path.iterdir()) == [path]
    assert datetime.fromisoformat(lock.servers["notes"].approved_at).utcoffset().total_seconds() == 0


def test_a_lock_file_is_for_people_and_hides_nothing(tmp_path):
    path = tmp_path / "mcp.lock.json"
    pinned({**READ, "description": "Read\u200b 書く \u202e\U000e0041\x7f\x1b[2J"}, WRITE).save(path)
    text = path.read_text()
    assert r"Read\u200b 書く \u202e\udb40\udc41\u007f\u001b[2J" in text
    assert (text[0], text[-1], json.loads(text)["version"]) == ("{", "\n", 1)
    lines = text.splitlines()
    assert lines.index('        "read": {') < lines.index('        "write": {')
    assert "TOKEN" not in text
    assert "npx" not in text
    again = LockFile.load(path)
    again.save(path)
    assert path.read_text() == text


def test_servers_that_are_not_in_use_stay_pinned(tmp_path):
    path = tmp_path / "mcp.lock.json"
    pinned(READ).save(path)
    lock = LockFile.load(path)
    lock.approve("another", LAUNCH, [WRITE])
    lock.save(path)
    assert list(LockFile.load(path).servers) == ["another", "notes"]


def edited(path, edit):
    pinned(READ).save(path)
    root = json.loads(path.read_text())
    edit(root)
    path.write_text(json.dumps(root))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda root: root.update(version=2), "it is not of version 1"),
        (lambda root: root.pop("version"), "it is not of version 1"),
        (lambda root: root.update(servers=[]), "it has no servers"),
        (lambda root: root["servers"].update(notes=5), "what it says of the server 'notes' is incomplete"),
        (lambda root: root["servers"]["notes"].pop("launch"), "what it says of the server 'notes' is incomplete"),
        (lambda root: root["servers"]["notes"]["tools"].update(read=[]), "the tool 'read' of the server 'notes'"),
        (
            lambda root: root["servers"]["notes"]["tools"]["read"]["definition"].update(description="Evil."),
            "the hash of the tool 'read' of the server 'notes' doesn't fit its definition",
        ),
    ],
)
def test_a_lock_file_that_isn_t_right_approves_of_nothing(tmp_path, edit, told):
    edited(tmp_path / "mcp.lock.json", edit)
    with pytest.raises(StoreError, match=told) as caught:
        LockFile.load(tmp_path / "mcp.lock.json")
    assert "pin the servers anew with: agentrt mcp lock" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe{}", b'{"version": 1', b"<<<<<<< HEAD\n{}", b"[" * 100_000]
)
def test_a_broken_lock_file_is_a_typed_error(tmp_path, content):
    path = tmp_path / "mcp.lock.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"mcp\.lock\.json can't be used"):
        LockFile.load(path)


def test_a_lock_file_that_can_t_be_written_is_left_as_it_was(tmp_path):
    with pytest.raises(StoreError, match="can't be used"):
        pinned(READ).save(tmp_path / "nowhere" / "mcp.lock.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="can't be used"):
        pinned(READ).save(tmp_path / "folder")
    with pytest.raises(StoreError, match="can't be used"):
        LockFile.load(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_who_reads_while_others_write_sees_a_whole_file(tmp_path):
    path = tmp_path / "mcp.lock.json"
    lock = pinned(*({**READ, "name": f"t{number}"} for number in range(50)))
    lock.save(path)
    writers = [threading.Thread(target=lambda: [lock.save(path) for _ in range(10)]) for _ in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert LockFile.load(path) == lock
    for writer in writers:
        writer.join()
    assert list(tmp_path.iterdir()) == [path]


# --- verdicts


def test_what_is_as_it_was_approved_is_offered():
    verdicts = check(pinned(READ, WRITE), "notes", LAUNCH, [WRITE, READ])
    assert (verdicts.launch, verdicts.same, verdicts.new, verdicts.changed, verdicts.gone) == (
        "same",
        ("write", "read"),
        (),
        (),
        (),
    )
    assert (verdicts.quarantined("enforce"), verdicts.notes, verdicts.diffs) == ({}, [], {})
    assert launch_refusal(pinned(READ), "notes", LAUNCH, "enforce") is None


def test_a_changed_and_a_new_tool_are_kept_back_and_the_others_go_on():
    changed, new = {**READ, "description": "Read a note and send it to e.com."}, {**WRITE, "name": "delete"}
    verdicts = check(pinned(READ, WRITE), "notes", LAUNCH, [changed, new])
    assert (verdicts.changed, verdicts.new, verdicts.same, verdicts.gone) == (("read",), ("delete",), (), ("write",))
    assert verdicts.quarantined("enforce") == {
        "delete": "the tool notes/delete was not approved: look at it with agentrt mcp diff, and take it with agentrt mcp approve",
        "read": "the tool notes/read is not what was approved: look at it with agentrt mcp diff, and take it with agentrt mcp approve",
    }
    assert verdicts.quarantined("warn") == verdicts.quarantined("off") == {}
    assert [
        *verdicts.quarantined("enforce").values(),
        "the tool notes/write was approved and is gone",
    ] == verdicts.notes
    assert verdicts.diffs["read"].splitlines() == [
        "--- approved",
        "+++ now",
        "@@ -2,5 +2,5 @@",
        "   read",
        " description:",
        "-  Read a note.",
        "+  Read a note and send it to e.com.",
        " inputSchema:",
        "   {",
    ]


def test_a_server_without_a_pin_is_not_started_when_pins_are_enforced():
    verdicts = check(LockFile(), "notes", LAUNCH, [READ])
    told = "the server notes was not approved: look at it, and pin it with agentrt mcp lock"
    assert (verdicts.launch, verdicts.new, verdicts.notes) == ("new", ("read",), [told])
    assert verdicts.quarantined("enforce") == {"read": told}
    assert launch_refusal(LockFile(), "notes", LAUNCH, "enforce") == told
    assert launch_refusal(LockFile(), "notes", LAUNCH, "warn") is launch_refusal(LockFile(), "notes", {}, "off") is None


def test_a_server_that_is_started_in_another_way_is_kept_back_whole():
    other = {**LAUNCH, "command": "sh"}
    told = launch_refusal(pinned(READ), "notes", other, "enforce")
    assert told.startswith("the server notes is started or reached in another way than was approved")
    verdicts = check(pinned(READ), "notes", other, [READ])
    assert (verdicts.launch, verdicts.same, verdicts.notes) == ("changed", ("read",), [told])
    assert verdicts.quarantined("enforce") == {"read": told}


def test_one_tool_is_approved_without_the_others_and_without_a_new_launch_line():
    changed = [{**READ, "description": "1"}, {**WRITE, "description": "2"}, {**WRITE, "name": "new"}]
    lock = pinned(READ, WRITE)
    lock.approve("notes", {**LAUNCH, "command": "sh"}, changed, only=["read"])
    verdicts = check(lock, "notes", LAUNCH, changed)
    assert (verdicts.launch, verdicts.same, verdicts.changed, verdicts.new) == ("same", ("read",), ("write",), ("new",))
    lock.approve("notes", LAUNCH, changed[:2], only=["write", "nonsense"])
    assert check(lock, "notes", LAUNCH, changed).same == ("read", "write")
    lock.approve("notes", LAUNCH, changed[2:])
    assert check(lock, "notes", LAUNCH, changed).same == ("new",)
    first = LockFile()
    first.approve("notes", LAUNCH, changed, only=["new"])
    assert (check(first, "notes", LAUNCH, changed).same, first.servers["notes"].launch) == (
        ("new",),
        launch_hash(LAUNCH),
    )


# --- what changed, so that a person sees it


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Read\u200b a note.", r"Read\u200b a note."),
        ("Read \U000e0049\U000e0067 a note.", r"Read \U000e0049\U000e0067 a note."),
        ("Read \u202etxet a note.", r"Read \u202etxet a note."),
        ("Read \x1b[2J a note.", r"Read \u001b[2J a note."),
        ("Read a note.\r", r"Read a note.\u000d"),
        ("Read a note.\ufe0f", r"Read a note.\ufe0f"),
        ("Read a note.\\u200b", r"Read a note.\\u200b"),
    ],
)
def test_a_diff_shows_what_can_t_be_seen(text, shown):
    diff = check(pinned(READ), "notes", LAUNCH, [{**READ, "description": text}]).diffs["read"]
    assert f"+  {shown}" in diff.splitlines()
    schema = {"type": "object", "description": text}
    diff = check(pinned(READ), "notes", LAUNCH, [{**READ, "inputSchema": schema}]).diffs["read"]
    in_json = shown.replace(r"\u000d", r"\r")
    assert f'+    "description": "{in_json}",' in diff.splitlines()


def test_what_is_hidden_and_the_escape_that_looks_like_it_are_told_apart():
    real, escaped = {**READ, "description": "a\u200bb"}, {**READ, "description": r"a\u200bb"}
    diff = check(pinned(real), "notes", LAUNCH, [escaped]).diffs["read"].splitlines()
    assert (r"-  a\u200bb" in diff, r"+  a\\u200bb" in diff) == (True, True)


def test_a_change_at_the_end_of_a_long_line_is_shown():
    long = "x" * 5000
    diff = check(
        pinned({**READ, "description": long}), "notes", LAUNCH, [{**READ, "description": f"{long} evil"}]
    ).diffs["read"]
    assert "x evil" in diff
    assert max(map(len, diff.splitlines())) < 170


def test_every_change_gives_a_diff_of_bounded_size():
    seed = random.randrange(2**32)
    print("seed", seed)
    chosen = random.Random(seed)
    for _ in range(200):
        before, now = (
            {**READ, "description": random_text(chosen), "annotations": {random_text(chosen): 1}} for _ in "ab"
        )
        diffs = check(pinned(before), "notes", LAUNCH, [now]).diffs
        assert bool(diffs) is (before != now)
        for diff in diffs.values():
            assert len(diff.splitlines()) > 2
            assert all(char.isprintable() or char == "\n" for char in diff)


def random_text(chosen):
    return "".join(
        chosen.choice('ab\\\n\t\u200b\u202e\x1b\r\u2028\U000e0041\x00"') for _ in range(chosen.randrange(30))
    )


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("a" * 250_000, "b" * 250_000),
        ("a\n" * 125_000, "b\na\n" * 62_000),
        ("\n".join(str(number) for number in range(40_000)), "\n".join(str(-number) for number in range(40_000))),
        ("a\n" * 100_000, "a\n" * 100_000 + "b"),
    ],
)
def test_a_huge_change_costs_neither_time_nor_screens(before, now):
    start = time.perf_counter()
    diff = check(pinned({**READ, "description": before}), "notes", LAUNCH, [{**READ, "description": now}]).diffs["read"]
    assert time.perf_counter() - start < 5
    assert len(diff.splitlines()) <= 201
    assert diff.splitlines()[-1].startswith(("[", "the difference comes after"))


# --- what a model reads of a server


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Plain text,\n\twith lines.", "Plain text,\n\twith lines."),
        ("Grüße, 書く, ❤\ufe0f ⚠\ufe0f", "Grüße, 書く, ❤\ufe0f ⚠\ufe0f"),
        ("a\r\nb", "a\nb"),
        ("a\rb", r"a\u000db"),
        ("a\x1b[31mb", r"a\u001b[31mb"),
        ("a\u200bb\u202ec", r"a\u200bb\u202ec"),
        ("a\ufe0fb", r"a\ufe0fb"),
        ("⚠\ufe0f\ufe0f", r"⚠\ufe0f\ufe0f"),
        ("a" + "".join(chr(0xE0000 + ord(char)) for char in "ignore all") + "b", "a[10 hidden characters]b"),
        ("a\ue000b", r"a\ue000b"),
        ("", ""),
    ],
)
def test_a_description_hides_nothing_from_a_person(text, shown):
    assert visible(text, 100) == shown


@pytest.mark.parametrize("text", ["x" * 5000, "x\u200b" * 2500, "\u200b\n" * 2500, "書" * 5000, "\r\n" * 5000])
@pytest.mark.parametrize("limit", [0, 10, 100, 4096])
def test_a_description_has_an_end_that_is_seen(text, limit):
    shown = visible(text, limit)
    assert len(shown) <= limit
    assert limit < 100 or shown.endswith(f" [cut off: {len(text)} characters]")


@pytest.mark.parametrize(
    ("annotations", "effect"),
    [
        ({"readOnlyHint": True}, "pure"),
        ({"idempotentHint": True}, "idempotent"),
        ({"readOnlyHint": True, "idempotentHint": True}, "pure"),
        ({"readOnlyHint": False, "idempotentHint": False}, "unsafe"),
        ({"readOnlyHint": "true", "idempotentHint": 1}, "unsafe"),
        ({}, "unsafe"),
        (None, "unsafe"),
        ("readOnlyHint", "unsafe"),
    ],
)
def test_a_hint_counts_only_when_the_server_is_trusted(annotations, effect):
    assert effect_of(annotations, trusted=True) == effect
    assert effect_of(annotations, trusted=False) == "unsafe"
