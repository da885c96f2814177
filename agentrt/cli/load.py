"""Finds a tool that the command line names as ``module:function`` or ``path/to/file.py:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from agentrt import Registry, Tool, UsageError

__all__ = ["load_tool"]


def load_tool(spec: str) -> Tool[..., Any] | Registry:
    """Import the tool that ``spec`` names; modules in the current folder are found too.

    Raises:
        UsageError: There is no such module or name, or what it names can't be a tool.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise UsageError(f"--tool {spec!r}: write module:function, or path/to/file.py:function")
    module = _load_file(place) if place.endswith(".py") else _load_module(place)
    try:
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UsageError(f"--tool {spec!r}: {place} has no {name!r}; it has {', '.join(public[:20])}") from error
    if isinstance(found, (Tool, Registry)):
        return found  # pyright: ignore[reportUnknownVariableType]
    if not callable(found):
        raise UsageError(
            f"--tool {spec!r}: {name!r} is a {type(found).__name__}, which can't be called; name a function"
        )
    return Tool(found)


def _load_module(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"the module {name!r} can't be imported: {error}; run this from its folder") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"importing {name!r} failed: {type(error).__name__}: {error}") from error


def _load_file(path: str) -> ModuleType:
    file = Path(path)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"there is no Python file {path!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses look their module up
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[file.stem]
        raise UsageError(f"importing {path!r} failed: {type(error).__name__}: {error}") from error
    return module
