"""A function's signature becomes a JSON schema, and a way to check arguments against it.

This is where a docstring and type hints turn into what the model reads. Each annotation is handed to pydantic once;
the object around the parameters is composed here, because a pydantic model for each function costs ten times as much.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pydantic
import typing_extensions

from agentrt.errors import UsageError
from agentrt.registry.docstring import Docs
from agentrt.wire.json import is_dict, is_list

__all__ = ["Param", "parameters_schema", "read_signature", "underlying"]

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Param(NamedTuple):
    """One parameter of a tool.

    Attributes:
        name: Its name, in the signature and in the schema.
        adapter: pydantic's validator and schema of its annotation.
        required: Whether the model must give it.
        default: What Python puts in when it is left out; shown to the model, never applied by agentrt.
        nullable: Whether its type has None, so that a null means None rather than "left out".
        positional: Whether Python takes it by position only.
    """

    name: str
    adapter: pydantic.TypeAdapter[Any]
    required: bool
    default: Any
    nullable: bool
    positional: bool


def underlying(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give what holds a callable's annotations and docstring: itself, what a partial wraps, or its ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType]
    return function if inspect.isroutine(function) else type(function).__call__  # pyright: ignore[reportUnknownArgumentType]


def read_signature(function: Callable[..., Any], owner: str) -> list[Param]:
    """Read the parameters of a function.

    Args:
        function: The function, its annotations as objects or as strings (PEP 563).
        owner: How messages name the function.

    Raises:
        UsageError: A parameter has no usable annotation; the message names it and says what to write.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{owner} has no signature that Python can read; wrap it in a function of your own") from error
    hints = _hints(function, owner)
    params: list[Param] = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in _VARIADIC:
            raise UsageError(f"{owner}: parameter {name!r} takes any number of values; list them as named parameters")
        annotation = hints.get(name, Any)
        required = parameter.default is inspect.Parameter.empty
        try:
            adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(annotation)
        except (pydantic.errors.PydanticUserError, pydantic.errors.PydanticSchemaGenerationError) as error:
            raise UsageError(
                f"{owner}: parameter {name!r} has the type {annotation!r}, which no JSON schema can say; use builtin "
                f"types, dataclasses, TypedDicts, enums or pydantic models ({str(error).splitlines()[0]})"
            ) from error
        positional = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
        params.append(Param(name, adapter, required, parameter.default, _accepts_none(adapter), positional))
    return params


def _hints(function: Callable[..., Any], owner: str) -> dict[str, Any]:
    try:
        return typing_extensions.get_type_hints(underlying(function), include_extras=True)
    except Exception as error:
        raise UsageError(
            f"{owner}: an annotation can't be resolved ({error}); move the type to the top level of its module"
        ) from error


def _accepts_none(adapter: pydantic.TypeAdapter[Any]) -> bool:
    try:
        adapter.validate_python(None)
    except Exception:  # noqa: BLE001 - a validator of the user's own may expect anything but None
        return False
    return True


def parameters_schema(params: list[Param], docs: Docs) -> dict[str, Any]:
    """Compose the schema of a function's parameters: an object, without titles, with what the docstring says.

    Args:
        params: The parameters, in order.
        docs: The docstring; a ``Field(description=…)`` wins over it.
    """
    mode: typing.Literal["validation"] = "validation"
    keyed: list[tuple[str, typing.Literal["validation"], pydantic.TypeAdapter[Any]]] = [
        (param.name, mode, param.adapter) for param in params
    ]
    try:
        schemas, shared = pydantic.TypeAdapter.json_schemas(keyed) if keyed else ({}, {})
    except pydantic.errors.PydanticInvalidForJsonSchema as error:
        raise UsageError(f"a parameter has a type that no JSON schema can say: {str(error).splitlines()[0]}") from error
    properties: dict[str, Any] = {}
    for param in params:
        part = _untitled(schemas[param.name, "validation"])
        if param.name in docs.params and "description" not in part:
            part["description"] = docs.params[param.name]
        if not param.required:
            _show_default(part, param)
        properties[param.name] = part
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [param.name for param in params if param.required]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    if "$defs" in shared:
        schema["$defs"] = {name: _untitled(part) for name, part in shared["$defs"].items()}
    return schema


def _show_default(part: dict[str, Any], param: Param) -> None:
    try:
        part["default"] = param.adapter.dump_python(param.default, mode="json", warnings=False)
    except (ValueError, TypeError):  # a default with no JSON form is Python's own business
        part.pop("default", None)


_NAMED = ("properties", "$defs", "patternProperties", "dependentSchemas")


def _untitled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the titles that pydantic makes up: they cost tokens and say nothing. A property named "title" stays."""
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in _NAMED and is_dict(value):
            result[key] = {name: _untitled(part) for name, part in value.items()}
        elif is_dict(value) and key not in ("default", "const"):
            result[key] = _untitled(value)
        elif is_list(value) and key not in ("enum", "required", "default", "examples", "const"):
            result[key] = [_untitled(part) if is_dict(part) else part for part in value]
        else:
            result[key] = value
    return result
