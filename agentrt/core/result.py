"""`Result`: how a run ended and what it brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentrt.core.state import MAIN, RunState, Status
from agentrt.errors import UsageError
from agentrt.wire.items import CALLS, Item, Message
from agentrt.wire.responses import Usage
from agentrt.wire.tool_views import ImageGenerationCall

__all__ = ["Result"]

_OUTPUTS = frozenset(kind.output_type for kind in CALLS.values())


class Result:
    """What a run came to. Nothing here is copied: it is a view of the run's state.

    Args:
        state: The state of a run that has ended.
        artifacts: The whole text of outputs that were too long for the model, by call id. It is no part of the state.
    """

    def __init__(self, state: RunState, artifacts: Mapping[str, str] | None = None) -> None:
        self.state = state
        self.artifacts: Mapping[str, str] = artifacts or {}
        thread = state.threads[MAIN]
        self.items: list[Item] = list(thread.items[thread.given :])

    @property
    def status(self) -> Status:
        """``completed``, ``limit``, ``refused``, ``incomplete`` or ``cancelled``."""
        assert self.state.status is not None
        return self.state.status

    @property
    def stopped_by(self) -> str | None:
        """The limit that refused a call or cut the run, such as ``max_tool_calls``."""
        return self.state.stopped_by

    @property
    def text(self) -> str:
        """The model's answer: the text after its last call. Empty when there is none."""
        text: list[str] = []
        for item in reversed(self.items):
            if item.type in CALLS or item.type in _OUTPUTS:
                break
            if isinstance(item, Message) and item.phase != "commentary":
                text.insert(0, item.text)
        return "".join(text)

    @property
    def output(self) -> str:
        """The answer, for a run that came to one.

        Raises:
            UsageError: The run has no answer; the message names its status.
        """
        if self.status in ("completed", "limit") and (self.text or self.status == "completed"):
            return self.text
        raise UsageError(f"the run has no output, its status is {self.status!r}; look at .status before .output")

    @property
    def citations(self) -> list[dict[str, Any]]:
        """What the answer refers to, as the wire has it: ``url_citation``, ``file_citation``, ….

        A ``container_file_citation`` names a file that the code interpreter made: fetch it with
        ``client.container_file(citation["container_id"], citation["file_id"])``.
        """
        return [note for item in self.items if isinstance(item, Message) for note in item.annotations]

    @property
    def images(self) -> list[bytes]:
        """The images that the provider's image generation made in this run."""
        return [item.image for item in self.items if isinstance(item, ImageGenerationCall) and item.image is not None]

    @property
    def usage(self) -> Usage:
        """Tokens of the whole run."""
        return self.state.meter.usage

    @property
    def turns(self) -> int:
        """Requests of the whole run."""
        return self.state.meter.turns

    def __repr__(self) -> str:
        """Show how the run ended, not what was said."""
        return f"Result(status={self.status!r}, turns={self.turns}, items={len(self.items)})"
