"""From a request to its answer: every endpoint of the Responses API, played from a script and what is kept."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from agentrt.testing.answers import Answer, Asked, Recorded, RefusedError, json_answer, number, page_answer, require
from agentrt.testing.store import Conversation, Items, Kept, Store, count_words, page
from agentrt.testing.turns import Turn
from agentrt.wire.compose import response_events, response_resource, sse_bytes, unfinished, usage_counts
from agentrt.wire.json import as_dict, as_list, dump

__all__ = ["Routes", "Script", "base_path"]

Script = Iterable[Turn] | Callable[[dict[str, Any]], Turn]

_ROOTS = re.compile(r"/(responses|conversations|containers)(?=/|$)")
_MAX_ITEMS = 20
_WITH_STATUS = ("function_call", "function_call_output", "message")


class Routes:
    """Answers requests. It runs on one event loop, so that no two requests meet in it.

    Args:
        script: What to answer to ``POST /responses``.
        api_key: A key to insist on.
    """

    def __init__(self, script: Script, api_key: str | None) -> None:
        self.store = Store()
        self.files: dict[tuple[str, str], bytes] = {}
        self._play = script if callable(script) else _player(script)
        self._api_key = api_key
        self._minted: Counter[str] = Counter()
        self._table: tuple[tuple[str, Callable[..., Answer]], ...] = (
            ("POST /responses", self._create),
            ("POST /responses/compact", self._compact),
            ("POST /responses/input_tokens", self._input_tokens),
            ("GET /responses/*", self._retrieve),
            ("DELETE /responses/*", self._delete),
            ("POST /responses/*/cancel", self._cancel),
            ("GET /responses/*/input_items", self._input_items),
            ("POST /conversations", self._converse),
            ("GET /conversations/*", self._conversation),
            ("POST /conversations/*", self._update_conversation),
            ("DELETE /conversations/*", self._delete_conversation),
            ("GET /conversations/*/items", self._items_of_conversation),
            ("POST /conversations/*/items", self._add_items),
            ("GET /conversations/*/items/*", self._item),
            ("DELETE /conversations/*/items/*", self._delete_item),
            ("GET /containers/*/files/*/content", self._file),
        )

    def answer(self, asked: Recorded) -> Answer:
        """Answer one request."""
        try:
            if self._api_key is not None and asked.headers.get("authorization") != f"Bearer {self._api_key}":
                raise RefusedError(401, "invalid_api_key", "Incorrect API key provided.")
            handler, ids = self._route(asked)
            return handler(Asked.read(asked), *ids)
        except RefusedError as error:
            return error.answer

    def context(self, of: str | Mapping[str, Any]) -> Items:
        """Give all items behind an id or a request's body; see `ResponsesServer.context`."""
        if isinstance(of, Mapping):
            try:
                return self._before(of)[1] + self._read(of.get("input"))
            except RefusedError as error:
                raise KeyError(f"{error}") from None
        if of in self.store.conversations:
            return list(self.store.conversations[of].items)
        kept = self.store.responses[of]
        return kept.before + kept.given + (kept.said if kept.over else [])

    def _route(self, asked: Recorded) -> tuple[Callable[..., Answer], list[str]]:
        path = urlsplit(asked.path).path
        root = _ROOTS.search(path)
        parts = path[root.start() :].split("/") if root else []
        for route, handler in self._table:
            method, _, pattern = route.partition(" ")
            wanted = pattern.split("/")
            if method == asked.method and len(wanted) == len(parts):
                pairs = list(zip(wanted, parts, strict=True))
                if all(want in ("*", part) for want, part in pairs):
                    return handler, [unquote(part) for want, part in pairs if want == "*"]
        raise RefusedError(404, "not_found", f"There is nothing at {asked.method} {asked.path}.")

    def _new(self, prefix: str) -> str:
        self._minted[prefix] += 1
        return f"{prefix}_{self._minted[prefix]}"

    # --- making responses

    def _create(self, asked: Asked) -> Answer:
        body = asked.body
        require(body, "model")
        # Taken before the script runs: where the script makes the server forget, this response is lost too.
        store = self.store
        conversation, before = self._before(body)
        given = self._read(body.get("input"))
        if body.get("background") and body.get("store") is False:
            raise RefusedError(400, "unsupported_value", "Background mode requires 'store' to be true.", "background")
        turn = self._turn(body)
        cuts = [turn.cut_after] if isinstance(turn.cut_after, int) else list(turn.cut_after or ())
        if turn.body is not None:
            return Answer(turn, [turn.body], turn.content_type, _first(cuts))
        kept = self._kept(body, turn, before, given)
        kept.conversation, kept.cuts = conversation, cuts
        if kept.background:
            store.responses[kept.response["id"]] = kept
        if body.get("stream"):
            return self._stream(store, kept, turn)
        return Answer(turn, _whole(store, kept), cut_after=_first(cuts))

    def _turn(self, body: dict[str, Any]) -> Turn:
        try:
            return self._play(body)
        except RefusedError:
            raise
        except Exception as error:
            # A script's own mistake: whoever asked gets to read it.
            message = f"The script raised {type(error).__name__}: {error}"
            raise RefusedError(500, "script_failed", message) from error

    def _kept(self, body: dict[str, Any], turn: Turn, before: Items, given: Items) -> Kept:
        stored = body.get("store") is not False
        response = response_resource(
            {**body, "store": stored},
            response_id=self._new("resp"),
            created_at=int(time.time()),
            status=turn.outcome,
            output=turn.output,
            usage=turn.usage,
        )
        response.update(turn.extra)
        background, streamed = bool(body.get("background")), bool(body.get("stream"))
        return Kept(
            response,
            before,
            given,
            [item if item.get("id") else {**item, "id": self._new("item")} for item in response["output"]],
            stored=stored,
            background=background,
            events=list(response_events(response)) if streamed else [],
            replayable=background and streamed,
            polls=turn.polls if background else 0,
            pause=turn.pause,
        )

    def _stream(self, store: Store, kept: Kept, turn: Turn, after: int = -1) -> Answer:
        def events() -> Iterator[bytes]:
            position = max(after, -1) + 1
            while position < len(kept.events):  # looked at each time: a cancellation shortens them
                if position == len(kept.events) - 1:
                    store.finish(kept)  # first, as whoever reads the last event may build on the response at once
                kept.sent = max(kept.sent, position + 1)
                yield sse_bytes(kept.events[position])
                position += 1
            yield b"data: [DONE]\n\n"

        return Answer(turn, events(), "text/event-stream", _first(kept.cuts))

    # --- what a request is built on

    def _before(self, body: Mapping[str, Any]) -> tuple[Conversation | None, Items]:
        """Give the conversation that a request belongs to, and the items that the server adds before its input."""
        previous, named = body.get("previous_response_id"), body.get("conversation")
        if previous is not None and named is not None:
            message = "Mutually exclusive parameters: 'previous_response_id', 'conversation'. Provide only one of them."
            raise RefusedError(400, "mutually_exclusive_parameters", message, "previous_response_id")
        if named is not None:
            conversation = self._found(str(named if isinstance(named, str) else as_dict(named).get("id")))
            return conversation, list(conversation.items)
        if previous is None:
            return None, []
        kept = self.store.responses.get(str(previous))
        if kept is None:
            message = f"Previous response with id '{previous}' not found."
            raise RefusedError(400, "previous_response_not_found", message, "previous_response_id")
        if kept.polls:
            message = f"Previous response with id '{previous}' is not over yet."
            raise RefusedError(400, "previous_response_not_completed", message, "previous_response_id")
        self.store.finish(kept)
        return None, kept.before + kept.given + kept.said

    def _read(self, given: object) -> Items:
        """Give a request's input as items, each with an id, references resolved."""
        told = [{"role": "user", "content": given}] if isinstance(given, str) else as_list(given)
        return [self._read_item(as_dict(item)) for item in told]

    def _read_item(self, raw: dict[str, Any]) -> dict[str, Any]:
        kind = raw.get("type") or ("message" if "role" in raw else "item_reference")
        if kind == "item_reference":
            found = self.store.item(raw.get("id"))
            if found is None:
                raise RefusedError(404, "not_found", f"Item with id '{raw.get('id')}' not found.", "input")
            return found
        item = {**raw, "type": kind, "id": raw.get("id") or self._new("item")}
        if kind in _WITH_STATUS:
            item.setdefault("status", "completed")
        if isinstance(raw.get("content"), str):
            part = "output_text" if raw.get("role") == "assistant" else "input_text"
            item["content"] = [{"type": part, "text": raw["content"]}]
        return item

    # --- stored responses

    def _response(self, response_id: str) -> Kept:
        kept = self.store.responses.get(response_id)
        if kept is None:
            raise RefusedError(404, "not_found", f"Response with id '{response_id}' not found.", "response_id")
        return kept

    def _retrieve(self, asked: Asked, response_id: str) -> Answer:
        kept = self._response(response_id)
        if asked.query.get("stream") not in ("true", "1"):
            return json_answer(self.store.look(kept))
        if not kept.replayable:
            message = (
                f"Response with id '{response_id}' has no stream: it needs 'background' and 'stream' from the start."
            )
            raise RefusedError(404, "not_found", message, "stream")
        after = number(asked.query, "starting_after", -1)
        return self._stream(self.store, kept, Turn(pause=kept.pause), after)

    def _delete(self, _: Asked, response_id: str) -> Answer:
        self._response(response_id)
        del self.store.responses[response_id]
        return json_answer({"id": response_id, "object": "response", "deleted": True})

    def _cancel(self, _: Asked, response_id: str) -> Answer:
        kept = self._response(response_id)
        if not kept.background:
            message = "Only responses that were created with 'background' can be cancelled."
            raise RefusedError(400, "invalid_request", message, "response_id")
        kept.cancel()
        return json_answer(kept.response)

    def _input_items(self, asked: Asked, response_id: str) -> Answer:
        kept = self._response(response_id)
        return page_answer(kept.before + kept.given, asked.query)

    def _compact(self, asked: Asked) -> Answer:
        require(asked.body, "model")
        items = self._before(asked.body)[1] + self._read(asked.body.get("input"))
        summary = {"type": "compaction", "id": self._new("cmp"), "encrypted_content": f"{len(items)} items, compacted"}
        output = [*(item for item in items if item.get("role") == "user"), summary]
        told = {"id": self._new("resp"), "object": "response.compaction", "created_at": int(time.time())}
        return json_answer({**told, "output": output, "usage": usage_counts(count_words(items), count_words(output))})

    def _input_tokens(self, asked: Asked) -> Answer:
        items = self._before(asked.body)[1] + self._read(asked.body.get("input"))
        more = [asked.body.get(name) for name in ("instructions", "tools", "text")]
        return json_answer({"object": "response.input_tokens", "input_tokens": count_words([items, more])})

    # --- conversations

    def _found(self, conversation_id: str) -> Conversation:
        conversation = self.store.conversations.get(conversation_id)
        if conversation is None:
            raise RefusedError(404, "not_found", f"Conversation with id '{conversation_id}' not found.", "conversation")
        return conversation

    def _converse(self, asked: Asked) -> Answer:
        metadata = as_dict(asked.body.get("metadata"))
        items = self._some_items(asked)
        conversation = Conversation(self._new("conv"), int(time.time()), metadata, items)
        self.store.conversations[conversation.id] = conversation
        return json_answer(conversation.resource())

    def _some_items(self, asked: Asked) -> Items:
        items = as_list(asked.body.get("items"))
        if len(items) > _MAX_ITEMS:
            message = f"Invalid 'items': expected at most {_MAX_ITEMS}, got {len(items)}."
            raise RefusedError(400, "array_above_max_length", message, "items")
        return self._read(items)

    def _conversation(self, _: Asked, conversation_id: str) -> Answer:
        return json_answer(self._found(conversation_id).resource())

    def _update_conversation(self, asked: Asked, conversation_id: str) -> Answer:
        conversation = self._found(conversation_id)
        require(asked.body, "metadata")
        conversation.metadata = as_dict(asked.body["metadata"])
        return json_answer(conversation.resource())

    def _delete_conversation(self, _: Asked, conversation_id: str) -> Answer:
        self._found(conversation_id)
        del self.store.conversations[conversation_id]
        return json_answer({"id": conversation_id, "object": "conversation.deleted", "deleted": True})

    def _items_of_conversation(self, asked: Asked, conversation_id: str) -> Answer:
        return page_answer(self._found(conversation_id).items, asked.query)

    def _add_items(self, asked: Asked, conversation_id: str) -> Answer:
        conversation = self._found(conversation_id)
        require(asked.body, "items")
        items = self._some_items(asked)
        conversation.items += items
        return json_answer(page(items, order="asc"))

    def _item(self, _: Asked, conversation_id: str, item_id: str) -> Answer:
        for item in self._found(conversation_id).items:
            if item["id"] == item_id:
                return json_answer(item)
        raise RefusedError(404, "not_found", f"Item with id '{item_id}' not found.", "item_id")

    def _delete_item(self, asked: Asked, conversation_id: str, item_id: str) -> Answer:
        self._item(asked, conversation_id, item_id)
        conversation = self._found(conversation_id)
        conversation.items = [item for item in conversation.items if item["id"] != item_id]
        return json_answer(conversation.resource())

    def _file(self, _: Asked, container_id: str, file_id: str) -> Answer:
        content = self.files.get((container_id, file_id))
        if content is None:
            raise RefusedError(404, "not_found", f"There is no file '{file_id}' in container '{container_id}'.")
        return Answer(Turn(), [content], "application/octet-stream")


def base_path(path: str) -> str:
    """Give what a path has before the API's own part, such as ``/v1``."""
    root = _ROOTS.search(path)
    return path[: root.start()] if root else ""


def _player(script: Iterable[Turn]) -> Callable[[dict[str, Any]], Turn]:
    turns = iter(script)

    def play(_: dict[str, Any]) -> Turn:
        turn = next(turns, None)
        if turn is None:
            raise RefusedError(500, "script_ended", "The script has no more turns.")
        return turn

    return play


def _whole(store: Store, kept: Kept) -> Iterator[bytes]:
    """Give a response's JSON; it is over, unless it is made in the background, once that is sent."""
    if not kept.background:
        store.finish(kept)
    yield dump(unfinished(kept.response, "queued") if kept.background else kept.response)


def _first(cuts: list[int]) -> int | None:
    return cuts.pop(0) if cuts else None
