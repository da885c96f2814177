"""The server's side of the wire: a complete response resource, and the events that stream it in order.

The embedded model and the test server both speak through this, so that what they send is what every provider sends.
The fields are those that Open Responses 2026-04-24 requires of a ``ResponseResource``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentrt.wire.json import as_dict, as_list, dump

__all__ = ["Numbering", "item_events", "message_item", "response_events", "response_resource", "sse_bytes"]

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
    return {
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
        "text": request.get("text") or {"format": {"type": "text"}},
        "tools": [
            {"description": None, "parameters": None, "strict": None, **tool}
            for tool in map(as_dict, as_list(request.get("tools")))
        ],
        "usage": None
        if usage is None
        else {
            "input_tokens": usage[0],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(usage),
        },
        **{name: request.get(name, default) for name, default in _ECHOED.items()},
    }


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
    skeleton: dict[str, Any] = {
        **response,
        "status": "in_progress",
        "output": [],
        "usage": None,
        "completed_at": None,
        "error": None,
    }
    skeleton["incomplete_details"] = None
    yield number.event("response.created", response=skeleton)
    yield number.event("response.in_progress", response=skeleton)
    for index, item in enumerate(response["output"]):
        yield from item_events(number, index, item, chunk=chunk)
    yield number.event(f"response.{response['status']}", response=dict(response))


def item_events(number: Numbering, index: int, item: Mapping[str, Any], *, chunk: int = 12) -> Iterator[dict[str, Any]]:
    """Give the events of one output item: added, its parts with deltas, done."""
    where = {"output_index": index, "item_id": item.get("id")}
    opened = {**item, **({"status": "in_progress"} if "status" in item else {})}
    if item["type"] == "message":
        yield number.event("response.output_item.added", output_index=index, item={**opened, "content": []})
        for position, part in enumerate(item["content"]):
            yield from _part_events(number, {**where, "content_index": position}, part, chunk)
    elif item["type"] == "function_call":
        yield number.event("response.output_item.added", output_index=index, item={**opened, "arguments": ""})
        for piece in _pieces(item["arguments"], chunk):
            yield number.event("response.function_call_arguments.delta", **where, delta=piece)
        yield number.event("response.function_call_arguments.done", **where, arguments=item["arguments"])
    else:
        yield number.event("response.output_item.added", output_index=index, item=opened)
    yield number.event("response.output_item.done", output_index=index, item=dict(item))


def _part_events(
    number: Numbering, where: Mapping[str, Any], part: Mapping[str, Any], chunk: int
) -> Iterator[dict[str, Any]]:
    kind, key = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    extra: dict[str, Any] = {"logprobs": []} if key == "text" else {}
    yield number.event("response.content_part.added", **where, part={**part, key: ""})
    for piece in _pieces(part[key], chunk):
        yield number.event(f"response.{kind}.delta", **where, delta=piece, **extra)
    yield number.event(f"response.{kind}.done", **where, **{key: part[key]}, **extra)
    yield number.event("response.content_part.done", **where, part=dict(part))


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def sse_bytes(event: Mapping[str, Any]) -> bytes:
    """Write one event as a block of an event stream."""
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + dump(dict(event)) + b"\n\n"
