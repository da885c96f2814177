"""``typing.TypedDict`` before Python 3.12, which pydantic doesn't read: it lacks what `typing_extensions` keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import typing_extensions

__all__ = ["adopt"]

_HOOK = "__get_pydantic_core_schema__"


def adopt(annotation: Any) -> None:
    """Let pydantic read each ``typing.TypedDict`` in a type, as its twin from `typing_extensions`.

    It is done by pydantic's own hook, set on the class: the one way that reaches a class inside others.
    """
    _visit(annotation, set())


def _visit(annotation: Any, seen: set[int]) -> None:
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    parts = list(typing_extensions.get_args(annotation))
    if _is_plain_typed_dict(annotation):
        hints = typing_extensions.get_type_hints(annotation, include_extras=True)
        if _HOOK not in vars(annotation):
            setattr(annotation, _HOOK, _reader(_twin(annotation, hints)))
        parts.extend(hints.values())
    elif dataclasses.is_dataclass(annotation) or hasattr(annotation, "_fields"):
        parts.extend(typing_extensions.get_type_hints(annotation, include_extras=True).values())
    elif isinstance(annotation, typing_extensions.TypeAliasType):
        parts.append(annotation.__value__)
    for part in parts:
        _visit(part, seen)


def _is_plain_typed_dict(annotation: Any) -> bool:
    return isinstance(annotation, type) and type(annotation).__module__ == "typing" and issubclass(annotation, dict)


def _twin(typed_dict: Any, hints: dict[str, Any]) -> Any:
    qualifiers = (typing_extensions.Required, typing_extensions.NotRequired)
    fields: dict[str, Any] = {}
    for name, hint in hints.items():
        if typing_extensions.get_origin(hint) in qualifiers:
            fields[name] = hint
        else:
            required: Any = qualifiers[name not in typed_dict.__required_keys__]
            fields[name] = required[hint]
    make: Any = typing_extensions.TypedDict  # by a name that is only known here
    made: Any = make(typed_dict.__name__, fields)
    made.__module__, made.__qualname__, made.__doc__ = (
        typed_dict.__module__,
        typed_dict.__qualname__,
        typed_dict.__doc__,
    )
    return made


def _reader(twin: Any) -> Callable[[Any, Any], Any]:
    def schema(_: Any, handler: Any) -> Any:
        return handler.generate_schema(twin)

    return schema
