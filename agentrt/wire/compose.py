"""The server's side of the wire: a complete response resource, and the events that stream it in order.

The embedded model and the test server both speak through this, so that what they send is what every provider sends.
The fields are those that Open Responses 2026-04-24 requires of a ``ResponseResource``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentrt.wire.json import as_dict, as_list, dump

__all__ = [
    "Numbering",
    "item_events",
    "message_item",
    "response_events",
    "response_resource",
    "sse_bytes",
    "unfinished",
    "usage_counts",
]

_ECHOED: Mapping[str, Any] = {
    "background": False,
    "frequency_penalty": 0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": 1,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "disabled",
}
"""What a response tells of its request, and what it tells where the request is silent."""

_ECHOED_IF_ASKED = ("prompt", "prompt_cache_options", "prompt_cache_retention", "user")
_KNOWN_AT_THE_END = ("usage", "completed_at", "error", "incomplete_details")

_TEXTS: Mapping[str, tuple[str, str]] = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
    "mcp_call": ("response.mcp_call_arguments", "arguments"),
    "code_interpreter_call": ("response.code_interpreter_call_code", "code"),
}
"""By type of item: the family of events that streams its text, and the field that the text is."""

_PART_TEXTS: Mapping[str, tuple[str, str]] = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}
"""The same by type of part."""

_PARTS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "message": (("content", "content_index", "response.content_part"),),
    "reasoning": (
        ("content", "content_index", "response.content_part"),
        ("summary", "summary_index", "response.reasoning_summary_part"),
    ),
}
"""By type of item: its lists of parts, the index that tells a part, and the family of events that frames it."""

_STEPS: Mapping[str, tuple[str, ...]] = {
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "compaction": ("compacting",),
    "file_search_call": ("in_progress", "searching", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
    "mcp_call": ("in_progress", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
    "web_search_call": ("in_progress", "searching", "completed"),
}
"""By type of item: the steps that it goes through, each an event. Its text comes after the first one."""

_FAILS = ("mcp_call", "mcp_list_tools")
"""The only types that have an event for their failure."""

_TOLD_LATE = ("encrypted_content", "error", "outputs", "results", "result")
"""What an item only has once it is done; until then it is null."""


def response_resource(
    request: Mapping[str, Any],
    *,
    response_id: str,
    created_at: int,
    status: str = "completed",
    output: Sequence[Mapping[str, Any]] = (),
    usage: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Make the response object for a request.

    Args:
        request: The body of the request; its parameters are echoed.
        response_id: The response's id.
        created_at: Unix time in seconds.
        status: The response's status.
        output: The output items.
        usage: Input and output tokens; None while they are not known.
    """
    reasoning = as_dict(request.get("reasoning"))
    conversation = request.get("conversation")
    response = {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "completed_at": created_at if status == "completed" else None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": request.get("model"),
        "output": list(output),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "text": {"format": {"type": "text"}, **as_dict(request.get("text"))},
        "tools": [
            {"description": None, "parameters": None, "strict": None, **tool}
            for tool in map(as_dict, as_list(request.get("tools")))
        ],
        "usage": None if usage is None else usage_counts(*usage),
        **{name: default if request.get(name) is None else request[name] for name, default in _ECHOED.items()},
        **{name: request[name] for name in _ECHOED_IF_ASKED if request.get(name) is not None},
    }
    if conversation is not None:
        response["conversation"] = {"id": conversation} if isinstance(conversation, str) else dict(conversation)
    return response


def usage_counts(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    """Make a ``usage`` object; nothing was cached, and nothing was reasoning."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }


def unfinished(response: Mapping[str, Any], status: str = "in_progress") -> dict[str, Any]:
    """Give a response as it was before it had any output.

    Args:
        response: The response as it came to be.
        status: Its status then: ``in_progress`` or ``queued``; or ``cancelled``, for what never got further.
    """
    return {**response, **dict.fromkeys(_KNOWN_AT_THE_END), "output": [], "status": status}


def message_item(item_id: str, text: str, *, status: str = "completed") -> dict[str, Any]:
    """Make an assistant's message with one text part."""
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": item_id, "status": status, "role": "assistant", "content": [part]}


class Numbering:
    """Gives events their sequence numbers, from 0."""

    def __init__(self) -> None:
        self._next = 0

    def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Make the next event."""
        event = {"type": kind, "sequence_number": self._next, **fields}
        self._next += 1
        return event


def response_events(response: Mapping[str, Any], *, chunk: int = 12) -> Iterator[dict[str, Any]]:
    """Give all events of the stream that would end in ``response``.

    Args:
        response: A complete response resource.
        chunk: Characters per delta.
    """
    number = Numbering()
    if response.get("background"):
        yield number.event("response.created", response=unfinished(response, "queued"))
        yield number.event("response.queued", response=unfinished(response, "queued"))
    else:
        yield number.event("response.created", response=unfinished(response))
    yield number.event("response.in_progress", response=unfinished(response))
    for index, item in enumerate(response["output"]):
        yield from item_events(number, index, item, chunk=chunk)
    yield number.event(f"response.{response['status']}", response=dict(response))


def item_events(number: Numbering, index: int, item: Mapping[str, Any], *, chunk: int = 12) -> Iterator[dict[str, Any]]:
    """Give the events of one output item: added, its steps and its parts with deltas, done.

    Args:
        number: Where the events get their sequence numbers.
        index: The item's place in the output.
        item: The item, done.
        chunk: Characters per delta.
    """
    kind = item["type"]
    where = {"output_index": index, "item_id": item.get("id")}
    steps = _STEPS.get(kind, ())
    yield number.event("response.output_item.added", output_index=index, item=_opened(item))
    for step in steps[:1]:
        yield number.event(f"response.{kind}.{step}", **where)
    if kind in _TEXTS and isinstance(item.get(_TEXTS[kind][1]), str):
        yield from _text_events(number, where, *_TEXTS[kind], item, chunk)
    for field, place, family in _PARTS.get(kind, ()):
        for position, part in enumerate(as_list(item.get(field))):
            yield from _part_events(number, {**where, place: position}, family, part, chunk)
    if kind == "shell_call":
        yield from _command_events(number, index, as_list(as_dict(item.get("action")).get("commands")), chunk)
    elif kind == "shell_call_output":
        for position, entry in enumerate(as_list(item.get("output"))):
            yield from _shell_output_events(number, {**where, "command_index": position}, entry, chunk)
    for step in steps[1:]:
        told = _outcome(item) if step == "completed" else step
        if told is not None:
            yield number.event(f"response.{kind}.{told}", **where)
    yield number.event("response.output_item.done", output_index=index, item=dict(item))


def _opened(item: Mapping[str, Any]) -> dict[str, Any]:
    """Give an item as it is when it begins: without what its events are about to tell."""
    kind = item["type"]
    opened = {name: None if name in _TOLD_LATE else value for name, value in item.items()}
    if "status" in item:
        opened["status"] = "in_progress"
    if kind in _TEXTS:
        opened[_TEXTS[kind][1]] = ""
    for field, _, _ in _PARTS.get(kind, ()):
        if field in item:
            opened[field] = []
    if kind == "shell_call":
        opened["action"] = {**as_dict(item.get("action")), "commands": []}
    elif kind == "shell_call_output":
        opened["output"] = []
    elif kind == "mcp_call":
        opened["output"] = None
    elif kind == "mcp_list_tools":
        opened["tools"] = []
    return opened


def _outcome(item: Mapping[str, Any]) -> str | None:
    """Name the step that an item ended with; None where there is no event for it."""
    if item["type"] in _FAILS and (item.get("error") or item.get("status") == "failed"):
        return "failed"
    return "completed" if item.get("status") in (None, "completed") else None


def _part_events(
    number: Numbering, where: Mapping[str, Any], family: str, part: Mapping[str, Any], chunk: int
) -> Iterator[dict[str, Any]]:
    texts = _PART_TEXTS.get(part["type"])
    opened = dict(part) if texts is None else {**part, texts[1]: ""}
    if "annotations" in part:
        opened["annotations"] = []
    yield number.event(f"{family}.added", **where, part=opened)
    if texts is not None:
        yield from _text_events(number, where, *texts, part, chunk)
    yield number.event(f"{family}.done", **where, part=dict(part))


def _text_events(
    number: Numbering, where: Mapping[str, Any], family: str, field: str, source: Mapping[str, Any], chunk: int
) -> Iterator[dict[str, Any]]:
    """Give the deltas of one text, the annotations that go with it, and its end."""
    logprobs: dict[str, Any] = {"logprobs": []} if family == "response.output_text" else {}
    for piece in _pieces(source[field], chunk):
        yield number.event(f"{family}.delta", **where, delta=piece, **logprobs)
    for position, note in enumerate(as_list(source.get("annotations"))):
        yield number.event(f"{family}.annotation.added", **where, annotation_index=position, annotation=note)
    if logprobs:
        logprobs = {"logprobs": as_list(source.get("logprobs"))}
    yield number.event(f"{family}.done", **where, **{field: source[field]}, **logprobs)


def _command_events(number: Numbering, index: int, commands: list[str], chunk: int) -> Iterator[dict[str, Any]]:
    family = "response.shell_call_command"
    for position, command in enumerate(commands):
        where = {"output_index": index, "command_index": position}  # these events have no item_id
        yield number.event(f"{family}.added", **where, command="")
        for piece in _pieces(command, chunk):
            yield number.event(f"{family}.delta", **where, delta=piece)
        yield number.event(f"{family}.done", **where, command=command)


def _shell_output_events(
    number: Numbering, where: Mapping[str, Any], entry: Mapping[str, Any], chunk: int
) -> Iterator[dict[str, Any]]:
    family = "response.shell_call_output_content"
    for stream in ("stdout", "stderr"):
        for piece in _pieces(entry.get(stream) or "", chunk):
            yield number.event(f"{family}.delta", **where, delta={stream: piece})
    yield number.event(f"{family}.done", **where, output=[dict(entry)])


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def sse_bytes(event: Mapping[str, Any]) -> bytes:
    """Write one event as a block of an event stream."""
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + dump(dict(event)) + b"\n\n"
