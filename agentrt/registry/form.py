"""What a function looks like as a tool: its schema, and how a call's arguments become what it asked for.

Made when it is first asked for: registering a tool costs next to nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from agentrt.errors import ToolError
from agentrt.registry.annotation import Typed
from agentrt.registry.arguments import MAX_ARGUMENT_BYTES, arguments_text, bound, validator_of
from agentrt.registry.docstring import Docs
from agentrt.registry.reader import Reader, Strict
from agentrt.registry.schema import parameters_schema, type_of
from agentrt.registry.signature import EMPTY, KWARGS, Param, read_signature

__all__ = ["Form", "Strict"]


class Form(Reader):
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
        """Whether calling the function with them is all there is to do; and awaiting it, where it is async."""
        natural = parameters_schema(params, self.types, docs.params, owner)
        extras = next((param.name for param in params if param.kind is KWARGS), None)
        validator = functools.partial(validator_of, self.signature, self.types)
        super().__init__(
            natural, owner, strict, validator=validator, names=[param.name for param in params], extras=extras
        )

    def _with_default(self, param: Param) -> Param:
        return param._replace(required=False) if param.required and self.types[param.name].has_default else param

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """What Python puts in for what is left out, by name."""
        own = {name: default for name, _, default in self.signature.order if default is not EMPTY}
        own.pop(self.signature.context or "", None)
        return own

    @functools.cached_property
    def _validate_plain(self) -> Callable[[Any], dict[str, Any]] | None:
        """Check arguments of plain types in their natural form, without a look at further ones; None if not plain."""
        if self.encoded or self._extras or not all(kind.refuses_nan for kind in self.types.values()):
            return None
        return validator_of(self.signature, self.types, further="ignore").validate_json

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
        found: dict[str, Any] = self.read_text(arguments_text(arguments))
        if self.signature.context in found:
            raise ToolError(f"`{self.signature.context}` is not an argument of this tool")
        return found

    def bound(self, values: dict[str, Any], context: Any) -> tuple[list[Any], dict[str, Any]]:
        """Sort checked arguments into Python's positional and keyword arguments, the context among them."""
        return bound(self.signature, values, context)
