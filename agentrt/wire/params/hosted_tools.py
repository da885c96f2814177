"""What users write: the tools that the server runs."""

from collections.abc import Sequence
from typing import Literal, Required, TypedDict

__all__ = [
    "AllowedCallers",
    "CodeInterpreterContainer",
    "CodeInterpreterToolParam",
    "ComparisonFilter",
    "CompoundFilter",
    "DomainSecret",
    "FileSearchToolParam",
    "HybridSearch",
    "ImageGenerationToolParam",
    "ImageMask",
    "McpApprovalFilter",
    "McpToolFilter",
    "McpToolParam",
    "NetworkAllowlist",
    "NetworkDisabled",
    "ProgrammaticToolCallingParam",
    "RankingOptions",
    "SvgOptions",
    "SvgReasoning",
    "UserLocation",
    "WebSearchFilters",
    "WebSearchPreviewToolParam",
    "WebSearchToolParam",
]

AllowedCallers = Sequence[Literal["direct", "programmatic"]]
"""Who may call a tool: the model itself, or programs that it writes."""


class DomainSecret(TypedDict):
    """A secret that the container's network adds for one domain; the model doesn't see it."""

    domain: str
    name: str
    value: str


class NetworkDisabled(TypedDict):
    """A container without network."""

    type: Literal["disabled"]


class NetworkAllowlist(TypedDict, total=False):
    """The domains that a container may reach."""

    type: Required[Literal["allowlist"]]
    allowed_domains: Required[Sequence[str]]
    domain_secrets: Sequence[DomainSecret] | None


class CodeInterpreterContainer(TypedDict, total=False):
    """A new container for code."""

    type: Required[Literal["auto"]]
    file_ids: Sequence[str] | None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None
    network_policy: NetworkDisabled | NetworkAllowlist | None


class CodeInterpreterToolParam(TypedDict, total=False):
    """Python in a container of the server's; ``container`` is its id, or says to make one."""

    type: Required[Literal["code_interpreter"]]
    container: Required[str | CodeInterpreterContainer]
    allowed_callers: AllowedCallers | None


class ComparisonFilter(TypedDict):
    """Compares one attribute of a file."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: str | float | bool | Sequence[str | float]


class CompoundFilter(TypedDict):
    """Joins filters."""

    type: Literal["and", "or"]
    filters: "Sequence[ComparisonFilter | CompoundFilter]"


class HybridSearch(TypedDict):
    """Weights of meaning and of words."""

    embedding_weight: float
    text_weight: float


class RankingOptions(TypedDict, total=False):
    """How found passages are ranked, and from what score on they count."""

    ranker: Literal["auto", "default-2024-11-15"] | None
    score_threshold: float | None
    hybrid_search: HybridSearch | None


class FileSearchToolParam(TypedDict, total=False):
    """Search in vector stores, by the server."""

    type: Required[Literal["file_search"]]
    vector_store_ids: Required[Sequence[str]]
    max_num_results: int | None
    filters: ComparisonFilter | CompoundFilter | None
    ranking_options: RankingOptions | None


class WebSearchFilters(TypedDict, total=False):
    """The domains to search in, subdomains included."""

    allowed_domains: Sequence[str] | None


class UserLocation(TypedDict, total=False):
    """About where the user is; ``country`` as two letters, ``timezone`` as IANA names it."""

    type: Required[Literal["approximate"]]
    city: str | None
    region: str | None
    country: str | None
    timezone: str | None


class WebSearchToolParam(TypedDict, total=False):
    """Search in the web, by the server."""

    type: Required[Literal["web_search", "web_search_2025_08_26"]]
    filters: WebSearchFilters | None
    search_context_size: Literal["low", "medium", "high"] | None
    user_location: UserLocation | None
    external_web_access: bool | None


class WebSearchPreviewToolParam(TypedDict, total=False):
    """The older search in the web."""

    type: Required[Literal["web_search_preview", "web_search_preview_2025_03_11"]]
    search_content_types: Sequence[Literal["text", "image"]] | None
    search_context_size: Literal["low", "medium", "high"] | None
    user_location: UserLocation | None


class McpToolFilter(TypedDict, total=False):
    """Picks tools of an MCP server: by name, or those that only read."""

    tool_names: Sequence[str] | None
    read_only: bool | None


class McpApprovalFilter(TypedDict, total=False):
    """The tools that always, or never, need approval."""

    always: McpToolFilter | None
    never: McpToolFilter | None


class McpToolParam(TypedDict, total=False):
    """An MCP server that the provider talks to, by ``server_url``, ``connector_id`` or ``tunnel_id``."""

    type: Required[Literal["mcp"]]
    server_label: Required[str]
    server_url: str | None
    connector_id: (
        Literal[
            "connector_dropbox",
            "connector_gmail",
            "connector_googlecalendar",
            "connector_googledrive",
            "connector_microsoftteams",
            "connector_outlookcalendar",
            "connector_outlookemail",
            "connector_sharepoint",
        ]
        | None
    )
    tunnel_id: str | None
    server_description: str | None
    authorization: str | None
    headers: dict[str, str] | None
    allowed_tools: Sequence[str] | McpToolFilter | None
    require_approval: Literal["always", "never"] | McpApprovalFilter | None
    allowed_callers: AllowedCallers | None
    defer_loading: bool | None


class ImageMask(TypedDict, total=False):
    """The part of an image to change."""

    image_url: str | None
    file_id: str | None


class SvgReasoning(TypedDict, total=False):
    """How hard the model that draws an SVG thinks."""

    effort: str | None


class SvgOptions(TypedDict, total=False):
    """The model that draws an SVG."""

    model: str | None
    reasoning: SvgReasoning | None


class ImageGenerationToolParam(TypedDict, total=False):
    """Images, made by the server."""

    type: Required[Literal["image_generation"]]
    action: Literal["generate", "edit", "auto"] | None
    background: Literal["transparent", "opaque", "auto"] | None
    complexity: Literal["low", "medium", "high"] | None
    frame_count: int | None
    frame_duration_ms: int | None
    input_fidelity: Literal["high", "low"] | None
    input_image_mask: ImageMask | None
    model: str | None
    moderation: Literal["auto", "low"] | None
    output_compression: int | None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None
    partial_images: int | None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None
    size: str | None
    svg: SvgOptions | None


class ProgrammaticToolCallingParam(TypedDict):
    """Lets the model write programs that call tools."""

    type: Literal["programmatic_tool_calling"]
