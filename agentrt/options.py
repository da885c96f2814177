"""What may be said of one run, and the plan that comes of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from agentrt.assembly import check_types
from agentrt.core.limits import Limits
from agentrt.core.result import Result
from agentrt.core.state import RunState, evolve
from agentrt.drivers.plan import Decide, Plan
from agentrt.errors import UsageError
from agentrt.wire.items import Item
from agentrt.wire.requests import no_such

if TYPE_CHECKING:
    from agentrt.store import Store

__all__ = ["RunOptions", "planned"]


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
    """Decides at once what is pending, sync or async; None leaves it open. Without it the run ends as ``pending``."""


def planned(
    plan: Plan,
    options: RunOptions,
    storage: Store | None,
    *,
    provider: str | None,
    session: str | None = None,
    begin: Callable[[RunState], RunState] | None = None,
) -> Plan:
    """Plan a run of which more is said than its input.

    Args:
        plan: The agent's plan.
        options: What is said.
        storage: The agent's storage.
        provider: The name of the provider, for traces.
        session: The session of a state that is taken up.
        begin: Makes the state that the run begins with, of the session's last one; None where a state is taken up.

    Raises:
        UsageError: An option is unknown, of a wrong type, or doesn't go with another.
    """
    for name in options:
        if name not in RunOptions.__annotations__:
            raise no_such("a run has no option", name, RunOptions.__annotations__, {"context": "deps"})
    session = session if options.get("session") is None else options.get("session")
    check_types(limits=(options.get("limits"), Limits), session=(session, str), run_id=(options.get("run_id"), str))
    if session is not None and options.get("after") is not None:
        raise UsageError("session= and after= are two different histories; leave one of them out")
    if session is not None and storage is None and begin is not None:
        raise UsageError(
            "session= needs a storage: Agent(storage=SQLiteStore('chats.db')), or MemoryStore() for as long as the "
            "process lives; both are in agentrt.store"
        )
    plan = evolve(plan, deps=options.get("deps"), on_pending=options.get("on_pending"))
    if storage is not None:
        from agentrt.drivers.keeping import Keeper  # noqa: PLC0415 - only a store needs it

        plan = evolve(plan, keeper=Keeper(storage, session, begin))
    if "opentelemetry.trace" in sys.modules:
        from agentrt.trace import RunTrace, tracing_is_on  # noqa: PLC0415 - only where somebody traces

        if tracing_is_on():
            trace = RunTrace(provider=provider)
            plan = evolve(plan, trace=trace, observers=(*plan.observers, trace))
    return plan
