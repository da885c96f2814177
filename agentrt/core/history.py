"""What the next request carries, and how a reply's calls and outputs become part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

from agentrt.wire.items import CALLS, CLIENT_CALLS, HOSTED_CALLS, Item, Message, item_view
from agentrt.wire.json import as_str, dump, is_dict, parse

if TYPE_CHECKING:
    from agentrt.core.state import Thread

__all__ = [
    "ADDED",
    "ENCRYPTED",
    "Reply",
    "answer_all",
    "edited_notice",
    "failure",
    "final_text",
    "has_answer",
    "has_broken_arguments",
    "is_twin",
    "next_request",
    "read_reply",
    "unanswerable",
    "with_valid_arguments",
    "without_reasoning",
]

ADDED = ("store", "include", "parallel_tool_calls", "max_tool_calls", "text")
"""What an agent adds to a request by itself, and may leave out again where a provider refuses it."""

ENCRYPTED = "reasoning.encrypted_content"
"""The ``include`` value without which reasoning can't be replayed."""

_OUTPUTS = frozenset(kind.output_type for kind in CALLS.values())
_OURS = ("user", "system", "developer")
_LINKED = ("function_call", "custom_tool_call", "message")
_FREE_CHOICES = ("auto", "none")


class Reply(NamedTuple):
    """A reply's items, sorted.

    Attributes:
        kept: What goes into the history.
        calls: The calls that are owed an answer, by position in ``output``.
        refused: Answers to those of them that can't be run.
        hosted: How many calls the server ran by itself.
        compacted: Whether the server compacted the history along the way.
    """

    kept: list[Item]
    calls: dict[int, Item]
    refused: dict[int, Item]
    hosted: int = 0
    compacted: bool = False


def read_reply(items: Sequence[Item]) -> Reply:
    """Sort out a reply: of two identical calls with one key the second is dropped, a different one is refused."""
    reply = Reply([], {}, {})
    first: dict[str, Item] = {}
    for index, item in enumerate(items):
        kind = CALLS.get(item.type)
        if kind is not None:
            key = as_str(item.raw.get(kind.call_key))
            twin = first.setdefault(key, item)
            if twin is not item and is_twin(twin, item):
                continue
            reply.calls[index] = item
            if twin is not item:
                told = f"the {kind.call_key} {key!r} was used by another call; use a new one"
                reply.refused[index] = failure(item, told)
            elif item.status == "incomplete":
                reply.refused[index] = failure(item, "the call came incomplete, so it was not run")
        elif item.type in HOSTED_CALLS or item.type == "compaction":
            own = item.type != "compaction"
            reply = reply._replace(hosted=reply.hosted + own, compacted=reply.compacted or not own)
        reply.kept.append(item)
    return reply


def is_twin(one: Item, other: Item) -> bool:
    """Tell whether two calls are the same but for what the server adds."""
    ignored = ("id", "status")
    return {k: v for k, v in one.raw.items() if k not in ignored} == {
        k: v for k, v in other.raw.items() if k not in ignored
    }


def unanswerable(items: Sequence[Item]) -> str | None:
    """Name the type of a call that waits for an answer which nothing here can give; None where there is none."""
    waiting: dict[str, str] = {}
    for item in items:
        if item.type in CLIENT_CALLS:
            waiting[CLIENT_CALLS[item.type]] = item.type
        else:
            waiting.pop(item.type, None)
    return next(iter(waiting.values()), None)


def failure(call: Item, text: str) -> Item:
    """Make the output item that tells the model why a call was not run."""
    return item_view(CALLS[call.type].refusal(call.raw, text))


def edited_notice(edited: Mapping[str, Any]) -> str:
    """Tell the model which arguments a decider let run instead of its own."""
    return f"(A person changed the arguments before the call ran. Used: {dump(dict(edited)).decode()})"


def answer_all(items: Iterable[Item], calls: Mapping[int, Item], outputs: Mapping[int, Item]) -> tuple[Item, ...]:
    """Append one output for each call, in the order of the calls."""
    return (*items, *(outputs[index] for index in calls))


def final_text(items: Sequence[Item]) -> str:
    """Give the model's answer: its text after the last call and after what it was last told. Empty without one."""
    text: list[str] = []
    for item in reversed(items):
        if item.type in CALLS or item.type in _OUTPUTS:
            break
        if isinstance(item, Message):
            if item.role in _OURS:
                break
            if item.phase != "commentary":
                text.insert(0, item.text)
    return "".join(text)


def has_answer(status: str | None, text: str) -> bool:
    """Tell whether a run or a sub-agent came to an answer; one that completed may say nothing."""
    return status == "completed" or (status == "limit" and bool(text))


def without_reasoning(items: Iterable[Item]) -> tuple[Item, ...]:
    """Leave out reasoning that the server can't read, and the ids of the items that it belonged to.

    An item whose id the server knows is refused "without its required 'reasoning' item" (vercel/ai #7099).
    """
    kept: list[Item] = []
    dropped = False
    for item in items:
        if item.type == "reasoning":
            dropped = True
        elif dropped and item.type in _LINKED and item.id is not None:
            kept.append(item_view({name: value for name, value in item.raw.items() if name != "id"}))
        else:
            kept.append(item)
    return tuple(kept)


def has_broken_arguments(item: Item) -> bool:
    """Tell whether an item is a call whose arguments are no JSON, as models write them now and then."""
    if item.type != "function_call":
        return False
    try:
        parse(as_str(item.raw.get("arguments")) or "{}")
    except ValueError:
        return True
    return False


def with_valid_arguments(items: Iterable[Item]) -> tuple[Item, ...]:
    """Put arguments that are no JSON into some: llama.cpp, Ollama and LongCat refuse to read them again."""
    return tuple(
        item_view({**item.raw, "arguments": dump({"invalid_arguments": item.raw["arguments"]}).decode()})
        if has_broken_arguments(item)
        else item
        for item in items
    )


def next_request(
    thread: Thread,
    *,
    last: bool,
    max_tool_calls: int | None,
    fixed: Mapping[str, Any],
    refused: AbstractSet[str] = frozenset(),
    final: str | None = None,
) -> dict[str, Any]:
    """Compose the parameters of a thread's next request.

    Args:
        thread: The conversation: its items, and what the server holds of them.
        last: Whether this request must be answered without calls.
        max_tool_calls: What remains of the run's calls.
        fixed: What the user chose: model, instructions, tools and settings. It is never dropped.
        refused: Names among `ADDED` that the provider refuses.
        final: The name of the call that gives the final output, where it comes as one.
    """
    params: dict[str, Any] = {**fixed, "input": list(thread.items[thread.known :])}
    more: Mapping[str, Any] = fixed.get("extra_body") or {}
    background = fixed.get("background") or more.get("background")
    added: dict[str, Any] = {"store": thread.history != "replay" or bool(background)}
    asked = fixed.get("include", ())
    if "include" not in refused and ENCRYPTED not in asked:
        params["include"] = [*asked, ENCRYPTED]
    if thread.anchor is not None:
        params["conversation" if thread.history == "conversation" else "previous_response_id"] = thread.anchor
    if fixed.get("tools"):
        added["parallel_tool_calls"] = thread.parallel
        added["max_tool_calls"] = max_tool_calls
        choice = fixed.get("tool_choice")
        if last:
            params["tool_choice"] = "none" if final is None else {"type": "function", "name": final}
        elif final is not None and choice in (None, *_FREE_CHOICES):
            params["tool_choice"] = "required"
        elif thread.turn > 1 and choice is not None and choice not in _FREE_CHOICES:
            # A forced choice was obeyed by the first turn; forced again it would loop for ever.
            narrowed = is_dict(choice) and choice.get("type") == "allowed_tools"
            free = "auto" if final is None else "required"
            params["tool_choice"] = {**choice, "mode": "auto"} if narrowed else free
    return {name: value for name, value in added.items() if name not in params and name not in refused} | params
