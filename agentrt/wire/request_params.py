"""The parameters of ``POST /responses``: names, types, meanings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from agentrt.wire import params

__all__ = ["RequestParams", "RequestSettings"]


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
