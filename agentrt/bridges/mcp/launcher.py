"""A script that is launched beside an MCP server and ends its process group once the host is gone, however it went.

Run as ``python -I -S launcher.py HOST SECONDS``: HOST is the id of the process that started it, which alone holds the
other end of stdin and writes the group's id there, a line, once there is one. The host ends this script when the group
is gone. The host's death closes its pipes, so a server that heeds the end of its stdin gets SECONDS to leave; then the
group gets SIGTERM and, after as long again, SIGKILL.

A script of its own, since only another process outlives SIGKILL. Linux's PR_SET_PDEATHSIG could do without, but its
signal reaches only the direct child (not node below npx), and comes when the forking *thread* ends: trio forks in a
worker thread, which ends when it was idle.
"""

import os
import select
import signal
import sys
import time

_POLL_SECONDS = 0.02


def told_before_the_end_of(host: int) -> bytes:
    """Block until the process that started this script is gone; gives what it wrote to stdin."""
    signs = [0]
    if hasattr(os, "pidfd_open"):
        try:  # noqa: SIM105 - importing contextlib takes as long as all the rest
            signs.append(os.pidfd_open(host))  # a fork of the host's would keep the pipe open
        except OSError:  # some containers forbid it
            pass
    patience = None if os.getppid() == host else 0
    told = b""
    while 0 in select.select(signs, [], [], patience)[0]:
        data = os.read(0, 64)
        if not data:
            break
        told += data
    return told


def end(group: int, seconds: float) -> None:
    """Wait for a process group to leave, and help it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not send(group, 0):
                return
            time.sleep(_POLL_SECONDS)
        send(group, number)


def send(group: int, number: int) -> bool:
    """Send a signal to a process group; tells whether there was any process in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # a member runs as another user, or is dead and not yet waited for (macOS)
        pass
    return True


if __name__ == "__main__":
    group = told_before_the_end_of(int(sys.argv[1]))
    if group:
        end(int(group), float(sys.argv[2]))
