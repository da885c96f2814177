import itertools
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from agentrt import ToolError
from agentrt.bridges.mcp.schemas import ArgumentChecker, Parameters, as_parameters, read_arguments

DATA = Path(__file__).parent / "data"
SERVERS = ("everything", "filesystem", "memory")
EMPTY = {"type": "object", "properties": {}}
AT_ROOT = {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "enum", "const", "$ref"}


def tools_of(server):
    return json.loads((DATA / f"{server}.json").read_text("utf-8"))["tools"]


def schema_of(raw):
    made = as_parameters(raw)
    assert made.problem is None
    return made.schema


def obj(**properties):
    return {"type": "object", "properties": properties}


def prop(schema):
    """Give what becomes of a schema inside."""
    return schema_of(obj(a=schema))["properties"].get("a")


A, B = {"type": "string"}, {"type": "integer"}


# --- what is sent


@pytest.mark.parametrize("server", SERVERS)
def test_the_tools_of_the_reference_servers_are_offered_as_they_are(server):
    for tool in tools_of(server):
        plain = {key: value for key, value in tool["inputSchema"].items() if key != "$schema"}
        assert as_parameters(tool["inputSchema"]) == Parameters({"properties": {}, **plain})


@pytest.mark.parametrize(
    ("raw", "schema", "notes"),
    [
        ({}, EMPTY, 0),
        ({"type": "object"}, EMPTY, 0),
        (True, EMPTY, 0),
        (None, EMPTY, 1),
        ("string", EMPTY, 1),
        ([], EMPTY, 1),
        ({"type": ["object", "null"]}, EMPTY, 0),
        ({"type": "objekt"}, EMPTY, 1),
        ({"properties": {"a": A}}, obj(a=A), 0),
        ({"properties": [], "required": "a"}, EMPTY, 2),
        ({"$schema": "x", "$id": "y", "$comment": "z", **obj(a=A)}, obj(a=A), 0),
        ({**obj(a=A), "required": ["a", "b", "a"]}, {**obj(a=A, b={}), "required": ["a", "b"]}, 0),
        ({**obj(), "additionalProperties": False}, {**EMPTY, "additionalProperties": False}, 0),
    ],
)
def test_a_schema_becomes_that_of_an_object(raw, schema, notes):
    before = json.dumps(raw)
    made = as_parameters(raw)
    assert (made.schema, made.problem, len(made.notes)) == (schema, None, notes)
    assert json.dumps(raw) == before, "only a copy is changed"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (True, {}),
        (False, None),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": ["array", "null"]}, {"type": ["array", "null"], "items": {}}),
        ({"type": "array", "items": True}, {"type": "array", "items": {}}),
        ({"type": "array", "items": False}, {"type": "array", "items": {"not": {}}}),
        ({"type": "array", "items": [A, B]}, {"type": "array", "prefixItems": [A, B], "items": {}}),
        ({"items": [A], "additionalItems": False}, {"prefixItems": [A], "items": {"not": {}}}),
        ({"anyOf": [True, A]}, {"anyOf": [{}, A]}),
        ({"type": "object", "additionalProperties": True}, {"type": "object", "additionalProperties": True}),
        ({"type": "object", "additionalProperties": A}, {"type": "object", "additionalProperties": A}),
        ({"oneOf": [A, B], "description": "d"}, {"oneOf": [A, B], "description": "d"}),
        ({"type": "string", "enum": [True, "$ref"], "default": {"$schema": 1}}, {"type": "string", "enum": [True, "$ref"], "default": {"$schema": 1}}),
        (obj(**{"not": A, "$ref": A, "enum": A}), obj(**{"not": A, "$ref": A, "enum": A})),
        ({"x-vendor": {"type": 1}}, {"x-vendor": {"type": 1}}),
    ],
)  # fmt: skip
def test_what_stands_inside_is_kept_but_for_bare_booleans(given, sent):
    made = as_parameters(obj(a=given))
    assert made.schema["properties"].get("a") == sent
    assert made.notes == ()


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"type": "str"}, {}),
        ({"type": []}, {}),
        ({"type": "string", "required": True}, {"type": "string"}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"minimum": 1}),
        ({"minLength": "3"}, {}),
        ({"enum": "abc"}, {}),
        ({"enum": []}, {}),
        ({"anyOf": []}, {}),
        ({"anyOf": A}, {}),
        ({"properties": {"b": "string"}}, {"properties": {"b": {}}}),
        ({"description": None}, {}),
        ("string", {}),
        (None, {}),
    ],
)
def test_what_is_no_schema_would_cost_the_whole_request_and_is_left_out(given, sent):
    made = as_parameters(obj(a=given))
    assert made.schema["properties"]["a"] == sent
    assert len(made.notes) == 1
    jsonschema.Draft202012Validator.check_schema(made.schema)


def test_notes_are_few():
    made = as_parameters(obj(**{f"p{number}": {"minLength": f"{number}"} for number in range(100)}))
    assert len(made.notes) == 11
    assert made.notes[-1] == "90 more parts were changed"


# --- references


def test_references_within_the_schema_are_kept_and_what_nothing_refers_to_is_not_sent():
    node = {"type": "object", "properties": {"next": {"$ref": "#/definitions/Node"}, "root": {"$ref": "#"}}}
    raw = {**obj(a={"$ref": "#/definitions/Node"}), "definitions": {"Node": node, "Unused": A}}
    schema = schema_of(raw)
    sent = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "root": {"$ref": "#"}}}
    assert schema == {**obj(a={"$ref": "#/$defs/Node"}), "$defs": {"Node": sent}}


@pytest.mark.parametrize(
    "reference",
    [
        "#/properties/a/items/anyOf/1",
        "#/$defs/a~1b%20c",
        "#named",
        "https://x.org/tool.json#/$defs/a~1b%20c",
        "tool.json#named",
    ],
)
def test_references_to_any_place_of_the_schema_lead_into_its_definitions(reference):
    raw = {
        "$id": "https://x.org/tool.json",
        **obj(a={"type": "array", "items": {"anyOf": [B, A]}}, b={"$ref": reference}),
        "$defs": {"a/b c": A, "other": {"$anchor": "named", **A}},
    }
    schema = schema_of(raw)
    (name,) = schema["$defs"]
    assert schema["properties"]["b"] == {"$ref": f"#/$defs/{name}"}
    assert schema["$defs"][name] == A
    checked = jsonschema.Draft202012Validator(schema)
    assert checked.is_valid({"b": "text"})
    assert not checked.is_valid({"b": 1})


@pytest.mark.parametrize(
    "reference",
    [
        "https://x.org/other.json",
        "other.json#/a",
        "#/$defs/Missing",
        "#/a/00",
        "file:///etc/passwd",
        "https://[bad/x",
        7,
    ],
)
def test_a_reference_that_leads_elsewhere_is_not_followed(reference):
    raw = {"$id": "https://x.org/tool.json", **obj(a={"$ref": reference, "description": "d"}, b=A), "required": ["b"]}
    made = as_parameters(raw)
    assert made.schema["properties"] == {"a": {"description": "d"}, "b": A}
    assert "leads elsewhere and is not followed; anything is taken there" in made.notes[0]
    assert as_parameters({"anyOf": [{"$ref": reference}, obj(a=A)]}).problem is not None or reference == 7


def test_a_schema_that_is_a_reference_is_what_it_leads_to():
    raw = {
        "$ref": "#/definitions/Args",
        "definitions": {"Args": {"$ref": "#/definitions/Real"}, "Real": {**obj(a=A), "required": ["a"]}},
    }
    assert schema_of(raw) == {**obj(a=A), "required": ["a"]}
    assert schema_of({"$ref": "#"}) == EMPTY
    assert "is not followed" in as_parameters({"$ref": "https://x.org/args.json"}).problem


# --- alternatives at the root


@pytest.mark.parametrize(
    ("raw", "properties", "required"),
    [
        ({"anyOf": [obj(a=A), obj(b=B)]}, {"a": A, "b": B}, None),
        ({"oneOf": [{**obj(a=A), "required": ["a", "x"]}, {**obj(b=B), "required": ["x"]}]}, {"a": A, "b": B, "x": {}}, ["x"]),
        ({"allOf": [{**obj(a=A), "required": ["a"]}, {**obj(b=B), "required": ["b"]}]}, {"a": A, "b": B}, ["a", "b"]),
        ({**obj(a=A, b=B), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": A, "b": B}, None),
        ({**obj(a=A, b=B), "required": ["a"], "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": A, "b": B}, ["a"]),
        ({"oneOf": [obj(kind={"const": "a"}, x=A), obj(kind={"const": "b"}, x=A)]}, {"kind": {"anyOf": [{"const": "a"}, {"const": "b"}]}, "x": A}, None),
        ({**obj(kind=A), "oneOf": [obj(kind={"const": "a"}), obj(b=B)]}, {"kind": A, "b": B}, None),
        ({**obj(a=A), "allOf": [obj(a={"minLength": 1}), obj(a=True)]}, {"a": {"allOf": [A, {"minLength": 1}]}}, None),
        ({"anyOf": [obj(a=A), {"type": "null"}, False]}, {"a": A}, None),
        ({"anyOf": [{"anyOf": [obj(a=A), {"allOf": [obj(b=B)]}]}, obj(c=A)]}, {"a": A, "b": B, "c": A}, None),
        ({"anyOf": [{"$ref": "#/$defs/X"}, {"$ref": "#/anyOf/0"}], "$defs": {"X": obj(a=A)}}, {"a": A}, None),
        ({**obj(a=A), "allOf": [{"$ref": "#"}]}, {"a": A}, None),
        ({**obj(a=A), "if": obj(a={"const": "x"}), "then": {**obj(b=B), "required": ["b"]}, "else": obj(c=A)}, {"a": A, "b": B, "c": A}, None),
        ({**obj(a=A), "if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": A}, None),
        ({**obj(a=A), "not": {"required": ["a"]}}, {"a": A}, None),
        ({"enum": [{"a": 1}, {"a": 2}]}, {}, None),
        ({**obj(a=A), "const": {"a": "x"}, "anyOf": "broken"}, {"a": A}, None),
    ],
)  # fmt: skip
def test_alternatives_at_the_root_become_one_object(raw, properties, required):
    made = as_parameters(raw)
    assert made.problem is None
    assert (made.schema["properties"], made.schema.get("required")) == (properties, required)
    assert not made.schema.keys() & AT_ROOT
    assert "became a text" in made.notes[0]
    jsonschema.Draft202012Validator.check_schema(made.schema)


def test_the_rule_is_told_in_the_description():
    raw = {
        **obj(a=A, b=B),
        "description": "Give one.",
        "oneOf": [{"required": ["a"]}, {"$ref": "#/$defs/B"}],
        "$defs": {"B": {"required": ["b"]}},
    }
    told = (
        'Give one.\n\nThe arguments must also fit this JSON Schema: {"oneOf":[{"required":["a"]},{"required":["b"]}]}'
    )
    assert schema_of(raw)["description"] == told
    long = {"anyOf": [obj(**{f"p{number}": A}) for number in range(500)]}
    assert len(schema_of(long)["description"]) < 2100
    assert "more characters]" in schema_of(long)["description"]


def test_a_reference_into_an_alternative_still_leads_somewhere():
    schema = schema_of({"oneOf": [obj(a=A), obj(b={"$ref": "#/oneOf/0/properties/a"})]})
    assert schema["properties"]["b"] == {"$ref": "#/$defs/oneOf_0_properties_a"}
    assert schema["$defs"] == {"oneOf_0_properties_a": A}


# --- what can't be offered


def deep(levels):
    schema = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def doubling(levels):
    """Give a schema that is small and has 2 ** levels alternatives."""
    names = [f"d{number}" for number in range(levels)]
    defs = {name: {"anyOf": [{"$ref": f"#/$defs/{after}"}] * 2} for name, after in itertools.pairwise(names)}
    return {"anyOf": [{"$ref": "#/$defs/d0"}], "$defs": {**defs, names[-1]: obj(a=A)}}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (False, "takes nothing"),
        ({"type": "string"}, 'is for "string", but arguments are an object'),
        ({"type": ["array", "null"]}, "arguments are an object"),
        ({"anyOf": [{"type": "string"}, False]}, "no object fits"),
        ({"allOf": [obj(), {"type": "array"}]}, "no object fits"),
        (deep(150), "nested more than 100 deep"),
        (deep(100_000), "nested more than 100 deep"),
        (obj(a={"enum": list(range(100_001))}), "more than 100000 parts"),
        (obj(a={"description": "x" * 300_000}), "262144 bytes"),
        (obj(a={"description": "é" * 140_000}), "262144 bytes"),
        (obj(a={"default": float("nan")}), "is no JSON"),
        (obj(a={"default": "\ud800"}), "is no JSON"),
        (obj(a={"default": object()}), "is no JSON"),
        (doubling(40), "parts to merge"),
        ({"allOf": [{"$ref": "#/$defs/b"}], "$defs": {"b": obj(p={"$ref": "https://x.org"}, **{f"p{n}": A for n in range(3000)})}}, "parts to merge"),
        ({"oneOf": [{"allOf": [{"$ref": "#/$defs/big"}, obj(p={"const": n})]} for n in range(200)], "$defs": {"big": obj(p={"description": "x" * 3000})}}, "as it would be sent"),
    ],
)  # fmt: skip
def test_a_tool_that_cannot_be_offered_is_named_with_the_reason(raw, words):
    began = time.monotonic()
    made = as_parameters(raw)
    assert words in made.problem
    assert made.schema == EMPTY
    assert time.monotonic() - began < 2


def test_a_schema_that_holds_itself_is_refused():
    raw = obj()
    raw["properties"]["a"] = raw
    assert as_parameters(raw).problem is not None
    assert ArgumentChecker(raw).check({}) == []


def test_many_references_to_nested_places_end():
    inner = obj(**{f"p{number}": A for number in range(3000)})
    for _ in range(40):
        inner = obj(x=inner)
    paths = ["#/$defs/a" + "/properties/x" * depth for depth in range(40)]
    began = time.monotonic()
    made = as_parameters({**obj(**{f"r{n}": {"$ref": path} for n, path in enumerate(paths)}), "$defs": {"a": inner}})
    assert "parts" in made.problem
    assert time.monotonic() - began < 2


def test_only_a_call_imports_jsonschema_and_nothing_imports_the_sdk():
    code = (
        "import sys\n"
        "from agentrt.bridges.mcp import names, outputs, schemas\n"
        "checker = schemas.ArgumentChecker({}); schemas.as_parameters({})\n"
        "assert not {'jsonschema', 'mcp', 'mcp_types'} & sys.modules.keys()\n"
        "assert checker.check({}) == [] and 'jsonschema' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- arguments against the schema


@pytest.mark.parametrize(
    ("schema", "arguments", "problems"),
    [
        (obj(a=A), {"a": "x"}, []),
        (obj(a=A), {}, []),
        (obj(a=A), {"a": 1}, ["`a` must be a string, but is 1"]),
        (obj(a={"type": ["integer", "null"]}), {"a": "1"}, ['`a` must be an integer or null, but is "1"']),
        ({**obj(), "required": ["a", "b"]}, {}, ["`a` is required, but missing", "`b` is required, but missing"]),
        ({**obj(a=A, b=B), "additionalProperties": False}, {"c": 1}, ["`c` is not an argument of this tool; it takes a, b"]),
        ({**obj(), "additionalProperties": False}, {"c": 1}, ["`c` is not an argument of this tool; it takes none"]),
        (obj(o={**obj(a=A), "additionalProperties": False}), {"o": {"b": 1}}, ["`o.b` is not expected; the object that it is in takes a"]),
        (obj(l={"type": "array", "items": {**obj(n=B), "required": ["n"]}}), {"l": [{"n": 1}, {"n": "x"}, {}]}, ['`l[1].n` must be an integer, but is "x"', "`l[2].n` is required, but missing"]),
        (obj(a={"enum": ["x", "y"]}), {"a": "z"}, ['`a` must be one of "x", "y", but is "z"']),
        (obj(a={"const": 1}), {"a": 2}, ["`a` must be 1, but is 2"]),
        (obj(a={"minimum": 1, "maximum": 0}), {"a": 0.5}, ["`a` must be at least 1, but is 0.5", "`a` must be at most 0, but is 0.5"]),
        (obj(a={"minLength": 2}), {"a": "x"}, ['`a` must be a string of at least 2 characters, but is "x"']),
        (obj(a={"pattern": "^[a-z]+$"}), {"a": "X"}, ['`a` must be a string that matches "^[a-z]+$", but is "X"']),
        (obj(a={"pattern": r"^\p{Lu}\/$"}), {"a": "É/"}, []),
        (obj(a={"pattern": "b"}), {"a": "abc"}, []),
        (obj(a={"uniqueItems": True}), {"a": [{"x": 1, "y": 2}, {"y": 2, "x": 1}]}, ['`a` must be an array without equal entries, but is [{"x":1,"y":2},{"y":2,"x":1}]']),
        (obj(a={"uniqueItems": True}), {"a": [1, "1", True]}, []),
        (obj(a={"anyOf": [A, {"type": "null"}]}), {"a": 1}, ["`a` must be a string or null, but is 1"]),
        (obj(a={"anyOf": [A, {**obj(n=B), "required": ["n"]}]}), {"a": {}}, ["`a.n` is required, but missing"]),
        (obj(a={"oneOf": [A, {"type": "string"}]}), {"a": "x"}, ['`a` must be a value that fits exactly one of [{"type":"string"},{"type":"string"}], but is "x"']),
        (obj(a={"not": A}), {"a": "x"}, ['`a` must be something that doesn\'t fit {"type":"string"}, but is "x"']),
        (obj(a=False), {"a": "x"}, ['"x" is not allowed where it stands']),
        ({"minProperties": 1}, {}, ["the arguments must be an object of at least 1 members, but are {}"]),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, ["the arguments must be valid ('b' is a dependency of 'a'), but are {\"a\":1}"]),
        ({**obj(), "patternProperties": {"^x-": A}, "additionalProperties": B}, {"x-a": 1, "b": "c"}, ["`x-a` must be a string, but is 1", '`b` must be an integer, but is "c"']),
        ({**obj(a={"$ref": "#/$defs/N"}), "$defs": {"N": {**obj(n={"$ref": "#/$defs/N"}), "required": ["v"]}}}, {"a": {"v": 1, "n": {}}}, ["`a.n.v` is required, but missing"]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, ["`a` is required, but missing"]),
        (True, {"a": 1}, []),
        (None, {"a": 1}, []),
        (obj(a={"type": "date"}), {"a": 1}, []),
        (obj(a={"properties": []}), {"a": 1}, []),
        (obj(a={"enum": "abc"}), {"a": "z"}, []),
        ({"$schema": "http://json-schema.org/draft-07/schema#", **obj(a={"type": []})}, {"a": "z"}, []),
        ({"$schema": 7}, {"a": 1}, []),
        (obj(a={"additionalProperties": False, "patternProperties": {"^x": A}}), {"a": [1]}, []),
        (obj(a={"patternProperties": {"^x": A}, "additionalProperties": True}), {"a": {"y": 1}}, []),
        (obj(a={"uniqueItems": True}), {"a": "xx"}, []),
        (obj(a={"required": ["b"]}), {"a": 1}, []),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_for_the_model(schema, arguments, problems):
    assert ArgumentChecker(schema).check(arguments) == problems


def test_of_alternatives_with_a_constant_the_one_that_is_meant_is_told():
    circle = {**obj(kind={"const": "circle"}, r=B), "required": ["kind", "r"]}
    square = {**obj(kind={"const": "square"}, side=B, unit=A), "required": ["kind", "side", "unit"]}
    checker = ArgumentChecker(obj(shape={"oneOf": [circle, square]}))
    assert checker.check({"shape": {"kind": "square"}}) == [
        "`shape.side` is required, but missing",
        "`shape.unit` is required, but missing",
    ]


def test_the_declared_draft_counts():
    tuples = obj(a={"items": [B]})
    assert ArgumentChecker({"$schema": "http://json-schema.org/draft-07/schema#", **tuples}).check({"a": ["x"]}) != []
    assert ArgumentChecker(tuples).check({"a": ["x"]}) == [], "no schema by 2020-12, so it can't be checked"
    unknown = {"$schema": "https://x.org/my-own-draft", **obj(a=A)}
    assert ArgumentChecker(unknown).check({"a": 1}) == ["`a` must be a string, but is 1"]


def test_the_check_is_of_the_schema_as_it_came_not_as_it_is_sent():
    raw = {**obj(a=A, b=B), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert len(ArgumentChecker(raw).check({"a": "x", "b": 1})) == 1


def test_problems_are_few_and_short():
    many = ArgumentChecker(obj(**{f"p{number}": A for number in range(100)}))
    problems = many.check({f"p{number}": number for number in range(100)})
    assert len(problems) == 8
    assert problems[-1] == "and more"
    long = ArgumentChecker(obj(**{"n" * 10_000: {"enum": ["v" * 1_000] * 100}}))
    assert max(map(len, long.check({"n" * 10_000: "x" * 100_000}))) < 310


def test_arguments_must_be_an_object_and_are_not_changed():
    assert ArgumentChecker(None).check([]) == ["the arguments must be a JSON object, but are []"]
    arguments = {"a": "1"}
    assert ArgumentChecker(obj(a={"type": "integer", "default": 3}, b={"default": 1})).check(arguments) != []
    assert arguments == {"a": "1"}


@pytest.mark.parametrize(
    "reference", ["https://x.org/other.json", "#/$defs/Missing", "#", "#/properties/a", "other.json#a"]
)
def test_what_cannot_be_checked_passes_and_what_was_found_before_counts(reference):
    checker = ArgumentChecker(obj(first=A, a={"$ref": reference}))
    assert checker.check({"first": 1, "a": {"first": "x"}})[:1] == ["`first` must be a string, but is 1"]


EVIL = "^(a+)+$"
BOMB = "a" * 60 + "!"


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (obj(a={"pattern": EVIL}), {"a": BOMB}),
        (obj(a={"pattern": "(?=a)" + EVIL}), {"a": BOMB}),
        (obj(a={"pattern": "a" * 2000}), {"a": BOMB}),
        (obj(a={"pattern": "(x{1000}){1000}"}), {"a": "x" * 100_000}),
        ({"patternProperties": {EVIL: A}, "additionalProperties": False}, {BOMB: 1}),
        ({"patternProperties": {EVIL: A}, "unevaluatedProperties": False}, {BOMB: 1}),
        ({"propertyNames": {"pattern": EVIL}}, {BOMB: 1}),
        (obj(a={"$schema": "http://json-schema.org/draft-07/schema#", "pattern": EVIL}), {"a": BOMB}),
        ({**obj(a={"$ref": "#/hidden"}), "hidden": {"$schema": "http://json-schema.org/draft-06/schema#", "patternProperties": {EVIL: A}}}, {"a": {BOMB: 1}}),
        ({"$dynamicAnchor": "meta", "pattern": EVIL, **obj(x={"$ref": "https://json-schema.org/draft/2020-12/schema"})}, {"x": {"properties": {"y": BOMB}, "not": BOMB}}),
        (doubling(60), {"a": 1}),
        ({**obj(a={"uniqueItems": True})}, {"a": [{"n": number} for number in range(100_000)]}),
        (obj(a={"items": {"anyOf": [{"enum": list(range(1000))}] * 20}}), {"a": [{}] * 100_000}),
        (obj(a={"anyOf": [{"const": number} for number in range(5000)]}), {"a": ["x" * 100] * 10_000}),
        (obj(a={"multipleOf": 0.1}), {"a": 10**5000}),
        (obj(a=A), {"a": 10**5000}),
    ],
)  # fmt: skip
def test_a_hostile_schema_costs_a_second_at_most(schema, arguments):
    checker = ArgumentChecker(schema)
    done = threading.Event()
    thread = threading.Thread(target=lambda: (checker.check(arguments), done.set()), daemon=True)
    began = time.monotonic()
    thread.start()
    assert done.wait(10)
    print(f"{time.monotonic() - began:.2f} s")


def test_a_checker_serves_threads_at_once():
    checker = ArgumentChecker(obj(a=A))
    found = []
    threads = [threading.Thread(target=lambda n=n: found.append((n, checker.check({"a": n})))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(n, [f"`a` must be a string, but is {n}"]) for n in range(20)]


# --- reading arguments


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("", {}),
        ("  \n", {}),
        (None, {}),
        ({}, {}),
        ("{}", {}),
        ('{"a": {"b": [1, 2.5, null, "é"]}}', {"a": {"b": [1, 2.5, None, "é"]}}),
        ({"a": [1]}, {"a": [1]}),
    ],
)
def test_arguments_are_read(given, values):
    assert read_arguments(given) == values


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("[1]", "the arguments must be a JSON object, but are [1]"),
        ('"{}"', 'the arguments must be a JSON object, but are "{}"'),
        ("null", "the arguments must be a JSON object, but are null"),
        ('{"a": ', "the arguments are not valid JSON"),
        ('{"a": NaN}', "the arguments are not valid JSON"),
        ('{"a": 1e999}', "NaN and Infinity are no JSON"),
        ('{"a": 1, "a": 2}', "the name 'a' stands twice in one object"),
        ('{"a": {"b": 1, "b": 2}}', "the name 'b' stands twice in one object"),
        ('{"a": "\\ud800"}', "the arguments are not valid JSON"),
        ("[" * 10_000, "the arguments are not valid JSON"),
        ({"a": float("nan")}, "the arguments are not JSON values"),
        ([1], "the arguments must be a JSON object, but are [1]"),
        (7, "the arguments must be a JSON object, but are 7"),
        ("x" * 2_000_000, "at most 1048576 are allowed"),
    ],
)
def test_arguments_that_are_no_object_are_refused_in_words_for_the_model(given, words):
    with pytest.raises(ToolError) as caught:
        read_arguments(given)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


# --- anything that a server may send


PIECES = [
    True, False, None, 0, -1, 1.5, "", "object", "string", "#", "#/$defs/X", "#/properties/a", "https://x.org/s", "^(a+)+$",
    [], {}, ["a"], ["object"], [{}], [True], [{"type": "null"}], {"a": {"$ref": "#"}}, {"type": "object"}, {"a": True},
    {"$ref": "#/$defs/X"}, {"anyOf": [{"$ref": "#/oneOf/0"}]}, {"properties": {"a": {"$ref": "#/anyOf"}}},
]  # fmt: skip
KEYWORDS = [
    "type", "properties", "required", "items", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "enum", "const",
    "$ref", "$defs", "definitions", "$id", "$schema", "$anchor", "$dynamicRef", "additionalProperties", "prefixItems",
    "patternProperties", "pattern", "minimum", "uniqueItems", "dependencies", "description", "default", "contains", "",
]  # fmt: skip


def random_value(source, depth):
    if depth == 0 or source.random() < 0.3:
        return json.loads(json.dumps(source.choice(PIECES)))
    if source.random() < 0.25:
        return [random_value(source, depth - 1) for _ in range(source.randrange(4))]
    names = KEYWORDS if source.random() < 0.8 else ["a", "b", "X", "$schema"]
    return {source.choice(names): random_value(source, depth - 1) for _ in range(source.randrange(1, 5))}


def mutated(source, value):
    """Give a schema with one part replaced."""
    if isinstance(value, dict) and value and source.random() < 0.85:
        name = source.choice(list(value))
        return {**value, name: mutated(source, value[name])}
    if isinstance(value, list) and value and source.random() < 0.85:
        at = source.randrange(len(value))
        return [*value[:at], mutated(source, value[at]), *value[at + 1 :]]
    if isinstance(value, dict) and source.random() < 0.6:
        return {**value, source.choice(KEYWORDS): random_value(source, 2)}
    return random_value(source, 3)


def check_one(source, raw):
    """Hold what becomes of a schema against all that is promised; gives whether its tool is offered."""
    before = json.dumps(raw)
    made = as_parameters(raw)
    assert json.dumps(raw) == before, "only a copy is changed"
    assert made.schema["type"] == "object"
    assert isinstance(made.schema["properties"], dict)
    assert not made.schema.keys() & AT_ROOT
    assert json.loads(json.dumps(made.schema)) == made.schema
    assert as_parameters(made.schema) == Parameters(made.schema), "what is sent needs no further change"
    jsonschema.Draft202012Validator.check_schema(made.schema)
    checker = ArgumentChecker(raw)
    for _ in range(2):
        arguments = random_value(source, 3)
        problems = checker.check(arguments if isinstance(arguments, dict) else {"a": arguments})
        assert all(isinstance(problem, str) for problem in problems)
    return made.problem is None


def check_random(count):
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    real = [tool["inputSchema"] for server in SERVERS for tool in tools_of(server)]
    offered = 0
    for _ in range(count):
        raw = source.choice(real) if source.random() < 0.6 else random_value(source, 5)
        for _ in range(source.randrange(1, 4)):
            raw = mutated(source, raw)
        try:
            offered += check_one(source, raw)
        except BaseException:
            print(json.dumps(raw))
            raise
    assert offered > count / 2


def test_whatever_a_server_sends_becomes_an_objects_schema_or_is_refused():
    check_random(500)


@pytest.mark.long
def test_whatever_a_server_sends_becomes_an_objects_schema_or_is_refused_many_times():
    check_random(30_000)
