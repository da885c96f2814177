# /// script
# dependencies = ["openai==3.54.0"]
# ///
"""The OpenAI SDK with a loop by hand."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

from openai import AsyncOpenAI

TOOL = {
    "type": "function",
    "name": "add",
    "description": "Add two numbers.",
    "parameters": {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "The first one."},
            "b": {"type": "integer", "description": "The second one."},
        },
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "strict": True,
}
FIXED = {"model": "gpt-bench", "instructions": "Use the tool.", "tools": [TOOL], "store": False}


class Subject:
    def __init__(self, client, add):
        self.client = client
        self.tools = {"add": add}

    async def run(self, prompt):
        items = [{"role": "user", "content": prompt}]
        while True:
            response = await self.client.responses.create(input=items, **FIXED)
            items += response.output
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return response.output_text
            for call in calls:
                result = await self.tools[call.name](**json.loads(call.arguments))
                answer = {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps(result)}
                items.append(answer)

    async def stream(self, prompt):
        stream = await self.client.responses.create(input=prompt, stream=True, **FIXED)
        return [event.delta async for event in stream if event.type == "response.output_text.delta"]


@asynccontextmanager
async def opened(base_url, add):
    async with AsyncOpenAI(base_url=base_url, api_key="bench") as client:
        yield Subject(client, add)
