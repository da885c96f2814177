# /// script
# dependencies = ["pydantic-ai-slim==2.68.0"]
# ///
"""The type matrix on Pydantic AI: a whole run, with a function for the model."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from pydantic_ai import Agent, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel

from tests.bench.type_matrix import RefusedError, report


def build(function):
    """Make an agent with the function for its only tool."""
    return Agent(tools=[function])


async def give(agent, text):
    """Run the agent on a model that asks for the tool."""

    def model(messages, about):
        part = messages[-1].parts[-1]
        if not isinstance(part, ToolReturnPart):
            return ModelResponse([ToolCallPart(about.function_tools[0].name, text)])
        if part.outcome != "success":
            raise RefusedError
        return ModelResponse([TextPart("done")])

    await agent.run("go", model=FunctionModel(model))


if __name__ == "__main__":
    report(give, build)
