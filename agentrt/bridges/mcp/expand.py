"""What stands for something else in a configuration, such as ``${VAR}``, ``${input:id}`` and ``~``.

A text is read once: what a variable holds is never looked into. Whoever sets a variable or writes a file that is read
here can't make it stand for another one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentrt.wire.text import unmistakable

__all__ = ["Flaw", "Inputs", "Scope", "dotenv", "read_bounded"]

Inputs = Mapping[str, str] | Callable[[dict[str, Any]], str | None]

_MARK = re.compile(r"\$\{([^{}]*)\}|\{env:([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTENV = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[^\s=\#'"]+)\s*=
    (?:\s*(?:'(?P<plain>[^']*)'|"(?P<quoted>(?:[^"\\]|\\.)*)")\s*(?:\#.*)? | (?!\s*['"])(?P<bare>.*))""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_FORMS = (
    "${NAME}, ${NAME:-default}, ${env:NAME}, ${input:id}, ${file:path}, ${userHome}, ${workspaceFolder}, "
    "${workspaceFolderBasename}, ${pathSeparator}"
)
_MAX_FILE = 64 * 1024
_SHOWN = 200


class Flaw(Exception):  # noqa: N818 - it ends as a sentence about a server, not as an error
    """Why a server can't be used, in a sentence that shows no value.

    Args:
        what: The sentence.
        at: Where in the entry, such as ``.env.TOKEN``.
    """

    def __init__(self, what: str, at: str = "") -> None:
        super().__init__(what)
        self.at = at


class Scope:
    """What the texts of one configuration may stand for.

    Args:
        environ: The environment variables.
        base: The folder that ``${file:…}`` starts from: the configuration's own.
        folder: The folder of the project.
        asked: The definitions of ``inputs``, by id.
        inputs: Gives the values of inputs: by id, or a function of an input's definition.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        base: Path,
        folder: Path,
        asked: Mapping[str, dict[str, Any]],
        inputs: Inputs | None,
    ) -> None:
        self.folder = folder
        self._environ = environ
        self._base = base
        self._asked = asked
        self._inputs = inputs
        self._answers: dict[str, str] = {}

    def expand(self, text: str, *, home: bool = False) -> str:
        """Put in what a text stands for.

        Args:
            text: The text as written.
            home: Whether a leading ``~`` is the user's home.

        Raises:
            Flaw: It stands for something that isn't there, or can't be handed to a server.
        """
        if "${" in _MARK.sub("", text):
            raise Flaw("a ${ has no } of its own; a ${…} within a ${…} is not read: write them one after the other")
        expanded = _MARK.sub(self._meaning, text)
        if home and (text == "~" or text.startswith(("~/", "~\\"))):
            expanded = self._home() + expanded[1:]
        if "\0" in expanded:
            raise Flaw("holds a NUL character, which no program takes; remove it")
        return expanded

    def _meaning(self, mark: re.Match[str]) -> str:
        if mark[2] is not None:
            return self._variable(mark[2])
        match mark[1].partition(":"):
            case "env", ":", rest:
                meaning = self._variable(*_with_default(rest))
            case "input", ":", rest:
                meaning = self._input(rest)
            case "file", ":", rest:
                meaning = self._file(rest)
            case "userHome", "", _:
                meaning = self._home()
            case "workspaceFolder", "", _:
                meaning = str(self.folder)
            case "workspaceFolderBasename", "", _:
                meaning = self.folder.name
            case "pathSeparator" | "/", "", _:
                meaning = os.sep
            case _:
                name, default = _with_default(mark[1])
                if not _NAME.fullmatch(name):
                    raise Flaw(f"{_shown(mark[0])} is not known; there are {_FORMS}")
                meaning = self._variable(name, default)
        return meaning

    def _variable(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(name)
        if value is None or (value == "" and default is not None):
            if default is None:
                shown = _shown(name)
                raise Flaw(f"the environment variable {shown} is not set; set it, or write ${{{shown}:-default}}")
            return default
        return value

    def _input(self, key: str) -> str:
        if key not in self._answers:
            definition = {"type": "promptString", **self._asked.get(key, {}), "id": key}
            given = self._inputs(definition) if callable(self._inputs) else (self._inputs or {}).get(key)
            given = definition.get("default") if given is None else given
            if not isinstance(given, str):
                shown = _shown(key)
                raise Flaw(f"the input {shown} has no value; pass inputs={{{shown!r}: …}}, or give it a default")
            self._answers[key] = given
        return self._answers[key]

    def _file(self, name: str) -> str:
        path = self._base / (self._home() + name[1:] if name.startswith("~/") else name)
        return read_bounded(path, _MAX_FILE, name).rstrip("\r\n")

    def _home(self) -> str:
        try:
            return self._environ.get("USERPROFILE" if sys.platform == "win32" else "HOME") or str(Path.home())
        except RuntimeError:
            raise Flaw("the user's home is not known; set HOME, or write the whole path") from None


def _with_default(text: str) -> tuple[str, str | None]:
    name, mark, default = text.partition(":-")
    return name, default if mark else None


def read_bounded(path: Path, most: int, name: str) -> str:
    """Read a text file.

    Args:
        path: The file.
        most: Bytes that it may have.
        name: What it is called in an error.

    Raises:
        Flaw: It is no file, too big, no UTF-8, or can't be read.
    """
    shown = _shown(name)
    try:
        if path.exists() and not path.is_file():
            raise Flaw(f"{shown} is no file; name one")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise Flaw(f"there is no file {shown}; create it, or correct the path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or "that is no path"
        raise Flaw(f"{shown} can't be read ({reason}); correct the path or the file's rights") from None
    if len(content) > most:
        raise Flaw(f"{shown} is bigger than {most} bytes; it must be another file that is meant")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Flaw(f"{shown} is no UTF-8 text (byte {error.start}); save it as UTF-8") from None


def dotenv(text: str) -> dict[str, str]:
    r"""Read the lines of a ``.env`` file: ``NAME=value``, ``NAME='as it is'``, ``NAME="with \n"``, comments.

    ``export`` before a name is allowed. Nothing in it is expanded.

    Args:
        text: The file.

    Raises:
        Flaw: A line is none of these; it is named by its number, not shown.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _DOTENV.fullmatch(line)
        if match is None:
            raise Flaw(f"line {number} of the file is not like NAME=value; correct it")
        if match["quoted"] is not None:
            value = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), match["quoted"])
        elif match["plain"] is not None:
            value = match["plain"]
        else:
            value = re.split(r"\s#", match["bare"])[0].strip()
        variables[match["name"]] = value
    return variables


def _shown(text: str) -> str:
    shown = unmistakable(text[:_SHOWN])
    return shown if len(text) <= _SHOWN else f"{shown}…"
