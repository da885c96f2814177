"""Declarations of the provider's tools: each field of OpenAI's types is there, and nothing else; what is refused."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from agentrt import Agent, Image, UsageError, builtin, tool
from agentrt.builtin import CodeInterpreter, FileSearch, HostedMCP, ImageGeneration, WebSearch, WebSearchPreview
from agentrt.testing import say
from agentrt.wire import params
from agentrt.wire.params import hosted_tools

MODELS = json.loads((Path(__file__).parent / "data" / "openai-types.json").read_text())["models"]
NAMES = {
    WebSearch: "web_search_tool.WebSearchTool",
    WebSearchPreview: "web_search_preview_tool.WebSearchPreviewTool",
    FileSearch: "file_search_tool.FileSearchTool",
    CodeInterpreter: "tool.CodeInterpreter",
    ImageGeneration: "tool.ImageGeneration",
    HostedMCP: "tool.Mcp",
}
OURS = {"sources", "results", "outputs"}  # what to include; not fields of the tool
OPEN = {"connector_id", "model", "size"}  # OpenAI lists values, but new ones come without a new API
LEAST = {
    WebSearch: WebSearch(),
    WebSearchPreview: WebSearchPreview(),
    FileSearch: FileSearch(["vs_1"]),
    CodeInterpreter: CodeInterpreter(),
    ImageGeneration: ImageGeneration(),
    HostedMCP: HostedMCP("docs", "https://x.test/mcp"),
}
FULL = {
    WebSearch: WebSearch(
        type="web_search_2025_08_26",
        filters={"allowed_domains": ["x.test"]},
        search_context_size="low",
        user_location={"city": "Paris", "country": "FR"},
        external_web_access=False,
        sources=True,
        results=True,
    ),
    WebSearchPreview: WebSearchPreview(
        type="web_search_preview_2025_03_11",
        search_content_types=["text", "image"],
        search_context_size="high",
        user_location={"type": "approximate", "timezone": "Europe/Paris"},
    ),
    FileSearch: FileSearch(
        ("vs_1", "vs_2"),
        max_num_results=50,
        filters={"type": "and", "filters": ({"type": "eq", "key": "year", "value": 2026},)},
        ranking_options={"ranker": "auto", "score_threshold": 0.5},
    ),
    CodeInterpreter: CodeInterpreter(
        container={"file_ids": ("file-1",), "memory_limit": "4g"}, allowed_callers=["direct"]
    ),
    ImageGeneration: ImageGeneration(
        action="edit",
        background="opaque",
        complexity="low",
        frame_count=2,
        frame_duration_ms=40,
        input_fidelity="high",
        input_image_mask=Image(file_id="file-1"),
        model="gpt-image-1",
        moderation="low",
        output_compression=0,
        output_format="webp",
        partial_images=3,
        quality="max",
        size="1024x1024",
        svg={"model": "m", "reasoning": {"effort": "low"}},
    ),
    HostedMCP: HostedMCP(
        "docs",
        server_url="https://x.test/mcp",
        authorization="tok",
        headers={"x-key": "k"},
        allowed_tools=["look"],
        require_approval={"never": {"tool_names": ["look"]}},
        server_description="Docs.",
        defer_loading=False,
        allowed_callers=("programmatic",),
    ),
}
ALL = pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__name__)


def values(hint):
    """Give the values of the Literals in a type, those of lists included."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return {value for part in get_args(hint) if part is not Ellipsis for value in values(part)}


def listed(text):
    return {value for group in re.findall(r"\{([^}]*)\}", text) for value in group.split(",")}


# --- against OpenAI's types


@ALL
def test_the_fields_are_those_of_openai_and_no_others(kind):
    theirs = MODELS[NAMES[kind]]
    ours = {entry.name for entry in dataclasses.fields(kind)} - OURS
    assert ours == set(theirs)
    hints = get_type_hints(kind, {**vars(builtin), "params": params, "hosted_tools": hosted_tools})
    for name, field in theirs.items():
        assert values(hints[name]) == (set() if name in OPEN else listed(field["type"])), name


@ALL
def test_what_is_required_by_openai_is_always_sent(kind):
    definition = LEAST[kind].definition()
    required = {name for name, field in MODELS[NAMES[kind]].items() if field["required"]}
    assert required <= set(definition)
    assert set(definition) - required <= {"server_url"}
    assert next(iter(definition)) == "type"


@ALL
def test_all_fields_are_sent_when_they_are_set_and_what_is_ours_is_not(kind):
    definition = FULL[kind].definition()
    assert set(MODELS[NAMES[kind]]) - set(definition) <= {"connector_id", "tunnel_id"}
    assert not set(definition) & OURS
    assert json.loads(json.dumps(definition)) == definition


@ALL
def test_what_they_ask_to_include_is_includable(kind):
    wanted = {name: True for name in OURS if name in kind.__dataclass_fields__}
    include = dataclasses.replace(FULL[kind], **wanted).include
    assert set(include) <= set(get_args(params.Include))
    assert len(include) == len(wanted)


# --- what is sent


def test_definitions_hold_what_was_set():
    assert WebSearch().definition() == {"type": "web_search"}
    assert FULL[WebSearch].definition() == {
        "type": "web_search_2025_08_26",
        "filters": {"allowed_domains": ["x.test"]},
        "search_context_size": "low",
        "user_location": {"type": "approximate", "city": "Paris", "country": "FR"},
        "external_web_access": False,
    }
    assert FULL[WebSearchPreview].definition()["user_location"] == {"type": "approximate", "timezone": "Europe/Paris"}
    assert FULL[FileSearch].definition()["vector_store_ids"] == ["vs_1", "vs_2"]
    assert FULL[FileSearch].definition()["filters"]["filters"] == [{"type": "eq", "key": "year", "value": 2026}]
    assert FULL[ImageGeneration].definition()["output_compression"] == 0
    assert FULL[HostedMCP].definition()["headers"] == {"x-key": "k"}


def test_a_container_is_made_unless_one_is_named():
    assert CodeInterpreter().definition() == {"type": "code_interpreter", "container": {"type": "auto"}}
    assert CodeInterpreter(container="cntr_1").definition()["container"] == "cntr_1"
    made = {"type": "auto", "file_ids": ["file-1"], "memory_limit": "4g"}
    assert FULL[CodeInterpreter].definition()["container"] == made
    frozen = MappingProxyType({"type": "newer", "file_ids": ()})
    assert CodeInterpreter(container=frozen).definition()["container"] == {"type": "newer", "file_ids": []}


def test_a_mask_may_be_an_image():
    sent = {"type": "image_generation", "input_image_mask": {"file_id": "file-1"}}
    assert ImageGeneration(input_image_mask=Image(file_id="file-1")).definition() == sent
    assert ImageGeneration(input_image_mask={"file_id": "file-1"}).definition() == sent
    url = "https://x.test/mask.png"
    assert ImageGeneration(input_image_mask=Image(url)).definition()["input_image_mask"] == {"image_url": url}


def test_what_the_results_need_is_told():
    assert WebSearch().include == ()
    assert WebSearch(sources=True).include == ("web_search_call.action.sources",)
    assert WebSearchPreview(results=True).include == ("web_search_call.results",)
    assert FileSearch(["vs_1"]).include == ()
    assert FileSearch(["vs_1"], results=True).include == ("file_search_call.results",)
    assert CodeInterpreter().include == ("code_interpreter_call.outputs",)
    assert CodeInterpreter(outputs=False).include == ()
    assert ImageGeneration().include == LEAST[HostedMCP].include == ()


def test_a_choice_forces_the_tool():
    for made in (LEAST[FileSearch], LEAST[CodeInterpreter], LEAST[ImageGeneration], FULL[WebSearchPreview]):
        assert made.choice == {"type": made.type}
        assert made.type in get_args(get_type_hints(params.HostedChoice)["type"])
    for made in (LEAST[WebSearch], FULL[WebSearch]):
        assert made.choice == {"type": "allowed_tools", "mode": "required", "tools": [{"type": made.type}]}
    server = {"type": "mcp", "server_label": "docs"}
    assert LEAST[HostedMCP].choice == LEAST[HostedMCP].choose() == server
    assert LEAST[HostedMCP].choose("look") == {**server, "name": "look"}


async def test_an_agent_sends_them_beside_functions(serve, client_of):
    @tool
    def double(n: int) -> int:
        return 2 * n

    server = serve(say("ok"))
    search = WebSearch(sources=True)
    async with client_of(server) as client:
        tools = [search, double, CodeInterpreter()]
        await Agent("m", tools=tools, client=client, tool_choice=search.choice).run("go")
    sent = server.requests[0].json
    assert {"type": "web_search"} in sent["tools"]
    assert {"type": "code_interpreter", "container": {"type": "auto"}} in sent["tools"]
    assert {"web_search_call.action.sources", "code_interpreter_call.outputs"} <= set(sent["include"])
    assert sent["tool_choice"] == search.choice


# --- what is refused


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: FileSearch([]), r"FileSearch needs the stores to search: FileSearch\(vector_store_ids="),
        (lambda: FileSearch("vs_1"), r"vector_store_ids must be a list, such as vector_store_ids=\['vs_1'\]"),
        (lambda: FileSearch(["vs_1"], max_num_results=0), r"max_num_results must be a whole number from 1 to 50, but is 0"),
        (lambda: FileSearch(["vs_1"], max_num_results=51), r"from 1 to 50, but is 51"),
        (lambda: FileSearch(["vs_1"], max_num_results=True), r"from 1 to 50, but is True"),
        (lambda: FileSearch(["vs_1"], max_num_results="9"), r"from 1 to 50, but is '9'"),
        (lambda: ImageGeneration(partial_images=4), r"partial_images must be a whole number from 0 to 3, but is 4"),
        (lambda: ImageGeneration(output_compression=101), r"output_compression must be a whole number from 0 to 100"),
        (lambda: HostedMCP("", "https://x.test"), r"HostedMCP needs a server_label: a name of your own"),
        (lambda: HostedMCP("docs"), r"'docs' needs exactly one of server_url, connector_id, tunnel_id, but has none"),
        (lambda: HostedMCP("docs", "https://x.test", tunnel_id="t"), r"but has server_url and tunnel_id; say where"),
        (lambda: HostedMCP("docs", "https://x.test", allowed_tools="look"), r"allowed_tools must be a list"),
        (lambda: HostedMCP("docs", "https://x.test", allowed_callers="direct"), r"allowed_callers must be a list"),
        (lambda: CodeInterpreter(allowed_callers="direct"), r"allowed_callers must be a list"),
        (lambda: WebSearchPreview(search_content_types="text"), r"search_content_types must be a list"),
    ],
)  # fmt: skip
def test_what_no_provider_takes_is_refused_with_the_fix(make, told):
    with pytest.raises(UsageError, match=told):
        make()


def test_what_is_at_the_bounds_is_taken():
    assert FileSearch(["vs_1"], max_num_results=1).definition()["max_num_results"] == 1
    assert ImageGeneration(partial_images=0).definition()["partial_images"] == 0
    assert HostedMCP("docs", connector_id="connector_gmail").definition()["connector_id"] == "connector_gmail"
    assert HostedMCP("docs", tunnel_id="t", allowed_tools={"read_only": True}).definition()["allowed_tools"] == {
        "read_only": True
    }


def test_a_misspelt_field_is_refused():
    with pytest.raises(TypeError, match="context_size"):
        WebSearch(context_size="low")


# --- secrets, equality, cost


def test_secrets_are_never_shown():
    server = HostedMCP(
        "docs", "https://me:s3cret@x.test/mcp?key=s3cret", authorization="s3cret", headers={"x-key": "s3cret"}
    )
    secret = {"domain": "x.test", "name": "KEY", "value": "s3cret"}
    policy = {"type": "allowlist", "allowed_domains": ["x.test"], "domain_secrets": [secret]}
    code = CodeInterpreter(container={"network_policy": policy})
    for made in (server, code):
        assert "s3cret" not in repr(made)
        assert "s3cret" not in f"{made} {[made]} {dataclasses.replace(made)}"
        assert "s3cret" in json.dumps(made.definition())
    assert repr(server) == (
        "HostedMCP(server_label='docs', server_url='https://…x.test/mcp…', authorization=…, headers=…)"
    )
    assert "'allowed_domains': ['x.test'], 'domain_secrets': …" in repr(code)
    with pytest.raises(UsageError) as told:
        HostedMCP("docs", authorization="s3cret", headers={"x-key": "s3cret"})
    assert "s3cret" not in str(told.value)


def test_a_repr_shows_what_was_set_and_no_data():
    assert repr(WebSearch()) == "WebSearch()"
    assert (
        repr(WebSearch(search_context_size="low", sources=True)) == "WebSearch(search_context_size='low', sources=True)"
    )
    assert repr(FileSearch(["vs_1"])) == "FileSearch(vector_store_ids=['vs_1'])"
    mask = {"image_url": "data:image/png;base64," + "A" * 4000}
    assert repr(ImageGeneration(input_image_mask=mask)) == "ImageGeneration(input_image_mask={'image_url': <image/png, 3000 bytes>})"  # fmt: skip


def test_declarations_are_frozen_and_equal_by_what_was_set():
    assert WebSearch(sources=True) == WebSearch(sources=True) != WebSearch()
    with pytest.raises(dataclasses.FrozenInstanceError):
        WebSearch().sources = True
    assert all(issubclass(kind, builtin.BuiltinTool) for kind in NAMES)
    assert {"BuiltinTool", *(kind.__name__ for kind in NAMES)} == set(builtin.__all__)


@pytest.mark.parametrize(
    "statement", ["from agentrt import builtin", "import agentrt.builtin; builtin = agentrt.builtin"]
)
def test_it_is_imported_by_those_who_want_it_only(statement):
    code = f"import sys, agentrt\nassert 'agentrt.builtin' not in sys.modules\n{statement}\nbuiltin.WebSearch()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
