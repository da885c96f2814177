"""What comes in and what goes back, and the small words between: JSON, pages, refusals."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from agentrt.testing.store import Items, page
from agentrt.testing.turns import Turn
from agentrt.wire.json import as_dict, dump, parse

__all__ = ["Answer", "Asked", "Recorded", "RefusedError", "json_answer", "number", "page_answer", "require"]

_MAX_PAGE = 100


@dataclass(frozen=True)
class Recorded:
    """One request that the server was sent.

    Attributes:
        method: The HTTP method.
        path: The path, with the query.
        headers: The headers, their names in lower case.
        body: The body as it came.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a dict; raises ValueError when it is no JSON object."""
        return dict(parse(self.body))


class Asked(NamedTuple):
    """A request, read.

    Attributes:
        body: Its JSON; empty where there is none.
        query: The query of its path.
    """

    body: dict[str, Any]
    query: Mapping[str, str]

    @classmethod
    def read(cls, recorded: Recorded) -> Asked:
        """Read a request; raises RefusedError where its body is broken."""
        try:
            body = as_dict(parse(recorded.body)) if recorded.body else {}
        except ValueError:
            raise RefusedError(400, "invalid_json", "We could not parse the JSON body of your request.") from None
        return cls(body, {name: values[-1] for name, values in parse_qs(urlsplit(recorded.path).query).items()})


class Answer(NamedTuple):
    """What is sent back.

    Attributes:
        turn: Its status, headers and times.
        chunks: The pieces of the body, made as they are sent.
        kind: The type of the body.
        cut_after: After how many pieces the connection is cut.
    """

    turn: Turn
    chunks: Iterable[bytes]
    kind: str = "application/json"
    cut_after: int | None = None

    def sent(self) -> Iterator[bytes]:
        """Give the pieces that are sent, made as they are."""
        return itertools.islice(self.chunks, self.cut_after)

    @property
    def is_cut(self) -> bool:
        """Whether the connection is cut after that, where the body should end."""
        return self.turn.cut or self.cut_after is not None


class RefusedError(Exception):
    """The request is at fault, or the script.

    Args:
        status: The HTTP status.
        code: The error's code.
        message: Its message.
        param: The parameter that is at fault.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        headers = {"x-should-retry": "false"}
        self.answer = Answer(Turn(status=status, headers=headers), [dump({"error": error})])


def json_answer(value: dict[str, Any]) -> Answer:
    """Answer with a JSON object."""
    return Answer(Turn(), [dump(value)])


def require(body: Mapping[str, Any], name: str) -> None:
    """Refuse a body that lacks a parameter."""
    if body.get(name) in (None, "", []):
        raise RefusedError(400, "missing_required_parameter", f"Missing required parameter: '{name}'.", name)


def number(query: Mapping[str, str], name: str, default: int) -> int:
    """Read a number from a query."""
    try:
        return int(query.get(name, default))
    except ValueError:
        raise RefusedError(400, "invalid_type", f"Invalid type for '{name}': expected an integer.", name) from None


def page_answer(items: Items, query: Mapping[str, str]) -> Answer:
    """Answer with the page of a list that the query asks for."""
    limit = number(query, "limit", 20)
    order = query.get("order", "desc")
    if not 1 <= limit <= _MAX_PAGE:
        raise RefusedError(400, "invalid_value", f"Invalid 'limit': expected 1 to {_MAX_PAGE}, got {limit}.", "limit")
    if order not in ("asc", "desc"):
        raise RefusedError(400, "invalid_value", f"Invalid 'order': expected 'asc' or 'desc', got '{order}'.", "order")
    try:
        return json_answer(page(items, after=query.get("after"), limit=limit, order=order))
    except ValueError:
        raise RefusedError(404, "not_found", f"Item with id '{query['after']}' not found.", "after") from None
