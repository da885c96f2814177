"""The process of an MCP server, and its end: nothing of it outlives the connection, nor the process that opened it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.abc

from agentrt.bridges.mcp import launcher
from agentrt.bridges.mcp.command import StdioCommand
from agentrt.errors import UsageError
from agentrt.wire.text import unmistakable

__all__ = ["ServerProcess"]

logger = logging.getLogger("agentrt.mcp")

_KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
_KILL_SECONDS = 1.0
_POLL_SECONDS = 0.01
_TAIL_BYTES = 8 * 1024
_SECRET_CHARACTERS = 6


class ServerProcess:
    """A server that runs, the leader of a session and a process group of its own.

    On POSIX all of the group ends with the server. What leaves the group on purpose, as daemons do, lives on. On
    Windows only the server itself is ended, and nothing ends it when this process is killed: it sees the end of its
    stdin.
    """

    def __init__(self, process: anyio.abc.Process, command: StdioCommand, guard: _Guard | None) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise TypeError("a server needs three pipes")
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self._process = process
        self._guard = guard
        self._close_timeout = command.close_timeout
        self.said = _Tail(_TAIL_BYTES, command.env)
        """The end of what it wrote to stderr, for whoever reads that to fill."""

    @classmethod
    async def start(cls, command: StdioCommand, name: str) -> ServerProcess:
        """Start a server.

        Args:
            command: What to start.
            name: The server's name, for errors.

        Raises:
            UsageError: It can't be started; the message says what is missing.
        """
        environment = command.environment()
        program = command.command
        if sys.platform == "win32":  # Windows looks for no npx.cmd by itself
            program = shutil.which(program, path=environment.get("PATH")) or program
        guard = await _Guard.start(command.close_timeout)  # first: this process may be killed at any moment
        try:
            process = await anyio.open_process(
                [program, *command.args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=command.cwd,
                start_new_session=True,
            )
        except BaseException as error:
            if guard is not None:
                await guard.end()
            if isinstance(error, OSError | ValueError):
                raise UsageError(_cannot_start(command, name, error)) from error
            raise
        if guard is not None:
            guard.watch(process.pid)
        return cls(process, command, guard)

    @property
    def pid(self) -> int:
        """The process id, that of the group too."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for the signal that ended it; None while it runs."""
        return self._process.returncode

    async def wait(self) -> None:
        """Wait for the server's end; processes below it may live on."""
        await self._process.wait()

    def terminate(self) -> None:
        """Ask the server, and what it started, to end; `stop` still has to follow."""
        self._send(signal.SIGTERM)

    async def stop(self) -> None:
        """End the server and its group, as the specification says: stdin closed, SIGTERM, SIGKILL.

        Takes at most twice ``close_timeout``. See "Shutdown" at
        https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle.
        """
        try:
            with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self.stdin.aclose()
            with anyio.move_on_after(self._close_timeout):
                await self.wait()
            if not self._send(signal.SIGTERM):
                return
            with anyio.move_on_after(self._close_timeout):
                await self.wait()
                while self._send(0):  # noqa: ASYNC110 - nothing tells of the end of a group
                    await anyio.sleep(_POLL_SECONDS)
                return
            self._send(_KILL)
        except BaseException:  # a bare asyncio cancellation gets through every shield
            self._send(_KILL)
            raise

    async def release(self) -> None:
        """Close what is left of the pipes, after `stop`."""
        with anyio.move_on_after(_KILL_SECONDS):
            await self.wait()
        if self.exit_code is None:
            logger.warning("the process %d of an MCP server can't be killed; it is left alone", self.pid)
        else:
            await self._process.aclose()
        if self._guard is not None:
            await self._guard.end()

    if sys.platform == "win32":

        def _send(self, number: int) -> bool:
            if number and self.exit_code is None:
                self._process.kill()
            return self.exit_code is None

    else:

        def _send(self, number: int) -> bool:
            """Send a signal to all of the group; tells whether there was anybody."""
            return launcher.send(self.pid, number)


class _Tail:
    """The end of what a program wrote.

    Args:
        size: Bytes that are kept.
        secrets: Names and values of variables; where a value turns up, its name is shown instead.
    """

    def __init__(self, size: int, secrets: Mapping[str, str]) -> None:
        self._size = size
        self._secrets = sorted(
            ((value, name) for name, value in secrets.items() if len(value) >= _SECRET_CHARACTERS),
            key=lambda secret: -len(secret[0]),
        )
        self._kept = bytearray()
        self._is_cut = False

    def feed(self, data: bytes) -> None:
        """Take what was written next."""
        self._kept += data
        if len(self._kept) > self._size:
            del self._kept[: -self._size]
            self._is_cut = True

    def text(self) -> str:
        """Give it, made safe to show; a line that lost its beginning is left out."""
        whole = self._kept.partition(b"\n")[2] if self._is_cut and b"\n" in self._kept else self._kept
        return "\n".join(map(unmistakable, self.redacted(whole.decode(errors="replace")).splitlines()))

    def redacted(self, text: str) -> str:
        """Give a text without the secrets."""
        for value, name in self._secrets:
            text = text.replace(value, f"${name}")
        return text


class _Guard:
    """A process that ends a server when this process is gone."""

    def __init__(self, process: anyio.abc.Process, line: int) -> None:
        self._process = process
        self._line = line

    @classmethod
    async def start(cls, close_timeout: float) -> _Guard | None:
        """Start one; gives None on Windows, in programs that are no Python by name (frozen ones), and when it fails."""
        name = Path(sys.executable or "").name
        if sys.platform == "win32" or hasattr(sys, "frozen") or not name.startswith(("python", "pypy")):
            return None
        ours, line = os.pipe()
        try:
            process = await anyio.open_process(
                [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(close_timeout)],
                stdin=ours,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                start_new_session=True,
            )
        except BaseException as error:
            os.close(line)
            if not isinstance(error, OSError):
                raise
            logger.warning("if this process is killed, an MCP server may outlive it: no guard (%s)", error)
            return None
        finally:
            os.close(ours)
        return cls(process, line)

    def watch(self, group: int) -> None:
        """Tell it what to end. Waits for nothing, so that the server is never without it for long."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._line, b"%d\n" % group)

    async def end(self) -> None:
        """End it, when its work is done."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        os.close(self._line)
        with anyio.CancelScope(shield=True):
            await self._process.aclose()


def _cannot_start(command: StdioCommand, name: str, error: Exception) -> str:
    if command.cwd is not None and not Path(command.cwd).is_dir():
        return f"the MCP server {name!r} can't start: its cwd {command.cwd!r} is no directory; create it or correct cwd"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, FileNotFoundError):
        hint = "install it, correct the command (the program only; arguments go into args), or give its full path"
    else:
        hint = "correct its command, args and env"
    return f"the MCP server {name!r} can't start: {command.command!r}: {reason}; {hint}"
