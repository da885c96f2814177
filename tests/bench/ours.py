"""agentrt, as its users write it."""

from __future__ import annotations

from contextlib import asynccontextmanager

from agentrt import Agent, Client, Limits


class Subject:
    def __init__(self, client, add):
        self.client = client
        self.agent = Agent(
            "gpt-bench", instructions="Use the tool.", tools=[add], client=client, limits=Limits(max_turns=1000)
        )

    async def run(self, prompt):
        return (await self.agent.run(prompt)).text

    async def stream(self, prompt):
        async with self.agent.stream(prompt) as run:
            return [event.delta async for event in run if event.type == "text.delta"]

    async def client_stream(self, prompt):
        async with self.client.stream(model="gpt-bench", input=prompt, store=False) as stream:
            return [event.delta async for event in stream if event.type == "response.output_text.delta"]


@asynccontextmanager
async def opened(base_url, add):
    async with Client(base_url=base_url, api_key="bench") as client:
        yield Subject(client, add)
