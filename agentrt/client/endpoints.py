"""The other endpoints: stored responses, counting and compacting, conversations, files that a tool made."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from agentrt.client.http import Opened
from agentrt.client.transport import (
    LEAVE_SECONDS,
    MAX_BODY_BYTES,
    Clock,
    Timeouts,
    foreign,
    read_body,
    read_chunks,
    translated,
)
from agentrt.errors import DeadlineError, UsageError, WireError
from agentrt.wire.items import Item, item_view
from agentrt.wire.json import as_dict, as_list, as_str, int_or_none, is_list, parse_object
from agentrt.wire.parts import input_items
from agentrt.wire.requests import check_number, check_request, no_such, written_out
from agentrt.wire.responses import Response

if TYPE_CHECKING:
    from agentrt.client.http import PreparedRequest

__all__ = ["Conversation", "Conversations", "Endpoints", "quoted"]

T = TypeVar("T")
_WAITING = ("queued", "in_progress")
_MAX_PAGE = 100
_MAX_ITEMS = 20
_FIRST_POLL, _LAST_POLL = 0.1, 5.0
_LAST_LOOK = 0.25
_COMPACT = frozenset(
    [
        "extra_body",
        "input",
        "instructions",
        "model",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_retention",
    ]
)
MAX_ID = 512
"""Characters that an id may have, in a path or a query."""


class Endpoints:
    """What a client does beside creating responses. ``client.conversations`` holds what concerns conversations."""

    async def retrieve(self, response_id: str, *, include: Sequence[str] = ()) -> Response:
        """Fetch a stored response: ``GET /responses/{id}``.

        Args:
            response_id: Its id.
            include: More to send back, as in a request.

        Raises:
            StatusError: 404 where it isn't stored.
        """
        return await self._retrieve(response_id, include)

    async def wait(self, response: Response | str, *, timeout: float | None = None) -> Response:  # noqa: ASYNC109 - a deadline with a message
        """Poll a background response until it is over: any status but ``queued`` and ``in_progress``.

        Args:
            response: The response, or its id.
            timeout: Seconds to wait at most; None for no bound.

        Raises:
            DeadlineError: It is not over in time; it goes on, and can be waited for again.
        """
        clock = None
        if timeout is not None:
            check_number("timeout", timeout)
            timeouts = Timeouts(self._timeouts.connect, self._timeouts.idle, timeout)
            clock = Clock(timeouts, anyio.current_time() + timeout)
        found = response if isinstance(response, Response) else await self._retrieve(response, within=clock)
        return await self._polled(found, clock)

    async def cancel(self, response_id: str) -> Response:
        """Cancel a background response: ``POST /responses/{id}/cancel``. Again is harmless; gives what it came to."""
        return await self._fetch(self._request("POST", f"/responses/{quoted(response_id)}/cancel"), Response.read)

    async def delete(self, response_id: str) -> None:
        """Delete a stored response: ``DELETE /responses/{id}``."""
        await self._tell_to_delete(f"/responses/{quoted(response_id)}")

    def input_items(
        self, response_id: str, *, after: str | None = None, order: str = "desc", include: Sequence[str] = ()
    ) -> AsyncGenerator[Item, None]:
        """Iterate over what a stored response was given: ``GET /responses/{id}/input_items``, page by page.

        Args:
            response_id: Its id.
            after: The id of an item to begin after.
            order: ``desc``, the API's own default, or ``asc``.
            include: More to send back, as in a request.
        """
        return self._pages(f"/responses/{quoted(response_id)}/input_items", after, order, include)

    async def compact(self, **params: Any) -> Response:
        """Shorten a context: ``POST /responses/compact``.

        Args:
            **params: ``model``, and ``input`` or ``previous_response_id``; also ``instructions``, ``prompt_cache_key``.

        Returns:
            Its ``items``, user messages and one compaction, stand for the context from now on.
        """
        params = written_out(params)
        for name in params.keys() - _COMPACT:
            raise no_such("compact takes no", name, _COMPACT, {})
        check_request(params)
        return await self._fetch(self._request("POST", "/responses/compact", params), Response.read)

    async def input_tokens(self, **params: Any) -> int:
        """Count what a request would cost to read: ``POST /responses/input_tokens``.

        Args:
            **params: Parameters of `Client.create`.
        """
        params = written_out(params)
        check_request(params)
        return await self._fetch(self._request("POST", "/responses/input_tokens", params), _token_count)

    async def container_file(self, container_id: str, file_id: str, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
        """Fetch a file that the code interpreter made: ``GET /containers/{id}/files/{id}/content``.

        Args:
            container_id: From the citation that names the file.
            file_id: From the same citation.
            max_bytes: Size at most, in bytes.
        """
        path = f"/containers/{quoted(container_id)}/files/{quoted(file_id)}/content"
        return await self._fetch(self._request("GET", path), lambda body, _: bytes(body), max_bytes)

    @property
    def conversations(self) -> Conversations:
        """What concerns conversations."""
        return Conversations(self)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a request and give its answer, a JSON object."""
        return await self._fetch(self._request(method, path, body, query), _object)

    async def _retrieve(
        self, response_id: str, include: Sequence[str] = (), *, within: Clock | None = None
    ) -> Response:
        if isinstance(include, str) or not isinstance(include, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"include must be a list of texts, but is {include!r:.100}")
        query = {"include[]": list(include)} if include else None
        request = self._request("GET", f"/responses/{quoted(response_id)}", query=query)
        return await self._fetch(request, Response.read, within=within)

    async def _polled(self, found: Response, clock: Clock | None) -> Response:
        """Ask for a response until it is over, or the clock's deadline has come."""
        pause = _FIRST_POLL
        while found.status in _WAITING:
            if found.id is None:
                raise UsageError("the response has no id, so it can't be polled; create it with background=True")
            if len(found.id) > MAX_ID:
                raise WireError(f"the response has an id of {len(found.id)} characters, which is none")
            left = math.inf if clock is None else clock.deadline - anyio.current_time()
            over = DeadlineError(
                f"the response {found.id} was still {found.status} when the time was over; it goes on at the server: "
                f"client.wait({found.id!r}) takes it up again"
            )
            over.response_id = found.id
            if left <= 0:
                raise over
            await anyio.sleep(min(pause, left))
            try:
                # The last look, when the time is just over, has a moment of its own.
                found = await self._retrieve(found.id, within=None if clock is None else clock.at_least(_LAST_LOOK))
            except DeadlineError as error:
                raise over from error
            pause = min(pause * 1.5, _LAST_POLL)
        return found

    async def _tell_to_delete(self, path: str) -> None:
        await self._fetch(self._request("DELETE", path), lambda body, _: body)

    async def _fetch(
        self,
        request: PreparedRequest,
        read: Callable[[bytearray, Mapping[str, str]], T],
        limit: int = MAX_BODY_BYTES,
        *,
        within: Clock | None = None,
    ) -> T:
        async def once(request: PreparedRequest, clock: Clock) -> T:
            opened = await self._open(request, clock)
            body = bytearray()
            try:
                async with aclosing(read_chunks(opened.sent, opened.sender, clock)) as chunks:
                    body = await read_body(chunks, limit)
                return read(body, opened.sent.headers)
            except ValueError as error:
                raise opened.misread(error, body) from error
            except foreign() as error:
                raise translated(error, request.url, clock) from error
            finally:
                with anyio.move_on_after(LEAVE_SECONDS, shield=True):
                    await opened.sent.aclose()

        return await self._retrying(request, once, within)

    async def _pages(
        self, path: str, after: str | None, order: str, include: Sequence[str]
    ) -> AsyncGenerator[Item, None]:
        if order not in ("asc", "desc"):
            raise UsageError(f"order must be 'asc' or 'desc', but is {order!r}")
        seen = {after}
        while True:
            query = {"limit": _MAX_PAGE, "order": order, "after": after, "include[]": list(include) or None}
            request = self._request("GET", path, query={k: v for k, v in query.items() if v is not None})
            page = await self._fetch(request, _page)
            data = [as_dict(item) for item in as_list(page.get("data"))]
            for item in data:
                yield item_view(item)
            last = as_str(page.get("last_id")) or (as_str(data[-1].get("id")) if data else "")
            if page.get("has_more") is not True or not last or last in seen:
                return
            if len(last) > MAX_ID:
                raise WireError(f"the server's last_id has {len(last)} characters, which is no id")
            seen.add(last)
            after = last

    if TYPE_CHECKING:  # Client's own
        _timeouts: Timeouts

        def _request(
            self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
        ) -> PreparedRequest: ...
        async def _open(self, request: PreparedRequest, clock: Clock) -> Opened: ...
        async def _retrying(
            self,
            request: PreparedRequest,
            once: Callable[[PreparedRequest, Clock], Awaitable[T]],
            within: Clock | None = None,
        ) -> T: ...


class Conversation:
    """A conversation on the server, read-only.

    Args:
        raw: The object as the wire has it.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    @property
    def id(self) -> str:
        """Its id, for ``conversation=``."""
        return as_str(self.raw.get("id"))

    @property
    def metadata(self) -> dict[str, Any]:
        """The pairs that it was created or updated with."""
        return as_dict(self.raw.get("metadata"))

    def __repr__(self) -> str:
        """Show the raw dict."""
        return f"Conversation({self.raw!r})"


class Conversations:
    """``client.conversations``: conversations and their items.

    Args:
        client: The client that asks.
    """

    def __init__(self, client: Endpoints) -> None:
        self._client = client

    async def create(self, *, items: Sequence[Any] = (), metadata: Mapping[str, str] | None = None) -> Conversation:
        """Begin a conversation: ``POST /conversations``.

        Args:
            items: Up to 20 items to begin with, as ``input`` takes them.
            metadata: Pairs to keep with it.
        """
        check_request({"metadata": metadata})
        body = {"items": _few(items) if items else None, "metadata": metadata}
        return await self._conversation("POST", "/conversations", body)

    async def retrieve(self, conversation_id: str) -> Conversation:
        """Fetch a conversation: ``GET /conversations/{id}``."""
        return await self._conversation("GET", f"/conversations/{quoted(conversation_id)}")

    async def update(self, conversation_id: str, *, metadata: Mapping[str, str]) -> Conversation:
        """Replace its metadata: ``POST /conversations/{id}``."""
        check_request({"metadata": metadata})
        path = f"/conversations/{quoted(conversation_id)}"
        return await self._conversation("POST", path, {"metadata": metadata})

    async def _conversation(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Conversation:
        request = self._client._request(method, path, body)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return await self._client._fetch(request, _conversation)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation; its items stay: ``DELETE /conversations/{id}``."""
        await self._client._tell_to_delete(f"/conversations/{quoted(conversation_id)}")  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def items(
        self, conversation_id: str, *, after: str | None = None, order: str = "desc", include: Sequence[str] = ()
    ) -> AsyncGenerator[Item, None]:
        """Iterate over its items, page by page. The arguments are those of `Client.input_items`."""
        path = f"/conversations/{quoted(conversation_id)}/items"
        return self._client._pages(path, after, order, include)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    async def add_items(self, conversation_id: str, items: Sequence[Any]) -> list[Item]:
        """Append up to 20 items and give them as the server keeps them, with their ids."""
        path = f"/conversations/{quoted(conversation_id)}/items"
        added = await self._tell("POST", path, {"items": _few(items)})
        return [item_view(as_dict(item)) for item in as_list(added.get("data"))]

    async def item(self, conversation_id: str, item_id: str) -> Item:
        """Fetch one item."""
        path = f"/conversations/{quoted(conversation_id)}/items/{quoted(item_id)}"
        return item_view(await self._tell("GET", path))

    async def delete_item(self, conversation_id: str, item_id: str) -> None:
        """Delete one item."""
        path = f"/conversations/{quoted(conversation_id)}/items/{quoted(item_id)}"
        await self._client._tell_to_delete(path)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    async def _tell(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return await self._client._ask(method, path, body)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _object(body: bytearray, _: Mapping[str, str]) -> dict[str, Any]:
    return parse_object(body)


def _conversation(body: bytearray, _: Mapping[str, str]) -> Conversation:
    raw = parse_object(body)
    if not 0 < len(as_str(raw.get("id"))) <= MAX_ID:
        raise ValueError("is no conversation")
    return Conversation(raw)


def _page(body: bytearray, _: Mapping[str, str]) -> dict[str, Any]:
    raw = parse_object(body)
    if "data" not in raw:
        raise ValueError("is no page of items")
    return raw


def _token_count(body: bytearray, _: Mapping[str, str]) -> int:
    count = int_or_none(parse_object(body).get("input_tokens"))
    if count is None:
        raise ValueError("counts no input_tokens")
    return count


def _few(items: Sequence[Any]) -> list[Item]:
    if not is_list(items) and not isinstance(items, tuple):
        raise UsageError(f"items must be a list, not {type(items).__name__}")
    if len(items) > _MAX_ITEMS:
        raise UsageError(f"the API takes {_MAX_ITEMS} items at once, these are {len(items)}; add them in parts")
    return input_items(items)


def quoted(part: str) -> str:
    """Write an id as a segment of a path, so that no id can lead elsewhere; raises UsageError for an empty one."""
    from urllib.parse import quote  # noqa: PLC0415 - loaded by httpx2 already

    if not isinstance(part, str) or not part or part in (".", ".."):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{part!r} is no id; pass the id of a stored response, conversation or item")
    if len(part) > MAX_ID or not part.isprintable():
        raise UsageError(f"{part[:MAX_ID]!r} is no id; it has at most {MAX_ID} printable characters")
    return quote(part, safe="")
