"""Strict mode: the form of a schema under which a provider promises arguments that fit.

The rules are OpenAI's: every object closed, every property required, an optional one nullable, and no keyword outside
the supported set (function calling guide, "Strict mode"; structured outputs guide, "Supported schemas").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agentrt.wire.json import dump

__all__ = ["strict_form"]

_SUPPORTED = frozenset(
    [
        "$defs",
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
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
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])


class _NotStrict(Exception):  # noqa: N818 - it is an answer, not an error: it never leaves this module
    pass


def strict_form(schema: Mapping[str, Any]) -> tuple[dict[str, Any], None] | tuple[None, str]:
    """Close the objects of a schema and make its optional parameters nullable.

    Args:
        schema: The schema of a function's parameters: an object at the root.

    Returns:
        The strict schema and None, or None and the reason why closing it is not enough.
    """
    try:
        return _convert(schema, "the parameters", root=True), None
    except _NotStrict as reason:
        return None, str(reason)


def _convert(schema: Mapping[str, Any], where: str, *, root: bool = False) -> dict[str, Any]:
    unknown = sorted(schema.keys() - _SUPPORTED)
    if unknown:
        raise _NotStrict(f"{where} use {unknown[0]!r}, which strict mode does not have")
    if "format" in schema and schema["format"] not in _FORMATS:
        raise _NotStrict(f"{where} use the format {schema['format']!r}, which strict mode does not have")
    if not schema.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
        raise _NotStrict(f"{where} allow any value, which strict mode can't say")
    if "$ref" in schema and len(schema) > 1:
        # Strict mode forbids siblings of $ref; a nullable wrapper keeps the description.
        rest = {key: value for key, value in schema.items() if key not in ("$ref", "default")}
        return {"anyOf": [{"$ref": schema["$ref"]}], **rest}
    result = {key: value for key, value in schema.items() if key != "default"}
    if "anyOf" in result:
        result["anyOf"] = [_convert(branch, where) for branch in result["anyOf"]]
    if "items" in result:
        result["items"] = _convert(result["items"], f"the items of {where}")
    if "$defs" in result:
        result["$defs"] = {name: _convert(part, f"the definition {name!r}") for name, part in result["$defs"].items()}
    if result.get("type") == "object":
        _close(result, where, root=root)
    return result


def _close(result: dict[str, Any], where: str, *, root: bool) -> None:
    if result.get("additionalProperties") or ("properties" not in result and not root):
        raise _NotStrict(f"{where} are an open object, which strict mode can't say")
    properties = cast("dict[str, Any]", result.get("properties") or {})
    required = cast("list[str]", result.get("required") or [])
    closed: dict[str, Any] = {}
    for name, part in properties.items():
        converted = _convert(part, f"the property {name!r}")
        if name not in required:
            if not root and not _allows_null(part):
                raise _NotStrict(f"the property {name!r} is optional inside another value, where null would not do")
            converted = _nullable(_told_default(converted, part.get("default")))
        closed[name] = converted
    result["properties"] = closed
    result["required"] = list(closed)
    result["additionalProperties"] = False


def _told_default(schema: dict[str, Any], default: object) -> dict[str, Any]:
    """Strict schemas have no defaults, so the description says what leaving the value out (null) means."""
    if default is None:
        return schema
    text = f"{schema.get('description', '')} Default: {dump(default).decode()}.".strip()
    return {**schema, "description": text}


def _allows_null(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "null" or any(_allows_null(branch) for branch in schema.get("anyOf", ()))


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if _allows_null(schema):
        return schema
    if isinstance(schema.get("type"), str) and not schema.keys() & {"enum", "const"}:
        return {**schema, "type": [schema["type"], "null"]}
    description = {"description": schema["description"]} if "description" in schema else {}
    bare = {key: value for key, value in schema.items() if key != "description"}
    branches = bare["anyOf"] if bare.keys() == {"anyOf"} else [bare]
    return {"anyOf": [*branches, {"type": "null"}], **description}
