"""The end of a server: soon after it is asked for, whatever its tools do."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from types import FrameType

__all__ = ["Ending"]

_GRACE = 1.5
"""Seconds for tools to clean up. With what surrounds it, a server ends within 2."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """Ends a server when somebody asks for it: by stopping it, and by leaving the process where that isn't enough.

    Args:
        stop: Begins to stop the server. Called once, on any thread, and must not wait.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._over = threading.Event()
        self.code: int | None = None
        """The exit code, once the end was asked for."""

    def begin(self, code: int) -> None:
        """Ask for the end; of several calls the first one counts."""
        if self.code is None:
            self.in_time(code)
            self._stop()

    def in_time(self, code: int = 0) -> None:
        """See to it that the end that is near comes in time."""
        if self.code is None:
            self.code = code
            threading.Thread(target=self._leave, name="agentrt-ending", daemon=True).start()

    def _leave(self) -> None:
        if not self._over.wait(_GRACE):
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(self.code or 0)  # an async tool that can't be cancelled would keep the event loop for ever

    @contextlib.contextmanager
    def watching(self) -> Generator[None]:
        """Take Ctrl-C and SIGTERM as asking for the end; afterwards SystemExit is raised, if one came.

        In another thread than the main one, which gets no signals, it takes none.
        """
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.signal(number, self._signalled) for number in _SIGNALS}
        try:
            yield
        finally:
            self._over.set()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.code:
            raise SystemExit(self.code)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self.begin(128 + number)
