"""Arguments in strict form become natural again: lists of pairs mappings, objects of items tuples, null "left out".

What came in its natural form stays as it is, so both are understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from agentrt.errors import ToolError
from agentrt.registry.shapes import (
    ITEM,
    PAIR,
    allows_null,
    branches_of,
    is_mapping,
    is_of_type,
    is_tuple,
    key_schema,
    listed_values,
    optional_names,
    resolved,
    value_schema,
)
from agentrt.wire.json import as_dict, as_list, is_dict, is_list

__all__ = ["decoded"]

Schema = Mapping[str, Any]
Form = Literal["strict", "natural", "either"]


def decoded(
    arguments: Mapping[str, Any], schema: Schema, extras: str | None, *, encoded: bool = True
) -> dict[str, Any]:
    """Put arguments back into their natural form.

    Args:
        arguments: The arguments by name, in strict form or in their natural one.
        schema: The natural schema of the parameters.
        extras: The name under which a strict form holds what ``additionalProperties`` allow; None where it holds none.
        encoded: Whether mappings and tuples were asked for in another form; else only null may mean "left out".

    Raises:
        ToolError: Two values stand under one name.
    """
    decoder = _Decoder(as_dict(schema.get("$defs")), encoded=encoded)
    given = dict(arguments)
    more: dict[str, Any] = {}
    if extras is not None and extras in given:
        mapping = {"type": "object", "additionalProperties": schema["additionalProperties"]}
        found = decoder.natural(given[extras], mapping)
        if is_dict(found):
            more = found
            del given[extras]
    twice = (more.keys() & given.keys()) | (more.keys() & as_dict(schema.get("properties")).keys())
    if twice:
        raise ToolError(f"the name {min(twice)!r} stands in {extras!r}, and is an argument of its own; give it there")
    return {**decoder.natural(given, schema), **more}


class _Decoder:
    def __init__(self, defs: Schema, *, encoded: bool) -> None:
        self._defs = defs
        self._encoded = encoded
        # Whether a value fits is asked again at each level of a recursive union: kept, it is linear.
        self._known: dict[tuple[int, int, Form], bool] = {}

    def natural(self, value: Any, schema: Schema) -> Any:
        schema = resolved(schema, self._defs)
        branches = branches_of(schema)
        if branches:
            return self._of_union(value, branches)
        if is_mapping(schema):
            entries = self._pairs(value)
            entries = value if entries is None else entries
            inner = value_schema(schema)
            return {key: self.natural(part, inner) for key, part in entries.items()} if is_dict(entries) else value
        if is_tuple(schema):
            return self._tuple(value, schema)
        if is_list(value) and is_dict(schema.get("items")):
            return [self.natural(part, schema["items"]) for part in value]
        return self._object(value, schema) if is_dict(value) and "properties" in schema else value

    def _of_union(self, value: Any, branches: list[dict[str, Any]]) -> Any:
        forms: tuple[Form, ...] = ("strict", "natural", "either")  # under a strict schema a model writes strict form
        for form in forms:
            for branch in branches:
                if self._fits(value, branch, form):
                    return self.natural(value, branch)
        return value

    def _object(self, value: dict[str, Any], schema: Schema) -> dict[str, Any]:
        properties = as_dict(schema["properties"])
        left_out = optional_names(schema, self._defs)
        return {
            name: self.natural(part, as_dict(properties.get(name)))
            for name, part in value.items()
            if part is not None or name not in left_out
        }

    def _pairs(self, value: Any) -> dict[str, Any] | None:
        """Read a list of pairs; None where it is something else."""
        if not self._encoded or not is_list(value):
            return None
        if not all(is_dict(pair) and pair.keys() == set(PAIR) for pair in value):
            return None
        keys: list[Any] = [pair[PAIR[0]] for pair in value]
        if not all(isinstance(key, str | int | float | bool) for key in keys):
            return None
        pairs: dict[str, Any] = {}
        for pair in value:
            key = pair[PAIR[0]] if isinstance(pair[PAIR[0]], str) else repr(pair[PAIR[0]]).lower()
            if key in pairs:
                raise ToolError(f"the key {key!r} stands twice in one list of pairs; give each key once")
            pairs[key] = pair[PAIR[1]]
        return pairs

    def _items(self, value: Any, schema: Schema) -> Any:
        """Give a tuple's items in order where they came as an object."""
        parts = as_list(schema["prefixItems"])
        names = [f"{ITEM}{index}" for index in range(len(parts))]
        least = schema.get("minItems", 0)
        if not self._encoded or not is_dict(value) or not value or not set(names[:least]) <= value.keys() <= set(names):
            return value
        items = [value.get(name) for name in names]
        while len(items) > least and items[-1] is None and not allows_null(parts[len(items) - 1], self._defs):
            items.pop()  # left out at the end
        return items

    def _tuple(self, value: Any, schema: Schema) -> Any:
        items, parts = self._items(value, schema), as_list(schema["prefixItems"])
        if not is_list(items):
            return value
        return [self.natural(item, parts[index] if index < len(parts) else {}) for index, item in enumerate(items)]

    # --- which branch of a union

    def _fits(self, value: Any, schema: Schema, form: Form) -> bool:
        """Tell whether a value has the shape of a type, in strict form, in the natural one, or in a mixture of both."""
        known = (id(value), id(schema), form)
        if known not in self._known:
            self._known[known] = self._looks_like(value, resolved(schema, self._defs), form)
        return self._known[known]

    def _looks_like(self, value: Any, schema: Schema, form: Form) -> bool:  # noqa: PLR0911 - one for each kind
        branches = branches_of(schema)
        if branches:
            return any(self._fits(value, branch, form) for branch in branches)
        if "const" in schema or "enum" in schema:
            return _is_one_of(value, schema)
        if is_mapping(schema):
            return self._looks_like_mapping(value, schema, form)
        if is_tuple(schema):
            return self._looks_like_tuple(value, schema, form)
        kind: Any = schema.get("type")
        if kind == "array":
            items = as_dict(schema.get("items"))
            return is_list(value) and all(self._fits(part, items, form) for part in value)
        if kind == "object" and "properties" in schema:
            return self._looks_like_object(value, schema, form)
        return kind is None or is_of_type(value, kind)

    def _looks_like_mapping(self, value: Any, schema: Schema, form: Form) -> bool:
        pairs = None if form == "natural" else self._pairs(value)
        entries = value if pairs is None and form != "strict" else pairs
        keys, values = key_schema(schema), value_schema(schema)
        return is_dict(entries) and all(
            self._looks_like(key, keys, form) and self._fits(part, values, form) for key, part in entries.items()
        )

    def _looks_like_tuple(self, value: Any, schema: Schema, form: Form) -> bool:
        parts = as_list(schema["prefixItems"])
        if (form == "strict" and not (is_dict(value) and len(value) == len(parts))) or (
            form == "natural" and not is_list(value)
        ):
            return False
        items = self._items(value, schema)
        return (
            is_list(items)
            and schema.get("minItems", 0) <= len(items) <= len(parts)
            and all(self._fits(item, part, form) for item, part in zip(items, parts, strict=False))
        )

    def _looks_like_object(self, value: Any, schema: Schema, form: Form) -> bool:
        properties = as_dict(schema["properties"])
        required = properties.keys() if form == "strict" else set(as_list(schema.get("required")))
        if not is_dict(value) or not required <= value.keys() <= properties.keys():
            return False
        tags = [name for name in value if "const" in properties[name] or "enum" in properties[name]]
        if not all(_is_one_of(value[name], properties[name]) or value[name] is None for name in tags):
            return False  # what tells the types of a union apart is looked at before what is inside
        left_out = optional_names(schema, self._defs) if form != "natural" else []
        return all(
            (part is None and name in left_out) or self._fits(part, properties[name], form)
            for name, part in value.items()
        )


def _is_one_of(value: Any, schema: Schema) -> bool:
    values = listed_values(schema)
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values)
