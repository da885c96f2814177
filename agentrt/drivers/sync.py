"""Async from sync: one event loop in one daemon thread, for the whole process."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agentrt.errors import UsageError
from agentrt.registry.threads import copied_context

__all__ = ["run_in_portal"]

T = TypeVar("T")
_lock = threading.Lock()
_portal: asyncio.AbstractEventLoop | None = None


def run_in_portal(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end from sync code, be there a running event loop in this thread (Jupyter) or not.

    Raises:
        UsageError: Called from inside the portal, where waiting would wait for itself.
    """
    portal = _get_portal()
    try:
        inside = asyncio.get_running_loop() is portal
    except RuntimeError:
        inside = False
    if inside:
        raise UsageError("run_sync() was called by a coroutine that run_sync() runs; there, use `await agent.run(…)`")
    future = copied_context().run(asyncio.run_coroutine_threadsafe, function(), portal)
    try:
        return future.result()
    except BaseException:
        # Ctrl-C while waiting: end the run before going on.
        if not future.done():
            future.cancel()
            concurrent.futures.wait([future], timeout=5)
        raise


def _get_portal() -> asyncio.AbstractEventLoop:
    global _portal  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _portal is None:
            _portal = asyncio.new_event_loop()
            thread = threading.Thread(target=_portal.run_forever, name="agentrt-portal", daemon=True)
            thread.start()
            atexit.register(_close, _portal, thread)
        return _portal


def _forget() -> None:
    global _lock, _portal
    _lock, _portal = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _close(portal: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    portal.call_soon_threadsafe(portal.stop)
    thread.join(timeout=2)
    if not thread.is_alive():
        portal.close()
