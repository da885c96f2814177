"""A tool's schema as a server has it becomes one that providers take; and what the model gives is held against it.

Only a copy is changed. Arguments are held against the server's own schema, and nothing is ever fetched for it (MCP
2026-07-28, "Tools", "Security Considerations").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, cached_property
from typing import Any, NamedTuple

import pydantic_core
from pydantic_core import core_schema

from agentrt.bridges.mcp.merging import REFUSED, Shapes
from agentrt.bridges.mcp.subschemas import REFERENCES, Subschemas, UnusableError, copied, takes_objects, texts
from agentrt.registry.arguments import arguments_text, check_text, invalid
from agentrt.registry.explain import ARGUMENTS, shown
from agentrt.wire.json import as_dict, as_str, is_dict

__all__ = ["ArgumentChecker", "Parameters", "as_parameters", "read_arguments"]

_MAX_NOTES = 10


class Parameters(NamedTuple):
    """The parameters of a tool, as providers take them.

    Attributes:
        schema: An object's schema with ``properties``, and without alternatives at its root.
        notes: What was changed of its meaning, in sentences.
        problem: Why the tool can't be offered at all; None where it can.
    """

    schema: dict[str, Any]
    notes: tuple[str, ...] = ()
    problem: str | None = None


def as_parameters(raw: object) -> Parameters:
    """Give a tool's schema in the form that providers take. Raises nothing.

    Alternatives at the root become one object: what any of them may have, what all of them must have, and the rule as
    a text in the description. A reference that leads elsewhere is never followed: as the whole it keeps the tool from
    being offered, in a part anything is taken there.

    Args:
        raw: The tool's ``inputSchema``: JSON of any kind, as a server may send it.
    """
    try:
        return _offered(copied(raw))
    except UnusableError as error:
        return Parameters({"type": "object", "properties": {}}, (), str(error))


def _offered(root: Any) -> Parameters:
    if root is False:
        raise UnusableError("its inputSchema takes nothing at all")
    notes: list[str] = []
    if not is_dict(root):
        if root is not True:
            notes.append(f"its inputSchema is {shown(root)}, which is no schema; any object is taken")
        root = {}
    parts = Subschemas(root)
    schema: dict[str, Any] = parts.rewritten(_merged(root, Shapes(parts.find), notes))
    # Google's models know no name in `required` that isn't among the properties.
    known = as_dict(schema.get("properties"))
    unknown: dict[str, Any] = {name: {} for name in texts(schema.get("required")) if name not in known}
    schema = {**schema, "type": "object", "properties": known | unknown}
    definitions = parts.definitions()
    if definitions:
        schema["$defs"] = definitions
    return Parameters(copied(schema, "its inputSchema, as it would be sent,"), tuple(_few([*notes, *parts.notes])))


def _merged(root: dict[str, Any], shapes: Shapes, notes: list[str]) -> dict[str, Any]:
    """Give the root as one object, its parts as they came."""
    seen: set[str] = set()
    while leading := [keyword for keyword in REFERENCES if isinstance(root.get(keyword), str)]:
        reference = root[leading[0]]
        rest = {keyword: value for keyword, value in root.items() if keyword != leading[0]}
        found: Any = {} if reference in seen else shapes.followed(reference)
        seen.add(reference)
        root = {**found, **rest} if is_dict(found) else rest
    if not takes_objects(root):
        raise UnusableError(f"its inputSchema is for {shown(root['type'])}, but arguments are an object")
    rules = [keyword for keyword in REFUSED if keyword in root]
    if not rules:
        return root
    shape = shapes.of(root)
    if shape is None:
        raise UnusableError("no object fits its inputSchema")
    notes.append(f"{', '.join(rules)} at the root of its inputSchema, which providers refuse, became a text")
    told = f"The arguments must also fit this JSON Schema: {shapes.told(root)}"
    said = as_str(root.get("description"))
    rest = {keyword: value for keyword, value in root.items() if keyword not in REFUSED}
    merged = {**rest, **shape._asdict(), "description": f"{said}\n\n{told}" if said else told}
    return merged if shape.required else {key: value for key, value in merged.items() if key != "required"}


def _few(notes: list[str]) -> Iterable[str]:
    yield from notes[:_MAX_NOTES]
    if len(notes) > _MAX_NOTES:
        yield f"{len(notes) - _MAX_NOTES} more parts were changed"


class ArgumentChecker:
    """Holds the arguments of calls against a tool's own schema, with jsonschema, which is imported by the first call.

    The schema is a stranger's, and checking blocks: it ends after a second, references lead nowhere else, and a pattern
    is matched by an engine that needs linear time, or not at all. What can't be checked passes: the server checks it.

    Args:
        raw_schema: The tool's ``inputSchema``, as it came.
    """

    def __init__(self, raw_schema: object) -> None:
        self._raw = raw_schema

    @cached_property
    def _problems(self) -> Callable[[object], list[str]]:
        from agentrt.bridges.mcp.checking import checker_of  # noqa: PLC0415 - brings jsonschema: 60 ms

        try:
            return checker_of(copied(self._raw))
        except UnusableError:
            return checker_of(True)

    def check(self, arguments: dict[str, Any]) -> list[str]:
        """Give what doesn't fit, in sentences for the model, eight at most. Raises nothing and changes nothing.

        Args:
            arguments: The arguments, in JSON's own types.
        """
        return self._problems(arguments)


@cache
def _object_reader() -> pydantic_core.SchemaValidator:
    return pydantic_core.SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


def read_arguments(arguments: object) -> dict[str, Any]:
    """Read a call's arguments: JSON text, an object from some providers, or nothing.

    Raises:
        ToolError: They are no JSON object, or have two values under one name; the text tells the model what came.
    """
    text = arguments_text(arguments)
    try:
        values: dict[str, Any] = _object_reader().validate_json(text)
    except pydantic_core.ValidationError as error:
        raise invalid(error, text, [], ARGUMENTS) from error
    check_text(text)
    return values
