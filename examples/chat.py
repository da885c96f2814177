"""A chat that sends only what is new with each message, on top of the response before it.

Needs ``COMETAPI_KEY`` (or another provider's key) and a server that stores responses.
"""

from __future__ import annotations

from agentrt import Agent, tool


@tool
def lookup(word: str) -> str:
    """Look a word up.

    Args:
        word: The word.
    """
    return f"{word}: a word of {len(word)} letters"


agent = Agent("gpt-5.4", instructions="Be short.", tools=[lookup], history="response")
result = agent.run_sync("What does Paris mean?")
print(result.output)

# What the next request would carry: the new message alone, and the response that it follows.
following = agent.prepare("And Rome?", after=result).json
print(len(following["input"]), "new item after", following["previous_response_id"])
print(agent.run_sync("And Rome?", after=result).output)
