"""Server-sent events: bytes in, JSON events out.

Follows the event stream format of the WHATWG HTML standard (section 9.2.6, "Interpreting an event stream"), with two
habits of the Responses API: the ``type`` inside the JSON decides, not the ``event:`` line, and ``data: [DONE]`` may
close the stream.
"""

from __future__ import annotations

from typing import Any

from agentrt.errors import WireError
from agentrt.wire.json import is_dict, parse

__all__ = ["MAX_EVENT_BYTES", "MAX_TURN_BYTES", "SSEDecoder"]

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Upper bound for one event. A partial image, the largest thing that is streamed, is about 4 MiB of base64."""

MAX_TURN_BYTES = 48 * 1024 * 1024
"""Upper bound for all events of one response: four large images are about 20 MiB of base64, and may come twice."""

_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Turns the chunks of an event stream into events, whatever the chunk borders are.

    Args:
        max_event_bytes: Bytes that one event, and so one line, may have before it is refused.
        max_turn_bytes: Bytes that the events of the whole stream may have. Comments don't count: a keep-alive may go
            on for hours.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_turn_bytes: int = MAX_TURN_BYTES) -> None:
        self._max_event = max_event_bytes
        self._max_turn = max_turn_bytes
        self._taken = 0
        self._buffer = bytearray()
        self._searched = 0
        self._after_cr = False
        self._at_start = True
        self.done = False
        """True once ``[DONE]`` has come; what follows it is ignored."""

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """Take in one chunk and give the events that it completes, oldest first.

        Raises:
            WireError: An event, or the stream as a whole, is too large, or an event is not a JSON object.
        """
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
            if b"\r" in chunk:
                chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            self._buffer += chunk
            if self._at_start:
                self._drop_bom()
        return self._take()

    def _drop_bom(self) -> None:
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return
        self._at_start = False
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]

    def _take(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        start = 0
        while (end := self._buffer.find(b"\n\n", max(start, self._searched - 1))) >= 0:
            block = bytes(self._buffer[start:end])
            start = end + 2
            if len(block) > self._max_event:
                raise self._too_large("an event", self._max_event)
            event = None if self.done else self._decode(block)
            if event is not None:
                self._taken += len(block)
                if self._taken > self._max_turn:
                    raise self._too_large("events", self._max_turn)
                events.append(event)
        if start:
            del self._buffer[:start]
        self._searched = len(self._buffer)
        if self._searched > self._max_event:
            raise self._too_large("an event", self._max_event)
        return events

    def _decode(self, block: bytes) -> dict[str, Any] | None:
        data: list[bytes] = []
        name = b""
        for line in block.split(b"\n"):
            if line.startswith(b"data: "):
                data.append(line[6:])
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        if not data:
            return None
        text = data[0] if len(data) == 1 else b"\n".join(data)
        if text == b"[DONE]":
            self.done = True
            return None
        if not text:
            return None  # the standard dispatches an empty event; here it can only be a keep-alive
        try:
            event: Any = parse(text)
        except ValueError as error:
            raise WireError(
                f"the stream carries an event that is not JSON ({error}): {text[:200]!r}. "
                "Check that base_url leads to a Responses API and that no proxy rewrites the stream."
            ) from error
        if not is_dict(event):
            raise WireError(f"the stream carries an event that is not a JSON object: {text[:200]!r}")
        if "type" in event:
            return event
        # llama.cpp sends a bare {"error": …} without an event name; others leave the type to the event line.
        return {"type": name.decode("utf-8", "replace") or ("error" if "error" in event else ""), **event}

    def _too_large(self, what: str, limit: int) -> WireError:
        return WireError(
            f"the stream carries {what} of more than {limit} bytes; ask for less at once (for example fewer partial "
            "images)"
        )
