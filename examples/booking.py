"""Tools with dataclasses, a context with a database, progress, and a resource that calls wait for."""

import asyncio
import dataclasses
import datetime as dt
import os
import sqlite3

from agentrt import Agent, Context, ToolError, tool


@dataclasses.dataclass
class Stay:
    """A stay in the hotel."""

    arrival: dt.date
    """The first night."""
    nights: int = 1
    """How many nights."""


@tool(effect="idempotent", resource="room:{room}")
def book(ctx: Context[sqlite3.Connection], room: int, stay: Stay, *guests: str) -> str:
    """Book a room.

    Args:
        room: Its number.
        stay: When.
        guests: Their names.
    """
    if not guests:
        raise ToolError("Name at least one guest.")
    ctx.progress(0.5, f"room {room}")
    with ctx.deps as database:
        database.execute(
            "INSERT OR IGNORE INTO booking VALUES (?, ?, ?, ?, ?)",
            (ctx.key, room, stay.arrival.isoformat(), stay.nights, ", ".join(guests)),
        )
    return f"Room {room} is booked from {stay.arrival:%d %B} for {stay.nights} nights."


@tool(effect="pure")
def bookings(ctx: Context[sqlite3.Connection]) -> list[tuple[int, str]]:
    """List all bookings: room and guests."""
    return ctx.deps.execute("SELECT room, guests FROM booking").fetchall()


async def main() -> None:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE TABLE booking (key TEXT PRIMARY KEY, room INT, arrival TEXT, nights INT, guests TEXT)")
    agent = Agent(os.environ.get("AGENTRT_MODEL", "gpt-5.4"), tools=[book, bookings])
    async with agent.stream("Book room 7 for Ada and Bob, two nights from 31 January 2027.", deps=database) as run:
        async for event in run:
            if event.type == "tool.progress":
                print(f"{event.name}: {event.message}")
    print(run.result.text)
    print(database.execute("SELECT room, arrival, nights, guests FROM booking").fetchall())


if __name__ == "__main__":
    asyncio.run(main())
