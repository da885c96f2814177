# /// script
# dependencies = ["openai-agents==0.24.0", "openai==3.54.0"]
# ///
"""The OpenAI Agents SDK, its tracing off: it would post to api.openai.com."""

from __future__ import annotations

from contextlib import asynccontextmanager

from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
MAX_TURNS = 1000


class Subject:
    def __init__(self, client, add):
        model = OpenAIResponsesModel("gpt-bench", openai_client=client)
        self.agent = Agent(name="agent", instructions="Use the tool.", tools=[function_tool(add)], model=model)

    async def run(self, prompt):
        return (await Runner.run(self.agent, prompt, max_turns=MAX_TURNS)).final_output

    async def stream(self, prompt):
        run = Runner.run_streamed(self.agent, prompt, max_turns=MAX_TURNS)
        return [
            event.data.delta
            async for event in run.stream_events()
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
        ]


@asynccontextmanager
async def opened(base_url, add):
    async with AsyncOpenAI(base_url=base_url, api_key="bench") as client:
        yield Subject(client, add)
