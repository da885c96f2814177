"""The embedded model behind the same wire as every provider: an HTTP transport that never leaves the process."""

from __future__ import annotations

import contextlib
import functools
import itertools
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import httpx2
import pydantic_core

from agentrt.local.engine import OWN_NAMES, Completion, Engine, EngineRefusedError, open_engine
from agentrt.local.prompt import Prompt, UnsupportedError, build_prompt
from agentrt.registry.threads import run_in_thread, submit
from agentrt.wire.compose import Numbering, item_events, message_item, response_resource, sse_bytes
from agentrt.wire.json import as_dict, dump, parse

__all__ = ["LocalTransport"]

_TEMPERATURE = 0.2
_MAX_TOKENS = 512


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


class LocalTransport(httpx2.AsyncBaseTransport):
    """Answers ``POST /responses`` with the embedded model, as JSON or as events.

    ``temperature`` (0.2 where the request has none), ``top_p``, ``max_output_tokens`` (512) and, through
    ``extra_body``, ``seed`` reach the model.
    """

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request. Refusals are HTTP errors, as with any provider."""
        try:
            if request.method != "POST" or not request.url.path.endswith("/responses"):
                raise _RefusedError(404, "not_found", "the embedded model answers POST /responses only")
            body = _read(await request.aread())
            engine = await run_in_thread(open_engine)
            _check_model(engine, body)
            try:
                prompt = build_prompt(body, decides=engine.decides)
            except UnsupportedError as error:
                raise _RefusedError(400, "unsupported_parameter", str(error), error.param) from error
            job = _Job(engine, body, prompt)
            if body.get("stream"):
                headers = {"content-type": "text/event-stream"}
                return httpx2.Response(200, headers=headers, stream=_EventStream(job), request=request)
            response = await job.whole()
        except _RefusedError as error:
            return httpx2.Response(error.status, json=error.body, request=request)
        content = dump(response)
        return httpx2.Response(200, content=content, headers={"content-type": "application/json"}, request=request)


def _read(body: bytes) -> dict[str, Any]:
    try:
        return as_dict(parse(body))
    except ValueError as error:
        raise _RefusedError(400, "invalid_json", f"the body is not JSON: {error}") from error


def _check_model(engine: Engine, body: Mapping[str, Any]) -> None:
    own = OWN_NAMES if not engine.decides else {"local", engine.name}
    if str(body.get("model")).lower() not in own:
        message = (
            f"the embedded model is {engine.name!r}, not {body.get('model')!r}: use model='local', or set the key of a "
            "provider that has it: OPENAI_API_KEY, COMETAPI_KEY, …"
        )
        raise _RefusedError(404, "model_not_found", message, "model")


class _EventStream(httpx2.AsyncByteStream):
    def __init__(self, job: _Job) -> None:
        self._job = job

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._job.events()) as events:
            async for event in events:
                yield sse_bytes(event)
        yield b"data: [DONE]\n\n"


class _Job:
    """One generation."""

    def __init__(self, engine: Engine, body: Mapping[str, Any], prompt: Prompt) -> None:
        self._engine = engine
        self._prompt = prompt
        self._request = {**body, "model": engine.name}
        self._id = f"resp_{secrets.token_hex(12)}"
        self._created_at = int(time.time())
        self._sampling = {
            "temperature": _TEMPERATURE if body.get("temperature") is None else body["temperature"],
            "max_tokens": body.get("max_output_tokens") or _MAX_TOKENS,
            **{name: body[name] for name in ("top_p", "seed") if body.get(name) is not None},
        }
        self._stop = False

    def _run(self, on_text: Callable[[str], bool]) -> Completion:
        return self._engine.complete(
            self._prompt.messages,
            self._prompt.schema,
            grammar=self._prompt.grammar,
            sampling=self._sampling,
            on_text=on_text,
        )

    async def whole(self) -> dict[str, Any]:
        try:
            completion = await run_in_thread(functools.partial(self._run, lambda _: self._stop))
        except EngineRefusedError as error:
            raise _RefusedError(400, "context_length_exceeded", str(error)) from error
        finally:
            self._stop = True
        return self._response(completion, self._items(completion))

    def _items(self, completion: Completion) -> list[dict[str, Any]]:
        status = "incomplete" if completion.truncated else "completed"
        if not self._prompt.calls:
            return [message_item(f"msg_{self._id}", completion.text, status=status)]
        written = as_dict(pydantic_core.from_json(completion.text.strip() or "{}", allow_partial="trailing-strings"))
        if "reply" in written:
            return [message_item(f"msg_{self._id}", str(written["reply"]), status=status)]
        if completion.truncated:
            arguments = completion.text.partition('"arguments":')[2].strip()
        else:
            arguments = dump(written["arguments"]).decode()
        call_id = f"call_{secrets.token_hex(8)}"
        call = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "status": status}
        return [{**call, "name": written.get("name") or "", "arguments": arguments}]

    def _response(self, completion: Completion, items: list[dict[str, Any]]) -> dict[str, Any]:
        response = response_resource(
            self._request,
            response_id=self._id,
            created_at=self._created_at,
            status="incomplete" if completion.truncated else "completed",
            output=items,
            usage=completion.usage,
        )
        if completion.truncated:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        return response

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        number = Numbering()
        begun = response_resource(
            self._request, response_id=self._id, created_at=self._created_at, status="in_progress"
        )
        yield number.event("response.created", response=begun)
        yield number.event("response.in_progress", response=begun)
        outcome = _Outcome()
        live = None if self._prompt.calls else message_item(f"msg_{self._id}", "", status="in_progress")
        where = {"output_index": 0, "item_id": f"msg_{self._id}", "content_index": 0}
        try:
            self._generate(outcome)
            if live is not None:
                for event in itertools.islice(item_events(number, 0, live), 2):
                    yield event
            async with aclosing(outcome.pieces()) as pieces:
                async for piece in pieces:
                    if live is not None:
                        yield number.event("response.output_text.delta", **where, delta=piece, logprobs=[])
        finally:
            self._stop = True
        for event in self._ending(number, outcome, live=live is not None, begun=begun):
            yield event

    def _ending(
        self, number: Numbering, outcome: _Outcome, *, live: bool, begun: dict[str, Any]
    ) -> list[dict[str, Any]]:
        completion = outcome.completion
        if completion is None:
            error = {"code": "server_error", "message": str(outcome.error)}
            failed = {**begun, "status": "failed", "error": error}
            return [number.event("response.failed", response=failed)]
        items = self._items(completion)
        events: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            # A message's opening and its deltas were sent live; its last three events close it.
            whole = list(item_events(Numbering() if live else number, index, item))
            for event in whole[-3:] if live else whole:
                fields = {key: value for key, value in event.items() if key not in ("type", "sequence_number")}
                events.append(number.event(event["type"], **fields) if live else event)
        response = self._response(completion, items)
        return [*events, number.event(f"response.{response['status']}", response=response)]

    def _generate(self, outcome: _Outcome) -> None:
        """Start the writing in a thread of its own; a reader that leaves stops it at the next token."""
        token = anyio.lowlevel.current_token()

        def tell(function: Callable[..., None], *args: Any) -> None:
            if not self._stop:
                with contextlib.suppress(RuntimeError):  # the event loop has ended: nobody reads any more
                    anyio.from_thread.run_sync(function, *args, token=token)

        def on_text(piece: str) -> bool:
            tell(outcome.add, piece)
            return self._stop

        def work() -> None:
            try:
                outcome.completion = self._run(on_text)
            except Exception as error:  # noqa: BLE001 - it becomes a response.failed
                outcome.error = error
            tell(outcome.end)

        submit(work)


class _Outcome:
    """Pieces on their way from the engine's thread to the event loop, and how it ended."""

    def __init__(self) -> None:
        self.completion: Completion | None = None
        self.error: Exception | None = None
        self._pieces: deque[str] = deque()
        self._ended = False
        self._arrived = anyio.Event()

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._arrived.set()

    def end(self) -> None:
        self._ended = True
        self._arrived.set()

    async def pieces(self) -> AsyncGenerator[str, None]:
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._ended:
                return
            self._arrived = anyio.Event()
            await self._arrived.wait()
