"""An automation that may not use more than it was given, and still says what it has."""

import os

from agentrt import Agent, Limits, tool


@tool(effect="pure")
def read_page(number: int) -> str:
    """Read one page of the report.

    Args:
        number: The page, from 1.
    """
    return f"page {number}: nothing new"


def main() -> None:
    limits = Limits(max_turns=10, max_tool_calls=1, calls={"read_page": 20}, tokens=50_000, seconds=120)
    agent = Agent(os.environ.get("AGENTRT_MODEL", "gpt-5.4"), tools=[read_page], limits=limits)
    result = agent.run_sync("Sum the report up.")
    print(result.text)
    if result.status == "limit":
        print("It was cut short by", result.stopped_by)
    print(f"{result.turns} requests, {result.usage.total_tokens} tokens")


if __name__ == "__main__":
    main()
