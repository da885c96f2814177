"""MCP servers over HTTP for tests: one that misbehaves on demand, and real ones of the SDK's on uvicorn."""

import gzip
import json
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import uvicorn
from mcp.server import MCPServer
from starlette.responses import PlainTextResponse

TOOL = {"name": "add", "description": "Add.", "inputSchema": {"type": "object", "properties": {}}}
MIB = 2**20


class Rogue:
    """A server of the handshake era that answers ``initialize`` and ``tools/list``, and anything else as ``mode`` says.

    Args:
        mode: What it does with ``tools/call``; see `Handler`.
        at: The method that gets that treatment instead; ``"*"`` for all.
        session: Whether it gives out a session id.
    """

    def __init__(self, mode, at="tools/call", session=False):
        self.mode, self.at, self.session = mode, at, session
        self.requests = []
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.rogue = self
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/mcp"

    def methods(self):
        return [message.get("method") for _, _, message in self.requests]

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle(self):
        with suppress(OSError):
            super().handle()

    def answer(self, status, body=b"", kind="application/json", **headers):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("set-cookie", "who=you")
        for name, value in {"content_length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def begin(self, kind, length=None, **headers):
        self.close_connection = True
        self.answer(200, b"", kind, content_length=length, **headers)

    def reset(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def do_GET(self):
        self.server.rogue.requests.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()}, {"method": "GET"})
        )
        if "last-event-id" in self.headers:
            self.be_sse()
        else:
            self.answer(405)

    def do_DELETE(self):
        self.server.rogue.requests.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()}, {"method": "DELETE"})
        )
        if self.server.rogue.mode == "hang":
            self.server.rogue.over.wait(20)
        self.answer(405)

    def do_POST(self):
        rogue = self.server.rogue
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        rogue.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, message))
        method, self.id = message.get("method"), message.get("id")
        if rogue.at in (method, "*"):
            getattr(self, f"be_{rogue.mode}")()
        elif self.id is None:
            self.answer(202)
        elif method == "initialize":
            extra = {"mcp_session_id": "s1"} if rogue.session else {}
            self.reply(
                {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "rogue", "version": "0"},
                },
                **extra,
            )
        elif method == "tools/list":
            self.reply({"tools": [TOOL]})
        elif method == "tools/call":
            self.reply({"content": [{"type": "text", "text": "3"}]})
        else:
            self.answer(400, json.dumps(self.error(-32601, "no such method")).encode())

    def error(self, code, text, **more):
        return {"jsonrpc": "2.0", "id": self.id, "error": {"code": code, "message": text, **more}}

    id = 3

    def message(self, text="3"):
        return json.dumps(
            {"jsonrpc": "2.0", "id": self.id, "result": {"content": [{"type": "text", "text": text}]}}
        ).encode()

    def reply(self, result, **headers):
        self.answer(200, json.dumps({"jsonrpc": "2.0", "id": self.id, "result": result}).encode(), **headers)

    # --- the modes

    def be_401(self):
        self.answer(401, b'{"error": "invalid_token"}', www_authenticate="Bearer")

    def be_403(self):
        self.answer(403, b"not for you, " + self.headers.get("authorization", "").encode(), "text/plain")

    def be_404(self):
        self.answer(404, b"nothing here", "text/plain")

    def be_429(self):
        self.answer(429, b'{"message": "slow down"}', retry_after=7)

    def be_500(self):
        self.answer(500, b"it broke", "text/plain")

    def be_503(self):
        self.answer(
            503, json.dumps(self.error(-32603, "in repair")).encode(), retry_after="Wed, 21 Oct 2099 07:28:00 GMT"
        )

    def be_html(self):
        self.answer(200, b"<!doctype html><html><h1>Log in</h1>", "text/html; charset=utf-8")

    def be_params(self):
        self.answer(400, json.dumps(self.error(-32602, "a is missing", data={"at": "a"})).encode())

    def be_null_id(self):
        self.id = None
        self.answer(200, json.dumps(self.error(-32602, "what?")).encode())

    def be_forgotten(self):
        self.answer(404, json.dumps(self.error(-32600, "Session not found")).encode())

    def be_forgotten400(self):
        self.answer(400, json.dumps(self.error(-32000, "Bad Request: No valid session ID provided")).encode())

    def be_accepted(self):
        self.answer(202)

    def be_empty(self):
        self.answer(200, b"", "application/json")

    def be_broken_json(self):
        self.answer(200, self.message()[:-5])

    def be_array(self):
        self.answer(200, b"[]")

    def be_wrong_id(self):
        self.id = 12345
        self.answer(200, self.message())

    def be_cut_body(self):
        self.begin("application/json", 1000)
        self.wfile.write(self.message()[:20])
        self.reset()

    def be_cut_before(self):
        self.reset()

    def be_sse(self):
        self.begin("text/event-stream")
        self.wfile.write(b": hello\r\n\r\nevent: message\r\ndata: " + self.message() + b"\r\n\r\n")

    def be_sse_split(self):
        self.begin("text/event-stream")
        for part in (b"event: mess", b"age\nda", b"ta: " + self.message() + b"\n", b"\n"):
            self.wfile.write(part)
            self.wfile.flush()
            time.sleep(0.01)

    def be_cut_sse(self):
        self.begin("text/event-stream")
        self.wfile.write(b": hello\n\nevent: message\ndata: " + self.message()[:-10])
        self.reset()

    def be_end_sse(self):
        self.begin("text/event-stream")
        self.wfile.write(b": hello\n\nevent: message\ndata: " + self.message()[:-10])

    def be_resumable(self):
        self.begin("text/event-stream")
        self.wfile.write(b"id: 1\nretry: 10\ndata: \n\n")

    def be_huge_event(self):
        self.begin("text/event-stream")
        self.wfile.write(b"data: ")
        self.flood()

    def be_endless_sse(self):
        self.begin("text/event-stream")
        while not self.server.rogue.over.wait(0.01):
            self.wfile.write(b": still there\n\n")

    def be_huge(self):
        self.begin("application/json", 50 * MIB)
        self.flood()

    def be_huge_unsaid(self):
        self.begin("application/json")
        self.flood()

    def be_huge_error(self):
        self.close_connection = True
        self.answer(500, b"", "text/plain", content_length=None)
        self.flood()

    def be_bomb(self):
        self.begin("application/json", content_encoding="gzip")
        self.wfile.write(gzip.compress(b" " * (40 * MIB), 1))

    def be_event_bomb(self):
        self.begin("text/event-stream", content_encoding="gzip")
        self.wfile.write(gzip.compress(b"data: " + b"x" * (40 * MIB), 1))

    def be_zipped(self):
        body = gzip.compress(self.message())
        self.answer(200, body, content_encoding="gzip")

    def be_no_gzip(self):
        self.answer(200, self.message(), content_encoding="gzip")

    def flood(self):
        for _ in range(800):
            self.wfile.write(b"x" * 65536)

    def be_redirect(self):
        if self.path == "/mcp":
            self.answer(307, location="/mcp2?key=secret")
        else:
            self.answer(200, self.message())

    def be_redirect_away(self):
        self.answer(307, location="http://localhost:9/elsewhere?key=secret")

    def be_redirect_get(self):
        self.answer(302, location="/login")

    def be_hang(self):
        self.server.rogue.over.wait(20)

    def be_drip(self):
        self.begin("application/json", 100_000)
        while not self.server.rogue.over.wait(0.02):
            self.wfile.write(b" ")


def real_server(**options):
    """Make a server of the SDK's, with a tool that adds and one that waits."""
    server = MCPServer("real", log_level="CRITICAL", **options)

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    @server.tool()
    async def wait(seconds: float) -> str:
        """Wait."""
        import anyio

        await anyio.sleep(seconds)
        return "done"

    return server


@contextmanager
def serving(make, port=0, **tls):
    """Serve the ASGI app that ``make`` makes, on loopback, in a thread of its own; gives its origin."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(
            make,
            log_level="critical",
            lifespan="on",
            interface="asgi3",
            factory=True,
            timeout_graceful_shutdown=0,
            **tls,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.force_exit = server.should_exit = True
        thread.join(5)
        listener.close()


class SseRogue:
    """An ASGI app that speaks HTTP+SSE, badly as ``mode`` says."""

    def __init__(self, mode):
        self.mode = mode
        self.queue = []

    async def __call__(self, scope, receive, send):
        import anyio

        if scope["type"] != "http":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["method"] == "POST":
            message = json.loads((await receive())["body"])
            if self.mode == "refuses" and message["method"] == "tools/call":
                await PlainTextResponse("no", 429, {"retry-after": "3"})(scope, receive, send)
                return
            await PlainTextResponse("Accepted", 202)(scope, receive, send)
            self.queue.append(message)
        elif self.mode in ("no_events", "401"):
            await PlainTextResponse("hi", 401 if self.mode == "401" else 200)(scope, receive, send)
        else:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
            address = {"elsewhere": "http://localhost:9/messages"}.get(self.mode, "/messages")
            if self.mode != "no_endpoint":
                await self.say(send, "endpoint", address)
                while self.mode != "ends" or not self.queue:
                    await anyio.sleep(0.005)
                    while self.queue and self.mode != "ends":
                        await self.reply(send, self.queue.pop(0))
            await send({"type": "http.response.body", "body": b""})

    async def reply(self, send, message):
        results = {
            "initialize": {
                "protocolVersion": "2024-11-05",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "old", "version": "0"},
            },
            "tools/list": {"tools": [TOOL]},
            "tools/call": {"content": [{"type": "text", "text": "x" * (3 * MIB if self.mode == "big" else 1)}]},
        }
        if message.get("method") in results:
            await self.say(
                send,
                "message",
                json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}),
            )
        elif "id" in message:
            error = {"code": -32601, "message": "no"}
            await self.say(send, "message", json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}))

    async def say(self, send, kind, data):
        await send(
            {"type": "http.response.body", "body": f"event: {kind}\ndata: {data}\n\n".encode(), "more_body": True}
        )
