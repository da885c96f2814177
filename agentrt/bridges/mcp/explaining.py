"""What jsonschema finds, in sentences that a model can act on: where, what was expected, what came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from agentrt.registry.explain import place, shown
from agentrt.registry.mismatch import TYPE_WORDS
from agentrt.wire.json import as_dict, is_list

__all__ = ["explained"]

_MAX_SENTENCE, _MAX_LISTED = 300, 20
_ABOUT_ITSELF = frozenset({"type", "enum", "const"})


def _listed(values: Iterable[Any], write: Callable[[Any], str] = shown) -> str:
    told = [write(value) for value in values]
    more = len(told) - _MAX_LISTED
    return ", ".join(told) if more <= 0 else f"{', '.join(told[:_MAX_LISTED])} and {more} more"


def _typed(kind: Any) -> str:
    return " or ".join(TYPE_WORDS.get(name, str(name)) for name in (kind if is_list(kind) else [kind]))


_EXPECTED: Mapping[str, Callable[[Any], str]] = {
    "const": shown,
    "contains": lambda value: f"an array with an entry that fits {shown(value)}",
    "enum": lambda values: f"one of {_listed(values)}",
    "exclusiveMaximum": lambda value: f"less than {shown(value)}",
    "exclusiveMinimum": lambda value: f"greater than {shown(value)}",
    "maxItems": lambda value: f"an array of at most {shown(value)} entries",
    "maxLength": lambda value: f"a string of at most {shown(value)} characters",
    "maxProperties": lambda value: f"an object of at most {shown(value)} members",
    "maximum": lambda value: f"at most {shown(value)}",
    "minItems": lambda value: f"an array of at least {shown(value)} entries",
    "minLength": lambda value: f"a string of at least {shown(value)} characters",
    "minProperties": lambda value: f"an object of at least {shown(value)} members",
    "minimum": lambda value: f"at least {shown(value)}",
    "multipleOf": lambda value: f"a multiple of {shown(value)}",
    "not": lambda value: f"something that doesn't fit {shown(value)}",
    "oneOf": lambda value: f"a value that fits exactly one of {shown(value)}",
    "pattern": lambda value: f"a string that matches {shown(value)}",
    "type": _typed,
    "uniqueItems": lambda _: "an array without equal entries",
}


def explained(error: Any) -> Iterator[str]:
    """Tell what is wrong, one sentence for each place.

    Args:
        error: A ``jsonschema.ValidationError``.
    """
    branches = _branches(error) if error.validator in ("anyOf", "oneOf") else []
    if not branches:
        yield _cut(_sentence(error))
        return
    near = [branch for branch in branches if not any(_is_about_itself(inner) for inner in branch)]
    if near:
        for inner in min(near, key=_weight):
            yield from explained(inner)
    else:
        wanted = dict.fromkeys(_expected(next(filter(_is_about_itself, branch))) for branch in branches)
        yield _cut(_must_be(error, " or ".join(wanted)))


def _branches(error: Any) -> list[list[Any]]:
    """Give what each alternative finds wrong."""
    found: dict[Any, list[Any]] = {}
    for inner in error.context:
        found.setdefault(inner.relative_schema_path[0], []).append(inner)
    return list(found.values())


def _is_about_itself(error: Any) -> bool:
    """Tell whether an alternative is for another kind of value altogether."""
    return error.validator in _ABOUT_ITSELF and not error.relative_path


def _weight(branch: list[Any]) -> int:
    """Tell how far from an alternative a value is: a constant that differs says that another one is meant."""
    return sum(10 if error.validator in ("const", "enum") else 1 for error in branch)


def _sentence(error: Any) -> str:
    path = _path(error.absolute_path)
    if error.validator == "required":
        return f"{place(path)} is required, but missing"
    if error.validator == "additionalProperties":
        known = as_dict(as_dict(error.schema).get("properties"))
        takes = f"it takes {_listed(known, str) or 'none'}"
        is_of_root = len(error.absolute_path) == 1
        return (
            f"{place(path)} is not an argument of this tool; {takes}"
            if is_of_root
            else (f"{place(path)} is not expected; the object that it is in takes {_listed(known, str) or 'none'}")
        )
    if error.validator is None:
        return f"{shown(error.instance)} is not allowed where it stands"
    return _must_be(error, _expected(error))


def _must_be(error: Any, wanted: str) -> str:
    path = _path(error.absolute_path)
    if not path:
        return f"the arguments must be {wanted}, but are {shown(error.instance)}"
    return f"{place(path)} must be {wanted}, but is {shown(error.instance)}"


def _expected(error: Any) -> str:
    write = _EXPECTED.get(error.validator)
    return f"valid ({error.message})" if write is None else write(error.validator_value)


def _path(steps: Iterable[Any]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SENTENCE else f"{text[:_MAX_SENTENCE]}…"
