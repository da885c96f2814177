"""The form of a structured answer: what a request asks the model for, and how the Python value comes out of it.

Schemas, strict form and errors are those of tools. The wire wants an object at the root, so any other type is asked for
as ``{"value": …}``; what comes without it is understood too.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import pydantic_core
from pydantic_core import core_schema

from agentrt.errors import ToolError, UsageError
from agentrt.registry.annotation import Typed
from agentrt.registry.arguments import MAX_ARGUMENT_BYTES, validator_of
from agentrt.registry.context import Context
from agentrt.registry.explain import ANSWER, shown
from agentrt.registry.names import wire_name
from agentrt.registry.reader import Reader, Strict
from agentrt.registry.schema import no_schema, own_schema, understood
from agentrt.registry.shapes import allows_null, branches_of, resolved
from agentrt.registry.signature import EMPTY, Param, Signature, is_context, local_names, routine_of, type_hints
from agentrt.registry.threads import run_in_thread
from agentrt.registry.tool import Tool
from agentrt.wire.json import is_dict, parse

__all__ = ["FINAL_ANSWER", "OutputForm"]

T = TypeVar("T")

FINAL_ANSWER = "final_answer"
"""The function tool that stands for a structured answer where a provider has no ``text.format``."""

_CALL_IT = "Give the final answer by calling this tool."
_VALUE = "value"
_FENCE = "```"
_LANGUAGE = re.compile(r"(?:json\w*)?\s*", re.IGNORECASE)
_EITHER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_WITH_CONTEXT = 2


class OutputForm(Generic[T]):
    """What a model is asked for as its answer, and the way back from its JSON to a Python value.

    Args:
        output_type: Any type that pydantic takes. ``str`` is plain text: there is nothing to ask for.
        name: What the answer is called; default the name of the class, or ``final_answer``.
        strict: As for `Tool`.
        validators: Functions that get the value and return it, changed or not; sync or async, sync ones in a thread.
            One of two parameters gets ``(context, value)``. They refuse by raising `ToolError`, ValueError or
            AssertionError, whose text the model reads.

    Attributes:
        text: Whether the answer is plain text.
        format: What goes into the request as ``text={"format": …}``.
        definition: The function tool that stands for it where a provider lacks ``text.format``; empty for plain text.

    Raises:
        UsageError: The type or a validator can't be used; the message says what to do.
    """

    def __init__(
        self,
        output_type: type[T] | Any,
        *,
        name: str | None = None,
        strict: Strict = "auto",
        validators: Sequence[Callable[..., Any]] = (),
    ) -> None:
        if strict not in (True, False, "auto"):
            raise UsageError(f"strict must be True, False or 'auto', but is {strict!r:.100}")
        self.text = output_type is str
        self.format: dict[str, Any] = {"type": "text"}
        self.definition: dict[str, Any] = {}
        self._may_be_none = False
        self._validators = [_Validator(function) for function in validators]
        if not self.text:
            self._ask_for(output_type, name, strict)

    def _ask_for(self, output_type: Any, name: str | None, strict: Strict) -> None:
        owner = f"output_type {output_type!r:.200}"
        kind, schema = _understood(output_type, owner)
        defs = schema.pop("$defs", {})
        self._may_be_none = allows_null(schema, defs)
        root = dict(resolved(schema, defs))
        self._is_object = _is_closed_object(root)
        if self._is_object:
            natural, own = root, getattr(output_type, "__name__", FINAL_ANSWER)
            validator = functools.partial(_validator_of, kind)
        else:
            natural, own = _wrapped(schema, required=not kind.has_default), FINAL_ANSWER
            param = Param(_VALUE, inspect.Parameter.KEYWORD_ONLY, output_type, not kind.has_default, EMPTY)
            validator = functools.partial(validator_of, Signature([param], None, []), {_VALUE: kind})
        description = natural.pop("description", None)
        natural = {**natural, "$defs": defs} if defs else natural
        self._reader = Reader(natural, owner, strict, validator=validator, names=natural["properties"], words=ANSWER)
        sent, strictly = self._reader.parameters, self._reader.strict
        self.format = {"type": "json_schema", "name": wire_name(name or own), "schema": sent, "strict": strictly}
        if description:
            self.format["description"] = description
        self.definition = {
            "type": "function",
            "name": FINAL_ANSWER,
            "description": f"{_CALL_IT} {description}" if description else _CALL_IT,
            "parameters": sent,
            "strict": strictly,
        }

    async def read(self, text: str, context: Context[Any] | None = None) -> T:
        """Read the model's answer, and let the validators look at it.

        Args:
            text: What the model wrote: the text of its message, or the arguments of its `FINAL_ANSWER` call.
            context: What validators get that ask for it; default one without deps.

        Raises:
            ToolError: It doesn't fit or was refused; the text tells the model what to mend.
            UsageError: A validator returned None where None is no value of the type.
        """
        value: Any = self.decode(text)
        for validator in self._validators:
            value = await validator.checked(value, context)
            if value is None and not self._may_be_none:
                raise UsageError(f"{validator.owner} returned None; return the value, changed or not")
        return cast("T", value)

    def decode(self, text: str) -> T:
        """Read an answer again that was once accepted: as `read`, without the validators.

        Raises:
            ToolError: It doesn't fit.
        """
        if self.text:
            return cast("T", text)
        bare, given = _json_in(text)
        if self._is_object:
            return cast("T", self._reader.read_text(bare))
        if not (is_dict(given) and _VALUE in given):
            bare = f'{{"{_VALUE}": {bare}}}'
        return cast("T", self._reader.read_text(bare)[_VALUE])


def _understood(output_type: Any, owner: str) -> tuple[Typed, dict[str, Any]]:
    if isinstance(output_type, str):
        raise UsageError(f"{owner} is a text; pass the type itself, without quotes")
    if inspect.isroutine(output_type) or isinstance(output_type, functools.partial | Tool):
        raise UsageError(
            f"{owner} is a function; pass the type that it returns, and the function among tools= or as a validator"
        )
    try:
        kind = understood(output_type)
        return kind, own_schema(kind)
    except Exception as error:  # pydantic's own errors, and whatever a type's hook raises
        raise no_schema(f"output_type is {output_type!r:.200}", error) from error


def _is_closed_object(schema: dict[str, Any]) -> bool:
    """Tell whether the wire takes a schema at the root as it is: an object with properties, and nothing beside them."""
    is_object = schema.get("type") == "object" and "properties" in schema
    return is_object and not schema.get("additionalProperties") and not branches_of(schema)


def _wrapped(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    wrapped: dict[str, Any] = {"type": "object", "properties": {_VALUE: schema}}
    if required:
        wrapped["required"] = [_VALUE]
    return {**wrapped, "additionalProperties": False}


def _validator_of(kind: Typed) -> pydantic_core.SchemaValidator:
    config = core_schema.CoreConfig(val_json_bytes="base64", allow_inf_nan=False)  # as `CONFIG` says it of each type
    return pydantic_core.SchemaValidator(kind.whole, config)


def _json_in(text: str) -> tuple[str, Any]:
    """Find the JSON value that an answer is, alone or in one fenced block: its text, and the value."""
    if len(text) > MAX_ARGUMENT_BYTES:
        raise ToolError(f"the answer has {len(text)} characters; at most {MAX_ARGUMENT_BYTES} are allowed")
    bare = text.strip()
    try:
        return bare, parse(bare)
    except (ValueError, TypeError) as error:
        reason = error
    if text.count(_FENCE) > 1:
        bare = _LANGUAGE.sub("", text.partition(_FENCE)[2].rpartition(_FENCE)[0], count=1).strip()
        try:
            return bare, parse(bare)
        except (ValueError, TypeError) as error:
            reason = error
    raise ToolError(
        f"the answer is not valid JSON ({reason}): {shown(text)}; write the JSON alone, without words around it"
    )


class _Validator:
    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.owner = f"the validator {getattr(function, '__name__', None) or repr(function)!r:.100}"
        if not callable(function):
            raise UsageError(f"{self.owner} is no function; pass functions that take the value and return it")
        self._is_async = inspect.iscoroutinefunction(routine_of(function))
        self._context_at = self._read_signature()

    def _read_signature(self) -> int | None:
        """Find at which place the function takes its context; None where it takes the value only."""
        try:
            params = list(inspect.signature(self._function).parameters.values())
        except ValueError:
            return None  # a builtin that doesn't tell
        needed = [p for p in params if p.default is EMPTY and p.kind in (*_EITHER, inspect.Parameter.KEYWORD_ONLY)]
        takes = sum(p.kind in (*_EITHER, inspect.Parameter.VAR_POSITIONAL) for p in params)
        if not takes or len(needed) > _WITH_CONTEXT or any(p.kind not in _EITHER for p in needed):
            told = ", ".join(map(str, params))
            raise UsageError(f"{self.owner} takes ({told}); write it with (value), or with (context, value)")
        if len(needed) < _WITH_CONTEXT:
            return None
        try:
            hints = type_hints(self._function, self.owner, local_names(self._function))
        except UsageError:
            return 0  # the order of the documentation; what the type of the value is needn't be known
        return int(is_context(hints.get(needed[1].name)))

    async def checked(self, value: Any, context: Context[Any] | None) -> Any:
        given = [value]
        if self._context_at is not None:
            given.insert(self._context_at, context or Context())
        call = functools.partial(self._function, *given)
        try:
            result = await call() if self._is_async else await run_in_thread(call)
            return await result if inspect.isawaitable(result) else result
        except (ValueError, AssertionError) as error:
            raise ToolError(str(error) or f"{self.owner} refused the answer") from error
