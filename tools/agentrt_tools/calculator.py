"""A calculator that can't do anything else: it walks the expression's syntax tree and never evaluates code."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from agentrt import ToolError, tool

__all__ = ["calculator"]

Number = int | float

_MAX_CHARS = 200
_MAX_BITS = 4096
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
}


@tool(effect="pure")
def calculator(expression: Annotated[str, Field(pattern=r"^[0-9+*/%(). -]+$")]) -> int | float:
    """Work out an arithmetic expression.

    Args:
        expression: Numbers with + - * / // % ** and parentheses, such as 2 * (3 + 4).
    """
    if len(expression) > _MAX_CHARS:
        raise ToolError(f"the expression is too long; at most {_MAX_CHARS} characters")
    try:
        result = _value(ast.parse(expression.strip(), mode="eval").body)
        str(result)  # Python refuses to write integers of more than 4,300 digits
    except ZeroDivisionError as error:
        raise ToolError("the expression divides by zero") from error
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise ToolError(f"{expression!r} is not an expression that can be worked out: {error}") from error
    return result


def _value(node: ast.expr) -> Number:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _bounded(node.value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) * max(1, _bits(left)) > _MAX_BITS:
            raise ToolError("the result of the power would be too large")
        return _bounded(_BINARY[type(node.op)](left, right))
    raise ToolError("only numbers, + - * / // % ** and parentheses are allowed")


def _bits(value: Number) -> float:
    return value.bit_length() if isinstance(value, int) else max(1.0, abs(math.log2(abs(value) or 1)))


def _bounded(value: Number | complex) -> Number:
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        raise ToolError("the result is not a real number")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ToolError("the result is too large")
    return value
