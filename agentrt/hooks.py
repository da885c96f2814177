"""Hooks: code of yours before and after each model call and each tool call. Guardrails are hooks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from agentrt.registry.context import Context
from agentrt.registry.tool import Tool
from agentrt.wire.responses import Response

__all__ = ["Hooks", "asked"]

Output = str | list[dict[str, Any]]


async def asked(made: Any) -> Any:
    """Give what a hook gave: it may be written sync or async."""
    return await made if inspect.isawaitable(made) else made


class Hooks:
    """Override what you need, and pass an instance: ``Agent(hooks=[MyHooks()])``.

    Several are asked in order, each with what the one before gave. What returns None changes nothing. Raise
    `RunRefused` to end the run as ``refused`` (of a sub-agent: to fail the call that asked it), and `ToolError` before
    or after a tool call to answer it with that text. Any other exception ends the run.
    """

    async def before_model(self, context: Context[Any], request: dict[str, Any]) -> Mapping[str, Any] | None:
        """Look at the parameters of a request, or give others.

        Args:
            context: The run: its deps, its id, its agent, its turn.
            request: The parameters as they are to be sent; ``input`` is a list of items.
        """

    async def after_model(self, context: Context[Any], response: Response) -> Response | None:
        """Look at a reply before any of its calls runs, or give another. With this hook no call starts early.

        Args:
            context: The run.
            response: The reply, whole.
        """

    async def before_tool(
        self, context: Context[Any], tool: Tool[..., Any], arguments: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Look at a call before anybody is asked for approval, or give other arguments.

        Args:
            context: The call: its id, its idempotency key, the run.
            tool: The tool.
            arguments: The checked arguments by name, without defaults.
        """

    async def after_tool(
        self, context: Context[Any], tool: Tool[..., Any], arguments: Mapping[str, Any], output: Output
    ) -> Output | None:
        """Look at what the model is about to read, or give something else. Not asked for what a sub-agent answers.

        Args:
            context: The call.
            tool: The tool.
            arguments: What it ran with.
            output: A text, or content parts.
        """
