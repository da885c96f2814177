"""A writer that asks a researcher, who may hand a hard question over to an expert: three agents, one run."""

import asyncio
import os

from agentrt import Agent, Limits, handoff, tool

MODEL = os.environ.get("AGENTRT_MODEL", "gpt-5.4")


@tool(effect="pure")
def find(topic: str) -> str:
    """Find what is known about a topic.

    Args:
        topic: A word or two.
    """
    return f"{topic}: founded long ago, large, and well worth a visit"


expert = Agent(MODEL, name="expert", instructions="You know history. Answer in three sentences.", tools=[find])
researcher = Agent(
    MODEL,
    name="researcher",
    instructions="Find out what is asked. Hand over what needs a historian.",
    tools=[find, handoff(expert)],
    limits=Limits(max_turns=6),
)
writer = Agent(
    MODEL, name="writer", instructions="Write one paragraph.", tools=[researcher.as_tool()], max_tool_calls=20
)


async def main() -> None:
    async with writer.stream("Write about Paris.") as run:
        async for event in run:
            indent = "    " * event.thread.count("/")
            if event.type == "tool.started":
                print(f"{indent}{event.agent} calls {event.name} {event.arguments}")
            elif event.type == "tool.finished":
                print(f"{indent}{event.name} said: {event.output}")
            elif event.type == "agent.changed":
                print(f"{indent}{event.before} hands over to {event.agent}")
    print(run.result.text)
    print(run.result.turns, "requests of all agents together")


if __name__ == "__main__":
    asyncio.run(main())
