"""A server asks our model something ("sampling"): only where the user set that up, with a budget and a say in it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentrt.errors import AgentrtError, UsageError
from agentrt.registry.threads import run_in_thread
from agentrt.wire.json import is_list

if TYPE_CHECKING:
    from mcp_types import CreateMessageRequestParams, CreateMessageResult, ErrorData

    from agentrt.client import Client

__all__ = ["Sampling"]

Allow = Callable[[str, list[dict[str, Any]]], bool | Awaitable[bool]]

_REFUSED = -1
"""The code that MCP has for a user who said no (2025-11-25, client/sampling, "Error Handling")."""


@dataclass(kw_only=True)
class Sampling:
    """Lets servers ask a model through your client: ``MCPServer.stdio(…, sampling=Sampling(…))``.

    Args:
        client: Asks the model.
        model: Its name; what servers would prefer is not looked at.
        allow: Says whether a request may go out: takes the server's name and the messages, as a Responses API has
            them; sync or async. Only True is a yes.
        max_requests: Requests at most, in all.
        max_output_tokens: Tokens of one answer at most, whatever a server asks for.
    """

    client: Client
    model: str
    allow: Allow
    max_requests: int = 10
    max_output_tokens: int = 1000
    made: int = 0
    """Requests so far."""

    def __post_init__(self) -> None:
        """Refuse what can't be a budget."""
        if not callable(self.allow) or self.max_requests < 1 or self.max_output_tokens < 1:
            raise UsageError(
                "Sampling takes allow=, a function of a server's name and messages, and budgets of 1 or more"
            )

    async def _allowed(self, server: str, messages: list[dict[str, Any]]) -> bool:
        """Ask: a sync function may wait for somebody's keyboard, so it runs in a thread."""
        if inspect.iscoroutinefunction(self.allow):
            return bool(await self.allow(server, messages))
        allowed = await run_in_thread(lambda: self.allow(server, messages))
        return bool(await allowed if inspect.isawaitable(allowed) else allowed is True)

    async def create(self, server: str, params: CreateMessageRequestParams) -> CreateMessageResult | ErrorData:
        """Ask the model for a server; what is refused comes back as an error that the server reads.

        Args:
            server: The server's name.
            params: What it asks.
        """
        from mcp_types import CreateMessageResult, ErrorData, TextContent  # noqa: PLC0415 - costs a second of import

        messages = [_message(each.model_dump(by_alias=True, mode="json")) for each in params.messages]
        if self.made >= self.max_requests:
            return ErrorData(code=_REFUSED, message=f"the limit of {self.max_requests} sampling requests is reached")
        self.made += 1  # before anything is waited for, as others may ask meanwhile
        if await self._allowed(server, messages) is not True:
            self.made -= 1
            return ErrorData(code=_REFUSED, message="the user did not allow this sampling request")
        asked: dict[str, Any] = {"max_output_tokens": min(params.max_tokens, self.max_output_tokens)}
        if params.system_prompt:
            asked["instructions"] = params.system_prompt
        try:
            response = await self.client.create(model=self.model, input=messages, store=False, **asked)
        except AgentrtError as error:
            return ErrorData(code=_REFUSED, message=f"the model could not be asked: {error}")
        reason = "endTurn" if response.status == "completed" else "maxTokens"
        content = TextContent(type="text", text=response.text)
        return CreateMessageResult(
            role="assistant", content=content, model=response.model or self.model, stop_reason=reason
        )


def _message(raw: Mapping[str, Any]) -> dict[str, Any]:
    content = raw["content"]
    blocks: list[dict[str, Any]] = content if is_list(content) else [content]
    said = raw["role"] == "assistant"
    return {"type": "message", "role": raw["role"], "content": [_part(block, said=said) for block in blocks]}


def _part(block: Mapping[str, Any], *, said: bool) -> dict[str, Any]:
    if block["type"] == "text":
        return {"type": "output_text" if said else "input_text", "text": block["text"]}
    if block["type"] == "image" and not said:
        return {
            "type": "input_image",
            "detail": "auto",
            "image_url": f"data:{block['mimeType']};base64,{block['data']}",
        }
    return {"type": "output_text" if said else "input_text", "text": f"[{block['type']}, which is not passed on]"}
