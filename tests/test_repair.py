"""Histories mended and cut: what comes out is what a server takes, and nothing is lost that needn't be."""

import itertools
import random

import pytest

from agentrt.core.repair import for_provider, groups, repaired, since_compaction, trimmed
from agentrt.wire.items import item_view

PAIRS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "shell_call": "shell_call_output",
    "computer_call": "computer_call_output",
}


def item(type, **fields):
    return item_view({"type": type, **fields})


def call(key, arguments="{}", type="function_call", **more):
    return item(type, call_id=key, name="f", arguments=arguments, **more)


def out(key, output="ok", type="function_call_output", **more):
    return item(type, call_id=key, output=output, **more)


def user(text="hi"):
    return item_view({"role": "user", "content": text})


def said(text="hello", **more):
    return item("message", role="assistant", content=[{"type": "output_text", "text": text}], **more)


def thought(id="rs_1"):
    return item("reasoning", id=id, summary=[], encrypted_content="gAAA")


def system():
    return item_view({"role": "developer", "content": "be brief"})


def kinds(items):
    """Write a history in a short form: one letter for each item, and the key where there is one."""
    letters = {"reasoning": "R", "compaction": "K", "item_reference": "I", "web_search_call": "W"}
    told = []
    for one in items:
        key = one.raw.get("call_id") or one.raw.get("approval_request_id") or ""
        if one.type == "message":
            told.append({"user": "U", "assistant": "M"}.get(one.raw["role"], "S"))
        elif one.type in letters:
            told.append(letters[one.type])
        else:
            lost = str(one.raw.get("output", "")).startswith("Error:")
            told.append(("E" if lost else "O" if "output" in one.type or "response" in one.type else "C") + key)
    return " ".join(told)


C, O, U, M, R, S = call, out, user, said, thought, system  # noqa: E741 - the letters of the short form
K = item("compaction", id="cmp_1", encrypted_content="gAAA")
I = item("item_reference", id="msg_1")  # noqa: E741 - the same
W = item("web_search_call", id="ws_1", status="completed", action={"type": "search", "query": "x"})
SHELL = {"type": "shell_call", "action": {"commands": ["ls"]}}


@pytest.mark.parametrize(
    ("history", "mended", "notes"),
    [
        # a call without an output
        ([U(), R(), C("a"), U()], "U R Ca Ea U", ["function_call 'a' had no output: an error was put behind the call"]),
        ([U(), R(), C("a"), C("b"), O("b")], "U R Ca Cb Ob Ea", ["function_call 'a' had no output"]),
        ([U(), C("a"), R(), C("b"), O("b")], "U Ca Ea R Cb Ob", ["function_call 'a' had no output"]),
        ([U(), C("a"), M()], "U Ca Ea M", ["function_call 'a' had no output"]),
        ([C("a", type="custom_tool_call")], "Ca Ea", ["custom_tool_call 'a' had no output"]),
        ([C("a", type="apply_patch_call")], "Ca Ea", ["apply_patch_call 'a' had no output"]),
        # where no error can stand for it
        ([U(), R(), C("a", **SHELL), U()], "U U", ["shell_call 'a' had no output, and no error can stand", "reasoning 'rs_1' was dropped"]),
        ([R(), C("a", **SHELL), C("b"), O("b")], "R Cb Ob", ["shell_call 'a' had no output"]),
        ([R(), C("a", **SHELL), R("rs_2"), M()], "R M", ["shell_call 'a'", "reasoning 'rs_1' was dropped: what it led to is missing"]),
        ([R(), C("b"), C("a", **SHELL), O("b")], "R Cb Ob", ["shell_call 'a'"]),
        ([C("a", type="computer_call", pending_safety_checks=[])], "", ["computer_call 'a'"]),
        ([item("local_shell_call", id="ls_1", action={})], "", ["local_shell_call 'ls_1'"]),
        ([item("local_shell_call", action={})], "", ["local_shell_call ''"]),
        ([U(), R(), item("mcp_approval_request", id="ap_1", name="x", server_label="s", arguments="{}")], "U", ["mcp_approval_request 'ap_1'", "reasoning"]),
        ([item("tool_search_call", execution="client", call_id="t", arguments={})], "", ["tool_search_call 't'"]),
        # an output without a call
        ([U(), O("a"), M()], "U M", ["function_call_output 'a' had no call: it was dropped"]),
        ([U(), C("a"), O("a", type="custom_tool_call_output"), O("a")], "U Ca Oa", ["custom_tool_call_output 'a' had no call"]),
        ([U(), R(), O("a"), M()], "U R M", ["function_call_output 'a' had no call"]),
        ([U(), item("tool_search_output", call_id="t", tools=[])], "U", ["tool_search_output 't' had no call"]),
        # a second output
        ([U(), C("a"), O("a", "1"), O("a", "2")], "U Ca Oa", ["function_call_output 'a' was a second output of one call"]),
        ([U(), C("a"), O("a"), U(), O("a")], "U Ca Oa U", ["was a second output"]),
        ([I, C("a"), O("a"), O("a")], "I Ca Oa", ["was a second output"]),
        # an output at another place
        ([U(), O("a"), C("a"), U()], "U Ca Oa U", ["function_call 'a' had its output elsewhere: it was moved behind the call"]),
        ([U(), C("a"), C("b"), O("a"), U(), O("b")], "U Ca Cb Oa Ob U", ["function_call 'b' had its output elsewhere"]),
        ([O("a"), U(), C("a")], "U Ca Oa", ["elsewhere"]),
        ([C("a", "1"), U(), C("a", "2"), U(), O("a")], "Ca Ea U Ca Oa U", ["elsewhere", "had no output"]),
        # twins
        ([U(), C("a"), C("a", id="fc_2"), O("a"), O("a")], "U Ca Oa", ["function_call 'a' came twice: the second was dropped", "second output"]),
        ([U(), R(), C("a"), R("rs_2"), C("a"), O("a")], "U R Ca Oa", ["came twice", "reasoning 'rs_2' was dropped"]),
        ([C("a", "1"), C("a", "2"), O("a")], "Ca Ca Oa Ea", ["function_call 'a' had no output"]),
        # reasoning without what it led to
        ([U(), R(), U(), M()], "U U M", ["reasoning 'rs_1' was dropped"]),
        ([U(), R(), R("rs_2")], "U", ["reasoning 'rs_2' was dropped", "reasoning 'rs_1' was dropped"]),
        ([U(), M(), R(), item("compaction_trigger")], "U M C", ["reasoning 'rs_1' was dropped"]),
        ([R(), S()], "S", ["reasoning"]),
        ([item("reasoning", summary=[])], "", ["reasoning '' was dropped"]),
    ],
)  # fmt: skip
def test_what_a_server_would_refuse_is_mended(history, mended, notes):
    items, told = repaired(history)
    assert kinds(items) == mended
    assert len(told) == len(notes)
    for note, begin in zip(told, notes, strict=True):
        assert begin in note
    assert repaired(items) == (items, ())


FINE = [
    [],
    [S(), U(), R(), C("a"), C("b"), O("b"), O("a"), R("rs_2"), M()],
    [U(), C("a", async_=1, **{"async": True}), U(), M()],  # its output may come later, or never
    [U(), C("a", **{"async": True}), U(), M(), O("a")],
    [U(), C("a"), O("a"), C("a"), O("a"), M()],  # ids from 0 in every reply
    [U(), C("a", "1"), C("a", "2"), O("a"), O("a")],  # one was run, the other refused
    [U(), R(), W, M(), U(), R(), K, item("slug:thing", call_id="x"), item("slug:thing_output", call_id="y")],
    [I, O("a"), M()],  # what is referred to may be the call
    [R(), I],
    [C("a", **SHELL, environment={"type": "container_reference", "container_id": "c"}), U()],
    [C("a", **SHELL, environment={"type": "container_auto"}), O("a", [], type="shell_call_output"), M()],
    [item("tool_search_call", execution="server", arguments={}), item("tool_search_output", execution="server", tools=[]), C("a"), O("a")],
    [item("tool_search_call", execution="server", arguments={}), item("tool_search_output", call_id=None, tools=[])],
    [item("tool_search_call", execution="client", call_id="t", arguments={}), item("tool_search_output", execution="client", call_id="t", tools=[])],
    [item("local_shell_call", id="ls_1", call_id="c1", action={}), item("local_shell_call_output", id="ls_1", output="{}")],
    [item("local_shell_call", id="ls_1", call_id="c1", action={}), item("local_shell_call_output", call_id="c1", output="{}")],
    [item("mcp_approval_request", id="ap_1"), item("mcp_approval_response", approval_request_id="ap_1", approve=True), item("mcp_call", id="m")],
]  # fmt: skip


@pytest.mark.parametrize("history", FINE, ids=range(len(FINE)))
def test_what_is_in_order_stays_the_very_same(history):
    items = tuple(history)
    assert repaired(items)[0] is items
    assert repaired(items)[1] == ()
    assert repaired(history) == (items, ())


def test_the_error_is_what_its_type_wants_and_carries_the_caller():
    caller = {"type": "program", "caller_id": "p_1"}
    items, _ = repaired([C("a", caller=caller), C("b", type="custom_tool_call"), C("c", type="apply_patch_call")])
    told = "Error: no output of this call was kept"
    assert [one.raw for one in items[3:]] == [
        {"type": "function_call_output", "call_id": "a", "output": told, "caller": caller},
        {"type": "custom_tool_call_output", "call_id": "b", "output": told},
        {"type": "apply_patch_call_output", "call_id": "c", "output": told, "status": "failed"},
    ]


@pytest.mark.parametrize(
    ("history", "known", "mended"),
    [
        ([U(), R(), C("a"), C("b"), O("a")], 4, "U R Ca Cb Oa Eb"),
        ([U(), R(), C("a"), C("b"), U()], 4, "U R Ca Cb Ea Eb U"),
        ([U(), C("a"), C("b"), U(), O("a"), O("b")], 3, "U Ca Cb Oa Ob U"),
        ([U(), C("a"), M(), O("a"), O("a")], 3, "U Ca M Oa"),
        ([O("x"), R(), U(), C("a"), U(), C("a"), C("a"), O("a"), O("x")], 7, "O R U Ca U Ca Ca Oa"),
        ([C("a"), U(), M(), U(), O("a")], 3, "Ca U M U Oa"),  # the server went on without it, and may still want it
        ([C("a", **SHELL), U()], 1, "Ca U"),
        ([C("a"), C("a"), O("a")], 1, "Ca Oa"),
        ([U()], 5, "U"),
    ],
)
def test_what_the_server_holds_is_not_touched(history, known, mended):
    items, notes = repaired(history, known=known)
    assert kinds(items).replace("Ox", "O", 1) == mended
    assert all(one is other for one, other in zip(items[:known], history[:known], strict=True))
    assert repaired(items, known=known) == (items, ())
    assert bool(notes) == (list(items) != history)


# --- any history


def any_history(source):
    """Make one that nobody would write, with keys that come again."""
    made = []
    keys = "abc" if source.random() < 0.7 else "abcdefgh"
    for _ in range(source.randrange(14)):
        key, kind = source.choice(keys), "function_call"
        if source.random() < 0.3:
            kind = source.choice(list(PAIRS))
        more = {"async": True} if source.random() < 0.1 else {}
        made.append(
            source.choice(
                [
                    *[lambda k=key, t=kind, m=more: call(k, source.choice("12"), type=t, **m)] * 4,
                    *[lambda k=key, t=PAIRS[kind]: out(k, source.choice("12"), type=t)] * 4,
                    *(lambda: thought(f"rs_{source.randrange(99)}"), user, user, said, system),
                    *(
                        lambda: item_view(W.raw),
                        lambda: item_view(K.raw),
                        lambda: item("slug:thing"),
                        lambda: item("compaction_trigger"),
                    ),
                ]
            )()
        )
    return made


def check_order(items):
    """Hold a history against the rules, written down once more."""
    segments = [[]]
    for one in items:
        if one.raw.get("role") == "user":
            segments.append([])
        segments[-1].append(one)
    later = {}  # async calls that may still be answered
    for segment in segments:
        open_calls = {}
        for one in segment:
            if one.type in PAIRS:
                key = (PAIRS[one.type], one.raw["call_id"])
                where = later if one.raw.get("async") else open_calls
                where[key] = where.get(key, 0) + 1
            elif one.type in PAIRS.values():
                key = (one.type, one.raw["call_id"])
                where = open_calls if open_calls.get(key) else later
                assert where.get(key, 0) > 0, "an output without a call before it"
                where[key] -= 1
        assert not any(open_calls.values()), "a call without an output"
    for one, after in itertools.pairwise([*items, None]):
        if one.type == "reasoning":
            assert after is not None
            assert after.type not in (*PAIRS.values(), "compaction_trigger")
            assert after.type != "message" or after.raw["role"] == "assistant"


def check_nothing_lost(before, after):
    given, there = {id(one) for one in before}, {id(one) for one in after}
    order = [id(one) for one in before if id(one) in there and one.type not in PAIRS.values()]
    assert [id(one) for one in after if id(one) in given and one.type not in PAIRS.values()] == order
    new = [one for one in after if id(one) not in given]
    assert all(one.raw["output"].startswith("Error:") for one in new)
    for one in before:
        if id(one) in there:
            continue
        assert one.type in ("reasoning", *PAIRS, *PAIRS.values()), one
        key = one.raw.get("call_id")
        if one.type in PAIRS.values():  # each call that stayed has an output that was there
            calls = [x for x in after if PAIRS.get(x.type) == one.type and x.raw["call_id"] == key]
            outputs = [x for x in after if x.type == one.type and x.raw["call_id"] == key]
            assert len(calls) == len(outputs)
            assert not any(x in new for x in outputs)
        elif one.type in ("function_call", "custom_tool_call", "apply_patch_call"):
            assert any(x is not one and x.raw == one.raw for x in before), "a call that had no twin"


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_any_history_can_be_mended(count):
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(count):
        history = any_history(source)
        items, notes = repaired(history)
        check_order(items)
        check_nothing_lost(history, items)
        assert bool(notes) == (list(items) != history), notes
        again, told = repaired(items)
        assert again is items, (kinds(history), kinds(items), kinds(again))
        assert told == ()
        known = source.randrange(len(history) + 1)
        items, _ = repaired(history, known=known)
        assert list(items[:known]) == history[:known]
        again, told = repaired(items, known=known)
        assert (again is items, told) == (True, ()), (known, kinds(history), kinds(items), kinds(again))
        check_cuts(history, source)


def check_cuts(history, source):
    parts = groups(history)
    assert [one for part in parts for one in part] == history
    assert all(parts)
    items, _ = repaired(history)
    at_most = source.randrange(len(items) + 2)
    cut = trimmed(items, at_most)
    check_order(cut)
    assert repaired(cut)[1] == ()
    users = [one for one in items if one.raw.get("role") == "user"]
    assert not users or users[-1] in cut
    assert [one for one in items if one in cut] == list(cut)
    if at_most >= len(items):
        assert cut == items
    check_order(since_compaction(items))


# --- cutting


@pytest.mark.parametrize(
    ("history", "parts"),
    [
        ([], []),
        ([S(), U(), R(), C("a"), C("b"), O("a"), O("b"), R(), M(), U()], ["S", "U", "R Ca Cb Oa Ob", "R M", "U"]),
        ([U(), M(), C("a"), O("a"), M()], ["U", "M", "Ca Oa", "M"]),
        ([R(), M(), C("a"), O("a")], ["R M Ca Oa"]),  # one reply
        ([R(), C("a"), R(), C("b"), O("a"), O("b")], ["R Ca R Cb Oa Ob"]),
        ([C("a"), O("a"), C("b"), O("b")], ["Ca Oa", "Cb Ob"]),
        ([R(), W, R(), M()], ["R W R M"]),
        ([R(), K, M()], ["R", "K", "M"]),
        ([O("a"), M()], ["Oa", "M"]),
        ([O("a"), M(), C("a")], ["Oa M Ca"]),
        ([C("a", **{"async": True}), U(), M(), O("a"), M()], ["Ca U M Oa", "M"]),
    ],
)
def test_groups_hold_together_what_must_not_be_parted(history, parts):
    assert [kinds(group) for group in groups(history)] == parts


LONG = [S(), U("1"), R(), C("a"), O("a"), M(), U("2"), R(), C("b"), C("c"), O("b"), O("c"), R(), M()]


@pytest.mark.parametrize(
    ("history", "at_most", "kept"),
    [
        (LONG, 99, "S U R Ca Oa M U R Cb Cc Ob Oc R M"),
        (LONG, 13, "S R Ca Oa M U R Cb Cc Ob Oc R M"),
        (LONG, 12, "S M U R Cb Cc Ob Oc R M"),
        (LONG, 9, "S U R Cb Cc Ob Oc R M"),
        (LONG, 1, "S U R Cb Cc Ob Oc R M"),
        (LONG, -1, "S U R Cb Cc Ob Oc R M"),
        ([M(), R(), C("a"), O("a")], 1, "R Ca Oa"),
        ([M(), M(), O("a"), M()], 2, "M"),
        ([O("a"), O("b"), U()], 9, "U"),
        ([S(), S()], 1, "S S"),
        ([], 1, ""),
        ([S(), K, U(), M(), U()], 3, "S K U"),
        ([M(), C("a", **{"async": True}), M(), U(), O("a")], 1, "Ca M U Oa"),
    ],
)
def test_trimming_takes_whole_groups_from_the_front(history, at_most, kept):
    assert kinds(trimmed(history, at_most)) == kept


@pytest.mark.parametrize(
    ("history", "kept"),
    [
        ([S(), U(), M()], "S U M"),
        ([S(), U(), M(), K, U(), K, M(), U()], "S K M U"),
        ([S(), S(), K], "S S K"),
        ([K, U()], "K U"),
        ([S(), U(), R(), M(), K, R(), C("a"), O("a")], "S K R Ca Oa"),
        ([S(), U(), R(), C("a"), K, O("a")], "S R Ca K Oa"),  # what the model has not seen yet
    ],
)
def test_after_a_compaction_nothing_before_it_is_needed(history, kept):
    assert kinds(since_compaction(history)) == kept


# --- another provider


def test_another_provider_gets_what_it_can_read():
    history = (
        *(S(), I, K, U(), R(), item("function_call", id="fc_1", call_id="a", name="f", arguments="{}"), O("a")),
        *(R("rs_2"), W, said(id="msg_1", phase="final_answer")),
    )
    items, notes = for_provider(history)
    assert kinds(items) == "S U Ca Oa W M"
    assert [one.id for one in items] == [None, None, None, None, "ws_1", None]
    assert items[-1].raw["phase"] == "final_answer"
    assert notes == (
        "1 x item_reference was left out: only the provider that stores the item can follow it",
        "1 x compaction was left out: only the provider that made it can read it; what it stands for is gone",
        "2 x reasoning was left out: only the provider that made it can read it",
    )
    assert for_provider(items)[0] is items
    assert for_provider(items)[1] == ()
    assert for_provider(iter([U(), M()]))[1] == ()
