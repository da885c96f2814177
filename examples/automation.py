"""A script that runs unattended: bounded, and with an exit code that tells how it ended."""

import sys

from agentrt import Agent, AgentrtError, Limits, tool

INBOX = ["Invoice 17: 120 EUR", "Invoice 18: 80 EUR", "Holiday photos"]


@tool
def read_inbox() -> list[str]:
    """Subjects of the messages in the inbox."""
    return INBOX


@tool(timeout=5)
def add_up(amounts: list[float]) -> float:
    """Add up amounts."""
    return sum(amounts)


def main() -> int:
    agent = Agent("gpt-5.4", tools=[read_inbox, add_up], limits=Limits(max_turns=6, max_tool_calls=4))
    try:
        result = agent.run_sync("What do the invoices in my inbox add up to?")
    except AgentrtError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(result.status, result.stopped_by or "", result.text)
    return 0 if result.status == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
