"""A pydantic-ai agent behind Open Responses, by fastresponses. Its model is a function that tells what it was told."""

import asyncio

from fastresponses import create_app
from fastresponses.adapters.pydantic_ai import PydanticAIAdapter
from hosting import serve_app
from pydantic_ai import Agent
from pydantic_ai.messages import ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

CITIES = ("Paris", "Rome", "Oslo")


def text_of(part):
    return part.content if isinstance(part.content, str) else " ".join(map(str, part.content))


async def speak(messages, info):
    """Call each tool that the user names, for each city; else tell all that was ever said and returned."""
    parts = [part for message in messages for part in message.parts]
    last = [text_of(part) for part in parts if isinstance(part, UserPromptPart)][-1]
    if not any(isinstance(part, ToolReturnPart) for part in messages[-1].parts):
        words = set(last.split())
        calls = [(tool.name, city) for tool in info.function_tools for city in CITIES if {tool.name, city} <= words]
        if calls:
            yield {
                index: DeltaToolCall(name, f'{{"city": "{city}"}}', tool_call_id=f"call_{len(messages)}_{index}")
                for index, (name, city) in enumerate(calls)
            }
            return
    if "fail" in last:
        raise RuntimeError("the model broke")
    if "linger" in last:
        await asyncio.sleep(60)
    yield f"told {info.instructions}:" if info.instructions else "told:"
    for part in parts:
        if isinstance(part, UserPromptPart | ToolReturnPart):
            yield f" [{text_of(part)}]"


agent = Agent(FunctionModel(stream_function=speak))


@agent.tool_plain
def clock(city: str) -> str:
    """Tell the time in a city; it runs here, not at the client's."""
    return f"noon in {city}"


serve_app(create_app(PydanticAIAdapter(agent), api_key="peer-key"))
