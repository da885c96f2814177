"""`Tool`: a Python function that a model may call, and that is still the function it was."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import string
import types
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypedDict, TypeVar, cast, overload

import anyio
from typing_extensions import Unpack

from agentrt.errors import ToolError, UsageError
from agentrt.registry.context import Context
from agentrt.registry.docstring import Docs, read_docstring
from agentrt.registry.names import wire_name
from agentrt.registry.signature import local_names, routine_of, type_hints
from agentrt.registry.threads import asyncio_is_running, run_in_thread
from agentrt.wire.json import dump

if TYPE_CHECKING:
    from agentrt.registry.form import Form, Strict

__all__ = ["Effect", "Tool", "ToolOptions", "tool"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
Effect = Literal["pure", "idempotent", "unsafe"]

_EFFECTS = ("pure", "idempotent", "unsafe")
_NAMESPACE = "1 to 64 letters, digits, '_' and '-'"


class ToolOptions(TypedDict, total=False):
    """What may be said of a tool beside its function."""

    name: str | None
    """The name that the model sees; default the function's. What the wire doesn't take is written in another way."""
    description: str | None
    """What the model reads about it; default the prose of the docstring."""
    strict: Strict
    """``"auto"`` sends a strict schema where closing it is enough; True insists, and writes mappings and tuples in
    another form; False sends it as it is."""
    effect: Effect
    """``pure``: it changes nothing; ``idempotent``: twice is as good as once; ``unsafe`` (default): neither."""
    approval: bool | Callable[[dict[str, Any]], bool | Awaitable[bool]]
    """Whether a call needs somebody's word first; or a function of its arguments by name that tells."""
    timeout: float | None
    """Seconds that one try may take; None for no bound."""
    retries: int
    """Tries after the first one: after a `ToolRetry`, and after any error of a pure or idempotent tool."""
    resource: str | None
    """What a call works on, such as ``"file:{path}"`` with its arguments: calls on the same wait for each other."""
    exclusive: bool
    """Whether nothing else of the batch may run beside it."""
    enabled: bool | Callable[[Context[Any]], bool]
    """Whether the model is offered it; or a function of the context that tells, asked before each request."""
    namespace: str | None
    """The namespace that it is offered in."""
    defer_loading: bool
    """Let the model find it by a search, instead of listing it at once."""
    output_schema: bool
    """Whether to send the schema of what it returns, for providers that take it."""


class ToolTimeout(ToolError):  # noqa: N818 - for a model to read; it is told apart where tries are counted
    """A try took too long."""


class Tool(Generic[P, R]):
    """A function with the schema that a model calls it by. Calling it calls the function.

    Args:
        function: A function, sync or async, a generator, a bound method, a partial, a class or a callable object. Sync
            ones run in a thread.
        **options: See `ToolOptions`.

    Raises:
        UsageError: The function can't become a tool; the message says which part and what to do. What is wrong with its
            types shows when its schema is first asked for.
    """

    may_ask = False
    """Whether a call may ask somebody while it runs; then it never begins before its reply is whole."""

    def __init__(self, function: Callable[P, R], **options: Unpack[ToolOptions]) -> None:
        if not callable(function):
            swap = "; write @classmethod above @tool" if isinstance(function, classmethod) else "; pass a function"
            raise UsageError(f"a tool must be callable, but {function!r} is not{swap}")
        if options.keys() - _OPTIONS:
            raise UsageError(
                f"a tool has no {min(options.keys() - _OPTIONS)!r}; it takes {', '.join(sorted(_OPTIONS))}"
            )
        self.function = function
        self.options: ToolOptions = options
        self._check_options()
        routine = routine_of(function)
        named: Any = getattr(function, "func", function)
        self.given_name: str = options.get("name") or getattr(named, "__name__", None) or type(named).__name__
        """The name in Python's words."""
        self.name = wire_name(self.given_name)
        """The name that the model sees: 1 to 64 letters, digits, ``_`` and ``-``."""
        self.namespace = options.get("namespace")
        self.key = f"{self.namespace}.{self.name}" if self.namespace else self.name
        """What a run knows it by: its name, after its namespace where it has one."""
        self.timeout = options.get("timeout")
        self.retries = options.get("retries", 0)
        self.effect: Effect = options.get("effect", "unsafe")
        self.approval = options.get("approval", False)
        self.resource = options.get("resource")
        self.exclusive = options.get("exclusive", False)
        self.enabled = options.get("enabled", True)
        self.is_generator = inspect.isgeneratorfunction(routine) or inspect.isasyncgenfunction(routine)
        self.is_async = inspect.iscoroutinefunction(routine) or inspect.isasyncgenfunction(routine)
        self._local = local_names(function)
        functools.update_wrapper(cast("Callable[P, R]", self), function, updated=())

    def _check_options(self) -> None:
        for name, value in self.options.items():
            if not _CHECKS[name][0](value):
                raise UsageError(f"{name} must be {_CHECKS[name][1]}, but is {value!r:.100}")

    @functools.cached_property
    def docs(self) -> Docs:
        """What the docstring says."""
        return read_docstring(
            inspect.getdoc(self.function if inspect.isclass(self.function) else routine_of(self.function))
        )

    @property
    def description(self) -> str:
        """What the model reads about it."""
        given = self.options.get("description")
        return self.docs.description if given is None else given

    @functools.cached_property
    def form(self) -> Form:
        """Its schema, and how arguments are read; raises UsageError where a type can't be said."""
        from agentrt.registry.form import Form  # noqa: PLC0415 - pydantic's schema machinery, which registering needn't

        owner, strict = f"the tool {self.given_name!r}", self.options.get("strict", "auto")
        made = Form(self.function, owner, self.docs, self._local, strict)
        made.wants_context |= self.is_generator  # it tells of its pieces
        made.is_direct = made.is_plain and not self.is_generator and self.timeout is None
        if self.resource is not None:
            _check_resource(self.resource, [name for name, _, _ in made.signature.order], owner)
        return made

    @functools.cached_property
    def definition_hash(self) -> str:
        """Hash of the definition: a decision on a call holds for this one only."""
        return hashlib.sha256(dump(self.definition())).hexdigest()

    @property
    def parameters(self) -> dict[str, Any]:
        """The schema of the parameters, as it is sent."""
        return self.form.parameters

    @property
    def strict(self) -> bool:
        """Whether the schema is strict."""
        return self.form.strict

    @property
    def not_strict_because(self) -> str | None:
        """Why it is not."""
        return self.form.not_strict_because

    @functools.cached_property
    def output_schema(self) -> dict[str, Any] | None:
        """The schema of what it returns, from its annotation; None where there is none that a schema can say."""
        from agentrt.registry.schema import output_schema  # noqa: PLC0415 - as above

        return output_schema(type_hints(self.function, f"the tool {self.given_name!r}", self._local).get("return"))

    def definition(self) -> dict[str, Any]:
        """Give the dict that goes into a request's ``tools``."""
        definition: dict[str, Any] = {
            "type": "function",
            "name": self.name,
            "parameters": self.parameters,
            "strict": self.strict,
        }
        if self.description:
            definition["description"] = self.description
        if self.options.get("defer_loading"):
            definition["defer_loading"] = True
        if self.options.get("output_schema") and self.output_schema is not None:
            definition["output_schema"] = self.output_schema
        return definition

    def is_enabled(self, context: Context[Any]) -> bool:
        """Tell whether the model is offered it; raises UsageError where its predicate fails."""
        if isinstance(self.enabled, bool):
            return self.enabled
        try:
            return bool(self.enabled(context))
        except Exception as error:
            raise UsageError(
                f"enabled= of the tool {self.given_name!r} failed ({type(error).__name__}: {error}); it takes the "
                "context, whose deps are what the run was given"
            ) from error

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, with Python's own arguments."""
        return self.function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> Tool[P, R]: ...
    @overload
    def __get__(self: Tool[Concatenate[Any, Q], S], instance: object, owner: type | None = None) -> Tool[Q, S]: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        """Bind like a function does: what a decorated method of an object gives is a tool of that object."""
        if instance is None or isinstance(self.function, staticmethod):
            return self
        bound = Tool[..., Any](types.MethodType(self.function, instance), **self.options)
        bound._local = self._local
        return bound

    async def invoke(
        self, arguments: Mapping[str, Any] | str | None = None, context: Context[Any] | None = None
    ) -> Any:
        """Run the tool on arguments that a model gave.

        Args:
            arguments: The arguments, as JSON text or as a dict of JSON values.
            context: What a parameter annotated `Context` gets; default one without deps.

        Returns:
            What the function returned; of a generator all that it gave, texts as one text.

        Raises:
            ToolError: The arguments don't fit, or the time is up.
        """
        return await self.run(self.form.read(arguments), context or Context())

    async def run(self, values: dict[str, Any], context: Context[Any] | None) -> Any:
        """Call the function with checked arguments; see `invoke`.

        Args:
            values: The arguments by name, as ``form.read`` gives them.
            context: Needed where ``form.wants_context``.
        """
        args, kwargs = ([], values) if self.form.is_plain else self.form.bound(values, context)
        call = functools.partial(cast("Callable[..., Any]", self.function), *args, **kwargs)
        try:
            if self.timeout is None:
                return await self._called(call, context)
            outcome = await self._within(self._called(call, context), self.timeout)
        finally:
            if context is not None:
                context.cancel()
        if not outcome:
            raise ToolTimeout(f"the tool did not finish within {self.timeout:g} seconds")
        return outcome[0]

    async def _called(self, call: Callable[[], Any], context: Context[Any] | None) -> Any:
        if self.is_async and not self.is_generator:
            result = await call()
        elif self.is_async:
            result = call()
        else:
            result = await run_in_thread(call)
            result = await result if inspect.isawaitable(result) else result
        if hasattr(result, "__next__") or hasattr(result, "__anext__"):
            from agentrt.registry.generators import gathered  # noqa: PLC0415 - few tools give iterators

            return await gathered(result, context or Context())
        return result

    async def _within(self, coroutine: Coroutine[Any, Any, Any], seconds: float) -> list[Any]:
        """Run a coroutine within its time; gives its result in a list, or an empty one when the time is up."""
        if self.is_async and asyncio_is_running():
            from agentrt.registry.detached import run_within  # noqa: PLC0415 - only tools with a timeout need it

            return await run_within(coroutine, seconds)
        with anyio.move_on_after(seconds):
            return [await coroutine]
        return []

    def __repr__(self) -> str:
        """Show the names: of the tool and what it takes. Defaults may hold secrets."""
        try:
            names = ", ".join(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):
            names = "…"
        return f"Tool({self.given_name}({names}))"


def _check_resource(resource: str, names: list[str], owner: str) -> None:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(resource) if field is not None]
    except ValueError as error:
        raise UsageError(
            f"{owner}: resource {resource!r} can't be read ({error}); write such as 'file:{{path}}'"
        ) from error
    for field in fields:
        if re.split(r"[.\[]", field)[0] not in names:
            raise UsageError(f"{owner}: resource names {field!r}, which is no parameter; it has {', '.join(names)}")


def _is_text(value: object) -> bool:
    return isinstance(value, str | None)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_choice(value: object) -> bool:
    return isinstance(value, bool) or callable(value)


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "a text"),
    "description": (_is_text, "a text"),
    "strict": (lambda value: value in (True, False, "auto"), "True, False or 'auto'"),
    "effect": (lambda value: value in _EFFECTS, f"one of {', '.join(_EFFECTS)}"),
    "approval": (_is_choice, "True, False, or a function of the arguments (a dict)"),
    "timeout": (lambda value: value is None or (_is_number(value) and value > 0), "a number of seconds, more than 0"),
    "retries": (lambda value: isinstance(value, int) and _is_number(value) and value >= 0, "a whole number, 0 or more"),
    "resource": (_is_text, "a text such as 'file:{path}'"),
    "exclusive": (_is_bool, "True or False"),
    "enabled": (_is_choice, "True, False, or a function of the context"),
    "namespace": (lambda value: value is None or (isinstance(value, str) and wire_name(value) == value), _NAMESPACE),
    "defer_loading": (_is_bool, "True or False"),
    "output_schema": (_is_bool, "True or False"),
}
_OPTIONS = frozenset(_CHECKS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@overload
def tool(function: Callable[P, R], /, **options: Unpack[ToolOptions]) -> Tool[P, R]: ...
@overload
def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Turn a function into a `Tool`: as ``@tool``, or as ``@tool(name=…, timeout=…)``.

    The arguments and errors are those of `Tool`.
    """
    if function is None:
        return functools.partial(Tool[..., Any], **options)
    return Tool(function, **options)
