"""A server that sends any bytes at any pace over a real socket, and may hang up in any way. A script, and a module.

``python raw_server.py KIND`` serves one kind of endless answer on a free port, which it prints, until it is ended.
"""

import gzip
import socket
import struct
import sys
import threading
import time

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
RESET = object()
"""In an answer: cut the connection with a RST."""


class RawServer:
    """Answers the n-th request with what ``answer(n, request)`` yields: bytes, seconds to wait, or `RESET`."""

    def __init__(self, answer):
        self.requests = []
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._closing = threading.Event()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        self._socket.close()

    def _accept(self):
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                request = self._read(connection)
                if request is None:
                    return
                self.requests.append(request)
                for part in self._answer(len(self.requests), request):
                    if part is RESET:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if isinstance(part, (int, float)):
                        if self._closing.wait(part):
                            return
                    else:
                        connection.sendall(part)
            except OSError:
                return

    def _read(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        return head


GIB = 1024 * 1024 * 1024
BLOCK = b"x" * 65536


def endless(kind):  # noqa: C901 - a table of kinds
    """Give 1 GiB of one thing."""
    if kind == "event":
        yield SSE + b'data: {"type": "response.output_text.delta", "delta": "'
        for _ in range(GIB // len(BLOCK)):
            yield BLOCK
    elif kind == "events":
        yield SSE
        event = b'data: {"type": "response.output_text.delta", "delta": "' + BLOCK + b'"}\n\n'
        for _ in range(GIB // len(event)):
            yield event
    elif kind == "comments":
        yield SSE
        for _ in range(GIB // len(BLOCK)):
            yield b": " + BLOCK
    elif kind == "body":
        yield JSON + b"content-length: %d\r\n\r\n" % GIB
        for _ in range(GIB // len(BLOCK)):
            yield BLOCK
    elif kind in ("bomb", "streamed-bomb"):
        packed = gzip.compress(b" " * (64 * 1024 * 1024))
        start = SSE if kind == "streamed-bomb" else JSON + b"\r\n"
        yield start.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
        for _ in range(16):
            yield packed
    elif kind == "error":
        yield b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % GIB
        for _ in range(GIB // len(BLOCK)):
            yield BLOCK


if __name__ == "__main__":
    with RawServer(lambda number, request: endless(sys.argv[1])) as server:
        print(server.url, flush=True)
        time.sleep(60)
