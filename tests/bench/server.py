"""The mock server of the benchmarks: a process of its own that answers from bytes made at start-up.

``python server.py [CORE]`` prints its port, and ends when its standard input does. It reads just enough of HTTP/1.1.
What to answer stands in the user's message: ``plan:calls/TURNS/THINK_MS`` asks for one tool call a turn and then a
message; ``plan:deltas/COUNT/0`` for a stream of that many deltas, one HTTP chunk per event, all written at once.
``GET /stats`` tells how many requests, connections and faults there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import re
import sys

from agentrt.wire.compose import message_item, response_events, response_resource, sse_bytes

PIECE = "word "
REQUEST = {
    "model": "gpt-bench",
    "tools": [
        {
            "type": "function",
            "name": "add",
            "description": "Add two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
                "additionalProperties": False,
            },
            "strict": True,
        }
    ],
}
PLAN = re.compile(rb"plan:(calls|deltas)/(\d+)/(\d+)")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")
OUTPUT = b'"function_call_output"'

stats = {"requests": 0, "connections": 0, "faults": 0}


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nx-request-id: req_1\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def resource(number: int, item: dict) -> dict:
    return response_resource(
        REQUEST, response_id=f"resp_{number}", created_at=1_700_000_000, output=[item], usage=(90, 9)
    )


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@functools.cache
def call(turn: int) -> bytes:
    item = {"type": "function_call", "id": f"fc_{turn}", "call_id": f"call_{turn}", "name": "add"}
    return http(compact(resource(turn, {**item, "arguments": f'{{"a":{turn},"b":1}}', "status": "completed"})))


@functools.cache
def answer() -> bytes:
    return http(compact(resource(0, message_item("msg_0", "done"))))


@functools.cache
def deltas(count: int) -> bytes:
    response = resource(0, message_item("msg_0", PIECE * count))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    events = [sse_bytes(event) for event in response_events(response, chunk=len(PIECE))]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stats["connections"] += 1
        self.transport = transport
        self.buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).lower()
            length = LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < whole:
                return
            body = bytes(self.buffer[end + 4 : whole])
            del self.buffer[:whole]
            self.reply(head, body)

    def reply(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /stats "):
            self.write(http(compact(stats)))
            return
        stats["requests"] += 1
        plan = PLAN.search(body)
        if plan is None or not head.startswith(b"post /v1/responses "):
            stats["faults"] += 1
            self.write(http(b'{"error":{"message":"not in the plan"}}', b"404 Not Found"))
            return
        count, think = int(plan[2]), int(plan[3]) / 1000
        if plan[1] == b"deltas":
            told = deltas(count)
        else:
            turn = body.count(OUTPUT) + 1
            told = call(turn) if turn < count else answer()
        if think:
            asyncio.get_running_loop().call_later(think, self.write, told)
        else:
            self.write(told)

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)  # whoever started it is gone
    server.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    answer(), deltas(500), deltas(5000)
    for number in range(1, 256):
        call(number)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
