"""One object out of alternatives: providers refuse ``anyOf`` and its like at the root of a tool's parameters.

Seen live with a public server's tools, where one such tool cost every request of the session
(makenotion/notion-mcp-server#340).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from agentrt.bridges.mcp.subschemas import REFERENCES, UnusableError, takes_objects, texts
from agentrt.registry.explain import shown
from agentrt.wire.json import as_dict, as_list, as_str, dump, is_dict, is_list

__all__ = ["REFUSED", "Shape", "Shapes"]

REFUSED = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "enum", "const")
"""What may not stand at the root."""

_MAX_MERGED, _MAX_DEPTH = 2000, 50
_MAX_TOLD = 2000


class Shape(NamedTuple):
    """What an object may and must have.

    Attributes:
        properties: What may stand in it, by name.
        required: What must.
    """

    properties: dict[str, Any]
    required: list[str]


class Shapes:
    """Reads what objects fit a schema.

    Args:
        find: Gives what a reference leads to; None where that is elsewhere.
    """

    def __init__(self, find: Callable[[object], Any]) -> None:
        self._find = find
        self._left = _MAX_MERGED

    def of(self, schema: Any, trail: tuple[str, ...] = (), depth: int = 0) -> Shape | None:
        """Give the shape of all objects that fit; None where none does.

        Args:
            schema: A schema.
            trail: References on the way to it.
            depth: Schemas around it.

        Raises:
            UnusableError: It has too many parts, or refers to what is elsewhere.
        """
        if not is_dict(schema):
            return None if schema is False else Shape({}, [])
        if not takes_objects(schema):
            return None
        shape = Shape(as_dict(schema.get("properties")), texts(schema.get("required")))
        self._left -= 1 + len(shape.properties)
        if self._left < 0 or depth > _MAX_DEPTH:
            raise UnusableError(f"its inputSchema has more than {_MAX_MERGED} parts to merge, or is too deep")
        for group, all_of_them in self._groups(schema, trail):
            shapes = [self.of(part, (*trail, name) if name else trail, depth + 1) for part, name in group]
            possible = [each for each in shapes if each is not None]
            if not possible or (all_of_them and len(possible) < len(shapes)):
                return None
            shape = _both(shape, possible) if all_of_them else _beside(shape, _either(possible))
        return shape

    def _groups(self, schema: dict[str, Any], trail: tuple[str, ...]) -> list[tuple[list[tuple[Any, str]], bool]]:
        """Give schemas that say more of the same object, and of each group whether all must fit, or one."""
        references = [as_str(schema.get(keyword)) for keyword in REFERENCES if isinstance(schema.get(keyword), str)]
        groups = [([(self.followed(reference), reference)], True) for reference in references if reference not in trail]
        for keyword in ("allOf", "anyOf", "oneOf"):
            branches = as_list(schema.get(keyword))
            if branches:
                groups.append(([(branch, "") for branch in branches], keyword == "allOf"))
        if "if" in schema:
            groups.append(([(schema.get("then", True), ""), (schema.get("else", True), "")], False))
        return groups

    def followed(self, reference: str) -> Any:
        """Give what a reference leads to; raises UnusableError where that is elsewhere."""
        found = self._find(reference)
        if found is None:
            raise UnusableError(
                f"its inputSchema is the reference {shown(reference)}, which leads elsewhere and is not followed"
            )
        return found

    def told(self, schema: dict[str, Any]) -> str:
        """Write what can't stand at the root as text."""
        rules = {keyword: schema[keyword] for keyword in REFUSED if keyword in schema}
        for keyword, value in rules.items():
            if is_list(value):
                rules[keyword] = [self._found(each) for each in value]
        text = dump(rules).decode()
        more = len(text) - _MAX_TOLD
        return text if more <= 0 else f"{text[:_MAX_TOLD]}… [{more} more characters]"

    def _found(self, branch: Any) -> Any:
        if not is_dict(branch) or "$ref" not in branch:
            return branch
        found = self._find(branch["$ref"])
        return branch if found is None else found


def _both(shape: Shape, others: list[Shape]) -> Shape:
    """Merge shapes that must all fit."""
    properties, required = dict(shape.properties), list(shape.required)
    for other in others:
        for name, part in other.properties.items():
            known = properties.get(name, True)
            if known in (True, {}) or known == part:
                properties[name] = part
            elif part not in (True, {}):
                properties[name] = {"allOf": [known, part]}
        required += other.required
    return Shape(properties, texts(required))


def _either(shapes: list[Shape]) -> Shape:
    """Merge shapes of which one must fit."""
    variants: dict[str, list[Any]] = {}
    for shape in shapes:
        for name, part in shape.properties.items():
            known = variants.setdefault(name, [])
            if part not in known:
                known.append(part)
    properties = {name: parts[0] if len(parts) == 1 else {"anyOf": parts} for name, parts in variants.items()}
    first, *more = shapes
    required = [name for name in first.required if all(name in shape.required for shape in more)]
    return Shape(properties, required)


def _beside(shape: Shape, alternatives: Shape) -> Shape:
    """Add what alternatives say. What is known already stays: an alternative that is silent on it would let it be."""
    return Shape({**alternatives.properties, **shape.properties}, texts(shape.required + alternatives.required))
