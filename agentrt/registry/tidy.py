"""Makes a schema as small as it can be: no titles, and definitions only where they are used more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from agentrt.wire.json import is_dict, is_list

__all__ = ["Tidy"]

_PREFIX = "#/$defs/"
_BY_NAME = frozenset({"properties", "patternProperties"})
_PLAIN = frozenset({"enum", "required", "default", "examples", "const"})


class Tidy:
    """Tidies schemas that share definitions.

    Args:
        parts: The schemas.
        shared: The definitions, by name.
    """

    def __init__(self, parts: Iterable[Any], shared: Mapping[str, dict[str, Any]]) -> None:
        self._shared = shared
        self._uses: Counter[str] = Counter()
        self.definitions: dict[str, Any] = {}
        """The definitions that the schemas given so far refer to."""
        if shared:
            self._count([*parts, *shared.values()])

    def _count(self, node: Any) -> None:
        if is_dict(node):
            ref = node.get("$ref")
            if isinstance(ref, str):
                self._uses[ref] += 1
            node = node.values()
        parts: Iterable[Any] = node
        for part in parts:
            if is_dict(part) or is_list(part):
                self._count(part)

    def tidied(self, schema: dict[str, Any], inside: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Give a schema without titles, where a definition that is used once stands where it is used.

        A property named "title" stays.
        """
        ref = schema.get("$ref")
        if isinstance(ref, str) and ref.startswith(_PREFIX):
            name = ref[len(_PREFIX) :]
            if self._uses[ref] == 1 and ref not in inside:
                # What is said where it is used is closer to the point than what the class says of itself.
                inner = self.tidied(self._shared[name], inside | {ref})
                outer = self._parts({key: value for key, value in schema.items() if key != "$ref"}, inside)
                return {**inner, **outer}
            if name not in self.definitions:
                self.definitions[name] = {}  # it may refer to itself
                self.definitions[name] = self._parts(self._shared[name], frozenset({ref}))
        return self._parts(schema, inside)

    def _parts(self, schema: dict[str, Any], inside: frozenset[str]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in schema.items():
            if key == "discriminator":
                continue  # OpenAPI's, and it names definitions that may be gone
            if is_list(value) and key not in _PLAIN:
                made[key] = [self.tidied(part, inside) if is_dict(part) else part for part in value]
            elif is_dict(value) and key not in _PLAIN:
                named = key in _BY_NAME
                made[key] = (
                    {n: self.tidied(p, inside) for n, p in value.items()} if named else self.tidied(value, inside)
                )
            elif key != "title" or not isinstance(value, str):
                made[key] = value
        return made
