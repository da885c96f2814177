"""Exit codes, so that a script can tell failures apart. They are part of the interface: see ``docs/cli.md``."""

from __future__ import annotations

from agentrt.errors import AgentrtError, AuthenticationError, LocalModelError, UnreachableError, UsageError

__all__ = ["NO_ANSWER", "OK", "PENDING", "exit_code"]

OK = 0
NO_ANSWER = 1
"""The run ended, but without an answer: a limit, a refusal, an incomplete reply."""
USAGE = 2
AUTHENTICATION = 3
UNREACHABLE = 4
SERVER = 5
LOCAL_MODEL = 6
PENDING = 7
"""The run waits for a decision, and nobody was there to ask."""
"""Ctrl-C ends with 130, which typer does by itself: 128 + SIGINT, as shells have it."""


def exit_code(error: AgentrtError) -> int:
    """Give the exit code for an error: by its type, the most specific first."""
    for kind, code in (
        (UsageError, USAGE),
        (AuthenticationError, AUTHENTICATION),
        (UnreachableError, UNREACHABLE),
        (LocalModelError, LOCAL_MODEL),
    ):
        if isinstance(error, kind):
            return code
    return SERVER
