"""What users write: the tools that the client runs, and the union of all 16."""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from agentrt.wire.params.hosted_tools import (
    AllowedCallers,
    CodeInterpreterToolParam,
    FileSearchToolParam,
    ImageGenerationToolParam,
    McpToolParam,
    NetworkAllowlist,
    NetworkDisabled,
    ProgrammaticToolCallingParam,
    WebSearchPreviewToolParam,
    WebSearchToolParam,
)

__all__ = [
    "ApplyPatchToolParam",
    "AsyncField",
    "ComputerToolParam",
    "ComputerUsePreviewToolParam",
    "ContainerReference",
    "CustomTextFormat",
    "CustomToolParam",
    "FunctionToolParam",
    "Grammar",
    "InlineSkill",
    "InlineSkillSource",
    "LocalEnvironment",
    "LocalShellToolParam",
    "LocalSkill",
    "NamespaceToolParam",
    "ShellContainer",
    "ShellToolParam",
    "SkillReference",
    "ToolParam",
    "ToolSearchToolParam",
]

AsyncField = TypedDict("AsyncField", {"async": bool | None}, total=False)  # no class can have a field of that name


class FunctionToolParam(AsyncField, total=False):
    """A function of the client's."""

    type: Required[Literal["function"]]
    name: Required[str]
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None
    output_schema: dict[str, Any] | None
    allowed_callers: AllowedCallers | None
    defer_loading: bool | None


class CustomTextFormat(TypedDict):
    """Free text as a custom tool's input."""

    type: Literal["text"]


class Grammar(TypedDict):
    """A grammar that a custom tool's input follows."""

    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: str


class CustomToolParam(AsyncField, total=False):
    """A tool of the client's that takes text instead of JSON."""

    type: Required[Literal["custom"]]
    name: Required[str]
    description: str | None
    format: CustomTextFormat | Grammar | None
    allowed_callers: AllowedCallers | None
    defer_loading: bool | None


class NamespaceToolParam(TypedDict):
    """A group of the client's tools under one name."""

    type: Literal["namespace"]
    name: str
    description: str
    tools: Sequence[FunctionToolParam | CustomToolParam]


class ToolSearchToolParam(TypedDict, total=False):
    """Lets the model look for tools whose loading is deferred; ``client`` leaves the search to the client."""

    type: Required[Literal["tool_search"]]
    description: str | None
    execution: Literal["server", "client"] | None
    parameters: dict[str, Any] | None


class SkillReference(TypedDict, total=False):
    """A skill that the provider has, by its id."""

    type: Required[Literal["skill_reference"]]
    skill_id: Required[str]
    version: str | None


class InlineSkillSource(TypedDict):
    """A zip file, base64."""

    type: Literal["base64"]
    media_type: Literal["application/zip"]
    data: str


class InlineSkill(TypedDict):
    """A skill that is sent along."""

    type: Literal["inline"]
    name: str
    description: str
    source: InlineSkillSource


class ShellContainer(TypedDict, total=False):
    """A new container of the server's for a shell."""

    type: Required[Literal["container_auto"]]
    file_ids: Sequence[str] | None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None
    network_policy: NetworkDisabled | NetworkAllowlist | None
    skills: Sequence[SkillReference | InlineSkill] | None


class ContainerReference(TypedDict):
    """A container of the server's, by its id."""

    type: Literal["container_reference"]
    container_id: str


class LocalSkill(TypedDict):
    """A skill in the client's files."""

    name: str
    description: str
    path: str


class LocalEnvironment(TypedDict, total=False):
    """The client's own shell."""

    type: Required[Literal["local"]]
    skills: Sequence[LocalSkill] | None


class ShellToolParam(TypedDict, total=False):
    """A shell, of the client's or in a container of the server's."""

    type: Required[Literal["shell"]]
    environment: ShellContainer | LocalEnvironment | ContainerReference | None
    allowed_callers: AllowedCallers | None


class LocalShellToolParam(TypedDict):
    """The client's shell, in the older form."""

    type: Literal["local_shell"]


class ApplyPatchToolParam(TypedDict, total=False):
    """Changes of the client's files."""

    type: Required[Literal["apply_patch"]]
    allowed_callers: AllowedCallers | None


class ComputerToolParam(TypedDict):
    """The client's screen."""

    type: Literal["computer"]


class ComputerUsePreviewToolParam(TypedDict):
    """The client's screen, in the older form; sizes in pixels."""

    type: Literal["computer_use_preview"]
    display_height: int
    display_width: int
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


ToolParam = (
    FunctionToolParam
    | FileSearchToolParam
    | ComputerToolParam
    | ComputerUsePreviewToolParam
    | WebSearchToolParam
    | McpToolParam
    | CodeInterpreterToolParam
    | ProgrammaticToolCallingParam
    | ImageGenerationToolParam
    | LocalShellToolParam
    | ShellToolParam
    | CustomToolParam
    | NamespaceToolParam
    | ToolSearchToolParam
    | WebSearchPreviewToolParam
    | ApplyPatchToolParam
)
"""One tool that the model may use."""
