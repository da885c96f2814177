"""What a part is made from: local files and bytes, read bounded and at once, and what kind of thing they are.

The only place of the wire that reads a file. A plain string is never taken for a path, so that an untrusted string
never becomes the reading of a file.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from pathlib import Path
from typing import Any

from agentrt.errors import UsageError

__all__ = [
    "MAX_BYTES",
    "as_base64",
    "audio_format",
    "check_media_type",
    "checked_id",
    "checked_url",
    "data_url",
    "decoded_size",
    "document_type",
    "image_type",
    "is_web_url",
    "load",
    "suffix_for",
    "type_of",
]

MAX_BYTES = 32 * 1024 * 1024
"""What a part may hold. Anthropic takes requests of 32 MB, and OpenAI took documents of 32 MB before it raised that to
50 MB; base64 adds a third. A provider with a smaller limit says so itself."""

_CHUNK = 1024 * 1024
# O_NONBLOCK: opening a FIFO that nobody writes to would hang. O_BINARY is Windows' own.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_SIGNED = ("image/png", "image/jpeg", "image/gif", "image/webp")
# Python 3.11 itself knows none of them, and not every machine has a mime.types.
_DOCUMENTS = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".md": "text/markdown",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def check_media_type(source: object, media_type: str | None) -> None:
    """Refuse a media type that is none, or that nothing would use."""
    if media_type is None:
        return
    if source is None or isinstance(source, str):
        raise UsageError("media_type goes with bytes or a path only; leave it out: a URL or a file_id has its own")
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", media_type):
        raise UsageError(f"media_type must be like 'image/png', but is {media_type!r}")


def checked_id(kind: str, source: object, file_id: str | None) -> str:
    """Give the file's id; raises UsageError where there is none, or a source beside it."""
    if source is not None:
        raise UsageError(f"{kind} takes a source or a file_id, not both; leave one of them out")
    if not file_id:
        raise UsageError(f"{kind} needs a source: a URL as str, a pathlib.Path, or bytes; or file_id='file-…'")
    return file_id


def checked_url(kind: str, url: str, max_bytes: int) -> str:
    """Give the URL; raises UsageError where it is none, or holds too much or nothing."""
    head, comma, payload = url.partition(",")
    if comma and _is_data(head):
        _check_size(f"the data URL of {kind}(…)", decoded_size(payload), max_bytes)
    elif not is_web_url(url):
        raise UsageError(
            f"{kind}({url[:40]!r}): that is no http, https or data URL. For a local file pass a pathlib.Path: "
            f"{kind}(Path(…)). A plain string is never read as a path, for it may come from someone you don't trust."
        )
    return url


def load(kind: str, source: object, max_bytes: int) -> tuple[bytes, str | None]:
    """Give the bytes of a local file or of what is bytes already, and the file's name.

    Raises:
        UsageError: It can't be read, is no regular file, too big, or empty; or it is something else altogether.
    """
    if isinstance(source, (bytes, bytearray)):
        _check_size(f"what is given to {kind}(…)", len(source), max_bytes)
        return bytes(source), None
    if not isinstance(source, os.PathLike):
        takes = "a pathlib.Path or bytes" if kind == "Audio" else "a URL as str, a pathlib.Path, or bytes"
        raise UsageError(f"{kind} takes {takes}, not {type(source).__name__}; of an open file, pass what read() gives")
    path: str = os.fsdecode(source)  # pyright: ignore[reportUnknownArgumentType]
    data = _read(path, max_bytes)
    _check_size(repr(path), len(data), max_bytes)
    return data, Path(path).name


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
        reason: Any = getattr(error, "strerror", None) or error
        raise UsageError(f"{path!r} can't be read ({reason}); check the path and its permissions") from error
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


def image_type(data: bytes, name: str | None) -> str:
    """Tell the media type of an image by its first bytes; of other than PNG, JPEG, GIF and WebP by the name.

    Raises:
        UsageError: It is no image, or can't be told.
    """
    media_type = _signature(data)
    if media_type is not None:
        return media_type
    media_type = _by_name(name)
    # A file that is named like one of the four but doesn't begin like one is broken, or something else renamed.
    if media_type is None or media_type in _SIGNED or not media_type.startswith("image/"):
        raise UsageError(
            f"{name or 'what is given'} doesn't begin like a PNG, JPEG, GIF or WebP image: it is broken or something "
            "else. Pass media_type='image/…' for another kind of image, or File(…) for a document."
        )
    return media_type


def document_type(data: bytes, name: str | None) -> str:
    """Tell the media type of a document: PDF by its first bytes, others by the name, then what is text at all.

    Raises:
        UsageError: It can't be told.
    """
    media_type = "application/pdf" if data.startswith(b"%PDF-") else _by_name(name) or _signature(data)
    if media_type is None and _is_text(data):
        return "text/plain"
    if media_type is None:
        raise UsageError(f"the type of {name or 'the file'} can't be told; pass media_type='…/…', or a filename")
    return media_type


def audio_format(data: bytes, name: str | None) -> str:
    """Tell ``wav`` or ``mp3`` by the first bytes; raises UsageError for others."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    # An ID3 tag, or a frame of MPEG layer III: 11 bits of sync, 2 of version, 01 for the layer, 1 of protection.
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] and data[1] & 0xE6 == 0xE2):  # noqa: PLR2004
        return "mp3"
    raise UsageError(
        f"{name or 'what is given'} doesn't begin like WAV or MP3; convert it, or pass format='…' if your provider "
        "takes another one"
    )


def _signature(data: bytes) -> str | None:
    for start, media_type in (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
    ):
        if data.startswith(start):
            return media_type
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _by_name(name: str | None) -> str | None:
    suffix = Path(name or "").suffix.lower()
    if suffix in _DOCUMENTS:
        return _DOCUMENTS[suffix]
    import mimetypes  # noqa: PLC0415 - it reads the machine's tables

    media_type, encoding = mimetypes.guess_type(f"x{suffix}")
    return None if encoding else media_type


def suffix_for(media_type: str | None) -> str:
    """Give the usual end of a file's name for a media type, with its dot; empty where there is none."""
    import mimetypes  # noqa: PLC0415 - it reads the machine's tables

    return mimetypes.guess_extension(media_type or "") or ""


def type_of(url: str) -> str | None:
    """Give the media type of a data URL, ``text/plain`` where it names none (RFC 2397); None for other URLs."""
    return (re.split("[;,]", url[5:], maxsplit=1)[0].lower() or "text/plain") if _is_data(url) else None


def data_url(media_type: str, data: bytes) -> str:
    """Make a data URL."""
    return f"data:{media_type};base64,{as_base64(data)}"


def as_base64(data: bytes) -> str:
    """Encode bytes."""
    return base64.b64encode(data).decode("ascii")


def decoded_size(payload: str) -> int:
    """Give the number of bytes behind base64, without decoding it."""
    return len(payload) * 3 // 4 - payload[-2:].count("=")


def is_web_url(url: str) -> bool:
    """Tell whether it is a URL that the provider can fetch."""
    return re.match(r"(?i)https?://[^\s/?#]", url) is not None


def _is_data(url: str) -> bool:
    return url[:5].lower() == "data:"
