"""Tools that stand for other agents: one that answers a question, and one that takes the conversation over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import Unpack

from agentrt.core.history import has_answer
from agentrt.errors import ToolError, UsageError
from agentrt.registry.tool import Tool, ToolOptions

if TYPE_CHECKING:
    from agentrt.agent import Agent

__all__ = ["AgentTool", "Handoff", "handoff"]


_NOT_HERE = {"exclusive", "resource", "retries", "timeout"}


class AgentTool(Tool[[str], Any]):
    """A tool that asks an agent; see `Agent.as_tool`.

    Args:
        agent: The agent.
        **options: As for any tool, but for ``exclusive``, ``resource``, ``retries`` and ``timeout``.
    """

    def __init__(self, agent: Agent[Any], **options: Unpack[ToolOptions]) -> None:
        self.agent = agent

        async def ask(task: str) -> str:
            result = await agent.run(task)
            if not has_answer(result.status, result.text):
                raise ToolError(f"{agent.name} ended {result.status}")
            return result.text

        for option in _NOT_HERE & options.keys():
            raise UsageError(
                f"as_tool() takes no {option}=, as no function is called; bound the agent with its own "
                "limits=Limits(seconds=…, …)"
            )
        given: ToolOptions = {"name": agent.name, "description": _about(agent), **options}
        super().__init__(ask, **given)


class Handoff(Tool[[], str]):
    """A tool that hands the conversation over; see `handoff`.

    Args:
        agent: The agent, or a function that gives it.
        **options: As for any tool.
    """

    def __init__(self, agent: Agent[Any] | Callable[[], Agent[Any]], **options: Unpack[ToolOptions]) -> None:
        self._agent = agent

        def take_over() -> str:
            raise ToolError("a handoff works in a run of an agent only")

        super().__init__(take_over, **options)

    @property
    def agent(self) -> Agent[Any]:
        """The agent that takes over."""
        return _agent(self._agent() if callable(self._agent) else self._agent)


def handoff(
    agent: Agent[Any] | Callable[[], Agent[Any]], *, name: str | None = None, description: str | None = None
) -> Handoff:
    """Let an agent hand the conversation over to another one, which then answers instead of it.

    It takes effect when all calls of the reply have their outputs. The other agent sees the whole conversation, works
    with its own instructions and tools, and may hand it back.

    Args:
        agent: The other agent; or a function that gives it, where the two hand over to each other::

                front = Agent(…, tools=[handoff(lambda: billing, name="to_billing")])
                billing = Agent(…, tools=[handoff(front)])

        name: The tool's name; default ``transfer_to_`` and the agent's.
        description: What the model reads about it; default from the agent's name and instructions.

    Returns:
        A tool, for ``Agent(tools=[…])``.

    Raises:
        UsageError: It is no agent, or a function without ``name=``.
    """
    if callable(agent):
        if name is None:
            raise UsageError("handoff() of a function needs name=, as the agent isn't there yet")
        told = description or f"Hand the conversation over ({name})."
        return Handoff(agent, name=name, description=told, effect="pure")
    known = name or f"transfer_to_{_agent(agent).name}"
    told = description or f"Hand the conversation over to {agent.name}. {_about(agent)}".strip()
    return Handoff(agent, name=known, description=told, effect="pure")


def _agent(found: Any) -> Agent[Any]:
    if not hasattr(found, "as_tool"):
        raise UsageError(f"handoff() takes an Agent, or a function that gives one, not {found!r:.100}")
    return cast("Agent[Any]", found)


def _about(agent: Agent[Any]) -> str:
    text = agent.instructions if isinstance(agent.instructions, str) else ""
    return text.strip().partition("\n\n")[0]
