import dataclasses
import enum
import functools
import json
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

import anyio
import pydantic
import pytest
from typing_extensions import TypedDict

from agentrt import Registry, Tool, ToolError, UsageError, tool
from agentrt.registry.dispatch import answer_call
from agentrt.registry.output import encode_output
from agentrt.registry.strict import strict_form


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Person(pydantic.BaseModel):
    name: str
    title: str
    friends: "list[Person]" = []


class Options(TypedDict, total=False):
    deep: bool


def call(name, arguments="{}", call_id="c1", **more):
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **more}


async def output_of(function, **arguments):
    registry = Registry([function])
    (name,) = [entry.name for entry in registry]
    (output,) = await registry.dispatch([call(name, json.dumps(arguments))])
    return output["output"]


# --- from signature and docstring to schema


@tool
async def weather(city: str, unit: Literal["c", "f"] = "c") -> str:
    """Current weather.

    Asks the nearest station.

    Args:
        city: Name
            of the city.
        unit: Scale.

    Returns:
        A sentence.
    """
    return f"{city}: 21 {unit}"


def test_a_definition():
    assert weather.definition() == {
        "type": "function",
        "name": "weather",
        "description": "Current weather.\n\nAsks the nearest station.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city."},
                "unit": {
                    "anyOf": [{"type": "string", "enum": ["c", "f"]}, {"type": "null"}],
                    "description": 'Scale. Default: "c".',
                },
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    }


async def test_a_decorated_function_is_still_the_function():
    assert await weather("Paris") == "Paris: 21 c"
    assert weather.__name__ == "weather"
    assert repr(weather) == "Tool(weather(city, unit))"


@pytest.mark.parametrize(
    "doc",
    [
        "Do it.\n\nArgs:\n    a: The first.\n",
        "Do it.\n\nParameters\n----------\na : int\n    The first.\n",
        "Do it.\n\n:param a: The first.\n",
        "Do it.\n\n@param a: The first.\n",
    ],
)
def test_four_styles_of_docstring(doc):
    def work(a: int) -> int:
        return a

    work.__doc__ = doc
    definition = Tool(work).definition()
    assert definition["description"] == "Do it."
    assert definition["parameters"]["properties"]["a"] == {"type": "integer", "description": "The first."}


def test_a_broken_docstring_is_the_description():
    def work(a: int) -> int:
        return a

    work.__doc__ = ":param"
    assert Tool(work).description == ":param"
    work.__doc__ = None
    assert "description" not in Tool(work).definition()


def test_a_field_description_wins_over_the_docstring():
    @tool
    def work(a: Annotated[int, pydantic.Field(description="From the field.", ge=1)]) -> None:
        """Work.

        Args:
            a: From the docstring.
        """

    assert work.parameters["properties"]["a"] == {"type": "integer", "minimum": 1, "description": "From the field."}


@tool
def many(
    person: Person,
    point: Point,
    color: Color,
    day: date,
    numbers: list[float],
    maybe: int | None = 5,
    flag: bool = True,
) -> str:
    """Take many types."""
    return f"{person!r} {point!r} {color!r} {day!r} {numbers!r} {maybe!r} {flag!r}"


async def test_the_function_receives_the_types_it_asked_for():
    arguments = {
        "person": {"name": "A", "title": "Dr", "friends": []},
        "point": {"x": 1},
        "color": "red",
        "day": "2026-11-23",
        "numbers": [1],
    }
    output = await output_of(many, **arguments, maybe=None, flag=None)
    assert output == (
        "Person(name='A', title='Dr', friends=[]) Point(x=1, y=0) <Color.RED: 'red'> datetime.date(2026, 11, 23) [1.0] None True"
    )
    assert (await output_of(many, **arguments)).endswith("5 True")


def test_titles_go_but_a_property_named_title_stays():
    parameters = many.parameters
    assert '"title": "' not in json.dumps(parameters)
    assert parameters["$defs"]["Person"]["properties"]["title"] == {"type": "string"}


def test_what_strict_mode_cannot_say_goes_out_as_it_is_with_a_reason():
    @tool
    def work(options: dict[str, int]) -> None: ...

    assert work.strict is False
    assert "'options' is a mapping" in work.not_strict_because
    assert work.definition()["strict"] is False
    assert many.strict is True
    assert Tool(weather.function, strict=False).not_strict_because == "strict=False was asked for"

    def loose(anything: list) -> None: ...

    with pytest.raises(UsageError, match=r"the tool 'loose' can't be strict: 'anything\[\]' may hold anything"):
        Tool(loose, strict=True).definition()


def test_a_strict_schema_of_references_and_defaults():
    schema = {
        "type": "object",
        "properties": {
            "p": {"$ref": "#/$defs/P", "description": "A point.", "default": None},
            "q": {"$ref": "#/$defs/P"},
            "r": {"type": "integer", "default": 3},
            "s": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "t": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "u": {"enum": ["a"], "default": "a", "description": "U."},
        },
        "required": ["q"],
        "$defs": {
            "P": {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": ["integer", "null"]}},
                "required": ["x", "y"],
            }
        },
    }
    closed, why, encoded = strict_form(schema)
    assert (why, encoded) == (None, False)
    null = {"type": "null"}
    assert closed["properties"] == {
        "p": {"anyOf": [{"$ref": "#/$defs/P"}, null], "description": "A point."},
        "q": {"$ref": "#/$defs/P"},
        "r": {"type": ["integer", "null"], "description": "Default: 3."},
        "s": {"anyOf": [{"type": "string"}, null]},
        "t": {"anyOf": [{"type": "string"}, {"type": "integer"}, null]},
        "u": {"anyOf": [{"enum": ["a"]}, null], "description": 'U. Default: "a".'},
    }
    assert closed["required"] == list("pqrstu")
    assert closed["$defs"]["P"]["additionalProperties"] is False
    assert strict_form({"type": "object", "properties": {}}).schema["required"] == []


def test_two_models_of_one_name_are_told_apart():
    def make(kind):
        return pydantic.create_model("Thing", value=(kind, ...))

    def work(a, b):
        return type(a.value), type(b.value)

    work.__annotations__ = {"a": make(int), "b": make(str)}
    found = Tool(work).parameters["properties"]
    assert [found[name]["properties"]["value"]["type"] for name in "ab"] == ["integer", "string"]
    work.__annotations__ = {"a": list[make(int)], "b": dict[str, make(str)]}
    found = Tool(work, strict=False).parameters["properties"]
    assert found["a"]["items"]["properties"]["value"] == {"type": "integer"}
    assert found["b"]["additionalProperties"]["properties"]["value"] == {"type": "string"}


async def test_methods_partials_callable_objects_and_positional_only():
    class Shop:
        tax = 2

        @tool
        def price(self, item: str, /, count: int = 1) -> str:
            """Price of an item."""
            return f"{count} {item} {self.tax}"

        def __call__(self, item: str) -> str:
            """Sell."""
            return f"sold {item}"

    shop = Shop()
    assert shop.price("tea", 2) == "2 tea 2"
    assert isinstance(Shop.price, Tool)
    assert await output_of(shop.price, item="tea") == "1 tea 2"
    assert await output_of(shop, item="tea") == "sold tea"
    assert Tool(shop).description == "Sell."

    def add(a: int, b: int = 1, /) -> int:
        """Add."""
        return a + b

    assert await output_of(functools.partial(add, 1), b=5) == "6"
    assert await output_of(add, a=1, b=2) == "3"
    assert await output_of(add, a=1) == "2"
    assert Tool(functools.partial(add, 1)).name == "add"


def test_a_default_without_a_json_form_is_pythons_own():
    missing = object()

    def work(a: Any = missing, b: Point = Point(1)) -> None: ...  # noqa: B008

    properties = Tool(work, strict=False).parameters["properties"]
    assert "default" not in properties["a"]
    assert properties["b"]["default"] == {"x": 1, "y": 0}


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (3, {}, "must be callable"),
        (classmethod(print), {}, "write @classmethod above @tool"),
        (print, {"colour": 1}, "a tool has no 'colour'; it takes approval, "),
        (print, {"effect": "good"}, "effect must be one of pure, idempotent, unsafe, but is 'good'"),
        (print, {"timeout": -1}, "timeout must be a number of seconds, more than 0, but is -1"),
        (print, {"retries": "3"}, "retries must be a whole number, 0 or more, but is '3'"),
        (iter, {}, "no signature that Python can read"),
        (str.upper, {}, r"is a method without its object; offer it bound"),
    ],
)
def test_what_cannot_become_a_tool_says_why(function, options, message):
    with pytest.raises(UsageError, match=message):
        Tool(function, **options).definition()


async def test_objects_and_validators_of_all_kinds():
    class Shout:
        def __init__(self):
            self.name, self.timeout = "Bob Smith", "x"

        def __call__(self, text: Annotated[str, pydantic.BeforeValidator(lambda value: value.strip())]) -> str:
            return text.upper()

    shout = Tool(Shout())
    assert (shout.name, shout.timeout) == ("Shout", None)
    assert await output_of(shout, text=" a ") == "A"
    assert Tool(functools.partial(Shout())).name == "Shout"


async def test_errors_that_cannot_even_be_shown():
    class BadError(Exception):
        def __str__(self):
            raise ValueError("no")

    def work(how: int) -> None:
        raise [BadError(), ToolError("file \udcff"), ToolError("x" * 500_000)][how]

    registry = Registry([work])
    texts = [(await registry.dispatch([call("work", f'{{"how": {how}}}')]))[0]["output"] for how in range(3)]
    assert texts[0].startswith("Error: BadError: <BadError that can't be shown")
    assert texts[1] == "Error: file ?"
    assert len(texts[2]) < 101_000


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_on_the_event_loop_is_for_the_program(backend):
    script = (
        "import anyio, signal\nfrom agentrt import Registry\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "async def interrupted() -> None:\n    signal.raise_signal(signal.SIGINT)\n    await anyio.sleep(5)\n"
        "call = {'type': 'function_call', 'call_id': 'c', 'name': 'interrupted'}\n"
        f"anyio.run(Registry([interrupted]).dispatch, [call], backend={backend!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr


def test_types_that_no_schema_can_say():
    class Odd: ...

    def odd(a: Odd) -> None: ...

    def lost(a: "Nowhere") -> None: ...  # noqa: F821

    def calls_back(a: Callable[[int], int]) -> None: ...

    with pytest.raises(UsageError, match="parameter 'a' has the type"):
        Tool(odd).definition()
    with pytest.raises(UsageError, match="no JSON schema can say"):
        Tool(calls_back).definition()
    with pytest.raises(UsageError, match=r"'Nowhere' of parameter 'a' can't be resolved.*TYPE_CHECKING"):
        Tool(lost).definition()


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('{"city": 3}', "`city` must be a string, but is 3"),
        ("{}", "`city` is required, but missing"),
        ('{"city": "x", "town": 1}', "`town` is not an argument of this tool; it takes city, unit"),
        ('{"city": "x", "unit": "kelvin"}', "`unit` must be 'c' or 'f', but is \"kelvin\""),
        ('{"city": ', "not valid JSON"),
        ("[1]", "must be a JSON object, but are [1]"),
        ('{"city": NaN}', "not valid JSON"),
        ("[" * 5000, "not valid JSON"),
        ('{"city": "' + "x" * 2_000_000 + '"}', "at most 1048576 are allowed"),
        ('{"city": ' + "[" * 50 + "1" + "]" * 50 + "}", "…"),
    ],
)
async def test_arguments_that_do_not_fit_are_explained_to_the_model(arguments, message):
    (output,) = await Registry([weather]).dispatch([call("weather", arguments)])
    assert output["output"].startswith("Error: ")
    assert message in output["output"]
    assert len(output["output"]) < 400


@pytest.mark.parametrize("arguments", [None, "", {}, "{}"])
async def test_no_arguments_and_objects_are_tolerated(arguments):
    def now() -> str:
        return "noon"

    assert (await Registry([now]).dispatch([call("now", arguments)]))[0]["output"] == "noon"


# --- outputs


class Broken:
    def __str__(self):
        raise ValueError("no")


def cyclic():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as is", "as is"),
        (None, "null"),
        (3.5, "3.5"),
        (float("nan"), "NaN"),
        ({"a": [1, True]}, '{"a":[1,true]}'),
        (Point(1), '{"x":1,"y":0}'),
        (Person(name="A", title="t"), '{"name":"A","title":"t","friends":[]}'),
        ("lone \ud800", "lone ?"),
        (Broken(), '"<Broken that can\'t be shown: ValueError>"'),
        (cyclic(), "[[...]]"),
    ],
)
def test_any_value_has_a_text(value, text):
    assert encode_output(value) == (text, None)


def test_a_long_output_keeps_head_and_tail_and_the_rest_is_within_reach():
    text, whole = encode_output("a" * 100 + "b" * 100, limit=20)
    assert text == "a" * 10 + "\n[… 180 characters left out …]\n" + "b" * 10
    assert whole == "a" * 100 + "b" * 100
    assert encode_output("abc", limit=1).value == "\n[… 3 characters left out …]\n"


# --- dispatch


async def test_each_call_gets_one_output_in_order_whatever_the_tools_do():
    def fails(how: str) -> None:
        raise {
            "value": ValueError("bad value"),
            "exit": SystemExit(3),
            "tool": ToolError("Use another file."),
            "interrupt": KeyboardInterrupt(),
        }[how]

    async def cancels() -> None:
        raise (
            anyio.get_cancelled_exc_class()()
            if anyio.get_cancelled_exc_class().__module__.startswith("asyncio")
            else RuntimeError("CancelledError")
        )

    async def fine(x: int) -> int:
        await anyio.sleep(0.01 * (3 - x))
        return x

    items = [
        call("fine", '{"x": 1}', "c1"),
        call("fails", '{"how": "value"}', "c2"),
        {"type": "message", "role": "assistant", "content": []},
        call("fails", '{"how": "exit"}', "c3"),
        call("fine", '{"x": 2}', "c4"),
        call("fails", '{"how": "tool"}', "c5"),
        call("fails", '{"how": "interrupt"}', "c6"),
        call("cancels", "{}", "c7"),
        call("fin", "{}", "c8"),
        call("other", "{}", "c9"),
    ]
    outputs = await Registry([fails, fine, cancels]).dispatch(items)
    assert [output["call_id"] for output in outputs] == [f"c{n}" for n in range(1, 10)]
    texts = [output["output"] for output in outputs]
    assert texts[0] == "1"
    assert texts[1] == "Error: ValueError: bad value"
    assert texts[2] == "Error: SystemExit: 3"
    assert texts[3] == "2"
    assert texts[4] == "Error: Use another file."
    assert texts[5] == "Error: KeyboardInterrupt: "
    assert "ancelled" in texts[6]
    assert "did you mean 'fine'" in texts[7]
    assert "the tools are ['fails', 'fine', 'cancels']" in texts[8]


async def test_parallel_is_bounded_and_serial_is_in_order():
    running, most, order = 0, 0, []

    async def work(x: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(x)
        await anyio.sleep(0.005)
        running -= 1
        return x

    items = [call("work", json.dumps({"x": x}), f"c{x}") for x in range(100)]
    registry = Registry([work])
    outputs = await registry.dispatch(items)
    assert [output["output"] for output in outputs] == [str(x) for x in range(100)]
    assert most == 64
    most, order[:] = 0, []
    await registry.dispatch(items[:10], parallel=False)
    assert most == 1
    assert order == list(range(10))


async def test_sync_tools_run_in_threads_at_once():
    barrier_reached = []

    def wait(x: int) -> int:
        barrier_reached.append(x)
        until = time.monotonic() + 5
        while len(barrier_reached) < 8 and time.monotonic() < until:
            time.sleep(0.001)
        return len(barrier_reached)

    outputs = await Registry([wait]).dispatch([call("wait", f'{{"x": {x}}}', f"c{x}") for x in range(8)])
    assert {output["output"] for output in outputs} == {"8"}


@pytest.mark.parametrize("sync", [True, False])
async def test_a_tool_that_hangs_ends_on_time(sync):
    @tool(timeout=0.05)
    async def hang() -> None:
        await anyio.sleep_forever()

    @tool(timeout=0.05, name="hang")
    def hang_sync() -> None:
        time.sleep(1)

    with anyio.fail_after(0.8):
        (output,) = await Registry([hang_sync if sync else hang]).dispatch([call("hang")])
    assert output["output"] == "Error: the tool did not finish within 0.05 seconds"


async def test_a_timeout_error_of_the_tools_own_is_not_ours():
    @tool(timeout=5)
    async def late() -> None:
        raise TimeoutError("database")

    assert await output_of(late) == "Error: TimeoutError: database"


async def test_cancelling_a_dispatch_cancels_its_tools():
    ended = []

    async def forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    with anyio.move_on_after(0.05) as scope:
        await Registry([forever]).dispatch([call("forever"), call("forever", call_id="c2")])
    assert scope.cancelled_caught
    assert ended == [True, True]


def test_a_hung_sync_tool_does_not_keep_the_interpreter():
    script = (
        "import anyio, time\n"
        "from agentrt import Registry, tool\n"
        "@tool(timeout=0.05)\n"
        "def hang() -> None:\n"
        "    time.sleep(30)\n"
        "print(anyio.run(Registry([hang]).dispatch, [{'type': 'function_call', 'call_id': 'c', 'name': 'hang', 'arguments': ''}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert "did not finish" in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_threads_and_a_portal_of_its_own():
    script = (
        "import os, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"  # 3.12 warns of fork beside threads: that is the point
        "from agentrt import Agent, Client, tool\n"
        "from agentrt.testing import ResponsesServer, call, calls, say\n"
        "@tool\n"
        "def add(a: int) -> int:\n"
        "    return a + 1\n"
        "def model(request):\n"
        "    return calls(call('add', a=1)) if len(request['input']) == 1 else say(request['input'][-1]['output'])\n"
        "with ResponsesServer(model) as server:\n"
        "    agent = Agent('m', tools=[add], client=Client(base_url=server.url))\n"
        "    assert agent.run_sync('go').text == '2'\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0 if agent.run_sync('go').text == '2' else 1)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


async def test_idle_threads_end_and_new_ones_come(monkeypatch):
    monkeypatch.setattr("agentrt.registry.threads._Worker.IDLE_SECONDS", 0.01)

    def thread_name() -> str:
        return threading.current_thread().name

    for _ in range(3):
        assert await output_of(thread_name) == "agentrt-tool"
        await anyio.sleep(0.05)
    monkeypatch.undo()


async def test_a_call_that_is_thrown_away_goes_quietly():
    async def forever() -> None:
        await suspended()

    @types.coroutine
    def suspended():
        yield

    answering = answer_call(Registry([forever]).tools, call("forever"))
    answering.send(None)
    answering.close()


# --- the registry


def test_a_registry_is_a_collection():
    registry = Registry([weather])

    @registry.tool
    def one() -> int:
        return 1

    @registry.tool(name="deux", timeout=3)
    def two() -> int:
        return 2

    assert [entry.name for entry in registry] == ["weather", "one", "deux"]
    assert len(registry) == 3
    assert "deux" in registry
    assert one in registry
    assert "two" not in registry
    assert registry["deux"] is two
    assert two() == 2
    assert [d["name"] for d in registry.definitions()] == ["weather", "one", "deux"]
    assert len(Registry([registry, print_it])) == 4
    with pytest.raises(KeyError):
        registry["two"]
    with pytest.raises(UsageError, match="named 'weather' already"):
        registry.add(weather)


def print_it(text: str) -> None:
    """Print."""
