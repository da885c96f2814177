# ruff: noqa: UP007, UP045 - it is about the forms that people write
"""Structured answers: what the model is asked for, and the way back from its JSON to Python."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import json
import sys
import threading
import typing
import uuid
from typing import Annotated, Any, Generic, Literal, NewType, Optional, Union

import jsonschema
import pydantic
import pytest
import typing_extensions
from pydantic import Field

from agentrt import Context, Tool, ToolError, ToolRetry, UsageError
from agentrt.registry.annotation import typed
from agentrt.registry.outputs import FINAL_ANSWER, OutputForm
from tests.tools.cases import (
    Box,
    Color,
    Crate,
    Ints,
    Json,
    Level,
    Line,
    Nested,
    New,
    Old,
    Pair,
    Person,
    Pet,
    Point,
    Tree,
)
from tests.tools.test_strict import check_strict, encode


class Report(pydantic.BaseModel):
    """What was found."""

    title: str
    tags: list[str] = []
    score: Optional[float] = None


class Team(pydantic.BaseModel):
    lead: Person
    members: dict[str, Person]
    pets: list[Pet] = []


class Loose(pydantic.BaseModel, extra="allow"):
    a: int


class Shut(pydantic.BaseModel, extra="forbid"):
    a: int = Field(alias="A", ge=0)


class Span(pydantic.BaseModel):
    start: int
    end: int

    @pydantic.model_validator(mode="after")
    def in_order(self):
        if self.end < self.start:
            raise ValueError("end is before start")
        return self


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Empty(pydantic.BaseModel):
    pass


class Valued(pydantic.BaseModel):
    value: int


class Flag(enum.Flag):
    A = 1
    B = 2


Name = NewType("Name", str)
Recursive = typing_extensions.TypeAliasType("Recursive", "list[Recursive] | int")
P = typing.TypeVar("P")


@dataclasses.dataclass(frozen=True)
class Linked(Generic[P]):
    item: P
    rest: Optional["Linked[P]"] = None


WHEN = dt.datetime(2026, 1, 31, 12, 30, tzinfo=dt.UTC)
TYPES = [
    # objects: the root is the type's own
    (Report, Report(title="t", tags=["a"], score=1.5)),
    (Report, Report(title="t")),
    (Point, Point(1, 2)),
    (Line, Line(Point(1), Point(2, 3))),
    (Old, {"a": 1}),
    (Old, {"a": 1, "b": "x"}),
    (New, {"a": 1}),
    (Nested, {"old": {"a": 1, "b": "x"}}),
    (Person, Person(name="Ann", age=3)),
    (Tree, Tree(value=1, kids=[Tree(value=2, kids=[Tree(value=3)])])),
    (Team, Team(lead=Person(name="Ann"), members={"b": Person(name="Bob", age=2)})),
    (Box[int], Box[int](item=1)),
    (Crate[list[str]], Crate(["a"])),
    (Linked[int], Linked(1, Linked(2))),
    (Shut, Shut(A=1)),
    (Empty, Empty()),
    (Valued, Valued(value=3)),
    (Annotated[Person, Field(description="Who.")], Person(name="Ann")),
    # all else comes as {"value": …}
    (int, 5),
    (bool, True),
    (float, 1.5),
    (type(None), None),
    (Any, {"value": [1]}),
    (list[int], [1, 2]),
    (list[Report], [Report(title="t")]),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (tuple[int, str], (1, "x")),
    (tuple[int, ...], (1, 2, 3)),
    (dict[str, int], {"a": 1}),
    (dict[str, int], {"value": 1}),
    (dict[str, int], {}),
    (dict[int, list[str]], {1: ["x"]}),
    (dict[str, dict[str, Point]], {"a": {"b": Point(1)}}),
    (collections.OrderedDict[str, int], collections.OrderedDict(a=1)),
    (Literal["yes", "no"], "no"),
    (Literal[1, "a", True], "a"),
    (Color, Color.BLUE),
    (Level, Level.HIGH),
    (Flag, Flag.B),
    (Pair, Pair(1, "x")),
    (Optional[int], None),
    (Optional[Person], Person(name="Ann")),
    (Optional[Person], None),
    (Union[int, str], "5"),
    (Union[Person, Point], Point(1, 2)),
    (Union[Valued, list[int]], Valued(value=1)),
    (Pet, pydantic.TypeAdapter(Pet).validate_python({"kind": "dog", "name": "Rex"})),
    (list[Pet], [pydantic.TypeAdapter(Pet).validate_python({"kind": "cat", "lives": 7})]),
    (dt.datetime, WHEN),
    (dt.date, WHEN.date()),
    (dt.timedelta, dt.timedelta(hours=1.5)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (uuid.UUID, uuid.UUID(int=1)),
    (bytes, b"\xff\x00"),
    (Annotated[int, Field(ge=1, le=9)], 5),
    (Annotated[str, "In French."], "oui"),
    (Annotated[int, Field(default=7)], 7),
    (Annotated[int, Field(default=7)], 3),
    (Name, "Ann"),
    (Numbers, Numbers([1, 2])),
    (Ints, [1]),
    (Json, {"a": [1, None, {"b": "c"}]}),
    (Recursive, [1, [2, []]]),
    (Loose, Loose(a=1, b="x")),
]
NEVER_STRICT = [Any, Json, Loose]
ids = pytest.mark.parametrize(("output_type", "value"), TYPES, ids=lambda part: f"{part!r:.40}")


def written(form, output_type, value):
    """Write a value as a model would: in the form that the schema asks for."""
    natural = form._reader.natural
    dumped = typed(output_type).dumped(value) if output_type is not Old else value
    if isinstance(dumped, dict) and output_type is Shut:
        dumped = {"A": dumped["a"]}
    told = dumped if form._is_object else {"value": dumped}
    if form.format["strict"]:
        return encode(told, natural, natural.get("$defs", {}))
    return told


@ids
@pytest.mark.parametrize("strict", ["auto", True, False])
async def test_every_type_comes_back_as_it_was_meant(output_type, value, strict):
    if strict is True and output_type in NEVER_STRICT:
        with pytest.raises(UsageError, match="can't be strict"):
            OutputForm(output_type, strict=strict)
        return
    form = OutputForm(output_type, strict=strict)
    schema = form.format["schema"]
    assert schema["type"] == "object"
    assert form.definition["parameters"] == schema
    if form.format["strict"]:
        check_strict(schema)
    told = written(form, output_type, value)
    jsonschema.validate(told, schema)
    text = json.dumps(told)
    for found in (await form.read(text), form.decode(text)):
        assert (found, type(found)) == (value, type(value))


@ids
def test_the_natural_form_is_understood_too(output_type, value):
    told = json.dumps(typed(output_type).dumped(value))
    if output_type is Shut or '"value"' in told[:9]:
        return  # aliases differ; and what has a "value" of its own is taken for the wrapper
    for strict in ("auto", True):
        if strict is True and output_type in NEVER_STRICT:
            continue
        found = OutputForm(output_type, strict=strict).decode(told)
        assert (found, type(found)) == (value, type(value))


def test_a_typed_dict_of_typing_is_read():
    class Place(typing.TypedDict):
        city: str
        near: typing.NotRequired[str]

    form = OutputForm(Place)
    assert form.format["name"] == "Place"
    assert form.decode('{"city": "Paris", "near": null}') == {"city": "Paris"}
    assert OutputForm(list[Place]).decode('{"value": [{"city": "Paris"}]}') == [{"city": "Paris"}]


if sys.version_info >= (3, 12):  # PEP 695

    def test_type_statements_and_type_parameters():  # pragma: no cover - from 3.12 on
        names: dict[str, Any] = {}
        exec("type Ids = list[int]\ntype Forest = dict[str, Forest] | int", names)
        assert OutputForm(names["Ids"]).decode('{"value": [1]}') == [1]
        assert OutputForm(names["Forest"]).decode('{"a": {"b": 1}}') == {"a": {"b": 1}}


def test_what_goes_into_the_request():
    form = OutputForm(Report)
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "tags": {"type": ["array", "null"], "items": {"type": "string"}, "description": "Default: []."},
            "score": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        },
        "required": ["title", "tags", "score"],
        "additionalProperties": False,
    }
    assert form.format == {
        "type": "json_schema",
        "name": "Report",
        "schema": schema,
        "strict": True,
        "description": "What was found.",
    }
    assert form.definition == {
        "type": "function",
        "name": FINAL_ANSWER,
        "description": "Give the final answer by calling this tool. What was found.",
        "parameters": schema,
        "strict": True,
    }
    plain = OutputForm(list[int], name="my numbers", strict=False)
    assert plain.format["name"].startswith("my_numbers")
    assert plain.format["strict"] is plain.definition["strict"] is False
    assert plain.definition["description"] == "Give the final answer by calling this tool."
    assert OutputForm(int).format["name"] == FINAL_ANSWER
    assert OutputForm(dict[str, int]).format["strict"] is False
    assert OutputForm(dict[str, int], strict=True).format["strict"] is True


async def test_plain_text_asks_for_nothing():
    form = OutputForm(str, validators=[str.strip])
    assert form.text
    assert form.format == {"type": "text"}
    assert form.definition == {}
    assert form.decode(" {a} ") == " {a} "
    assert await form.read(" {a} ") == "{a}"
    assert not OutputForm(Name).text


@pytest.mark.parametrize(
    ("output_type", "told"),
    [
        (print, "is a function; pass the type that it returns"),
        (lambda: 1, "is a function"),
        (functools.partial(int, "1"), "is a function"),
        (Tool(test_plain_text_asks_for_nothing), "is a function"),
        ("Report", "is a text; pass the type itself, without quotes"),
        (type(threading.Lock()), "no JSON schema can say; use builtin types, dataclasses"),
        (collections.abc.Callable[[], int], "no JSON schema can say"),
        (Report(title="t"), "no JSON schema can say"),
        ([Report, int], "no JSON schema can say"),
    ],
)
def test_what_is_no_type_of_an_answer_says_what_to_do(output_type, told):
    with pytest.raises(UsageError) as raised:
        OutputForm(output_type)
    assert told in str(raised.value)


def test_strict_is_checked():
    with pytest.raises(UsageError, match="strict must be True, False or 'auto', but is 'yes'"):
        OutputForm(int, strict="yes")
    with pytest.raises(UsageError, match=r"output_type .*Loose.* can't be strict: .*leave strict at 'auto'"):
        OutputForm(Loose, strict=True)


# --- wrong answers


@pytest.mark.parametrize(
    ("output_type", "strict", "text", "told"),
    [
        (Report, "auto", '{"tags": [1]}', "the contents of the answer don't fit: `title` is required, but missing; `tags[0]` must be a string, but is 1"),
        (Report, "auto", "[1]", "the contents of the answer must be a JSON object, but are [1]"),
        (Shut, "auto", '{"A": 1, "b": 2}', "`b` is not a field of the answer; it takes A"),
        (Shut, "auto", '{"A": -1}', "`A` must be at least 0, but is -1"),
        (Span, "auto", '{"start": 2, "end": 1}', "the whole must be something else: end is before start, but is {"),
        (int, "auto", '{"value": "x"}', '`value` must be an integer, but is "x"'),
        (int, "auto", '{"value": 1, "why": "x"}', "`why` is not a field of the answer; it takes value"),
        (int, "auto", "{}", "`value` must be an integer, but is {}"),
        (list[int], "auto", '[1, "x"]', '`value[1]` must be an integer, but is "x"'),
        (Color, "auto", '"green"', "`value` must be 'red' or 'blue', but is \"green\""),
        (Pet, "auto", '{"value": {"kind": "cow"}}', "`value` must be an object whose 'kind' is one of 'cat', 'dog'"),
        (dict[str, int], "auto", '{"value": 3}', "`value` must be an object, but is 3"),
        (dict[str, int], True, '{"value": 3}', "`value` must be an array, but is 3"),
        (dict[str, int], True, '{"value": [], "more": 1}', "`more` is not a field of the answer"),
        (Team, True, "5", "the whole must be an object, but is 5"),
        (float, "auto", '{"value": NaN}', "the answer is not valid JSON"),
        (float, "auto", '{"value": 1e999}', "`value` must be a finite number, but is inf"),
        (Any, "auto", '{"a": 1e999}', "NaN and Infinity are no JSON"),
        (Report, "auto", '{"title": "a", "title": "b"}', "the name 'title' stands twice in one object"),
        (Report, "auto", '{"title": "\ud800"}', "the answer is not valid JSON"),
        (Json, "auto", "[" * 10_000, "the answer is not valid JSON (recursion limit exceeded"),
        (Report, "auto", "", "the answer is not valid JSON"),
        (Report, "auto", '{"title": "a"', "the answer is not valid JSON"),
        (Report, "auto", "The title is a.", "write the JSON alone, without words around it"),
        (int, "auto", "1" * 1024 * 1025, "the answer has 1049600 characters; at most 1048576 are allowed"),
    ],
)  # fmt: skip
def test_a_wrong_answer_tells_the_model_what_to_mend(output_type, strict, text, told):
    with pytest.raises(ToolError) as raised:
        OutputForm(output_type, strict=strict).decode(text)
    assert told in str(raised.value)
    assert len(str(raised.value)) < 400


def test_the_wrapper_wins_over_a_value_of_the_same_name():
    assert OutputForm(dict[str, dict[str, int]]).decode('{"value": {"a": {"b": 1}}}') == {"a": {"b": 1}}
    assert OutputForm(dict[str, int]).decode('{"a": 1, "b": 2}') == {"a": 1, "b": 2}


def test_null_for_what_has_a_default_means_left_out():
    form = OutputForm(Annotated[int, Field(default=7)])
    assert form.format["strict"]
    assert form.decode('{"value": null}') == 7


FENCED = [
    '```json\n{"title": "t"}\n```',
    'Here it is:\n\n```json\n{"title": "t"}\n```\nBye.',
    '```\n{"title": "t"}\n```',
    '```JSON5 {"title": "t"}```',
    '\n  {"title": "t"}\n',
]


@pytest.mark.parametrize("text", FENCED)
async def test_json_in_one_fenced_block_is_found(text):
    assert await OutputForm(Report).read(text) == Report(title="t")


def test_fences_inside_of_the_json_stay():
    for text in ('{"title": "```a```"}', 'So:\n```json\n{"title": "```a```"}\n```'):
        assert OutputForm(Report).decode(text).title == "```a```"
    assert OutputForm(int).decode("```\n5\n```") == 5
    assert OutputForm(bool).decode("```true```") is True


@pytest.mark.parametrize(
    "text",
    ['```json\n{"title": "a"}\n```\nor\n```json\n{"title": "b"}\n```', '```json\n{"title": ', 'So: {"title": "a"}'],
)
def test_what_is_not_one_value_is_refused(text):
    with pytest.raises(ToolError, match="the answer is not valid JSON"):
        OutputForm(Report).decode(text)


def test_many_open_fences_take_no_time():
    with pytest.raises(ToolError, match="the answer is not valid JSON"):
        OutputForm(Report).decode("```json\n" * 100_000)


# --- validators


async def test_validators_get_the_value_in_order_and_the_context_when_they_ask():
    seen = []

    def plain(value):
        seen.append(("plain", threading.current_thread() is threading.main_thread()))
        return value + 1

    async def late(value):
        return value * 10

    def by_name(context: Context[str], value: int, slowly: bool = True):
        seen.append((context.deps, slowly))
        return value + 2

    def by_place(ctx, value):
        return value + len(ctx.deps)

    def other_order(value: int, context: Context[str]):
        return value + len(context.deps)

    async def of_an_unknown_type(context: "Context", value: "Unknown"):  # noqa: F821
        return value + len(context.deps)

    class Checker:
        async def __call__(self, value):
            return value + 100

        def method(self, value):
            return value + 1000

    validators = [
        *(plain, late, by_name, by_place, other_order, of_an_unknown_type, Checker(), Checker().method),
        *(functools.partial(max, 5), int, lambda *all: all[0]),
    ]
    form = OutputForm(int, validators=validators)
    assert await form.read("1", Context("abc")) == 20 + 2 + 3 * 3 + 100 + 1000
    assert seen == [("plain", False), ("abc", True)]
    assert form.decode("1") == 1


async def test_a_validator_gets_a_context_without_deps_where_there_is_none():
    def check(context, value):
        assert context.deps is None
        return value

    assert await OutputForm(int, validators=[check]).read("1") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ToolError("too short"), "too short"),
        (ToolRetry("once more"), "once more"),
        (ValueError("no such city"), "no such city"),
        (AssertionError("must rhyme"), "must rhyme"),
        (AssertionError(), "the validator 'check' refused the answer"),
    ],
)
async def test_what_a_validator_says_reaches_the_model(error, told):
    def check(value):
        raise error

    async def check_too(value):
        raise error

    check_too.__name__ = "check"
    for function in (check, check_too):
        with pytest.raises(ToolError) as raised:
            await OutputForm(int, validators=[function]).read("1")
        assert str(raised.value) == told


async def test_a_bug_in_a_validator_stays_one():
    def check(value):
        return {}["x"]

    with pytest.raises(KeyError):
        await OutputForm(int, validators=[check]).read("1")


async def test_a_validator_that_forgets_to_return_is_told_so():
    def check(value):
        assert value is not None

    with pytest.raises(UsageError, match="the validator 'check' returned None; return the value, changed or not"):
        await OutputForm(int, validators=[check]).read("1")
    with pytest.raises(UsageError, match="returned None"):
        await OutputForm(str, validators=[check]).read("a")
    assert await OutputForm(Optional[int], validators=[lambda value: None]).read("1") is None


@pytest.mark.parametrize(
    ("validator", "told"),
    [
        (5, "the validator '5' is no function"),
        (lambda: 1, r"takes \(\); write it with \(value\), or with \(context, value\)"),
        (lambda a, b, c: 1, r"takes \(a, b, c\)"),
        (lambda a, *, b: 1, r"takes \(a, \*, b\)|takes \(a, b\)"),
        (lambda **more: 1, r"takes \(\*\*more\)"),
    ],
)
def test_what_is_no_validator_is_refused_at_once(validator, told):
    with pytest.raises(UsageError, match=told):
        OutputForm(int, validators=[validator])
