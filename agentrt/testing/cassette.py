"""`Cassette`: HTTP exchanges with a provider, recorded once and replayed in every later test."""

from __future__ import annotations

import json
import os
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import anyio.lowlevel
import httpx2

from agentrt.client import Client
from agentrt.errors import AgentrtError, UsageError
from agentrt.testing.answers import Recorded
from agentrt.testing.exchange import Ask, Body, Exchange, Match, canonical
from agentrt.testing.nearest import describe_nearest
from agentrt.testing.routes import base_path
from agentrt.testing.scrub import Scrubber

__all__ = ["Cassette", "CassetteMissError", "Mode"]

Mode = Literal["auto", "replay", "record"]

_VERSION = 1


class CassetteMissError(AgentrtError):
    """A request was made that the cassette has no answer to. Nothing was sent."""


class Cassette:
    """Records HTTP exchanges in a file, and replays them without a network.

    ::

        with Cassette("weather.json") as cassette:
            agent = Agent("gpt-5.4", tools=[weather], client=cassette.client())
            result = agent.run_sync("How is the weather in Paris?")

    Requests are told apart by their method, their path and their body; equal ones are answered in the order in which
    they were recorded, each answer once. The file is written when the block ends, whole or not at all: not where the
    block raises, and not where nothing was recorded. Keys don't get into it: see ``docs/testing.md``.

    Args:
        path: The file; its folder is made.
        mode: ``auto`` records where there is no file yet, and otherwise replays; ``replay`` never sends anything;
            ``record`` records anew.
        match: Gives what of a request's body is compared, from the body as a JSON value: for leaving out what changes
            from run to run.

    Raises:
        UsageError: Entering it: the file is no cassette.
    """

    def __init__(self, path: str | os.PathLike[str], mode: Mode = "auto", *, match: Match | None = None) -> None:
        if mode not in get_args(Mode):
            raise UsageError(f"a cassette's mode must be 'auto', 'replay' or 'record', but is {mode!r}")
        self.path = Path(path)
        self._mode = mode
        self._match = match
        self._records = False
        self._open = False

    def __enter__(self) -> Self:
        """Read the file, if it is to be replayed."""
        exists = self.path.exists()
        self._records = self._mode == "record" or (self._mode == "auto" and not exists)
        self._exchanges = [] if self._records or not exists else _read(self.path)
        self._scrubber = Scrubber()
        self._waiting: defaultdict[str, deque[Exchange]] = defaultdict(deque)
        for exchange in self._exchanges:
            self._waiting[canonical(exchange.ask.compared(self._match))].append(exchange)
        self._open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what was recorded, unless the block raised."""
        self._open = False
        if self._records and self._exchanges and kind is None:
            _write(self.path, self._exchanges)

    def discard(self) -> None:
        """Forget what was recorded, so that the end of the block writes nothing."""
        if self._records:
            self._exchanges.clear()

    @property
    def records(self) -> bool:
        """Whether requests are sent and recorded, rather than replayed."""
        return self._records

    @property
    def unused(self) -> list[Recorded]:
        """The recorded requests that have not been asked for; in the order of the file."""
        return [] if self._records else [exchange.ask.recorded for exchange in self._exchanges if not exchange.played]

    def client(self, **client_options: Any) -> Client:
        """Make a client whose requests go through the cassette, as long as its block lasts.

        Args:
            **client_options: Those of `Client`. A replay needs neither a key nor an address.

        Raises:
            UsageError: ``http_client`` is among them; give that `transport`.
        """
        if "http_client" in client_options:
            raise UsageError("make your http_client with transport=cassette.transport(), and pass it to Client(…)")
        if not self._records:
            paths = [exchange.ask.path for exchange in self._exchanges]
            address = f"http://cassette.invalid{base_path(paths[0]) if paths else '/v1'}"
            client_options = {"base_url": address, **client_options}
        return Client(http_client=httpx2.AsyncClient(transport=self.transport()), **client_options)

    def transport(self, inner: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncBaseTransport:
        """Make a transport for an ``httpx2.AsyncClient`` of your own.

        Args:
            inner: What sends the requests that are recorded; None for a connection for each, by the environment's
                proxy where it names one.
        """

        async def handle(request: httpx2.Request) -> httpx2.Response:
            content = await request.aread()
            if not self._open:
                raise UsageError(f"the cassette {self.path} is not open: use it within `with Cassette(…) as cassette:`")
            ask = Ask.of(request, content, self._scrubber)
            if not self._records:
                return self._replayed(ask, request)
            # Packed bodies could neither be read in the file nor searched for secrets.
            request.headers["accept-encoding"] = "identity"
            return await self._recorded(ask, request, inner)

        return httpx2.MockTransport(handle)

    def _replayed(self, ask: Ask, request: httpx2.Request) -> httpx2.Response:
        key = canonical(ask.compared(self._match))
        if not self._waiting[key]:
            raise CassetteMissError(self._miss(ask, key))
        exchange = self._waiting[key].popleft()
        exchange.played = True
        return httpx2.Response(exchange.status, headers=exchange.headers, stream=_Replay(exchange), request=request)

    def _miss(self, ask: Ask, key: str) -> str:
        compared = [exchange.ask.compared(self._match) for exchange in self._exchanges]
        times = [canonical(entry) for entry in compared].count(key)
        if times:
            why = f"it is recorded {times} time(s), and all of them have been played"
        elif compared:
            why = describe_nearest(ask.compared(self._match), compared)
        else:
            why = "nothing is recorded" if self.path.exists() else "the file doesn't exist"
        return (
            f"the cassette {self.path} has no answer to {ask.method} {ask.path[:200]}: {why}\n"
            "To record it anew, delete the file or use mode='record' (pytest: --agentrt-cassettes=record); for what "
            "changes from run to run, pass match="
        )

    async def _recorded(
        self, ask: Ask, request: httpx2.Request, inner: httpx2.AsyncBaseTransport | None
    ) -> httpx2.Response:
        sending = _Sending(inner)
        try:
            response = await sending.send(request)
        except BaseException:
            await sending.aclose()
            raise
        exchange = Exchange.of(ask, response, self._scrubber)
        self._exchanges.append(exchange)
        recording = _Recording(response, sending, exchange, self._scrubber)
        return httpx2.Response(response.status_code, headers=response.headers, stream=recording, request=request)


class _Sending:
    """One request on its way. It has a client of its own, as a connection that is kept would outlive its event loop."""

    def __init__(self, inner: httpx2.AsyncBaseTransport | None) -> None:
        self._inner = inner
        self._client: httpx2.AsyncClient | None = None
        self._response: httpx2.Response | None = None

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        if self._inner is not None:
            self._response = await self._inner.handle_async_request(request)
        else:
            self._client = httpx2.AsyncClient()
            self._response = await self._client.send(request, stream=True, follow_redirects=False)
        return self._response

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            if self._response is not None:
                await self._response.aclose()
            if self._client is not None:
                await self._client.aclose()


class _Recording(httpx2.AsyncByteStream):
    """A body on its way to the client, which is written down when it ends, breaks off, or is left."""

    def __init__(self, response: httpx2.Response, sending: _Sending, exchange: Exchange, scrubber: Scrubber) -> None:
        self._response = response
        self._sending = sending
        self._exchange = exchange
        self._scrubber = scrubber
        self._data = bytearray()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._response.stream, httpx2.AsyncByteStream)
        async for chunk in self._response.stream:
            self._data += chunk
            yield chunk
        self._exchange.cut = False

    async def aclose(self) -> None:
        headers = self._response.headers
        data = _unpacked(bytes(self._data), headers.get("content-encoding"))
        self._exchange.body = Body.of(data, headers.get("content-type", ""), self._scrubber)
        await self._sending.aclose()


class _Replay(httpx2.AsyncByteStream):
    """A recorded body; a stream comes event by event."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = self._exchange.body
        for chunk in [] if body is None else body.chunks:
            await anyio.lowlevel.checkpoint()
            yield chunk
        if self._exchange.cut:
            raise httpx2.RemoteProtocolError("the recording ends here: the connection broke, or the client left")


def _read(path: Path) -> list[Exchange]:
    advice = "delete it, or record it anew with mode='record'"
    try:
        raw = json.loads(path.read_bytes())
        if raw["version"] != _VERSION:
            raise UsageError(f"the cassette {path} has version {raw['version']!r}, not {_VERSION}; {advice}")
        return [Exchange.from_json(exchange) for exchange in raw["exchanges"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no cassette ({type(error).__name__}: {error}); {advice}") from error


def _write(path: Path, exchanges: Sequence[Exchange]) -> None:
    """Write the file whole: nobody ever sees a part of it, and what was there stays if this fails."""
    raw = {"version": _VERSION, "exchanges": [exchange.to_json() for exchange in exchanges]}
    written = json.dumps(raw, indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(written, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _unpacked(data: bytes, encoding: str | None) -> bytes:
    """Unpack a body that came packed although that wasn't asked for."""
    try:
        return httpx2.Response(200, headers={"content-encoding": encoding or "identity"}, content=data).content
    except httpx2.DecodingError:
        return data
