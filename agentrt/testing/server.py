"""`ResponsesServer`: a real server on a loopback socket that plays a script."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import h11

from agentrt.testing.turns import Turn
from agentrt.wire.compose import response_events, response_resource, sse_bytes
from agentrt.wire.json import as_dict, dump, parse

__all__ = ["Recorded", "ResponsesServer", "Script"]

Script = Iterable[Turn] | Callable[[dict[str, Any]], Turn]

_START_SECONDS = 10


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


class ResponsesServer:
    """Plays a script to whoever asks, as JSON or, where the request has ``stream: true``, as events in full order.

    It runs on a thread and an event loop of its own, so that tests may be sync, on asyncio or on trio::

        with ResponsesServer([calls(call("add", a=1, b=2)), say("3")]) as server:
            client = Client(base_url=server.url)
            …
            assert server.requests[1].json["input"][-1]["output"] == "3"

    Args:
        script: Turns, played one per request, or a function that gives the turn for a request's body.
        api_key: A key to insist on; any other gets a 401.
    """

    def __init__(self, script: Script = (), *, api_key: str | None = None) -> None:
        self.requests: list[Recorded] = []
        """What was asked, oldest first."""
        self._next = script if callable(script) else _player(script)
        self._api_key = api_key
        self._ids = itertools.count(1)
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The ``base_url`` for a client."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="responses-server", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise TimeoutError("the test server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving; open connections are cut."""
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_SECONDS)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the client left, or the server is closing: a script goes on with the next connection
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; false when the connection is over."""
        request, body = None, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        recorded = Recorded(request.method.decode(), request.target.decode(), headers, bytes(body))
        self.requests.append(recorded)
        turn, asked = self._turn(recorded)
        await asyncio.sleep(turn.delay)
        chunks, kind = self._chunks(turn, asked)
        head = [("content-type", kind), ("x-request-id", f"req_{next(self._ids)}"), *turn.headers.items()]
        if not any(name.lower() == "content-length" for name in turn.headers):
            head.append(("transfer-encoding", "chunked"))
        writer.write(connection.send(h11.Response(status_code=turn.status, headers=head)) or b"")
        for chunk in chunks:
            writer.write(connection.send(h11.Data(data=chunk)) or b"")
            await writer.drain()
            await asyncio.sleep(turn.pause)
        if turn.cut:
            await writer.drain()
            return False
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return connection.our_state is h11.DONE

    def _turn(self, recorded: Recorded) -> tuple[Turn, dict[str, Any]]:
        """Choose what to answer: the script's next turn, unless the request itself is at fault."""
        if self._api_key is not None and recorded.headers.get("authorization") != f"Bearer {self._api_key}":
            return _fault(401, "invalid_api_key", "Incorrect API key provided."), {}
        if recorded.method != "POST" or not recorded.path.endswith("/responses"):
            return _fault(404, "not_found", f"There is nothing at {recorded.method} {recorded.path}."), {}
        try:
            asked = as_dict(parse(recorded.body))
        except ValueError:
            return _fault(400, "invalid_json", "We could not parse the JSON body of your request."), {}
        if not asked.get("model"):
            return _fault(400, "missing_required_parameter", "Missing required parameter: 'model'.", "model"), {}
        try:
            return self._next(asked), asked
        except Exception as error:  # noqa: BLE001 - a script's own mistake: whoever asked gets to read it
            return _fault(500, "script_failed", f"The script raised {type(error).__name__}: {error}"), {}

    def _chunks(self, turn: Turn, asked: dict[str, Any]) -> tuple[list[bytes], str]:
        if turn.body is not None:
            return [turn.body], turn.content_type
        response = response_resource(
            asked,
            response_id=f"resp_{next(self._ids)}",
            created_at=int(time.time()),
            status=turn.outcome,
            output=turn.output,
            usage=turn.usage,
        )
        response.update(turn.extra)
        if asked.get("stream"):
            events = [sse_bytes(event) for event in response_events(response)]
            return [*events, b"data: [DONE]\n\n"], "text/event-stream"
        return [dump(response)], "application/json"


def _player(script: Iterable[Turn]) -> Callable[[dict[str, Any]], Turn]:
    turns = iter(script)

    def play(_: dict[str, Any]) -> Turn:
        turn = next(turns, None)
        return turn if turn is not None else _fault(500, "script_ended", "The script has no more turns.")

    return play


def _fault(status: int, code: str, message: str, param: str | None = None) -> Turn:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Turn(status=status, body=dump({"error": error}), headers={"x-should-retry": "false"})
