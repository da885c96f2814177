"""Content parts of a message: `Text`, `Image`, `File`, `Audio`, and `input_items`, which makes items of what is given.

A part is made once, from a URL, a `pathlib.Path`, bytes, or the id of a file that the provider has; it is plain data
afterwards. A plain string is never taken for a path.

Shapes: the content parts of the openai 3.54 wheel's types. ``input_audio`` is not among them; it has the shape that
Chat Completions gave it, which servers of open models take.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

from agentrt.errors import UsageError
from agentrt.wire import media
from agentrt.wire.items import Item, Message, item_view
from agentrt.wire.json import as_str
from agentrt.wire.media import MAX_BYTES

__all__ = ["MAX_BYTES", "Audio", "CacheBreakpoint", "File", "Image", "Input", "Part", "Text", "brief", "input_items"]

CacheBreakpoint = bool | Literal["30m", "12h"]
"""True: the prompt up to this part is cached; ``30m`` or ``12h`` also says for how long. Up to 4 in a request."""

_SHOWN = 60


class Part:
    """One content part, read-only; two are equal when the same is sent.

    Args:
        raw: The part as the wire has it.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    @property
    def raw(self) -> dict[str, Any]:
        """The part as the wire has it. It is shared, not copied: treat it as frozen."""
        return self._raw

    def __eq__(self, other: object) -> bool:
        """Compare by what is sent."""
        return self._raw == other._raw if isinstance(other, Part) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] - equal by a dict

    def __repr__(self) -> str:
        """Show the fields, with data as its type and size."""
        shown = (f"{name}={brief(value)}" for name, value in self._raw.items() if name != "type")
        return f"{type(self).__name__}({', '.join(shown)})"


class Text(Part):
    """Text, beside other parts: ``agent.run([Text("What is this?"), Image(path)])``. A plain str does the same.

    Args:
        text: The text.
        cache_breakpoint: Whether the prompt up to here is cached: `CacheBreakpoint`.
    """

    __slots__ = ()

    def __init__(self, text: str, *, cache_breakpoint: CacheBreakpoint = False) -> None:
        super().__init__({"type": "input_text", "text": text, **_breakpoint(cache_breakpoint)})


class Image(Part):
    """An image for the model to look at.

    Args:
        source: A URL (``http``, ``https`` or ``data``) as str, a local file as `pathlib.Path`, or the bytes. A web URL
            is fetched by the provider, not here.
        file_id: The id of an image that the provider has, instead of a source.
        detail: How closely the model looks: ``auto``, ``low``, ``high`` or ``original``.
        media_type: Such as ``image/heic``; only where the bytes don't tell (PNG, JPEG, GIF and WebP do).
        max_bytes: The largest image to take in.
        cache_breakpoint: Whether the prompt up to here is cached: `CacheBreakpoint`.

    Raises:
        UsageError: The image can't be read, is too big or empty, or is no image; the message says what to do.
    """

    __slots__ = ()

    def __init__(
        self,
        source: str | bytes | os.PathLike[str] | None = None,
        *,
        file_id: str | None = None,
        detail: Literal["auto", "low", "high", "original"] = "auto",
        media_type: str | None = None,
        max_bytes: int = MAX_BYTES,
        cache_breakpoint: CacheBreakpoint = False,
    ) -> None:
        media.check_media_type(source, media_type)
        if file_id is not None or source is None:
            where = {"file_id": media.checked_id("Image", source, file_id)}
        elif isinstance(source, str):
            where = {"image_url": media.checked_url("Image", source, max_bytes)}
            media_type = media.type_of(source)
        else:
            data, name = media.load("Image", source, max_bytes)
            media_type = media_type or media.image_type(data, name)
            where = {"image_url": media.data_url(media_type, data)}
        if media_type is not None and not media_type.startswith("image/"):
            raise UsageError(f"{media_type} is no image; pass it as File(…)")
        super().__init__({"type": "input_image", "detail": detail, **where, **_breakpoint(cache_breakpoint)})


class File(Part):
    """A document for the model to read: PDF everywhere; texts, tables and office documents where the provider can.

    Args:
        source: A URL (``http``, ``https`` or ``data``) as str, a local file as `pathlib.Path`, or the bytes. A web URL
            is fetched by the provider, not here.
        file_id: The id of a file that the provider has, instead of a source.
        filename: The name that the model sees; default the path's own.
        media_type: Such as ``application/pdf``; only where neither the bytes nor the name tell.
        detail: How closely pages are looked at as images: ``auto``, ``low`` or ``high``; default the provider's.
        max_bytes: The largest file to take in.
        cache_breakpoint: Whether the prompt up to here is cached: `CacheBreakpoint`.

    Raises:
        UsageError: The file can't be read, is too big or empty, or of no known type; the message says what to do.
    """

    __slots__ = ()

    def __init__(
        self,
        source: str | bytes | os.PathLike[str] | None = None,
        *,
        file_id: str | None = None,
        filename: str | None = None,
        media_type: str | None = None,
        detail: Literal["auto", "low", "high"] | None = None,
        max_bytes: int = MAX_BYTES,
        cache_breakpoint: CacheBreakpoint = False,
    ) -> None:
        media.check_media_type(source, media_type)
        if file_id is not None or source is None:
            where = {"file_id": media.checked_id("File", source, file_id)}
        elif isinstance(source, str):
            media_type = media.type_of(source)
            url = media.checked_url("File", source, max_bytes)
            where = {"file_url": url} if media_type is None else {"file_data": url}
        else:
            data, name = media.load("File", source, max_bytes)
            filename = filename or name
            media_type = media_type or media.document_type(data, filename)
            where = {"file_data": media.data_url(media_type, data)}
        if "file_data" in where:  # OpenAI wants a name for data
            filename = filename or f"file{media.suffix_for(media_type)}"
        given = {"filename": filename, **where, "detail": detail}
        kept = {name: value for name, value in given.items() if value is not None}
        super().__init__({"type": "input_file", **kept, **_breakpoint(cache_breakpoint)})


class Audio(Part):
    """Sound for a model that listens.

    Args:
        source: A local file as `pathlib.Path`, or the bytes. Providers take no URL here.
        format: ``wav`` or ``mp3``, or another one that your provider takes; default what the bytes say.
        max_bytes: The largest recording to take in.

    Raises:
        UsageError: The recording can't be read, is too big or empty, or of no known format.
    """

    __slots__ = ()

    def __init__(
        self, source: bytes | os.PathLike[str], *, format: str | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        data, name = media.load("Audio", source, max_bytes)
        audio = {"data": media.as_base64(data), "format": format or media.audio_format(data, name)}
        super().__init__({"type": "input_audio", "input_audio": audio})

    def __repr__(self) -> str:
        """Show the format and the size."""
        audio = self._raw["input_audio"]
        return f"Audio(<{audio['format']}, {media.decoded_size(audio['data'])} bytes>)"


Input = str | Sequence[Item | Part | Mapping[str, Any] | str]
"""What a request or a run takes: a text, or items, parts and texts."""


def input_items(given: Input) -> list[Item]:
    """Make items of what the user gives. Nothing that is given is changed.

    Args:
        given: A text is one message of the user. In a list, neighbouring parts and texts make one message of the user
            together; items (dicts or views) are kept, and parts and texts inside them are written out.

    Raises:
        UsageError: It is empty, or something else.
    """
    if isinstance(given, str):
        return [_from_user(given)]
    if isinstance(given, (bytes, bytearray)) or not isinstance(given, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _bad_input(given)
    if not given:
        raise UsageError("there is nothing to run on: input is empty; pass a text or at least one item")
    items: list[Item] = []
    gathered: list[dict[str, Any]] | None = None
    for entry in given:
        part = _as_part(entry)
        if part is None:
            items.append(_as_item(entry))
            gathered = None
        elif gathered is None:
            gathered = [part]
            items.append(_from_user(gathered))
        else:
            gathered.append(part)
    return items


def _from_user(content: str | list[dict[str, Any]]) -> Item:
    return Message({"type": "message", "role": "user", "content": content})


def _as_part(entry: Item | Part | Mapping[str, Any] | str) -> dict[str, Any] | None:
    if isinstance(entry, str):
        return {"type": "input_text", "text": entry}
    if isinstance(entry, Part):
        return entry.raw
    # No item's type begins like that, and that of every part does which a user may send.
    if isinstance(entry, Mapping) and as_str(entry.get("type")).startswith("input_"):
        return dict(entry)
    return None


def _as_item(entry: Item | Part | Mapping[str, Any] | str) -> Item:
    if isinstance(entry, Item):
        raw = _written_out(entry.raw)
        return entry if raw is entry.raw else item_view(raw)
    if isinstance(entry, Mapping):
        return item_view(_written_out(dict(entry)))
    raise _bad_input(entry)


def _written_out(raw: dict[str, Any]) -> dict[str, Any]:
    key = "output" if as_str(raw.get("type")).endswith("_call_output") else "content"
    content: Any = raw.get(key)
    parts: Any = [content] if isinstance(content, Part) else content
    if not isinstance(parts, (list, tuple)) or not any(isinstance(part, (str, Part)) for part in parts):  # pyright: ignore[reportUnknownVariableType]
        return raw
    write = _said if raw.get("role") == "assistant" else _as_part
    return {**raw, key: [write(part) if isinstance(part, (str, Part)) else part for part in parts]}  # pyright: ignore[reportUnknownVariableType]


def _said(part: str | Part) -> dict[str, Any]:
    """Write out what the model said: OpenAI refuses input_text in its messages."""
    return part.raw if isinstance(part, Part) else {"type": "output_text", "text": part, "annotations": []}


def _bad_input(given: object) -> UsageError:
    kind = type(given)
    advice = "; put it into a list" if issubclass(kind, (Item, Part, Mapping)) else ""
    if issubclass(kind, PurePath):
        advice = "; send it as File(path) or Image(path), or send its text"
    return UsageError(f"input must be a text, or a list of items, texts and parts, not {kind.__name__}{advice}")


def brief(value: object) -> str:
    """Show a value of the wire in a few words: data as type and size, a URL without its secrets, a long text cut."""
    if not isinstance(value, str):
        return repr(value)
    media_type = media.type_of(value)
    if media_type is not None:
        return f"<{media_type}, {media.decoded_size(value.partition(',')[2])} bytes>"
    if media.is_web_url(value):  # its secrets are a password, or the signature of a signed one
        value = re.sub(r"(?s)(?<=//)[^/?#]*@|[?#].*", "…", value)
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")


def _breakpoint(wanted: CacheBreakpoint) -> dict[str, Any]:
    if not wanted:
        return {}
    return {"prompt_cache_breakpoint": {"mode": "explicit", **({} if wanted is True else {"ttl": wanted})}}
