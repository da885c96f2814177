"""The connections that a client keeps by default: reused, over TLS too, and never more than are needed."""

import ssl

import anyio
import pytest
import trustme

from agentrt import Client
from agentrt.errors import UnreachableError
from agentrt.testing import ResponsesServer, say
from tests.faults.raw_server import JSON, RawServer


class TLSServer(RawServer):
    """A `RawServer` behind TLS."""

    def __init__(self, answer, authority):
        super().__init__(answer)
        self.url = self.url.replace("http://127.0.0.1", "https://localhost")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._context)

    def _serve(self, connection):
        try:
            super()._serve(self._context.wrap_socket(connection, server_side=True))
        except OSError:
            connection.close()


def answer(number, request):
    body = b'{"id": "r", "status": "completed", "output": []}'
    yield JSON + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body


async def test_https_is_spoken_and_checked(monkeypatch, tmp_path):
    authority = trustme.CA()
    with TLSServer(answer, authority) as server:
        async with Client(base_url=server.url, max_retries=0) as client:
            with pytest.raises(UnreachableError, match=r"(?i)certificate"):
                await client.create(model="m", input="hi")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with Client(base_url=server.url, max_retries=0) as client:
            assert (await client.create(model="m", input="hi")).id == "r"


class Counting(ResponsesServer):
    """Counts the connections that were made to it."""

    connections = 0

    async def _accept(self, reader, writer):
        self.connections += 1
        await super()._accept(reader, writer)


async def test_connections_are_reused_and_made_as_needed():
    with Counting(lambda request: say("ok", delay=0.05)) as server:
        async with Client(base_url=server.url) as client:
            for _ in range(5):
                await client.create(model="m", input="hi")
                async with client.stream(model="m", input="hi") as stream:
                    async for _ in stream:
                        pass
            assert server.connections == 1
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(lambda: client.create(model="m", input="hi"))
            assert server.connections == 10
            await client.aclose()
            await client.create(model="m", input="hi")
            assert server.connections == 11


async def test_a_connection_that_was_kept_too_long_is_closed(monkeypatch):
    monkeypatch.setattr("agentrt.client.pool._KEEPALIVE_SECONDS", -1)
    with Counting(lambda request: say("ok")) as server:
        async with Client(base_url=server.url) as client:
            for _ in range(3):
                await client.create(model="m", input="hi")
            assert server.connections == 3


async def test_of_many_idle_connections_none_that_is_too_old_is_used(monkeypatch):
    with Counting(lambda request: say("ok", delay=0.05)) as server:
        async with Client(base_url=server.url) as client:
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(lambda: client.create(model="m", input="hi"))
            assert server.connections == 4
            monkeypatch.setattr("agentrt.client.pool._KEEPALIVE_SECONDS", -1)
            await client.create(model="m", input="hi")
            assert server.connections == 5


async def test_no_connection_within_the_time_for_it():
    async with Client(base_url="http://127.0.0.1:9/v1", connect_timeout=0, max_retries=0) as client:
        with pytest.raises(UnreachableError, match=r"no connection to .* within 0 seconds"):
            await client.create(model="m", input="hi")
    async with Client(base_url="http://127.0.0.1:9/v1", timeout=0, max_retries=0) as client:
        with pytest.raises(UnreachableError, match="no whole answer within 0 seconds"):
            await client.create(model="m", input="hi")
