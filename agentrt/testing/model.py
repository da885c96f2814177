"""`ScriptedModel`: a client that plays a script by itself, without a socket or a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2

from agentrt.client import Client
from agentrt.client.client import Key
from agentrt.errors import UsageError
from agentrt.testing.answers import Answer, Recorded
from agentrt.testing.script import Script, Scripted

__all__ = ["ScriptedModel"]


class ScriptedModel(Scripted, Client):
    """A `Client` that answers itself, for unit tests: the scripts are those of `ResponsesServer`.

    ::

        model = ScriptedModel([calls(call("add", a=1, b=2)), say("3")])
        result = await Agent("any-model", tools=[add], client=model).run("What is 1 + 2?")
        assert model.requests[1].json["input"][-1]["output"] == "3"

    All of the client is the real one, up to the bytes that it sends. It opens no connection, so it may be used again
    after it was closed, and on any event loop.

    Args:
        script: Turns, played one per request, or a function that gives the turn for a request's body.
        api_key: The key to send. A text is insisted on, too: a request with another one gets a 401.
        **client_options: Those of `Client`, such as ``max_retries``, ``timeout`` or ``provider``.

    Raises:
        UsageError: ``http_client`` is among the options.
    """

    def __init__(self, script: Script = (), *, api_key: Key | None = None, **client_options: Any) -> None:
        if "http_client" in client_options:
            raise UsageError("a ScriptedModel sends nothing, so it takes no http_client; use ResponsesServer with it")
        self._set_up(script, api_key if isinstance(api_key, str) else None)
        http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer_in_process))
        options: dict[str, Any] = {"base_url": "http://scripted.invalid/v1", **client_options}
        super().__init__(api_key=api_key, http_client=http_client, **options)

    async def _answer_in_process(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.aread()
        answer, head = self._answer(Recorded(request.method, request.url.raw_path.decode(), headers, body))
        await anyio.sleep(answer.turn.delay)
        return httpx2.Response(answer.turn.status, headers=head, stream=_Body(answer), request=request)


class _Body(httpx2.AsyncByteStream):
    """An answer's body, at its own pace."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._answer.sent():
            yield chunk
            await anyio.sleep(self._answer.turn.pause)
        if self._answer.is_cut:
            raise httpx2.RemoteProtocolError("the connection was cut, as the script says")
