"""A schema as it is sent, and how the JSON that a model writes under it is read."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import pydantic_core

from agentrt.errors import ToolError, UsageError
from agentrt.registry.arguments import check_text, invalid
from agentrt.registry.decode import decoded
from agentrt.registry.explain import ARGUMENTS, Words
from agentrt.registry.mismatch import mismatches
from agentrt.registry.shapes import has_union_with_work, has_work
from agentrt.registry.strict import strict_form
from agentrt.wire.json import as_dict, dump, is_dict, parse

__all__ = ["Reader", "Strict"]

Strict = bool | Literal["auto"]


class Reader:
    """Reads JSON that a model wrote, in a schema's strict form or in its natural one.

    Args:
        natural: The schema as pydantic has it: an object at the root.
        owner: How errors for the programmer name what the schema is of.
        strict: As for `Tool`.
        validator: Makes what checks JSON text in its natural form; it is called once, when the first text comes.
        names: What the root takes.
        extras: The name under which a strict form holds what the root's ``additionalProperties`` allow.
        words: How errors for the model name what it wrote.

    Raises:
        UsageError: ``strict=True`` can't be had; the message says what to do.
    """

    def __init__(
        self,
        natural: dict[str, Any],
        owner: str,
        strict: Strict,
        *,
        validator: Callable[[], pydantic_core.SchemaValidator],
        names: Iterable[str],
        extras: str | None = None,
        words: Words = ARGUMENTS,
    ) -> None:
        self.natural = natural
        self.parameters = natural
        """The schema as it is sent."""
        self.strict, self.not_strict_because, self.encoded = False, None, False
        self._validator = validator
        self._names = list(names)
        self._extras = extras
        self._words = words
        if strict is False:
            self.not_strict_because = "strict=False was asked for"
        else:
            self._close(owner, insist=strict is True)

    def _close(self, owner: str, *, insist: bool) -> None:
        made = strict_form(self.natural, encode=insist, extras=self._extras or "more")
        if made.schema is not None:
            self.parameters, self.strict, self.encoded = made.schema, True, made.encoded
        elif insist:
            raise UsageError(f"{owner} can't be strict: {made.reason}; change the type or leave strict at 'auto'")
        else:
            self.not_strict_because = made.reason

    @functools.cached_property
    def _validate(self) -> Callable[[str], Any]:
        return self._validator().validate_json

    @functools.cached_property
    def _defs(self) -> Mapping[str, Any]:
        return as_dict(self.natural.get("$defs"))

    @functools.cached_property
    def _null_may_mean_left_out(self) -> bool:
        return has_work(self.natural, self._defs)

    @functools.cached_property
    def _must_decode(self) -> bool:
        """Whether JSON in strict form could be read as something else than what was meant."""
        return self.encoded or (self.strict and has_union_with_work(self.natural, self._defs))

    def read_text(self, text: str) -> Any:
        """Check and convert JSON text, as pydantic does in lax mode for JSON.

        Raises:
            ToolError: It doesn't fit; the text lists what is wrong, what was expected, and what came.
        """
        natural = self._natural_text(text) if self._must_decode else text
        try:
            try:
                value = self._validate(natural)
            except pydantic_core.ValidationError:
                if self._must_decode or not self._null_may_mean_left_out:
                    raise
                natural = self._natural_text(text)
                value = self._validate(natural)
        except pydantic_core.ValidationError as error:
            self._check_shape(text)
            raise invalid(error, natural, self._names, self._words) from error
        check_text(text, self._words)
        return value

    def _check_shape(self, text: str) -> None:
        """Hold what doesn't fit against the form that the model was told; raises ToolError in its words."""
        with contextlib.suppress(ValueError, TypeError):
            problems = mismatches(parse(text), self.parameters, self._words) if self.encoded else []
            if problems:
                raise ToolError(f"{self._words.all} don't fit: " + "; ".join(problems))

    def _natural_text(self, text: str) -> str:
        extras = self._extras if self.encoded else None
        try:
            given: Any = parse(text)
            natural = decoded(given, self.natural, extras, encoded=self.encoded) if is_dict(given) else given
            return dump(natural).decode()
        except RecursionError as error:
            raise ToolError(f"{self._words.all} are nested too deeply; make them flatter") from error
        except (ValueError, TypeError):
            return text  # the validator tells what is wrong
