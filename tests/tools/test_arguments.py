"""What a model may write as arguments, and what it reads when they don't fit."""

import datetime as dt
import decimal
import ipaddress
import pathlib
import uuid
from typing import Annotated, Literal

import pydantic
import pytest

from agentrt import Tool, ToolError
from tests.tools.cases import Cat, Color, Dog, Person, Point, Tree


def work(  # noqa: PLR0917
    a: int = 0,
    b: list[Point] = [],  # noqa: B006
    c: int | list[str] | None = None,
    d: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")] | None = None,
    e: dict[Color, int] = {},  # noqa: B006
    f: Annotated[str, pydantic.Field(min_length=2, max_length=3, pattern="^a")] = "ab",
    g: dt.datetime | None = None,
    h: Annotated[float, pydantic.Field(gt=0, lt=9, multiple_of=0.5)] = 1,
    i: Literal["x"] = "x",
    j: tuple[int, str] | None = None,
    k: bytes = b"",
    m: Annotated[list[int], pydantic.Field(min_length=1, max_length=2)] = [1],  # noqa: B006
    n: uuid.UUID | None = None,
    o: decimal.Decimal = decimal.Decimal(1),
    p: Annotated[int, pydantic.AfterValidator(lambda v: (_ for _ in ()).throw(ValueError("too odd")))] = 0,
    q: dt.timedelta | None = None,
    r: Annotated[int, pydantic.Field(ge=1, le=2)] = 1,
    s: Tree | None = None,
    t: pathlib.Path | None = None,
    u: Person | None = None,
    v: ipaddress.IPv4Address | None = None,
) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"a": "x"}', '`a` must be an integer, but is "x"'),
        ('{"a": 1.5}', "`a` must be an integer, but is 1.5"),
        ('{"a": null}', None),
        ('{"b": [{"x": 1}, {"y": 2}]}', "`b[1].x` is required, but missing"),
        ('{"b": {"x": 1}}', '`b` must be an array, but is {"x":1}'),
        ('{"c": {}}', "`c` must be an integer or an array, but is {}"),
        ('{"c": ["a", 1]}', '`c` must be an integer, but is ["a",1]; `c[1]` must be a string, but is 1'),
        (
            '{"d": {"kind": "cow"}}',
            "`d` must be an object whose 'kind' is one of 'cat', 'dog', but is {\"kind\":\"cow\"}",
        ),
        ('{"d": {}}', "`d` must be an object whose 'kind' is known, but is {}"),
        ('{"d": {"kind": "dog"}}', "`d.name` is required, but missing"),
        ('{"e": {"green": 1}}', "a key of `e.green` must be 'red' or 'blue', but is \"green\""),
        ('{"f": "a"}', '`f` must be at least 2 characters, but is "a"'),
        ('{"f": "abcd"}', '`f` must be at most 3 characters, but is "abcd"'),
        ('{"f": "xx"}', '`f` must be text that matches ^a, but is "xx"'),
        ('{"g": "yesterday"}', '`g` must be a date and time such as 2026-01-31T12:30:00Z, but is "yesterday"'),
        ('{"h": 0}', "`h` must be greater than 0, but is 0"),
        ('{"h": 1.2}', "`h` must be a multiple of 0.5, but is 1.2"),
        ('{"i": "y"}', "`i` must be 'x', but is \"y\""),
        ('{"j": [1, "a", 2]}', '`j` must be at most 2 items, but is [1,"a",2]'),
        ('{"j": [1]}', "`j[1]` is required, but missing"),
        ('{"k": "*"}', '`k` must be text in base64, but is "*"'),
        ('{"k": 5}', "`k` must be text in base64, but is 5"),
        ('{"m": []}', "`m` must be at least 1 items, but is []"),
        ('{"n": "no"}', '`n` must be a UUID, but is "no"'),
        ('{"o": "x"}', '`o` must be a decimal number, but is "x"'),
        ('{"p": 1}', "`p` must be something else: too odd, but is 1"),
        ('{"q": "soon"}', '`q` must be a duration such as PT1H30M, or a number of seconds, but is "soon"'),
        ('{"r": 3}', "`r` must be at most 2, but is 3"),
        ('{"s": {"value": 1, "kids": [{"value": "x"}]}}', '`s.kids[0].value` must be an integer, but is "x"'),
        ('{"t": 5}', "`t` must be a path, but is 5"),
        ('{"u": 5}', "`u` must be an object, but is 5"),
        ('{"a": 1e999}', "`a` must be a finite number, but is inf"),
        ('{"v": "x"}', '`v` must be valid (input is not a valid IPv4 address), but is "x"'),
        ('{"a": 1, "a": 2}', "the name 'a' stands twice in one object"),
        ('{"b": [{"x": 1, "x": 2}]}', "the name 'x' stands twice in one object"),
        ('{"b": [{"x": 1, "\\u0078": 2}]}', "the name 'x' stands twice in one object"),
        ('{"g": "2026-01-31T12:30:00Z", "a": 1}', None),
        ('{"h": NaN}', "the arguments are not valid JSON"),
        ('{"a": "\\ud800"}', "the arguments are not valid JSON"),
        ('{"a": "\ud800"}', "half a character"),
        ('{"a": ', "the arguments are not valid JSON"),
        ("[1]", "the arguments must be a JSON object, but are [1]"),
        (5, "the arguments must be a JSON object, but are 5"),
        ({"a": float("nan")}, "the arguments are not JSON values"),
        ({"a": "7"}, None),
        ("  ", None),
        ('{"zz": 1, "yy": 2}', "`zz` is not an argument of this tool; it takes a, b, c,"),
        ('{"b": ' + "[" * 300 + "]" * 300 + "}", "recursion limit exceeded"),
        ('{"b": [' + ",".join(['{"y": 1}'] * 30) + "]}", "and 20 more"),
    ],
)
def test_what_does_not_fit_is_said_in_the_words_of_json(arguments, told):
    form = Tool(work).form
    if told is None:
        form.read(arguments)
        return
    with pytest.raises(ToolError) as caught:
        form.read(arguments)
    assert told in str(caught.value)
    assert "pydantic" not in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_nan_is_refused_where_any_number_goes():
    def anything(x, y: str = "") -> None: ...

    form = Tool(anything).form
    with pytest.raises(ToolError, match="NaN and Infinity are no JSON"):
        form.read('{"x": [NaN]}')
    assert form.read('{"x": 1, "y": "NaN: not a number"}') == {"x": 1, "y": "NaN: not a number"}


def test_colons_in_texts_are_no_second_names():
    def texts(x: str, y: dict[str, str]) -> None: ...

    given = '{"x": "a: b: c", "y": {"k": "12:30:00", "l": "\\u003a"}}'
    assert Tool(texts).form.read(given) == {"x": "a: b: c", "y": {"k": "12:30:00", "l": ":"}}


def test_an_enum_written_badly_by_a_hook_of_the_users_own():
    class Odd:
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            raise RuntimeError("boom")

    def work(x: Odd) -> None: ...

    from agentrt import UsageError

    with pytest.raises(UsageError, match=r"parameter 'x' has the type .*boom"):
        Tool(work).definition()
