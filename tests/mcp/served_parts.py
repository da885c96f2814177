"""What tests of serving share: servers in processes of their own, and clients of the SDK's."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters

SERVED = str(Path(__file__).with_name("served_tools.py"))
ERAS = ["2026-07-28", "legacy"]


@contextlib.contextmanager
def over_http(*command, **environment):
    """Serve over HTTP in a process; gives its address and the process."""
    process = subprocess.Popen(
        [sys.executable, *(command or (SERVED, "http", "0"))],
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited(), **environment},
    )
    try:
        told = ""
        while "MCP server at " not in told:
            told = process.stderr.readline()
            assert told, "the server ended"
        yield told.split()[-1], process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def inherited():
    """Buffered, as a program's streams usually are: what was printed before the server began is still in there."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def stdio():
    return StdioServerParameters(command=sys.executable, args=[SERVED], env=inherited())


def client(where, era, **options):
    return Client(where, mode=era, read_timeout_seconds=20, **options)


def text(result):
    return "\n".join(block.text for block in result.content)
