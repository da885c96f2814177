"""Asking the client's user: while a call goes on (revisions of 2025), or between two tries of it (2026, SEP-2322).

A 2026 client keeps the call's state meanwhile. The SDK seals it, for this tool and these arguments alone.
"""

from __future__ import annotations

import base64
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import mcp_types as types
from mcp import MCPError
from mcp.server import ServerRequestContext

from agentrt.core.pending import Answer, Approve, Decision, Deny, Pending, decision_from
from agentrt.drivers.deciding import called
from agentrt.wire.json import as_dict, as_list, as_str, dump, parse_object, text_of
from agentrt.wire.text import unmistakable

if TYPE_CHECKING:
    from agentrt.drivers.plan import Decide

__all__ = ["Counterpart", "Kept", "Once", "asking", "enveloped", "question", "sendable", "text_about"]

_APPROVE = "approve"
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {_APPROVE: {"type": "boolean", "title": "Run it"}},
    "required": [_APPROVE],
}
_SHOWN = 2000
_MAX_STATE = 1024 * 1024
_MAX_UNPACKED = 64 * 1024 * 1024
_MAX_USED = 100_000
_DAY = 24 * 3600.0


class Counterpart:
    """The client of one request, as far as its user can be asked.

    Args:
        ctx: The request.
        responses: What the user answered before this try of the call, by the question's key.
        on_pending: Decides where the user can't be asked.
    """

    def __init__(
        self,
        ctx: ServerRequestContext[Any, Any],
        responses: Mapping[str, types.InputResponse] | None,
        on_pending: Decide | None,
    ) -> None:
        self._ctx = ctx
        self._responses = responses or {}
        self._on_pending = on_pending
        self.asks: Literal["now", "between", "never"] = "never"
        """When its user is asked."""
        told = ctx.session.client_capabilities
        forms = None if told is None else told.elicitation
        if forms is not None and (forms.form is not None or forms.url is None):
            self.asks = "now" if ctx.session.can_send_request else "between"

    @property
    def decides(self) -> bool:
        """Whether there is somebody to decide at once."""
        return self.asks == "now" or self._on_pending is not None

    async def decide(self, pending: Pending) -> Decision | None:
        """Get a decision at once: of the client's user, else of ``on_pending=``; None where nobody decides."""
        if self.asks == "now":
            try:
                return _decision(pending, await self._elicit(pending))
            except MCPError:
                return None  # it can't after all
        if self._on_pending is None:
            return None
        decision = await called(self._on_pending, pending)
        return None if decision is None else decision_from(decision)

    def decided(self, pending: Pending) -> Decision | None:
        """Give what the user decided before this try; None where the question is still open."""
        given = self.answer_to(pending.id)
        return None if given is None else _decision(pending, given)

    def answer_to(self, key: str) -> types.ElicitResult | None:
        """Give what the user answered to a question before this try; None where it is still open."""
        given = self._responses.get(key)
        return given if isinstance(given, types.ElicitResult) else None

    async def values(self, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask for values while a call goes on; None where the user declines."""
        answer = await self._ctx.session.elicit_form(sendable(message), dict(schema), self._ctx.request_id)
        return (answer.content or {}) if answer.action == "accept" else None

    async def _elicit(self, pending: Pending) -> types.ElicitResult:
        message, schema = _form(pending)
        return await self._ctx.session.elicit_form(message, schema, self._ctx.request_id)


def _form(pending: Pending) -> tuple[str, dict[str, Any]]:
    if pending.kind == "elicitation":
        return pending.text, dict(pending.arguments)
    told = f"The agent {unmistakable(pending.agent)} wants to run" if pending.agent else "May this run?"
    return f"{told}\n{pending.text}", _FORM


def question(pending: Pending) -> types.ElicitRequest:
    """Make the question about something that is pending, for a client that answers between two tries."""
    message, schema = _form(pending)
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def _decision(pending: Pending, answer: types.ElicitResult) -> Decision:
    content = answer.content or {}
    if answer.action != "accept":
        return Deny(f"{'declined' if answer.action == 'decline' else 'dismissed'} by the user")
    if pending.kind == "elicitation":
        return Answer(content)
    if content.get(_APPROVE) is True:
        return Approve()
    return Deny("declined by the user" if _APPROVE in content else "it was accepted, but `approve` was not ticked")


def text_about(key: str, arguments: Mapping[str, Any]) -> str:
    """Say in a line for each argument what is asked for; nothing in it can hide or look like something else."""
    lines = [unmistakable(key)]
    for name, value in arguments.items():
        told = text_of(value)
        if len(told) > _SHOWN:
            half = _SHOWN // 2
            told = f"{told[:half]} [{len(told) - _SHOWN} characters are not shown here] {told[-half:]}"
        lines.append(f"  {unmistakable(name)}: {unmistakable(told)}")
    return "\n".join(lines)


def sendable(text: str) -> str:
    """Replace what no message can carry: halves of characters, as of a file's undecodable name."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Once:
    """What may happen one time only: it is remembered for a day, as long as states live."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> bool:
        """Tell whether it is the first time, and there is room to remember it."""
        now = time.monotonic()
        while self._used and next(iter(self._used.values())) < now - _DAY:
            self._used.popitem(last=False)
        if name in self._used or len(self._used) >= _MAX_USED:
            return False
        self._used[name] = now
        return True


class Kept:
    """What a client kept of a call since the last try.

    Args:
        state: The state as the SDK unsealed it; None at the first try. What a tool made of its own is inside.

    Raises:
        MCPError: It is none that this server made.
    """

    def __init__(self, state: str | None) -> None:
        told: dict[str, Any] = {}
        if state is not None:
            try:
                unpacking = zlib.decompressobj()
                told = parse_object(unpacking.decompress(base64.b64decode(state, validate=True), _MAX_UNPACKED))
            except (ValueError, zlib.error) as error:
                raise MCPError(types.INVALID_PARAMS, "this requestState is none of this server's") from error
        self.name = as_str(told.get("name"))
        """Differs between any two states."""
        self.questions: list[str] = as_list(told.get("questions"))
        """The keys of what was asked."""
        self.values = as_dict(told.get("values"))
        """What is needed to go on."""
        self.own: str | None = told.get("own")
        """The state that the tool made itself."""


def asking(questions: dict[str, types.ElicitRequest], values: dict[str, Any]) -> types.InputRequiredResult | None:
    """Make the result that asks the user; None where there is more to keep than a client can be given.

    Args:
        questions: The questions by key.
        values: What is needed to go on.
    """
    state = _packed({"questions": list(questions), "values": values})
    return None if state is None else types.InputRequiredResult(input_requests=dict(questions), request_state=state)


def enveloped(result: types.InputRequiredResult) -> types.InputRequiredResult | None:
    """Put the state of a tool that asks by itself into one of ours, so that it can't pass for one; None as above."""
    told = {"questions": list(result.input_requests or ()), "values": {"approved": True}, "own": result.request_state}
    state = _packed(told)
    return None if state is None else result.model_copy(update={"request_state": state})


def _packed(told: dict[str, Any]) -> str | None:
    packed = zlib.compress(dump({"name": uuid.uuid4().hex, **told}))
    return None if len(packed) > _MAX_STATE else base64.b64encode(packed).decode()
