"""A job that may be interrupted at any time, and goes on from a file: start it again after Ctrl-C or an error."""

import asyncio
import os
import sys
from pathlib import Path

from agentrt import Agent, AgentrtError, tool

FILE = Path("resume-example.json")


@tool(effect="idempotent")
async def copy_year(year: int) -> str:
    """Copy the files of one year. It may be repeated."""
    await asyncio.sleep(0.5)
    return f"{year} is copied."


async def work(agent: Agent, put_away: str | None) -> str:
    """Do the job, or what is left of it."""
    task = "Copy the files of 2021 to 2024, year by year."
    run = agent.stream(task) if put_away is None else agent.resume_stream(put_away)
    try:
        async with run:
            async for event in run:
                if event.type in ("tool.started", "tool.finished"):
                    print(event.type, event.call_id, flush=True)
    finally:
        FILE.write_text(run.state.to_json())  # Ctrl-C and errors come through here, too
    return run.result.text


def main() -> int:
    agent = Agent(os.environ.get("AGENTRT_MODEL", "gpt-5.4"), tools=[copy_year])
    put_away = FILE.read_text() if FILE.exists() else None
    try:
        print(asyncio.run(work(agent, put_away)))
    except (AgentrtError, KeyboardInterrupt) as error:
        print(f"{error or 'interrupted'}; start it again to go on", file=sys.stderr)
        return 1
    FILE.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
