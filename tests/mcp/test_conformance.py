"""The official conformance suite, both requirement sets: the client side through the bridge, the server side through
`agentrt.serve_mcp`. What fails is written down here; that more fails, or less, is a failure too."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from agentrt.testing.mcp_conformance import drive, example_of
from tests.mcp.npm import BIN, needs_npm, script

OLD, NEW = "2025-11-25", "2026-07-28"

NO_DPOP = "no proofs of possession (RFC 9449); an extension"
NO_WIF = "no login by a workload's identity (SEP-1933); an extension"
NO_TASKS = "no tasks (SEP-2663); an extension"
CLIENT_FAILING = {"auth/dpop": NO_DPOP, "auth/dpop-nonce": NO_DPOP, "auth/wif-jwt-bearer": NO_WIF}
SERVER_FAILING = {
    OLD: {
        "server-sse-polling": "no streams that are taken up again (SEP-1699); pending in the suite, and warnings only"
    },
    NEW: {
        "tasks-lifecycle": NO_TASKS,
        "tasks-capability-negotiation": NO_TASKS,
        "tasks-wire-fields": NO_TASKS,
        "tasks-request-state-removal": NO_TASKS,
        "tasks-mrtr-input": NO_TASKS,
        "tasks-request-headers": NO_TASKS,
        "tasks-dispatch-and-envelope": NO_TASKS,
        "tasks-required-task-error": NO_TASKS,
        "tasks-mrtr-composition": NO_TASKS,
    },
}
CLIENT_SCENARIOS, SERVER_SCENARIOS = {OLD: 25, NEW: 39}, {OLD: 33, NEW: 50}

UP_TO_HERE = "insufficient_scope|retry attempts|refused"  # the suite's server breaks off after a few tries
NO_SUCH_LOGIN = {"auth/wif-jwt-bearer": "Only .*jwt-bearer grant"}
REFUSING = {
    OLD: {"auth/scope-retry-limit": UP_TO_HERE, **NO_SUCH_LOGIN},
    NEW: {
        "auth/scope-retry-limit": UP_TO_HERE,
        "auth/resource-mismatch": "does not match",
        "auth/metadata-issuer-mismatch": "issuer mismatch",
        "auth/iss-supported-missing": "missing iss",
        "auth/iss-wrong-issuer": "iss mismatch",
        "auth/iss-unexpected": "iss mismatch",
        "auth/iss-normalized": "iss mismatch",
        "json-schema-ref-no-deref": "Method not found",  # the suite's server lists a tool, and takes no call of it
        **NO_SUCH_LOGIN,
    },
}
"""Where the client must not get through, and what it says."""


def suite(*args):
    return [shutil.which("node", path=BIN), script("conformance"), *map(str, args)]


def results(folder, prefix=""):
    """Read what the suite wrote: the checks of each scenario, by its name."""
    found = {}
    for file in folder.rglob("checks.json"):
        name = re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", file.parent.relative_to(folder).as_posix())
        found[name.removeprefix(prefix)] = json.loads(file.read_text())
    return found


def failing(found):
    wrong = {
        name: [check["id"] for check in checks if check["status"] in ("FAILURE", "WARNING")]
        for name, checks in found.items()
    }
    print({name: ids for name, ids in wrong.items() if ids})
    return {name for name, ids in wrong.items() if ids}


@needs_npm
@pytest.mark.parametrize("revision", [OLD, NEW])
async def test_the_bridge_passes_the_client_scenarios(revision, tmp_path, anyio_backend_name):
    failed = {}

    async def play(stream):
        async with stream:
            line = await BufferedByteReceiveStream(stream).receive_until(b"\n", 2**20)
            url, scenario, version, context = json.loads(line)
            version = version if anyio_backend_name == "asyncio" else None  # each of them must do
            failed[scenario] = await drive(url, scenario, version, json.loads(context or "{}"))
            await stream.send(json.dumps(failed[scenario]).encode() + b"\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    relay = Path(__file__).with_name("relay.py")
    command = ("--command", f"{sys.executable} -S {relay} {port}")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, play)
        done = await anyio.run_process(
            suite("client", "--requirements", revision, *command, "-o", tmp_path), check=False
        )
        group.cancel_scope.cancel()
    found = results(tmp_path)
    assert len(found) == len(failed) == CLIENT_SCENARIOS[revision], done.stdout.decode()[-2000:]
    assert failing(found) == set(CLIENT_FAILING)
    refused = {name: lines for name, lines in failed.items() if lines}
    print(refused)
    assert refused.keys() == REFUSING[revision].keys()
    for name, said in REFUSING[revision].items():
        assert re.search(said, refused[name][0], re.IGNORECASE)


@needs_npm
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("revision", [OLD, NEW])
async def test_what_is_served_passes_the_server_scenarios(revision, tmp_path, anyio_backend):
    command = [sys.executable, "-m", "agentrt.testing.mcp_server", "--port", "0"]
    async with await anyio.open_process(command, stderr=subprocess.PIPE) as server:
        told = BufferedByteReceiveStream(server.stderr)
        said = (await told.receive_until(b"/mcp", 2**16)).decode()
        url = said.rpartition("MCP server at ")[2] + "/mcp"
        done = await anyio.run_process(
            suite("server", "--url", url, "--requirements", revision, "-o", tmp_path), check=False
        )
        server.send_signal(signal.SIGINT)
        await server.wait()
    found = results(tmp_path, "server-")
    assert len(found) == SERVER_SCENARIOS[revision], done.stdout.decode()[-2000:]
    assert failing(found) == set(SERVER_FAILING[revision])


@needs_npm
@pytest.mark.parametrize("scenario", ["auth/scope-step-up", "http-custom-headers"])
def test_the_entry_point_is_a_command_for_the_suite(scenario, anyio_backend):
    command = f"{sys.executable} -m agentrt.testing.mcp_conformance --backend {anyio_backend}"
    done = subprocess.run(
        suite("client", "--scenario", scenario, "--spec-version", NEW, "--command", command),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    assert "OVERALL: PASSED" in done.stderr


def test_the_entry_point_says_what_failed():
    command = [sys.executable, "-m", "agentrt.testing.mcp_conformance", "http://127.0.0.1:9/mcp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ERROR:agentrt.testing:connecting: no answer from the MCP server" in done.stderr


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": ["null", "string"]}, None),
        ({"type": "string", "format": "email"}, "ada@example.com"),
        ({"const": 3}, 3),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}}, [1, 1]),
        (
            {"type": "object", "properties": {"a": {"type": "boolean", "default": False}, "b": {}}, "required": ["a"]},
            {"a": False},
        ),
        (True, "text"),
    ],
)
def test_arguments_are_made_of_a_schema(schema, value):
    assert example_of(schema) == value
