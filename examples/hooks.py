"""Guardrails, a rule on arguments, and an audit log: hooks and an observer around one agent."""

import os
from collections.abc import Mapping
from typing import Any

from agentrt import Agent, Context, Hooks, Response, RunRefused, Tool, ToolError, tool
from agentrt.events import RunEvent

STOCK = {"Paris": 12, "Oslo": 3}


@tool(effect="unsafe")
def order(city: str, copies: int) -> str:
    """Order copies of a city's guide book.

    Args:
        city: Name of the city.
        copies: How many.
    """
    return f"{copies} copies of the guide to {city} are ordered."


class Rules(Hooks):
    """What this shop allows."""

    async def before_model(self, context: Context[Any], request: dict[str, Any]) -> None:
        if "credit card" in str(request["input"][-1]):
            raise RunRefused("Card numbers don't belong here.")

    async def after_model(self, context: Context[Any], response: Response) -> None:
        if "guarantee" in response.text:
            raise RunRefused("We guarantee nothing.")

    async def before_tool(
        self, context: Context[Any], tool: Tool[..., Any], arguments: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        left = STOCK.get(arguments["city"])
        if left is None:
            raise ToolError(f"There is no guide to {arguments['city']}; there are {', '.join(STOCK)}.")
        return {**arguments, "copies": min(arguments["copies"], left)}


def audit(event: RunEvent) -> None:
    if event.type in ("tool.started", "tool.finished", "note", "run.finished"):
        print("audit:", event.run_id[:8], event.agent, event.type)


def main() -> None:
    model = os.environ.get("AGENTRT_MODEL", "gpt-5.4")
    agent = Agent(model, tools=[order], hooks=[Rules()], observers=[audit])
    print(agent.run_sync("Order 21 guides to Paris.").text)
    refused = agent.run_sync("My credit card is 4111 1111 1111 1111.")
    print(refused.status, *refused.notes)


if __name__ == "__main__":
    main()
