"""Traces a run with OpenTelemetry, where the program has set it up; silent elsewhere, and never in a run's way.

What becomes a span, and what stands in it, is in ``spans.py``.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from agentrt.events import RunEvent

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from agentrt.spans import RunSpans

__all__ = ["RunTrace", "tracing_is_on"]

logger = logging.getLogger("agentrt.trace")

_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CONTENT_ON = ("true", "1", "span_only", "span_and_event")
_PROVIDERS = {"azure": "azure.ai.openai", "xai": "x_ai"}
"""Profiles that the conventions know under another name."""


def tracing_is_on() -> bool:
    """Tell whether spans would go anywhere: the program has set a tracer provider. Imports nothing by itself."""
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None:
        return False
    try:
        return not isinstance(api.get_tracer_provider(), (api.ProxyTracerProvider, api.NoOpTracerProvider))
    except Exception:  # noqa: BLE001 - the environment names a provider that can't be loaded, as the API has logged
        return False


class RunTrace:
    """Turns the events of one run into spans. It never raises: a run goes on without its trace.

    Args:
        provider: The name of the provider's profile.
        content: Whether spans hold what was said: arguments and outputs of tools, errors in words. None leaves it to
            the environment variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``; it is off without that.
        tracer_provider: Where spans go; None for the program's global one.
    """

    def __init__(
        self,
        *,
        provider: str | None = None,
        content: bool | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        if content is None:
            content = os.environ.get(_CONTENT, "").strip().lower() in _CONTENT_ON
        self._complained = False
        self._spans: RunSpans | None = None
        with self._unharmed():
            from agentrt.spans import RunSpans  # noqa: PLC0415 - 30 ms that only traced programs pay

            name = _PROVIDERS.get(provider, provider) if provider else None
            self._spans = RunSpans(name, content=content, tracer_provider=tracer_provider)

    def __call__(self, event: RunEvent) -> None:
        """Take an event as it is emitted: in the run's order, on the run's event loop."""
        if self._spans is not None:
            with self._unharmed():
                self._spans.follow(event)

    def around(self, thread: str, call_id: str) -> AbstractContextManager[None]:
        """Make a call's span the current one while its tool runs, so that what the tool traces comes under it.

        Args:
            thread: The run's thread.
            call_id: The call's id.
        """
        return nullcontext() if self._spans is None else self._spans.around(thread, call_id)

    def close(self) -> None:
        """End what is still open, where a run was left before it was over."""
        if self._spans is not None:
            with self._unharmed():
                self._spans.close()

    @contextmanager
    def _unharmed(self) -> Generator[None]:
        try:
            yield
        except Exception:  # whatever is wrong with the tracer, the run goes on
            if not self._complained:
                self._complained = True
                logger.warning("the run's trace is incomplete, as the tracer failed", exc_info=True)
