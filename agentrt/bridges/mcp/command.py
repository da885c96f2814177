"""How an MCP server is started as a child process. Importing this costs nothing: configurations are made of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrt.errors import UsageError

__all__ = ["StdioCommand"]

_INHERITED = (
    (
        "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE",
        "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
    )
    if sys.platform == "win32"
    else ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
)  # fmt: skip
"""What every server may see: who and where the user is, and what programs can't find or write their text without.

The SDKs' own list, with the locale (else a server may write another encoding than UTF-8), the time zone, and where
temporary files go. No key, token or proxy (its address may hold a password) is among them.
"""


@dataclass(frozen=True, kw_only=True)
class StdioCommand:
    """A command that starts an MCP server on its stdin and stdout. No shell reads it.

    Args:
        command: The program: a name that is looked up in ``PATH``, or a path.
        args: Its arguments, one by one. Not shown: a configuration may put a key there.
        env: Variables for the server. Shown nowhere: they are where its keys go.
        cwd: Its working directory; default this process's.
        inherit_env: Names of variables that it may see beside the few that every server sees.
        close_timeout: Seconds that it gets to end after its stdin was closed, and again after SIGTERM.
        max_line: Bytes that one line of it may have.
    """

    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    inherit_env: tuple[str, ...] = ()
    close_timeout: float = 2.0
    max_line: int = 16 * 2**20

    def __post_init__(self) -> None:
        given: tuple[tuple[str, Any], ...] = (
            ("command", [self.command]),
            ("args", self.args),
            ("env", [*self.env.keys(), *self.env.values()]),
            ("inherit_env", self.inherit_env),
        )
        for name, texts in given:
            if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
                raise UsageError(f"{name} of an MCP server must be made of texts, one for each part")

    def environment(self) -> dict[str, str]:
        """Give all variables that the server will see.

        Values that start with ``()`` are left out of what is inherited: old shells run them (CVE-2014-6271).
        """
        shared = {name: os.environ[name] for name in (*_INHERITED, *self.inherit_env) if name in os.environ}
        return {name: value for name, value in shared.items() if not value.startswith("()")} | dict(self.env)
