"""Never run: what type checkers must say of the public names. pyright checks it in strict mode."""

from __future__ import annotations

from typing import Literal, TypedDict, assert_type

from agentrt import Agent, Client, Context, Registry, Response, Result, Tool, tool
from agentrt.events import (
    AgentChanged,
    DecisionNeeded,
    LimitReached,
    Noted,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    SourceChanged,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnRestarted,
    TurnStarted,
    UsageReported,
)

registry = Registry()


class Report(TypedDict):
    total: float


def checked(ctx: Context[None], report: Report) -> Report:
    return report


@tool
def add(a: int, b: int = 1) -> int:
    return a + b


@tool(name="renamed", timeout=3)
async def shout(text: str) -> str:
    return text.upper()


@registry.tool
def half(x: float) -> float:
    return x / 2


@registry.tool(strict=False)
def twice(x: float) -> float:
    return x * 2


class Shop:
    @tool
    def price(self, item: str) -> float:
        return len(item)

    @tool(effect="pure", retries=2)
    async def stock(self, ctx: Context[dict[str, int]], item: str) -> int:
        assert_type(ctx.deps, dict[str, int])
        return ctx.deps[item]


async def signatures() -> None:
    assert_type(add(1, b=2), int)
    assert_type(await shout("a"), str)
    assert_type(half(1.0), float)
    assert_type(twice(1.0), float)
    add("1")  # pyright: ignore[reportArgumentType]
    add(c=1)  # pyright: ignore[reportCallIssue]
    await shout(text=3)  # pyright: ignore[reportArgumentType]
    assert_type(Shop().price("tea"), float)
    Shop().price(3)  # pyright: ignore[reportArgumentType]
    assert_type(await Shop().stock(Context({"tea": 1}), "tea"), int)
    tool(effect="good")  # pyright: ignore[reportArgumentType]
    tool(colour=1)  # pyright: ignore[reportCallIssue]


async def runs(client: Client) -> None:
    agent = Agent("m", tools=[add, shout, registry, {"type": "web_search"}], client=client, temperature=0.1)
    Agent("m", temperatur=0.1)  # pyright: ignore[reportCallIssue]
    result = await agent.run("go")
    assert_type(result, Result[str])
    assert_type(result.output, str)
    assert_type(await client.create(model="m", input="hi"), Response)
    report = Agent("m", output_type=Report, output_validators=[checked], client=client)
    assert_type(report, Agent[Report])
    assert_type(await report.run("go"), Result[Report])
    assert_type(report.run_sync("go").output, Report)
    assert_type((await report.resume("{}")).output, Report)
    assert_type(report.stream("go").result.output, Report)
    assert_type((await Agent("m", output_type=list[int]).run("go")).output, list[int])
    assert_type((await Agent("m", output_type=int | None).run("go")).output, int | None)
    assert_type((await Agent("m", output_type=Literal["yes", "no"]).run("go")).output, Literal["yes", "no"])
    async with agent.stream("go") as run:
        async for event in run:
            if event.type == "text.delta":
                assert_type(event, TextDelta)
            elif event.type == "tool.finished":
                assert_type(event, ToolFinished)
            else:
                assert_type(
                    event,
                    RunStarted
                    | TurnStarted
                    | TurnRestarted
                    | ReasoningDelta
                    | UsageReported
                    | ToolStarted
                    | ToolProgress
                    | DecisionNeeded
                    | LimitReached
                    | AgentChanged
                    | Noted
                    | SourceChanged
                    | RunFinished,
                )
    for entry in registry:
        assert isinstance(entry, Tool)
