"""What a function looks like as a tool: its schema, and how a call's arguments become what it asked for.

Made when it is first asked for: registering a tool costs next to nothing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import pydantic_core

from agentrt.errors import ToolError, UsageError
from agentrt.registry.annotation import Typed
from agentrt.registry.arguments import MAX_ARGUMENT_BYTES, arguments_text, bound, check_text, invalid, validator_of
from agentrt.registry.decode import decoded
from agentrt.registry.docstring import Docs
from agentrt.registry.mismatch import mismatches
from agentrt.registry.schema import parameters_schema, type_of
from agentrt.registry.shapes import has_union_with_work, has_work
from agentrt.registry.signature import EMPTY, KWARGS, Param, read_signature
from agentrt.registry.strict import strict_form
from agentrt.wire.json import as_dict, dump, is_dict, parse

__all__ = ["Form", "Strict"]

Strict = bool | Literal["auto"]


class Form:
    """A function's form as a tool.

    Args:
        function: The function.
        owner: How messages name it.
        docs: What its docstring says.
        local: Names that its annotations may mean and that can't be found otherwise.
        strict: As for `Tool`.

    Raises:
        UsageError: A parameter's type has no schema, or ``strict=True`` can't be had; the message says what to do.
    """

    def __init__(
        self, function: Callable[..., Any], owner: str, docs: Docs, local: Mapping[str, Any], strict: Strict
    ) -> None:
        self.signature = read_signature(function, owner, local)
        self.types: dict[str, Typed] = {param.name: type_of(param, owner) for param in self.signature.params}
        params = [self._with_default(param) for param in self.signature.params]
        self.signature = self.signature._replace(params=params)
        self.wants_context = self.signature.context is not None
        """Whether a call needs a `Context`."""
        self.is_plain = self.signature.is_plain and self.signature.context is None
        """Whether the checked arguments are Python's keyword arguments as they are."""
        self.is_direct = False
        """Whether calling the function with them and awaiting it is all there is to do."""
        self.natural = parameters_schema(params, self.types, docs.params, owner)
        self.parameters = self.natural
        self.strict, self.not_strict_because, self.encoded = False, None, False
        if strict is False:
            self.not_strict_because = "strict=False was asked for"
        else:
            self._close(owner, insist=strict is True)

    def _with_default(self, param: Param) -> Param:
        return param._replace(required=False) if param.required and self.types[param.name].has_default else param

    def _close(self, owner: str, *, insist: bool) -> None:
        made = strict_form(self.natural, encode=insist, extras=self._extras or "more")
        if made.schema is not None:
            self.parameters, self.strict, self.encoded = made.schema, True, made.encoded
        elif insist:
            raise UsageError(f"{owner} can't be strict: {made.reason}; change the type or leave strict at 'auto'")
        else:
            self.not_strict_because = made.reason

    @property
    def _extras(self) -> str | None:
        return next((param.name for param in self.signature.params if param.kind is KWARGS), None)

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """What Python puts in for what is left out, by name."""
        own = {name: default for name, _, default in self.signature.order if default is not EMPTY}
        own.pop(self.signature.context or "", None)
        return own

    @functools.cached_property
    def _validate(self) -> Callable[[str], dict[str, Any]]:
        return validator_of(self.signature, self.types).validate_json

    @functools.cached_property
    def _validate_plain(self) -> Callable[[Any], dict[str, Any]] | None:
        """Check arguments of plain types in their natural form, without a look at further ones; None if not plain."""
        if self.encoded or self._extras or not all(kind.refuses_nan for kind in self.types.values()):
            return None
        return validator_of(self.signature, self.types, further="ignore").validate_json

    @functools.cached_property
    def _null_may_mean_left_out(self) -> bool:
        return has_work(self.natural, as_dict(self.natural.get("$defs")))

    @functools.cached_property
    def _must_decode(self) -> bool:
        """Whether arguments in strict form could be read as something else than what was meant."""
        return self.encoded or (self.strict and has_union_with_work(self.natural, as_dict(self.natural.get("$defs"))))

    def read(self, arguments: Any) -> dict[str, Any]:
        """Check and convert a call's arguments, as pydantic does in lax mode for JSON.

        Args:
            arguments: As the call item has them: JSON text, in strict form or in the natural one.

        Returns:
            The values by name. What was left out is left to Python's defaults.

        Raises:
            ToolError: They don't fit; the text lists each wrong one, what was expected, and what came.
        """
        validate = self._validate_plain
        if validate is not None:
            try:
                values = validate(arguments)
                if arguments.count(":") == len(values) and len(arguments) < MAX_ARGUMENT_BYTES:
                    return values  # so there is nothing else in it, and nothing twice
            except Exception:  # noqa: BLE001, S110 - what is wrong is found out below
                pass
        return self._read_carefully(arguments_text(arguments))

    def _read_carefully(self, text: str) -> dict[str, Any]:
        natural = self._natural_text(text) if self._must_decode else text
        try:
            try:
                values = self._validate(natural)
            except pydantic_core.ValidationError:
                if self._must_decode or not self._null_may_mean_left_out:
                    raise
                natural = self._natural_text(text)
                values = self._validate(natural)
        except pydantic_core.ValidationError as error:
            self._check_shape(text)
            raise invalid(error, natural, [param.name for param in self.signature.params]) from error
        check_text(text)
        if self.signature.context in values:
            raise ToolError(f"`{self.signature.context}` is not an argument of this tool")
        return values

    def _check_shape(self, text: str) -> None:
        """Hold arguments that don't fit against the form that the model was told; raises ToolError in its words."""
        with contextlib.suppress(ValueError, TypeError):
            problems = mismatches(parse(text), self.parameters) if self.encoded else []
            if problems:
                raise ToolError("the arguments don't fit: " + "; ".join(problems))

    def bound(self, values: dict[str, Any], context: Any) -> tuple[list[Any], dict[str, Any]]:
        """Sort checked arguments into Python's positional and keyword arguments, the context among them."""
        return bound(self.signature, values, context)

    def _natural_text(self, text: str) -> str:
        extras = self._extras if self.encoded else None
        try:
            given: Any = parse(text)
            natural = decoded(given, self.natural, extras, encoded=self.encoded) if is_dict(given) else given
            return dump(natural).decode()
        except RecursionError as error:
            raise ToolError("the arguments are nested too deeply; make them flatter") from error
        except (ValueError, TypeError):
            return text  # the validator tells what is wrong
