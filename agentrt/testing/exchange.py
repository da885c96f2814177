"""One exchange of a cassette: what was asked and answered, without secrets, and its form in the file."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from agentrt.testing.answers import Recorded
from agentrt.testing.scrub import Scrubber
from agentrt.wire.json import as_dict, dump, is_dict, parse

__all__ = ["Ask", "Body", "Exchange", "Match", "canonical"]

Match = Callable[[Any], Any]
"""Gives what of a request's body is compared, from the body as a JSON value."""

_ASKED_HEADERS = ("content-type", "accept")
_TOLD_HEADERS = re.compile(
    r"content-type|x-request-id|request-id|retry-after(-ms)?|x-should-retry|openai-(model|version|processing-ms)"
    r"|x-ratelimit-.*"
)
_EVENT_END = re.compile(r"(?<=\n\n)|(?<=\r\n\r\n)")
_FORMS = ("json", "events", "text", "base64")


@dataclass(frozen=True)
class Body:
    """A body, in the form that reads best.

    Attributes:
        form: ``json``, ``events`` (a list of texts, each with its line ends), ``text`` or ``base64``.
        value: Its value in that form.
    """

    form: str
    value: Any

    @classmethod
    def of(cls, data: bytes, content_type: str, scrubber: Scrubber) -> Body | None:
        """Give a body without its secrets; None for an empty one."""
        if not data:
            return None
        kind = content_type.partition(";")[0].strip().lower()
        try:
            if kind.endswith("json"):
                return cls("json", scrubber.value(parse(data)))
        except ValueError:
            pass  # whatever it says it is
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return cls("base64", base64.b64encode(scrubber.binary(data)).decode())
        if kind == "text/event-stream":
            return cls("events", [scrubber.event(event) for event in _EVENT_END.split(text) if event])
        return cls("text", scrubber.text(text))

    @property
    def chunks(self) -> list[bytes]:
        """The body as bytes; each event of a stream is a chunk."""
        if self.form == "json":
            return [dump(self.value)]
        if self.form == "base64":
            return [base64.b64decode(self.value)]
        return [text.encode() for text in (self.value if self.form == "events" else [self.value])]


@dataclass(frozen=True)
class Ask:
    """A request, without its secrets.

    Attributes:
        method: The HTTP method.
        path: The path, with the query.
        headers: Those of its headers that say what the body is.
        body: The body; None for none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Body | None

    @classmethod
    def of(cls, request: httpx2.Request, content: bytes, scrubber: Scrubber) -> Ask:
        """Take down a request."""
        scrubber.learn(request.headers)
        headers = {name: request.headers[name] for name in _ASKED_HEADERS if name in request.headers}
        # First, as it may hold a key that the path has, too.
        body = Body.of(content, headers.get("content-type", ""), scrubber)
        return cls(request.method, scrubber.path(request.url.raw_path.decode()), headers, body)

    def compared(self, match: Match | None) -> dict[str, Any]:
        """Give what counts when this is compared with another request."""
        value = None if self.body is None else self.body.value
        if match is not None and self.body is not None and self.body.form == "json":
            value = match(json.loads(canonical(value)))  # a copy, which the function may change
        return {"method": self.method, "path": self.path, "body": value}

    @property
    def recorded(self) -> Recorded:
        """The request in the words of the test kit."""
        content = b"" if self.body is None else b"".join(self.body.chunks)
        return Recorded(self.method, self.path, self.headers, content)


@dataclass
class Exchange:
    """A request and its answer.

    Attributes:
        ask: The request.
        status: The answer's HTTP status.
        headers: Those of its headers that a client looks at.
        body: Its body; None for none.
        cut: Whether the body has no end: the connection broke, or the client left.
        played: Whether this is no longer to be played.
    """

    ask: Ask
    status: int
    headers: Mapping[str, str]
    body: Body | None = None
    cut: bool = True
    played: bool = False

    @classmethod
    def of(cls, ask: Ask, response: httpx2.Response, scrubber: Scrubber) -> Exchange:
        """Begin to take down an answer, of which the headers have come."""
        told = {name.lower(): value for name, value in response.headers.items()}
        kept = {name: scrubber.text(value) for name, value in told.items() if _TOLD_HEADERS.fullmatch(name)}
        return cls(ask, response.status_code, kept)

    def to_json(self) -> dict[str, Any]:
        """Give its form in the file."""
        request = {"method": self.ask.method, "path": self.ask.path, "headers": self.ask.headers}
        response: dict[str, Any] = {"status": self.status, "headers": self.headers}
        for told, body in ((request, self.ask.body), (response, self.body)):
            if body is not None:
                told[body.form] = body.value
        if self.cut:
            response["cut"] = True
        return {"request": request, "response": response}

    @classmethod
    def from_json(cls, raw: Any) -> Exchange:
        """Read its form in the file; raises ValueError, KeyError or TypeError where it is none."""
        request, response = raw["request"], raw["response"]
        ask = Ask(str(request["method"]), str(request["path"]), as_dict(request["headers"]), _body(request))
        headers = {str(name): str(value) for name, value in response["headers"].items()}
        return cls(ask, int(response["status"]), headers, _body(response), response.get("cut") is True)


def _body(raw: Any) -> Body | None:
    if not is_dict(raw):
        raise TypeError("neither a request nor a response is an object")
    found = [Body(form, raw[form]) for form in _FORMS if form in raw]
    if not found:
        return None
    b"".join(found[0].chunks)  # raises where that can't be had
    return found[0]


def canonical(value: Any) -> str:
    """Write a JSON value so that equal ones are written alike."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
