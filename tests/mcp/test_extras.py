"""Resources and prompts as tools of an agent."""

import json

from mcp.server.mcpserver import MCPServer as Served
from mcp_types import CallToolResult, ResourceLink

from agentrt import Agent, MCPServer
from agentrt.testing import ScriptedModel, call, calls, say

served = Served("shop")


@served.resource("shop://prices")
def prices() -> str:
    return "tea 3"


@served.resource("shop://item/{name}")
def item(name: str) -> str:
    return f"about {name}"


@served.resource("shop://hidden/{+path}")
def hidden(path: str) -> str:
    return path


@served.prompt()
def greet(who: str) -> str:
    """Greet somebody."""
    return f"Say hello to {who}."


@served.tool()
def find() -> CallToolResult:
    """Find a resource."""
    return CallToolResult(content=[ResourceLink(type="resource_link", name="linked", uri="shop://item/linked")])


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


async def test_a_model_reads_what_the_server_offers_and_nothing_else():
    shop = MCPServer.in_process(served, resources=True, prompts=True)
    model = ScriptedModel(
        [
            calls(
                call("shop__list_resources"),
                call("shop__read_resource", uri="shop://prices"),
                call("shop__read_resource", uri="shop://item/tea"),
                call("shop__read_resource", uri="file:///etc/passwd"),
                call("shop__read_resource", uri="shop://item/a/b"),
                call("shop__list_prompts"),
                call("shop__get_prompt", name="greet", arguments={"who": "Ann"}),
                call("shop__get_prompt", name="nope"),
            ),
            say("done"),
        ]
    )
    result = await Agent("m", tools=[shop], client=model).run("go")
    listed, prices, tea, passwd, deep, prompts, greeting, nope = outputs(result)
    assert {"shop://prices", "shop://item/{name}"} <= {
        each.get("uri") or each["uriTemplate"] for each in json.loads(listed)
    }
    assert "tea 3" in prices
    assert "about tea" in tea
    assert "offers no resource" in passwd
    assert "offers no resource" in deep
    assert json.loads(prompts)[0]["name"] == "greet"
    assert greeting == "Say hello to Ann."
    assert nope.startswith("Error:")


async def test_they_are_not_offered_unless_that_is_wanted():
    async with MCPServer.in_process(served, name="shop") as shop:
        assert list(shop.tools) == ["shop__find"]


async def test_what_a_tool_linked_to_may_be_read():
    async with MCPServer.in_process(served, name="shop", resources=True) as shop:
        await shop.tools["shop__find"].invoke({})
        assert shop.links == {"shop://item/linked"}
