# /// script
# dependencies = ["openai-agents==0.24.0", "openai==3.54.0"]
# ///
"""The type matrix on the OpenAI Agents SDK, in strict mode and without it: one of them is enough."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from agents import function_tool, set_tracing_disabled
from agents.exceptions import ModelBehaviorError
from agents.tool_context import ToolContext

from tests.bench.type_matrix import RefusedError, report

set_tracing_disabled(True)

# The error instead of a text about it: what the function receives is the same.
build = functools.partial(function_tool, failure_error_function=None)


async def give(tool, text):
    """Invoke the tool as the SDK's runner does."""
    context = ToolContext(None, tool_name=tool.name, tool_call_id="c", tool_arguments=text)
    try:
        await tool.on_invoke_tool(context, text)
    except ModelBehaviorError as error:
        raise RefusedError from error


if __name__ == "__main__":
    report(give, build, functools.partial(build, strict_mode=False))
