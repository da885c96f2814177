"""A server's schema, part by part, in the form that providers take.

They hold what they are sent against the metaschema of JSON Schema 2020-12, and refuse the whole request where one
keyword of one tool doesn't fit. So what isn't a schema there is left out and told; the server checks it anyway.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urljoin

from agentrt.registry.explain import shown
from agentrt.wire.json import as_list, as_str, dump, is_dict, is_list, parse

__all__ = ["REFERENCES", "Subschemas", "UnusableError", "copied", "takes_objects", "texts"]

_MAX_DEPTH, _MAX_NODES, _MAX_BYTES = 100, 100_000, 256 * 1024
_MAX_NAME = 64
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})

_NOT_SENT = frozenset(
    {
        "$schema",
        "$id",
        "id",
        "$comment",
        "$vocabulary",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "additionalItems",
    }
)
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
"""Keywords of references: the other two are told apart from the first only where several schemas work together."""
_DEFINITIONS = ("$defs", "definitions")
_OPEN_OR_CLOSED = frozenset({"additionalProperties", "unevaluatedItems", "unevaluatedProperties"})
_ONE = frozenset({"contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then"}) | _OPEN_OR_CLOSED
_MANY = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"dependencies", "dependentSchemas", "patternProperties", "properties"})


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_type(value: object) -> bool:
    names = value if is_list(value) else [value]
    return bool(names) and texts(names) == names and _TYPES.issuperset(names)


def _are_texts(value: object) -> bool:
    return is_list(value) and all(isinstance(each, str) for each in value)


_CHECKS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("$defs", "definitions", "properties", "patternProperties", "dependentSchemas"), is_dict),
    **dict.fromkeys(("contentEncoding", "contentMediaType", "description", "format", "pattern", "title"), _is_text),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"), _is_number),
    **dict.fromkeys(("maxContains", "maxItems", "maxLength", "maxProperties"), _is_count),
    **dict.fromkeys(("minContains", "minItems", "minLength", "minProperties"), _is_count),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems", "writeOnly"), _is_bool),
    "dependencies": is_dict,
    "dependentRequired": lambda value: is_dict(value) and all(texts(names) == names for names in value.values()),
    "enum": lambda value: is_list(value) and bool(value),
    "examples": is_list,
    "multipleOf": lambda value: _is_number(value) and bool(value),
    "required": _are_texts,
    "type": _is_type,
}


class UnusableError(Exception):
    """A schema that can't be offered; its text says why."""


def copied(value: Any, what: str = "its inputSchema") -> Any:
    """Copy a JSON value.

    Raises:
        UnusableError: It is too deep, too big, or no JSON.
    """
    level, count, size = [value], 0, 0
    for _ in range(_MAX_DEPTH):
        count += len(level)
        inner: list[Any] = []
        for each in level:
            if is_dict(each):
                inner += each.values()
                size += sum(map(len, each))
            elif is_list(each):
                inner += each
            elif isinstance(each, str):
                size += len(each)
            if count + len(inner) > _MAX_NODES or size > _MAX_BYTES:
                raise UnusableError(f"{what} has more than {_MAX_NODES} parts or {_MAX_BYTES} bytes")
        level = inner
        if not level:
            break
    else:
        raise UnusableError(f"{what} is nested more than {_MAX_DEPTH} deep")
    try:
        text = dump(value)
        made: Any = parse(text)
    except (ValueError, TypeError) as error:
        raise UnusableError(f"{what} is no JSON ({error})") from error
    if len(text) > _MAX_BYTES:
        raise UnusableError(f"{what} has more than {_MAX_BYTES} bytes")
    return made


def takes_objects(schema: Mapping[str, Any]) -> bool:
    """Tell whether a schema's ``type`` lets objects in. One that means nothing lets all in."""
    kind = schema.get("type")
    return not _is_type(kind) or "object" in (kind if is_list(kind) else [kind])


def texts(value: object) -> list[str]:
    """Give the texts of a list, once each."""
    return list(dict.fromkeys(each for each in as_list(value) if isinstance(each, str)))


class Subschemas:
    """Rewrites the parts of a schema; what they refer to is gathered as ``$defs``.

    Args:
        root: The whole, to which references lead. It is not changed.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []
        self._stems: Counter[str] = Counter()
        self._left = _MAX_NODES
        self.notes: dict[str, None] = {}
        """What was changed, in sentences."""

    def find(self, reference: object) -> Any:
        """Give what a reference leads to; None where that is not in this schema."""
        pointer = self._pointer(reference)
        return None if pointer is None else self._at(pointer)

    def rewritten(self, schema: Any) -> dict[str, Any]:
        """Give a subschema as providers take it; raises UnusableError where references make it too big."""
        self._left -= 1
        if self._left < 0:
            raise UnusableError(f"its inputSchema has more than {_MAX_NODES} parts")
        if not is_dict(schema):
            if not isinstance(schema, bool):
                self._note(f"{shown(schema)} stands where a schema must; anything is taken there")
            return {"not": {}} if schema is False else {}
        made: dict[str, Any] = {}
        for keyword, value in schema.items():
            if keyword in REFERENCES:
                made |= self._reference(value)
            elif keyword in _MANY:
                made |= self._many(keyword, value)
            elif keyword in _ONE:
                made |= self._one(keyword, value, schema)
            elif keyword in _CHECKS and not _CHECKS[keyword](value):
                self._note(f"{keyword!r} can't be {shown(value)}; it was left out")
            elif keyword in _NAMED:
                made[keyword] = self._named(keyword, value)
            elif keyword not in _NOT_SENT and keyword not in _DEFINITIONS:
                made[keyword] = texts(value) if keyword == "required" else value
        if "array" in as_list(made.get("type")) or made.get("type") == "array":
            made.setdefault("items", {})  # OpenAI: "array schema missing items"
        return made

    def definitions(self) -> dict[str, Any]:
        """Give all that the parts which were rewritten so far refer to."""
        made: dict[str, Any] = {}
        while self._waiting:
            pointer = self._waiting.pop()
            made[self._names[pointer]] = self.rewritten(self._at(pointer))
        return {name: made[name] for name in self._names.values()}

    def _one(self, keyword: str, value: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
        if keyword == "items" and is_list(value):  # how drafts up to 2019-09 say prefixItems
            rest = {"items": self.rewritten(schema["additionalItems"])} if "additionalItems" in schema else {}
            return {**self._many("prefixItems", value), **rest}
        as_it_is = keyword in _OPEN_OR_CLOSED and isinstance(value, bool)
        return {keyword: value if as_it_is else self.rewritten(value)}

    def _many(self, keyword: str, value: Any) -> dict[str, Any]:
        if is_list(value) and value:
            return {keyword: [self.rewritten(each) for each in value]}
        self._note(f"{keyword!r} can't be {shown(value)}; it was left out")
        return {}

    def _named(self, keyword: str, value: dict[str, Any]) -> dict[str, Any]:
        kept = {name: part for name, part in value.items() if keyword != "properties" or part is not False}
        return {
            name: texts(part) if keyword == "dependencies" and _are_texts(part) else self.rewritten(part)
            for name, part in kept.items()
        }

    def _reference(self, reference: Any) -> dict[str, Any]:
        pointer = self._pointer(reference)
        if pointer is None:
            self._note(f"the reference {shown(reference)} leads elsewhere and is not followed; anything is taken there")
            return {}
        return {"$ref": f"#/$defs/{self._name(pointer)}" if pointer else "#"}

    def _pointer(self, reference: object) -> str | None:
        """Give where in this schema a reference leads, as a JSON pointer (RFC 6901)."""
        base, _, fragment = as_str(reference).partition("#")
        own = as_str(self._root.get("$id", self._root.get("id"))).partition("#")[0]
        if not isinstance(reference, str) or (base and _joined(own, base) != own):
            return None
        pointer = unquote(fragment)
        if pointer and not pointer.startswith("/"):
            return self._anchors.get(pointer)
        return pointer if isinstance(self._at(pointer), dict | bool) else None

    def _at(self, pointer: str) -> Any:
        found: Any = self._root
        for token in pointer.split("/")[1:]:
            name = _unescaped(token)
            if is_dict(found):
                found = found.get(name)
            else:
                entries = as_list(found)
                found = entries[int(name)] if _INDEX.fullmatch(name) and int(name) < len(entries) else None
        return found

    @cached_property
    def _anchors(self) -> dict[str, str]:
        anchors: dict[str, str] = {}
        left: list[tuple[str, Any]] = [("", self._root)]
        while left:
            pointer, each = left.pop()
            pairs = each.items() if is_dict(each) else enumerate(as_list(each))
            left += [
                (f"{pointer}/{_escaped(str(name))}", part) for name, part in pairs if isinstance(part, dict | list)
            ]
            if is_dict(each):
                anchors |= {as_str(each.get(name)): pointer for name in ("$anchor", "$dynamicAnchor") if name in each}
        return anchors

    def _name(self, pointer: str) -> str:
        if pointer not in self._names:
            first, *rest = [_unescaped(token) for token in pointer.split("/")[1:]]
            tokens = rest if first in _DEFINITIONS and len(rest) == 1 else [first, *rest]
            stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", "_".join(tokens))[:_MAX_NAME].rstrip("0123456789") or "part"
            self._stems[stem] += 1
            self._names[pointer] = stem if self._stems[stem] == 1 else f"{stem}{self._stems[stem]}"
            self._waiting.append(pointer)
        return self._names[pointer]

    def _note(self, note: str) -> None:
        self.notes[note] = None


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
