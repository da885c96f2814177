"""Looks at tools as a careful colleague would: what a model can't know from them, what won't work, what they cost."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, cast

from agentrt.errors import UsageError
from agentrt.registry.shapes import branches_of
from agentrt.registry.signature import KWARGS
from agentrt.registry.tool import Tool
from agentrt.wire.json import as_dict, dump, is_dict

__all__ = ["Examined", "Finding", "examine"]

_CHARS_PER_TOKEN = 4  # a rule of thumb for JSON; OpenAI's help center, "What are tokens"
_ENCODING = "o200k_base"  # the encoding of OpenAI's models since GPT-4o


class Finding(NamedTuple):
    """One thing that could be better.

    Attributes:
        level: ``error``: it can't be a tool as it is; ``warning``: models will do worse; ``note``: good to know.
        text: What it is and what to do, in one sentence.
    """

    level: Literal["error", "warning", "note"]
    text: str


class Examined(NamedTuple):
    """What was found about one tool.

    Attributes:
        name: Its name.
        tokens: About what its definition costs in each request; None where there is no definition.
        findings: What could be better.
    """

    name: str
    tokens: int | None
    findings: list[Finding]


def examine(tools: Iterable[Callable[..., Any] | Tool[..., Any]]) -> list[Examined]:
    """Look at tools, or at functions that could become some.

    Args:
        tools: Functions and `Tool` objects.
    """
    made = [cast("Tool[..., Any]", entry) if isinstance(entry, Tool) else Tool(entry) for entry in tools]
    uses = Counter(tool.key for tool in made)
    return [_examined(tool, uses[tool.key]) for tool in made]


def _examined(tool: Tool[..., Any], uses: int) -> Examined:
    findings: list[Finding] = []
    if uses > 1:
        findings.append(Finding("error", f"{uses} tools have the name {tool.key!r}; rename one with @tool(name=…)"))
    try:
        definition = tool.definition()
    except UsageError as error:
        return Examined(tool.given_name, None, [*findings, Finding("error", str(error))])
    return Examined(tool.given_name, _tokens(definition), [*findings, *_findings(tool)])


def _findings(tool: Tool[..., Any]) -> Iterator[Finding]:
    if not tool.description:
        yield Finding(
            "warning", "it has no description; write a docstring that says what it is for, and when to use it"
        )
    if tool.name != tool.given_name:
        yield Finding("note", f"the wire doesn't take its name, so the model sees {tool.name!r}")
    yield from _of_parameters(tool)
    if not tool.strict:
        yield Finding("note", f"it is not strict, as {tool.not_strict_because}")
    if "effect" not in tool.options:
        yield Finding(
            "note", "its effect is not declared, so it counts as unsafe; say @tool(effect='pure') if it only reads"
        )


def _of_parameters(tool: Tool[..., Any]) -> Iterator[Finding]:
    form = tool.form
    known = {param.name: param for param in form.signature.params}
    properties = as_dict(form.natural["properties"])
    hints = inspect.signature(tool.function).parameters
    takes_more = any(param.kind is KWARGS for param in known.values())
    mend = "name it in the signature, or write **kwargs: Unpack[SomeTypedDict]" if takes_more else "correct the name"
    for name in tool.docs.params:
        if name not in known and name != form.signature.context:
            yield Finding("warning", f"the docstring describes {name!r}, which is no parameter; {mend}")
    for name, schema in properties.items():
        if name in hints and hints[name].annotation is inspect.Parameter.empty:
            yield Finding("warning", f"{name!r} has no type, so the model can't know what to give; annotate it")
        elif _is_unbounded(schema):
            yield Finding("warning", f"{name!r} takes any value, so the model can't know what to give; name a type")
        if not schema.get("description"):
            yield Finding("warning", f"{name!r} has no description; describe it in the docstring")


def _is_unbounded(schema: dict[str, Any]) -> bool:
    """Tell whether a type says next to nothing: anything, a list of anything, a mapping of anything."""
    says = schema.keys() - {"description", "default"}
    if not says:
        return True
    inner = schema.get("items") if schema.get("type") == "array" else schema.get("additionalProperties")
    if schema.get("type") in ("array", "object") and (inner is True or (is_dict(inner) and _is_unbounded(inner))):
        return True
    return any(_is_unbounded(branch) for branch in branches_of(schema))


def _tokens(definition: dict[str, Any]) -> int:
    text = dump(definition).decode()
    encoding = _encoding()
    return len(text) // _CHARS_PER_TOKEN if encoding is None else len(encoding.encode(text))


def _encoding() -> Any:
    """Give tiktoken's encoding where the extra ``tokens`` is installed and its data can be had, else None."""
    if importlib.util.find_spec("tiktoken") is None:
        return None
    try:
        tiktoken: Any = importlib.import_module("tiktoken")
        return tiktoken.get_encoding(_ENCODING)
    except Exception:  # noqa: BLE001 - it fetches its data on first use, and there may be no way to it
        return None
