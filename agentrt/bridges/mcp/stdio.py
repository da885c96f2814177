"""The transport to an MCP server that runs as a child process: JSON-RPC over its stdin and stdout, a message a line.

The SDK's own transport has no bound for a line and copies what it has at each chunk, keeps neither stderr nor the exit
code, and leaves servers behind when its process is killed (`process` and `launcher` see to that). What is above is the
SDK's: this is one of its `Transport`s. See https://modelcontextprotocol.io/specification/2025-11-25/basic/transports.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import signal
from collections.abc import Iterator
from types import TracebackType

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, jsonrpc_message_adapter
from pydantic_core import PydanticSerializationError

from agentrt.bridges.mcp.command import StdioCommand
from agentrt.bridges.mcp.process import ServerProcess
from agentrt.errors import AgentrtError, UnreachableError, UsageError, WireError
from agentrt.wire.text import unmistakable

__all__ = ["StdioTransport"]

logger = logging.getLogger("agentrt.mcp")

_READ_BYTES = 64 * 1024
_TOLD_CHARACTERS = 2000
_STRAY_CHARACTERS = 200
_STRAY_LINES_LOGGED = 3
_SETTLE_SECONDS = 0.5
_FLUSH_SECONDS = 0.5
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ENDED = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class StdioTransport:
    """A way to one server, once: ``mcp.Client(StdioTransport(command, name="files"))``.

    Args:
        command: How to start the server.
        name: The server's name, for errors and logs.
    """

    def __init__(self, command: StdioCommand, *, name: str) -> None:
        self._command = command
        self._name = name
        self._process: ServerProcess | None = None
        self._over = anyio.Event()
        self._read_out = anyio.Event()
        self._heard_out = anyio.Event()
        self._written = anyio.Event()
        self._leaving = False
        self.failure: AgentrtError | None = None
        """Why the connection ended, where it ended by itself."""
        self.stray_lines = 0
        """How many lines of stdout were no JSON-RPC; they are passed over."""

    @property
    def pid(self) -> int | None:
        """The server's process id, also after its end; None before its start."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The server's exit code, negative for the signal that ended it; None before its end."""
        return None if self._process is None else self._process.exit_code

    @property
    def stderr_tail(self) -> str:
        """The last 8 KiB that the server wrote to stderr, safe to show, with names for the values of ``env``."""
        return "" if self._process is None else self._process.said.text()

    async def __aenter__(
        self,
    ) -> tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]:
        """Start the server.

        Returns:
            A stream of what the server says, which ends with the connection, and a stream of what to say to it.

        Raises:
            UsageError: The server can't be started, or this transport was used before.
        """
        if self._process is not None:
            raise UsageError(f"this transport to the MCP server {self._name!r} was used before; make a new one")
        with anyio.CancelScope(shield=True):  # it takes milliseconds
            self._process = await ServerProcess.start(self._command, self._name)
        process = self._process
        assert process is not None
        # Nothing waits from here to the return, so that no cancellation can lose the process.
        said, heard = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        order, ordered = anyio.create_memory_object_stream[SessionMessage](0)
        self._streams = (said, heard, order, ordered)
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._read, process, said)
        self._group.start_soon(self._write, process, ordered)
        self._group.start_soon(self._listen, process)
        self._group.start_soon(self._await_exit, process)
        self._group.start_soon(self._await_end, process, said)
        return heard, order

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the server, however the connection ends: at most twice ``close_timeout`` and 2.5 seconds."""
        if self._process is None:
            return
        self._leaving = True
        try:
            with anyio.CancelScope(shield=True):
                for stream in self._streams[:3]:  # what was already taken up to be written still is
                    stream.close()
                with anyio.move_on_after(_FLUSH_SECONDS):
                    await self._written.wait()
                await self._process.stop()
        finally:
            self._group.cancel_scope.cancel()
            try:
                # The error passes by the group, which would wrap it.
                await self._group.__aexit__(None, None, None)
            finally:
                self._streams[3].close()
                with anyio.CancelScope(shield=True):
                    await self._process.release()

    async def _read(self, process: ServerProcess, said: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        lines = _Lines(self._command.max_line)
        try:
            while True:
                for line in lines.feed(await process.stdout.receive(_READ_BYTES)):
                    await self._pass_on(process, line, said)
        except _LineTooLongError:
            self.failure = WireError(
                f"the MCP server {self._name!r} sent a line of more than {self._command.max_line} bytes; have it give "
                "less at once, or raise max_line"
            )
            process.terminate()  # busy writing, it would not see the end of its stdin
        except _ENDED:
            pass
        finally:
            self._read_out.set()
            self._over.set()

    async def _pass_on(
        self, process: ServerProcess, line: str, said: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        if not line or line.isspace():
            return
        try:
            message = _decoded(line)
        except (ValueError, RecursionError):
            self._note_stray(process, line)
            return
        # When nobody listens any more, reading on lets a server that is busy writing see the end of its stdin.
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await said.send(SessionMessage(message))

    def _note_stray(self, process: ServerProcess, line: str) -> None:
        self.stray_lines += 1
        if self.stray_lines <= _STRAY_LINES_LOGGED:
            last = "; more of them are not logged" if self.stray_lines == _STRAY_LINES_LOGGED else ""
            shown = unmistakable(process.said.redacted(line)[:_STRAY_CHARACTERS])
            logger.warning("the MCP server %r wrote to stdout what is no JSON-RPC: %s%s", self._name, shown, last)

    async def _write(self, process: ServerProcess, ordered: MemoryObjectReceiveStream[SessionMessage]) -> None:
        try:
            async for item in ordered:
                await process.stdin.send(_encoded(item.message) + b"\n")
        except _ENDED:
            self._over.set()
        finally:
            self._written.set()

    async def _listen(self, process: ServerProcess) -> None:
        try:
            while True:
                process.said.feed(await process.stderr.receive(_READ_BYTES))
        except _ENDED:
            self._heard_out.set()

    async def _await_exit(self, process: ServerProcess) -> None:
        await process.wait()
        self._over.set()

    async def _await_end(
        self, process: ServerProcess, said: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        """Close the stream of what the server says, with the reason known, whichever of its ends comes first."""
        await self._over.wait()
        if self.failure is None:
            # The rest comes at once, or never: a process below the server may hold the pipes.
            with anyio.move_on_after(_SETTLE_SECONDS):
                await process.wait()
                await self._read_out.wait()
                await self._heard_out.wait()
        if self.failure is None and not self._leaving:
            self.failure = UnreachableError(self._ending())
        said.close()

    def _ending(self) -> str:
        code, stderr = self.exit_code, self.stderr_tail[-_TOLD_CHARACTERS:]
        if code is None:
            what = "closed its end of the connection, though it still runs"
        elif code < 0:
            what = f"was ended by signal {-code} ({signal.strsignal(-code)})"
        else:
            what = f"exited with code {code}"
        told = (
            f"its stderr: {stderr}" if stderr else f"it wrote nothing to stderr; run {self._command.command!r} by hand"
        )
        return f"the MCP server {self._name!r} {what}; {told}"


class _LineTooLongError(Exception):
    """A line has more bytes than it may."""


class _Lines:
    """Cuts bytes into lines, in time and memory that grow with what comes and no faster.

    Args:
        max_line: Bytes that one line may have.
    """

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[str]:
        """Take what came and give the lines that it completes; what is no UTF-8 is replaced.

        Raises:
            _LineTooLongError: A line, complete or not, has more than ``max_line`` bytes.
        """
        start = len(self._rest)
        self._rest += data
        while (end := self._rest.find(b"\n", start)) >= 0:
            self._check(end)
            line = self._rest[:end].decode(errors="replace")
            del self._rest[: end + 1]
            start = 0
            yield line
        self._check(len(self._rest))

    def _check(self, size: int) -> None:
        if size > self._max_line:
            self._rest.clear()
            raise _LineTooLongError


def _decoded(line: str) -> JSONRPCMessage:
    try:
        return jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        if not _SURROGATE.search(line):
            raise
    # JavaScript cuts texts in the middle of an emoji, and writes the half as an escape that pydantic refuses.
    whole = json.dumps(json.loads(line), ensure_ascii=False).encode(errors="replace")
    return jsonrpc_message_adapter.validate_json(whole, by_name=False)


def _encoded(message: JSONRPCMessage) -> bytes:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    except PydanticSerializationError:  # half a surrogate pair, which models write and only an escape can say
        return json.dumps(message.model_dump(by_alias=True, exclude_unset=True)).encode()
