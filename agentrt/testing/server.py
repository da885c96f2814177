"""`ResponsesServer`: a real server on a loopback socket that plays a script."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

import h11

from agentrt.testing.answers import Answer, Recorded
from agentrt.testing.script import Script, Scripted

__all__ = ["Recorded", "ResponsesServer", "Script"]

_START_SECONDS = 10
_ACCEPT_STEPS, _END_STEPS = 5, 1000


class ResponsesServer(Scripted):
    """Plays a script to whoever asks, as JSON or, where the request has ``stream: true``, as events in full order.

    It has every endpoint: stored responses, conversations, background, compaction, token counts, files. It runs on a
    thread and an event loop of its own, so that tests may be sync, on asyncio or on trio::

        with ResponsesServer([calls(call("add", a=1, b=2)), say("3")]) as server:
            client = Client(base_url=server.url)
            …
            assert server.requests[1].json["input"][-1]["output"] == "3"

    Args:
        script: Turns, played one per request, or a function that gives the turn for a request's body.
        api_key: A key to insist on; any other gets a 401.
    """

    def __init__(self, script: Script = (), *, api_key: str | None = None) -> None:
        self._set_up(script, api_key)
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
        for _ in range(_ACCEPT_STEPS):  # asyncio 3.11 leaks a connection that is accepted while the server closes
            await asyncio.sleep(0)
        server.close()
        # A connection that was just accepted has a task that must begin, so that it can end and close its socket.
        for _ in range(_END_STEPS):
            for task in self._tasks:
                task.cancel()
            await asyncio.sleep(0)
            if asyncio.all_tasks() == {asyncio.current_task()}:
                break
        await asyncio.sleep(0)  # a transport that was aborted closes its socket one step later

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
        return await self._send(*self._answer(recorded), connection, writer)

    async def _send(
        self,
        answer: Answer,
        head: list[tuple[str, str]],
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
    ) -> bool:
        turn = answer.turn
        await asyncio.sleep(turn.delay)
        if not any(name.lower() == "content-length" for name in turn.headers):
            head.append(("transfer-encoding", "chunked"))
        writer.write(connection.send(h11.Response(status_code=turn.status, headers=head)) or b"")
        for chunk in answer.sent():
            writer.write(connection.send(h11.Data(data=chunk)) or b"")
            await writer.drain()
            await asyncio.sleep(turn.pause)
        if answer.is_cut:
            await writer.drain()
            return False
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return connection.our_state is h11.DONE
