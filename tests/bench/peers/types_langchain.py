# /// script
# dependencies = ["langchain==1.5.2", "langchain-core==1.8.3"]
# ///
"""The type matrix on LangChain: a whole run of its agent, with prepared messages for the model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool as build_tool
from langchain_core.utils.function_calling import convert_to_openai_tool

from tests.bench.type_matrix import RefusedError, report


class Model(GenericFakeChatModel):
    """Says what was prepared, whatever the tools are."""

    def bind_tools(self, *_, **__):
        return self


def build(function):
    """Make the tool and its schema."""
    # A description is required, and most of the functions have no docstring.
    tool = build_tool(description="A tool.")(function)
    convert_to_openai_tool(tool)
    return tool


async def give(tool, text):
    """Run an agent whose model asks for the tool."""
    call = {"type": "tool_call", "id": "c", "name": tool.name, "args": json.loads(text)}
    model = Model(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("done")]))
    state = await create_agent(model, tools=[tool]).ainvoke({"messages": [{"role": "user", "content": "go"}]})
    if any(isinstance(message, ToolMessage) and message.status == "error" for message in state["messages"]):
        raise RefusedError


if __name__ == "__main__":
    report(give, build)
