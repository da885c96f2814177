"""What goes out: the parameters of a request, what is wrong with them for every provider, and their bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from agentrt.errors import UsageError
from agentrt.wire.items import Item
from agentrt.wire.json import as_dict, as_list, as_str, dump, is_dict
from agentrt.wire.parts import Part, input_items
from agentrt.wire.request_params import RequestParams, RequestSettings

__all__ = [
    "LOGPROBS",
    "RANGES",
    "RequestParams",
    "RequestSettings",
    "check_number",
    "check_ranges",
    "check_request",
    "encode_request",
    "may_act",
    "model_names",
    "no_such",
    "written_out",
]


_NOT_IN_BODY = ("extra_body", "extra_headers", "max_retries", "timeout")
_MAX_INPUT_CHARS = 10_485_760  # Open Responses 2026-04-24, CreateResponseBody.input
_MAX_PAIRS, _MAX_KEY, _MAX_VALUE = 16, 64, 512
_MAX_SAFETY_IDENTIFIER = 128
_FORMAT_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
LOGPROBS = "message.output_text.logprobs"
"""The ``include`` value that ``top_logprobs`` needs."""

_CHAT = {  # what Chat Completions calls it
    "functions": "tools",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format": "text",
    "system": "instructions",
}
_EXAMPLES = {
    "reasoning": "{'effort': 'high'}",
    "text": "{'format': {'type': 'json_schema', 'name': …, 'schema': …}}",
    "prompt": "{'id': 'pmpt_…'}",
}
_WHOLE = ("max_output_tokens", "max_tool_calls", "top_logprobs")
_TEXTS = ("instructions", "previous_response_id", "prompt_cache_key")
_BOOLEANS = ("background", "parallel_tool_calls", "store", "stream")

RANGES: Mapping[str, tuple[float, float]] = {
    "frequency_penalty": (-2, 2),
    "max_output_tokens": (1, math.inf),
    "max_tool_calls": (1, math.inf),
    "presence_penalty": (-2, 2),
    "temperature": (0, 2),
    "top_logprobs": (0, 20),
    "top_p": (0, 1),
}
"""The widest range that any provider takes; a provider's profile may have a narrower one."""


def check_request(params: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]] = RANGES) -> None:
    """Refuse what no provider takes, before it is sent.

    Args:
        params: The request's parameters; None counts as left out.
        ranges: Lowest and highest values by name; those that are missing fall back to `RANGES`.

    Raises:
        UsageError: A parameter is unknown, out of range, or doesn't go with another; the message says what to change.
    """
    for name, value in params.items():
        if name not in _NAMES:
            raise no_such("the Responses API has no parameter", name, _NAMES, {})
        if value is not None:
            if name in RANGES:
                _check_range(name, value, ranges.get(name, RANGES[name]))
            elif name in _BOOLEANS and not isinstance(value, bool):
                raise UsageError(f"{name} must be true or false, but is {value!r}")
            elif name in _TEXTS and not isinstance(value, str):
                raise UsageError(f"{name} must be a text, but is {value!r:.100}")
            if name in _CHECKS:
                _CHECKS[name](value, params)


def _check_range(name: str, value: Any, allowed: tuple[float, float]) -> None:
    low, high = allowed
    number = int if name in _WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, number) or not low <= value <= high:
        span = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        kind = "whole number" if name in _WHOLE else "number"
        raise UsageError(f"{name} must be a {kind} {span}, but is {value!r}")


def check_ranges(settings: Mapping[str, Any]) -> None:
    """Refuse numbers out of the widest range that any provider takes, and an include that is no list."""
    for name in ("include", "max_retries", "timeout"):
        if settings.get(name) is not None:
            _CHECKS[name](settings[name], settings)
    for name in RANGES.keys() & settings.keys():
        if settings[name] is not None:
            _check_range(name, settings[name], RANGES[name])


def no_such(what: str, name: str, known: Iterable[str], renamed: Mapping[str, str]) -> UsageError:
    """Make the error for an unknown name, with the one that was meant where that can be told.

    Args:
        what: What has no such name, in words.
        name: The name.
        known: The names that there are.
        renamed: What other names stand for here.
    """
    import difflib  # noqa: PLC0415 - only a slip needs it

    others = {**_CHAT, **renamed}
    near = [others[name]] if name in others else difflib.get_close_matches(name, known, n=1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    newer = f"What is newer than agentrt, or one provider's own, goes into extra_body={{{name!r}: …}}"
    return UsageError(f"{what} {name!r}. {meant}{newer}")


def _check_metadata(value: Any, _: Mapping[str, Any]) -> None:
    if not is_dict(value) or len(value) > _MAX_PAIRS:
        raise UsageError(f"metadata must be a dict of at most {_MAX_PAIRS} pairs; join or leave out some")
    for key, text in value.items():
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"metadata: the key {key!r} must be a text")
        if len(key) > _MAX_KEY:
            raise UsageError(f"metadata: the key {key!r} has {len(key)} characters, {_MAX_KEY} are allowed; shorten it")
        if not isinstance(text, str) or len(text) > _MAX_VALUE:
            raise UsageError(f"metadata: the value of {key!r} must be a text of at most {_MAX_VALUE} characters")


def _check_conversation(value: Any, params: Mapping[str, Any]) -> None:
    if not as_str(as_dict(value).get("id") or value):
        raise UsageError(f"conversation must be an id such as 'conv_…', but is {value!r:.100}")
    if params.get("previous_response_id") is not None:
        raise UsageError("conversation and previous_response_id exclude each other; leave one of them out")


def _check_stream_options(_: Any, params: Mapping[str, Any]) -> None:
    if not params.get("stream"):
        raise UsageError("stream_options go with a stream only; leave them out, or use stream()")


def _check_background_options(value: Any, params: Mapping[str, Any]) -> None:
    window = as_dict(value).get("completion_window")
    if window not in (None, "soonest") and (not params.get("background") or params.get("stream")):
        raise UsageError(f"completion_window {window!r} needs background=True and no stream")


def _check_text(value: Any, _: Mapping[str, Any]) -> None:
    if not is_dict(value):
        raise UsageError(f"text must be a dict, such as text={_EXAMPLES['text']}, but is {value!r:.100}")
    form = as_dict(value.get("format"))
    if form.get("type") != "json_schema":
        return
    if not _FORMAT_NAME.fullmatch(str(form.get("name"))):
        raise UsageError("text.format needs a name of 1 to 64 letters, digits, '_' and '-' beside its schema")
    if not is_dict(form.get("schema")):
        raise UsageError("text.format of type json_schema needs a schema: a JSON schema as a dict")


def _check_truncation(value: Any, _: Mapping[str, Any]) -> None:
    if value not in ("auto", "disabled"):
        raise UsageError(f"truncation must be 'auto' or 'disabled', but is {value!r}")


def _check_safety_identifier(value: Any, _: Mapping[str, Any]) -> None:
    if not isinstance(value, str) or len(value) > _MAX_SAFETY_IDENTIFIER:
        raise UsageError(f"safety_identifier must be a text of at most {_MAX_SAFETY_IDENTIFIER} characters; hash it")


def _check_input(value: Any, _: Mapping[str, Any]) -> None:
    if not isinstance(value, str | list | tuple):
        raise UsageError(f"input must be a text, or a list of items, texts and parts, not {type(value).__name__}")
    if isinstance(value, str) and len(value) > _MAX_INPUT_CHARS:
        raise UsageError(f"input has {len(value)} characters, {_MAX_INPUT_CHARS} are allowed; split it, or send a file")


def _check_include(value: Any, _: Mapping[str, Any]) -> None:
    if not isinstance(value, list | tuple):
        raise UsageError(f"include must be a list, such as include=['{LOGPROBS}'], but is {value!r}")


def _check_logprobs(value: Any, params: Mapping[str, Any]) -> None:
    include: Any = params.get("include")
    if value and not (isinstance(include, list | tuple) and LOGPROBS in include):
        raise UsageError(f"top_logprobs needs include=[{LOGPROBS!r}], or nothing of it comes back")


def _check_background(value: Any, params: Mapping[str, Any]) -> None:
    if value and params.get("store") is False:
        raise UsageError("background needs the response to be stored; leave store out, or set it to true")


def _check_mapping(value: Any, params: Mapping[str, Any]) -> None:
    if not isinstance(value, Mapping):
        name = next(name for name in params if params[name] is value)
        example = f", such as {name}={_EXAMPLES[name]}" if name in _EXAMPLES else ""
        raise UsageError(f"{name} must be a dict{example}, but is {value!r:.100}")


def check_number(name: str, value: Any) -> None:
    """Refuse what is no number, or less than 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(f"{name} must be a number, 0 or more, but is {value!r}")


_NAMES = frozenset(RequestParams.__annotations__)
_CHECKS: Mapping[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "background": _check_background,
    "background_options": _check_background_options,
    "conversation": _check_conversation,
    "extra_body": _check_mapping,
    "extra_headers": _check_mapping,
    "include": _check_include,
    "input": _check_input,
    "max_retries": lambda value, _: check_number("max_retries", value),
    "metadata": _check_metadata,
    "prompt": _check_mapping,
    "reasoning": _check_mapping,
    "safety_identifier": _check_safety_identifier,
    "stream_options": _check_stream_options,
    "text": _check_text,
    "timeout": lambda value, _: check_number("timeout", value),
    "top_logprobs": _check_logprobs,
    "truncation": _check_truncation,
}


def encode_request(params: Mapping[str, Any]) -> bytes:
    """Write the body of a request.

    Args:
        params: The request's parameters. ``input`` may hold `Item` views and parts beside dicts; an item's bytes are
            written once and reused. ``extra_body`` is laid over the rest, unchecked. Parameters that are None are left
            out.

    Raises:
        UsageError: A parameter is not a JSON value.
    """
    more: Mapping[str, Any] = params.get("extra_body") or {}
    try:
        written = [
            dump(name) + b":" + _encode(value)
            for name, value in {**params, **more}.items()
            if name in more or (value is not None and name not in _NOT_IN_BODY)
        ]
        return b"{" + b",".join(written) + b"}"
    except ValueError as error:
        raise UsageError(f"a parameter of the request can't be written as JSON: {error}") from error


def _encode(value: Any) -> bytes:
    items = as_list(value)
    if any(isinstance(item, Item) for item in items):
        return b"[" + b",".join(item.json if isinstance(item, Item) else dump(item) for item in items) + b"]"
    return dump(value)


def written_out(params: Mapping[str, Any]) -> dict[str, Any]:
    """Write out what users give beside JSON: texts and parts in ``input``, tool objects with what they ``include``.

    Args:
        params: The request's parameters. An agent's items are taken as they are.
    """
    params = {**params, "input": _as_items(params.get("input"))}
    given: Any = params.get("tools")
    if given is None or all(type(tool) is dict for tool in as_list(given) or (None,)):
        return params
    if isinstance(given, str | Mapping) or hasattr(given, "definition") or not isinstance(given, Iterable):
        raise _no_tools(params["tools"])
    tools: list[Any] = []
    include: list[Any] = []
    for tool in params["tools"]:
        if isinstance(tool, type):
            raise _no_tools(tool)
        tools.append(tool.definition() if hasattr(tool, "definition") else tool)
        if not isinstance(tools[-1], Mapping):
            raise _no_tools(tool)
        include.extend(value for value in getattr(tool, "include", ()) if value not in include)
    params["tools"] = tools
    asked: Any = params.get("include")
    if include and (asked is None or isinstance(asked, list | tuple)):
        both: list[Any] = [*(asked or ()), *include]
        params["include"] = list(dict.fromkeys(both))
    return params


def _no_tools(given: object) -> UsageError:
    return UsageError(f"tools must be a list of tools or their definitions (dicts), but there is {given!r:.100}")


def _as_items(given: Any) -> Any:
    if isinstance(given, Part):
        return input_items([given])
    if not isinstance(given, list | tuple):
        return given
    entries = cast("list[Any]", given)
    return entries if all(isinstance(item, Item) for item in entries) else input_items(entries)


def may_act(tool: Any) -> bool:
    """Tell whether a request with this tool must not be sent twice: a hosted MCP server's tools may change the world.

    Args:
        tool: The definition of a tool. One whose ``allowed_tools`` say ``read_only`` acts on nothing.
    """
    definition = as_dict(tool)
    return definition.get("type") == "mcp" and as_dict(definition.get("allowed_tools")).get("read_only") is not True


def model_names(models: Any) -> list[str]:
    """Give the names of the models that are to be asked; raises UsageError for what names none."""
    if not isinstance(models, list | tuple):
        models = [models]
    names: list[Any] = list(models)  # pyright: ignore[reportUnknownArgumentType]
    if not names:
        raise UsageError("model=[] names no model; name at least one")
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"model must be a name or a list of names, but has {name!r:.100}")
    return names
