"""Strict mode: the form of a schema under which a provider promises arguments that fit.

The rules are OpenAI's: every object closed, every property required, an optional one nullable, and no keyword outside
the supported set (function calling guide, "Strict mode"; structured outputs guide, "Supported schemas"). What a strict
schema can't say is written in another form where that can be undone, by ``decode.py``: a mapping as a list of pairs, a
tuple as an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from agentrt.registry.shapes import (
    ITEM,
    PAIR,
    allows_null,
    has_work,
    is_mapping,
    is_open,
    is_tuple,
    key_schema,
    listed_values,
    resolved,
    told_apart,
    value_schema,
)
from agentrt.wire.json import as_dict, as_list, as_str, dump

__all__ = ["StrictForm", "strict_form"]

_KEPT = frozenset(
    [
        "additionalProperties",
        "anyOf",
        "const",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "type",
    ]
)
_AS_THEY_ARE = _KEPT - {"format", "pattern"}
_LEFT_OUT = frozenset(  # they only describe, or what they ask for is checked when the call comes
    [
        "$comment",
        "contentMediaType",
        "default",
        "deprecated",
        "discriminator",
        "examples",
        "readOnly",
        "title",
        "uniqueItems",
        "writeOnly",
    ]
)
_IN_WORDS = {
    "minLength": "At least {} characters.",
    "maxLength": "At most {} characters.",
    "minProperties": "At least {} entries.",
    "maxProperties": "At most {} entries.",
}
_ENCODED = frozenset({"prefixItems", "patternProperties", "propertyNames"})
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])
_LOOK_AROUND = ("(?=", "(?!", "(?<")
_MAX_PROPERTIES, _MAX_DEPTH, _MAX_ENUM, _MAX_CHARS = 5000, 10, 1000, 120_000  # OpenAI, February 2026
_LONG_ENUM, _MAX_LONG_ENUM_CHARS = 250, 15_000


class StrictForm(NamedTuple):
    """What became of a schema.

    Attributes:
        schema: The strict schema; None where there is none.
        reason: Why there is none.
        encoded: Whether something is written in another form, so that arguments must be decoded first.
    """

    schema: dict[str, Any] | None
    reason: str | None = None
    encoded: bool = False


class _NotStrict(Exception):  # noqa: N818 - it is an answer, not an error: it never leaves this module
    pass


def strict_form(schema: Mapping[str, Any], *, encode: bool = False, extras: str = "more") -> StrictForm:
    """Close the objects of a schema and make its optional properties nullable.

    Args:
        schema: The schema of a function's parameters: an object at the root.
        encode: Also write what a strict schema can't say in another form, where that can be undone.
        extras: The name of the property that then takes what the root's ``additionalProperties`` allow.
    """
    converter = _Converter(schema, encode=encode)
    try:
        made = converter.root(extras)
    except _NotStrict as reason:
        return StrictForm(None, str(reason))
    return StrictForm(made, None, converter.encoded)


class _Converter:
    def __init__(self, schema: Mapping[str, Any], *, encode: bool) -> None:
        self._schema = schema
        self._defs = as_dict(schema.get("$defs"))
        self._encode = encode
        self._size = _Size()
        self.encoded = False

    def root(self, extras: str) -> dict[str, Any]:
        schema: dict[str, Any] = {name: part for name, part in self._schema.items() if name != "$defs"}
        more: Any = schema.get("additionalProperties")
        if more:
            self._need_encoding("the tool takes any further keywords")
            properties = {**as_dict(schema.get("properties")), extras: {"type": "object", "additionalProperties": more}}
            required = [*as_list(schema.get("required")), extras]
            schema = {**schema, "properties": properties, "required": required}
        made = self._object({**schema, "additionalProperties": False}, "")
        if self._defs:
            made["$defs"] = {name: self._convert(part, name) for name, part in self._defs.items()}
        self._size.check()
        return made

    def _need_encoding(self, reason: str) -> None:
        if not self._encode:
            raise _NotStrict(f"{reason}, which strict mode can't say as it is")
        self.encoded = True

    def _convert(self, schema: Mapping[str, Any], path: str) -> dict[str, Any]:
        if isinstance(schema.get("$ref"), str):
            # Strict mode forbids siblings of $ref; a wrapper keeps the description.
            rest = {name: schema[name] for name in ("description",) if name in schema}
            return {"anyOf": [{"$ref": schema["$ref"]}], **rest} if rest else {"$ref": schema["$ref"]}
        schema = self._known_keywords(dict(schema), path)
        if is_mapping(schema):
            return self._mapping(schema, path)
        if is_tuple(schema):
            return self._tuple(schema, path)
        if is_open(schema):
            raise _NotStrict(f"{path!r} may hold anything, which strict mode can't say")
        if "enum" in schema or "const" in schema:
            self._size.add_values(schema)
        if "anyOf" in schema:
            self._check_told_apart(schema["anyOf"], path)
            schema["anyOf"] = [self._convert(branch, path) for branch in schema["anyOf"]]
        if "items" in schema:
            schema["items"] = self._convert(schema["items"], f"{path}[]")
        return self._object(schema, path) if schema.get("type") == "object" else schema

    def _known_keywords(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
        if len(as_list(schema.get("allOf"))) == 1:
            schema = {**schema.pop("allOf")[0], **schema}
        if schema.keys() <= _AS_THEY_ARE:
            return schema
        made: dict[str, Any] = {}
        words: list[str] = []
        for name, value in schema.items():
            told = _in_words(name, value)
            if told is not None:
                if not self._encode and name != "contentEncoding":
                    raise _NotStrict(f"{path!r} has {name!r}{told[1]}, which strict mode does not have")
                words.append(told[0])
            elif name in _KEPT or name in _ENCODED:
                if name != "format" or value in _FORMATS:
                    made[name] = value
            elif name not in _LEFT_OUT:
                raise _NotStrict(f"{path!r} has {name!r}, which strict mode does not have")
        return _described(made, *words)

    def _mapping(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        self._need_encoding(f"{path!r} is a mapping with any keys")
        self._size.level += 1
        self._size.add_object(PAIR)
        key = self._convert(key_schema(schema), f"{path}.key")
        pair = {PAIR[0]: key, PAIR[1]: self._convert(value_schema(schema), f"{path}.value")}
        self._size.level -= 1
        made = {"type": "array", "items": _closed(pair)}
        return {**made, **{name: schema[name] for name in ("description",) if name in schema}}

    def _tuple(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        if schema.get("items") not in (None, False) and schema.get("maxItems") != len(schema["prefixItems"]):
            raise _NotStrict(f"{path!r} is a tuple of open length, which strict mode can't say")
        self._need_encoding(f"{path!r} is a tuple")
        least: int = schema.get("minItems", 0)
        self._size.level += 1
        self._size.add_object(f"{ITEM}{index}" for index in range(len(schema["prefixItems"])))
        parts: dict[str, Any] = {}
        for index, item in enumerate(schema["prefixItems"]):
            part = self._convert(item, f"{path}[{index}]")
            parts[f"{ITEM}{index}"] = part if index < least else self._optional(part, item)
        self._size.level -= 1
        return {**_closed(parts), **{name: schema[name] for name in ("description",) if name in schema}}

    def _object(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        required = as_list(schema.get("required"))
        properties = as_dict(schema.get("properties"))
        self._size.level += 1
        self._size.add_object(properties)
        closed: dict[str, Any] = {}
        for name, part in properties.items():
            converted = self._convert(part, f"{path}.{name}" if path else name)
            closed[name] = converted if name in required else self._optional(converted, part)
        self._size.level -= 1
        return {**schema, **_closed(closed)}

    def _optional(self, converted: dict[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
        default: Any = part.get("default")
        if default is not None:  # a strict schema has no defaults, so the description says what null means
            converted = _described(converted, f"Default: {dump(default).decode()}.")
        return converted if allows_null(resolved(part, self._defs), self._defs) else _nullable(converted)

    def _check_told_apart(self, branches: list[dict[str, Any]], path: str) -> None:
        if not any(has_work(branch, self._defs) for branch in branches):
            return
        for index, one in enumerate(branches):
            for other in branches[index + 1 :]:
                if not told_apart(one, other, self._defs):
                    raise _NotStrict(f"{path!r} is one of several types that look alike in strict form")


def _in_words(name: str, value: Any) -> tuple[str, str] | None:
    """Say in words what a keyword asks for that strict mode lacks, and what of it it lacks; None where it has it."""
    if name in _IN_WORDS:
        return _IN_WORDS[name].format(value), ""
    if name == "pattern" and any(part in as_str(value) for part in _LOOK_AROUND):
        return f"Must match {value}", " that looks around"
    return (f"In {value}.", "") if name == "contentEncoding" else None


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _described(schema: dict[str, Any], *words: str) -> dict[str, Any]:
    if not words:
        return schema
    if "$ref" in schema:
        schema = {"anyOf": [schema]}
    said = as_str(schema.get("description")).rstrip()
    said = f"{said}." if said and said[-1] not in ".!?:" else said
    return {**schema, "description": " ".join(filter(None, [said, *words]))}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str) and not schema.keys() & {"enum", "const"}:
        return {**schema, "type": [schema["type"], "null"]}
    rest = {name: schema[name] for name in ("description",) if name in schema}
    bare = {name: value for name, value in schema.items() if name != "description"}
    branches = bare["anyOf"] if bare.keys() == {"anyOf"} else [bare]
    return {"anyOf": [*branches, {"type": "null"}], **rest}


class _Size:
    """How big the schema is so far; OpenAI takes no bigger ones."""

    def __init__(self) -> None:
        self.level = self.levels = self.properties = self.values = self.chars = self.longest = 0

    def add_object(self, names: Iterable[str]) -> None:
        self.levels = max(self.levels, self.level)
        for name in names:
            self.properties += 1
            self.chars += len(name)

    def add_values(self, schema: Mapping[str, Any]) -> None:
        values = listed_values(schema)
        size = sum(len(value) for value in values if isinstance(value, str))
        self.values += len(values)
        self.chars += size
        if len(values) > _LONG_ENUM:
            self.longest = max(self.longest, size)

    def check(self) -> None:
        for what, found, most in (
            ("properties", self.properties, _MAX_PROPERTIES),
            ("levels", self.levels, _MAX_DEPTH),
            ("enum values", self.values, _MAX_ENUM),
            ("characters in names and values", self.chars, _MAX_CHARS),
            ("characters in one enum", self.longest, _MAX_LONG_ENUM_CHARS),
        ):
            if found > most:
                raise _NotStrict(f"the schema has {found} {what}, and strict mode allows {most}")
