import random
import re

import pytest

from agentrt.bridges.mcp.names import name_tools, wire_name

FITS = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


@pytest.mark.parametrize(
    ("alias", "tool", "name"),
    [
        ("files", "read_file", "files__read_file"),
        ("my-server", "get-sum", "my-server__get-sum"),
        ("a", "b__c", "a__b__c"),
        ("a", "_b", "a___b"),
        ("a", "x" * 61, "a__" + "x" * 61),
    ],
)
def test_a_name_that_fits_is_alias_and_tool(alias, tool, name):
    assert wire_name(alias, tool) == name


@pytest.mark.parametrize(
    ("alias", "tool", "readable"),
    [
        ("files", "read.file", "files__read_file"),
        ("files", "has space/äö.x", "files__has_space_x"),
        ("a b", "c", "a_b__c"),
        ("a", "x" * 200, "a__" + "x" * 52),
        ("a__b", "c", "a__b__c"),
        ("a_", "b", "a___b"),
        ("", "b", "b"),
        ("a", "copy_deadbeef", "a__copy_deadbeef"),
        ("a", "half \ud800", "a__half"),
    ],
)
def test_a_name_that_had_to_change_or_has_two_readings_ends_in_a_hash(alias, tool, readable):
    name = wire_name(alias, tool)
    assert re.fullmatch(re.escape(readable) + "_[0-9a-f]{8}", name)
    assert FITS.match(name)
    assert wire_name(alias, tool) == name


def test_a_hash_is_of_alias_and_tool_and_the_same_for_ever():
    assert wire_name("files", "read.file") == "files__read_file_97875296"
    assert wire_name("other", "read.file").removeprefix("other__read_file_") != "97875296"


def test_a_tool_named_in_signs_only_still_has_a_name():
    assert re.fullmatch("[0-9a-f]{8}", wire_name("", "…", prefix=False))


def test_without_a_prefix_a_tool_has_its_own_name():
    assert wire_name("files", "read_file", prefix=False) == "read_file"
    assert re.fullmatch("read_file_[0-9a-f]{8}", wire_name("files", "read.file", prefix=False))


def test_a_tool_cannot_take_the_name_that_another_one_gets_by_its_hash():
    victim = wire_name("s", "has space")
    assert wire_name("s", victim.removeprefix("s__")) != victim
    bare = wire_name("s", "has space", prefix=False)
    assert wire_name("s", bare, prefix=False) != bare
    only_hash = wire_name("s", "…", prefix=False)
    assert wire_name("s", only_hash, prefix=False) != only_hash


def test_two_tools_never_meet():
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    pairs = set()
    for _ in range(20_000):
        alias = "".join(source.choices("ab_-. ", k=source.randrange(1, 6)))
        tool = "".join(source.choices("ab_-. ä0", k=source.randrange(1, 8)))
        pairs.add((alias, tool))
    names = {wire_name(alias, tool) for alias, tool in pairs}
    assert len(names) == len(pairs)
    assert all(map(FITS.match, names))


def test_names_do_not_depend_on_the_order_of_the_listing():
    tools = ["read", "write", "has space", "has.space", "b__read", "read_deadbeef", "x" * 100]
    names = name_tools("a", tools, prefix=True, taken=())
    assert list(names.values()) == tools
    assert dict(name_tools("a", tools[::-1], prefix=True, taken=())) == names
    assert all(map(FITS.match, names))


def test_only_a_bare_name_that_is_taken_gets_its_prefix():
    names = name_tools("files", ["read", "write"], prefix=False, taken={"read"})
    assert names == {"files__read": "read", "write": "write"}


def test_what_is_still_taken_gets_a_hash():
    names = name_tools("files", ["read"], prefix=False, taken={"read", "files__read"})
    (name,) = names
    assert re.fullmatch("files__read_[0-9a-f]{8}", name)
    (longer,) = name_tools("files", ["read"], prefix=True, taken={"files__read", name})
    assert re.fullmatch("files__read_[0-9a-f]{32}", longer)


def test_a_tool_that_is_named_like_the_prefixed_name_of_another_one_does_not_meet_it():
    tools = ["read", "files__read"]
    names = name_tools("files", tools, prefix=False, taken={"read"})
    assert sorted(names.values()) == sorted(tools)
    assert name_tools("files", tools[::-1], prefix=False, taken={"read"}) == names


def test_a_tool_that_is_listed_twice_is_one():
    assert name_tools("a", ["x", "x"], prefix=True, taken=()) == {"a__x": "x"}
