"""Parameters become one JSON schema, as small as it can be: what the model reads.

Each annotation is handed to pydantic once; the object around the parameters is composed here, because a pydantic model
for each function costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from agentrt.errors import UsageError
from agentrt.registry.annotation import Typed, can_be_said, json_schemas, typed
from agentrt.registry.signature import EMPTY, KWARGS, Param
from agentrt.registry.tidy import Tidy
from agentrt.registry.typeddicts import adopt

__all__ = ["no_schema", "output_schema", "own_schema", "parameters_schema", "type_of", "understood"]

_PLAIN = (str, int, bool)


def type_of(param: Param, owner: str) -> Typed:
    """Give what pydantic makes of a parameter's type.

    Raises:
        UsageError: It makes nothing of it; the message names the parameter and says what to write.
    """
    try:
        return understood(param.annotation)
    except Exception as error:  # pydantic's own errors, and whatever a type's hook raises
        raise _no_schema(param, owner, error) from error


def understood(annotation: Any) -> Typed:
    """Give what pydantic makes of a type, of any TypedDict too; raises pydantic's errors, and a hook's own."""
    try:
        return typed(annotation)
    except pydantic.errors.PydanticUserError as error:
        if error.code != "typed-dict-version":
            raise
        adopt(annotation)
        return typed(annotation)


def _no_schema(param: Param, owner: str, error: Exception) -> UsageError:
    return no_schema(f"{owner}: parameter {param.name!r} has the type {param.annotation!r}", error)


def no_schema(what: str, error: Exception) -> UsageError:
    """Make the error for a type that pydantic can't take; ``what`` says which it is, and where."""
    reason = (str(error).splitlines() or [type(error).__name__])[0].partition(". Set `arbitrary")[0]
    return UsageError(
        f"{what}, which no JSON schema can say; use builtin types, dataclasses, TypedDicts, enums or pydantic models "
        f"({reason})"
    )


def parameters_schema(
    params: Iterable[Param], types: Mapping[str, Typed], docs: Mapping[str, str], owner: str
) -> dict[str, Any]:
    """Compose the schema of a function's parameters: an object, without titles, with what the docstring says.

    Args:
        params: The parameters, in order.
        types: What pydantic makes of their types, by name.
        docs: What the docstring says of them; a ``Field(description=…)`` wins over it.
        owner: How messages name the function.
    """
    parts, shared = _schemas(params, types, owner)
    tidy = Tidy(parts.values(), shared)
    properties: dict[str, Any] = {}
    required: list[str] = []
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    more: Any = False
    for param in params:
        part = tidy.tidied(parts[param.name])
        _describe(part, param, docs)
        if param.kind is KWARGS:
            more = part or True
            continue
        if param.required:
            required.append(param.name)
        elif param.default is not EMPTY:
            _show_default(part, param.default, types[param.name])
        properties[param.name] = part
    if required:
        schema["required"] = required
    schema["additionalProperties"] = more
    return {**schema, "$defs": tidy.definitions} if tidy.definitions else schema


def _describe(part: dict[str, Any], param: Param, docs: Mapping[str, str]) -> None:
    """Say what a parameter is for: ``Field(description=…)``, else ``Annotated[…, "text"]``, else the docstring.

    What a class says of itself is less to the point than these.
    """
    metadata: Iterable[Any] = getattr(param.annotation, "__metadata__", ())
    if any(getattr(entry, "description", None) for entry in metadata):
        return
    said = next((entry for entry in metadata if isinstance(entry, str)), None) or docs.get(param.name)
    if said:
        part["description"] = said


def output_schema(annotation: Any) -> dict[str, Any] | None:
    """Give the schema of what a tool returns; None where its annotation says nothing that a schema can say."""
    if annotation in (None, type(None), Any):
        return None
    try:
        return own_schema(typed(annotation))
    except Exception:  # noqa: BLE001 - what can't be said is left unsaid: no call needs it
        return None


def own_schema(kind: Typed) -> dict[str, Any]:
    """Give the schema of a type by itself; raises pydantic's own errors where it has none."""
    schema, shared = kind.schema
    tidy = Tidy([schema], shared)
    made = tidy.tidied(schema)
    return {**made, "$defs": tidy.definitions} if tidy.definitions else made


def _schemas(
    params: Iterable[Param], types: Mapping[str, Typed], owner: str
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    parts: dict[str, dict[str, Any]] = {}
    referring: dict[str, Typed] = {}
    shared: dict[str, dict[str, Any]] = {}
    for param in params:
        try:
            parts[param.name], definitions = types[param.name].schema
        except Exception as error:
            raise _no_schema(param, owner, error) from error
        if definitions:
            referring[param.name], shared = types[param.name], definitions
    if len(referring) > 1:  # made together, so that two classes of one name are told apart
        made, shared = json_schemas(referring)
        parts.update(made)
    return parts, shared


def _show_default(part: dict[str, Any], default: Any, kind: Typed) -> None:
    if default is None:
        return
    try:
        part["default"] = default if type(default) in _PLAIN else kind.dumped(default)
        if not can_be_said(part["default"]):
            del part["default"]
    except Exception:  # noqa: BLE001 - a default with no JSON form is Python's own business
        part.pop("default", None)
