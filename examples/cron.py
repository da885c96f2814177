"""A job that cron may start twice, or that may crash in between: its work is done once.

Needs ``COMETAPI_KEY`` or another provider's key. The day is the run's id, so the second start on one day finds the
result of the first; one that comes while the first still runs is told so; one after a crash goes on where that stood.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from pathlib import Path

from agentrt import Agent, AgentrtError, tool
from agentrt.errors import BusyError
from agentrt.store import SQLiteStore

SENT: list[str] = []


@tool  # unsafe, as tools are by default: what has begun is never begun again
def send_reminder(customer: str) -> str:
    """Send a customer the reminder of an open invoice.

    Args:
        customer: The customer's name.
    """
    SENT.append(customer)
    return f"sent to {customer}"


def job(folder: Path, day: dt.date) -> int:
    agent = Agent("gpt-5.4", tools=[send_reminder], storage=SQLiteStore(folder / "cron.db"), max_tool_calls=20)
    try:
        result = agent.run_sync("Remind everybody whose invoice is overdue.", run_id=f"reminders-{day}")
    except BusyError:
        print("it runs right now, so there is nothing to do here")
        return 0
    except AgentrtError as error:
        print(f"failed, the next start goes on from there: {error}", file=sys.stderr)
        return 1
    print(f"{result.status}: {result.text}")
    return 0


def main() -> int:
    day = dt.datetime.now(tz=dt.UTC).date()
    with tempfile.TemporaryDirectory() as folder:
        codes = [job(Path(folder), day), job(Path(folder), day)]  # cron fires twice
    print("reminders sent:", len(SENT))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
