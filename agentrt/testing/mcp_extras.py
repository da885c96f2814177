"""What the conformance suite's fixture server has beside tools: resources, prompts, completions, logging levels."""

from __future__ import annotations

import base64
import re
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import Server, ServerRequestContext

from agentrt.serve import current_request
from agentrt.wire.json import as_dict, dict_or_none

__all__ = ["PNG", "WORDY_SCHEMA", "extend", "needs", "question", "response", "sampling"]

Ctx = ServerRequestContext[Any, Any]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)


WORDY_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""A schema with all words that the suite looks for (SEP-1613, SEP-2106)."""


# --- asking between two tries


def question(message: str, properties: dict[str, Any]) -> types.ElicitRequest:
    """Ask for values that are all required."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt: str, max_tokens: int) -> types.CreateMessageRequest:
    """Ask the client's model."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def needs(state: str | None = None, **requests: types.InputRequest) -> types.InputRequiredResult:
    """Make the result that asks."""
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def response(key: str, ctx: Ctx | None = None) -> dict[str, Any] | None:
    """Give what was answered to a question; None at the first try."""
    params = (ctx or current_request()).params or {}
    return dict_or_none(as_dict(params.get("inputResponses")).get(key))


# --- resources

_TEXT, _BINARY, _WATCHED = "test://static-text", "test://static-binary", "test://watched-resource"
_TEMPLATE = re.compile(r"test://template/([^/]+)/data")


async def _list_resources(_ctx: Ctx, _params: Any) -> types.ListResourcesResult:
    kinds = {_TEXT: "text/plain", _BINARY: "image/png", _WATCHED: "text/plain"}
    found = [types.Resource(uri=uri, name=uri.partition("//")[2], mime_type=kind) for uri, kind in kinds.items()]
    return types.ListResourcesResult(resources=found)


async def _list_templates(_ctx: Ctx, _params: Any) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(
        uri_template="test://template/{id}/data", name="template", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def _read_resource(_ctx: Ctx, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = params.uri
    contents: types.TextResourceContents | types.BlobResourceContents
    if uri == _BINARY:
        contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=base64.b64encode(PNG).decode())
    elif uri in (_TEXT, _WATCHED):
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text="This is the content.")
    elif found := _TEMPLATE.fullmatch(uri):
        text = f'{{"id": "{found[1]}", "templateTest": true, "data": "Data for ID: {found[1]}"}}'
        contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=text)
    else:
        raise MCPError(code=types.INVALID_PARAMS, message="Resource not found", data={"uri": uri})
    return types.ReadResourceResult(contents=[contents])


async def _nothing(_ctx: Ctx, _params: Any) -> types.EmptyResult:
    return types.EmptyResult()


# --- prompts

_PROMPTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


async def _list_prompts(_ctx: Ctx, _params: Any) -> types.ListPromptsResult:
    prompts = [
        types.Prompt(
            name=name,
            description=name.replace("_", " "),
            arguments=[types.PromptArgument(name=argument, required=True) for argument in arguments],
        )
        for name, arguments in _PROMPTS.items()
    ]
    return types.ListPromptsResult(prompts=prompts)


async def _get_prompt(
    ctx: Ctx, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    arguments = params.arguments or {}
    if params.name not in _PROMPTS or set(_PROMPTS[params.name]) - arguments.keys():
        raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown prompt, or arguments are missing: {params.name}")
    text = "This is a simple prompt for testing."
    first: types.ContentBlock | None = None
    if params.name == "test_prompt_with_arguments":
        text = f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
    elif params.name == "test_prompt_with_embedded_resource":
        contents = types.TextResourceContents(uri=arguments["resourceUri"], mime_type="text/plain", text="Embedded.")
        first = types.EmbeddedResource(type="resource", resource=contents)
    elif params.name == "test_prompt_with_image":
        first = types.ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")
    elif params.name == "test_input_required_result_prompt":
        found = response("user_context", ctx)
        if found is None:
            return needs(user_context=question("What context should the prompt use?", {"context": {"type": "string"}}))
        text = str(as_dict(found.get("content")).get("context"))
    blocks = [*([] if first is None else [first]), types.TextContent(type="text", text=text)]
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=block) for block in blocks])


async def _complete(_ctx: Ctx, _params: Any) -> types.CompleteResult:
    return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))


def extend(server: Server[Any]) -> None:
    """Add it all to a server."""
    add = server.add_request_handler
    add("resources/list", types.PaginatedRequestParams, _list_resources)
    add("resources/templates/list", types.PaginatedRequestParams, _list_templates)
    add("resources/read", types.ReadResourceRequestParams, _read_resource)
    add("resources/subscribe", types.SubscribeRequestParams, _nothing)
    add("resources/unsubscribe", types.UnsubscribeRequestParams, _nothing)
    add("prompts/list", types.PaginatedRequestParams, _list_prompts)
    add("prompts/get", types.GetPromptRequestParams, _get_prompt)
    add("completion/complete", types.CompleteRequestParams, _complete)
    add("logging/setLevel", types.SetLevelRequestParams, _nothing)
