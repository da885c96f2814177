"""A stranger's JSON schema as a check, and what doesn't fit in the words of JSON.

jsonschema does the checking. What a hostile schema could make of it is taken away: Python's regular expressions (a
pattern such as ``^(a+)+$`` never ends, and nothing can stop it), comparing each entry of a list with each other, a
subschema that names another dialect and so gets the keywords as they were. The rest ends after a second, both when the
schema itself is checked, by the first call, and for each call. A single step is not interrupted; the longest one seen,
comparing with an ``enum`` of 256 KiB, took 0.1 s.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any, cast

import attrs
import jsonschema.validators
import pydantic_core
from jsonschema.exceptions import ValidationError
from pydantic_core import core_schema
from referencing import Registry

from agentrt.bridges.mcp.explaining import explained
from agentrt.registry.explain import shown
from agentrt.wire.json import as_dict, dump, is_dict, is_list

__all__ = ["checker_of"]

_MAX_SECONDS, _MAX_PROBLEMS = 1.0, 8
_MAX_MATCHED, _MAX_PATTERN = 4096, 1024
_MAX_MESSAGE = 300

_VALIDATORS: Any = jsonschema.validators  # which has no types
_NOTHING: Any = cast("Any", Registry)()

Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors | None]

logger = logging.getLogger("agentrt.mcp")

_deadline: ContextVar[float] = ContextVar("agentrt_mcp_checking")


class _OutOfTimeError(Exception):
    pass


def checker_of(schema: object) -> Callable[[object], list[str]]:
    """Make the check of a tool's arguments: it gives what doesn't fit, in sentences, eight at most.

    Args:
        schema: A schema within bounds. Of one that can't be used only that the arguments are an object is checked.
    """
    validator = _validator_of(schema)

    def problems(arguments: object) -> list[str]:
        if not is_dict(arguments):
            return [f"the arguments must be a JSON object, but are {shown(arguments)}"]
        found = [] if validator is None else _found(validator, arguments)
        return found if len(found) <= _MAX_PROBLEMS else [*found[: _MAX_PROBLEMS - 1], "and more"]

    return problems


def _found(validator: Any, arguments: dict[str, Any]) -> list[str]:
    found: dict[str, None] = {}
    try:
        with _within_time():
            for error in validator.iter_errors(arguments):
                found |= dict.fromkeys(explained(error))
                if len(found) > _MAX_PROBLEMS:
                    break
    except Exception as error:  # noqa: BLE001 - out of time; a reference that leads elsewhere, or round; a huge number
        logger.debug("a part of a schema could not be checked here: %s", type(error).__name__)
    return list(found)


@contextmanager
def _within_time() -> Generator[None]:
    token = _deadline.set(time.monotonic() + _MAX_SECONDS)
    try:
        yield
    finally:
        _deadline.reset(token)


def _validator_of(schema: object) -> Any:
    if not is_dict(schema):
        return None
    try:
        dialect = _VALIDATORS.validator_for(schema, default=_VALIDATORS.Draft202012Validator)
        with _within_time():
            if not _class_of(dialect, has_patterns=False)(dialect.META_SCHEMA, registry=_NOTHING).is_valid(schema):
                return None
        return _class_of(dialect, has_patterns=b'"patternProperties"' in dump(schema))(schema, registry=_NOTHING)
    except (_OutOfTimeError, ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        return None


@cache
def _class_of(dialect: Any, *, has_patterns: bool) -> Any:
    own = {**dialect.VALIDATORS, **_OWN}
    if has_patterns:
        own["unevaluatedProperties"] = _unchecked  # it would match with Python's regular expressions
    keywords = {name: _bounded(own[name]) for name in dialect.VALIDATORS}
    made = _VALIDATORS.extend(dialect, keywords)
    made.evolve = _evolve  # which gave a subschema that names a dialect the keywords as they were
    return made


def _evolve(validator: Any, **changes: Any) -> Any:
    return attrs.evolve(validator, **changes)


def _bounded(check: Keyword) -> Keyword:
    def bounded(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
        if time.monotonic() > _deadline.get():
            raise _OutOfTimeError
        for error in check(validator, value, instance, schema) or ():
            error.message = error.message[:_MAX_MESSAGE]
            yield error

    return bounded


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[object], bool] | None:
    if len(pattern) > _MAX_PATTERN:
        return None
    try:
        schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
        return pydantic_core.SchemaValidator(schema).isinstance_python
    except pydantic_core.SchemaError:
        return None


def _matches(pattern: str, text: str) -> bool | None:
    """Tell whether a pattern is found in a text; None where that can't be told in linear time."""
    matcher = _matcher(pattern)
    return None if matcher is None or len(text) > _MAX_MATCHED else matcher(text)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Errors:  # noqa: ARG001 - as jsonschema calls
    if isinstance(instance, str) and _matches(pattern, instance) is False:
        yield ValidationError("the pattern was not found")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any) -> Errors:  # noqa: ARG001
    if is_dict(instance):
        for pattern, part in patterns.items():
            for name, value in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(validator: Any, further: Any, instance: Any, schema: Mapping[str, Any]) -> Errors:
    if not is_dict(instance):
        return
    patterns = as_dict(schema.get("patternProperties"))
    known = as_dict(schema.get("properties"))
    for name in instance:
        if name in known or any(_matches(pattern, name) is not False for pattern in patterns):
            continue
        if is_dict(further):
            yield from validator.descend(instance[name], further, path=name)
        elif further is False:
            yield ValidationError("not expected", path=(name,), instance=instance[name])


def _required(validator: Any, required: Any, instance: Any, schema: Any) -> Errors:  # noqa: ARG001
    if is_dict(instance) and is_list(required):
        for name in required:
            if name not in instance:
                yield ValidationError("missing", path=(name,))


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Errors:  # noqa: ARG001
    if (
        unique is True
        and is_list(instance)
        and len({json.dumps(each, sort_keys=True) for each in instance}) < len(instance)
    ):
        yield ValidationError("has the same entry twice")


def _unchecked(*_: Any) -> Errors:
    return iter(())


_OWN: Mapping[str, Keyword] = {
    "additionalProperties": _additional_properties,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "required": _required,
    "uniqueItems": _unique_items,
}
