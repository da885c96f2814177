"""Finds the tools that the command line names: ``module:function``, ``path/to/file.py:function``, ``module``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from agentrt import Registry, Tool, UsageError

__all__ = ["load_served", "load_tool", "load_tools"]


def load_tool(spec: str) -> Tool[..., Any] | Registry:
    """Import the tool that ``spec`` names; modules in the current folder are found too.

    Raises:
        UsageError: There is no such module or name, or what it names can't be a tool.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise UsageError(f"--tool {spec!r}: write module:function, or path/to/file.py:function")
    found = _named(_load(place), name, spec)
    if isinstance(found, (Tool, Registry)):
        return found  # pyright: ignore[reportUnknownVariableType]
    if not callable(found):
        raise UsageError(f"{spec!r}: {name!r} is a {type(found).__name__}, which can't be called; name a function")
    return Tool(found)


def load_tools(spec: str) -> list[Tool[..., Any]]:
    """Import the tools that ``spec`` means: one that it names, or all of a module.

    All of a module are its tools and registries, or, where it has none, its public functions.

    Raises:
        UsageError: There is no such module or name, or nothing in it that can be a tool.
    """
    place, _, name = spec.rpartition(":")
    if place and name and not name.startswith(("/", "\\")):
        found = load_tool(spec)
        return list(found) if isinstance(found, Registry) else [found]
    module = _load(spec)
    values = [value for key, value in vars(module).items() if not key.startswith("_")]
    tools: dict[int, Tool[..., Any]] = {}
    for value in values:
        if isinstance(value, (Tool, Registry)):
            entries = list(value) if isinstance(value, Registry) else [cast("Tool[..., Any]", value)]
            tools.update((id(entry), entry) for entry in entries)
    if not tools:
        own = [value for value in values if inspect.isroutine(value) and _is_of(value, module)]
        tools = {id(value): Tool(value) for value in own}
    if not tools:
        raise UsageError(f"{spec!r} has no tools and no public functions of its own; name one: {spec}:function")
    return list(tools.values())


def load_served(spec: str) -> Any:
    """Import what is to be served: an agent, a registry or a tool that is named, or all tools of a module.

    Raises:
        UsageError: There is no such module or name.
    """
    place, _, name = spec.rpartition(":")
    if place and name and not name.startswith(("/", "\\")):
        found = _named(_load(place), name, spec)
        if not callable(found) or hasattr(found, "as_tool"):
            return found
    return load_tools(spec)


def _is_of(value: Any, module: ModuleType) -> bool:
    return getattr(value, "__module__", None) in (module.__name__, None, f"_{module.__name__}")


def _load(place: str) -> ModuleType:
    return _load_file(place) if place.endswith(".py") else _load_module(place)


def _named(module: ModuleType, name: str, spec: str) -> Any:
    found: Any = module
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        public.sort(key=lambda key: not _is_of(vars(module)[key], module))
        raise UsageError(f"{spec!r}: {module.__name__} has no {name!r}; it has {', '.join(public[:20])}") from error
    return found


def _load_module(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        there = error.name != name.partition(".")[0]
        mend = "install what it needs, or correct its imports" if there else "run this from its folder"
        raise UsageError(f"the module {name!r} can't be imported: {error}; {mend}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"importing {name!r} failed: {type(error).__name__}: {error}") from error


def _load_file(path: str) -> ModuleType:
    file = Path(path)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"there is no Python file {path!r}")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(file.stem)
    sys.modules[file.stem] = module  # dataclasses look their module up
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[file.stem]
        if before is not None:
            sys.modules[file.stem] = before
        raise UsageError(f"importing {path!r} failed: {type(error).__name__}: {error}") from error
    return module
