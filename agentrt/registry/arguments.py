"""The arguments of a call, as the model wrote them, become what the function asked for, or an error it can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pydantic

from agentrt.errors import ToolError
from agentrt.registry.schema import Param
from agentrt.wire.json import parse

__all__ = ["MAX_ARGUMENT_BYTES", "bind", "parse_arguments"]

MAX_ARGUMENT_BYTES = 1024 * 1024
"""Upper bound for one call's arguments: far over what a model writes, far under what would hurt."""

_SHOWN = 80


def parse_arguments(arguments: object) -> dict[str, Any]:
    """Read a call's arguments: a JSON string by the specification, an object from some providers, nothing for none.

    Raises:
        ToolError: They are not a JSON object; the text tells the model what came.
    """
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, str):
        if len(arguments) > MAX_ARGUMENT_BYTES:
            raise ToolError(f"the arguments have {len(arguments)} characters; at most {MAX_ARGUMENT_BYTES} are allowed")
        try:
            arguments = parse(arguments)
        except ValueError as error:
            raise ToolError(f"the arguments are not valid JSON ({error}): {_show(arguments)}") from error
    if not isinstance(arguments, dict):
        raise ToolError(f"the arguments must be a JSON object, but are {_show(arguments)}")
    return cast("dict[str, Any]", arguments)


def bind(params: list[Param], given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Check and convert arguments, as pydantic does in lax mode.

    Args:
        params: The tool's parameters.
        given: What the model gave, by name.

    Returns:
        Positional and keyword arguments for the function. What was left out is left to Python's defaults.

    Raises:
        ToolError: Something doesn't fit; the text lists each wrong argument, what was expected, and what came.
    """
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    problems: list[str] = []
    for param in params:
        value = given.get(param.name)
        if param.name not in given or (value is None and not param.required and not param.nullable):
            if param.required:
                problems.append(f"`{param.name}` is required, but missing")
            elif param.positional:
                positional.append(param.default)
            continue
        try:
            value = param.adapter.validate_python(value)
        except pydantic.ValidationError as error:
            problems.extend(_explain(param.name, error))
            continue
        if param.positional:
            positional.append(value)
        else:
            keywords[param.name] = value
    names = [param.name for param in params]
    problems.extend(
        f"`{name}` is not an argument of this tool; it takes {names}" for name in given if name not in names
    )
    if problems:
        raise ToolError("the arguments don't fit: " + "; ".join(problems))
    return positional, keywords


def _explain(name: str, error: pydantic.ValidationError) -> list[str]:
    return [
        f"`{'.'.join(map(str, (name, *detail['loc'])))}`: {detail['msg'].lower()}, got {_show(detail['input'])}"
        for detail in error.errors(include_url=False, include_context=False)
    ]


def _show(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    quoted = repr(text) if isinstance(value, str) else text
    return quoted if len(quoted) <= _SHOWN else quoted[:_SHOWN] + "…"
