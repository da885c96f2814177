"""`Context`: what a tool may know of the run that calls it. The model never sees it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from agentrt.errors import ToolError
from agentrt.wire.responses import Usage

__all__ = ["Ask", "Context", "ToolAsks", "call_key"]

Ask = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]]
"""Asks a person for values, by a text and their JSON schema; None where they decline."""

Deps = TypeVar("Deps", default=Any)


class ToolAsks(Exception):  # noqa: N818 - it is no error: the call goes on once there is an answer
    """Raised by a tool that can't go on without an answer of somebody's; it is run again with that.

    Args:
        message: What is asked, for people to read.
        schema: The JSON schema of the answer.
        request_state: What the tool wants back with it.
    """

    def __init__(self, message: str, schema: Mapping[str, Any], request_state: str | None) -> None:
        super().__init__(message)
        self.schema = schema
        self.request_state = request_state


class Context(Generic[Deps]):
    """What a tool gets that asks for it: a parameter annotated ``Context`` or ``Context[MyDeps]``, at any place.

    In a unit test, make one yourself: ``await weather("Paris", Context(deps=fake))``.

    Args:
        deps: What the caller of the run passed as ``deps=``.
        call_id: The call's id, as the model's reply has it.
        key: An idempotency key: the same for this call over retries and resumes, and for no other call.
        run_id: The run's id.
        agent: The name of the agent at work.
        turn: The turn that the call came in, from 1.
        attempt: Which try of this call it is, from 1.
        timeout: Seconds that this try may take; None for no bound.
        usage: Tokens that the run has used so far.
        report: Takes what `progress` tells, and what a generator gives: fraction, message, piece; default nobody.
        reply: What was answered to what the call asked when it ran before; for tools of MCP servers.
        ask: Asks a person while the call goes on; for those tools too. None where there is nobody.
    """

    def __init__(  # noqa: PLR0913 - keyword only, each with a default
        self,
        deps: Deps = cast("Any", None),  # noqa: B008 - no call at all for those who run it
        *,
        call_id: str = "",
        key: str = "",
        run_id: str = "",
        agent: str = "",
        turn: int = 0,
        attempt: int = 1,
        timeout: float | None = None,
        usage: Usage | None = None,
        report: Callable[[float | None, str, Any], None] | None = None,
        reply: Mapping[str, Any] | None = None,
        ask: Ask | None = None,
    ) -> None:
        self.deps = deps
        self.call_id = call_id
        self.key = key
        self.run_id = run_id
        self.agent = agent
        self.turn = turn
        self.attempt = attempt
        self.usage = usage or Usage()
        self.reply = reply
        self.ask = ask
        self.deadline = None if timeout is None else time.monotonic() + timeout
        """When this try must be over, on `time.monotonic`; None for no bound."""
        self._report = report
        self._cancelled = threading.Event()

    def progress(self, fraction: float | None = None, message: str = "") -> None:
        """Tell how far the work is, as an event of the run. May be called from any thread, and never waits.

        Args:
            fraction: From 0 to 1, beyond it is cut; None where that isn't known.
            message: A few words for whoever watches.
        """
        if self._report is not None:
            self._report(None if fraction is None else min(1.0, max(0.0, float(fraction))), message, None)

    def give(self, piece: Any) -> None:
        """Tell of a part of the output that is there already; agentrt does that for generators."""
        if self._report is not None:
            self._report(None, "", piece)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more. A sync tool that works long looks at it now and then."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """End the tool here if nobody waits for it any more: raises ToolError then."""
        if self.cancelled:
            raise ToolError("the call was cancelled")

    def cancel(self) -> None:
        """Set `cancelled`; agentrt does that when the call's time is up, or the run ends."""
        self._cancelled.set()

    def __repr__(self) -> str:
        """Show which call it is; deps may hold secrets."""
        return f"Context(call_id={self.call_id!r}, run_id={self.run_id!r}, attempt={self.attempt})"


def call_key(run_id: str, turn: int, position: int, tool: str) -> str:
    """Make the idempotency key of a call.

    Args:
        run_id: The run's id.
        turn: The turn that the call came in.
        position: Its position in the reply's output.
        tool: The tool's key: its name, with its namespace.
    """
    return hashlib.sha256(f"{run_id}\x1f{turn}\x1f{position}\x1f{tool}".encode()).hexdigest()
