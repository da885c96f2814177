"""A tool that a person must allow: asked on the terminal where there is one, else decided by a rule."""

import os
import sys

from agentrt import Agent, Approve, Deny, Pending, tool

HARMLESS = 100


@tool(approval=lambda arguments: arguments["amount"] > 0)
def refund(customer: str, amount: int) -> str:
    """Pay money back to a customer.

    Args:
        customer: The customer's name.
        amount: Whole dollars.
    """
    return f"{customer} gets {amount} dollars."


def by_hand(pending: Pending) -> Approve | Deny:
    """Ask whoever sits at the terminal."""
    print(pending.text)
    answer = input("Run it? [y / n / another amount] ").strip()
    if answer.isdigit():
        return Approve(edited={**pending.arguments, "amount": int(answer)})
    return Approve() if answer == "y" else Deny("The clerk said no.")


def by_rule(pending: Pending) -> Approve | Deny:
    """Decide where nobody can be asked."""
    return Approve() if pending.arguments["amount"] <= HARMLESS else Deny(f"Not more than {HARMLESS} dollars.")


def main() -> None:
    agent = Agent(os.environ.get("AGENTRT_MODEL", "gpt-5.4"), tools=[refund])
    decide = by_hand if sys.stdin.isatty() else by_rule
    result = agent.run_sync("Ada's parcel was late. Pay her 21 dollars back.", on_pending=decide)
    print(result.text)


if __name__ == "__main__":
    main()
