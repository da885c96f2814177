"""What goes out: the parameters of a request, what is wrong with them for every provider, and their bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from agentrt.errors import UsageError
from agentrt.wire.items import Item
from agentrt.wire.json import as_dict, as_list, dump, is_dict
from agentrt.wire.parts import Part, input_items

if TYPE_CHECKING:
    from agentrt.wire import params

__all__ = [
    "LOGPROBS",
    "RANGES",
    "RequestParams",
    "RequestSettings",
    "check_request",
    "encode_request",
    "may_act",
    "written_out",
]


class RequestSettings(TypedDict, total=False):
    """Parameters of ``POST /responses`` that an agent passes on as they are.

    Names, types and meanings are those of the Responses API (openai 3.54's types); ``frequency_penalty`` and
    ``presence_penalty`` are Open Responses'. Local checks refuse what is an error for every provider.
    """

    access_programs: params.AccessPrograms
    """Restricted programs to run under; 403 where the organisation isn't authorised."""
    background: bool
    """Answer later: the response comes queued and is polled, or streamed and resumed. Needs ``store``."""
    background_options: params.BackgroundOptions
    """``completion_window``: ``soonest``, or ``2h`` and ``8h``, which need ``background`` and no stream."""
    context_management: list[params.ContextManagement]
    """Compaction on the server, from ``compact_threshold`` tokens on."""
    conversation: str | params.Conversation
    """The conversation to go on with; not together with ``previous_response_id``."""
    frequency_penalty: float
    """-2 to 2; Open Responses."""
    image: params.ImageConfig
    """``context_compression`` of images in the context."""
    include: Sequence[params.Include | str]
    """More to send back, such as ``web_search_call.action.sources``."""
    max_output_tokens: int
    """Tokens at most, reasoning included; hit, the response is ``incomplete``. OpenAI takes 16 or more."""
    metadata: dict[str, str]
    """Up to 16 pairs; keys of up to 64 characters, values of up to 512."""
    moderation: params.Moderation
    """Moderation of input and output: scored or blocked."""
    presence_penalty: float
    """-2 to 2; Open Responses."""
    previous_response_id: str
    """The response to go on from; its instructions are not carried over."""
    prompt: params.PromptTemplate
    """A prompt template of the provider's, by id, with its variables."""
    prompt_cache_key: str
    """Requests with one key are routed to one cache."""
    prompt_cache_options: params.PromptCacheOptions
    """``mode``, ``ttl`` and more of the prompt cache."""
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"]
    """How long cached prefixes stay; CometAPI's page writes ``in-memory``, OpenAI's types ``in_memory``."""
    reasoning: params.ReasoningConfig
    """``effort`` and ``summary`` of reasoning models."""
    safety_identifier: str
    """A hashed id of your end user, 64 characters at most to be safe everywhere (OpenAI: 128)."""
    service_tier: str
    """``auto``, ``default``, ``flex``, ``priority``, …; the response tells the one that was used."""
    store: bool
    """Keep the response on the server; its default is true."""
    stream_options: params.StreamOptions
    """``include_obfuscation``: false saves bandwidth. Only with a stream."""
    temperature: float
    """0 to 2."""
    text: params.TextConfig
    """``format`` (text, json_object, json_schema) and ``verbosity``."""
    tool_choice: params.ToolChoice
    """``auto``, ``none``, ``required``, or one tool, or ``allowed_tools``."""
    top_logprobs: int
    """0 to 20; needs ``message.output_text.logprobs`` in ``include``."""
    top_p: float
    """0 to 1."""
    truncation: Literal["auto", "disabled"]
    """What happens when the context is too long: drop the oldest items, or refuse."""
    user: str
    """Deprecated: ``safety_identifier`` and ``prompt_cache_key``."""
    extra_body: Mapping[str, Any]
    """Laid over the body, unchecked: what is newer than agentrt, or one provider's own."""
    extra_headers: Mapping[str, str]
    """Headers for this request, over the client's own."""
    max_retries: int
    """Tries after the first one, instead of the client's."""
    timeout: float
    """Seconds for the whole answer, its retries included, instead of the client's."""


class RequestParams(RequestSettings, total=False):
    """All parameters of ``POST /responses``, as ``Client.create`` and ``Client.stream`` take them."""

    input: str | Sequence[Any]
    """A text, or items and parts: dicts, `Item` views, texts, `Image`, `File`, `Audio`."""
    instructions: str
    """What the model is told before anything else."""
    max_tool_calls: int
    """Hosted calls at most, 1 or more; what goes beyond is ignored by the server, not refused."""
    model: str | Sequence[str]
    """The model's name; of a list, the next one is asked when the first stays unavailable."""
    parallel_tool_calls: bool
    """Whether the model may ask for several calls at once."""
    stream: bool
    """Set by `Client.stream`."""
    tools: Iterable[params.ToolParam | Mapping[str, Any]]
    """Definitions of tools."""


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
            if name in _CHECKS:
                _CHECKS[name](value, params)


def _check_range(name: str, value: Any, allowed: tuple[float, float]) -> None:
    low, high = allowed
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        span = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        raise UsageError(f"{name} must be a number {span}, but is {value!r}")


def check_ranges(settings: Mapping[str, Any]) -> None:
    """Refuse numbers out of the widest range that any provider takes; raises UsageError."""
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


def _check_conversation(_: Any, params: Mapping[str, Any]) -> None:
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


def _check_not_negative(value: Any, _: Mapping[str, Any]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(f"timeout and max_retries must be numbers, 0 or more, but one is {value!r}")


_NAMES = frozenset(RequestParams.__annotations__)
_CHECKS: Mapping[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "background": _check_background,
    "background_options": _check_background_options,
    "conversation": _check_conversation,
    "extra_body": _check_mapping,
    "extra_headers": _check_mapping,
    "include": _check_include,
    "input": _check_input,
    "max_retries": _check_not_negative,
    "metadata": _check_metadata,
    "prompt": _check_mapping,
    "reasoning": _check_mapping,
    "safety_identifier": _check_safety_identifier,
    "stream_options": _check_stream_options,
    "text": _check_text,
    "timeout": _check_not_negative,
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
    written: list[bytes] = []
    try:
        for name, value in {**params, **more}.items():
            if name in more or (value is not None and name not in _NOT_IN_BODY):
                written.append(dump(name) + b":" + _encode(value))
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
    if given is None:
        return params
    if isinstance(given, str | Mapping) or hasattr(given, "definition") or not isinstance(given, Iterable):
        raise _no_tools(params["tools"])
    tools: list[Any] = []
    include: list[Any] = list(params.get("include") or ())
    for tool in params["tools"]:
        tools.append(tool.definition() if hasattr(tool, "definition") else tool)
        if not isinstance(tools[-1], Mapping):
            raise _no_tools(tool)
        include.extend(value for value in getattr(tool, "include", ()) if value not in include)
    params["tools"] = tools
    if include:
        params["include"] = include
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
