"""Tools of MCP servers beside your own, and one of them asks before it acts.

Run it: python examples/mcp_servers.py. It starts itself once more as the server; yours would be `npx`, `uvx`, an
address, or all of a file: MCPServer.from_config("mcp.json").
"""

import sys

from agentrt import Agent, Approve, MCPServer, Pending, serve_mcp, tool


@tool(effect="pure")
def stock(item: str) -> int:
    """How many there are of an item."""
    return len(item)


@tool
def order(item: str) -> str:
    """Order one of an item."""
    return f"{item} is ordered"


def allow(pending: Pending) -> Approve:
    print("allowed:", pending.text)
    return Approve()


def main() -> None:
    shop = MCPServer.stdio(sys.executable, __file__, "serve", name="shop", approval=["order"])
    gone = MCPServer.stdio("there-is-no-such-server", name="gone")  # costs its own tools only
    agent = Agent("gpt-5.4", tools=[shop, gone])

    result = agent.run_sync("Order tea if there is any.", on_pending=allow)
    print(result.status, result.text)
    print(gone.name, "is missing, and the run went on")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve_mcp([stock, order], name="shop")
    else:
        main()
