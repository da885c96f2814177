"""Declarations of the tools that the provider runs: ``Agent(tools=[builtin.WebSearch(), my_function])``.

Each class has the fields of the wire by their own names (openai 3.54's types), and only what is set is sent. Beside
them stands what the results need: an agent adds a tool's `BuiltinTool.include` to the request. What is refused here is
an error for every provider; all else is left to yours.

A tool that is newer than agentrt goes into ``tools`` as a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeGuard

from agentrt.errors import UsageError
from agentrt.wire.json import is_dict
from agentrt.wire.parts import Image, brief

if TYPE_CHECKING:
    from agentrt.wire import params
    from agentrt.wire.params import hosted_tools

__all__ = [
    "BuiltinTool",
    "CodeInterpreter",
    "FileSearch",
    "HostedMCP",
    "ImageGeneration",
    "WebSearch",
    "WebSearchPreview",
]

_SECRETS = frozenset({"authorization", "headers", "domain_secrets"})
_MAX_RESULTS, _MAX_PARTIAL_IMAGES, _MAX_COMPRESSION = 50, 3, 100  # openai 3.54's types


@dataclass(frozen=True, repr=False)
class BuiltinTool:
    """What all of them have in common."""

    type: str
    """The tool's type, as the wire has it."""
    _not_sent: ClassVar[frozenset[str]] = frozenset()

    def definition(self) -> dict[str, Any]:
        """Give the dict that goes into ``tools``: the type, then what was set."""
        sent = {name: value for name, value in vars(self).items() if value is not None and name not in self._not_sent}
        return {"type": self.type, **{name: _plain(value) for name, value in sent.items()}}

    @property
    def include(self) -> tuple[str, ...]:
        """What the request's ``include`` must hold for the results that were asked for."""
        return ()

    def __repr__(self) -> str:
        """Show what was set, secrets as an ellipsis."""
        given = ((name, value) for name, value in vars(self).items() if value != getattr(type(self), name, None))
        return f"{type(self).__name__}({', '.join(f'{name}={_shown(name, value)}' for name, value in given)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class WebSearch(BuiltinTool):
    """Search the web. Answers carry ``url_citation`` annotations: ``result.citations``."""

    type: Literal["web_search", "web_search_2025_08_26"] = "web_search"
    """The newest version, or one that stays as it is."""
    filters: hosted_tools.WebSearchFilters | None = None
    """``{"allowed_domains": ["example.com", …]}``: search there only; subdomains are included."""
    search_context_size: Literal["low", "medium", "high"] | None = None
    """How much of the context window the findings may take; the provider's default is ``medium``."""
    user_location: hosted_tools.UserLocation | Mapping[str, Any] | None = None
    """About where the user is: ``city``, ``country`` (two letters), ``region``, ``timezone`` (IANA)."""
    external_web_access: bool | None = None
    """False: only what the provider has indexed, without a visit to the live page."""
    sources: bool = False
    """Also get all pages that were looked at, in each ``web_search_call``'s ``action.sources``."""
    results: bool = False
    """Also get what was found, in each ``web_search_call``'s ``results``."""
    _not_sent = frozenset({"type", "sources", "results"})

    def definition(self) -> dict[str, Any]:
        """Give the dict that goes into ``tools``: the type, then what was set."""
        return _with_type(super().definition(), "user_location", "approximate")

    @property
    def choice(self) -> params.AllowedToolsChoice:
        """The ``tool_choice`` that makes the model search. There is none for ``web_search`` alone: this narrows."""
        return {"type": "allowed_tools", "mode": "required", "tools": [{"type": self.type}]}

    @property
    def include(self) -> tuple[str, ...]:
        """What the request's ``include`` must hold for the results that were asked for."""
        return _search_include(sources=self.sources, results=self.results)


@dataclass(frozen=True, kw_only=True, repr=False)
class WebSearchPreview(BuiltinTool):
    """Search the web, as its first version did: for older models, and providers that know only this one."""

    type: Literal["web_search_preview", "web_search_preview_2025_03_11"] = "web_search_preview"
    """The newest version, or one that stays as it is."""
    search_content_types: Sequence[Literal["text", "image"]] | None = None
    """What to look for."""
    search_context_size: Literal["low", "medium", "high"] | None = None
    """How much of the context window the findings may take; the provider's default is ``medium``."""
    user_location: hosted_tools.UserLocation | Mapping[str, Any] | None = None
    """About where the user is: ``city``, ``country`` (two letters), ``region``, ``timezone`` (IANA)."""
    sources: bool = False
    """Also get all pages that were looked at, in each ``web_search_call``'s ``action.sources``."""
    results: bool = False
    """Also get what was found, in each ``web_search_call``'s ``results``."""
    _not_sent = frozenset({"type", "sources", "results"})

    def __post_init__(self) -> None:
        _check_list("search_content_types", self.search_content_types)

    def definition(self) -> dict[str, Any]:
        """Give the dict that goes into ``tools``: the type, then what was set."""
        return _with_type(super().definition(), "user_location", "approximate")

    @property
    def choice(self) -> params.HostedChoice:
        """The ``tool_choice`` that makes the model use this tool."""
        return {"type": self.type}

    @property
    def include(self) -> tuple[str, ...]:
        """What the request's ``include`` must hold for the results that were asked for."""
        return _search_include(sources=self.sources, results=self.results)


@dataclass(frozen=True, repr=False)
class FileSearch(BuiltinTool):
    """Search the files of vector stores that the provider keeps. Answers carry ``file_citation`` annotations."""

    type: Literal["file_search"] = field(default="file_search", init=False)
    vector_store_ids: Sequence[str]
    """The stores to search."""
    max_num_results: int | None = None
    """Findings at most, 1 to 50."""
    filters: hosted_tools.ComparisonFilter | hosted_tools.CompoundFilter | None = None
    """By the files' attributes: ``{"type": "eq", "key": …, "value": …}``, or ``and`` and ``or`` over ``filters``."""
    ranking_options: hosted_tools.RankingOptions | None = None
    """``ranker``, ``score_threshold`` (0 to 1), ``hybrid_search``."""
    results: bool = False
    """Also get the passages that were found, in each ``file_search_call``'s ``results``."""
    _not_sent = frozenset({"results"})

    def __post_init__(self) -> None:
        _check_list("vector_store_ids", self.vector_store_ids)
        if not self.vector_store_ids:
            raise UsageError("FileSearch needs the stores to search: FileSearch(vector_store_ids=['vs_…'])")
        _check_range("max_num_results", self.max_num_results, 1, _MAX_RESULTS)

    @property
    def choice(self) -> params.HostedChoice:
        """The ``tool_choice`` that makes the model use this tool."""
        return {"type": self.type}

    @property
    def include(self) -> tuple[str, ...]:
        """What the request's ``include`` must hold for the results that were asked for."""
        return ("file_search_call.results",) if self.results else ()


@dataclass(frozen=True, kw_only=True, repr=False)
class CodeInterpreter(BuiltinTool):
    """Run Python in a container of the provider's. Files that it makes are cited as ``container_file_citation``."""

    type: Literal["code_interpreter"] = field(default="code_interpreter", init=False)
    container: str | hosted_tools.CodeInterpreterContainer | Mapping[str, Any] | None = None
    """A container's id; or, for a new one, ``file_ids``, ``memory_limit`` (``1g``, ``4g``, ``16g``, ``64g``) and
    ``network_policy``. Default a new one with nothing in it."""
    allowed_callers: hosted_tools.AllowedCallers | None = None
    """Whether the model calls it, or a program that the model writes."""
    outputs: bool = True
    """Get what the code printed and drew, in each ``code_interpreter_call``'s ``outputs``."""
    _not_sent = frozenset({"outputs"})

    def __post_init__(self) -> None:
        _check_list("allowed_callers", self.allowed_callers)

    def definition(self) -> dict[str, Any]:
        """Give the dict that goes into ``tools``: the type, then what was set; the wire wants a container always."""
        definition = super().definition()
        definition.setdefault("container", {})
        return _with_type(definition, "container", "auto")

    @property
    def choice(self) -> params.HostedChoice:
        """The ``tool_choice`` that makes the model use this tool."""
        return {"type": self.type}

    @property
    def include(self) -> tuple[str, ...]:
        """What the request's ``include`` must hold for the results that were asked for."""
        return ("code_interpreter_call.outputs",) if self.outputs else ()


@dataclass(frozen=True, kw_only=True, repr=False)
class ImageGeneration(BuiltinTool):
    """Draw, or change, images: ``result.images``. Which fields a model takes differs; the provider refuses the rest."""

    type: Literal["image_generation"] = field(default="image_generation", init=False)
    action: Literal["generate", "edit", "auto"] | None = None
    """Draw a new image, or change one of the conversation; default the model decides."""
    background: Literal["transparent", "opaque", "auto"] | None = None
    """The background."""
    complexity: Literal["low", "medium", "high"] | None = None
    """How elaborate the image is."""
    frame_count: int | None = None
    """Frames of a moving image."""
    frame_duration_ms: int | None = None
    """Milliseconds that each of them is shown."""
    input_fidelity: Literal["high", "low"] | None = None
    """How closely to keep to the images that were given."""
    input_image_mask: Image | hosted_tools.ImageMask | None = None
    """Where to change an image: an `Image`, or ``{"file_id": …}`` or ``{"image_url": …}``."""
    model: str | None = None
    """The model that draws, such as ``gpt-image-1``; default the provider's."""
    moderation: Literal["auto", "low"] | None = None
    """How strictly images are moderated."""
    output_compression: int | None = None
    """0 to 100, for lossy formats."""
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None = None
    """The format of the images; the provider's default is ``png``."""
    partial_images: int | None = None
    """Unfinished images to send in a stream meanwhile, 0 to 3."""
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None = None
    """How much work goes into it."""
    size: str | None = None
    """``auto``, or such as ``1024x1024``, ``1024x1536``, ``1536x1024``."""
    svg: hosted_tools.SvgOptions | None = None
    """For ``svg``: the ``model`` that writes it, and its ``reasoning``."""

    def __post_init__(self) -> None:
        _check_range("partial_images", self.partial_images, 0, _MAX_PARTIAL_IMAGES)
        _check_range("output_compression", self.output_compression, 0, _MAX_COMPRESSION)

    def definition(self) -> dict[str, Any]:
        """Give the dict that goes into ``tools``: the type, then what was set."""
        mask = self.input_image_mask
        if not isinstance(mask, Image):
            return super().definition()
        fields = {name: value for name, value in mask.raw.items() if name in ("file_id", "image_url")}
        return {**super().definition(), "input_image_mask": fields}

    @property
    def choice(self) -> params.HostedChoice:
        """The ``tool_choice`` that makes the model use this tool."""
        return {"type": self.type}


@dataclass(frozen=True, repr=False)
class HostedMCP(BuiltinTool):
    """Let the provider itself call an MCP server. For a server that agentrt calls, use `agentrt.MCPServer`.

    Exactly one of ``server_url``, ``connector_id`` and ``tunnel_id`` says where it is.
    """

    type: Literal["mcp"] = field(default="mcp", init=False)
    server_label: str
    """A name of your own for the server; its calls carry it."""
    server_url: str | None = None
    """The server's address."""
    connector_id: str | None = None
    """One of the provider's own connectors, such as ``connector_gmail``; OpenAI's newest models have none."""
    tunnel_id: str | None = None
    """A tunnel to a private server, set up with the provider."""
    authorization: str | None = None
    """An OAuth access token for the server. Never shown."""
    headers: Mapping[str, str] | None = None
    """HTTP headers for the server. Never shown."""
    allowed_tools: Sequence[str] | hosted_tools.McpToolFilter | None = None
    """Names of the tools to offer, or ``{"tool_names": …, "read_only": true}``; default all."""
    require_approval: Literal["always", "never"] | hosted_tools.McpApprovalFilter | None = None
    """Which calls wait for your word: all (the provider's default), none, or by ``always`` and ``never`` filters."""
    server_description: str | None = None
    """What the server is for, for the model."""
    defer_loading: bool | None = None
    """Let the model find the tools by a search, instead of all being listed at once."""
    allowed_callers: hosted_tools.AllowedCallers | None = None
    """Whether the model calls the tools, or a program that the model writes."""

    def __post_init__(self) -> None:
        if not self.server_label:
            raise UsageError("HostedMCP needs a server_label: a name of your own for the server, such as 'docs'")
        places = {"server_url": self.server_url, "connector_id": self.connector_id, "tunnel_id": self.tunnel_id}
        given = [name for name, value in places.items() if value]
        if len(given) != 1:
            told = f"has {' and '.join(given)}" if given else "has none"
            raise UsageError(
                f"HostedMCP {self.server_label!r} needs exactly one of {', '.join(places)}, but {told}; say where the "
                "server is"
            )
        if isinstance(self.require_approval, str) and self.require_approval not in ("always", "never"):
            raise UsageError(f"require_approval must be 'always', 'never' or filters, but is {self.require_approval!r}")
        if not isinstance(self.allowed_tools, Mapping):
            _check_list("allowed_tools", self.allowed_tools)
        _check_list("allowed_callers", self.allowed_callers)

    @property
    def choice(self) -> params.McpChoice:
        """The ``tool_choice`` that makes the model use one of the server's tools."""
        return self.choose()

    def choose(self, name: str | None = None) -> params.McpChoice:
        """Give the ``tool_choice`` that makes the model use this server.

        Args:
            name: The one tool of the server to use; default any.
        """
        choice: params.McpChoice = {"type": self.type, "server_label": self.server_label}
        if name is not None:
            choice["name"] = name
        return choice


def _search_include(*, sources: bool, results: bool) -> tuple[str, ...]:
    wanted = (("web_search_call.action.sources", sources), ("web_search_call.results", results))
    return tuple(name for name, is_wanted in wanted if is_wanted)


def _with_type(definition: dict[str, Any], name: str, kind: str) -> dict[str, Any]:
    """Name the type of a nested object, which the wire wants and a user should not have to know."""
    value = definition.get(name)
    return {**definition, name: {"type": kind, **value}} if is_dict(value) else definition


def _check_list(name: str, value: object) -> None:
    if isinstance(value, str):
        raise UsageError(f"{name} must be a list, such as {name}=[{value!r}]")


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high):
        raise UsageError(f"{name} must be a whole number from {low} to {high}, but is {value!r}")


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _plain(value: Any) -> Any:
    """Make what JSON has of mappings and sequences."""
    if _is_mapping(value):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if _is_list(value) else value


def _shown(name: str, value: Any) -> str:
    if name in _SECRETS:
        return "…"
    if _is_mapping(value):
        return f"{{{', '.join(f'{key!r}: {_shown(key, inner)}' for key, inner in value.items())}}}"
    return f"[{', '.join(_shown(name, inner) for inner in value)}]" if _is_list(value) else brief(value)
