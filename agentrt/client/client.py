"""`Client`: requests to a Responses API, and what comes back."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio

from agentrt.client.http import FIRST_ERROR, ClientPerLoop, status_error, translated
from agentrt.client.providers import resolve
from agentrt.client.retries import MAX_WAIT, backoff
from agentrt.client.stream import ResponseStream
from agentrt.errors import StatusError, UnreachableError, UsageError
from agentrt.wire.requests import encode_request
from agentrt.wire.responses import Response

if TYPE_CHECKING:
    from agentrt.client.http import HTTPClient, HTTPResponse

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """A client for any Responses API: OpenAI, CometAPI, OpenRouter, vLLM, llama.cpp, the embedded model.

    Without arguments the environment decides: see ``docs/providers.md``. Requests may run concurrently, and on several
    event loops. It sends what it was given and drops nothing.

    Args:
        provider: A known provider, such as ``"openai"``, ``"cometapi"`` or ``"local"``.
        base_url: An address, such as ``"http://127.0.0.1:8000/v1"`` or ``"local://smollm2"``.
        api_key: The key, sent as a bearer token.
        http_client: An ``httpx2.AsyncClient`` or ``httpx.AsyncClient`` of your own; you close it.
        max_retries: Tries after the first one, for 408, 409, 429, 5xx and a lost connection.
        connect_timeout: Seconds for opening a connection.
        idle_timeout: Seconds of silence, between the events of a stream, that count as a dead connection.
        timeout: Seconds for a whole answer that is not streamed.
        headers: Headers to send with each request.

    Raises:
        UsageError: There is no complete pair of address and key.
    """

    def __init__(  # noqa: PLR0913 - keyword only, each with a default
        self,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        http_client: HTTPClient | None = None,
        max_retries: int = 4,
        connect_timeout: float = 5.0,
        idle_timeout: float = 120.0,
        timeout: float = 600.0,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._endpoint = resolve(os.environ, provider=provider, base_url=base_url, api_key=api_key)
        host = self._endpoint.base_url.partition("://")[2].partition("/")[0]
        if not host or "@" in host:
            raise UsageError(
                "base_url must be a full address such as http://127.0.0.1:8000/v1, without user or password"
            )
        self._http = ClientPerLoop(self._endpoint.base_url, http_client)
        self._max_retries = max_retries
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._timeout = timeout
        self._headers = {"content-type": "application/json", **(headers or {})}
        key = (self._endpoint.api_key or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError("the api_key has characters that no key has, such as a line break or a curly quote")
        if key:
            self._headers["authorization"] = f"Bearer {key}"

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._endpoint.base_url

    async def create(self, **params: Any) -> Response:
        """Send ``POST /responses`` and wait for the whole response.

        Args:
            **params: The parameters of the Responses API by their own names: ``model``, ``input`` (a string, or a
                list of items), ``instructions``, ``tools``, … ``extra_body`` adds what is newer than agentrt.

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
        body = encode_request(params)
        key = str(uuid.uuid4())

        async def once() -> Response:
            with anyio.move_on_after(self._timeout):
                async with ResponseStream(lambda: self._send(body, key, self._timeout), self._idle_timeout) as stream:
                    async for _ in stream:
                        pass
                    return stream.response
            raise UnreachableError(f"{self.base_url} gave no whole answer within {self._timeout:g} seconds")

        return await self._retrying(once)

    def stream(self, **params: Any) -> ResponseStream:
        """Send ``POST /responses`` with ``stream: true``.

        Args:
            **params: As for `create`.

        Returns:
            The stream, to be used with ``async with``. What `create` raises, entering and reading it raises.
        """
        body = encode_request({**params, "stream": True})
        key = str(uuid.uuid4())
        return ResponseStream(
            lambda: self._retrying(lambda: self._send(body, key, self._idle_timeout)), self._idle_timeout
        )

    async def _send(self, body: bytes, key: str, read_timeout: float) -> HTTPResponse:
        """Send one request once, and give its response if the status is good."""
        http: Any = self._http.get()
        url = f"{self.base_url}/responses"
        timeout = (self._connect_timeout, read_timeout, read_timeout, None)
        headers = {**self._headers, "idempotency-key": key, "x-client-request-id": key}
        with translated(url):
            request = http.build_request("POST", url, content=body, headers=headers, timeout=timeout)
            response: HTTPResponse = await http.send(request, stream=True)
            if response.status_code < FIRST_ERROR:
                return response
            raise await status_error(response, url, self._endpoint.hint)

    async def _retrying(self, once: Callable[[], Awaitable[T]]) -> T:
        """Try, and try again while that makes sense. The idempotency key is the same each time."""
        attempt = 1
        while True:
            try:
                return await once()
            except (UnreachableError, StatusError) as error:
                wish = getattr(error, "retry_after", None)
                final = isinstance(error, StatusError) and (not error.retryable or (wish or 0) > MAX_WAIT)
                if final or attempt > self._max_retries:
                    raise
            await anyio.sleep(wish or backoff(attempt, random.random()))  # noqa: S311 - jitter, not a secret
            attempt += 1

    async def aclose(self) -> None:
        """Close the connections of the running event loop. An ``http_client`` that you passed stays open."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Use the client for a block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    def __repr__(self) -> str:
        """Show the address; the key stays secret."""
        return f"Client({self._endpoint.base_url!r})"
