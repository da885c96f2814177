# ruff: noqa: B008, ICN001, PYI061, UP007, UP045 - it is about the forms that people write
"""The type matrix: what a signature can say, the JSON that a model gives, and what the function must receive.

No future import here: annotations are objects. ``cases_as_strings.py`` has those that PEP 563 makes hard.
"""

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import typing
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import pydantic
import typing_extensions
from pydantic import Field
from typing_extensions import TypeAliasType, Unpack


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    """A place."""

    x: int
    """How far right."""
    y: int = 0


@dataclasses.dataclass(frozen=True)
class Line:
    start: Point
    end: Point = dataclasses.field(default_factory=lambda: Point(9, 9))


class Person(pydantic.BaseModel):
    name: str
    age: int = Field(default=0, description="In years.", ge=0)


class Tree(pydantic.BaseModel):
    value: int
    kids: list["Tree"] = []


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Old(TypedDict):
    a: int
    b: typing.NotRequired[str]


class New(typing_extensions.TypedDict, total=False):
    a: typing_extensions.Required[typing_extensions.ReadOnly[int]]
    b: str


class Nested(TypedDict):
    old: Old


class Pair(NamedTuple):
    left: int
    right: str = "r"


T = TypeVar("T")
B = TypeVar("B", bound=int)
UserId = NewType("UserId", int)
Ints = TypeAliasType("Ints", list[int])
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")


class Box(pydantic.BaseModel, Generic[T]):
    item: T


@dataclasses.dataclass
class Crate(Generic[T]):
    item: T


class Counter:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __call__(self, by: int) -> int:
        """Count on."""
        return self.start + by

    def method(self, by: int) -> int:
        return self.start + by

    @classmethod
    def make(cls, start: int) -> int:
        return start

    @staticmethod
    def still(x: int) -> int:
        return x


def builtins(i: int, f: float, s: str, b: bool, n: None): ...
def no_annotation(x): ...
def annotated(x: Annotated[int, "How many."]): ...
def field(x: Annotated[int, Field(description="How many.", ge=1, le=9)]): ...
def field_default(x: int = Field(5, description="How many.")): ...
def annotated_default(x: Annotated[int, Field(default=7)]): ...
def literal(x: Literal["a", 1, True, None]): ...
def enumeration(x: Color): ...
def int_enum(x: Level): ...
def union(x: int | str): ...
def optional(x: Optional[int] = None): ...
def optional_required(x: int | None): ...
def optional_with_default(x: int | None = 5): ...
def old_union(x: Union[int, list[str]]): ...
def dataclass(x: Point): ...
def dataclass_default(x: Point = Point(1)): ...
def dataclass_nested(x: Line): ...
def model(x: Person): ...
def model_list(x: list[Person]): ...
def typing_typed_dict(x: Old): ...
def extensions_typed_dict(x: New): ...
def nested_typed_dict(x: list[Nested]): ...
def named_tuple(x: Pair): ...
def recursive(x: Tree): ...
def discriminated(x: Pet): ...
def generic_model(x: Box[int]): ...
def generic_dataclass(x: Crate[Point]): ...
def args(*x: int): ...
def args_after(a: int, b: int = 2, *x: int): ...
def kwargs(**x: int): ...
def kwargs_beside(a: int, **x: Point): ...
def kwargs_unpacked(**x: Unpack[Old]): ...
def positional_only(a: int, b: int = 2, /, c: int = 3): ...
def keyword_only(*, a: int, b: int = 2): ...
def mapping(x: dict[str, int]): ...
def mapping_of_models(x: dict[str, Person]): ...
def mapping_of_enum_keys(x: dict[Color, int]): ...
def int_keys(x: dict[int, str]): ...
def any_dict(x: dict): ...
def datetimes(x: datetime.datetime): ...
def dates(x: datetime.date): ...
def times(x: datetime.time): ...
def timedeltas(x: datetime.timedelta): ...
def uuids(x: uuid.UUID): ...
def decimals(x: decimal.Decimal): ...
def paths(x: pathlib.Path): ...
def some_bytes(x: bytes): ...
def bytes_in_list(x: list[bytes]): ...
def sets(x: set[int]): ...
def frozensets(x: frozenset[str]): ...
def tuples(x: tuple[int, str]): ...
def open_tuples(x: tuple[int, ...]): ...
def deques(x: collections.deque[int]): ...
def lists(x: list[list[int]]): ...
def plain_list(x: list): ...
def sequence(x: collections.abc.Sequence[int]): ...
def constraints(x: Annotated[str, Field(min_length=2, max_length=3, pattern="^a")]): ...
def new_type(x: UserId): ...
def type_var(x: T, y: B): ...
def alias(x: Ints): ...
def recursive_alias(x: Json): ...
def object_any(x: Any): ...
def names(schema: int, json: int, copy: int, self_: int, cls: int, model_config: int, _x: int, ctx: int): ...
def three(a: int, b: int, c: int): ...
async def coroutine(x: int): ...
def strict_field(x: Annotated[int, Field(strict=True)]): ...
def many_defaults(a: str = "x", b: list[int] = [1, 2], c: Color = Color.RED, d: float = 1.5, e: bool = True): ...  # noqa: B006


NOW = datetime.datetime(2026, 1, 31, 12, 30, tzinfo=datetime.UTC)
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")

CASES = [
    # function, arguments as a model gives them, what the function must receive (args, kwargs)
    (
        builtins,
        {"i": 1, "f": 2, "s": "a", "b": True, "n": None},
        ((), {"i": 1, "f": 2.0, "s": "a", "b": True, "n": None}),
    ),
    (
        builtins,
        {"i": "1", "f": "2.5", "s": "a", "b": "true", "n": None},
        ((), {"i": 1, "f": 2.5, "s": "a", "b": True, "n": None}),
    ),
    (no_annotation, {"x": [1, {"a": 2}]}, ((), {"x": [1, {"a": 2}]})),
    (annotated, {"x": 3}, ((), {"x": 3})),
    (field, {"x": 9}, ((), {"x": 9})),
    (field_default, {}, ((), {"x": 5})),
    (annotated_default, {}, ((), {"x": 7})),
    (literal, {"x": None}, ((), {"x": None})),
    (enumeration, {"x": "blue"}, ((), {"x": Color.BLUE})),
    (int_enum, {"x": 2}, ((), {"x": Level.HIGH})),
    (union, {"x": "1"}, ((), {"x": "1"})),
    (optional, {}, ((), {})),
    (optional, {"x": None}, ((), {"x": None})),
    (optional_required, {"x": 3}, ((), {"x": 3})),
    (optional_with_default, {"x": None}, ((), {"x": None})),
    (old_union, {"x": ["a"]}, ((), {"x": ["a"]})),
    (dataclass, {"x": {"x": "1"}}, ((), {"x": Point(1, 0)})),
    (dataclass_default, {}, ((), {})),
    (dataclass_nested, {"x": {"start": {"x": 1, "y": 2}}}, ((), {"x": Line(Point(1, 2), Point(9, 9))})),
    (model, {"x": {"name": "Ada"}}, ((), {"x": Person(name="Ada")})),
    (model_list, {"x": [{"name": "Ada", "age": 3}]}, ((), {"x": [Person(name="Ada", age=3)]})),
    (typing_typed_dict, {"x": {"a": "1"}}, ((), {"x": {"a": 1}})),
    (extensions_typed_dict, {"x": {"a": 1, "b": "c"}}, ((), {"x": {"a": 1, "b": "c"}})),
    (nested_typed_dict, {"x": [{"old": {"a": "1"}}]}, ((), {"x": [{"old": {"a": 1}}]})),
    (named_tuple, {"x": [1, "b"]}, ((), {"x": Pair(1, "b")})),
    (named_tuple, {"x": [1]}, ((), {"x": Pair(1)})),
    (recursive, {"x": {"value": 1, "kids": [{"value": 2}]}}, ((), {"x": Tree(value=1, kids=[Tree(value=2)])})),
    (discriminated, {"x": {"kind": "dog", "name": "Rex"}}, ((), {"x": Dog(kind="dog", name="Rex")})),
    (generic_model, {"x": {"item": "1"}}, ((), {"x": Box[int](item=1)})),
    (generic_dataclass, {"x": {"item": {"x": 1}}}, ((), {"x": Crate(Point(1))})),
    (args, {"x": [1, "2"]}, ((1, 2), {})),
    (args, {}, ((), {})),
    (args_after, {"a": 1, "x": [5]}, ((1, 2, 5), {})),
    (args_after, {"a": 1, "b": 3}, ((), {"a": 1, "b": 3})),
    (kwargs, {"a": 1, "b": "2"}, ((), {"a": 1, "b": 2})),
    (kwargs_beside, {"a": 1, "p": {"x": 1}}, ((), {"a": 1, "p": Point(1)})),
    (kwargs_unpacked, {"a": 1}, ((), {"a": 1})),
    (kwargs_unpacked, {"a": 1, "b": "c"}, ((), {"a": 1, "b": "c"})),
    (positional_only, {"a": 1, "c": 5}, ((1, 2), {"c": 5})),
    (keyword_only, {"a": 1}, ((), {"a": 1})),
    (mapping, {"x": {"a": "1"}}, ((), {"x": {"a": 1}})),
    (mapping_of_models, {"x": {"a": {"name": "Ada"}}}, ((), {"x": {"a": Person(name="Ada")}})),
    (mapping_of_enum_keys, {"x": {"red": 1}}, ((), {"x": {Color.RED: 1}})),
    (int_keys, {"x": {"1": "a"}}, ((), {"x": {1: "a"}})),
    (any_dict, {"x": {"a": [1]}}, ((), {"x": {"a": [1]}})),
    (datetimes, {"x": "2026-01-31T12:30:00Z"}, ((), {"x": NOW})),
    (dates, {"x": "2026-01-31"}, ((), {"x": NOW.date()})),
    (times, {"x": "12:30:00"}, ((), {"x": datetime.time(12, 30)})),
    (timedeltas, {"x": "PT1H30M"}, ((), {"x": datetime.timedelta(minutes=90)})),
    (timedeltas, {"x": 90}, ((), {"x": datetime.timedelta(seconds=90)})),
    (uuids, {"x": str(ID)}, ((), {"x": ID})),
    (decimals, {"x": "1.10"}, ((), {"x": decimal.Decimal("1.10")})),
    (decimals, {"x": 2}, ((), {"x": decimal.Decimal(2)})),
    (paths, {"x": "a/b.txt"}, ((), {"x": pathlib.Path("a/b.txt")})),
    (some_bytes, {"x": "//79"}, ((), {"x": b"\xff\xfe\xfd"})),
    (bytes_in_list, {"x": ["AAE="]}, ((), {"x": [b"\x00\x01"]})),
    (sets, {"x": [1, 2, 2]}, ((), {"x": {1, 2}})),
    (frozensets, {"x": ["a"]}, ((), {"x": frozenset({"a"})})),
    (tuples, {"x": [1, "a"]}, ((), {"x": (1, "a")})),
    (open_tuples, {"x": [1, 2, 3]}, ((), {"x": (1, 2, 3)})),
    (deques, {"x": [1, 2]}, ((), {"x": collections.deque([1, 2])})),
    (lists, {"x": [[1], []]}, ((), {"x": [[1], []]})),
    (plain_list, {"x": [1, "a"]}, ((), {"x": [1, "a"]})),
    (sequence, {"x": [1]}, ((), {"x": [1]})),
    (constraints, {"x": "ab"}, ((), {"x": "ab"})),
    (new_type, {"x": 4}, ((), {"x": 4})),
    (type_var, {"x": "anything", "y": "3"}, ((), {"x": "anything", "y": 3})),
    (alias, {"x": ["1"]}, ((), {"x": [1]})),
    (recursive_alias, {"x": {"a": [1, {"b": None}]}}, ((), {"x": {"a": [1, {"b": None}]}})),
    (object_any, {"x": 1.5}, ((), {"x": 1.5})),
    (
        names,
        dict.fromkeys(["schema", "json", "copy", "self_", "cls", "model_config", "_x", "ctx"], 1),
        ((), dict.fromkeys(["schema", "json", "copy", "self_", "cls", "model_config", "_x", "ctx"], 1)),
    ),
    (coroutine, {"x": 1}, ((), {"x": 1})),
    (strict_field, {"x": 1}, ((), {"x": 1})),
    (many_defaults, {"c": "blue"}, ((), {"c": Color.BLUE})),
    (functools.partial(three, 1), {"b": 2, "c": 3}, ((), {"b": 2, "c": 3})),
    (functools.partial(three, c=5), {"a": 1, "b": 2}, ((), {"a": 1, "b": 2})),
    (Counter(3).method, {"by": 2}, ((), {"by": 2})),
    (Counter.make, {"start": 2}, ((), {"start": 2})),
    (Counter.still, {"x": 2}, ((), {"x": 2})),
    (Counter(4), {"by": "2"}, ((), {"by": 2})),
    (Counter, {"start": 7}, ((), {"start": 7})),
]
