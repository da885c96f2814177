"""An answer that is an object, checked before it is believed: ``python examples/report.py``.

Needs ``COMETAPI_KEY`` or another provider's key.
"""

from __future__ import annotations

import dataclasses

from agentrt import Agent, tool
from agentrt.errors import OutputError

SALES = {"January": 1200.0, "February": 950.5, "March": 1431.0}


@dataclasses.dataclass
class Report:
    """How the quarter went, for people in a hurry."""

    headline: str
    """One sentence."""
    total: float
    """Sum of all months, in euros."""


@tool(effect="pure")
def sales() -> dict[str, float]:
    """Sales of the quarter by month, in euros."""
    return SALES


def believable(report: Report) -> Report:
    """Send a report back that can't be right, with words that help."""
    if report.total <= 0:
        raise ValueError(f"total is {report.total}; it is the sum of all months, in euros")
    return report


def main() -> None:
    agent = Agent("gpt-5.4", tools=[sales], output_type=Report, output_validators=[believable], max_tool_calls=3)
    try:
        result = agent.run_sync("How did the quarter go?")
    except OutputError as error:
        print("no report that can be believed:", error)
        return
    print(result.output.headline)
    print(f"{result.output.total:.2f} EUR, in {result.turns} requests")


if __name__ == "__main__":
    main()
