"""Holds arguments against a strict schema, so that what is wrong is said in the form that the model was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentrt.registry.explain import Words, place, shown
from agentrt.registry.shapes import branches_of, is_of_type, listed_values, resolved
from agentrt.wire.json import as_dict, as_list, is_dict, is_list

__all__ = ["TYPE_WORDS", "mismatches"]

_MOST = 10
TYPE_WORDS = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}
"""How messages name the types of JSON Schema."""


def mismatches(value: Any, schema: Mapping[str, Any], words: Words) -> list[str]:
    """Tell where a value has another shape than a strict schema says, one sentence for each place, ten at most."""
    found = _found(value, schema, as_dict(schema.get("$defs")), words, "")
    return [sentence for _, sentence in zip(range(_MOST), found, strict=False)]


def _found(value: Any, schema: Mapping[str, Any], defs: Mapping[str, Any], words: Words, path: str) -> Iterator[str]:
    schema = resolved(schema, defs)
    branches = branches_of(schema)
    if branches:
        yield from _of_union(value, branches, defs, words, path)
        return
    values = listed_values(schema)
    if values and value not in values:
        yield f"{place(path)} must be one of {', '.join(map(shown, values[:_MOST]))}, but is {shown(value)}"
        return
    kinds = as_list(schema.get("type")) or ([schema["type"]] if "type" in schema else [])
    if kinds and not any(is_of_type(value, kind) for kind in kinds):
        wanted = " or ".join(TYPE_WORDS[kind] for kind in kinds)
        yield f"{place(path)} must be {wanted}, but is {shown(value)}"
    elif is_list(value):
        for index, part in enumerate(value):
            yield from _found(part, as_dict(schema.get("items")), defs, words, f"{path}[{index}]")
    elif is_dict(value):
        properties = as_dict(schema.get("properties"))
        for name, part in properties.items():
            inner = f"{path}.{name}" if path else name
            if name in value:
                yield from _found(value[name], part, defs, words, inner)
            else:
                yield f"`{inner}` is required, but missing"
        for name in value:
            if name not in properties:
                yield f"`{path}.{name}` is not expected" if path else f"`{name}` is not {words.one}"


def _of_union(
    value: Any, branches: list[dict[str, Any]], defs: Mapping[str, Any], words: Words, path: str
) -> Iterator[str]:
    """Tell what is wrong with the branch that comes closest: one of the value's own type, where there is one."""
    wrong = [list(_found(value, branch, defs, words, path)) for branch in branches]
    if all(wrong):
        near = [found for found in wrong if not any(text.startswith(f"{place(path)} must be") for text in found)]
        yield from min(near or [wrong[0][:1]], key=len)
