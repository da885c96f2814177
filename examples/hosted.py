"""An agent that searches the web at its provider and asks a function here: ``python examples/hosted.py``."""

from agentrt import Agent, builtin, tool

PRICES = {"paris": 184.0, "oslo": 210.0}


@tool
def night_price(city: str) -> float:
    """Our own price of a hotel night, in euros.

    Args:
        city: Name of the city, in English.
    """
    return PRICES.get(city.lower(), 150.0)


def main() -> None:
    search = builtin.WebSearch(search_context_size="low", user_location={"country": "FR"})
    agent = Agent("gpt-5.4", instructions="Be short. Name your sources.", tools=[search, night_price], max_tool_calls=6)
    result = agent.run_sync("What does a night in Paris cost with us, and what do others charge?")
    print(result.text)
    for citation in result.citations:
        if citation["type"] == "url_citation":
            print("-", citation["title"], citation["url"])


if __name__ == "__main__":
    main()
