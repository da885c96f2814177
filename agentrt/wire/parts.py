"""Content parts of a message: `Text`, `Image`, `File`, `Audio`, and `input_items`, which makes items of what is given.

A part is made once, from a URL, a `pathlib.Path`, bytes, or the id of a file that the provider has. A plain string is
never taken for a path, so that an untrusted string never becomes the reading of a file. Paths are read here, bounded
and at once: a part is plain data afterwards.

Shapes: the content parts of the openai 3.54 wheel's types. ``input_audio`` is not among them; it has the shape of Chat
Completions, as servers of open models take it.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentrt.errors import UsageError
from agentrt.wire.items import Item, Message, item_view
from agentrt.wire.json import as_dict, as_str

__all__ = ["MAX_BYTES", "Audio", "CacheBreakpoint", "File", "Image", "Input", "Part", "Text", "brief", "input_items"]

MAX_BYTES = 32 * 1024 * 1024
"""What a part may hold. Anthropic takes requests of 32 MB, and OpenAI took documents of 32 MB before it raised that to
50 MB; base64 adds a third. Who has a smaller limit says so itself."""

CacheBreakpoint = bool | Literal["30m", "12h"]
"""True: the prompt up to this part is cached; ``30m`` or ``12h`` also says for how long. Up to 4 in a request."""

_CHUNK = 1024 * 1024
# O_NONBLOCK: opening a FIFO that nobody writes to would hang. O_BINARY is Windows' own.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_WEB = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_HIDDEN = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)  # in a URL: passwords, and the signature of a signed one
_SHOWN = 60
_SIGNED = ("image/png", "image/jpeg", "image/gif", "image/webp")
# Python 3.11 itself knows none of them, and not every machine has a mime.types.
_DOCUMENTS = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".md": "text/markdown",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Part:
    """One content part, read-only; two are equal when the wire can't tell them apart.

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

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] - what is sent is a dict

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
        _check_media_type(source, media_type)
        if file_id is not None or source is None:
            where = {"file_id": _checked_id("Image", source, file_id)}
        elif isinstance(source, str):
            where = {"image_url": _checked_url("Image", source, max_bytes)}
            media_type = _type_of(source)
        else:
            data, name = _load("Image", source, max_bytes)
            media_type = media_type or _signature(data) or _other_image(name)
            where = {"image_url": _data_url(media_type, data)}
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
        _check_media_type(source, media_type)
        if file_id is not None or source is None:
            where = {"file_id": _checked_id("File", source, file_id)}
        elif isinstance(source, str):
            url = _checked_url("File", source, max_bytes)
            media_type = _type_of(url)
            where = {"file_url": url} if media_type is None else {"file_data": url}
        else:
            data, name = _load("File", source, max_bytes)
            filename = filename or name
            media_type = media_type or _document_type(data, filename)
            where = {"file_data": _data_url(media_type, data)}
        if "file_data" in where:
            filename = filename or f"file{_suffix_for(media_type)}"
        given = {"filename": filename, **where, "detail": detail}
        kept = {name: value for name, value in given.items() if value}
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
        self,
        source: bytes | os.PathLike[str],
        *,
        format: Literal["wav", "mp3"] | str | None = None,  # noqa: A002 - the wire's own word
        max_bytes: int = MAX_BYTES,
    ) -> None:
        data, name = _load("Audio", source, max_bytes)
        kind = format or _audio_format(data, name)
        encoded = base64.b64encode(data).decode("ascii")
        super().__init__({"type": "input_audio", "input_audio": {"data": encoded, "format": kind}})

    def __repr__(self) -> str:
        """Show the format and the size."""
        audio = self._raw["input_audio"]
        return f"Audio(<{audio['format']}, {_decoded_size(audio['data'])} bytes>)"


Input = str | Sequence[Item | Part | Mapping[str, Any] | str]
"""What a request or a run takes: a text, or items, parts and texts."""


def input_items(given: Input) -> list[Item]:
    """Make items of what the user gives. Nothing that is given is changed.

    Args:
        given: A text is one message of the user. In a list, neighbouring parts and texts make one message of the user
            together; items (dicts or views) are kept, and parts and texts inside a message are written out.

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


def _from_user(content: object) -> Item:
    return Message({"type": "message", "role": "user", "content": content})


def _as_part(entry: object) -> dict[str, Any] | None:
    if isinstance(entry, str):
        return {"type": "input_text", "text": entry}
    if isinstance(entry, Part):
        return entry.raw
    # No item's type begins like that, and every content part's does that a user may send.
    if isinstance(entry, Mapping) and as_str(entry.get("type")).startswith("input_"):  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        return dict(entry)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return None


def _as_item(entry: object) -> Item:
    if isinstance(entry, Item):
        raw = _written_out(entry.raw)
        return entry if raw is entry.raw else item_view(raw)
    if isinstance(entry, Mapping):
        return item_view(_written_out(dict(entry)))  # pyright: ignore[reportUnknownArgumentType]
    raise _bad_input(entry)


def _written_out(raw: dict[str, Any]) -> dict[str, Any]:
    key = "output" if as_str(raw.get("type")).endswith("_call_output") else "content"
    content: Any = raw.get(key)
    parts: Sequence[Any] = [content] if isinstance(content, Part) else content
    if not isinstance(parts, (list, tuple)) or not any(isinstance(part, (str, Part)) for part in parts):
        return raw
    written = [part.raw if isinstance(part, Part) else part for part in parts]
    # What the model said goes back as output_text: OpenAI refuses input_text in its messages.
    said: dict[str, Any] = {"type": "input_text"}
    if raw.get("role") == "assistant":
        said = {"type": "output_text", "annotations": []}
    return {**raw, key: [{**said, "text": part} if isinstance(part, str) else part for part in written]}


def _bad_input(given: object) -> UsageError:
    return UsageError(f"input must be a text or a list of items (dicts), not {type(given).__name__}")


def brief(value: object) -> str:
    """Show a value of the wire in a few words: data as type and size, a URL without its secrets, a long text cut."""
    if not isinstance(value, str):
        return repr(value)
    head, comma, payload = value.partition(",")
    if comma and head[:5].lower() == "data:":
        return f"<{_type_of(value) or 'data'}, {_decoded_size(payload)} bytes>"
    if _WEB.match(value):
        value = _HIDDEN.sub("…", value)
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")


def _breakpoint(wanted: CacheBreakpoint) -> dict[str, Any]:
    if not wanted:
        return {}
    return {"prompt_cache_breakpoint": {"mode": "explicit", **({} if wanted is True else {"ttl": wanted})}}


def _check_media_type(source: object, media_type: str | None) -> None:
    if media_type is not None and (source is None or isinstance(source, str)):
        raise UsageError("media_type goes with bytes or a path only; leave it out: a URL or a file_id has its own")
    if media_type is not None and not _MEDIA_TYPE.fullmatch(media_type):
        raise UsageError(f"media_type must be like 'image/png', but is {media_type!r}")


def _checked_id(kind: str, source: object, file_id: str | None) -> str:
    if source is not None:
        raise UsageError(f"{kind} takes a source or a file_id, not both; leave one of them out")
    if not file_id:
        raise UsageError(f"{kind} needs a source: a URL as str, a pathlib.Path, or bytes; or file_id='file-…'")
    return file_id


def _checked_url(kind: str, url: str, max_bytes: int) -> str:
    head, comma, payload = url.partition(",")
    if comma and head[:5].lower() == "data:":
        _check_size(f"the data URL of {kind}(…)", _decoded_size(payload), max_bytes)
    elif not _WEB.match(url):
        raise UsageError(
            f"{kind}({brief(url)}): that is no http, https or data URL. For a local file pass a pathlib.Path: "
            f"{kind}(Path(…)). A plain string is never read as a path, for it may come from someone you don't trust."
        )
    return url


def _load(kind: str, source: object, max_bytes: int) -> tuple[bytes, str | None]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        _check_size(f"what is given to {kind}(…)", len(data), max_bytes)
        return data, None
    if not isinstance(source, os.PathLike):
        takes = "a pathlib.Path or bytes" if kind == "Audio" else "a URL as str, a pathlib.Path, or bytes"
        raise UsageError(f"{kind} takes {takes}, not {type(source).__name__}; of an open file, pass what read() gives")
    path = os.fsdecode(source)  # pyright: ignore[reportUnknownArgumentType]
    data = _read(path, max_bytes)
    _check_size(path, len(data), max_bytes)
    return data, os.path.basename(path)  # noqa: PTH119 - a PathLike need not be a Path


def _read(path: str, max_bytes: int) -> bytes:
    """Read up to one byte more than allowed: what grows meanwhile, or says it has no size, stays bounded too."""
    data = bytearray()
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            mode = os.fstat(descriptor).st_mode
            while stat.S_ISREG(mode) and (chunk := os.read(descriptor, min(_CHUNK, max_bytes + 1 - len(data)))):
                data += chunk
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path!r}; check the path. A URL is passed as str, not as Path.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path!r} can't be read ({reason}); check its permissions, or pass the bytes") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path!r} is a folder; pass one of its files")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path!r} is a pipe or a device, no regular file; read it yourself and pass the bytes")
    return bytes(data)


def _check_size(what: str, size: int, max_bytes: int) -> None:
    if not size:
        raise UsageError(f"{what} is empty; check where it comes from")
    if size > max_bytes:
        raise UsageError(
            f"{what} has more than {max_bytes} bytes; make it smaller, upload it and pass its file_id or URL, or raise "
            "max_bytes if your provider takes more"
        )


def _signature(data: bytes) -> str | None:
    for start, media_type in ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg")):
        if data.startswith(start):
            return media_type
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _other_image(name: str | None) -> str:
    media_type = _by_name(name)
    # A file that is named like one of these but doesn't begin like one is broken, or something else renamed.
    if media_type is None or media_type in _SIGNED or not media_type.startswith("image/"):
        raise UsageError(
            f"{name or 'what is given'} doesn't begin like a PNG, JPEG, GIF or WebP image: it is broken or something "
            "else. Pass media_type='image/…' for another kind of image, or File(…) for a document."
        )
    return media_type


def _document_type(data: bytes, name: str | None) -> str:
    media_type = "application/pdf" if data.startswith(b"%PDF-") else _by_name(name) or _signature(data)
    if media_type is None and b"\0" not in data:
        try:
            data.decode()
        except UnicodeDecodeError:
            pass
        else:
            return "text/plain"
    if media_type is None:
        raise UsageError(f"the type of {name or 'the file'} can't be told; pass media_type='…/…', or a filename")
    return media_type


def _audio_format(data: bytes, name: str | None) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    # An ID3 tag, or a frame of MPEG layer III: 11 bits of sync, 2 of version, 01 for the layer.
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] and data[1] & 0xE6 == 0xE2):  # noqa: PLR2004
        return "mp3"
    raise UsageError(
        f"{name or 'what is given'} doesn't begin like WAV or MP3; convert it, or pass format='…' if your provider "
        "takes another one"
    )


def _by_name(name: str | None) -> str | None:
    suffix = os.path.splitext(name or "")[1].lower()  # noqa: PTH122 - only the name
    if suffix in _DOCUMENTS:
        return _DOCUMENTS[suffix]
    import mimetypes  # noqa: PLC0415 - it reads the machine's tables

    media_type, encoding = mimetypes.guess_type(f"x{suffix}")
    return None if encoding else media_type


def _suffix_for(media_type: str | None) -> str:
    import mimetypes  # noqa: PLC0415 - it reads the machine's tables

    return mimetypes.guess_extension(media_type or "") or ""


def _type_of(url: str) -> str | None:
    """The media type of a data URL, ``text/plain`` where it names none (RFC 2397); None for other URLs."""
    if url[:5].lower() != "data:":
        return None
    return re.split("[;,]", url[5:], maxsplit=1)[0].lower() or "text/plain"


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _decoded_size(payload: str) -> int:
    return len(payload) * 3 // 4 - payload[-2:].count("=")
