"""Results of an MCP server made fit for the SDK, which gives up a whole list for one entry that it can't take.

Pure. What fits passes as it is; of an entry that doesn't, the fields that do are kept, or it is left out and told.
Which revision a result is held against: mcp_types 2.3, which knows one form for all with a handshake, and one without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from mcp_types.methods import parse_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from pydantic import ValidationError

from agentrt.wire.json import as_dict, as_list, as_str, dump, is_dict, is_list
from agentrt.wire.text import unmistakable

__all__ = ["mended"]

Tell = Callable[[str], None]
Entry = dict[str, Any]

_MAX_ENTRIES = 10_000
_MAX_TOOLS = 100_000
_MAX_TOOL_BYTES = 256 * 1024
_MAX_DEPTH = 64
_MAX_NAME = 512
_SHOWN = 10_000

_LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
    "resources/read": "contents",
}
_ENTRIES = {**_LISTS, "prompts/get": "messages", "tools/call": "content"}
_NEEDED = {
    "tools/list": ("name", "inputSchema"),
    "resources/list": ("name", "uri"),
    "resources/templates/list": ("name", "uriTemplate"),
    "prompts/list": ("name",),
    "resources/read": ("uri", "text", "blob"),
}
_BLOCKS = {
    "text": ("type", "text"),
    "image": ("type", "data", "mimeType"),
    "audio": ("type", "data", "mimeType"),
    "resource_link": ("type", "uri", "name"),
    "resource": ("type", "resource"),
}
_EXTRAS = ("title", "description", "mimeType", "size", "arguments", "annotations", "icons", "execution", "_meta")
_OF_A_RESULT = ("nextCursor", "description", "isError", "structuredContent", "_meta", "ttlMs", "cacheScope")


def mended(method: str, result: Entry, tools: MutableMapping[str, Entry], tell: Tell, *, modern: bool) -> Entry:
    """Give a result that the SDK takes.

    Args:
        method: What was asked.
        result: What came; it is not changed.
        tools: Takes the tools of a list as they came, by name.
        tell: Is told what was left out or changed, in a sentence.
        modern: Whether the request was one of the revision without a handshake.
    """
    key = _ENTRIES.get(method)
    if key is None or result.get("resultType", "complete") != "complete":
        return result  # not one of these, or not the end yet, or an extension's
    if method == "tools/call" and _is_plain(result, modern=modern):
        return result
    entries = _entries_of(method, key, result, tell)
    if method == "tools/list":
        page: dict[str, Entry] = {}
        entries = [tool for entry in entries if (tool := _tool(entry, page, tell)) is not None]
        if len(tools) < _MAX_TOOLS:
            tools.update(page)
    defaults: Entry = {"resultType": "complete"} if modern else {}
    if modern and method in _LISTS:
        defaults |= {"ttlMs": 0, "cacheScope": "private"}
    whole = {**defaults, **result, key: entries}
    if _fits(method, whole, modern):
        return whole

    def fits(entry: object) -> bool:
        return _fits(method, {**defaults, key: [entry]}, modern)

    whole = {**defaults, key: _kept(method, entries, fits, tell)}
    for name in _OF_A_RESULT:
        if name in result and _fits(method, {**whole, name: result[name]}, modern):
            whole[name] = result[name]
    return whole


def _kept(method: str, entries: list[Any], fits: Callable[[object], bool], tell: Tell) -> list[Any]:
    kept: list[Any] = []
    for entry in entries:
        best = entry if fits(entry) else _mended_entry(method, entry, fits)
        if best is not entry:
            tell(f"an entry of {method} was {'left out' if best is None else 'changed'}: {_shown(entry, 200)}")
        if best is not None:
            kept.append(best)
    return kept


def _is_plain(result: Entry, *, modern: bool) -> bool:
    """Tell at little cost whether the result of a call is one that surely fits: texts and structured content only."""
    if not (
        result.keys() <= {"content", "isError", "structuredContent", "resultType"} and is_list(result.get("content"))
    ):
        return False
    if type(result.get("isError", False)) is not bool or (modern and "resultType" not in result):
        return False
    structured = result.get("structuredContent")
    if not (structured is None or modern or is_dict(structured)):
        return False
    return all(
        is_dict(block) and len(block) == 2 and block.get("type") == "text" and type(block.get("text")) is str  # noqa: PLR2004 - just these two
        for block in result["content"]
    )


def _entries_of(method: str, key: str, result: Entry, tell: Tell) -> list[Any]:
    entries = as_list(result.get(key))
    if not is_list(result.get(key)):
        tell(f"{method} came without a list of {key}")
    if len(entries) > _MAX_ENTRIES:
        tell(f"{method} has {len(entries)} entries on one page; the first {_MAX_ENTRIES} were taken")
    return entries[:_MAX_ENTRIES]


def _fits(method: str, result: Mapping[str, Any], modern: bool) -> bool:  # noqa: FBT001 - private
    try:
        parse_server_result(method, LATEST_MODERN_VERSION if modern else LATEST_HANDSHAKE_VERSION, result)
    except (ValidationError, ValueError, RecursionError):
        return False
    return True


def _tool(entry: object, tools: MutableMapping[str, Entry], tell: Tell) -> Entry | None:
    """Give a tool as the SDK takes it; its output is not for the SDK to check, who would fail the call."""
    if not is_dict(entry) or not 0 < len(as_str(entry.get("name"))) <= _MAX_NAME:
        tell(f"a tool without a usable name was left out: {_shown(entry, 200)}")
        return None
    name = entry["name"]
    if name in tools:
        tell(f"the tool {_quoted(name)} came twice; the first was taken")
        return None
    if _is_too_big(entry):
        tell(f"the tool {_quoted(name)} was left out: it has over {_MAX_TOOL_BYTES} bytes or {_MAX_DEPTH} levels")
        return None
    tools[name] = entry
    tool = {key: value for key, value in entry.items() if key != "outputSchema"}
    if not is_dict(entry.get("outputSchema", {})):
        tell(f"the tool {_quoted(name)} has an outputSchema that is no object; it was left out")
    schema = entry.get("inputSchema")
    if not is_dict(schema) or schema.get("type") != "object":
        tell(f"the tool {_quoted(name)} has an inputSchema that is no object's; it was taken as one")
        tool["inputSchema"] = {**as_dict(schema), "type": "object"}
    return tool


def _mended_entry(method: str, entry: object, fits: Callable[[object], bool]) -> Entry | None:
    if method == "tools/call":
        return _block(entry, fits)
    if not is_dict(entry):
        return None
    if method == "prompts/get":
        content = _block(entry.get("content"), lambda block: fits({"role": entry.get("role"), "content": block}))
        message = {"role": entry.get("role"), "content": content}
        return message if fits(message) else None
    base = {name: entry[name] for name in _NEEDED[method] if name in entry}
    if method == "tools/list" and not fits(base):
        base["inputSchema"] = {"type": "object"}
    return _with_extras(base, entry, fits) if fits(base) else None


def _block(block: object, fits: Callable[[object], bool]) -> Entry:
    """Give a block of content as far as it fits, else a text that shows it."""
    if is_dict(block):
        base = {name: block[name] for name in _BLOCKS.get(as_str(block.get("type")), ()) if name in block}
        if base and fits(base):
            return _with_extras(base, block, fits)
    return {"type": "text", "text": _shown(block, _SHOWN)}


def _with_extras(base: Entry, entry: Entry, fits: Callable[[object], bool]) -> Entry:
    for name in _EXTRAS:
        if name in entry and fits({**base, name: entry[name]}):
            base[name] = entry[name]
    return base


def _is_too_big(entry: Entry) -> bool:
    try:
        if len(dump(entry)) > _MAX_TOOL_BYTES:
            return True
    except (ValueError, RecursionError):
        return True
    level: list[Any] = [entry]
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in (outer.values() if is_dict(outer) else as_list(outer))]
        if not level:
            return False
    return True


def _quoted(name: str) -> str:
    return f"'{unmistakable(name[:100])}'"


def _shown(value: object, length: int) -> str:
    try:
        text = dump(value).decode()
    except (ValueError, RecursionError):
        text = f"({type(value).__name__})"
    return text if len(text) <= length else f"{text[:length]}… [{len(text) - length} more characters]"
