"""Every error that agentrt raises. The type says whose fault it is, the message says what to do next.

::

    AgentrtError
    ├── UsageError                 yours: an argument, a setting, a missing key
    │   ├── MissingExtraError      yours: an optional part is not installed
    │   └── BusyError              yours: somebody else works with this session or run right now
    ├── ServerError                the server's, or the way to it
    │   ├── UnreachableError       no answer: refused, cut off, silent
    │   │   └── DeadlineError          no whole answer within the time that was given
    │   ├── StatusError            an HTTP status of 400 or more
    │   │   ├── AuthenticationError    401, 403
    │   │   └── RateLimitError         429
    │   ├── MCPServerError         an MCP server refused a request
    │   └── WireError              an answer that is not the Responses API, or not MCP
    │       └── IncompleteStreamError  a stream without its end
    ├── ResponseFailedError        the model's: a response with status "failed"
    ├── OutputError                the model's: no answer that fits the agent's output_type
    ├── LimitReachedError          a limit's, where ``Limits(on_limit="raise")`` asks for it
    ├── RunRefused                 a guardrail's: raised in a hook to end the run as ``refused``
    ├── LocalModelError            the embedded model's: its weights or its engine
    ├── StoreError                 a store's: it can't be read or written
    └── ToolError                  a tool's: the text is for the model to read
        └── ToolRetry                  a tool's: it may be run again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentrt.core.state import RunState

__all__ = [
    "AgentrtError",
    "AuthenticationError",
    "BusyError",
    "DeadlineError",
    "IncompleteStreamError",
    "LimitReachedError",
    "LocalModelError",
    "MCPServerError",
    "MissingExtraError",
    "OutputError",
    "RateLimitError",
    "ResponseFailedError",
    "RunRefused",
    "ServerError",
    "StatusError",
    "StoreError",
    "ToolError",
    "ToolRetry",
    "UnreachableError",
    "UsageError",
    "WireError",
]


class AgentrtError(Exception):
    """The root of the tree: ``except AgentrtError`` catches all that agentrt raises by itself."""

    state: RunState | None = None
    """Where the run stood when the error stopped it; None outside a run."""

    status: int | None = None
    """The HTTP status behind the error; None when there was none."""


class UsageError(AgentrtError):
    """The caller can fix it: a wrong argument, a wrong combination, a key that isn't set."""


class MissingExtraError(UsageError):
    """An optional part of agentrt is not installed; the message holds the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}, which is not installed: pip install 'agentrt[{extra}]'")


class BusyError(UsageError):
    """Somebody else works with this session or run right now: here, in another thread or in another process.

    Args:
        kind: What it is, ``"session"`` or ``"run"``.
        key: Its id.
    """

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(
            f"somebody else works with the {kind} {key!r} right now: wait until that is done, or take another id"
        )


class ServerError(AgentrtError):
    """The server, or the way to it, is at fault."""

    request_id: str | None = None
    """The server's ``x-request-id``, for its support; None where no answer came."""

    client_request_id: str | None = None
    """The ``x-client-request-id`` that the request was sent with, the same for all its tries."""

    repeatable: bool = False
    """Whether the same request may be sent again without a thing being done twice: it surely was not worked on, or
    working on it twice is harmless. False for what may have been written into a conversation, works on in the
    background, or may have let a hosted MCP server act."""

    response_id: str | None = None
    """The background response that goes on at the server: ``client.wait(…)`` or ``client.cancel(…)`` it."""


class UnreachableError(ServerError):
    """No complete answer came: the connection was refused, cut, or silent for too long."""

    sent: bool = True
    """Whether the request may have reached the server, so that it may have been worked on."""


class DeadlineError(UnreachableError):
    """The whole answer, with all its retries, took longer than ``timeout``."""


class StatusError(ServerError):
    """The server answered with an HTTP status of 400 or more.

    Args:
        message: What happened and what to do about it.
        status: The HTTP status.
        code: The error's ``code`` or, where that is missing, its ``type``, as the server sent it.
        retry_after: Seconds that the server asked to wait.
        retryable: Whether it may go through later; whether it may be sent again says ``repeatable``.
        param: The parameter that the server complained of.
        told: The server's own message.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
        param: str | None = None,
        told: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.retryable = retryable
        self.param = param
        self.told = told


class AuthenticationError(StatusError):
    """401 or 403: the key is wrong, expired, or may not do this."""


class RateLimitError(StatusError):
    """429: too many requests, or no credit left."""


class MCPServerError(ServerError):
    """An MCP server answered a request with an error of its own (JSON-RPC 2.0, section 5.1).

    Args:
        message: What happened and what to do about it.
        code: The error's code, such as -32602 for arguments that it doesn't take.
        data: What the server added.
    """

    def __init__(self, message: str, *, code: int, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class WireError(ServerError):
    """What came is not the protocol: HTML, broken JSON, a stream without an end, something too big."""


class IncompleteStreamError(WireError):
    """A stream ended without ``response.completed``, ``.incomplete`` or ``.failed``: nothing in it counts."""


class ResponseFailedError(AgentrtError):
    """The server gave back a response whose status is ``failed`` and the run can't go on.

    Args:
        message: The server's own message.
        code: The server's error code, if it named one.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class OutputError(AgentrtError):
    """The model gave no answer that fits the agent's ``output_type``, however often it was told what is wrong."""


class LimitReachedError(AgentrtError):
    """A limit was reached, and ``on_limit="raise"`` was asked for. ``Result(error.state)`` has what there is.

    Args:
        message: What happened.
        stopped_by: The limit.
    """

    def __init__(self, message: str, *, stopped_by: str | None) -> None:
        super().__init__(message)
        self.stopped_by = stopped_by


class RunRefused(AgentrtError):  # noqa: N818 - it is no error: the run ends with the status that it names
    """Raise this in a hook before or after a model call: the run ends as ``refused``, with the text among its notes."""


class LocalModelError(AgentrtError):
    """The embedded model can't run: its weights can't be had or its engine refused them."""


class StoreError(AgentrtError):
    """A store can't be read or written: its disk is full, its file may not be written, another program keeps it locked.

    What it said it has kept is still there.
    """


class ToolError(AgentrtError):
    """Raise this in a tool to fail with a text that the model should read.

    Any other exception from a tool also reaches the model, as its type and message, never as a traceback.
    """


class ToolRetry(ToolError):  # noqa: N818 - the name says what is wished for
    """Raise this in a tool to be run again, as often as its ``retries`` allow; then the text goes to the model."""
