"""`Tool`: a Python function that a model may call, and that is still the function it was."""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

import anyio

from agentrt.errors import ToolError, UsageError
from agentrt.registry.arguments import bind
from agentrt.registry.docstring import read_docstring
from agentrt.registry.schema import Param, parameters_schema, read_signature, underlying
from agentrt.registry.strict import strict_form
from agentrt.registry.threads import run_in_thread

__all__ = ["Strict", "Tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")
Strict = bool | Literal["auto"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Tool(Generic[P, R]):
    """A function with the schema that a model calls it by. Calling it calls the function.

    Args:
        function: A function, sync or async, a bound method or a callable object. Sync ones run in a thread.
        name: The name that the model sees; default the function's. 1 to 64 letters, digits, ``_`` and ``-``.
        description: What the model reads about it; default the prose of the docstring.
        strict: ``"auto"`` sends a strict schema where closing it is enough; True insists; False sends it as it is.
        timeout: Seconds that one call may take; None for no bound.

    Raises:
        UsageError: The function can't become a tool; the message says which part and what to do.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: Strict = "auto",
        timeout: float | None = None,
    ) -> None:
        if not callable(function):
            raise UsageError(f"a tool must be callable, but {function!r} is not; pass a function")
        self.function = function
        routine = underlying(function)
        named: Any = getattr(function, "func", function)
        self.name = name or getattr(named, "__name__", None) or type(named).__name__
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"the tool name {self.name!r} is not 1 to 64 letters, digits, '_' and '-'; give one with @tool(name=…)"
            )
        docs = read_docstring(inspect.getdoc(routine))
        self.description = description or docs.description
        self.timeout = timeout
        self.is_async = inspect.iscoroutinefunction(routine)
        self._params: list[Param] = read_signature(function, f"the tool {self.name!r}")
        self.parameters: dict[str, Any] = parameters_schema(self._params, docs)
        self.strict, self.not_strict_because = self._choose_strict(strict)
        functools.update_wrapper(cast("Callable[P, R]", self), function, updated=())

    def _choose_strict(self, strict: Strict) -> tuple[bool, str | None]:
        if strict is False:
            return False, "strict=False was asked for"
        closed, reason = strict_form(self.parameters)
        if closed is None:
            if strict is True:
                raise UsageError(
                    f"the tool {self.name!r} can't be strict: {reason}; change the type or leave strict at 'auto'"
                )
            return False, reason
        self.parameters = closed
        return True, None

    def definition(self) -> dict[str, Any]:
        """Give the dict that goes into a request's ``tools``."""
        definition = {"type": "function", "name": self.name, "parameters": self.parameters, "strict": self.strict}
        return {**definition, "description": self.description} if self.description else definition

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, with Python's own arguments."""
        return self.function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> Tool[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Any: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        """Bind like a function does, so that a decorated method still is one. ``Tool(obj.method)`` offers it."""
        return self if instance is None else types.MethodType(self.function, instance)

    async def invoke(self, arguments: Mapping[str, Any]) -> Any:
        """Run the tool on arguments that a model gave.

        Args:
            arguments: The arguments by name, as parsed from JSON.

        Returns:
            What the function returned.

        Raises:
            ToolError: The arguments don't fit, or the time is up.
        """
        args, kwargs = bind(self._params, arguments)
        function = cast("Callable[..., Any]", self.function)
        with anyio.move_on_after(self.timeout):
            if self.is_async:
                return await cast("Awaitable[Any]", function(*args, **kwargs))
            result = await run_in_thread(functools.partial(function, *args, **kwargs))
            return await result if inspect.isawaitable(result) else result
        raise ToolError(f"the tool did not finish within {self.timeout:g} seconds")

    def __repr__(self) -> str:
        """Show the name and the signature."""
        return f"Tool({self.name}{inspect.signature(self.function)})"


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: Strict = "auto",
    timeout: float | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Turn a function into a `Tool`: as ``@tool``, or as ``@tool(name=…, timeout=…)``.

    The arguments and errors are those of `Tool`.
    """
    if function is None:
        return functools.partial(Tool[..., Any], **options)
    return Tool(function)
