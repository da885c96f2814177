"""What is wrong with a call's arguments, in the words of JSON: which, what was expected, what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from agentrt.wire.json import dump, is_dict, is_list

__all__ = ["ANSWER", "ARGUMENTS", "Words", "explained", "place", "shown"]


class Words(NamedTuple):
    """How a message names what the model wrote.

    Attributes:
        all: The whole, in the plural.
        one: One name of the root.
    """

    all: str
    one: str


ARGUMENTS = Words("the arguments", "an argument of this tool")
ANSWER = Words("the contents of the answer", "a field of the answer")

_SHOWN, _MOST = 80, 10

_EXPECTED: Mapping[str, str] = {
    "bool": "true or false",
    "bytes": "text in base64",
    "dataclass": "an object",
    "date": "a date such as 2026-01-31",
    "date_from_datetime": "a date such as 2026-01-31",
    "datetime": "a date and time such as 2026-01-31T12:30:00Z",
    "decimal": "a decimal number",
    "dict": "an object",
    "finite_number": "a finite number",
    "float": "a number",
    "frozen_set": "an array",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "int": "an integer",
    "iterable": "an array",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list": "an array",
    "mapping": "an object",
    "model": "an object",
    "multiple_of": "a multiple of {multiple_of}",
    "none_required": "null",
    "path": "a path",
    "recursion_loop": "a value that doesn't contain itself",
    "set": "an array",
    "string": "a string",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "time": "a time such as 12:30:00",
    "time_delta": "a duration such as PT1H30M, or a number of seconds",
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
    "tuple": "an array",
    "url": "a URL",
    "uuid": "a UUID",
}
_KINDS = (
    "_from_date_parsing",
    "_from_datetime_parsing",
    "_from_datetime_inexact",
    "_from_float",
    "_parsing_size",
    "_object_parsing",
)
_ENDINGS = (
    *_KINDS,
    "_parsing",
    "_type",
    "_invalid_encoding",
    "_attributes_type",
    "_version",
    "_scheme",
    "_syntax_violation",
)


def explained(details: Iterable[Any], given: Mapping[str, Any], names: list[str], words: Words) -> list[str]:
    """Tell what is wrong, one sentence for each place.

    Args:
        details: pydantic's errors.
        given: The arguments as they came.
        names: What the root takes.
        words: How to name it.
    """
    expected: dict[str, list[str]] = {}
    came: dict[str, Any] = {}
    sentences: dict[str, str] = {}
    for detail in details:
        path = _path(detail, given)
        if detail["type"] == "missing":
            sentences.setdefault(path, f"`{path}` is required, but missing")
        elif detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            takes = f"{words.one}; it takes {', '.join(names) or 'none'}" if path in given else "expected"
            sentences.setdefault(path, f"`{path}` is not {takes}")
        else:
            expected.setdefault(path, []).append(_expectation(detail))
            came.setdefault(path, detail["input"])
    for path, parts in expected.items():
        wanted = " or ".join(dict.fromkeys(parts))
        name = path.removesuffix("[key]")
        where = f"a key of `{name}`" if path != name else place(path)
        sentences[path] = f"{where} must be {wanted}, but is {shown(came[path])}"
    told = list(sentences.values())
    return told if len(told) <= _MOST else [*told[:_MOST], f"and {len(told) - _MOST} more"]


def place(path: str) -> str:
    """Name the place of a value."""
    return f"`{path}`" if path else "the whole"


def _path(detail: Any, given: Any) -> str:
    """Write where an error is, without the names that pydantic gives to the alternatives of a union."""
    parts: list[str] = []
    for part in detail["loc"]:
        if (isinstance(part, int) and is_list(given) and part < len(given)) or (is_dict(given) and part in given):
            given = cast("Any", given)[part]
            parts.append(f"[{part}]" if isinstance(part, int) else f".{part}")
        elif part == "[key]":
            parts.append("[key]")
    if detail["type"] == "missing":
        last = detail["loc"][-1]
        parts.append(f"[{last}]" if isinstance(last, int) else f".{last}")
    return "".join(parts).removeprefix(".")


def _expectation(detail: Any) -> str:
    kind: str = detail["type"]
    context: dict[str, Any] = detail.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind.startswith("union_tag"):
        known = f" one of {context['expected_tags']}" if "expected_tags" in context else " known"
        return f"an object whose {context['discriminator']} is{known}"
    if kind in ("value_error", "assertion_error"):
        return f"something else: {detail['msg'].partition(', ')[2]}"
    for ending in ("", *_ENDINGS):
        text = _EXPECTED.get(kind.removesuffix(ending))
        if text is not None:
            return text.format(**{key: f"{v:.15g}" if isinstance(v, float) else v for key, v in context.items()})
    told = str(detail["msg"])
    should_be = told.removeprefix("Input should be ")
    return should_be if should_be != told else f"valid ({told[:1].lower()}{told[1:]})"


def shown(value: object) -> str:
    """Show a value of JSON in a few words."""
    try:
        text = dump(value).decode()
    except ValueError:
        text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
