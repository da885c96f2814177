"""What plays a script, whatever carries its answers: a socket or a transport in process."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from agentrt.testing.answers import Answer, Recorded
from agentrt.testing.routes import Routes, Script
from agentrt.testing.store import Store

__all__ = ["Script", "Scripted"]


class Scripted:
    """A script, what it was asked, and what is kept in between."""

    def _set_up(self, script: Script, api_key: str | None) -> None:
        self.requests: list[Recorded] = []
        """What was asked, oldest first."""
        self._routes = Routes(script, api_key)
        self._request_ids = itertools.count(1)

    @property
    def files(self) -> dict[tuple[str, str], bytes]:
        """The files of containers, for a test to put in: ``server.files["cntr_1", "cfile_1"] = b"…"``."""
        return self._routes.files

    def context(self, of: str | Mapping[str, Any]) -> list[dict[str, Any]]:
        """Give all items behind something, oldest first: what a model would have read.

        Args:
            of: A response's id, for its whole input and its output; a conversation's id; or the body of a request, as
                a script gets it, for what the server adds to it and its own input.

        Raises:
            KeyError: Nothing is kept under that id.
        """
        return self._routes.context(of)

    def forget(self) -> None:
        """Lose all stored responses and conversations, as a server may in the middle of a run."""
        self._routes.store = Store()

    def _answer(self, recorded: Recorded) -> tuple[Answer, list[tuple[str, str]]]:
        """Note a request; gives its answer, and the headers of that."""
        self.requests.append(recorded)
        answer = self._routes.answer(recorded)
        request_id = f"req_{next(self._request_ids)}"
        return answer, [("content-type", answer.kind), ("x-request-id", request_id), *answer.turn.headers.items()]
