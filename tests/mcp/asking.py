"""A server that asks: values of a person, roots, the client's model. Both eras; ``python asking.py`` speaks over stdio."""

import mcp_types as types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.request_state import RequestStateSecurity
from pydantic import BaseModel

ASKED = {
    "type": "object",
    "properties": {"street": {"type": "string"}, "gift": {"type": "boolean", "default": False}},
    "required": ["street"],
}
NEW = "2026-07-28"


class Address(BaseModel):
    street: str
    gift: bool = False


# A key of its own, so that another process of the server can go on with what the first one asked.
server = MCPServer("asking", request_state_security=RequestStateSecurity(keys=["k" * 32]))
ordered = []


@server.tool()
async def order(item: str, ctx: Context) -> str | types.InputRequiredResult:
    """Order something; asks where to send it."""
    if ctx.protocol_version == NEW:
        if not ctx.input_responses:
            params = types.ElicitRequestFormParams(message=f"Where does the {item} go?", requested_schema=ASKED)
            asked = {"address": types.ElicitRequest(params=params)}
            return types.InputRequiredResult(input_requests=asked, request_state=f"order {item}")
        assert ctx.request_state == f"order {item}"
        given = ctx.input_responses["address"]
        action, content = given.action, given.content
    else:
        told = await ctx.elicit(f"Where does the {item} go?", Address)
        action = told.action
        content = told.data.model_dump() if action == "accept" else None
    if action != "accept":
        return f"not ordered: {action}"
    ordered.append(item)
    return f"{item} to {content['street']}, gift={content['gift']}"


@server.tool()
async def count(ctx: Context) -> str:
    """Count to three, and tell of it."""
    for number in (1, 2, 3):
        await ctx.report_progress(number, 3, f"at {number}")
    return "3"


if __name__ == "__main__":
    server.run("stdio")
