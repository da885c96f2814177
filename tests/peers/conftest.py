"""Real peers, other people's servers from PyPI, each in a process of its own on a free port of loopback."""

import importlib.util
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
START_SECONDS = 40
END_SECONDS = 5


@contextmanager
def served(script, *arguments, log, **env):
    """Run a peer while the block lasts, and give its address; it ends with its standard input at the latest."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("COVERAGE", "LLMOCK_"))}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(HERE / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**inherited, **env},
        )
    deadline = threading.Timer(START_SECONDS, process.kill)
    deadline.start()
    try:
        url = process.stdout.readline().decode().strip()
        deadline.cancel()
        if not url:
            raise RuntimeError(f"{script} did not come up: {log.read_text(errors='replace')[-2000:]}")
        yield url
    finally:
        deadline.cancel()
        process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def require():
    """Skip where a package that a peer needs is not installed, without importing it here."""

    def check(*packages, install):
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"{' and '.join(missing)} is not installed: pip install {install}")

    return check


@pytest.fixture(scope="session")
def start_peer(tmp_path_factory):
    """Start peers; what one says on its standard error is shown where it doesn't come up."""
    return lambda script, *arguments, **env: served(
        script, *arguments, log=tmp_path_factory.mktemp("peer") / f"{script}.log", **env
    )


@pytest.fixture(params=["run", "stream"])
def drive(request):
    """Run an agent to its end, in one piece or streamed; gives the result and the events."""

    async def go(agent, *arguments, **options):
        if request.param == "run":
            return await agent.run(*arguments, **options), []
        async with agent.stream(*arguments, **options) as run:
            events = [event async for event in run]
        return run.result, events

    go.streaming = request.param == "stream"
    return go
