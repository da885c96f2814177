"""Strict mode: schemas by OpenAI's rules, and arguments that come back as they were meant."""

import dataclasses
import json
import re
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import jsonschema
import pydantic
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agentrt import Tool, ToolError, UsageError
from agentrt.registry.decode import decoded
from agentrt.registry.names import wire_name
from agentrt.registry.shapes import allows_null, has_work
from agentrt.registry.strict import strict_form
from tests.tools.cases import CASES, Pair, Person, Point, Tree

SUPPORTED = {
    *("$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum"),
    *("exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern"),
    *("properties", "required", "type"),
}


def check_strict(schema, *, root=True):
    """Hold a schema against the rules, written down once more."""
    assert schema.keys() <= SUPPORTED, schema.keys() - SUPPORTED
    if "$ref" in schema:
        assert schema.keys() == {"$ref"}
        return
    assert schema.keys() & {"type", "anyOf", "enum", "const"}, schema
    assert not root or schema["type"] == "object"
    if schema.get("type") == "object" or "properties" in schema:
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
    for part in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("$defs", {}).values()):
        check_strict(part, root=False)
    if "items" in schema:
        check_strict(schema["items"], root=False)


@pytest.mark.parametrize("strict", ["auto", True])
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_what_goes_out_strict_keeps_the_rules(case, strict):
    try:
        tool = Tool(case[0], strict=strict)
        strictly = tool.strict
    except UsageError:
        strictly = False
    if strictly:
        check_strict(tool.parameters)


# --- the round trip


def encode(value, schema, defs):
    """Write a value as a model would under the strict form of a schema: the other direction, for the test only."""
    while "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return encode(value, next(branch for branch in branches if valid(value, branch, defs)), defs)
    if "prefixItems" in schema:
        parts = schema["prefixItems"]
        padded = [*value, *[None] * (len(parts) - len(value))]
        return {
            f"item_{n}": None if n >= len(value) else encode(item, part, defs)
            for n, (item, part) in enumerate(zip(padded, parts, strict=True))
        }
    if "properties" in schema:
        return {
            name: encode(value[name], part, defs) if name in value else None
            for name, part in schema["properties"].items()
        }
    if schema.get("type") == "object":
        return [
            {"key": key, "value": encode(part, schema["additionalProperties"], defs)} for key, part in value.items()
        ]
    if schema.get("type") == "array":
        return [encode(part, schema["items"], defs) for part in value]
    return value


def filled(value, schema, defs):
    """Say None where something was left out whose type has one: that is what null means then."""
    while "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return filled(value, next(branch for branch in branches if valid(value, branch, defs)), defs)
    if "prefixItems" in schema:
        return [filled(item, part, defs) for item, part in zip(value, schema["prefixItems"], strict=True)]
    if "properties" in schema:
        parts = schema["properties"].items()
        more = {name: None for name, part in parts if name not in value and valid(None, part, defs)}
        return {**{name: filled(part, schema["properties"][name], defs) for name, part in value.items()}, **more}
    if schema.get("type") == "object":
        return {key: filled(part, schema["additionalProperties"], defs) for key, part in value.items()}
    if schema.get("type") == "array":
        return [filled(part, schema["items"], defs) for part in value]
    return value


def valid(value, schema, defs):
    whole = {**closed(schema), "$defs": {name: closed(part) for name, part in defs.items()}}
    return jsonschema.Draft202012Validator(whole).is_valid(value)


def closed(schema):
    """Allow no further property, so that what fits is what was meant."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(part) for name, part in schema.items()}
    return (
        {**made, "additionalProperties": False} if schema.get("type") == "object" and "properties" in schema else made
    )


SCALARS = [
    (int, st.integers(-(2**53), 2**53)),
    (str, st.text(max_size=5)),
    (bool, st.booleans()),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Annotated[int, pydantic.Field(ge=0, le=9)], st.integers(0, 9)),
]
NAMES = ["a", "b", "key", "value", "item_0"]


@st.composite
def typed_values(draw, depth=0):  # noqa: PLR0911 - one for each kind of type
    """Give a type, and a strategy for its values as JSON has them."""
    kinds = ["scalar"] * (1 + depth) + ["list", "dict", "tuple", "optional", "union", "class", "typed dict"]
    kind = draw(st.sampled_from(kinds if depth < 3 else ["scalar"]))
    if kind == "scalar":
        return draw(st.sampled_from(SCALARS))
    one, values = draw(typed_values(depth + 1))
    if kind == "list":
        return list[one], st.lists(values, max_size=3)
    if kind == "dict":
        return dict[str, one], st.dictionaries(st.text(max_size=3), values, max_size=3)
    if kind == "optional":
        return one | None, st.none() | values
    other, others = draw(typed_values(depth + 1))
    if kind == "tuple":
        return tuple[one, other], st.tuples(values, others).map(list)
    if kind == "union":
        return one | other, values | others
    return draw(classes(kind, one, values, other, others))


@st.composite
def classes(draw, kind, one, values, other, others):
    first, second = draw(st.permutations(NAMES))[:2]
    required = st.fixed_dictionaries({first: values}, optional={second: others})
    if kind == "class":
        field = dataclasses.field(default_factory=lambda: None)
        made = dataclasses.make_dataclass(f"C{draw(st.integers(0, 10**9))}", [(first, one), (second, other, field)])
        return made, required
    made = TypedDict(f"T{draw(st.integers(0, 10**9))}", {first: one, second: other}, total=False)
    return made, st.fixed_dictionaries({}, optional={first: values, second: others})


@st.composite
def signatures(draw):
    """Give a function, and arguments for it."""
    count = draw(st.integers(1, 3))
    annotations, arguments, defaults = {}, {}, []
    for index in range(count):
        annotation, values = draw(typed_values())
        annotations[f"p{index}"] = annotation
        optional = bool(defaults) or draw(st.booleans())
        if optional:
            defaults.append(None)
        if not optional or draw(st.booleans()):
            arguments[f"p{index}"] = draw(values)
    names = ", ".join(f"p{n}" if n < count - len(defaults) else f"p{n}=None" for n in range(count))
    scope: dict[str, Any] = {}
    exec(f"def f({names}): ...", scope)
    scope["f"].__annotations__ = annotations
    return scope["f"], arguments


def definition_of(tool):
    """Give the definition; None where several types of a union look alike."""
    try:
        return tool.definition()
    except UsageError as error:
        if re.search("look alike|levels", str(error)):
            return None
        raise


def check_round_trip(signature):
    function, arguments = signature
    tool = Tool(function, strict=True)
    definition = definition_of(tool)
    assume(definition is not None)
    check_strict(definition["parameters"])
    natural = tool.form.natural
    defs = natural.get("$defs", {})
    encoded = encode(arguments, {**natural, "additionalProperties": False}, defs)
    jsonschema.Draft202012Validator(tool.parameters).validate(encoded)
    meant = filled(arguments, natural, defs)
    assert decoded(encoded, natural, None) == meant
    assert decoded(arguments, natural, None) == arguments
    tool.form.read(json.dumps(arguments))
    wanted = tool.form.read(json.dumps(meant))
    assert tool.form.read(json.dumps(encoded)) == wanted
    loose = Tool(function)
    if loose.strict:
        assert loose.form.read(json.dumps(encode(arguments, loose.form.natural, defs))) == wanted


COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=150, **COMMON)
@given(signatures())
def test_what_is_encoded_comes_back(signature):
    check_round_trip(signature)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=6000, **COMMON)
@given(signatures())
def test_what_is_encoded_comes_back_five_thousand_times(signature):
    check_round_trip(signature)


# --- forms by hand


def forms(x: dict[str, Point], y: tuple[int, str], z: Pair, **more: dict[str, int]) -> None: ...


def test_a_mapping_is_a_list_of_pairs_and_a_tuple_an_object():
    tool = Tool(forms, strict=True)
    point = {
        "description": "A place.",
        "properties": {
            "x": {"description": "How far right.", "type": "integer"},
            "y": {"type": ["integer", "null"], "description": "Default: 0."},
        },
        "required": ["x", "y"],
        "type": "object",
        "additionalProperties": False,
    }
    parts = tool.parameters["properties"]
    assert parts["x"]["items"]["properties"] == {"key": {"type": "string"}, "value": point}
    assert parts["y"]["properties"] == {"item_0": {"type": "integer"}, "item_1": {"type": "string"}}
    assert parts["z"]["properties"]["item_1"] == {"type": ["string", "null"], "description": 'right. Default: "r".'}
    assert parts["more"]["type"] == "array"
    encoded = {
        "x": [{"key": "a", "value": {"x": 1, "y": None}}],
        "y": {"item_0": 1, "item_1": "b"},
        "z": {"item_0": 2, "item_1": None},
        "more": [{"key": "k", "value": [{"key": "v", "value": 3}]}],
    }
    natural = {"x": {"a": {"x": 1}}, "y": [1, "b"], "z": [2], "k": {"v": 3}}
    wanted = {"x": {"a": Point(1)}, "y": (1, "b"), "z": Pair(2), "k": {"v": 3}}
    assert tool.form.read(json.dumps(encoded)) == tool.form.read(json.dumps(natural)) == wanted


class Settled(NamedTuple):
    a: int
    b: int | None = 5


def test_null_means_none_where_the_type_has_one():
    def work(a: int = 1, b: int | None = 5, c: Settled = Settled(1), d: dict[str, int | None] = {}) -> None: ...  # noqa: B006, B008

    read = Tool(work, strict=True).form.read
    assert read('{"a": null, "b": null}') == {"b": None}
    assert read('{"c": {"item_0": 2, "item_1": null}}') == {"c": Settled(2, None)}
    assert read('{"d": [{"key": "x", "value": null}]}') == {"d": {"x": None}}
    assert Tool(work).form.read('{"a": null, "b": null, "d": {"x": null}}') == {"b": None, "d": {"x": None}}


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (dict[str, int] | list[int], "look alike"),
        (list[dict[str, int]] | list[list[int]], "look alike"),
        (tuple[dict[str, int]] | tuple[list[int]], "look alike"),
        (Any, "may hold anything"),
        (dict, "may hold anything"),
        (list, "may hold anything"),
        (Annotated[str, pydantic.WithJsonSchema({"not": {"type": "string"}})], "has 'not'"),
        (
            Annotated[str, pydantic.WithJsonSchema({"type": "array", "prefixItems": [{}], "items": {}})],
            "of open length",
        ),
        (Literal[tuple(f"v{n}" for n in range(1001))], "1001 enum values, and strict mode allows 1000"),
        (Literal[tuple("x" * 100 + str(n) for n in range(251))], "characters in one enum"),
    ],
)
def test_what_cannot_be_undone_is_said(annotation, reason):
    def work(x) -> None: ...

    work.__annotations__ = {"x": annotation}
    with pytest.raises(UsageError, match=rf"the tool 'work' can't be strict: .*{reason}"):
        Tool(work, strict=True).definition()
    loose = Tool(work)
    assert loose.strict is False
    assert (
        reason.split(",")[0] in loose.not_strict_because
        or "mapping" in loose.not_strict_because
        or "tuple" in loose.not_strict_because
    )


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (Annotated[str, pydantic.Field(min_length=2, max_length=3)], "At least 2 characters. At most 3 characters."),
        (Annotated[str, pydantic.WithJsonSchema({"type": "string", "pattern": "(?=a)"})], r"Must match (?=a)"),
        (Annotated[dict[str, int], pydantic.Field(min_length=1)], "At least 1 entries."),
        (bytes, "In base64."),
    ],
)
def test_what_strict_mode_lacks_is_said_in_words(annotation, told):
    def work(x) -> None: ...

    work.__annotations__ = {"x": annotation}
    made = Tool(work, strict=True)
    assert made.parameters["properties"]["x"]["description"] == told
    check_strict(made.parameters)


def test_a_type_with_other_words_for_it():
    for schema in (
        {"allOf": [{"type": "integer"}], "description": "One."},
        {"oneOf": [{"type": "integer"}, {"type": "null"}]},
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}, "^b": {"type": "string"}}},
        {"type": ["integer", "null"], "format": "odd"},
        {"type": "array", "prefixItems": [{"type": "integer"}], "items": False, "minItems": 1},
    ):
        made = strict_form({"type": "object", "properties": {"x": schema}, "required": ["x"]}, encode=True)
        check_strict(made.schema)


def test_sizes_have_bounds():
    def nested(depth):
        return {"type": "object", "properties": {"x": nested(depth - 1)} if depth else {}, "required": ["x"]}

    assert strict_form(nested(9)).reason is None
    assert "levels, and strict mode allows 10" in strict_form(nested(12)).reason
    many = {"type": "object", "properties": {f"p{n}": {"type": "integer"} for n in range(5001)}}
    assert "5001 properties" in strict_form(many).reason
    long = {"type": "object", "properties": {"x" * 130_000: {"type": "integer"}}}
    assert "characters in names" in strict_form(long).reason


def test_a_recursive_type_is_decoded_at_every_depth():
    def work(tree: Tree, people: dict[str, Person]) -> None: ...

    read = Tool(work, strict=True).form.read
    encoded = {
        "tree": {"value": 1, "kids": [{"value": 2, "kids": None}]},
        "people": [{"key": "a", "value": {"name": "Ada", "age": None}}],
    }
    assert read(json.dumps(encoded)) == {
        "tree": Tree(value=1, kids=[Tree(value=2)]),
        "people": {"a": Person(name="Ada")},
    }


@pytest.mark.parametrize(
    "arguments",
    ['{"x": [{"key": 1}]}', '{"x": [{"key": {}, "value": 1}]}', '{"x": 5}', "[]", '{"x": '],
)
def test_what_is_in_neither_form_is_an_error_for_the_model(arguments):
    def work(x: dict[str, int] | tuple[int, str] | None, y: tuple[int] = (1,)) -> None: ...

    with pytest.raises(ToolError):
        Tool(work, strict=True).form.read(arguments)


def test_unions_of_all_kinds_are_told_apart():
    def work(
        a: dict[str, int] | Literal[1, "a", True] | None,
        b: Tree | dict[str, int],
        c: Point = Point(1),  # noqa: B008
        d: Point = Point(2),  # noqa: B008
        **more: int,
    ) -> None: ...

    tool = Tool(work, strict=True)
    assert tool.parameters["properties"]["c"]["anyOf"] == [{"$ref": "#/$defs/Point"}, {"type": "null"}]
    assert tool.parameters["properties"]["c"]["description"] == 'Default: {"x":1,"y":0}.'
    encoded = {"a": [{"key": "k", "value": 1}], "b": {"value": 1, "kids": None}, "c": None, "d": None, "more": []}
    assert tool.form.read(json.dumps(encoded)) == {"a": {"k": 1}, "b": Tree(value=1)}
    assert tool.form.read(json.dumps({**encoded, "a": None, "b": [], "more": 5})) == {"a": None, "b": {}, "more": 5}
    for value in (1, "a", True):
        assert tool.form.read(json.dumps({**encoded, "a": value}))["a"] == value


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"a": [{"key": "x"}], "b": {"item_0": 1, "item_1": "q"}}', "`a[0].value` is required, but missing"),
        (
            '{"a": [{"key": "x", "value": {"x": "1a", "y": null}}], "b": null}',
            "`a[0].value.x` must be an integer, but is",
        ),
        ('{"a": [], "b": {"item_0": 1, "item_1": "q", "z": 1}}', "`b.z` is not expected"),
        ('{"a": [], "b": {"item_0": 1}}', "`b.item_1` is required, but missing"),
        ('{"a": [], "b": 5}', "`b` must be an object, but is 5"),
        ('{"a": [], "b": null, "c": [{"key": "zz", "value": 1}]}', '`c[0].key` must be one of "r", "b", but is "zz"'),
        ('{"a": [], "b": null, "c": null, "d": 1}', "`d` is not an argument of this tool"),
        (
            '{"a": [{"key": "k", "value": {"x": 1}}, {"key": "k", "value": {"x": 2}}], "b": null}',
            "the key 'k' stands twice",
        ),
        ('{"a": [], "b": {"item_0": true, "item_1": "q"}}', "`b.item_0` must be an integer, but is true"),
    ],
)
def test_what_is_wrong_in_strict_form_is_said_in_strict_form(arguments, told):
    def work(a: dict[str, Point], b: tuple[int, str] | None, c: dict[Literal["r", "b"], int] | None = None) -> None: ...

    with pytest.raises(ToolError) as caught:
        Tool(work, strict=True).form.read(arguments)
    assert told in str(caught.value)


def test_an_enum_of_objects():
    schema = {"anyOf": [{"enum": [{"a": 1}, [1], 2.5]}, {"type": "array", "prefixItems": [{"type": "integer"}]}]}
    made = strict_form({"type": "object", "properties": {"x": schema}, "required": ["x"]}, encode=True)
    assert made.encoded
    assert decoded({"x": {"item_0": 1}}, {"type": "object", "properties": {"x": schema}}, None) == {"x": [1]}
    assert decoded({"x": {"a": 1}}, {"type": "object", "properties": {"x": schema}}, None) == {"x": {"a": 1}}


def test_what_a_type_may_be_is_seen_through_references():
    defs = {
        "A": {"enum": [None, "a"]},
        "B": {"$ref": "#/$defs/A"},
        "C": {"type": "array", "items": {"$ref": "#/$defs/C"}},
    }
    assert allows_null({"$ref": "#/$defs/B"}, defs)
    assert not allows_null({"$ref": "#/$defs/C"}, defs)
    assert not has_work({"$ref": "#/$defs/C"}, defs)
    assert has_work({"anyOf": [{"$ref": "#/$defs/C"}, {"type": "object", "additionalProperties": {}}]}, defs)


def test_keys_that_are_no_texts():
    def work(x: dict[int, str], y: dict[bool, str]) -> None: ...

    encoded = '{"x": [{"key": 1, "value": "a"}], "y": [{"key": true, "value": "b"}]}'
    assert Tool(work, strict=True).form.read(encoded) == {"x": {1: "a"}, "y": {True: "b"}}


def test_wire_names_are_stable():
    assert wire_name("fits_it-1") == "fits_it-1"
    assert wire_name("größe") == wire_name("größe") != wire_name("grösse ")
    assert len(wire_name("ä" * 100)) <= 64
