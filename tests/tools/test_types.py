"""Everything that a signature can say: the schema, and what the function receives."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys
import types

import pydantic
import pytest

from agentrt import Context, Registry, Tool, UsageError, tool
from tests.tools import cases_as_strings
from tests.tools.cases import CASES, Counter, Level, Pair, Point


def name_of(case):
    function = case[0] if isinstance(case, tuple) else case
    return getattr(getattr(function, "func", function), "__name__", type(function).__name__)


def recorder(built):
    """Let a tool tell what its function would be called with."""
    seen = []
    built.function = lambda *args, **kwargs: seen.append((args, kwargs))
    built.is_async = built.is_generator = False
    return seen


COUNT = itertools.count()


def call(name, arguments, **more):
    return {"type": "function_call", "call_id": f"c{next(COUNT)}", "name": name, "arguments": arguments, **more}


def same(one, other):
    return one == other and type(one) is type(other)


NOT_STRICT = {"no_annotation", "any_dict", "plain_list", "object_any", "type_var", "recursive_alias"}


@pytest.mark.parametrize("strict", ["auto", True, False])
@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_the_function_receives_what_it_asked_for(case, strict):
    function, arguments, (args, kwargs) = case
    built = Tool(function, strict=strict)
    if strict is True and name_of(case) in NOT_STRICT:
        with pytest.raises(UsageError, match="can't be strict"):
            built.definition()
        return
    assert built.definition()["parameters"]["type"] == "object"
    seen = recorder(built)
    (output,) = await Registry([built]).dispatch([call(built.name, json.dumps(arguments))])
    assert output["output"] == "null", output["output"]
    ((given, named),) = seen
    assert all(map(same, given, args)), (given, args)
    assert len(given) == len(args)
    assert named.keys() == kwargs.keys()
    assert all(same(named[name], kwargs[name]) for name in kwargs), (named, kwargs)


def test_few_types_cannot_be_strict():
    failing = set()
    for function, _, _ in CASES:
        try:
            Tool(function, strict=True).definition()
        except UsageError:
            failing.add(name_of(function))
    assert failing == NOT_STRICT
    assert len({name_of(case) for case in CASES}) >= 60


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_schemas_are_small_and_stable(case):
    function = case[0]
    text = json.dumps(Tool(function).parameters)
    assert text == json.dumps(Tool(function).parameters)
    assert '"title"' not in text
    assert '"default": null' not in text
    definitions = Tool(function).parameters.get("$defs", {})
    assert all(text.count(f'"#/$defs/{name}"') > 1 for name in definitions)


async def test_types_that_only_a_function_knows():
    takes_local, deeper, seen, (local, model) = cases_as_strings.make_tools()
    registry = Registry([takes_local, deeper])
    outputs = await registry.dispatch(
        [
            call("takes_local", '{"a": {"x": 1}, "b": [{"y": 2}], "c": {"z": "3"}}'),
            call("deeper", '{"a": {"k": {"x": 1}}, "rest": [{"y": 2}]}'),
        ],
        deps="deps",
        parallel=False,
    )
    assert [output["output"] for output in outputs] == ["ok", "ok"]
    assert seen[0] == (local(1), [model(y=2)], {"z": 3})
    context, given, rest = seen[1]
    assert (context.deps, given, rest) == ("deps", {"k": local(1)}, (model(y=2),))


def test_a_type_that_only_a_type_checker_knows():
    assert Tool(cases_as_strings.hidden_return).definition()["name"] == "hidden_return"
    assert Tool(cases_as_strings.hidden_return).output_schema is None
    with pytest.raises(UsageError, match=r"'Hidden' of parameter 'x' can't be resolved.*not only under TYPE_CHECKING"):
        Tool(cases_as_strings.hidden_parameter).definition()


def test_a_method_that_names_its_own_class():
    with pytest.raises(UsageError, match="parameter 'other' has the type"):
        Tool(cases_as_strings.Later().method).definition()


def check_type_parameters_and_type_statements():
    script = (
        "from __future__ import annotations\n"
        "import json\nfrom agentrt import Tool\n"
        "type Ints = list[int]\ntype Tree = dict[str, Tree] | int\n"
        "def f[T: int](a: T, b: list[T], c: Ints, d: Tree): ...\n"
        'print(json.dumps(Tool(f).parameters), Tool(f).form.read(\'{"a": "1", "b": ["2"], "c": [3], "d": {"k": 1}}\'))\n'
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "{'a': 1, 'b': [2], 'c': [3], 'd': {'k': 1}}" in done.stdout


if sys.version_info >= (3, 12):  # PEP 695
    test_type_parameters_and_type_statements = check_type_parameters_and_type_statements


def test_descriptions_of_all_kinds():
    def work(a: Point, b: "Annotated[int, 'From the annotation.']", c: int) -> None:
        """Work.

        Args:
            b: From the docstring.
            c: From the docstring.
        """

    from typing import Annotated

    work.__annotations__["b"] = Annotated[int, "From the annotation."]
    properties = Tool(work, strict=False).parameters["properties"]
    assert properties["b"]["description"] == "From the annotation."
    assert properties["c"]["description"] == "From the docstring."
    assert properties["a"]["description"] == "A place."
    assert properties["a"]["properties"]["x"]["description"] == "How far right."
    assert "description" not in properties["a"]["properties"]["y"]


def test_corners_of_annotations():
    from typing import Annotated, TypedDict

    from pydantic import Field
    from typing_extensions import TypeAliasType

    class Plain(TypedDict):
        x: int

    @dataclasses.dataclass
    class Late:
        """Late."""

        a: int | None = None
        b: int = dataclasses.field(default=0, init=False)
        """Not given by anybody."""

    class Told(pydantic.BaseModel):
        x: int = Field(description="All is said.")

    def work(a, b, c, d=3, e=None) -> None: ...

    work.__annotations__ = {
        "e": Told,
        "a": Annotated[int, []],
        "b": TypeAliasType("Alias", list[Plain]),
        "c": Late,
        "d": Annotated[int, Field(default=7)],
    }
    tool = Tool(work, strict=False)
    assert tool.parameters["properties"] == {
        "a": {"type": "integer"},
        "b": {
            "type": "array",
            "items": {"properties": {"x": {"type": "integer"}}, "required": ["x"], "type": "object"},
        },
        "c": {
            "description": "Late.",
            "properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
            "type": "object",
        },
        "d": {"type": "integer", "default": 3},
        "e": {
            "properties": {"x": {"type": "integer", "description": "All is said."}},
            "required": ["x"],
            "type": "object",
        },
    }
    assert tool.form.read('{"a": 1, "b": [{"x": 2}], "c": {}}') == {"a": 1, "b": [{"x": 2}], "c": Late()}


def test_a_class_whose_source_is_no_python(tmp_path, monkeypatch):
    source = tmp_path / "odd.py"
    source.write_text("this is no Python")
    module = types.ModuleType("odd_module")
    module.__file__ = str(source)
    monkeypatch.setitem(sys.modules, "odd_module", module)
    made = dataclasses.make_dataclass("Odd", [("x", int)])
    made.__module__ = "odd_module"

    def work(a) -> None: ...

    work.__annotations__ = {"a": made}
    assert Tool(work, strict=False).parameters["properties"]["a"]["properties"] == {"x": {"type": "integer"}}


async def test_the_context_may_stand_anywhere_and_is_never_in_the_schema():
    seen = []

    @tool
    def first(ctx: Context, a: int) -> None:
        seen.append((ctx.deps, a))

    @tool
    async def last(a: int, *rest: int, context: Context[str] | None = None) -> None:
        seen.append((context.deps, a, rest))

    @tool
    def positional(a: int, ctx: Context[str], /, b: int = 2) -> None:
        seen.append((ctx.deps, a, b))

    registry = Registry([first, last, positional])
    assert "ctx" not in json.dumps(registry.definitions())
    assert "context" not in json.dumps(registry.definitions())
    calls = [
        call("first", '{"a": 1}'),
        call("last", '{"a": 2, "rest": [3]}'),
        call("positional", '{"a": 4}'),
        call("first", '{"a": 1, "ctx": 5}'),
    ]
    outputs = await registry.dispatch(calls, deps="d", parallel=False)
    assert seen == [("d", 1), ("d", 2, (3,)), ("d", 4, 2)]
    assert "`ctx` is not an argument of this tool; it takes a" in outputs[3]["output"]


async def test_names_that_the_wire_does_not_take():
    async def größe(maß: float) -> float:  # noqa: PLC2401
        return maß

    built, spaced, long, odd = Tool(größe), Tool(größe, name="a b"), Tool(größe, name="x" * 80), Tool(größe, name="???")
    names = [one.name for one in (built, spaced, long, odd)]
    assert len(set(names)) == 4
    assert all(name.isascii() and len(name) <= 64 and " " not in name for name in names)
    assert names[1].startswith("a_b_")
    assert (Tool(größe).name, built.given_name) == (built.name, "größe")
    registry = Registry([built, spaced])
    assert registry["größe"] is built
    assert registry[spaced.name] is spaced
    (output,) = await registry.dispatch([call(built.name, '{"maß": 2}')])
    assert output["output"] == "2.0"


def test_a_bound_tool_keeps_its_options():
    class Shop:
        @tool(name="cost", timeout=3, effect="pure")
        def price(self, item: str) -> str:
            return item

        @classmethod
        @tool
        def all(cls, x: int) -> int:
            return x

        @staticmethod
        @tool
        def still(x: int) -> int:
            return x

    bound = Shop().price
    assert (bound.name, bound.timeout, bound.effect) == ("cost", 3, "pure")
    assert bound("tea") == "tea"
    assert list(bound.parameters["properties"]) == ["item"]
    assert Shop().still(3) == Shop.still(3) == 3
    assert Shop.all(4) == 4
    assert list(Tool(Shop.all).parameters["properties"]) == ["x"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": 5}, "name must be a text, but is 5"),
        ({"description": 5}, "description must be a text"),
        ({"strict": "yes"}, "strict must be True, False or 'auto'"),
        ({"approval": "no"}, "approval must be True, False, or a function of the arguments"),
        ({"timeout": 0}, "timeout must be a number of seconds, more than 0"),
        ({"retries": 1.5}, "retries must be a whole number"),
        ({"resource": 3}, "resource must be a text such as 'file:{path}'"),
        ({"exclusive": "no"}, "exclusive must be True or False"),
        ({"enabled": "no"}, "enabled must be True, False, or a function of the context"),
        ({"namespace": "a b"}, "namespace must be 1 to 64 letters"),
    ],
)
def test_options_that_are_none(options, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        Tool(print, **options)


def test_a_static_method_below_the_decorator():
    class Shop:
        @tool
        @staticmethod
        def add(a: int, b: int) -> int:
            return a + b

    assert Shop().add(1, 2) == Shop.add(1, 2) == 3
    assert list(Shop().add.parameters["properties"]) == ["a", "b"]


def test_starred_names_of_a_docstring():
    def log(message: str, *args: int, **kwargs: str) -> None:
        r"""Log.

        Args:
            message: The message.
            \*args: Its values.
            **kwargs: Further fields.
        """

    schema = Tool(log, strict=False).parameters
    assert schema["properties"]["args"]["description"] == "Its values."
    assert schema["additionalProperties"] == {"type": "string", "description": "Further fields."}


def test_names_of_numbers_and_positions_are_told():
    def work(level: Level, pair: Pair, data: bytes = b"\xff", odd: int = 3) -> None: ...

    work.__annotations__["odd"] = (int, str)
    with pytest.raises(UsageError, match="parameter 'odd' has the type"):
        Tool(work).definition()
    work.__annotations__["odd"] = int
    properties = Tool(work, strict=False).parameters["properties"]
    assert properties["level"]["description"] == "1 is LOW, 2 is HIGH."
    assert [item["description"] for item in properties["pair"]["prefixItems"]] == ["left", "right"]
    assert properties["data"]["default"] == "_w=="


@pytest.mark.parametrize("tools", [None, 5, print, "x"])
def test_what_is_no_list_of_tools(tools):
    with pytest.raises(UsageError, match="a Registry takes a list of tools"):
        Registry(tools)


def test_a_class_and_an_object_have_their_own_docs():
    assert Tool(Counter).description == "Counts."
    assert Tool(Counter()).description == "Count on."
