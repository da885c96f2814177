"""A run that may not use more than it is given: calls, requests, seconds, money. It answers with what it has."""

import os

from agentrt import Agent, Limits, tool
from agentrt.prices import Price

MODEL = os.environ.get("AGENTRT_MODEL", "gpt-5.4")


@tool(effect="pure")
def population(city: str) -> int:
    """Look up how many people live in a city.

    Args:
        city: Name of the city.
    """
    return {"Paris": 2_100_000, "Oslo": 720_000}.get(city, 0)


def main() -> None:
    limits = Limits(max_turns=10, calls={"population": 5}, seconds=120, cost=0.10)
    prices = {MODEL: Price(input=2.5, output=15)}
    agent = Agent(MODEL, tools=[population], limits=limits, prices=prices)
    result = agent.run_sync("Which are the three largest cities of Europe, and how many people live there?")
    print(result.text)
    print(f"{result.status}, {result.turns} requests, {result.usage.total_tokens} tokens, {result.cost:.4f} dollars")
    if result.status == "limit":
        print("stopped by", result.stopped_by)


if __name__ == "__main__":
    main()
