"""Keeps a run and its session in a store, so that neither is lost, nor done twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from agentrt.core.state import RunState
from agentrt.errors import UsageError
from agentrt.store import Store

__all__ = ["Keeper"]

logger = logging.getLogger("agentrt.run")


class Keeper:
    """Keeps one run.

    Args:
        store: Where.
        session: The id of the conversation that it belongs to; None where it belongs to none.
        begin: Makes the state that the run begins with, of the session's last one; None where a state is taken up.
    """

    def __init__(self, store: Store, session: str | None, begin: Callable[[RunState], RunState] | None) -> None:
        self._store = store
        self._session = session
        self._begin = begin
        self._saved: RunState | None = None

    async def open(self, state: RunState) -> RunState:
        """Hold the run and its session, so that nobody else works on them, and give the state to go on from.

        Args:
            state: The state that the run begins with if it isn't known.

        Raises:
            BusyError: Somebody else holds one of them.
            UsageError: A state is to be taken up that the run has left behind.
        """
        async with AsyncExitStack() as stack:
            if self._session is not None:
                await stack.enter_async_context(self._store.hold("session", self._session))
            await stack.enter_async_context(self._store.hold("run", state.run_id))
            known = await self._store.get("run", state.run_id)
            last = None if self._session is None else await self._store.get("session", self._session)
            if self._begin is None:
                self._check_is_last(known, last, state)
            elif known is not None:
                state = _read(known, "run", state.run_id)
                logger.info("the run %r is known: %s", state.run_id, state.status or "it goes on")
            elif last is not None:
                state = self._begin(_read(last, "session", str(self._session)))
            self._saved = state
            self._held = stack.pop_all()
        return state

    async def close(self, state: RunState) -> None:
        """Write where the run stands, and let go of it."""
        async with self._held:
            await self.save(state)

    def _check_is_last(self, known: str | None, last: str | None, state: RunState) -> None:
        """Refuse to take up a run where it no longer stands; a session that has gone on without it stays as it is."""
        if known is not None and known != state.to_json():
            raise UsageError(
                f"the run {state.run_id!r} has gone on since this state was put away; "
                f"agent.run(…, run_id={state.run_id!r}) gives where it stands now"
            )
        if last is not None and _read(last, "session", str(self._session)).run_id != state.run_id:
            logger.warning("the session %r has gone on without the run %r", self._session, state.run_id)
            self._session = None

    async def save(self, state: RunState) -> None:
        """Write where the run stands, if that is not written yet."""
        if state is self._saved:
            return
        text = state.to_json()
        await self._store.put("run", state.run_id, text)
        if self._session is not None:
            await self._store.put("session", self._session, text)
        self._saved = state


def _read(text: str, kind: str, key: str) -> RunState:
    try:
        return RunState.from_json(text)
    except UsageError as error:
        raise UsageError(f"what the store has of the {kind} {key!r} can't be read: {error}") from error
