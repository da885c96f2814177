"""What a schema's values look like in strict form, and which of them must be put back into their natural form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentrt.wire.json import as_dict, as_list, is_dict, is_list

__all__ = [
    "ITEM",
    "PAIR",
    "allows_null",
    "branches_of",
    "has_union_with_work",
    "has_work",
    "is_mapping",
    "is_of_type",
    "is_open",
    "is_tuple",
    "key_schema",
    "listed_values",
    "optional_names",
    "resolved",
    "told_apart",
    "value_schema",
]

PAIR = ("key", "value")
"""A mapping is written as a list of such pairs."""

ITEM = "item_"
"""A tuple is written as an object with such names: ``item_0``, ``item_1``, …."""

Schema = Mapping[str, Any]
_TYPES = frozenset({"array", "boolean", "null", "number", "object", "string"})
_SAYS = frozenset({"type", "anyOf", "oneOf", "allOf", "$ref", "enum", "const"})


def resolved(schema: Schema, defs: Schema) -> Schema:
    """Follow a reference to what it names."""
    seen: set[str] = set()
    found: Schema = schema
    while isinstance(found.get("$ref"), str) and found["$ref"] not in seen:
        seen.add(found["$ref"])
        found = as_dict(defs.get(found["$ref"].rpartition("/")[2]))
    return found


def branches_of(schema: Schema) -> list[dict[str, Any]]:
    """Give the alternatives of a union; none where it is no union."""
    return [part for name in ("anyOf", "oneOf") for part in as_list(schema.get(name))]


def is_mapping(schema: Schema) -> bool:
    """Tell whether it is an object of any keys: ``dict[str, X]``."""
    return (
        schema.get("type") == "object"
        and "properties" not in schema
        and (is_dict(schema.get("additionalProperties")) or "patternProperties" in schema)
    )


def listed_values(schema: Schema) -> list[Any]:
    """Give the values that it lists by ``enum`` and ``const``; none, where it lists none."""
    return [*as_list(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]


def key_schema(mapping: Schema) -> dict[str, Any]:
    """Give the schema of a mapping's keys."""
    patterns = list(as_dict(mapping.get("patternProperties")))
    pattern = {"pattern": patterns[0]} if len(patterns) == 1 and patterns[0] else {}
    return {"type": "string", **pattern, **as_dict(mapping.get("propertyNames"))}


def value_schema(mapping: Schema) -> dict[str, Any]:
    """Give the schema of a mapping's values."""
    if is_dict(mapping.get("additionalProperties")):
        return as_dict(mapping["additionalProperties"])
    values = list(as_dict(mapping.get("patternProperties")).values())
    return values[0] if len(values) == 1 else {"anyOf": values}


def is_tuple(schema: Schema) -> bool:
    """Tell whether it is an array whose items have types by position."""
    return bool(as_list(schema.get("prefixItems")))


def is_open(schema: Schema) -> bool:
    """Tell whether it is, or may have beside its properties, anything at all."""
    if schema.get("additionalProperties") not in (None, False):
        return True
    if schema.get("type") == "array" and "items" not in schema:
        return True
    if "object" in as_list(schema.get("type")):
        return True
    return not schema.keys() & _SAYS or (
        schema.get("type") == "object" and "properties" not in schema and "additionalProperties" not in schema
    )


def optional_names(schema: Schema, defs: Schema) -> list[str]:
    """Name an object's properties that may be left out and have no null of their own: null then means "left out"."""
    required = as_list(schema.get("required"))
    properties = as_dict(schema.get("properties"))
    return [name for name, part in properties.items() if name not in required and not allows_null(part, defs)]


def allows_null(schema: Schema, defs: Schema) -> bool:
    """Tell whether null is a value of the type."""
    return "null" in _kinds(schema, defs, frozenset())


def _kinds(schema: Schema, defs: Schema, seen: frozenset[str]) -> frozenset[str]:
    """Name the JSON types that a value may have in strict form."""
    ref = schema.get("$ref")
    if isinstance(ref, str):
        return _TYPES - {"null"} if ref in seen else _kinds(resolved(schema, defs), defs, seen | {ref})
    branches = branches_of(schema)
    if branches:
        return frozenset(kind for branch in branches for kind in _kinds(branch, defs, seen))
    values = listed_values(schema)
    if values:
        return frozenset(map(_kind, values))
    if is_mapping(schema):
        return frozenset({"array"})
    if is_tuple(schema):
        return frozenset({"object"})
    kind = schema.get("type")
    kinds = as_list(kind) or [kind]
    return frozenset("number" if name == "integer" else str(name) for name in kinds) if kind else _TYPES


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if is_list(value) else "object"


def has_work(schema: Schema, defs: Schema) -> bool:
    """Tell whether some value of the type has another form in strict mode than by itself."""
    return any(
        is_mapping(part) or is_tuple(part) or bool(optional_names(part, defs)) for part in _reached(schema, defs, set())
    )


def has_union_with_work(schema: Schema, defs: Schema) -> bool:
    """Tell whether null may mean "left out" in one type of a union, where another type might take it for its own."""
    unions = (branches_of(part) for part in _reached(schema, defs, set()))
    return any(has_work(branch, defs) for branches in unions for branch in branches)


def _reached(schema: Schema, defs: Schema, seen: set[str]) -> Iterator[Schema]:
    ref = schema.get("$ref")
    if isinstance(ref, str):
        if ref not in seen:
            seen.add(ref)
            yield from _reached(resolved(schema, defs), defs, seen)
        return
    yield schema
    inner = [*as_dict(schema.get("properties")).values(), *as_list(schema.get("prefixItems")), *branches_of(schema)]
    inner += [
        schema.get("items"),
        schema.get("additionalProperties"),
        *as_dict(schema.get("patternProperties")).values(),
    ]
    for part in inner:
        if is_dict(part):
            yield from _reached(part, defs, seen)


def told_apart(one: Schema, other: Schema, defs: Schema) -> bool:
    """Tell whether a value in strict form shows which of two types it is of, as far as that matters for decoding."""
    common = _kinds(one, defs, frozenset()) & _kinds(other, defs, frozenset()) & {"object", "array"}
    if not common:
        return True
    one, other = resolved(one, defs), resolved(other, defs)
    if common == frozenset({"array"}) or branches_of(one) or branches_of(other):
        return False
    names, others = _names(one), _names(other)
    return names != others or any(_differ(one, other, name) for name in names)


def _names(schema: Schema) -> frozenset[str]:
    """Name the properties of an object in strict form."""
    if is_tuple(schema):
        return frozenset(f"{ITEM}{index}" for index in range(len(schema["prefixItems"])))
    return frozenset(as_dict(schema.get("properties")))


def _differ(one: Schema, other: Schema, name: str) -> bool:
    """Tell whether two objects have different constants under a name: a discriminator."""
    tags = [as_dict(as_dict(schema.get("properties")).get(name)) for schema in (one, other)]
    values = [{repr(v) for v in listed_values(tag)} for tag in tags]
    return all(values) and not values[0] & values[1]


_PYTHON: Mapping[str, Any] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}


def is_of_type(value: object, kind: str) -> bool:
    """Tell whether a JSON value is of a schema's type; true is no number."""
    return isinstance(value, _PYTHON.get(kind, object)) and (kind == "boolean" or not isinstance(value, bool))
