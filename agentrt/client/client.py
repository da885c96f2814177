"""`Client`: requests to a Responses API, and what comes back."""

from __future__ import annotations

import inspect
import logging
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import anyio
import httpx2
from typing_extensions import Unpack

from agentrt.client.endpoints import Endpoints, quoted
from agentrt.client.http import FIRST_ERROR, Opened, PreparedRequest, responses_url, status_error
from agentrt.client.providers import Provider, resolve
from agentrt.client.retries import unavailable, wait_before, was_refused
from agentrt.client.stream import ResponseStream
from agentrt.client.transport import Clock, SenderPerLoop, Timeouts, foreign, translated
from agentrt.errors import DeadlineError, IncompleteStreamError, ServerError, StatusError, UsageError
from agentrt.wire.json import as_str
from agentrt.wire.requests import (
    RANGES,
    RequestParams,
    check_request,
    encode_request,
    may_act,
    model_names,
    written_out,
)
from agentrt.wire.responses import Response

if TYPE_CHECKING:
    from agentrt.client.transport import HTTPClient

__all__ = ["Client", "Key"]

T = TypeVar("T")
Key = str | Callable[[], str | Awaitable[str]]
logger = logging.getLogger("agentrt.client")

_NO_RESUME = (400, 404, 405)


class Client(Endpoints):
    """A client for any Responses API: OpenAI, CometAPI, OpenRouter, vLLM, llama.cpp, the embedded model.

    Without arguments the environment decides: see ``docs/providers.md``. Requests may run concurrently, and on several
    event loops. It sends what it was given and drops nothing.

    Args:
        provider: A known provider, such as ``"openai"``, ``"cometapi"`` or ``"local"``, or a profile of your own.
        base_url: An address, such as ``"http://127.0.0.1:8000/v1"`` or ``"local://smollm2"``.
        api_key: The key, sent as a bearer token; or a function, sync or async, that gives it, asked before each try:
            for tokens that expire.
        http_client: An ``httpx2.AsyncClient`` or ``httpx.AsyncClient`` of your own; you close it.
        max_retries: Tries after the first one, for 408, 409, 429, 5xx and a lost connection.
        connect_timeout: Seconds for opening a connection.
        idle_timeout: Seconds without an event of a stream that count as a dead connection. A keep-alive is no event.
        timeout: Seconds for a whole answer, streamed or not, its retries included.
        headers: Headers to send with each request.

    Raises:
        UsageError: There is no complete pair of address and key.
    """

    def __init__(  # noqa: PLR0913 - keyword only, each with a default
        self,
        *,
        provider: str | Provider | None = None,
        base_url: str | None = None,
        api_key: Key | None = None,
        http_client: HTTPClient | None = None,
        max_retries: int = 4,
        connect_timeout: float = 5.0,
        idle_timeout: float = 120.0,
        timeout: float = 600.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        for name, text in (("base_url", base_url), ("api_key", None if callable(api_key) else api_key)):
            if text is not None and not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"{name} must be a text, not {type(text).__name__}")
        if headers is not None and not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"headers must be a dict, not {type(headers).__name__}")
        given = "from a function" if callable(api_key) else api_key
        self._endpoint = resolve(os.environ, provider=provider, base_url=base_url, api_key=given)
        self.base_url = self._endpoint.base_url
        """Where requests go."""
        self._responses_url = responses_url(self._endpoint.base_url)
        self._senders = SenderPerLoop(self._endpoint.base_url, http_client)
        for name, number in (
            ("max_retries", max_retries),
            ("connect_timeout", connect_timeout),
            ("idle_timeout", idle_timeout),
            ("timeout", timeout),
        ):
            if not isinstance(number, int | float) or not number >= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"{name} must be a number, 0 or more, but is {number!r}")
        self._max_retries = max_retries
        self._timeouts = Timeouts(connect_timeout, idle_timeout, timeout)
        self.timeout = timeout
        """Seconds for a whole answer."""
        self._headers = {"accept-encoding": "identity"}
        self._headers = self._with_ids({**self._endpoint.profile.headers, **(headers or {})})
        self._ranges = {**RANGES, **self._endpoint.profile.ranges}
        self._key = api_key if callable(api_key) else None
        self._bearer = None if callable(api_key) else _bearer(self._endpoint.api_key or "")
        self._warned: set[str] = set()
        self._refused: dict[str, set[str]] = {}

    @property
    def provider(self) -> str | None:
        """The name of the provider, where it is a known one."""
        return self._endpoint.provider

    @property
    def max_retries(self) -> int:
        """Tries after the first one."""
        return self._max_retries

    def refused(self, model: object) -> set[str]:
        """Name the parameters that a model is known to refuse, by its provider's profile or word: no agent adds them.

        Args:
            model: The model's name, or the list of them. Providers pass on what a model's own maker refuses.

        Returns:
            The names; add what was found out to it.
        """
        return self._refused.setdefault(str(model), set(self._endpoint.profile.unsupported))

    def prepare(self, **params: Unpack[RequestParams]) -> PreparedRequest:
        """Give the request that `create` would send, without sending it.

        Args:
            **params: As for `create`; with ``stream=True`` what `stream` would send.
        """
        return self._prepare(cast("dict[str, Any]", params))[0]

    async def create(self, **params: Unpack[RequestParams]) -> Response:
        """Send ``POST /responses`` and wait for the whole response.

        Args:
            **params: The parameters of the Responses API by their own names: ``model`` (of a list, the next one is
                asked when the first stays unavailable), ``input`` (a text, or a list of items, texts and parts),
                ``instructions``, ``tools``, … ``extra_body`` adds what is newer than agentrt, ``extra_headers``
                headers, ``timeout`` replaces the client's.

        Returns:
            The response. One that is ``failed`` or ``incomplete`` is returned too: look at its ``status``.

        Raises:
            StatusError: The server refused the request, after the retries that make sense.
            UnreachableError: The server could not be reached, or its answer was cut off.
            WireError: The answer is not a response.
            UsageError: A parameter can't be sent.
        """
        if params.get("stream"):
            raise UsageError("create() waits for the whole response; use stream() for its events")

        async def once(request: PreparedRequest, clock: Clock) -> Response:
            async with ResponseStream(request, partial(self._open, request, clock)) as stream:
                return await stream.whole()

        return await self._of_first_available(self._prepare(cast("dict[str, Any]", params)), once)

    def stream(self, **params: Unpack[RequestParams]) -> ResponseStream:
        """Send ``POST /responses`` with ``stream: true``.

        The stream of a ``background`` response is taken up again where it broke.

        Args:
            **params: As for `create`.

        Returns:
            The stream, to be used with ``async with``. What `create` raises, entering and reading it raises.
        """
        requests = self._prepare({**params, "stream": True})

        async def once(request: PreparedRequest, clock: Clock) -> Opened:
            stream.tries += 1
            return await self._open(request, clock)

        resume = partial(self._resume, max_retries=requests[0].max_retries)
        stream = ResponseStream(requests[0], lambda: self._of_first_available(requests, once), resume)
        return stream

    def resume(self, response_id: str, *, starting_after: int | None = None) -> ResponseStream:
        """Stream a background response that was created with ``stream: true``, from any event on.

        Args:
            response_id: The response's id.
            starting_after: The ``sequence_number`` after which to go on; None from the beginning.
        """
        query = {"stream": "true", **({} if starting_after is None else {"starting_after": str(starting_after)})}
        request = self._request("GET", f"/responses/{quoted(response_id)}", query=query)._replace(background=True)
        return ResponseStream(request, lambda: self._retrying(request, self._open), self._resume)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. An ``http_client`` that you passed stays open."""
        await self._senders.aclose()

    async def __aenter__(self) -> Self:
        """Use the client for a block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    def __repr__(self) -> str:
        """Show the address; the key stays secret."""
        return f"Client({self._endpoint.base_url!r})"

    # --- one request

    def _prepare(self, params: dict[str, Any]) -> list[PreparedRequest]:
        """Make the requests of the models that are to be asked, in this order."""
        params = written_out(params)
        check_request(params, self._ranges)
        if self._endpoint.profile.unsupported:
            self._warn_about(params)
        model: Any = params.get("model")
        if isinstance(model, str | None):
            bodies = [encode_request(params)]
        else:
            bodies = [encode_request({**params, "model": name}) for name in model_names(model)]
        timeouts, whole = self._timeouts, params.get("timeout")
        timeouts = timeouts if whole is None else Timeouts(timeouts.connect, timeouts.idle, whole)
        retries = self._max_retries if params.get("max_retries") is None else params["max_retries"]
        sent: dict[str, Any] = {**params, **(params.get("extra_body") or {})}
        background = bool(sent.get("background"))
        acts = background or sent.get("conversation") is not None or any(map(may_act, sent.get("tools") or ()))
        headers = self._with_ids({"content-type": "application/json", **(params.get("extra_headers") or {})})
        first = PreparedRequest(
            "POST", self._responses_url, headers, bodies[0], timeouts, retries, not acts, background
        )
        return [first] if len(bodies) == 1 else first.for_each(bodies)

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> PreparedRequest:
        try:
            url = httpx2.URL(self.base_url + path, params=query) if query else httpx2.URL(self.base_url + path)
        except (httpx2.InvalidURL, TypeError, ValueError) as error:
            raise UsageError(f"no request can be made of {path[:100]!r}: {error}; check ids and cursors") from error
        own = {} if body is None else {"content-type": "application/json"}
        content = None if body is None else encode_request(body)
        repeatable = method != "POST" or not path.startswith("/conversations")
        return PreparedRequest(method, url, self._with_ids(own), content, self._timeouts, self._max_retries, repeatable)

    def _with_ids(self, own: Mapping[str, str]) -> dict[str, str]:
        key = str(uuid.uuid4())
        headers = {**self._headers, "idempotency-key": key, "x-client-request-id": key}
        for name, value in own.items():
            for text in (name, value):
                if not isinstance(text, str) or not text.isprintable() or not text.isascii():  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise UsageError(
                        f"the header {name!r} must be a text of printable ASCII characters, as is its name"
                    )
            headers[name.lower()] = value.strip()
        return headers

    def _warn_about(self, params: Mapping[str, Any]) -> None:
        for name in self._endpoint.profile.unsupported.intersection(params) - self._warned:
            self._warned.add(name)
            logger.warning("%s refuses or ignores %r; it is sent all the same", self._endpoint.provider, name)

    async def _open(self, request: PreparedRequest, clock: Clock) -> Opened:
        """Send one request once, and give its answer if the status is good."""
        sender = self._senders.get()
        headers: Mapping[str, str] = request.headers
        bearer = self._bearer if self._key is None else _bearer(await _called(self._key, clock))
        if bearer and "authorization" not in headers:
            headers = {**headers, "authorization": bearer}
        try:
            sent = await sender.send(request.method, request.url, headers, request.body, clock)
        except foreign() as error:
            raise translated(error, request.url, clock) from error
        opened = Opened(sent, sender, clock, str(request.url), self._endpoint.hint, headers)
        if sent.status_code >= FIRST_ERROR:
            raise await status_error(opened)
        return opened

    async def _retrying(
        self,
        request: PreparedRequest,
        once: Callable[[PreparedRequest, Clock], Awaitable[T]],
        within: Clock | None = None,
    ) -> T:
        """Try, and try again while that makes sense. The idempotency key is the same each time.

        Args:
            request: The request.
            once: Sends it once.
            within: The clock of what this is a part of; None for the request's own timeouts.
        """
        timeouts = request.timeouts if within is None else within.timeouts
        deadline = anyio.current_time() + timeouts.whole if within is None else within.deadline
        attempt = 1
        while True:
            try:
                return await once(request, Clock(timeouts, deadline))
            except ServerError as error:
                error.client_request_id = request.headers["x-client-request-id"]
                error.repeatable = request.repeatable or was_refused(error)
                left = deadline - anyio.current_time()
                wait = self.wait_before(error, attempt, left, max_retries=request.max_retries)
                if wait is None or not error.repeatable:
                    raise
                logger.info("try %d failed (%s); the next one in %.1f s", attempt, error, wait)
            await anyio.sleep(wait)
            attempt += 1

    def wait_before(
        self, error: ServerError, attempt: int, left: float = float("inf"), *, max_retries: int | None = None
    ) -> float | None:
        """Give the seconds to wait before trying again; None where that makes no sense.

        Args:
            error: What the last try came to.
            attempt: Tries so far, from 1.
            left: Seconds until the deadline.
            max_retries: Tries after the first one, instead of the client's.
        """
        tries = 1 + (self._max_retries if max_retries is None else max_retries)
        return wait_before(error, attempt, tries=tries, left=left, random=random.random())  # noqa: S311 - jitter, not a secret

    async def _of_first_available(
        self, requests: list[PreparedRequest], once: Callable[[PreparedRequest, Clock], Awaitable[T]]
    ) -> T:
        if len(requests) == 1:
            return await self._retrying(requests[0], once)
        clock = Clock(requests[0].timeouts, anyio.current_time() + requests[0].timeouts.whole)
        for request in requests[:-1]:
            try:
                return await self._retrying(request, once, clock)
            except ServerError as error:
                if not unavailable(error) or not error.repeatable:
                    raise
                logger.warning("a model stays unavailable, the next one is asked: %s", error)
        return await self._retrying(requests[-1], once, clock)

    async def _resume(
        self, stream: ResponseStream, error: ServerError, clock: Clock, *, max_retries: int | None = None
    ) -> Opened | Response:
        """Open a background response's stream again after the event it broke at, or poll where that can't be had."""
        response_id, after = as_str(stream.partial.id), stream.last_number
        wait = self.wait_before(error, stream.breaks, clock.deadline - anyio.current_time(), max_retries=max_retries)
        if wait is None:
            raise error
        if isinstance(error, IncompleteStreamError):
            found = await self._retrieve(response_id, within=clock)
            if found.status == "cancelled":  # which has no event of its own: the stream just ends
                return found
        logger.info("the stream of %s broke (%s); it is taken up after event %s", response_id, error, after)
        await anyio.sleep(wait)
        query = {"stream": "true", **({} if after is None else {"starting_after": str(after)})}
        request = self._request("GET", f"/responses/{quoted(response_id)}", query=query)
        try:
            opened = await self._retrying(request, self._open, clock)
        except StatusError as refused:
            if refused.status not in _NO_RESUME:
                raise
        else:
            if opened.streams:
                return opened
            await opened.sent.aclose()
        return await self._polled(await self._retrieve(response_id, within=clock), clock)


def _bearer(key: str) -> str | None:
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError("the api_key has characters that no key has, such as a line break or a curly quote")
    return f"Bearer {key}" if key else None


async def _called(function: Callable[[], str | Awaitable[str]], clock: Clock) -> str:
    key = function()
    if inspect.isawaitable(key):
        with anyio.move_on_after(clock.left()):
            key = await key
    if inspect.isawaitable(key):
        raise DeadlineError(
            f"the api_key function gave no key within {clock.timeouts.whole:g} seconds; look at where it waits"
        )
    if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"the api_key function must give a text, but gave {type(key).__name__}")
    return key
