"""The arguments of a call, as the model wrote them, become what the function asked for, or an error it can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import pydantic_core
from pydantic_core import core_schema

from agentrt.errors import ToolError
from agentrt.registry.annotation import Typed
from agentrt.registry.explain import ARGUMENTS, Words, explained, shown
from agentrt.registry.signature import ARGS, EMPTY, KWARGS, Signature
from agentrt.wire.json import dump, is_dict, parse

__all__ = ["MAX_ARGUMENT_BYTES", "arguments_text", "bound", "check_text", "invalid", "validator_of"]

MAX_ARGUMENT_BYTES = 1024 * 1024
"""Upper bound for one call's arguments: far over what a model writes, far under what would hurt."""

_POSITIONAL_ONLY, _EITHER = 0, 1
_HUGE = re.compile(r"\d[eE]\+?\d{3}")


def validator_of(
    signature: Signature, types: Mapping[str, Typed], *, further: Literal["forbid", "ignore"] = "forbid"
) -> pydantic_core.SchemaValidator:
    """Make the validator of a call's arguments: of their JSON text at once, into Python's types by name.

    Args:
        signature: The function's.
        types: What pydantic makes of its parameters' types.
        further: What to do about further arguments, where the function takes none.
    """
    fields: dict[str, core_schema.TypedDictField] = {}
    definitions: dict[str, Any] = {}
    more: Any = None
    for param in signature.params:
        kind = types[param.name]
        definitions.update((part["ref"], part) for part in kind.definitions)
        core = kind.core
        if param.kind is KWARGS:
            more = core
            continue
        if param.default is not EMPTY and kind.has_default:
            core = core["schema"]  # Python's default counts, and Python applies it
        fields[param.name] = core_schema.typed_dict_field(core, required=param.required)
    config = core_schema.CoreConfig(val_json_bytes="base64", allow_inf_nan=False)  # as `CONFIG` says it of each type
    schema: core_schema.CoreSchema = core_schema.typed_dict_schema(
        fields, extras_schema=more, extra_behavior=further if more is None else "allow", config=config
    )
    if definitions:
        schema = core_schema.definitions_schema(schema, list(definitions.values()))
    return pydantic_core.SchemaValidator(schema, config)


def arguments_text(arguments: object) -> str:
    """Give a call's arguments as JSON text: a text by the specification, an object from some providers, or nothing.

    Raises:
        ToolError: They are something else, or too big; the text tells the model what came.
    """
    if isinstance(arguments, str):
        if len(arguments) > MAX_ARGUMENT_BYTES:
            raise ToolError(f"the arguments have {len(arguments)} characters; at most {MAX_ARGUMENT_BYTES} are allowed")
        return arguments if arguments and not arguments.isspace() else "{}"
    if arguments is None:
        return "{}"
    if is_dict(arguments):
        try:
            return arguments_text(dump(arguments).decode())
        except ValueError as error:
            raise ToolError(f"the arguments are not JSON values ({error})") from error
    raise ToolError(f"the arguments must be a JSON object, but are {shown(arguments)}")


def check_text(text: str, words: Words = ARGUMENTS) -> None:
    """Refuse what a validator lets pass: two values under one name, of which one would silently be lost, and NaN.

    Args:
        text: The arguments, valid JSON. With as many colons as arguments it can't have two of one name.
        words: How to name them.

    Raises:
        ToolError: The text has such.
    """
    if not _repeats_itself(text):
        try:
            json.loads(text, object_pairs_hook=_once)
        except ValueError as error:
            raise ToolError(f"{words.all} are not valid JSON ({error})") from error
    if "NaN" in text or "Infinity" in text or _HUGE.search(text):
        try:
            dump(parse(text))  # which has no way to write what a float can't hold
        except ValueError as error:
            raise ToolError(f"{words.all} are not valid JSON ({error}): NaN and Infinity are no JSON") from error


def _repeats_itself(text: str) -> bool:
    """Tell whether a text has as many colons when it is written again: a pair that was lost would take its own along.

    Reading and writing in C is some ten times as fast as a hook of Python's for each object.
    """
    return "\\u" not in text and pydantic_core.to_json(pydantic_core.from_json(text)).count(b":") == text.count(":")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for index, (name, _) in enumerate(pairs) if any(name == other for other, _ in pairs[:index]))
        raise ValueError(f"the name {twice!r} stands twice in one object")
    return found


def invalid(error: pydantic_core.ValidationError, text: str, names: list[str], words: Words) -> ToolError:
    """Make the error for what doesn't fit.

    Args:
        error: What the validator found.
        text: What it was given.
        names: What the root takes.
        words: How to name it.
    """
    try:
        given: Any = parse(text)
    except ValueError as broken:
        return ToolError(f"{words.all} are not valid JSON ({broken}): {shown(text)}")
    except TypeError:
        return ToolError(f"{words.all} hold half a character (a lone surrogate), which is no text")
    if not is_dict(given):
        return ToolError(f"{words.all} must be a JSON object, but are {shown(given)}")
    sentences = explained(error.errors(include_url=False), given, names, words)
    return ToolError(f"{words.all} don't fit: " + "; ".join(sentences))


def bound(signature: Signature, values: dict[str, Any], context: Any) -> tuple[list[Any], dict[str, Any]]:
    """Sort checked arguments into Python's positional and keyword arguments.

    Args:
        signature: The function's.
        values: The arguments by name. What was left out is left to Python's defaults.
        context: What goes into the parameter that takes the `Context`.
    """
    if signature.context is not None:
        values[signature.context] = context
    if signature.is_plain:
        return [], values
    args: list[Any] = []
    taker = next((name for name, kind, _ in signature.order if kind is ARGS), "")
    further: list[Any] = values.pop(taker, [])
    for name, kind, default in signature.order:
        if kind is ARGS:
            args.extend(further)
        elif kind == _POSITIONAL_ONLY or (kind == _EITHER and further):
            args.append(values.pop(name, default))
    return args, values
