"""Every code block of the README and the docs runs, and so does every example, against a scripted provider."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentrt.testing import call, calls, say

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VALUES = {"string": "Paris", "integer": 21, "number": 2.5, "boolean": True, "object": {"arrival": "2027-01-31"}}


def model(request):
    """Call the first tool with plausible arguments, then say what came."""
    last = request["input"][-1] if isinstance(request["input"], list) else {}
    if last.get("type") == "function_call_output":
        return say(answer(f"The tool said: {last['output']}", request))
    if not request.get("tools") or request.get("tool_choice") == "none":
        return say("Hello.")
    tool = request["tools"][0]
    properties = tool["parameters"]["properties"]
    return calls(call(tool["name"], **{name: value_of(part) for name, part in properties.items() if "type" in part}))


def answer(text, request):
    """Put it into each text of the form that is asked for, if there is one."""
    form = request.get("text", {}).get("format", {}).get("schema")
    if form is None:
        return text
    parts = form["properties"].items()
    return json.dumps({name: text if part["type"] == "string" else value_of(part) for name, part in parts})


def value_of(schema):
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    return [value_of(schema["items"])] if kind == "array" else VALUES[kind]


@pytest.fixture
def environment(serve):
    server = serve(model)
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("AGENTRT_", "OPENAI_", "COMETAPI_"))
    }
    bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**clean, "PATH": bins, "COMETAPI_KEY": "k", "COMETAPI_BASE_URL": server.url, "PYTHONWARNINGS": "error"}


def blocks(page, *languages):
    return [code for language, code in BLOCK.findall(page.read_text()) if language in languages]


def check(command, folder, environment, **options):
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=50, check=False, **options
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, environment):
    code = "\n".join(blocks(page, "python"))
    if code:
        (tmp_path / "page.py").write_text(code)
        check([sys.executable, "page.py"], tmp_path, environment)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page, tmp_path, environment):
    for code in blocks(page, "bash"):
        if "pip install" not in code:
            check(["bash", "-euo", "pipefail", "-c", code], tmp_path, environment)


def test_the_two_commands_of_the_readme_are_what_ci_runs():
    commands = [code.strip() for code in blocks(ROOT / "README.md", "bash")]
    assert commands == ["pip install -e '.[local]' && agentrt demo", "pip install -e '.[test]' && pytest"]
    ci = (ROOT / ".ci" / "run").read_text()
    for command in commands:
        assert command in ci


def test_the_readmes_agent_gives_the_tools_answer(tmp_path, environment):
    (code,) = blocks(ROOT / "README.md", "python")
    assert "21 degrees and sunny in Paris" in check([sys.executable, "-c", code], tmp_path, environment)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example, tmp_path, environment):
    output = check([sys.executable, str(example)], tmp_path, environment)
    assert "The tool said" in output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_every_parameter_and_event_of_cometapis_page_has_its_place():
    text = (ROOT / "docs" / "cometapi.md").read_text()
    parameters = "model input instructions background context_management conversation include max_output_tokens max_tool_calls metadata parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user"
    fields = "id object created_at status background completed_at error incomplete_details instructions max_output_tokens model output output_text parallel_tool_calls previous_response_id reasoning service_tier store temperature text tool_choice tools top_p truncation usage user metadata content_filters frequency_penalty max_tool_calls presence_penalty prompt_cache_key prompt_cache_retention safety_identifier top_logprobs"
    events = "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done response.completed"
    for name in f"{parameters} {fields} {events}".split():
        assert f"`{name}`" in text, name
