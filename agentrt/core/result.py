"""`Result`: how a run ended and what it brought."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from agentrt.core.history import final_text, has_answer
from agentrt.core.pending import Pending
from agentrt.core.state import MAIN, RunState, Status
from agentrt.errors import UsageError
from agentrt.wire.items import Item, Message
from agentrt.wire.responses import Usage
from agentrt.wire.tool_views import ImageGenerationCall

__all__ = ["Result"]

Out = TypeVar("Out", default=str)


@dataclass(eq=False)
class Result(Generic[Out]):
    """What a run came to. Nothing here is copied: it is a view of the run's state.

    Args:
        state: The state of a run that has ended, or waits for a decision.
        artifacts: The whole text of outputs that were too long for the model, by call id. It is no part of the state.
        decode: Makes the typed output of the answer's text; None where that is the output.
    """

    state: RunState
    artifacts: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    decode: Callable[[str], Out] | None = field(default=None, repr=False)

    @functools.cached_property
    def items(self) -> list[Item]:
        """What the run added to the history."""
        thread = self.state.threads[MAIN]
        return list(thread.items[thread.given :])

    @property
    def status(self) -> Status:
        """``completed``, ``pending``, ``limit``, ``refused``, ``incomplete`` or ``cancelled``."""
        assert self.state.status is not None
        return self.state.status

    @property
    def stopped_by(self) -> str | None:
        """The limit that refused a call or cut the run, such as ``max_tool_calls``."""
        return self.state.stopped_by

    @property
    def pending(self) -> list[Pending]:
        """What waits for a decision: ``agent.resume(result.state, {pending.id: Approve()})``."""
        return self.state.pending

    @property
    def notes(self) -> tuple[str, ...]:
        """What was changed that you should know: a broken history that was mended, reasoning that was left out."""
        return self.state.notes

    @property
    def text(self) -> str:
        """The model's answer: the text after its last call. Empty when there is none."""
        answer = self.state.threads[MAIN].answer
        return final_text(self.items) if answer is None else answer

    @property
    def output(self) -> Out:
        """The answer in the agent's ``output_type``, for a run that came to one.

        Raises:
            UsageError: The run has no answer; the message names its status.
        """
        if has_answer(self.status, self.text):
            return cast("Out", self.text) if self.decode is None else self.decode(self.text)
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
        """Tokens of the whole run, sub-agents included."""
        return self.state.meter.usage

    @property
    def cost(self) -> float:
        """US dollars of the whole run, as far as prices are known: see ``Agent(prices=…)``."""
        return self.state.meter.cost

    @property
    def turns(self) -> int:
        """Requests of the whole run, sub-agents included."""
        return self.state.meter.turns

    @property
    def agent(self) -> str:
        """The name of the agent that had the last word."""
        return self.state.threads[MAIN].agent

    def __repr__(self) -> str:
        """Show how the run ended, not what was said."""
        return f"Result(status={self.state.status!r}, turns={self.turns}, items={len(self.items)})"
