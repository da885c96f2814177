"""Keeps a run and its session in a store, so that neither is lost, nor done twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio

from agentrt.core.state import RunState
from agentrt.errors import AgentrtError, StoreError, UsageError
from agentrt.store import Store
from agentrt.store.base import Kind

__all__ = ["Keeper"]

logger = logging.getLogger("agentrt.run")

_SAVE_SECONDS = 15.0
"""More than an `SQLiteStore` takes to say what is wrong."""


class Keeper:
    """Keeps one run.

    Args:
        store: Where.
        session: The id of the conversation that it belongs to; None where it belongs to none.
        begin: Makes the state that the run begins with, of the session's last one; None where a state is taken up.
        named: Whether the run was given an id. One that was not is kept in its session only, where it has one.
    """

    def __init__(
        self, store: Store, session: str | None, begin: Callable[[RunState], RunState] | None, *, named: bool
    ) -> None:
        self._named = named or session is None
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
            UsageError: A state is to be taken up that the run has left behind, or the run is of another session.
        """
        async with AsyncExitStack() as stack:
            if self._session is not None:
                await stack.enter_async_context(self._store.hold("session", self._session))
            await stack.enter_async_context(self._store.hold("run", state.run_id))
            last = None if self._session is None else await self._read("session", self._session)
            known = await self._read("run", state.run_id)
            self._named |= known is not None
            if last is not None and last.run_id == state.run_id:
                known = last  # it is written first, so it may be further
            if self._begin is None:
                self._check_is_last(known, state)
            elif known is not None:
                self._check_is_of_session(known)
                state = known
                logger.info("the run %r is known: %s", state.run_id, state.status or "it goes on")
            elif last is not None:
                state = self._begin(last)
            if last is not None and last.run_id != state.run_id and (known is not None or self._begin is None):
                logger.warning("the session %r has gone on without the run %r", self._session, state.run_id)
                self._session, self._named = None, True
            self._saved, self._held = state, stack.pop_all()
        return state

    async def close(self, state: RunState, error: BaseException | None) -> None:
        """Write where the run stands, and let go of it.

        Args:
            state: Where it stands.
            error: What ended the run. If it can't be written either, a note on it says so.

        Raises:
            StoreError: It can't be written, and nothing else ended the run; the error carries the state.
        """
        try:
            with anyio.CancelScope(shield=True):
                async with self._held:
                    await self._save_in_time(state)
        except Exception as failed:
            if isinstance(failed, AgentrtError):
                failed.state = state
            if error is None:
                raise
            logger.error("the run %r could not be kept: %s", state.run_id, failed)  # noqa: TRY400 - `error` is raised
            if failed is not error:
                error.add_note(f"where the run stands could not be kept: {failed}")

    async def _save_in_time(self, state: RunState) -> None:
        try:
            with anyio.fail_after(_SAVE_SECONDS):
                await self.save(state)
        except TimeoutError:
            raise StoreError(
                f"the store has not written the run {state.run_id!r} within {_SAVE_SECONDS:g} s; error.state has it"
            ) from None

    def _check_is_last(self, known: RunState | None, state: RunState) -> None:
        if known is not None and known.steps > state.steps:
            raise UsageError(
                f"the run {state.run_id!r} has gone on since this state was put away; "
                f"agent.run(…, run_id={state.run_id!r}) gives where it stands now"
            )

    def _check_is_of_session(self, known: RunState) -> None:
        if known.session != self._session:
            given = f"session={known.session!r}" if known.session is not None else "no session="
            raise UsageError(f"the run {known.run_id!r} was begun with {given}; give it the same, or another run_id=")

    async def save(self, state: RunState) -> None:
        """Write where the run stands, if that is not written yet."""
        if state is self._saved:
            return
        text = state.to_json()
        if self._session is not None:
            await self._store.put("session", self._session, text)
        if self._named:
            await self._store.put("run", state.run_id, text)
        self._saved = state

    async def _read(self, kind: Kind, key: str) -> RunState | None:
        text = await self._store.get(kind, key)
        try:
            return None if text is None else RunState.from_json(text)
        except UsageError as error:
            raise UsageError(f"what the store has of the {kind} {key!r} can't be read: {error}") from error
