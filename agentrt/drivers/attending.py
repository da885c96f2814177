"""A call that somebody attends to: hooks see its output, a trace has its span, a decider changed its arguments."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from agentrt.core.history import edited_notice
from agentrt.core.protocol import RunTool
from agentrt.drivers.plan import AgentPlan, Plan
from agentrt.errors import ToolError
from agentrt.hooks import asked
from agentrt.registry.dispatch import Answer, Caller, Prepared, context_of, run_prepared
from agentrt.registry.output import FOR_OUTPUTS, as_text, encode_output
from agentrt.wire.items import CALLS
from agentrt.wire.json import as_str, is_dict

__all__ = ["run_attended"]


async def run_attended(plan: Plan, agent: AgentPlan, effect: RunTool, prepared: Prepared, caller: Caller) -> Answer:
    """Run a prepared call and answer it.

    Args:
        plan: The run's plan: it may have a trace.
        agent: Whose call it is: it may have hooks.
        effect: What the core asked for: it may have arguments of a decider's.
        prepared: The call.
        caller: For whom.
    """
    call_id = as_str(prepared.call.get("call_id"))
    with nullcontext() if plan.trace is None else plan.trace.around(effect.thread, call_id):
        answer = await run_prepared(prepared, caller)
        for hook in agent.hooks:
            if prepared.tool is None:
                break
            context = context_of(prepared.tool, prepared.call, prepared.position, caller, 1)
            try:
                output = await asked(hook.after_tool(context, prepared.tool, prepared.values, answer.item["output"]))
            except ToolError as error:
                answer = _with_output(prepared, answer, f"Error: {as_text(error)}")._replace(failed=True)
            else:
                answer = answer if output is None else _with_output(prepared, answer, _encoded(output))
    if effect.edited is not None:
        told = edited_notice(effect.edited)
        output = answer.item["output"]
        changed: Any = (
            f"{told}\n{output}" if isinstance(output, str) else [{"type": "input_text", "text": told}, *output]
        )
        answer = _with_output(prepared, answer, changed)
    return answer


def _encoded(output: str | list[dict[str, Any]]) -> Any:
    """Write what a hook gave: content parts as it had them to read are let be."""
    parts = output if isinstance(output, list) else []
    is_ready = bool(parts) and all(is_dict(part) and part.get("type") in FOR_OUTPUTS for part in parts)
    return parts if is_ready else encode_output(output).value


def _with_output(prepared: Prepared, answer: Answer, output: Any) -> Answer:
    return answer._replace(item=CALLS["function_call"].answer(prepared.call, output))
