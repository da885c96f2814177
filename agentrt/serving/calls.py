"""A call of a client, from its arguments to its result."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import mcp_types as types
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from agentrt.core.history import has_answer
from agentrt.core.pending import Answer, Approve, Decision, Deny, Pending, pending_id
from agentrt.core.result import Result
from agentrt.core.state import RunState
from agentrt.delegates import AgentTool
from agentrt.drivers.triage import plain
from agentrt.errors import AgentrtError, ToolError
from agentrt.registry.context import Context, ToolAsks
from agentrt.registry.dispatch import Answer as Answered
from agentrt.registry.dispatch import Caller, Prepared, needs_approval, prepare_call, run_prepared
from agentrt.registry.output import output_text
from agentrt.registry.tool import Tool
from agentrt.serving.agents import ended_without, watched
from agentrt.serving.asking import Counterpart, Kept, Once, asking, enveloped, question, sendable, text_about
from agentrt.serving.content import failed, result_of
from agentrt.serving.lanes import Lanes
from agentrt.serving.offers import Offer
from agentrt.serving.options import request_var
from agentrt.serving.progress import Tell, as_report, told
from agentrt.wire.json import as_str, dump

if TYPE_CHECKING:
    from agentrt.drivers.plan import Decide

__all__ = ["Desk", "answer"]

logger = logging.getLogger("agentrt.serving")

Outcome = types.CallToolResult | types.InputRequiredResult

_VALUES = "values"
_USED = "Error: this answer of the user's was used before; make the call again, without its state"
_TOO_MUCH = "Error: the user would have to be asked, and what is to be kept meanwhile is too much; ask for less at once"


@dataclass(eq=False, repr=False)
class Desk:
    """What the calls of a server share.

    Args:
        deps: What tools get as ``context.deps``.
        on_pending: Decides where the client's user can't be asked.
    """

    deps: Any = None
    on_pending: Decide | None = None
    lanes: Lanes = field(default_factory=Lanes)
    once: Once = field(default_factory=Once)


class _Call(NamedTuple):
    """A call under way.

    Attributes:
        desk: What the calls of the server share.
        offer: The tool.
        ctx: The request.
        client: Whom to ask.
        kept: What the client kept since the last try.
        item: The call as the registry takes it.
        caller: For whom it runs.
    """

    desk: Desk
    offer: Offer
    ctx: ServerRequestContext[Any, Any]
    client: Counterpart
    kept: Kept
    item: dict[str, Any]
    caller: Caller

    def prepared(self, arguments: Any) -> Prepared:
        tool = self.offer.tool
        item = {**self.item, "arguments": dump(arguments).decode()}
        return prepare_call({tool.key: tool}, item, 0, self.caller)


async def answer(
    desk: Desk, offer: Offer, ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
) -> Outcome:
    """Answer a call. What goes wrong in it is told as a result, for the model to read.

    Args:
        desk: What the calls of the server share.
        offer: The tool.
        ctx: The request.
        params: The call.
    """
    tool = offer.tool
    item = {"type": "function_call", "call_id": str(ctx.request_id), "name": tool.name, "namespace": tool.namespace}
    client = Counterpart(ctx, params.input_responses, desk.on_pending)
    caller = Caller(
        desk.deps,
        uuid.uuid4().hex,
        decided=True,
        ask=client.values if client.asks == "now" else None,
        attended=client.asks == "between",
    )
    call = _Call(desk, offer, ctx, client, Kept(params.request_state), item, caller)
    request_var.set(replace(ctx, params={**(ctx.params or {}), "requestState": call.kept.own}))
    shown = call.kept.values.get("arguments")  # what the user saw, where defaults are made anew by each reading
    prepared = call.prepared(shown or params.arguments or {})
    if prepared.tool is None:
        return failed(f"Error: {prepared.problem}")
    if call.kept.name and not desk.once.take(call.kept.name):
        return failed(_USED)
    allowed = await _allowed(call, prepared)
    if not isinstance(allowed, Prepared):
        return allowed
    if isinstance(tool, AgentTool):
        return await _run_agent(call, tool, allowed.values["task"])
    return await _run(call, allowed)


# --- approval


async def _allowed(call: _Call, prepared: Prepared) -> Prepared | Outcome:
    """Give the call that may run, or the result where none may, or not yet."""
    tool = call.offer.tool
    if tool.approval is False or call.kept.values.get("approved"):
        return prepared
    try:
        needed = await needs_approval(tool, prepared.values)
    except ToolError as error:
        return failed(f"Error: {error}")
    if not needed:
        return prepared
    pending = _pending(tool, prepared)
    decision = call.client.decided(pending) if pending.id in call.kept.questions else None
    if decision is None and call.client.asks == "between":
        return asking({pending.id: question(pending)}, {"arguments": dict(pending.arguments)}) or failed(_TOO_MUCH)
    return _carried_out(call, prepared, decision or await call.client.decide(pending))


def _carried_out(call: _Call, prepared: Prepared, decision: Decision | None) -> Prepared | Outcome:
    if isinstance(decision, Approve):
        if decision.edited is None:
            return prepared
        edited = call.prepared(decision.edited)
        return edited if edited.tool is not None else failed(f"Error: the edited arguments don't fit: {edited.problem}")
    if isinstance(decision, Answer):
        return result_of(call.offer, decision.value)
    if isinstance(decision, Deny):
        return failed(f"Error: this call was denied{': ' if decision.reason else ''}{decision.reason}")
    return failed("Error: this call needs approval, and there is nobody to give it; it was not run")


def _pending(tool: Tool[..., Any], prepared: Prepared) -> Pending:
    arguments = plain({**tool.form.defaults, **prepared.values})
    found = pending_id("served", tool.key, tool.definition_hash, arguments)
    text = text_about(tool.key, arguments)
    return Pending(found, "tool", tool.key, arguments, text, "", "", 0, 0, as_str(prepared.call["call_id"]))


# --- functions


class _Keeping:
    """A tool for one call, which keeps what it returned: an output item has less of it."""

    def __init__(self, tool: Tool[..., Any]) -> None:
        self._tool = tool
        self.value: Any = None
        self.refused: MCPError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tool, name)

    async def run(self, values: dict[str, Any], context: Context[Any] | None) -> None:
        await self._keep(self._tool.run(values, context))

    async def function(self, **values: Any) -> None:
        await self._keep(self._tool.function(**values))

    async def _keep(self, working: Awaitable[Any]) -> None:
        try:
            self.value = await working
        except MCPError as error:
            self.refused = error
            raise


async def _run(call: _Call, prepared: Prepared) -> Outcome:
    tool = call.offer.tool
    keeping = _Keeping(tool)
    prepared = prepared._replace(tool=cast("Any", keeping))
    caller = replace(call.caller, reply=_reply(call))

    async def work(tell: Tell | None = None) -> Answered:
        return await run_prepared(prepared, caller if tell is None else replace(caller, report=as_report(tell)))

    try:
        async with call.desk.lanes.held(prepared.lane, exclusive=prepared.exclusive):
            made = await (told(call.ctx.session, work) if tool.form.wants_context else work())
    except ToolAsks as asks:
        return _values_asked(asks)
    if keeping.refused is not None and made.failed:
        raise keeping.refused  # a tool that speaks of MCP means it
    if made.failed:
        return failed(output_text(made.item["output"]))
    result = result_of(call.offer, keeping.value)
    if isinstance(result, types.InputRequiredResult):
        if call.ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return failed("Error: the tool asks between two tries of a call, which this client can't")
        return enveloped(result) or failed(_TOO_MUCH)
    return result


def _values_asked(asks: ToolAsks) -> Outcome:
    form = types.ElicitRequestFormParams(message=sendable(str(asks)), requested_schema=dict(asks.schema))
    kept = {"approved": True, "state": asks.request_state}
    return asking({_VALUES: types.ElicitRequest(params=form)}, kept) or failed(_TOO_MUCH)


def _reply(call: _Call) -> dict[str, Any] | None:
    """Give what was answered to what the tool asked when it ran before, as `Context.reply` has it."""
    given = call.client.answer_to(_VALUES) if _VALUES in call.kept.questions else None
    if given is None:
        return None
    action = "accept" if given.action == "accept" else "decline"
    return {"id": _VALUES, "action": action, "state": call.kept.values.get("state"), "content": given.content or {}}


# --- agents


async def _run_agent(call: _Call, tool: AgentTool, task: str) -> Outcome:
    client, agent = call.client, tool.agent
    asked = None if client.asks == "between" or not client.decides else client.decide

    async def work(tell: Tell) -> Result[Any]:
        kept = call.kept.values.get("run")
        if kept is None:
            return await watched(agent.stream(task, deps=call.desk.deps, on_pending=asked), tell)
        state = RunState.from_json(kept)
        found = {pending.id: client.decided(pending) for pending in state.pending}
        decisions = {key: decision for key, decision in found.items() if decision is not None}
        return await watched(agent.resume_stream(state, decisions, deps=call.desk.deps), tell)

    try:
        result = await told(call.ctx.session, work)
    except AgentrtError as error:
        logger.warning("the agent %r failed", agent.name, exc_info=error)
        return failed(f"Error: the agent {agent.name} failed: {error}")
    if has_answer(result.status, result.text):
        return result_of(call.offer, result.output)
    if result.status == "pending" and client.asks == "between":
        questions = {pending.id: question(pending) for pending in result.pending}
        return asking(questions, {"approved": True, "run": result.state.to_json()}) or failed(_TOO_MUCH)
    return failed(ended_without(agent.name, result))
