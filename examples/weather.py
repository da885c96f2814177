"""An agent with two tools on whatever provider the environment names: ``python examples/weather.py``."""

import asyncio
from typing import Literal

from agentrt import Agent, ToolError, tool

STATIONS = {"paris": 21.0, "oslo": 9.5}


@tool
async def temperature(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> float:
    """Temperature in a city right now.

    Args:
        city: Name of the city, in English.
        unit: The scale of the answer.
    """
    await asyncio.sleep(0.01)
    celsius = STATIONS.get(city.lower())
    if celsius is None:
        raise ToolError(f"There is no station in {city}; there is one in {' and '.join(STATIONS)}.")
    return celsius if unit == "celsius" else celsius * 1.8 + 32


@tool
def stations() -> list[str]:
    """Cities that have a station."""
    return sorted(STATIONS)


async def main() -> None:
    agent = Agent("gpt-5.4", instructions="Answer in one sentence.", tools=[temperature, stations], max_tool_calls=10)
    async with agent.stream("Which city is warmer, Paris or Oslo?") as run:
        async for event in run:
            if event.type == "tool.started":
                print("→", event.name, event.arguments)
            elif event.type == "tool.finished":
                print("←", event.output)
    print(run.result.output)


if __name__ == "__main__":
    asyncio.run(main())
