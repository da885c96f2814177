"""A guardrail and a logbook: hooks may refuse and change, observers only watch."""

import os
from collections.abc import Mapping
from typing import Any

from agentrt import Agent, Context, Hooks, Tool, ToolError, tool
from agentrt.events import RunEvent

CLOSED = "vault"


@tool(effect="pure")
def read_room(room: str) -> str:
    """Tell what is in a room.

    Args:
        room: Its name.
    """
    return f"{room}: a table and two chairs"


class Guard(Hooks):
    """Keeps the model out of one room."""

    async def before_tool(self, context: Context[Any], tool: Tool[..., Any], arguments: Mapping[str, Any]) -> None:
        """Refuse in words that the model reads."""
        if arguments.get("room") == CLOSED:
            raise ToolError("that room is closed")


def logbook(event: RunEvent) -> None:
    """Write down what happens."""
    if event.type == "tool.finished":
        print(f"[{event.agent}, turn {event.turn}] {event.name}: {event.output}")


def main() -> None:
    agent = Agent(os.environ.get("AGENTRT_MODEL", "gpt-5.4"), tools=[read_room], hooks=[Guard()], observers=[logbook])
    print(agent.run_sync("What is in the rooms?").text)


if __name__ == "__main__":
    main()
