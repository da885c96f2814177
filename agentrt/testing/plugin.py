"""The test kit's fixtures for pytest: ``pytest_plugins = ["agentrt.testing.plugin"]`` in your ``conftest.py``."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentrt.testing.cassette import Cassette, Mode
from agentrt.testing.network import no_network as blocked
from agentrt.testing.routes import Script
from agentrt.testing.server import ResponsesServer

_OPTION = "--agentrt-cassettes"
_RAISED = pytest.StashKey[BaseException]()
_MAX_NAME = 120


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says what the `cassette` fixture does."""
    parser.getgroup("agentrt").addoption(
        _OPTION,
        choices=("replay", "auto", "record"),
        help="replay cassettes, record the missing ones (auto), or record all anew; the default is auto, and replay "
        "where the environment variable CI is set",
    )


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember what a test raised: its cassette is not written then."""
    if call.when == "call" and call.excinfo is not None:
        item.stash[_RAISED] = call.excinfo.value


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """Give the test's own cassette, ``cassettes/<module>/<test>.json`` beside the test's file."""
    asked: Mode | None = request.config.getoption(_OPTION)
    node: pytest.Item = request.node
    with Cassette(_path(node), asked or ("replay" if os.environ.get("CI") else "auto")) as cassette:
        yield cassette
        if _RAISED in node.stash:  # pytest reports it; raising it here would report it twice
            cassette.discard()


@pytest.fixture
def no_network() -> Iterator[None]:
    """Block every connection beyond this machine, as long as the test runs."""
    with blocked():
        yield


@pytest.fixture
def responses_server() -> Iterator[Callable[..., ResponsesServer]]:
    """Give a function that starts a `ResponsesServer`, with its arguments; it ends with the test."""
    with ExitStack() as servers:

        def start(script: Script = (), *, api_key: str | None = None) -> ResponsesServer:
            return servers.enter_context(ResponsesServer(script, api_key=api_key))

        yield start


def _path(node: pytest.Item) -> Path:
    name = node.nodeid.partition("::")[2].replace("::", ".")
    plain = re.sub(r"[^\w.,=+\[\]-]", "_", name)
    if plain != name or len(plain) > _MAX_NAME:  # or two tests might share a file
        plain = f"{plain[:_MAX_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return node.path.parent / "cassettes" / node.path.stem / f"{plain}.json"
