"""What the pages on runs say about the code, held against it."""

import os
import re
import signal
import subprocess
import sys

import pytest

from agentrt import Agent
from agentrt.core.state import VERSIONS
from agentrt.testing import ScriptedModel, call, calls, say
from tests.run.parts import ROOT

PAGE = (ROOT / "docs" / "state.md").read_text()


def test_the_table_of_versions_is_the_codes():
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.partition("\n## Versions\n")[2], re.MULTILINE)
    assert {int(version): text for version, text in rows} == VERSIONS


def test_the_table_of_what_is_in_a_state_names_all_of_it():
    table = PAGE.partition("\n## What is in it\n")[2].partition("\n## Versions\n")[0]
    named = {name for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    result = Agent("m", client=ScriptedModel([say("hi")])).run_sync("go")
    assert named == {"version", *result.state.__dict__}


def answers(request):
    last = request["input"][-1]
    if last["type"] == "function_call_output":
        return say(f"The tool said: {last['output']}")
    return calls(call(request["tools"][0]["name"], year=2021))


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_the_example_that_is_interrupted_goes_on_when_it_is_started_again(serve, tmp_path):
    server = serve(answers)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COMETAPI_KEY": "k", "COMETAPI_BASE_URL": server.url}
    told = []
    for interrupt in (True, False):
        script = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "resume.py")],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with script:
            told.append(script.stdout.readline())
            if interrupt:
                script.send_signal(signal.SIGINT)
            out, err = script.communicate(timeout=20)
            told += [out, err]
        assert script.returncode == (1 if interrupt else 0), err
        assert (tmp_path / "resume-example.json").exists() == interrupt
    assert told[0] == told[3], "the very same call runs again"
    assert told[0].startswith("copying")
    assert "start it again" in told[2]
    assert told[4].endswith("The tool said: 2021 is copied.\n")
    assert len(server.requests) == 2, "what had been asked is not asked again"
