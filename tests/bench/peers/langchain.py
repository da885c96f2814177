# /// script
# dependencies = ["langchain==1.4.7", "langchain-openai==1.7.3"]
# ///
"""LangChain's agent on its model for the Responses API."""

from __future__ import annotations

from contextlib import asynccontextmanager

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

CONFIG = {"recursion_limit": 10_000}


class Subject:
    def __init__(self, model, add):
        self.agent = create_agent(model, tools=[tool(add)], system_prompt="Use the tool.")

    async def run(self, prompt):
        state = await self.agent.ainvoke({"messages": [{"role": "user", "content": prompt}]}, CONFIG)
        return state["messages"][-1].text

    async def stream(self, prompt):
        given = {"messages": [{"role": "user", "content": prompt}]}
        chunks = self.agent.astream(given, CONFIG, stream_mode="messages")
        return [text async for chunk, _ in chunks if (text := chunk.text)]


@asynccontextmanager
async def opened(base_url, add):
    yield Subject(ChatOpenAI(model="gpt-bench", base_url=base_url, api_key="bench", use_responses_api=True), add)
