"""The views, the table of events and the TypedDicts, compared with the types of the openai wheel in both directions.

``data/openai-types.json`` lists names and fields from openai 3.54.0. Whatever is in it and not here, or here and not in
it, is a failure; what is meant to differ stands in a list with its reason.
"""

import importlib
import itertools
import json
import pkgutil
import random
import re
import subprocess
import sys
import types
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from pydantic import ConfigDict, TypeAdapter

from agentrt.wire import params, tool_views, views
from agentrt.wire.events import EVENTS, TERMINAL, Event
from agentrt.wire.items import CALLS, CLIENT_CALLS, HOSTED_CALLS, Item, item_view
from agentrt.wire.json import Field
from agentrt.wire.requests import RequestParams
from agentrt.wire.responses import Response

OPENAI = json.loads((Path(__file__).parent / "data" / "openai-types.json").read_text())
MODELS = OPENAI["models"]
ITEM_LISTS = ("output_items", "input_items", "stored_items", "conversation_items")
ATOM = re.compile(r"\{[^}]*\}|list\[|map\[str,|\]|\||\w+")

# --- reading OpenAI's types: `str|list[A|B]|{a,b}|null` is a list of alternatives


def alternatives(text):
    """Read a type: ("one of", values), ("list", alternatives), ("map", alternatives), or (a name, None), in order."""
    tokens = iter(ATOM.findall(text))

    def read():
        found = []
        for token in tokens:
            if token == "]":
                break
            if token in ("list[", "map[str,"):
                found.append((token.split("[")[0], read()))
            elif token.startswith("{"):
                found.append(("one of", token[1:-1].split(",")))
            elif token != "|":
                found.append((token, None))
        return found

    return read()


def samples(text):
    """Give a value for each alternative of a type but null."""
    plain = {"str": "words", "int": 7, "float": 0.5, "bool": True}
    found = []
    for kind, inner in alternatives(text):
        if kind == "one of":
            found.extend(inner)
        elif kind == "list":
            found.append([value for alternative in inner for value in samples(name_of(alternative))])
        elif kind in plain:
            found.append(plain[kind])
        elif kind != "null":
            found.append({"a": {"b": None}})
    return found


def name_of(alternative):
    kind, inner = alternative
    return f"{{{','.join(inner)}}}" if kind == "one of" else kind


def fields_by_type(lists):
    """Give the fields of all shapes of each type: type -> field -> types of the field."""
    table = {}
    for key in itertools.chain.from_iterable(OPENAI[name] for name in lists):
        for kind in types_of(key):
            for name, field in MODELS[key].items():
                table.setdefault(kind, {}).setdefault(name, set()).add(field["type"])
    return table


def types_of(key):
    (told,) = [inner for kind, inner in alternatives(MODELS[key]["type"]["type"]) if kind == "one of"]
    return told


def test_the_file_is_whole():
    sizes = {"sse_events": 59, "output_items": 28, "input_items": 33, "stored_items": 30, "conversation_items": 29}
    sizes |= {"tools": 16, "tool_choices": 8, "text_formats": 3, "create_params": 33}
    assert {name: len(OPENAI[name]) for name in sizes} == sizes


# --- views of items


ITEM_FIELDS = fields_by_type(ITEM_LISTS)
OUR_ATTRIBUTES = {
    "message": {"text", "refusal", "annotations"},  # computed from the content's parts
    "reasoning": {"text"},  # computed from summary or content
    "web_search_call": {"queries", "sources"},  # in its action
    "image_generation_call": {"image"},  # the result, decoded
}
NEVER_EMPTY = {"id", "status"}  # None where they are missing, although OpenAI requires them of some types


def attributes(view):
    """Give the attributes of a view's class by name, those of `Item` left out."""
    own = [base for base in view.__mro__ if base not in (Item, object)]
    return {name: value for base in own for name, value in vars(base).items() if isinstance(value, Field | property)}


def attribute_of(field):
    return f"{field}_" if field == "async" else field


@pytest.mark.parametrize("kind", sorted(ITEM_FIELDS))
def test_a_view_has_an_attribute_for_every_field_of_its_type(kind):
    view = type(item_view({"type": kind}))
    for field, told in ITEM_FIELDS[kind].items():
        values = [value for text in told for value in samples(text)]
        missing = getattr(view({"type": kind}), attribute_of(field))
        if field != "type" and all(isinstance(value, str) for value in values):
            optional = field in NEVER_EMPTY or any("null" in text for text in told)
            as_it_came = (kind, field) == ("function_call", "arguments")
            assert missing == (None if optional or as_it_came else ""), (kind, field)
        for value in values:
            seen = getattr(view({"type": kind, field: value}), attribute_of(field))
            text_content = (kind, field) == ("message", "content") and isinstance(value, str)
            wanted = [{"type": "input_text", "text": value}] if text_content else value  # a text stands as one part
            assert seen == wanted, (kind, field)
            assert type(seen) is type(wanted), (kind, field)


@pytest.mark.parametrize("kind", sorted(ITEM_FIELDS))
def test_a_view_has_no_attribute_that_its_type_has_no_field_for(kind):
    view = type(item_view({"type": kind}))
    ours = OUR_ATTRIBUTES.get(kind, set())
    assert set(attributes(view)) - ours <= {attribute_of(field) for field in ITEM_FIELDS[kind]}
    assert ours <= set(attributes(view))


def test_every_type_of_item_has_its_view_and_every_view_its_type():
    given = {kind: type(item_view({"type": kind})) for kind in ITEM_FIELDS}
    assert len(set(given.values())) == len(given) == 31
    classes = {value for module in (views, tool_views) for value in vars(module).values() if is_view(value)}
    assert set(given.values()) == classes - {Item}
    for kind, view in given.items():
        assert view.__name__ == "".join(part.capitalize() for part in kind.split("_"))
        assert view.__doc__
        assert not hasattr(view({}), "__dict__")


def is_view(value):
    return isinstance(value, type) and issubclass(value, Item)


def test_the_tables_of_calls_name_types_that_there_are():
    assert {*CALLS, *(row.output_type for row in CALLS.values())} <= set(ITEM_FIELDS)
    assert {*CLIENT_CALLS, *CLIENT_CALLS.values(), *HOSTED_CALLS} <= set(ITEM_FIELDS)


# --- what views add to the fields


def test_a_messages_content_is_parts_whatever_form_it_had():
    notes = [{"type": "url_citation", "url": "u"}, {"type": "file_path", "file_id": "f"}]
    parts = [
        {"type": "output_text", "text": "a", "annotations": notes[:1]},
        {"type": "refusal", "refusal": "no"},
        {"type": "output_text", "text": "b", "annotations": [notes[1], "junk"]},
    ]
    message = views.Message({"role": "assistant", "content": [*parts, None]})
    assert (message.content, message.annotations, message.text, message.refusal) == (parts, notes, "ab", "no")
    assert views.Message({"role": "assistant", "content": "hi"}).content == [{"type": "output_text", "text": "hi"}]
    assert views.Message({"role": "user"}).content == []


def test_the_text_of_reasoning_is_its_summary_else_its_content():
    thought = [{"type": "reasoning_text", "text": "thought"}]
    summary = [{"type": "summary_text", "text": "one"}, {"type": "summary_text"}, {"type": "summary_text", "text": "2"}]
    assert views.Reasoning({"summary": summary, "content": thought}).text == "one\n\n2"
    assert views.Reasoning({"summary": [], "content": thought}).text == "thought"
    assert views.Reasoning({"summary": None}).text == ""


@pytest.mark.parametrize(
    ("result", "image"),
    [("iVBORw==", b"\x89PNG"), ("", None), (None, None), ("iVBORw", None), ("né", None), ("a b=", None), (3, None)],
)
def test_the_image_is_bytes_or_none(result, image):
    assert tool_views.ImageGenerationCall({"result": result}).image == image


def test_a_web_search_tells_its_queries_and_sources():
    source = {"type": "url", "url": "https://example.org"}
    call = tool_views.WebSearchCall({"action": {"type": "search", "queries": ["a", "b"], "sources": [source]}})
    assert (call.queries, call.sources) == (["a", "b"], [source])
    assert tool_views.WebSearchCall({"action": {"type": "search", "query": "a"}}).queries == ["a"]
    assert tool_views.WebSearchCall({"action": {"type": "open_page", "url": "u"}}).queries == []


def test_a_computer_calls_actions_are_a_list_whatever_form_they_had():
    click, wait = {"type": "click"}, {"type": "wait"}
    assert tool_views.ComputerCall({"action": click}).actions == [click]
    assert tool_views.ComputerCall({"action": click, "actions": [click, wait]}).actions == [click, wait]
    assert tool_views.ComputerCall({}).actions == []


def test_an_mcp_error_that_is_a_text_is_a_message():
    assert tool_views.McpCall({"error": "gone"}).error == {"message": "gone"}


def test_a_reference_may_come_without_a_type():
    assert type(item_view({"id": "msg_1"})) is views.ItemReference
    assert type(item_view({"id": "msg_1", "type": None})) is views.ItemReference
    assert type(item_view({"id": "msg_1", "more": 1})) is Item
    assert type(item_view({})) is Item


def test_views_are_read_only():
    call = item_view({"type": "file_search_call", "queries": ["a"]})
    with pytest.raises(AttributeError):
        call.queries = []
    with pytest.raises(AttributeError):
        Event({}).delta = "x"
    assert views.FunctionCall.async_.key == "async"


# --- events


def test_the_table_of_events_is_openais():
    assert dict(EVENTS) == {kind: frozenset(MODELS[key]) for key in OPENAI["sse_events"] for kind in types_of(key)}
    assert len(EVENTS) == 59
    assert set(EVENTS) > TERMINAL


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_an_event_has_an_attribute_for_every_field_of_its_type(kind):
    for field, told in fields_by_type(["sse_events"])[kind].items():
        attribute = "delta_object" if told == {"Delta"} else field
        assert getattr(Event({"type": kind}), attribute) in (None, "", [], kind)
        for value in itertools.chain.from_iterable(map(samples, told)):
            event = Event({"type": kind, field: value})
            assert getattr(event, attribute) == value, (kind, field)
            assert type(getattr(event, attribute)) is type(value), (kind, field)


def test_an_event_has_no_attribute_that_no_type_has_a_field_for():
    ours = {"delta_object"}  # the delta of shell_call_output_content.delta; `delta` is always a text
    named = {name for name in vars(Event) if not name.startswith("_")} - {"raw"}
    assert named == frozenset().union(*EVENTS.values()) | ours


@pytest.mark.parametrize(
    "raw",
    [
        {"code": "c", "message": "m", "param": "p"},
        {"error": {"code": "c", "message": "m", "param": "p"}},
        {"code": None, "message": None, "error": {"type": "t", "code": "c", "message": "m", "param": "p"}},
    ],
)
def test_an_error_is_read_flat_and_nested(raw):
    event = Event({"type": "error", **raw})
    assert (event.code, event.message, event.param) == ("c", "m", "p")


def test_an_error_that_is_a_text_is_its_message():
    event = Event({"type": "error", "error": "boom"})
    assert (event.code, event.message, event.param) == (None, "boom", None)


# --- what users write

OUR_DICTS = {
    "InputAudioParam": "Chat Completions' shape, which servers of open models take",
    "InputAudioData": "its data",
    "InputVideoParam": "Open Responses'",
    "AsyncField": "the base of those that have a field of that name",
}
OPEN_SETS = {"effort"}  # models differ in the efforts that they take, and new ones come
RELAXED = {
    ("InputImageParam", "detail"): "required in one of OpenAI's two shapes of the part, optional in the other",
    ("UserLocation", "type"): "required in one of OpenAI's two shapes of the place, optional in the other",
}
SERVERS_OWN = {  # written by servers and sent back as it came
    ("ApplyPatchCallParam", "operation"),
    ("CodeInterpreterCallParam", "outputs"),
    ("ComputerCallParam", "action"),
    ("ComputerCallParam", "actions"),
    ("FileSearchCallParam", "results"),
    ("ImageGenerationCallParam", "error"),
    ("ImageGenerationCallParam", "svg_usage"),
    ("LocalShellCallParam", "action"),
    ("McpCallParam", "error"),
    ("McpListToolsParam", "tools"),
    ("OutputTextParam", "annotations"),
    ("OutputTextParam", "logprobs"),
    ("ReasoningParam", "content"),
    ("ReasoningParam", "summary"),
    ("ShellCallParam", "action"),
    ("WebSearchCallParam", "action"),
}
HOMES = ("response_input_item", "reasoning", "custom_tool_input_format")  # of names that several modules have
SETTINGS = {
    "access_programs": params.AccessPrograms,
    "background_options": params.BackgroundOptions,
    "context_management": Sequence[params.ContextManagement],
    "conversation": str | params.Conversation,
    "image": params.ImageConfig,
    "include": Sequence[params.Include],
    "input": str | Sequence[params.InputItem],
    "moderation": params.Moderation,
    "prompt": params.PromptTemplate,
    "prompt_cache_options": params.PromptCacheOptions,
    "reasoning": params.ReasoningConfig,
    "stream_options": params.StreamOptions,
    "text": params.TextConfig,
    "tool_choice": params.ToolChoice,
    "tools": Sequence[params.ToolParam],
}
"""The parameters that have a shape of their own."""


class Comparison:
    """Compares hints with OpenAI's types; `differences` are told as texts, and what was met is kept."""

    def __init__(self):
        self.dicts = set()
        self.relaxed = set()
        self.servers_own = set()
        self.memo = {}

    def differences(self, hint, text, where):
        """Compare a hint with a type. ``where`` is our TypedDict's name, the field's, and OpenAI's model."""
        return list(self._compare(flat(hint), alternatives(text), where))

    def _compare(self, ours, theirs, where):
        owner, field, model = where
        if (owner, field) in RELAXED:
            self.relaxed.add((owner, field))
        elif (type(None) in ours) != (("null", None) in theirs):
            yield f"{owner}.{field}: null is allowed on one side only"
        yield from self._values(ours, theirs, where)
        for kind, origins in (("list", (list, Sequence)), ("map", (dict,))):
            mine = [get_args(hint)[-1] for hint in ours if get_origin(hint) in origins]
            their = [inner for name, inner in theirs if name == kind]
            if kind == "map" and not their:
                yield from self._plain_dicts(mine, theirs, where)
            elif len(mine) != len(their):
                yield f"{owner}.{field}: {mine} against {kind} of {their}"
            elif mine and (mine != [Any] or their != [[("object", None)]]):
                yield from self._compare([h for m in mine for h in flat(m)], their[0], where)
        yield from self._shapes(ours, [home(model, name) for name, _ in theirs if name[0].isupper()], where)

    def _values(self, ours, theirs, where):
        owner, field, _ = where
        scalars = {hint.__name__ for hint in ours if hint in (str, int, float, bool)}
        told = {name for name, _ in theirs} & {"str", "int", "float", "bool"}
        values = {value for name, inner in theirs if name == "one of" for value in inner}
        listed = {value for hint in ours if get_origin(hint) is Literal for value in get_args(hint)}
        if values and ("str" in told or field in OPEN_SETS):
            told, values = told | {"str"}, set()
        if (scalars, listed) != (told, values):
            yield f"{owner}.{field}: {scalars} {listed} against {told} {values}"

    def _plain_dicts(self, mine, theirs, where):
        owner, field, _ = where
        if mine and ("object", None) not in theirs:
            self.servers_own.add((owner, field))
            if (owner, field) not in SERVERS_OWN:
                yield f"{owner}.{field}: a plain dict against {theirs}"

    def _shapes(self, ours, models, where):
        owner, field, _ = where
        if (owner, field) in SERVERS_OWN:
            return
        dicts = [hint for hint in ours if is_typeddict(hint) and hint.__name__ not in OUR_DICTS]
        for model in models:
            tries = [self._shape(one, model) for one in dicts]
            if not tries or [] not in tries:
                yield f"{owner}.{field}: nothing fits {model}: {min(tries, key=len, default='no TypedDict')}"
        for one in dicts:
            # A filter may hold filters; OpenAI's types say "object" there.
            if models and not any(self._shape(one, model) == [] for model in models) and one.__name__ != owner:
                yield f"{owner}.{field}: {one.__name__} fits nothing"

    def _shape(self, ours, model):
        self.dicts.add(ours)
        if (ours, model) not in self.memo:
            self.memo[ours, model] = list(self._fields(ours, MODELS[model], model))
        return self.memo[ours, model]

    def _fields(self, ours, theirs, model):
        hints = hints_of(ours)
        for name in sorted(hints.keys() ^ theirs.keys()):
            yield f"{ours.__name__}.{name} is not on both sides"
        for name in sorted(hints.keys() & theirs.keys()):
            required = (ours.__name__, name) in RELAXED or theirs[name]["required"] == (name in ours.__required_keys__)
            if not required:
                yield f"{ours.__name__}.{name}: required on one side only"
            yield from self.differences(hints[name], theirs[name]["type"], (ours.__name__, name, model))


@cache
def hints_of(ours):
    return get_type_hints(ours)


def flat(hint):
    """Give the alternatives of a hint."""
    if get_origin(hint) in (Union, types.UnionType):
        return [inner for argument in get_args(hint) for inner in flat(argument)]
    return [hint]


def home(model, name):
    """Give the model that a model means by a name."""
    found = [key for key in MODELS if key.split(".")[1] == name]
    near = [key for key in found if key.split(".")[0] == model.split(".")[0]]
    (one,) = near or [key for key in found if key.split(".")[0] in HOMES] or found
    return one


def all_dicts():
    for module in pkgutil.iter_modules(params.__path__, f"{params.__name__}."):
        yield from vars(importlib.import_module(module.name)).values()
    yield from vars(params).values()


def test_typed_dicts_are_openais():
    comparison = Comparison()
    theirs = MODELS["responses_client_event.ResponseCreate"]
    for name, hint in SETTINGS.items():
        found = comparison.differences(hint | None, theirs[name]["type"], ("request", name, "responses_client_event."))
        assert found == []
    defined = {value.__name__ for value in all_dicts() if is_typeddict(value)}
    met = {value.__name__ for value in comparison.dicts}
    assert defined - met == set(OUR_DICTS)
    assert met <= defined
    assert comparison.relaxed == set(RELAXED)
    assert comparison.servers_own == SERVERS_OWN


def test_a_comparison_sees_drift(monkeypatch):
    """Each kind of change of OpenAI's types, one at a time, is found."""
    model = MODELS["function_tool.FunctionTool"]
    union = params.ToolParam

    def found():
        return Comparison().differences(union, "FunctionTool", ("request", "tools", "function_tool."))

    text = " ".join(found())
    assert "FunctionTool:" not in text
    for name, change in {
        "new": {"type": "str", "required": False},
        "name": {"type": "str", "required": False},
        "description": {"type": "str", "required": False},
        "strict": {"type": "str|null", "required": False},
        "type": {"type": "{function,func}", "required": True},
        "parameters": {"type": "str|null", "required": False},
        "allowed_callers": {"type": "list[{direct}]|null", "required": False},
    }.items():
        with monkeypatch.context() as patch:
            patch.setitem(model, name, change)
            assert f"FunctionToolParam.{name}" in " ".join(found())
    with monkeypatch.context() as patch:
        patch.delitem(model, "strict")
        assert "FunctionToolParam.strict" in " ".join(found())


def test_the_parameters_of_a_request_are_openais():
    ours = {
        "frequency_penalty": "Open Responses'",
        "presence_penalty": "Open Responses'",
        "stream": "set by the client's method",
        "extra_body": "not sent under this name",
        "extra_headers": "not in the body",
        "max_retries": "not in the body",
        "timeout": "not in the body",
    }
    names = set(RequestParams.__annotations__)
    assert names - set(ours) == set(OPENAI["create_params"])
    assert names >= set(ours)


def test_an_import_loads_no_params():
    script = "import sys, agentrt; print([name for name in sys.modules if name.startswith('agentrt.wire.params')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what came is kept

UNKNOWN = [
    '{"z":1,"type":"acme:thing","a":{"y":null,"b":[1.5,"é",true]}}',
    '{"type":"function_call","zz":{"b":1,"a":2},"call_id":"c","name":"n","arguments":"{}","async":null}',
    '{"role":"assistant","content":[{"type":"acme:part","z":1,"a":2},{"type":"output_text","text":"x"}],"new":[]}',
    '{"status":"completed","summary":[],"type":"reasoning"}',
    "{}",
]


def ordered(text):
    return json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs))


@pytest.mark.parametrize("text", UNKNOWN)
def test_unknown_types_and_fields_go_back_as_they_came(text):
    item = item_view(json.loads(text))
    assert ordered(item.json) == ordered(text)
    response = Response({"output": [json.loads(text)]})
    assert [ordered(again.json) for again in response.items] == [ordered(text)] * (text != "{}")
    event = Event(json.loads(text))
    assert ordered(json.dumps(event.raw)) == ordered(text)


def test_every_field_of_every_type_goes_back_as_it_came():
    for kind, told in ITEM_FIELDS.items():
        raw = {name: value for name, texts in told.items() for text in texts for value in samples(text)}
        text = json.dumps({"new": {"b": 1, "a": None}, **raw, "type": kind})
        item = item_view(json.loads(text))
        for name in (*attributes(type(item)), "id", "status", "type"):
            getattr(item, name)
        assert ordered(item.json) == ordered(text)


HOSTILE = [None, True, False, 0, -1, 2**70, 1.5, "", "x", "é\n", [], [None], [[]], ["x", 1], {}, {"a": []}]
HOSTILE += [[{}], [{"text": 1, "annotations": 2}], [{"annotations": [{}], "refusal": [], "text": "t"}]]
HOSTILE += [{"queries": [1], "query": {}, "sources": "s"}, {"queries": "q", "sources": [0, {}]}, {"message": 1}]


def promises(cls):
    """Give the promised type of each attribute of a view's class, as a strict validator."""
    found = {}
    for name in dir(cls):
        attribute = getattr(cls, name)
        getter = attribute.read if isinstance(attribute, Field) else getattr(attribute, "fget", None)
        if getter is not None:
            hint = get_type_hints(getter)["return"]
            found[name] = TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python
    return found


def test_hostile_values_raise_nothing_and_break_no_promise():
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    known = [type(item_view({"type": kind})) for kind in ITEM_FIELDS]
    for cls in (Item, Event, *known):
        checks = promises(cls)
        assert checks
        fields = {name.removesuffix("_") for name in checks} | {"type", "error", "delta"}
        for _ in range(120):
            raw = {name: source.choice(HOSTILE) for name in fields if source.random() < 0.9}
            view = cls(raw) if source.random() < 0.5 or cls is Event else item_view(raw)
            for name, check in checks.items():
                if isinstance(view, cls):
                    check(getattr(view, name))
            assert view.raw is raw
            assert repr(view)
