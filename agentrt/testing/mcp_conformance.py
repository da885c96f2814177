"""The client that MCP's conformance suite runs: ``python -m agentrt.testing.mcp_conformance URL``.

::

    npx @modelcontextprotocol/conformance client --requirements 2026-07-28 \\
        --command "python -m agentrt.testing.mcp_conformance"

All goes through `agentrt.MCPServer`, as a user would use it. The suite tells of a scenario in the environment:
``MCP_CONFORMANCE_SCENARIO``, ``MCP_CONFORMANCE_PROTOCOL_VERSION`` and, as JSON, ``MCP_CONFORMANCE_CONTEXT``. A scenario
that is not known here gets what all get: connect, list, and use all that is listed.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from agentrt.bridges.mcp.endpoint import OAuth
from agentrt.bridges.mcp.server import MCPServer
from agentrt.bridges.mcp.talk import Question
from agentrt.bridges.mcp.tokens import FileTokenStore
from agentrt.errors import AgentrtError
from agentrt.wire.json import as_dict, as_list

__all__ = ["drive", "example_of", "main"]

CLIENT_METADATA = "https://conformance-test.local/client-metadata.json"
"""Where the suite pretends that a client's metadata document is."""
_SECONDS = 10.0
_EXAMPLES: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}

logger = logging.getLogger("agentrt.testing")


def example_of(schema: Any) -> Any:
    """Make a value that a plain JSON schema takes: its default or first choice, else one of its type.

    Args:
        schema: The schema. References and combinations are not followed.
    """
    schema = as_dict(schema)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    kinds = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")]
    if "array" in kinds:
        return [example_of(schema.get("items"))] * int(schema.get("minItems", 0))
    if "object" in kinds:
        properties = as_dict(schema.get("properties"))
        return {name: example_of(properties.get(name)) for name in as_list(schema.get("required"))}
    return _EXAMPLES.get(str(kinds[0]), "text")


async def drive(url: str, scenario: str, revision: str | None, context: Mapping[str, Any]) -> list[str]:
    """Connect to a server, list what it has, and use it.

    Args:
        url: Its address.
        scenario: The suite's name for what is tried.
        revision: The revision of MCP that must come out; None for any.
        context: What the suite tells beside: ``toolCalls``, and what a login needs.

    Returns:
        What failed, in sentences.
    """
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        auth = await _login(url, scenario, context, Path(folder)) if scenario.startswith("auth/") else None
        async with MCPServer.http(url, name="server", auth=auth) as server:
            logger.info("connected by %s; tools: %s", server.protocol_version, ", ".join(server.tools))
            for call in _calls(server, scenario, context):
                try:
                    result = await server.call(call["name"], call["arguments"], asker=_accept)
                    logger.info("%s gave %s", call["name"], result)
                except AgentrtError as error:
                    failed.append(f"{call['name']}: {error}")
    return failed


def _calls(server: MCPServer, scenario: str, context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say what to call: what the suite names, else each tool that an agent would be offered."""
    if as_list(context.get("toolCalls")):
        return as_list(context.get("toolCalls"))
    schemas = {str(raw["name"]): raw.get("inputSchema") for raw in server.listed}
    if scenario == "json-schema-2020-12-preservation":
        return [{"name": "json_schema_echo", "arguments": {"schema": schemas["json_schema_2020_12_tool"]}}]
    return [{"name": name, "arguments": example_of(schema)} for name, schema in schemas.items()]


async def _accept(_: Question) -> Mapping[str, Any]:
    """Accept whatever is asked, with the defaults."""
    return {}


async def _login(url: str, scenario: str, context: Mapping[str, Any], folder: Path) -> OAuth:
    secret = context.get("client_secret")
    return OAuth(
        client_id=context.get("client_id"),
        client_secret=secret,
        issuer=None if secret is None else context.get("issuer") or await _issuer(url),
        client_metadata_url=CLIENT_METADATA,
        grant="client_credentials" if "client-credentials" in scenario else "authorization_code",
        on_browser=_browse,
        store=FileTokenStore(folder / "logins.json"),
    )


async def _issuer(url: str) -> str:
    """Ask the server where to log in, as an operator would read it in its handbook (RFC 9728)."""
    parts = urlsplit(url)
    async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
        told = await client.get(f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path}")
        return str(as_list(told.raise_for_status().json()["authorization_servers"])[0])


def _browse(url: str) -> None:
    """Be the person who logs in: the suite's pages lead on by themselves."""
    httpx2.get(url, follow_redirects=True, timeout=_SECONDS, trust_env=False)


def main() -> int:
    """Run the scenario that the environment names; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="agentrt.testing.mcp_conformance", description="A client for the MCP conformance suite."
    )
    parser.add_argument("url", help="the server's address")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    environ = os.environ
    scenario = environ.get("MCP_CONFORMANCE_SCENARIO", "")
    context = json.loads(environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    revision = environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION")
    try:
        failed = anyio.run(functools.partial(drive, given.url, scenario, revision, context), backend=given.backend)
    except AgentrtError as error:
        failed = [f"not connected: {error}"]
    for line in failed:
        logger.error("%s", line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
