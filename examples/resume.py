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


def main() -> int:
    agent = Agent(os.environ.get("AGENTRT_MODEL", "gpt-5.4"), tools=[copy_year])
    if FILE.exists():
        run = agent.resume_stream(FILE.read_text())
    else:
        run = agent.stream("Copy the files of 2021 to 2024, year by year.")

    async def watch() -> None:
        async with run:
            async for event in run:
                if event.type == "tool.started":
                    print("copying", event.arguments, event.call_id, flush=True)

    try:
        asyncio.run(watch())
    except (AgentrtError, KeyboardInterrupt) as error:
        FILE.write_text(run.state.to_json())
        print(f"{str(error) or 'interrupted'}; start it again to go on", file=sys.stderr)
        return 1
    FILE.unlink(missing_ok=True)
    print(run.result.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
