"""The spans of a run, by OpenTelemetry's semantic conventions for generative AI. Imported only where a run is traced.

Names: https://github.com/open-telemetry/semantic-conventions-genai. What has none there begins with ``agentrt.``.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.metadata import version
from typing import Literal, NamedTuple

from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    TracerProvider,
    get_tracer,
    set_span_in_context,
    use_span,
)

from agentrt.core.state import MAIN
from agentrt.events import (
    AgentChanged,
    RunEvent,
    RunFinished,
    RunStarted,
    ToolFinished,
    ToolStarted,
    TurnRestarted,
    TurnStarted,
    UsageReported,
)

__all__ = ["RunSpans"]

_Attributes = Mapping[str, str | int | float | Sequence[str]]
_version = functools.cache(version)


class _Key(NamedTuple):
    """Which span: the operation is its ``gen_ai.operation.name``, the call is a tool's."""

    operation: Literal["invoke_agent", "chat", "execute_tool"]
    thread: str
    call_id: str = ""


class _Open(NamedTuple):
    span: Span
    context: Context
    under: _Key | None


class _Tree:
    """The open spans; each ends with what it began under, at the latest."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._tracer = get_tracer("agentrt", _version("agentrt"), provider)
        self._open: dict[_Key, _Open] = {}

    def __contains__(self, key: _Key) -> bool:
        return key in self._open

    def find_call(self, call_id: str) -> _Key | None:
        """Find the open call of that id, in whatever thread; of several, the one that began last."""
        calls = (key for key in reversed(self._open) if key.operation == "execute_tool")
        return next((key for key in calls if key.call_id == call_id), None)

    def start(self, key: _Key, subject: str, under: _Key | None, attributes: _Attributes) -> None:
        """Start a span as a part of another, or of the caller's where that isn't open; an open one ends before."""
        self.end(key)
        outer = self._open.get(under) if under is not None else None
        context = get_current() if outer is None else outer.context
        kind = SpanKind.CLIENT if key.operation == "chat" else SpanKind.INTERNAL
        span = self._tracer.start_span(f"{key.operation} {subject}".rstrip(), context, kind, attributes)
        self._open[key] = _Open(span, set_span_in_context(span, context), under)

    def note(self, key: _Key, name: str, attributes: _Attributes) -> None:
        """Add an event to a span, if it is open."""
        if key in self._open:
            self._open[key].span.add_event(name, attributes)

    def end(
        self, key: _Key, attributes: _Attributes | None = None, error: str | None = None, words: str | None = None
    ) -> None:
        """End a span, if it is open, and what began under it: all of them, also where the tracer fails at one.

        Args:
            key: Which one.
            attributes: More of its attributes.
            error: The ``error.type`` where it failed; what is still open under it failed with it.
            words: The error in words.
        """
        opened = self._open.pop(key, None)
        if opened is None:
            return
        with ExitStack() as last_to_first:
            last_to_first.callback(opened.span.end)
            if error is not None:
                last_to_first.callback(opened.span.set_status, StatusCode.ERROR, words)
                last_to_first.callback(opened.span.set_attribute, "error.type", error)
            if attributes:
                last_to_first.callback(opened.span.set_attributes, attributes)
            last_to_first.callback(self.end_inside, key, error)

    def end_inside(self, key: _Key | None, error: str | None = None) -> None:
        """End what began under a span; for None, all that is open."""
        with ExitStack() as last_to_first:
            for inner, opened in self._open.items():
                if key in (None, opened.under):
                    last_to_first.callback(self.end, inner, None, error)

    @contextmanager
    def current(self, key: _Key) -> Generator[None]:
        """Make a span the current one, if it is open; it stays open afterwards."""
        opened = self._open.get(key)
        if opened is None:
            yield
            return
        with use_span(opened.span, record_exception=False, set_status_on_exception=False):
            yield


class RunSpans:
    """Follows the events of one run. The tracer's errors are the caller's to catch.

    Args:
        provider: The provider, as the conventions call it.
        content: Whether spans hold what was said.
        tracer_provider: Where spans go; None for the program's global one.
    """

    def __init__(self, provider: str | None, *, content: bool, tracer_provider: TracerProvider | None) -> None:
        self._provider = provider
        self._content = content
        self._tree = _Tree(tracer_provider)

    def follow(self, event: RunEvent) -> None:
        """Start, note and end what an event tells of."""
        match event:
            case RunStarted():
                self._start_agent(event)
            case TurnStarted():
                self._start_turn(event)
            case TurnRestarted():
                turn = _Key("chat", event.thread)
                self._tree.end_inside(turn)
                self._tree.note(turn, f"agentrt.{event.type}", self._said("agentrt.reason", event.reason))
            case UsageReported():
                self._end_turn(event)
            case ToolStarted():
                self._start_call(event, self._said("gen_ai.tool.call.arguments", event.arguments))
            case ToolFinished():
                self._end_call(event)
            case AgentChanged():
                told = {"gen_ai.agent.name": event.agent, "agentrt.agent.before": event.before}
                self._tree.note(_Key("invoke_agent", event.thread), f"agentrt.{event.type}", told)
            case RunFinished():
                self._finish(event)
            case _:
                pass

    def around(self, thread: str, call_id: str) -> AbstractContextManager[None]:
        """Make a call's span the current one, if it is open."""
        return self._tree.current(_Key("execute_tool", thread, call_id))

    def close(self) -> None:
        """End all that is open."""
        self._tree.end_inside(None)

    def _start_agent(self, event: RunEvent) -> None:
        call = None if event.parent is None else self._tree.find_call(event.parent)
        # Where a run went on from its JSON, the call of a sub-agent may not have been told again.
        under = call or (None if event.thread == MAIN else _Key("invoke_agent", MAIN))
        key = _Key("invoke_agent", event.thread)
        self._tree.start(key, event.agent, under, self._common(key, event))

    def _start_turn(self, event: TurnStarted) -> None:
        agent, key = _Key("invoke_agent", event.thread), _Key("chat", event.thread)
        if agent not in self._tree:
            self._start_agent(event)
        model = {"gen_ai.request.model": event.model} if event.model else {}
        self._tree.start(key, event.model, agent, {**self._common(key, event), **model})

    def _end_turn(self, event: UsageReported) -> None:
        usage = event.usage
        told: dict[str, str | int | float | Sequence[str] | None] = {
            "gen_ai.response.model": event.model,
            "gen_ai.response.id": event.response_id,
            "gen_ai.response.finish_reasons": [event.status],
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
            "agentrt.usage.cost": event.cost,
        }
        known = {name: value for name, value in told.items() if value is not None}
        failed = "response_failed" if event.status == "failed" else None
        self._tree.end(_Key("chat", event.thread), known, failed)

    def _start_call(self, event: ToolStarted | ToolFinished, more: _Attributes) -> None:
        key = _Key("execute_tool", event.thread, event.call_id)
        turn, agent = _Key("chat", event.thread), _Key("invoke_agent", event.thread)
        if agent not in self._tree:  # a sub-agent that goes on after a resume
            self._start_agent(event)
        what = {
            "gen_ai.tool.name": event.name,
            "gen_ai.tool.call.id": event.call_id,
            "gen_ai.tool.type": "extension" if event.hosted else "function",
        }
        under = turn if event.hosted and turn in self._tree else agent  # the provider's run within the request
        self._tree.start(key, event.name, under, {**self._common(key, event), **what, **more})

    def _end_call(self, event: ToolFinished) -> None:
        key = _Key("execute_tool", event.thread, event.call_id)
        if key not in self._tree and not event.hosted:  # answered without being run: unknown, refused, over a limit
            self._start_call(event, {})
        result = self._said("gen_ai.tool.call.result", event.output)
        if event.failed:
            self._tree.end(key, result, "tool_error", event.output if self._content else None)
        else:
            self._tree.end(key, result)

    def _finish(self, event: RunFinished) -> None:
        told: dict[str, str] = {"agentrt.run.status": event.status or ("left" if event.error is None else "failed")}
        if event.stopped_by:
            told["agentrt.run.stopped_by"] = event.stopped_by
        failed = None if event.error is None else "run_error"
        self._tree.end(_Key("invoke_agent", event.thread), told, failed, event.error if self._content else None)
        self._tree.end_inside(None, failed)

    def _common(self, key: _Key, event: RunEvent) -> dict[str, str]:
        """Tell what each span has; it is told at its start, as samplers decide by it."""
        told = {
            "gen_ai.operation.name": key.operation,
            "gen_ai.agent.name": event.agent,
            "gen_ai.conversation.id": event.run_id,
        }
        return told if self._provider is None else {**told, "gen_ai.provider.name": self._provider}

    def _said(self, name: str, words: str) -> _Attributes:
        """Tell words only where content is on: they may hold anything."""
        return {name: words} if self._content else {}
