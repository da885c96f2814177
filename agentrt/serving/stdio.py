"""A server on the standard streams of its process, which are kept from tools meanwhile.

Not the SDK's own: that reads in anyio's worker threads, which can't be cancelled, so that Ctrl-C waits for a line.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import math
import os
import re
import sys
import threading
from collections.abc import Generator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage

from agentrt.errors import UsageError
from agentrt.registry.threads import asyncio_is_running, call_soon, run_in_thread
from agentrt.serving.ending import Ending

_ID = re.compile(rb'"id"\s*:\s*("(?:[^"\\]){0,100}"|\d{1,15})')
_HEAD = 4096
logger = logging.getLogger("agentrt.serving")
__all__ = ["serve_stdio"]

_MAX_LINE = 16 * 2**20
_CHUNK = 2**16
_AHEAD = 1000
"""Messages that are read before those before them have been taken up."""

Incoming = SessionMessage | Exception


def serve_stdio(server: Server[Any]) -> None:
    """Serve the client that started this process, until it closes stdin; see `agentrt.serve.serve_mcp`."""
    if asyncio_is_running():
        raise UsageError("serve_mcp() runs an event loop of its own; call it from sync code")
    running: list[tuple[Any, anyio.CancelScope]] = []

    def stop() -> None:
        for token, scope in running:
            call_soon(token, _cancel, scope)

    ending = Ending(stop)

    async def main(wire: _Wire) -> None:
        with anyio.CancelScope() as scope:
            running.append((anyio.lowlevel.current_token(), scope))
            async with server.lifespan(server) as state:
                await _serve(server, state, wire, ending)

    with _diverted() as (stdin, stdout), ending.watching():
        anyio.run(main, _Wire(stdin, stdout))


def _cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()


async def _serve(server: Server[Any], state: Any, wire: _Wire, ending: Ending) -> None:
    """Serve until the input ends; what is under way then is cancelled."""
    into, messages = anyio.create_memory_object_stream[Incoming](0)
    answers, out = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as group:
        group.start_soon(wire.read, into, ending)
        group.start_soon(wire.write, out)
        options = server.create_initialization_options()
        await serve_dual_era_loop(server, messages, answers, lifespan_state=state, init_options=options)


@contextlib.contextmanager
def _diverted() -> Generator[tuple[int, int]]:
    """Give the standard streams to the wire alone: who else reads finds the end, and who writes is on stderr."""
    stdin, stdout = os.dup(0), os.dup(1)
    printed = sys.stdout
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield stdin, stdout
        finally:
            with contextlib.suppress(OSError, ValueError):
                printed.flush()  # what was printed before must not be on the wire either
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.close(stdout)  # stdin's is left open: a thread may wait there


class _Wire:
    """Lines of JSON in and out.

    Args:
        stdin: The descriptor to read from.
        stdout: The one to write to.
    """

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._writing = anyio.Lock()

    async def read(self, into: MemoryObjectSendStream[Incoming], ending: Ending) -> None:
        """Hand messages in until the input ends, and then see to it that the server ends in time."""
        token = anyio.lowlevel.current_token()
        send, lines = anyio.create_memory_object_stream[bytes | None](math.inf)
        places = threading.BoundedSemaphore(_AHEAD)

        def wait_for_lines() -> None:
            for line in _lines(self._stdin):
                places.acquire()
                call_soon(token, send.send_nowait, line)
            ending.in_time()  # though the event loop may be blocked by a tool
            call_soon(token, send.send_nowait, None)

        threading.Thread(target=wait_for_lines, name="agentrt-stdin", daemon=True).start()
        with send, lines:
            async with into:
                while (line := await lines.receive()) is not None:
                    places.release()
                    if not line.strip():
                        continue
                    message = _message(line)
                    if isinstance(message, SessionMessage):
                        await into.send(message)
                    else:
                        await self._put(_refusal(line))

    async def write(self, out: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Write messages as they come."""
        async with out:
            async for message in out:
                try:
                    line = message.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                except ValueError:
                    logger.exception("a message could not be written")
                    line = _error(getattr(message.message, "id", None), types.INTERNAL_ERROR, "it could not be written")
                await self._put(line)

    async def _put(self, line: bytes) -> None:
        async with self._writing:
            await run_in_thread(functools.partial(_write, self._stdout, line + b"\n"))


def _lines(descriptor: int) -> Iterator[bytes]:
    """Read lines until the end; of one that is too long nothing is kept, and an empty object stands for it."""
    line, too_long = bytearray(), False
    while chunk := os.read(descriptor, _CHUNK):
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            yield b"{}" if too_long else bytes(line + piece)
            line, too_long = bytearray(), False
        line += rest
        if len(line) > _MAX_LINE:
            line, too_long = bytearray(), True


def _refusal(line: bytes) -> bytes:
    """Answer what can't be read, so that nobody waits for it: its id is looked for in the head of the line."""
    found = _ID.search(line[:_HEAD])
    key = None if found is None else json.loads(found.group(1))
    return _error(key, types.PARSE_ERROR, "this is no JSON-RPC message")


def _error(key: int | str | None, code: int, words: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": words}}).encode()


def _message(line: bytes) -> Incoming:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    with contextlib.suppress(BrokenPipeError):  # the client is gone; that its end of stdin is closed tells the rest
        while left:
            left = left[os.write(descriptor, left) :]
