import os
import signal

import pytest

from agentrt import Client
from agentrt.testing import ResponsesServer

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would each script that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    if config.option.markexpr == "long":  # these measure time and memory, so one runs at a time
        config.option.numprocesses = 0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No test talks to a real provider: the developer's own keys are out of reach."""
    for name in list(os.environ):
        if name.startswith(("AGENTRT_", "OPENAI_", "COMETAPI_", "OPENROUTER_", "XAI_")):
            monkeypatch.delenv(name)


@pytest.fixture
def serve():
    """Start scripted servers that end with the test."""
    servers = []

    def start(*script, **options):
        server = ResponsesServer(script[0] if len(script) == 1 and callable(script[0]) else script, **options)
        server.__enter__()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def client_of():
    """Make a client for a scripted server, without long waits between retries."""
    return lambda server, **options: Client(base_url=server.url, **options)
