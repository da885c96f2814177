"""What everything is held against: the same work by hand, over httpx2's own client and pool, with the stdlib's json."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import httpx2

FIXED = {
    "model": "gpt-bench",
    "instructions": "Use the tool.",
    "tools": [
        {
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
    ],
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "parallel_tool_calls": True,
}


class Loop:
    def __init__(self, http, url, add):
        self.http = http
        self.url = url
        self.tools = {"add": add}

    async def run(self, prompt):
        items = [{"type": "message", "role": "user", "content": prompt}]
        while True:
            response = await self.http.post(self.url, json={**FIXED, "input": items})
            response.raise_for_status()
            output = response.json()["output"]
            items += output
            calls = [item for item in output if item["type"] == "function_call"]
            if not calls:
                return "".join(part["text"] for item in output for part in item["content"])
            for call in calls:
                result = await self.tools[call["name"]](**json.loads(call["arguments"]))
                answer = {"type": "function_call_output", "call_id": call["call_id"], "output": json.dumps(result)}
                items.append(answer)

    async def stream(self, prompt):
        body = {**FIXED, "input": [{"type": "message", "role": "user", "content": prompt}], "stream": True}
        pieces, buffer = [], b""
        async with self.http.stream("POST", self.url, json=body) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                *blocks, buffer = (buffer + chunk).split(b"\n\n")
                for block in blocks:
                    event = json.loads(block[block.index(b"data: ") + 6 :])
                    if event["type"] == "response.output_text.delta":
                        pieces.append(event["delta"])
        return pieces

    client_stream = stream


@asynccontextmanager
async def opened(base_url, add):
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"authorization": "Bearer bench"}
    async with httpx2.AsyncClient(limits=limits, headers=headers, timeout=None) as http:
        yield Loop(http, f"{base_url}/responses", add)
