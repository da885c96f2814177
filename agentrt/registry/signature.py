"""Reads a function's signature: its parameters with their types, wherever these are written."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import typing_extensions

from agentrt.errors import UsageError
from agentrt.registry.context import Context

__all__ = [
    "ARGS",
    "EMPTY",
    "KWARGS",
    "Param",
    "Signature",
    "is_context",
    "local_names",
    "read_signature",
    "routine_of",
    "type_hints",
]

EMPTY: Any = inspect.Parameter.empty
"""No default, or no annotation."""

_NAME = re.compile(r"[^\W\d]\w*")
_POSITIONAL = inspect.Parameter.POSITIONAL_ONLY
ARGS, KWARGS = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


class Param(NamedTuple):
    """One thing that the model may give.

    Attributes:
        name: Its name, in the signature and in the schema.
        kind: How Python takes it.
        annotation: Its type.
        required: Whether the model must give it.
        default: What Python puts in when it is left out; shown to the model, never applied by agentrt. `EMPTY` where
            there is nothing to show.
    """

    name: str
    kind: Any
    annotation: Any
    required: bool
    default: Any


class Signature(NamedTuple):
    """A function's parameters as a tool's.

    Attributes:
        params: What the model gives, in order.
        context: The parameter that takes the `Context`, which the model never sees.
        order: Name, kind and default of all parameters, as Python binds them.
    """

    params: list[Param]
    context: str | None
    order: list[tuple[str, Any, Any]]

    @property
    def is_plain(self) -> bool:
        """Whether everything can be given by keyword."""
        return all(kind not in (_POSITIONAL, ARGS) for _, kind, _ in self.order)


def routine_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give what holds a callable's annotations and docstring: itself, what a partial wraps, or its ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType]
    if inspect.isclass(function):
        return function.__init__
    return function if inspect.isroutine(function) else type(function).__call__  # pyright: ignore[reportUnknownArgumentType]


def local_names(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Give the names that a function's annotations use and that are gone later: those of the functions around it.

    Args:
        function: A function whose annotations may be strings (PEP 563), with types that are local to a function.
    """
    routine = inspect.unwrap(routine_of(function))
    annotations: Mapping[str, Any] = getattr(routine, "__annotations__", {})
    used = {name for a in annotations.values() if isinstance(a, str) for name in _NAME.findall(a)}
    around = {""}
    outer = getattr(routine, "__qualname__", "")
    while "." in outer:
        outer = outer.rpartition(".")[0].removesuffix(".<locals>")
        around.add(outer)
    if not used or len(around) < 2:  # noqa: PLR2004
        return {}
    found: dict[str, Any] = {}
    for frame in _frames():
        if frame.f_globals is getattr(routine, "__globals__", None) and frame.f_code.co_qualname in around:
            found = {**{name: value for name, value in frame.f_locals.items() if name in used}, **found}
    return found


def _frames() -> Iterator[types.FrameType]:
    # The only way to the names of a function that is under way.
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        yield frame
        frame = frame.f_back


def read_signature(function: Callable[..., Any], owner: str, local: Mapping[str, Any]) -> Signature:
    """Read the parameters of a function.

    Args:
        function: The function, its annotations as objects or as strings (PEP 563).
        owner: How messages name the function.
        local: What `local_names` gave when the function was new.

    Raises:
        UsageError: It has no signature, or an annotation can't be resolved; the message says what to do.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{owner} has no signature that Python can read; wrap it in a function of your own") from error
    hints = _all_hints(function, signature, owner, local)
    given = _given_by_partial(function)
    params: list[Param] = []
    context: str | None = None
    order: list[tuple[str, Any, Any]] = []
    for name, parameter in signature.parameters.items():
        annotation = hints.get(name, Any)
        if name in given:
            continue  # bound by functools.partial: neither the model's to choose nor to see
        order.append((name, parameter.kind, parameter.default))
        if is_context(annotation):
            if context is not None:
                raise UsageError(f"{owner} takes two contexts, {context!r} and {name!r}; one is enough")
            context = name
        elif name == "self" and len(order) == 1 and name not in hints:
            raise UsageError(f"{owner} is a method without its object; offer it bound: Tool(an_object.method)")
        elif parameter.kind is KWARGS and typing_extensions.get_origin(annotation) is typing_extensions.Unpack:
            (keys,) = typing_extensions.get_args(annotation)
            params.extend(_keys(keys, local))
        else:
            params.append(_param(name, parameter, annotation))
    return Signature(params, context, order)


def _given_by_partial(function: Callable[..., Any]) -> set[str]:
    names: set[str] = set()
    while isinstance(function, functools.partial):
        names.update(function.keywords)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        function = function.func  # pyright: ignore[reportUnknownMemberType]
    return names


def _all_hints(
    function: Callable[..., Any], signature: inspect.Signature, owner: str, local: Mapping[str, Any]
) -> dict[str, Any]:
    """Resolve the annotations of all parameters, also of those that a class, a wrapper or ``__signature__`` shows."""
    hints = type_hints(function, owner, local)
    others = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if name not in hints and parameter.annotation is not EMPTY
    }
    texts = {name: annotation for name, annotation in others.items() if isinstance(annotation, str)}
    if texts:
        home: Any = inspect.unwrap(function)
        module = sys.modules.get(getattr(home, "__module__", None) or type(home).__module__)
        names = {**vars(module), **local} if module is not None else dict(local)
        others.update(_one_by_one(texts, names, owner, {}))
    return {**hints, **others}


def type_hints(function: Callable[..., Any], owner: str, local: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a function's annotations. One of the result that can't be resolved is left out: no call needs it.

    Raises:
        UsageError: One of a parameter can't be resolved.
    """
    routine = inspect.unwrap(routine_of(function))
    known = {
        **{param.__name__: param for param in getattr(routine, "__type_params__", ())},
        **_closure(routine),
        **local,
    }
    try:
        return typing_extensions.get_type_hints(routine, localns=known or None, include_extras=True)
    except Exception:  # noqa: BLE001 - one by one then, as any code may stand in an annotation
        return _one_by_one(routine.__annotations__, getattr(routine, "__globals__", {}), owner, known)


def _one_by_one(
    annotations: Mapping[str, Any], globalns: dict[str, Any], owner: str, known: Mapping[str, Any]
) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for name, annotation in annotations.items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints.update(typing_extensions.get_type_hints(holder, globalns, dict(known), include_extras=True))
        except Exception as error:
            if name != "return":
                raise UsageError(
                    f"{owner}: the annotation {annotation!r} of parameter {name!r} can't be resolved ({error}); import "
                    "what it names where the function can see it, not only under TYPE_CHECKING"
                ) from error
    return hints


def _closure(routine: Callable[..., Any]) -> dict[str, Any]:
    cells: Any = getattr(routine, "__closure__", None) or ()
    names: tuple[str, ...] = routine.__code__.co_freevars if cells else ()
    return {name: cell.cell_contents for name, cell in zip(names, cells, strict=True) if _is_filled(cell)}


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def is_context(annotation: Any) -> bool:
    """Tell whether an annotation is `Context`, with or without the type of its deps, or None beside it."""
    origin = typing_extensions.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing_extensions.Annotated):
        return any(is_context(part) for part in typing_extensions.get_args(annotation))
    return (origin or annotation) is Context


def _param(name: str, parameter: inspect.Parameter, annotation: Any) -> Param:
    kind, default = parameter.kind, parameter.default
    if kind is ARGS:
        return Param(name, kind, list[annotation], required=False, default=EMPTY)
    if kind is KWARGS:
        return Param(name, kind, annotation, required=False, default=EMPTY)
    if type(default).__name__ == "FieldInfo":  # written as in a model: count: int = Field(1, ge=0)
        annotated: Any = typing_extensions.Annotated[annotation, default]
        return Param(name, kind, annotated, required=default.is_required(), default=EMPTY)
    return Param(name, kind, annotation, required=default is EMPTY, default=default)


def _keys(typed_dict: Any, local: Mapping[str, Any]) -> Iterator[Param]:
    """Give a TypedDict's keys as keyword parameters: what ``**kwargs: Unpack[…]`` means (PEP 692)."""
    hints = typing_extensions.get_type_hints(typed_dict, localns=dict(local) or None, include_extras=True)
    for name, hint in hints.items():
        annotation, required = hint, name in typed_dict.__required_keys__
        while (origin := typing_extensions.get_origin(annotation)) in _QUALIFIERS:
            told = _QUALIFIERS[origin]
            required = required if told is None else told
            (annotation,) = typing_extensions.get_args(annotation)
        yield Param(name, inspect.Parameter.KEYWORD_ONLY, annotation, required=required, default=EMPTY)


_QUALIFIERS: Mapping[Any, bool | None] = {
    typing_extensions.Required: True,
    typing_extensions.NotRequired: False,
    typing_extensions.ReadOnly: None,
}
