"""What may be said of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from agentrt.core.limits import Limits
from agentrt.core.result import Result
from agentrt.wire.items import Item

if TYPE_CHECKING:
    from agentrt.drivers.plan import Decide

__all__ = ["RunOptions"]


class RunOptions(TypedDict, total=False):
    """What may be said of one run."""

    deps: Any
    """What tools get as ``context.deps``: a database, a user, …."""
    after: Result[Any] | Sequence[Item] | None
    """An earlier result: the conversation goes on from there. Or all items of a conversation, the user's own messages
    included (``result.items`` has only what the run added)."""
    session: str | None
    """The id of a conversation in the agent's storage: it goes on from there, and is kept there, whatever comes."""
    limits: Limits | None
    """Limits for this run instead of the agent's."""
    run_id: str | None
    """An id of your own for the run. With a storage a known one is resumed, or its result is given."""
    on_pending: Decide | None
    """Decides at once what is pending; None leaves it open. Sync: in a thread, one question at a time; async: all that
    there are at once. Without it the run ends as ``pending``."""
