r"""The client that MCP's conformance suite runs: ``python -m agentrt.testing.mcp_conformance URL``.

::

    npx @modelcontextprotocol/conformance client --requirements 2026-07-28 \
        --command "python -m agentrt.testing.mcp_conformance"

All goes through `agentrt.MCPServer`, as a user would use it. The suite tells of a scenario in the environment:
``MCP_CONFORMANCE_SCENARIO``, ``MCP_CONFORMANCE_PROTOCOL_VERSION`` and, as JSON, ``MCP_CONFORMANCE_CONTEXT``. Whatever
the scenario, known or not: connect, and use all that is offered.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import sys
from collections.abc import Awaitable, Mapping
from typing import Any

import anyio

from agentrt.bridges.mcp.server import MCPServer
from agentrt.bridges.mcp.settings import PROTOCOLS
from agentrt.bridges.mcp.talk import Question
from agentrt.bridges.mcp.tool import MCPTool
from agentrt.errors import AgentrtError
from agentrt.testing.mcp_logins import login_for
from agentrt.wire.json import as_dict, as_list

__all__ = ["drive", "example_of", "main"]

_EXAMPLES: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}
_FORMATS: Mapping[str, str] = {
    "uri": "https://example.com/",
    "email": "ada@example.com",
    "date": "2027-01-31",
    "date-time": "2027-01-31T12:00:00Z",
}

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
    if as_list(schema.get("enum")):
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if as_list(kind) else kind
    if kind == "array":
        return [example_of(schema.get("items"))] * int(schema.get("minItems", 0))
    if kind == "object":
        properties = as_dict(schema.get("properties"))
        return {name: example_of(properties.get(name)) for name in as_list(schema.get("required"))}
    return _FORMATS.get(str(schema.get("format")), _EXAMPLES.get(str(kind), "text"))


async def drive(url: str, scenario: str, revision: str | None, context: Mapping[str, Any]) -> list[str]:
    """Connect to a server and use what it offers.

    Args:
        url: Its address.
        scenario: The suite's name for what is tried.
        revision: The revision of MCP to speak; None for the newest that both sides know.
        context: What the suite tells beside: the ``toolCalls`` to make, and what a login needs.

    Returns:
        What failed, in sentences.
    """
    failed: list[str] = []
    # A server of the newest revision may have to be asked twice (SEP-2575), which a fixed revision rules out.
    protocol = revision if revision in PROTOCOLS[:-1] else "auto"
    try:
        async with (
            login_for(url, scenario, context) as auth,
            MCPServer.http(url, name="server", auth=auth, protocol=protocol) as server,
        ):
            for call in _calls(server, scenario, context):
                await _tried(call["name"], server.call(call["name"], call["arguments"], asker=_accept), failed)
            await _use_rest(server, failed)
    except AgentrtError as error:
        failed.append(f"connecting: {error}")
    return failed


def _calls(server: MCPServer, scenario: str, context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say what to call: what the suite names, else each tool that a model would be offered."""
    named = as_list(context.get("toolCalls"))
    tools = (tool for tool in server.tools.values() if isinstance(tool, MCPTool))
    schemas = {tool.original: tool.raw.get("inputSchema") for tool in tools}
    if scenario == "json-schema-2020-12-preservation":
        named = [{"name": "json_schema_echo", "arguments": {"schema": schemas["json_schema_2020_12_tool"]}}]
    return named or [{"name": name, "arguments": example_of(schema)} for name, schema in schemas.items()]


async def _use_rest(server: MCPServer, failed: list[str]) -> None:
    for resource in await _tried("resources/list", server.resources(), failed) or ():
        await _tried(f"reading {resource['uri']}", server.read_resource(resource["uri"]), failed)
    for prompt in await _tried("prompts/list", server.prompts(), failed) or ():
        names = [argument["name"] for argument in as_list(prompt.get("arguments"))]
        await _tried(f"getting {prompt['name']}", server.get_prompt(prompt["name"], dict.fromkeys(names, "x")), failed)


async def _tried(what: str, request: Awaitable[Any], failed: list[str]) -> Any:
    """Wait for an answer, and note it if there is none."""
    try:
        answer = await request
    except AgentrtError as error:
        failed.append(f"{what}: {error}")
        return None
    logger.info("%s gave %.500s", what, answer)
    return answer


async def _accept(_: Question) -> Mapping[str, Any]:
    """Accept whatever is asked, with the defaults."""
    return {}


def main() -> int:
    """Run the scenario that the environment names; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="agentrt.testing.mcp_conformance", description="The client for MCP's conformance suite."
    )
    parser.add_argument("url", help="the server's address")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION")
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    failed = anyio.run(functools.partial(drive, given.url, scenario, revision, context), backend=given.backend)
    for line in failed:
        logger.error("%s", line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
