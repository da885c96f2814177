"""Reads what stands below an attribute in a class: a text by itself, as Sphinx and pydantic take it for its docstring.

Python keeps no such text, so the source is read: each file once, however many classes of it are asked for.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import sys
from collections.abc import Iterator, Mapping

__all__ = ["attribute_docs"]

_KEPT = 64


def attribute_docs(cls: type) -> dict[str, str]:
    """Give the docstrings of a class's attributes by name, inherited ones included; empty where no source is at hand.

    Precedent: Sphinx's ``autoattribute``, pydantic's ``use_attribute_docstrings``; PEP 224 (rejected) had the form.
    """
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ not in ("builtins", "pydantic.main", "typing"):
            docs.update(_of_file(_file_of(base)).get(base.__qualname__, {}))
    return docs


def _file_of(cls: type) -> str:
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) or ""


@functools.lru_cache(maxsize=_KEPT)
def _of_file(path: str) -> Mapping[str, Mapping[str, str]]:
    """Read all classes of a file: their attributes' docstrings, by the class's qualified name."""
    lines = linecache.getlines(path) if path else []
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return {}
    return {name: docs for name, node in _classes(tree, "") if (docs := _of_class(node))}


def _classes(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from _classes(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _classes(child, f"{prefix}{child.name}.<locals>.")
        elif isinstance(child, ast.stmt):
            yield from _classes(child, prefix)


def _of_class(node: ast.ClassDef) -> dict[str, str]:
    docs: dict[str, str] = {}
    for one, other in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(other, ast.Expr)
            and isinstance(other.value, ast.Constant)
            and isinstance(other.value.value, str)
        ):
            docs[one.target.id] = " ".join(inspect.cleandoc(other.value.value).split())
    return docs
