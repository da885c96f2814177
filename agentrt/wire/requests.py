"""What goes out: the settings of a request, and its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from agentrt.errors import UsageError
from agentrt.wire.items import Item
from agentrt.wire.json import as_list, dump

__all__ = ["RequestSettings", "encode_request"]


class RequestSettings(TypedDict, total=False):
    """Parameters of ``POST /responses`` that an agent passes on as they are.

    Each has the name, type and meaning of the Responses API's reference; ``docs/cometapi.md`` lists all of them.
    """

    context_management: list[dict[str, Any]]
    include: list[str]
    max_output_tokens: int
    metadata: dict[str, str]
    previous_response_id: str
    prompt: dict[str, Any]
    prompt_cache_key: str
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"]
    reasoning: dict[str, Any]
    safety_identifier: str
    service_tier: str
    store: bool
    stream_options: dict[str, Any]
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"]
    user: str
    extra_body: Mapping[str, Any]


def encode_request(params: Mapping[str, Any]) -> bytes:
    """Write the body of a request.

    Args:
        params: The request's parameters. ``input`` may hold `Item` views beside dicts; their bytes are written once
            and reused. ``extra_body`` is laid over the rest, unchecked. Parameters that are None are left out.

    Raises:
        UsageError: A parameter is not a JSON value.
    """
    fields = {name: value for name, value in params.items() if value is not None and name != "extra_body"}
    fields.update(params.get("extra_body") or {})
    try:
        return b"{" + b",".join(dump(name) + b":" + _encode(value) for name, value in fields.items()) + b"}"
    except ValueError as error:
        raise UsageError(f"a parameter of the request can't be written as JSON: {error}") from error


def _encode(value: Any) -> bytes:
    items = as_list(value)
    if any(isinstance(item, Item) for item in items):
        return b"[" + b",".join(item.json if isinstance(item, Item) else dump(item) for item in items) + b"]"
    return dump(value)
