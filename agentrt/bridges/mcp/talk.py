"""What a server asks of us while it works: values from a person, roots; and what it logs.

A server of the 2026 revision ends its answer with what it asks, and is called again with the answers (SEP-2322); an
older one asks while the call goes on, and waits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.client.session import ClientRequestContext
from pydantic import FileUrl

from agentrt.bridges.mcp.settings import Settings
from agentrt.errors import UsageError
from agentrt.registry.context import ToolAsks
from agentrt.wire.json import as_dict, as_str
from agentrt.wire.text import unmistakable

__all__ = ["Asker", "Question", "Talk", "answered", "asks_of", "replies_of"]

_LEVELS = {"debug": 10, "info": 20, "notice": 20, "warning": 30, "error": 40, "critical": 50, "alert": 50}
_SHOWN = 2000

Responses = dict[str, Any]


class Question(NamedTuple):
    """What a server wants to know of a person.

    Attributes:
        server: The server's name.
        message: What it says.
        schema: The JSON schema of the values that it asks for; empty where it sends the person to an address.
        url: That address; None where it asks for values. Show it, and open it only if the person says so.
    """

    server: str
    message: str
    schema: Mapping[str, Any]
    url: str | None = None


Asker = Callable[[Question], Awaitable[Mapping[str, Any] | None]]
"""Gives the values that were asked for; None declines."""


class Talk:
    """A connection's side of what its server asks.

    Args:
        name: The server's name.
        settings: Its options.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._settings = settings
        self._logger = logging.getLogger(f"agentrt.mcp.{name}")
        self.askers: list[Asker] = []
        """Who can be asked, by the calls under way: an older server doesn't say which of them it asks for."""
        self.asks = False
        """Whether it asked when several could have been meant; from then on such calls are made one at a time."""
        self.turn = anyio.Lock()

    @contextmanager
    def asking(self, asker: Asker | None) -> Generator[None]:
        """Let somebody be asked while a call is under way.

        Args:
            asker: Whom; None for nobody.
        """
        if asker is None:
            yield
            return
        self.askers.append(asker)
        try:
            yield
        finally:
            self.askers.remove(asker)

    def callbacks(self) -> dict[str, Any]:
        """Give what the SDK's client calls; what is there is told to the server as what we can do."""
        callbacks: dict[str, Any] = {"elicitation_callback": self._elicited, "logging_callback": self._logged}
        if self._settings.roots:
            callbacks["list_roots_callback"] = self._listed_roots
        if self._settings.sampling is not None:
            callbacks["sampling_callback"] = self._sampled
        return callbacks

    async def _sampled(
        self, _: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        assert self._settings.sampling is not None
        return await self._settings.sampling.create(self._name, params)

    async def _elicited(self, _: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        if len(self.askers) > 1:
            self.asks = True
            self._logger.warning(
                "it asked while several calls were under way, so it was declined; from now on one is at a time"
            )
        if len(self.askers) != 1:
            return types.ElicitResult(action="decline")
        return await answer(self.askers[-1], question_of(self._name, params))

    async def _listed_roots(self, _: ClientRequestContext) -> types.ListRootsResult:
        return roots_of(self._settings.roots)

    async def _logged(self, params: types.LoggingMessageNotificationParams) -> None:
        told = params.data if isinstance(params.data, str) else json.dumps(params.data, default=str)
        self._logger.log(_LEVELS.get(params.level, logging.ERROR), "%s", unmistakable(told[:_SHOWN]))


def question_of(name: str, params: types.ElicitRequestParams) -> Question:
    """Read what is asked."""
    if isinstance(params, types.ElicitRequestURLParams):
        return Question(name, params.message, {}, params.url)
    return Question(name, params.message, as_dict(params.requested_schema))


async def answer(asker: Asker, question: Question) -> types.ElicitResult:
    """Ask somebody; what is left out of the values is filled with the schema's defaults (SEP-1034)."""
    values = await asker(question)
    return elicited("decline" if values is None else "accept", values or {}, question)


def elicited(action: Any, values: Mapping[str, Any], question: Question) -> types.ElicitResult:
    """Write an answer down as the protocol has it."""
    if action != "accept" or question.url is not None:
        return types.ElicitResult(action=action)
    properties = as_dict(question.schema.get("properties"))
    defaults = {name: each["default"] for name, each in properties.items() if "default" in as_dict(each)}
    return types.ElicitResult(action="accept", content={**defaults, **values})


def roots_of(roots: Iterable[str | Path]) -> types.ListRootsResult:
    """Give the folders that a server may look at."""
    paths = [Path(root).absolute() for root in roots]
    return types.ListRootsResult(roots=[types.Root(uri=FileUrl(path.as_uri()), name=path.name) for path in paths])


# --- servers that are called again


async def answered(result: types.InputRequiredResult, name: str, settings: Settings, asker: Asker) -> Responses:
    """Answer all that a result asks for."""
    responses: Responses = {}
    for key, asked in (result.input_requests or {}).items():
        if isinstance(asked, types.ElicitRequest):
            responses[key] = await answer(asker, question_of(name, asked.params))
        else:
            responses[key] = await _known(asked, name, settings)
    return responses


async def _known(asked: Any, name: str, settings: Settings) -> Any:
    """Answer what needs nobody; raises MCPError where it is refused."""
    if isinstance(asked, types.ListRootsRequest):
        return roots_of(settings.roots)
    if settings.sampling is None:
        raise MCPError(types.INVALID_REQUEST, "this client does no sampling")
    made = await settings.sampling.create(name, asked.params)
    if isinstance(made, types.ErrorData):
        raise MCPError.from_error_data(made)
    return made


async def asks_of(result: types.InputRequiredResult, name: str, settings: Settings) -> ToolAsks | Responses:
    """Say what a result asks of a person, so that the call can be put away; or give the answers, if it asks of none.

    Of several questions the answer holds the values of each under its key.
    """
    questions: dict[str, Question] = {}
    known: dict[str, Any] = {}
    for key, asked in (result.input_requests or {}).items():
        if isinstance(asked, types.ElicitRequest):
            questions[key] = question_of(name, asked.params)
        else:
            known[key] = await _known(asked, name, settings)
    if not questions:
        return known
    kept = {
        "state": result.request_state,
        "questions": {key: question._asdict() for key, question in questions.items()},
        "known": {key: each.model_dump(by_alias=True, mode="json", exclude_none=True) for key, each in known.items()},
    }
    message = "\n".join(_told(question) for question in questions.values())
    schemas = {key: dict(question.schema) for key, question in questions.items()}
    schema = next(iter(schemas.values())) if len(schemas) == 1 else {"type": "object", "properties": schemas}
    return ToolAsks(message, schema, json.dumps(kept))


def _told(question: Question) -> str:
    return question.message if question.url is None else f"{question.message}\nopen {question.url}"


def replies_of(reply: Mapping[str, Any]) -> tuple[Responses, str | None]:
    """Give the answers to what a call asked before it was put away, and the state that the server wants back."""
    try:
        kept = as_dict(json.loads(as_str(reply.get("state")) or "{}"))
        questions = {key: Question(**each) for key, each in as_dict(kept.get("questions")).items()}
    except (ValueError, TypeError) as error:
        raise UsageError(f"what was kept of the server's question is damaged: {error}") from error
    content, action = as_dict(reply.get("content")), reply.get("action")
    responses: Responses = {}
    for key, question in questions.items():
        values = content if len(questions) == 1 else as_dict(content.get(key))
        responses[key] = elicited(action, values, question)
    for key, each in as_dict(kept.get("known")).items():
        model = types.ListRootsResult if "roots" in each else types.CreateMessageResult
        responses[key] = model.model_validate(each)
    return responses, kept.get("state")
