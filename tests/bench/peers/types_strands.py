# /// script
# dependencies = ["strands-agents==1.62.0"]
# ///
"""The type matrix on Strands Agents: the tool's own stream, which is what its agent runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from strands import tool as build_tool
from strands.tools.registry import ToolRegistry

from tests.bench.type_matrix import RefusedError, report


def build(function):
    """Make the tool and its schema, which the registry checks."""
    registry = ToolRegistry()
    (name,) = registry.process_tools([build_tool(function)])
    registry.get_all_tool_specs()
    return registry.registry[name]


async def give(tool, text):
    """Invoke the tool as the agent's executor does."""
    use = {"toolUseId": "c", "name": tool.tool_name, "input": json.loads(text)}
    *_, last = [event async for event in tool.stream(use, {})]
    if isinstance(last.exception, ValueError):  # what it makes of arguments that don't fit
        raise RefusedError from last.exception
    if last.exception:
        raise last.exception


if __name__ == "__main__":
    report(give, build)
