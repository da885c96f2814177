"""Tools for any MCP client: ``python examples/serve_tools.py serve`` serves them over stdio.

Without ``serve`` it is the client, too: an agent starts the server and uses its tools.
"""

import asyncio
import sys

from agentrt import Agent, Context, MCPServer, Registry, ToolError, serve_mcp

STATIONS = {"paris": 21.0, "oslo": 9.5}

registry = Registry()


@registry.tool(effect="pure")
def temperature(city: str) -> float:
    """Temperature in a city right now, in degrees Celsius.

    Args:
        city: Name of the city, in English.
    """
    if city.lower() not in STATIONS:
        raise ToolError(f"There is no station in {city}; there is one in {' and '.join(STATIONS)}.")
    return STATIONS[city.lower()]


@registry.tool(approval=True)
async def build(ctx: Context, city: str) -> str:
    """Build a station.

    Args:
        city: Where.
    """
    for step in ("ground", "mast", "thermometer"):
        ctx.progress(message=step)
        await asyncio.sleep(0.1)
    STATIONS[city.lower()] = 20.0
    return f"There is a station in {city} now."


async def main() -> None:
    server = MCPServer.stdio(sys.executable, __file__, "serve", name="stations")
    agent = Agent("gpt-5.4", tools=[server])
    result = await agent.run("How warm is it in Paris?")
    print(result.text)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve_mcp(registry)
    else:
        asyncio.run(main())
