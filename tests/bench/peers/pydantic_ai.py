# /// script
# dependencies = ["pydantic-ai-slim[openai]==2.68.0", "openai==3.54.0"]
# ///
"""Pydantic AI on its model for the Responses API."""

from __future__ import annotations

from contextlib import asynccontextmanager

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

UNLIMITED = UsageLimits(request_limit=None)


class Subject:
    def __init__(self, client, add):
        model = OpenAIResponsesModel("gpt-bench", provider=OpenAIProvider(openai_client=client))
        self.agent = Agent(model, instructions="Use the tool.", tools=[add])

    async def run(self, prompt):
        return (await self.agent.run(prompt, usage_limits=UNLIMITED)).output

    async def stream(self, prompt):
        async with self.agent.run_stream(prompt, usage_limits=UNLIMITED) as run:
            return [piece async for piece in run.stream_text(delta=True, debounce_by=None)]


@asynccontextmanager
async def opened(base_url, add):
    async with AsyncOpenAI(base_url=base_url, api_key="bench") as client:
        yield Subject(client, add)
