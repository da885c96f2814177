"""What tests of the MCP bridge share: the rogue server, and what must be gone afterwards."""

import sys
from pathlib import Path

from agentrt import MCPServer

ROGUE = str(Path(__file__).with_name("rogue.py"))


def rogue(mode, value=None, *, name=None, **options):
    """Make the rogue server in a mode; it is asked for the older revision, so that nothing is probed."""
    more = () if value is None else (str(value),)
    given = {"connect_timeout": 2.0, "call_timeout": 1.0, "protocol": "2025-11-25", **options}
    return MCPServer.stdio(sys.executable, ROGUE, mode, *more, name=name or "rogue", **given)


def is_running(pid):
    """Tell whether a process lives; one that waits to be reaped doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))
