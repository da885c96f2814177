"""Corners that a review found, each once broken: odd callables, odd results, odd unions, tools that misbehave."""

import asyncio
import datetime as dt
import functools
import itertools
import json
import math
import subprocess
import sys
import time
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import anyio
import pydantic
import pytest
from typing_extensions import TypeAliasType

from agentrt import Agent, Context, Registry, Text, Tool, ToolError, UsageError, tool
from agentrt.registry.decode import decoded
from agentrt.registry.output import encode_output
from agentrt.testing import call as model_call
from agentrt.testing import calls, say
from tests.tools.test_dispatch import call, outputs_of

# --- approval, cancellation


@pytest.mark.parametrize("error", [ConnectionError, ToolError])
async def test_an_approver_that_fails_lets_nothing_run_however_often_it_is_tried(error):
    ran = []

    @tool(effect="idempotent", retries=2, approval=True)
    def delete(path: str) -> str:
        ran.append(path)
        return "deleted"

    def approve(which, arguments):
        arguments["path"] = "/other"
        raise error("down")

    assert (
        "could not be found out" in (await outputs_of(Registry([delete]), call("delete", path="/"), approve=approve))[0]
    )
    assert ran == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("parallel", [True, False])
async def test_a_tool_that_cancels_its_own_task_and_ends_disturbs_nobody(parallel):
    async def cancels() -> str:
        asyncio.current_task().cancel()
        return "x"

    async def sibling() -> str:
        await anyio.sleep(0.02)
        return "fine"

    items = [call("cancels"), call("sibling"), call("cancels"), call("sibling")]
    assert await outputs_of(Registry([cancels, sibling]), *items, parallel=parallel) == ["x", "fine", "x", "fine"]


def test_ctrl_c_inside_a_nursery_of_trio_is_for_the_program():
    script = (
        "import signal, trio\nfrom agentrt import Registry\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "async def work() -> None:\n"
        "    async with trio.open_nursery():\n        signal.raise_signal(signal.SIGINT)\n        await trio.sleep(5)\n"
        "call = {'type': 'function_call', 'call_id': 'c', 'name': 'work'}\n"
        "trio.run(Registry([work]).dispatch, [call])\nprint('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "went on" not in done.stdout


async def test_whatever_a_validator_raises_is_the_calls_own():
    def leaves(value: int) -> int:
        raise SystemExit(3)

    class BadError(Exception):
        def __str__(self) -> str:
            raise SystemExit(4)

    def work(x: Annotated[int, pydantic.AfterValidator(leaves)]) -> None: ...

    def fails() -> None:
        raise BadError

    def fine() -> str:
        return "fine"

    def interrupts(value: int) -> int:
        raise KeyboardInterrupt

    def stops(x: Annotated[int, pydantic.AfterValidator(interrupts)]) -> None: ...

    assert (await outputs_of(Registry([stops]), call("stops", x=1)))[0].startswith("Error: KeyboardInterrupt")
    outputs = await outputs_of(Registry([work, fails, fine]), call("work", x=1), call("fails"), call("fine"))
    assert outputs[0].startswith("Error: SystemExit")
    assert "can't be shown" in outputs[1]
    assert outputs[2] == "fine"


async def test_a_tool_error_of_ones_own_is_not_tried_again():
    tries = []

    class MineError(ToolError):
        pass

    @tool(effect="pure", retries=3)
    def work() -> None:
        tries.append(1)
        raise MineError("no")

    assert await outputs_of(Registry([work]), call("work")) == ["Error: no"]
    assert tries == [1]


async def test_calls_under_one_id():
    ran = []

    def work(n: int) -> int:
        ran.append(n)
        return n

    items = [
        call("work", "same", n=1),
        call("work", "same", n=1),
        call("work", "same", n=2),
        call("work", "other", n=3),
    ]
    outputs = await Registry([work]).dispatch(items)
    assert [output["call_id"] for output in outputs] == ["same", "same", "other"]
    assert "was used by another call" in outputs[1]["output"]
    assert sorted(ran) == [1, 3]


# --- results that are iterators


async def test_iterators_are_read_within_their_time_and_never_on_the_event_loop(monkeypatch):
    monkeypatch.setattr("agentrt.registry.generators.MAX_PIECES", 50)

    def wrapped(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner

    @tool
    @wrapped
    def words():
        yield "a"
        yield "b"

    @tool
    @wrapped
    async def numbers():
        yield 1
        yield 2

    @tool(timeout=0.05)
    @wrapped
    def slow():
        while True:
            time.sleep(0.01)
            yield "x"

    def endless() -> object:
        return itertools.count()

    async def given() -> object:
        return iter([1, 2])

    registry = Registry([words, numbers, slow, endless, given])
    outputs = await outputs_of(registry, *(call(name) for name in ("words", "numbers", "slow", "endless", "given")))
    assert outputs[:2] == ["ab", "[1,2]"]
    assert "did not finish within 0.05 seconds" in outputs[2]
    assert json.loads(outputs[3]) == list(range(50))
    assert "iterator object" in outputs[4]


class Bare:
    def __init__(self):
        self.left = 2

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.left -= 1
        if self.left < 0:
            raise StopAsyncIteration
        return self.left


async def test_an_iterator_need_not_be_a_generator():
    assert await Tool(Bare, name="bare").invoke("{}") == [1, 0]


def test_the_bound_of_an_output_is_one_for_all_its_parts():
    parts = encode_output([Text("x" * 60_000)] * 3).value
    assert sum(len(part["text"]) for part in parts) < 101_000


# --- odd callables


class Decorated:
    def __init__(self, function):
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)


class WithNew:
    def __new__(cls, when: dt.date):
        made = super().__new__(cls)
        made.when = when
        return made


class Row(NamedTuple):
    a: int
    b: dt.date


class Model(pydantic.BaseModel):
    when: dt.date


class Signed:
    def __call__(self, **kwargs):
        return kwargs


def planned(when: dt.date, n: int = 1) -> str:
    return f"{type(when).__name__} {n}"


def texts(when: "dt.date") -> str:
    return type(when).__name__


async def test_types_are_found_where_the_signature_comes_from():
    import inspect

    signed = Signed()
    signed.__signature__ = inspect.Signature(
        [inspect.Parameter("when", inspect.Parameter.KEYWORD_ONLY, annotation=dt.date)]
    )
    for function, arguments in (
        (Decorated(planned), {"when": "2026-01-31", "n": "2"}),
        (Decorated(texts), {"when": "2026-01-31"}),
        (WithNew, {"when": "2026-01-31"}),
        (Row, {"a": "1", "b": "2026-01-31"}),
        (Model, {"when": "2026-01-31"}),
        (signed, {"when": "2026-01-31"}),
    ):
        made = Tool(function, name="f")
        assert all(schema for schema in made.parameters["properties"].values()), function
        values = made.form.read(json.dumps(arguments))
        assert dt.date(2026, 1, 31) in values.values(), function


def test_what_a_partial_binds_is_neither_shown_nor_open():
    def api(q: str, api_key: str, page: int = 1) -> str:
        return f"{q} {api_key} {page}"

    made = Tool(functools.partial(functools.partial(api, api_key="sk-secret"), page=2))
    assert list(made.parameters["properties"]) == ["q"]
    assert "sk-secret" not in json.dumps(made.definition()) + repr(made)
    with pytest.raises(ToolError, match="`api_key` is not an argument of this tool; it takes q"):
        made.form.read('{"q": "a", "api_key": "mine"}')
    assert repr(Tool(max)) == "Tool(max(…))"


def test_two_contexts_are_one_too_many():
    def work(a: Context, b: Context) -> None: ...

    with pytest.raises(UsageError, match="takes two contexts, 'a' and 'b'"):
        Tool(work).definition()


def test_further_keywords_are_no_way_to_the_context():
    def work(ctx: Context, **more: int) -> None: ...

    with pytest.raises(ToolError, match="`ctx` is not an argument of this tool"):
        Tool(work).form.read('{"ctx": 1, "b": 2}')


class Left(pydantic.BaseModel):
    x: int


class Right(pydantic.BaseModel):
    x: int


def test_types_that_are_equal_but_not_the_same():
    def one(x) -> None: ...

    one.__annotations__ = {"x": Left | Right, "y": 0}
    del one.__annotations__["y"]
    assert type(Tool(one).form.read('{"x": {"x": 1}}')["x"]) is Left
    one.__annotations__ = {"x": Right | Left}
    assert type(Tool(one).form.read('{"x": {"x": 1}}')["x"]) is Right
    one.__annotations__ = {"x": Literal["a", "b"]}
    assert Tool(one).parameters["properties"]["x"]["enum"] == ["a", "b"]
    one.__annotations__ = {"x": Literal["b", "a"]}
    assert Tool(one).parameters["properties"]["x"]["enum"] == ["b", "a"]


@pytest.mark.parametrize("default", [math.inf, "\udc80", [math.nan]])
def test_a_default_that_json_does_not_have_is_not_shown(default):
    class Inside(pydantic.BaseModel):
        x: Any = default

    def work(inside: Inside, x: Any = default, y: float = 1.0) -> None: ...

    text = json.dumps(Tool(work, strict=False).definition())
    assert text.count('"default"') == 1


def test_typed_dicts_inside_named_tuples():
    class Plain(TypedDict):
        x: int

    class Inside(NamedTuple):
        plain: Plain

    def work(x: Inside) -> None: ...

    assert Tool(work).form.read('{"x": [{"x": "1"}]}') == {"x": Inside({"x": 1})}


def outer_with_another_date():
    date = int  # noqa: F841 - a name of somebody who only calls
    return make_with_strings()


def make_with_strings():
    scope: dict[str, Any] = {"date": dt.date, "__name__": __name__}
    exec("def f(d: 'date'): return d", scope)
    return Tool(scope["f"])


def test_names_of_whoever_calls_are_not_those_around():
    assert outer_with_another_date().parameters["properties"]["d"]["format"] == "date"


# --- strict and natural


def test_an_empty_mapping_is_no_tuple():
    def work(x: tuple[int | None, int | None] | dict[str, int], y: Settled = Settled()) -> None: ...  # noqa: B008

    read = Tool(work, strict=True).form.read
    assert read('{"x": {}, "y": null}') == read('{"x": []}') == {"x": {}}
    assert read('{"x": {"item_0": 1, "item_1": null}, "y": {"item_0": 5}}') == {"x": (1, None), "y": Settled(5)}


class Settled(NamedTuple):
    a: int = 1
    b: int = 2


class WithB(pydantic.BaseModel):
    a: int
    b: int = 1


class WithKey(pydantic.BaseModel):
    a: int
    key: int = 2


@pytest.mark.parametrize("strict", ["auto", True])
def test_null_for_left_out_does_not_change_which_type_of_a_union_it_is(strict):
    def work(x: WithB | WithKey | None) -> None: ...

    read = Tool(work, strict=strict).form.read
    assert read('{"x": {"a": 0, "b": null}}') == read('{"x": {"a": 0}}') == {"x": WithB(a=0)}


def test_what_is_no_tuple_stays_what_it_is():
    part = {"type": "array", "prefixItems": [{"type": "integer"}]}
    assert decoded({"x": 5}, {"type": "object", "properties": {"x": part}}, None) == {"x": 5}


def test_pairs_are_only_pairs_where_they_were_asked_for():
    def work(x: list[dict[str, str]] | dict[str, str], y: int = 5) -> None: ...

    read = Tool(work).form.read
    assert read('{"x": [{"key": "a", "value": "b"}], "y": null}') == {"x": [{"key": "a", "value": "b"}]}


def test_a_further_keyword_that_is_an_argument_already_is_refused():
    def work(x: int, **more: int) -> None: ...

    with pytest.raises(ToolError, match="'x' stands in 'more', and is an argument of its own"):
        Tool(work, strict=True).form.read('{"x": 1, "more": [{"key": "x", "value": 2}]}')


class Leaf(pydantic.BaseModel):
    op: Literal["leaf"]
    value: int = 0


class Add(pydantic.BaseModel):
    left: "Expr"
    right: "Expr"
    op: Literal["add"]


class Mul(pydantic.BaseModel):
    left: "Expr"
    right: "Expr"
    op: Literal["mul"]


Expr = Annotated[Add | Mul | Leaf, pydantic.Field(discriminator="op")]
Add.model_rebuild()
Mul.model_rebuild()


Deep = TypeAliasType("Deep", "dict[str, Deep] | int")


def test_deep_unions_are_read_in_a_moment():
    def work(e: Expr, note: str = "x") -> None: ...

    value: dict[str, Any] = {"op": "leaf", "value": None}
    for _ in range(25):
        value = {"left": value, "right": {"op": "leaf", "value": 1}, "op": "mul"}
    started = time.process_time()
    read = Tool(work).form.read(json.dumps({"e": value, "note": None}))
    assert time.process_time() - started < 2
    assert read["e"].op == "mul"
    plain = {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]}
    part = {"type": "object", "properties": {"next": {"anyOf": [plain, {"type": "null"}]}}, "required": ["next"]}
    schema = {"type": "object", "properties": {"x": plain}, "$defs": {"A": part, "B": dict(part)}}
    deep: Any = None
    for _ in range(30):
        deep = {"next": deep}
    started = time.process_time()
    assert decoded({"x": deep}, schema, None) == {"x": deep}
    assert time.process_time() - started < 2


def test_what_is_too_deep_is_said():
    def work(x: Deep, y: int = 1) -> None: ...

    with pytest.raises(ToolError, match=r"nested too deeply|recursion limit"):
        Tool(work).form.read('{"x": ' + '{"a": ' * 180 + "1" + "}" * 180 + ', "y": null}')


def test_depth_counts_what_strict_mode_adds():
    annotation: Any = int
    for _ in range(10):
        annotation = dict[str, annotation]

    def work(x) -> None: ...

    work.__annotations__ = {"x": annotation}
    with pytest.raises(UsageError, match="11 levels, and strict mode allows 10"):
        Tool(work, strict=True).definition()


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": ["object", "null"], "properties": {}}])
def test_what_is_open_is_not_strict(schema):
    def work(x) -> None: ...

    work.__annotations__ = {"x": Annotated[Any, pydantic.WithJsonSchema(schema)]}
    assert "may hold anything" in Tool(work).not_strict_because


def test_numbers_that_no_float_holds_are_refused_where_anything_goes():
    def work(x: Any) -> None: ...

    with pytest.raises(ToolError, match="not valid JSON"):
        Tool(work).form.read('{"x": 1e999}')
    assert Tool(work).form.read('{"x": 1e100}') == {"x": 1e100}


def test_large_bounds_are_told_exactly():
    def work(x: Annotated[float, pydantic.Field(ge=16777217)]) -> None: ...

    with pytest.raises(ToolError, match="at least 16777217, but is 16777216"):
        Tool(work).form.read('{"x": 16777216}')


# --- predicates of an agent


async def test_predicates_are_asked_when_there_are_deps(serve, client_of):
    @tool(enabled=lambda ctx: ctx.deps["admin"])
    def delete() -> str:
        return "deleted"

    server = serve(calls(model_call("delete")), say("done"))
    async with client_of(server) as client:
        agent = Agent("m", tools=[delete], client=client)
        assert (await agent.run("go", deps={"admin": True})).output == "done"
        with pytest.raises(UsageError, match="enabled= of the tool 'delete' failed"):
            agent.prepare("go")
