"""What the package promises from the outside: names, weight, layers, footprint."""

import importlib.metadata
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import httpx2
import pytest

import agentrt
from agentrt import Agent, Client, tool
from agentrt.testing import call
from agentrt.wire.compose import message_item

ROOT = Path(agentrt.__file__).parent


def test_the_public_names():
    assert agentrt.__all__ == sorted(agentrt.__all__)
    assert len(agentrt.__all__) <= 45
    for name in agentrt.__all__:
        assert hasattr(agentrt, name)


def test_what_an_import_does_not_load():
    script = "import sys, agentrt; print(*[name for name in ('mcp', 'typer', 'rich', 'trio', 'httpcore2', 'httpx', 'pydantic.main', 'xllamacpp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_base_install_is_small():
    """mcp's own set, docstring-parser and platformdirs: about 30 distributions."""
    seen, waiting = set(), ["agentrt"]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        seen.add(name)
        for line in requires:
            requirement, _, marker = line.partition(";")
            if "extra ==" not in marker or "pyjwt[crypto]" in requirement or (name == "pyjwt" and "crypto" in marker):
                waiting.append(re.split(r"[\[<>=!~ ;(]", requirement.strip())[0])
    print(len(seen), "distributions")
    assert len(seen) <= 36


def test_files_and_functions_stay_small():
    for path in [*ROOT.rglob("*.py"), *Path(importlib.import_module("agentrt_tools").__file__).parent.rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= 400, path


@pytest.mark.timeout(120)
def test_the_footprint_of_a_run():
    """A warmed run of two turns with one call over a mock transport crosses few files, functions and lines."""

    @tool
    async def add(a: int, b: int) -> int:
        return a + b

    first, second = [call("add", a=1, b=2)], [message_item("m", "3")]

    def answer(request):
        output = second if len(json.loads(request.content)["input"]) > 1 else first
        return httpx2.Response(200, json={"id": "r", "status": "completed", "output": output})

    async def measure():
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
            agent = Agent("m", tools=[add], client=Client(base_url="http://test/v1", http_client=http))
            await agent.run("go")
            lines, functions = set(), set()

            def trace(frame, event, argument):
                name = frame.f_code.co_filename
                if not name.startswith(str(ROOT)):
                    return None
                functions.add((name, frame.f_code.co_qualname))
                lines.add((name, frame.f_lineno))
                return trace

            before = sys.gettrace()
            sys.settrace(trace)
            try:
                result = await agent.run("go")
            finally:
                sys.settrace(before)
            assert result.text == "3"
            return {name for name, _ in lines}, functions, lines

    files, functions, lines = anyio.run(measure)
    print(f"footprint: {len(files)} files, {len(functions)} functions, {len(lines)} lines")
    assert len(files) <= 18
    assert len(functions) <= 130
    assert len(lines) <= 650


def test_tests_leave_no_thread_that_would_keep_the_interpreter():
    assert [thread.name for thread in threading.enumerate() if not thread.daemon] == ["MainThread"]
