"""The engine behind the embedded model: llama.cpp, in this process, through the package xllamacpp."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agentrt.errors import LocalModelError, MissingExtraError
from agentrt.local.weights import find_weights
from agentrt.wire.json import as_dict

__all__ = ["OWN_NAMES", "Completion", "Engine", "open_engine", "require_engine"]

OWN_NAMES = frozenset({"local", "smollm2", "smollm2-135m-instruct"})
"""What a request may call the embedded model."""

_LEAVE_SECONDS = 3.0
_CONTEXT = 2048
_CONTEXT_OTHER = 8192


class Completion(NamedTuple):
    """What the engine wrote.

    Attributes:
        text: The text.
        truncated: Whether it stopped at the token limit.
        usage: Tokens read and written.
    """

    text: str
    truncated: bool
    usage: tuple[int, int]


class EngineRefusedError(ValueError):
    """The engine refused the request, such as one that doesn't fit its context."""


def require_engine() -> None:
    """Raise MissingExtraError where llama.cpp is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError("the embedded model", "local")


class Engine:
    """One loaded model. Requests wait in line; the answer to each is computed on the caller's thread.

    Args:
        path: A GGUF file.
        decides: Whether the model can choose between a call and an answer by itself.

    Raises:
        LocalModelError: The engine can't load the file.
    """

    def __init__(self, path: Path, *, decides: bool) -> None:
        self._turn = threading.Lock()
        self.name = path.stem.lower()
        self.decides = decides
        require_engine()
        # Without it llama.cpp's threads spin while they wait: 5.8 against 50.5 tokens/s on two busy cores (measured).
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
        xllamacpp: Any = importlib.import_module("xllamacpp")  # an extra, 100 MB of native code without type stubs

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = _CONTEXT_OTHER if decides else _CONTEXT
        params.n_parallel = 1
        params.n_gpu_layers = 0
        params.warmup = False
        params.verbosity = -1
        params.cpuparams.n_threads = max(1, min(8, os.cpu_count() or 1))
        # llama.cpp opens a port on loopback whether it is wanted or not; a key that nobody has keeps it shut.
        params.api_keys = [secrets.token_hex(32)]
        params.cors_origins = "http://127.0.0.1"
        try:
            self._server: Any = xllamacpp.Server(params)
        except Exception as error:
            raise LocalModelError(f"llama.cpp can't load {path}: {error}; is it a whole GGUF file?") from error

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any] | None,
        *,
        grammar: str | None = None,
        sampling: Mapping[str, Any],
        on_text: Callable[[str], bool] | None = None,
    ) -> Completion:
        """Write one reply; blocks until it is done.

        Args:
            messages: The chat.
            schema: What the reply must fit, or None for free text.
            grammar: A GBNF grammar that it must fit, or None.
            sampling: ``temperature``, ``top_p``, ``seed`` and ``max_tokens``.
            on_text: Told each piece as it is written; true stops the writing.

        Raises:
            EngineRefusedError: The request doesn't fit the context, or the schema can't be compiled.
        """
        request: dict[str, Any] = {"messages": [dict(message) for message in messages], **sampling, "stream": True}
        request["stream_options"] = {"include_usage": True}
        if schema is not None:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": dict(schema)},
            }
        if grammar is not None:
            request["grammar"] = grammar
        text: list[str] = []
        end: dict[str, Any] = {}

        def on_chunk(chunk: dict[str, Any]) -> bool:
            if _exiting.is_set():
                return True
            if chunk.get("error"):
                end["error"] = chunk["error"]
                return True
            if chunk.get("usage"):
                end["usage"] = chunk["usage"]
            for choice in chunk.get("choices") or ():
                piece = as_dict(choice.get("delta")).get("content")
                end["finish"] = choice.get("finish_reason") or end.get("finish")
                if piece:
                    text.append(piece)
                    if on_text is not None and on_text(piece):
                        return True
            return False

        with self._turn:
            returned = self._server.handle_chat_completions(request, on_chunk)
        end["error"] = end.get("error") or as_dict(returned).get("error")
        if end.get("error"):
            raise EngineRefusedError(str(as_dict(end["error"]).get("message") or end["error"]))
        usage = as_dict(end.get("usage"))
        tokens = (usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or len(text))
        return Completion("".join(text), end.get("finish") == "length", tokens)


_engines: dict[tuple[Path, bool], Engine] = {}
_lock = threading.Lock()
_exiting = threading.Event()


def _leave() -> None:
    # Native code that calls back into an interpreter that is going away crashes it: stop writing first, then unload.
    _exiting.set()
    for engine in _engines.values():
        if engine._turn.acquire(timeout=_LEAVE_SECONDS):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            engine._server = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


atexit.register(_leave)


def open_engine() -> Engine:
    """Give the engine for the configured weights, fetching and loading them when they are first needed.

    Raises:
        LocalModelError: The weights can't be had or loaded.
        MissingExtraError: The extra ``local`` is not installed.
    """
    require_engine()
    with _lock:
        path = find_weights()
        decides = bool(os.environ.get("AGENTRT_LOCAL_MODEL"))
        if (path, decides) not in _engines:
            _engines[path, decides] = Engine(path, decides=decides)
        return _engines[path, decides]
