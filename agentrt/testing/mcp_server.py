"""The fixture server of MCP's conformance suite, served by agentrt: ``python -m agentrt.testing.mcp_server``.

::

    npx @modelcontextprotocol/conformance server --url http://127.0.0.1:3001/mcp --requirements 2026-07-28

What the suite wants of tools are functions in a registry, as anybody would write them; what it wants of resources,
prompts, completions and logging levels is handed to the SDK's server by ``extend=``, in `agentrt.testing.mcp_extras`.
"""

from __future__ import annotations

import argparse
import base64
import warnings
from collections.abc import Mapping
from typing import Annotated, Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.message import ServerMessageMetadata
from pydantic import Field

from agentrt.errors import ToolError
from agentrt.registry import Context, Registry
from agentrt.serve import current_request, serve_mcp
from agentrt.testing.mcp_extras import PNG, WORDY_SCHEMA, extend, needs, question, response, sampling
from agentrt.wire.json import dict_or_none
from agentrt.wire.parts import Audio, Image

__all__ = ["main", "registry"]

_WAV = base64.b64decode("UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=")
_PAUSE = 0.05

registry = Registry()
"""The tools that the suite calls."""


# --- content


@registry.tool
def test_simple_text() -> str:
    """Give a text."""
    return "This is a simple text response for testing."


@registry.tool
def test_image_content() -> Image:
    """Give an image."""
    return Image(PNG)


@registry.tool
def test_audio_content() -> Audio:
    """Give a sound."""
    return Audio(_WAV)


@registry.tool
def test_embedded_resource() -> types.CallToolResult:
    """Give a resource, as the SDK has it."""
    return types.CallToolResult(content=[_embedded("test://embedded-resource", "This is an embedded resource.")])


@registry.tool
def test_multiple_content_types() -> types.CallToolResult:
    """Give a text, an image and a resource."""
    image = types.ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")
    resource = _embedded("test://mixed-content-resource", '{"test": "data", "value": 123}')
    return types.CallToolResult(content=[types.TextContent(type="text", text="Multiple:"), image, resource])


def _embedded(uri: str, text: str) -> types.EmbeddedResource:
    contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)
    return types.EmbeddedResource(type="resource", resource=contents)


@registry.tool
def test_error_handling() -> str:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


@registry.tool
def json_schema_2020_12_tool(name: str = "", address: dict[str, str] | None = None) -> str:
    """Take what a JSON schema of many words says."""
    return f"{name} {address}"


json_schema_2020_12_tool.form.natural = WORDY_SCHEMA  # which no signature says; what is offered must have it whole


@registry.tool
def test_headers(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
    priority: Annotated[int, Field(json_schema_extra={"x-mcp-header": "Priority"})],
) -> str:
    """Take values that clients repeat in headers, for proxies to read (SEP-2243)."""
    return f"{region} {priority}"


# --- what happens while a tool works


@registry.tool
async def test_tool_with_logging() -> str:
    """Log three times."""
    for told in ("started", "processing data", "completed"):
        await _log(f"Tool execution {told}")
        await anyio.sleep(_PAUSE)
    return "done"


@registry.tool
async def test_logging_tool() -> str:
    """Log once."""
    await _log("logged")
    return "done"


async def _log(text: str) -> None:
    request = current_request()
    send = request.session.send_log_message  # pyright: ignore[reportDeprecated] - the suite wants what is deprecated too
    await send("info", text, related_request_id=request.request_id)


@registry.tool
async def test_tool_with_progress(ctx: Context) -> str:
    """Tell of three steps."""
    for fraction in (0.0, 0.5, 1.0):
        ctx.progress(fraction, f"Completed {fraction:.0%}")
        await anyio.sleep(_PAUSE)
    return "done"


@registry.tool
async def test_sampling(prompt: str) -> str:
    """Let the client's model answer."""
    request = current_request()
    answer = await request.session.send_request(
        sampling(prompt, 100),
        types.CreateMessageResult,
        metadata=ServerMessageMetadata(related_request_id=request.request_id),
    )
    return f"LLM response: {answer.content.text if isinstance(answer.content, types.TextContent) else ''}"


@registry.tool
async def test_reconnection() -> str:
    """End the stream that the answer was to come on."""
    request = current_request()
    if request.close_sse_stream is not None:
        await request.close_sse_stream()
    await anyio.sleep(4 * _PAUSE)
    return "Reconnection test completed"


# --- values that are asked for


async def _asked(ctx: Context, message: str, properties: dict[str, Any], required: list[str]) -> str:
    if ctx.ask is None:
        raise ToolError("this client can't ask its user for values")
    schema = {"type": "object", "properties": properties, "required": required}
    values = await ctx.ask(message, schema)
    return f"User response: action={'decline' if values is None else 'accept'}, content={dict(values or {})}"


@registry.tool
async def test_elicitation(ctx: Context, message: str) -> str:
    """Ask for a name and an address."""
    properties = {name: {"type": "string", "description": f"The {name}"} for name in ("username", "email")}
    return await _asked(ctx, message, properties, list(properties))


@registry.tool
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Ask with a default of each type."""
    properties: dict[str, Any] = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await _asked(ctx, "Please look through the form", properties, [])


@registry.tool
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Ask for choices of each kind."""
    few = ["option1", "option2", "option3"]
    titled = [{"const": name, "title": name.title()} for name in few]
    properties: dict[str, Any] = {
        "untitledSingle": {"type": "string", "enum": few},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": few, "enumNames": [name.title() for name in few]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": few}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return await _asked(ctx, "Please choose", properties, [])


# --- the same between two tries, for the 2026 revision


def _name(message: str = "What is your name?", of: str = "name") -> types.ElicitRequest:
    return question(message, {of: {"type": "string"}})


def _confirm() -> types.ElicitRequest:
    return question("Please confirm", {"ok": {"type": "boolean"}})


Asked = types.CallToolResult | types.InputRequiredResult


def _said(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


def _content(key: str) -> Mapping[str, Any] | None:
    found = response(key)
    return None if found is None else dict_or_none(found.get("content"))


@registry.tool
def test_input_required_result_elicitation() -> Asked:
    """Ask for a name."""
    name = (_content("user_name") or {}).get("name")
    return _said(f"Hello, {name}!") if isinstance(name, str) else needs(user_name=_name())


@registry.tool
def test_streaming_elicitation() -> Asked:
    """Ask for a name, in the middle of a stream."""
    return test_input_required_result_elicitation()


@registry.tool
def test_input_required_result_sampling() -> Asked:
    """Ask the client's model."""
    content = _content("capital_question")
    if content is None:
        return needs(capital_question=sampling("What is the capital of France?", 100))
    return _said(str(content.get("text")))


@registry.tool
def test_input_required_result_list_roots() -> Asked:
    """Ask for the roots."""
    found = response("client_roots")
    return needs(client_roots=types.ListRootsRequest()) if found is None else _said(str(found.get("roots")))


@registry.tool
def test_input_required_result_request_state() -> Asked:
    """Ask with something to keep."""
    if _content("confirm") is None:
        return needs("kept", confirm=_confirm())
    return _said("state-ok" if _state() == "kept" else "the state is lost")


@registry.tool
def test_input_required_result_tampered_state() -> Asked:
    """Ask with something that must not be changed."""
    return test_input_required_result_request_state()


def _state() -> Any:
    return (current_request().params or {}).get("requestState")


@registry.tool
def test_input_required_result_multiple_inputs() -> Asked:
    """Ask three things at once."""
    if response("user_name") and response("greeting") and response("client_roots"):
        return _said("all is known")
    greeting = sampling("Generate a greeting", 50)
    return needs("kept", user_name=_name(), greeting=greeting, client_roots=types.ListRootsRequest())


@registry.tool
def test_input_required_result_multi_round() -> Asked:
    """Ask twice."""
    first, second = _content("step1"), _content("step2")
    if second is not None:
        return _said(f"{_state()} likes {second.get('color')}")
    if first is None:
        return needs("round 1", step1=_name("Step 1: What is your name?"))
    return needs(str(first.get("name")), step2=_name("Step 2: What is your favorite color?", "color"))


@registry.tool
def test_input_required_result_capabilities() -> Asked:
    """Ask what the client can answer."""
    told = current_request().session.client_capabilities or types.ClientCapabilities()
    can: dict[str, types.InputRequest] = {}
    if told.elicitation is not None:
        can["user_name"] = _name()
    if told.sampling is not None:
        can["greeting"] = sampling("Generate a greeting", 50)
    if told.roots is not None:
        can["client_roots"] = types.ListRootsRequest()
    return (
        types.InputRequiredResult(input_requests=can)
        if can and not any(map(response, can))
        else _said("nothing to ask")
    )


@registry.tool
def test_missing_capability() -> str:
    """Refuse a client without sampling."""
    told = current_request().session.client_capabilities
    if told is None or told.sampling is None:
        data = types.MissingRequiredClientCapabilityErrorData(
            required_capabilities=types.ClientCapabilities(sampling=types.SamplingCapability())
        )
        raise MCPError(
            code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="this tool needs sampling",
            data=data.model_dump(by_alias=True, mode="json", exclude_none=True),
        )
    return "the client has sampling"


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="agentrt.testing.mcp_server", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", type=int, default=3001, help="the port; 0 takes a free one")
    given = parser.parse_args()
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # the suite wants what is deprecated too
    serve_mcp(registry, transport="http", host=given.host, port=given.port, name="agentrt-conformance", extend=extend)


if __name__ == "__main__":
    main()
