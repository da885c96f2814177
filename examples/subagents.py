"""An agent that asks another one; both work in one run, under one limit. Events show who does what."""

import asyncio
import os

from agentrt import Agent, Limits, tool

MODEL = os.environ.get("AGENTRT_MODEL", "gpt-5.4")


@tool(effect="pure")
def search(words: str) -> str:
    """Search the archive.

    Args:
        words: What to look for.
    """
    return f"3 papers about {words}"


librarian = Agent(MODEL, name="librarian", instructions="Finds papers in the archive.", tools=[search])
writer = Agent(MODEL, name="writer", tools=[librarian.as_tool()], limits=Limits(max_turns=12))


async def main() -> None:
    async with writer.stream("What do we know about Paris?") as run:
        async for event in run:
            if event.type == "tool.started":
                print(f"{event.agent} calls {event.name} {event.arguments}")
    print(run.result.text)


if __name__ == "__main__":
    asyncio.run(main())
