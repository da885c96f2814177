"""What a provider's refusal of a request means, and whether another form of the request mends it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from agentrt.client import Client
from agentrt.core.history import ADDED, ENCRYPTED, has_broken_arguments
from agentrt.core.protocol import CallModel, ConversationMade
from agentrt.core.state import Thread
from agentrt.errors import StatusError, UsageError
from agentrt.wire.json import as_str

if TYPE_CHECKING:
    from agentrt.drivers.asking import Asking
    from agentrt.drivers.local import Run

__all__ = ["Reason", "conversation", "history_refused", "mend", "parameter_refused"]

logger = logging.getLogger("agentrt.run")

_REFUSAL = re.compile(r"unsupported|not support|unknown|unrecognized|unexpected|not permitted|not allowed|extra")
_LOST = re.compile(r"not found|does not exist|doesn't exist|no such|expired")
_ANCHORS = {"response": "previous_response_id", "conversation": "conversation"}
_NO_ENDPOINT = (404, 405, 501)
_BAD_REQUEST = (400, 404, 422)
_SERVERS_OWN = 500
_UNREADABLE = (400, 422, _SERVERS_OWN)  # llama.cpp answers 500


Reason = Literal["state_lost", "unsupported", "reasoning_refused", "arguments_refused"]


def mend(
    error: StatusError, params: Mapping[str, Any], thread: Thread, fixed: Mapping[str, Any], client: Client
) -> Reason | Literal["parameter"] | None:
    """Find another form of a request that was refused.

    Args:
        error: The refusal.
        params: What was sent.
        thread: The thread as it was sent.
        fixed: What the user chose.
        client: The client: it remembers parameters that are refused.

    Returns:
        Why the history must be sent in another form, or that a parameter is left out from now on; None if neither.

    Raises:
        UsageError: The server has lost what can't be rebuilt here.
    """
    name = parameter_refused(error, params, fixed)
    if name is not None:
        client.refused(fixed["model"]).add(name)
        logger.warning("the provider refuses %r, which agentrt had added; it is left out from now on", name)
        return "parameter"
    reason = history_refused(error, thread)
    if reason in ("state_lost", "unsupported") and thread.outside:
        raise UsageError(
            f"the server has lost {thread.anchor!r}, which began before this run, so it can't be rebuilt here: "
            f"pass the whole conversation as input, or as after= an earlier result ({error})"
        ) from error
    if reason is not None:
        logger.warning("the history is sent in another form (%s): %s", reason.replace("_", " "), error)
    return reason


async def conversation(asking: Asking, run: Run[Any], effect: CallModel, client: Client) -> bool:
    """Make the conversation that a thread keeps its history in; false where the provider keeps none."""
    try:
        made = await asking.wait(client.conversations.create())
    except StatusError as error:
        if error.status not in _NO_ENDPOINT:
            raise
        return False
    run.take(ConversationMade(effect.turn, as_str(made.id), effect.thread))
    return True


def parameter_refused(error: StatusError, params: Mapping[str, Any], fixed: Mapping[str, Any]) -> str | None:
    """Name the parameter that agentrt had added and the provider refuses; None if it was something else.

    Args:
        error: The refusal.
        params: What was sent.
        fixed: What the user chose.
    """
    if error.status not in (400, 422):
        return None
    # "Encrypted content is not supported with this model" is how OpenAI refuses `include`.
    text = error.told.lower().replace("encrypted content", "'include'")
    for name in ADDED:
        if name == "include":
            ours = ENCRYPTED in params.get(name, ()) and ENCRYPTED not in fixed.get(name, ())
        elif name == "text":  # the form of the answer; then it comes as a call
            ours = "format" in (params.get(name) or {}) and "format" not in (fixed.get(name) or {})
        else:
            ours = name in params and name not in fixed
        if ours and (name == _head(error) or (_names(text, name) and _REFUSAL.search(text) is not None)):
            return name
    return None


def history_refused(error: StatusError, thread: Thread) -> Reason | None:
    """Tell whether it was the form of the history that was refused, and why; None if it was something else.

    Args:
        error: The refusal.
        thread: The thread as it was sent.
    """
    unreadable = error.status in _UNREADABLE and error.repeatable  # on a 500 it may have been worked on
    if unreadable and any(map(has_broken_arguments, thread.items[thread.known :])):
        return "arguments_refused"
    if error.status not in _BAD_REQUEST:
        return None
    text = error.told.lower()
    if error.code == "invalid_encrypted_content":
        ours = thread.items[thread.known :] if thread.outside else thread.items
        return "reasoning_refused" if any(item.type == "reasoning" for item in ours) else None
    name = _ANCHORS.get(thread.history)
    if name is None or thread.anchor is None:
        return None
    named = name == _head(error) or _names(text, name) or name.removesuffix("_id").replace("_", " ") in text
    if error.code == "previous_response_not_found" or (named and (error.status == 404 or _LOST.search(text))):  # noqa: PLR2004
        return "state_lost"
    return "unsupported" if named and _REFUSAL.search(text) else None


def _head(error: StatusError) -> str:
    return (error.param or "").partition("[")[0].partition(".")[0]


def _names(text: str, name: str) -> bool:
    return re.search(rf"['\"`]{name}\b", text) is not None
