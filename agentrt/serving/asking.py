"""Asking the client's user: while a call goes on (revisions of 2025), or between two tries of it (2026, SEP-2322).

A 2026 client keeps the call's state meanwhile. The SDK seals it, for this tool and these arguments alone.
"""

from __future__ import annotations

import base64
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

__all__ = ["Counterpart", "Kept", "Once", "asking", "question", "text_about"]

_APPROVE = "approve"
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {_APPROVE: {"type": "boolean", "title": "Run it"}},
    "required": [_APPROVE],
}
_SHOWN = 2000
_MAX_STATE = 1024 * 1024
_OURS = "agentrt "
_MAX_USED = 10_000


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
        answer = await self._ctx.session.elicit_form(message, dict(schema), self._ctx.request_id)
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
    return Approve() if content.get(_APPROVE) is True else Deny("declined by the user")


def text_about(key: str, arguments: Mapping[str, Any]) -> str:
    """Say in a line for each argument what is asked for; nothing in it can hide or look like something else."""
    lines = [unmistakable(key)]
    for name, value in arguments.items():
        told = text_of(value)
        more = f" … ({len(told)} characters)" if len(told) > _SHOWN else ""
        lines.append(f"  {unmistakable(name)}: {unmistakable(told[:_SHOWN])}{more}")
    return "\n".join(lines)


class Once:
    """What may happen one time only: the newest are remembered."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, None] = OrderedDict()

    def take(self, name: str) -> bool:
        """Tell whether it is the first time."""
        if name in self._used:
            return False
        self._used[name] = None
        while len(self._used) > _MAX_USED:
            self._used.popitem(last=False)
        return True


class Kept:
    """What a client kept of a call since the last try.

    Args:
        state: The state as the SDK unsealed it; None at the first try. A tool may have made one of its own.
    """

    def __init__(self, state: str | None) -> None:
        told: dict[str, Any] = {}
        if state is not None and state.startswith(_OURS):
            told = parse_object(zlib.decompress(base64.b64decode(state.removeprefix(_OURS))))
        self.name = as_str(told.get("name"))
        """Differs between any two states."""
        self.questions: list[str] = as_list(told.get("questions"))
        """The keys of what was asked."""
        self.values = as_dict(told.get("values"))
        """What is needed to go on."""


def asking(questions: dict[str, types.ElicitRequest], values: dict[str, Any]) -> types.InputRequiredResult | None:
    """Make the result that asks the user; None where there is more to keep than a client can be given.

    Args:
        questions: The questions by key.
        values: What is needed to go on.
    """
    told = {"name": uuid.uuid4().hex, "questions": list(questions), "values": values}
    packed = zlib.compress(dump(told))
    if len(packed) > _MAX_STATE:
        return None
    state = _OURS + base64.b64encode(packed).decode()
    return types.InputRequiredResult(input_requests=dict(questions), request_state=state)
