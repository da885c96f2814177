"""A closer look at a call: hooks, approval, other agents, the final output. What the core must know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import to_jsonable_python

from agentrt.core.pending import Kind, Pending, pending_id
from agentrt.core.protocol import RunTool, ToolAsked
from agentrt.core.repair import since_compaction, trimmed
from agentrt.core.state import Thread, Verdict, evolve
from agentrt.drivers.plan import AgentPlan
from agentrt.errors import ToolError
from agentrt.hooks import asked
from agentrt.registry.context import ToolAsks
from agentrt.registry.dispatch import Caller, Prepared, context_of, needs_approval, prepare_call
from agentrt.registry.output import as_text
from agentrt.registry.outputs import FINAL_ANSWER
from agentrt.wire.items import Item
from agentrt.wire.json import as_dict, as_str, dump, is_dict, parse, text_of
from agentrt.wire.text import unmistakable

if TYPE_CHECKING:
    from agentrt.drivers.local import Run
    from agentrt.registry.outputs import OutputForm
    from agentrt.registry.tool import Tool

__all__ = ["asked_by_tool", "asked_for", "hooked", "plain", "prepared_anew", "problem_of", "shaped", "triage"]

_SHOWN = 2000


async def triage(run: Run[Any], thread: str, position: int, item: Item) -> Verdict:
    """Find out what the core must know of a call, with code of the user's where there is some.

    Args:
        run: The run.
        thread: The thread whose reply has it.
        position: Its position in the reply's output.
        item: The call.
    """
    agent = run.agent_of(thread)
    if item.type == "mcp_approval_request":
        return _asked_by_server(run, thread, position, item)
    prepared = run.calls.prepared[thread, position]
    name = as_str(item.raw.get("name"))
    if agent.output is not None and not agent.output.text and name == FINAL_ANSWER and not item.raw.get("namespace"):
        problem = await problem_of(run, thread, text_of(item.raw.get("arguments")))
        return Verdict(name, "output", "pure", problem=problem)
    try:
        prepared = await hooked(agent, prepared, run.calls.caller(thread))
        if prepared.tool is None:
            return Verdict(name, effect="pure")
        tool = prepared.tool
        wanted = tool.approval is not False and await needs_approval(tool, prepared.values)
    except ToolError as error:
        prepared = prepared._replace(tool=None, problem=as_text(error), lane=None, exclusive=False)
        return Verdict(name, effect="pure")
    finally:
        run.calls.prepared[thread, position] = prepared
    verdict = Verdict(tool.key, "tool", tool.effect, prepared.lane, prepared.exclusive)
    if tool.may_ask:
        verdict = evolve(verdict, definition=tool.definition_hash)
    delegate = agent.delegates.get(tool.key)
    if delegate is not None and delegate.handoff:
        other = run.plan.agents[delegate.agent]
        verdict = evolve(verdict, role="handoff", agent=other.name, parallel=other.parallel)
    elif delegate is not None:
        verdict = evolve(verdict, role="agent", begin=delegate.begin(as_str(prepared.values.get("task"))))
    if wanted and verdict.role != "handoff":
        omitted = {name: value for name, value in tool.form.defaults.items() if name not in prepared.values}
        arguments = as_dict(plain({**prepared.values, **omitted}))
        call_id = as_str(item.raw.get("call_id"))
        ask = _pending(run, thread, position, "tool", tool.key, arguments, call_id, tool.definition_hash)
        verdict = evolve(verdict, ask=ask, definition=tool.definition_hash)
    return verdict


async def hooked(agent: AgentPlan, prepared: Prepared, caller: Caller) -> Prepared:
    """Let hooks look at a call before it runs; raises ToolError where one refuses it."""
    for hook in agent.hooks:
        if prepared.tool is None:
            break
        context = context_of(prepared.tool, prepared.call, prepared.position, caller, 1)
        changed = await asked(hook.before_tool(context, prepared.tool, prepared.values))
        if changed is not None:
            prepared = _with_arguments(agent.tools, prepared.call, prepared.position, caller, changed)
    return prepared


def _with_arguments(
    tools: Mapping[str, Tool[..., Any]],
    call: Mapping[str, Any],
    position: int,
    caller: Caller,
    arguments: Mapping[str, Any],
) -> Prepared:
    text = dump(plain(dict(arguments))).decode()
    return prepare_call(tools, {**call, "arguments": text}, position, caller)._replace(call=call)


def prepared_anew(agent: AgentPlan, effect: RunTool, caller: Caller) -> Prepared:
    """Read a call once more: after it was put away, or with the arguments that a decider gave instead."""
    call = effect.call.raw
    if effect.edited is None:
        return prepare_call(agent.tools, call, effect.position, caller)
    return _with_arguments(agent.tools, call, effect.position, caller, effect.edited)


def _asked_by_server(run: Run[Any], thread: str, position: int, item: Item) -> Verdict:
    raw = item.raw
    key = f"{as_str(raw.get('server_label'))}.{as_str(raw.get('name'))}"
    given: Any = raw.get("arguments")
    try:
        arguments: Any = parse(given) if isinstance(given, str) and given else given or {}
    except ValueError:
        arguments = None
    if not is_dict(arguments):
        arguments = {"arguments": given}  # whatever it is, the decider sees it
    definition = _server_pin(run.agent_of(thread), raw.get("server_label"))
    ask = _pending(run, thread, position, "mcp", key, arguments, as_str(raw.get("id")), definition)
    return Verdict(key, "mcp", "unsafe", ask=ask, definition=definition)


def asked_by_tool(run: Run[Any], effect: RunTool, asks: ToolAsks) -> ToolAsked:
    """Make the event of a call that asks somebody while it runs.

    Args:
        run: The run.
        effect: What runs.
        asks: What it asks.
    """
    thread, position = effect.thread, effect.position
    verdict = run.state.threads[thread].verdicts[position]
    call_id = as_str(effect.call.raw.get("call_id"))
    ask = _pending(run, thread, position, "elicitation", verdict.key, asks.schema, call_id, verdict.definition)
    text = f"{unmistakable(verdict.key)} asks: {unmistakable(str(asks)[:_SHOWN])}{_fields(asks.schema)}"
    found = pending_id(ask.id, text, asks.request_state)
    ask = replace(ask, id=found, text=text, request_state=asks.request_state)
    return ToolAsked(effect.turn, position, ask, thread)


def _fields(schema: Mapping[str, Any]) -> str:
    """Write the values that are asked for, a line each."""
    lines: list[str] = []
    for name, each in as_dict(schema.get("properties")).items():
        told = as_dict(each)
        facts = [text_of(told["type"])] if "type" in told else []
        facts += ["required"] if name in (schema.get("required") or ()) else []
        facts += [f"one of {text_of(told['enum'])}"] if "enum" in told else []
        facts += [f"default {text_of(told['default'])}"] if "default" in told else []
        about = as_str(told.get("description")) or as_str(told.get("title"))
        line = f"{name} ({', '.join(facts)}) {about}"
        lines.append(f"\n  {unmistakable(line.strip()[:_SHOWN])}")
    return "".join(lines)


def _server_pin(agent: AgentPlan, label: object) -> str:
    """Hash what is said of a hosted MCP server, but for what proves who asks: a decision holds for this server only."""
    for tool in agent.fixed.get("tools") or ():
        if as_dict(tool).get("type") == "mcp" and tool.get("server_label") == label:
            told = {name: value for name, value in tool.items() if name not in ("authorization", "headers")}
            return hashlib.sha256(dump(told)).hexdigest()
    return ""


def _pending(
    run: Run[Any],
    thread: str,
    position: int,
    kind: Kind,
    key: str,
    arguments: Mapping[str, Any],
    call_id: str,
    definition: str,
) -> Pending:
    turn, agent = run.state.threads[thread].turn, run.state.threads[thread].agent
    found = pending_id(run.state.run_id, thread, turn, position, kind, key, definition, arguments)
    text = _text(key, arguments)
    return Pending(found, kind, key, arguments, text, agent, thread, turn, position, call_id, definition)


def _text(key: str, arguments: Mapping[str, Any]) -> str:
    """Say in a line for each argument what is asked for; nothing in it can hide or look like something else."""
    lines = [unmistakable(key)]
    for name, value in arguments.items():
        told = text_of(value)
        more = f" … ({len(told)} characters)" if len(told) > _SHOWN else ""
        lines.append(f"  {unmistakable(name)}: {unmistakable(told[:_SHOWN])}{more}")
    return "\n".join(lines)


def plain(value: dict[str, Any]) -> Any:
    """Give arguments as JSON values."""
    return to_jsonable_python(value, serialize_unknown=True, bytes_mode="base64", inf_nan_mode="strings")


def asked_for(form: OutputForm[Any], fixed: Mapping[str, Any], *, by_call: bool) -> tuple[dict[str, Any], str | None]:
    """Add the form of the answer to what a request says.

    Args:
        form: The form.
        fixed: The request's parameters so far.
        by_call: Whether the answer comes as a call, as the provider lacks ``text.format``.

    Returns:
        The parameters, and the name of the call.
    """
    if form.text:
        return dict(fixed), None
    if by_call:
        return {**fixed, "tools": [*(fixed.get("tools") or ()), form.definition]}, FINAL_ANSWER
    return {**fixed, "text": {**(fixed.get("text") or {}), "format": form.format}}, None


def shaped(
    plan: AgentPlan, thread: Thread, fixed: Mapping[str, Any], *, by_call: bool
) -> tuple[Thread, Mapping[str, Any], str | None]:
    """Shape a request: what of a long history it carries, and what it says of the answer's form.

    Args:
        plan: The agent's plan.
        thread: The thread.
        fixed: The request's parameters so far.
        by_call: As for `asked_for`.

    Returns:
        The thread and the parameters for the request, and the name of the call that gives the answer.
    """
    final: str | None = None
    if thread.known == 0:
        items = since_compaction(thread.items) if thread.compacted else thread.items
        items = items if plan.max_history is None else trimmed(items, plan.max_history)
        thread = evolve(thread, items=items)
    if plan.output is not None:
        fixed, final = asked_for(plan.output, fixed, by_call=by_call)
    return thread, fixed, final


async def problem_of(run: Run[Any], thread: str, text: str) -> str | None:
    """Read an answer in the agent's form; gives what is wrong with it, for the model to read.

    Args:
        run: The run; it keeps what was read.
        thread: The thread.
        text: The answer.
    """
    form = cast("OutputForm[Any]", run.agent_of(thread).output)
    try:
        value = await form.read(text, run.context(thread))
    except ToolError as error:
        return as_text(error)
    run.values = {**run.values, (thread, text): value}
    return None
