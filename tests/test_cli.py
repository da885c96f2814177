import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from agentrt import RunState
from agentrt.cli.demo import pick_file
from agentrt.testing import call, calls, http_error, raw, say
from agentrt.wire.text import visible


@pytest.fixture
def cli(tmp_path):
    def run(*arguments, env=None, stdin=None):
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("AGENTRT_", "OPENAI_", "COMETAPI_"))
        }
        return subprocess.run(
            [sys.executable, "-c", "from agentrt.cli import main; main()", *arguments],
            cwd=tmp_path,
            env={**clean, "COLUMNS": "200", **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    (tmp_path / "mytools.py").write_text(
        "from agentrt import Registry\nlimit = 3\n"
        "def double(n: int) -> int:\n    'Double a number.'\n    return 2 * n\n"
        "both = Registry([double])\n"
    )
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "broken.py").write_text("raise ValueError('broken on purpose')\n")
    return run


def to(server):
    return {"AGENTRT_BASE_URL": server.url, "AGENTRT_API_KEY": "k", "AGENTRT_MODEL": "m"}


def test_run_with_ones_own_tool(cli, serve):
    server = serve(calls(call("double", n=21)), say("It is 42."))
    done = cli("run", "Double 21", "--tool", "mytools:double", "--instructions", "Be short.", env=to(server))
    assert (done.returncode, done.stdout) == (0, "It is 42.\n")
    assert 'double {"n":21}' in done.stderr
    assert "42" in done.stderr
    assert server.requests[0].json["instructions"] == "Be short."
    assert server.requests[0].json["model"] == "m"


def test_run_reads_standard_input_and_writes_json(cli, serve):
    server = serve(calls(call("double", n=2)), say("4"))
    done = cli(
        "run", "-", "--tool", "mytools.py:both", "--json", "--model", "other", env=to(server), stdin="from a pipe"
    )
    result = json.loads(done.stdout)
    assert (result["status"], result["text"], result["turns"]) == ("completed", "4", 2)
    assert result["calls"][0]["name"] == "double"
    assert server.requests[0].json["input"][0]["content"] == "from a pipe"
    assert server.requests[0].json["model"] == "other"


def test_what_a_tool_prints_is_no_part_of_the_answer(cli, serve, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "helper.py").write_text("loud = True\n")
    (tmp_path / "sub" / "noisy.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport helper\n"
        "@dataclass\nclass Point:\n    x: int\n"
        "def move(n: int) -> Point:\n    print('debug from tool')\n    return Point(n)\n"
    )
    server = serve(calls(call("move", n=1)), say("tab\there \U0001f468\u200d\U0001f469"))
    done = cli("run", "go", "--tool", "sub/noisy.py:move", "--json", env=to(server))
    assert json.loads(done.stdout)["status"] == "completed"
    assert "debug from tool" in done.stderr
    server = serve(calls(call("move", n=1)), say("tab\there \U0001f468\u200d\U0001f469"))
    done = cli("run", "go", "--tool", "sub/noisy.py:move", env=to(server))
    assert done.stdout == "tab\there \U0001f468\u200d\U0001f469\n"


def test_limits_and_base_url(cli, serve):
    server = serve(lambda _: calls(call("double", n=1)))
    done = cli(
        "run",
        "go",
        "--tool",
        "mytools:double",
        "--base-url",
        server.url,
        "--model",
        "m",
        "--max-turns",
        "2",
        "--no-parallel",
    )
    assert done.returncode == 1
    assert "no answer, the run ended limit (max_turns)" in done.stderr
    assert server.requests[0].json["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("turn", "code", "message"),
    [
        (http_error(401, message="Wrong key."), 3, "set AGENTRT_API_KEY"),
        (http_error(404, message="No such model."), 5, "check the model's name"),
        (raw(b"<html>", "text/html"), 5, "Check that base_url"),
        (calls(outcome="failed", extra={"error": {"code": "x", "message": "it broke"}}), 5, "it broke"),
    ],
)
def test_failures_have_codes_that_a_script_can_tell_apart(cli, serve, turn, code, message):
    done = cli("run", "go", env=to(serve(turn)))
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tool", "nowhere:f"], "'nowhere' can't be imported"),
        (["--tool", "mytools:triple"], "has no 'triple'; it has"),
        (["--tool", "mytools:limit"], "is a int, which can't be called"),
        (["--tool", "mytools"], "write module:function"),
        (["--tool", "broken:f"], "broken on purpose"),
        (["--tool", "broken.py:f"], "broken on purpose"),
        (["--tool", "leaves:f"], "importing 'leaves' failed: SystemExit"),
        (["--tool", "missing.py:f"], "no Python file"),
        (["--provider", "nobody"], "no provider named"),
        (["--provider", "cometapi"], "set COMETAPI_KEY"),
        (["--provider", "vllm"], "--model or AGENTRT_MODEL"),
        (["--max-turns", "0"], "max_turns must be a whole number, at least 1"),
    ],
)
def test_mistakes_of_the_caller(cli, arguments, message):
    env = {} if "--provider" in arguments else {"AGENTRT_BASE_URL": "http://127.0.0.1:9/v1", "AGENTRT_MODEL": "m"}
    done = cli("run", "go", *arguments, env=env)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_key_and_without_the_extra(cli, tmp_path):
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name in ('xllamacpp', 'typer') and not __import__('os').environ.get('SHOW_' + name) else find(name, *a)\n"
    )
    bare = cli("run", "go", env={"PYTHONPATH": str(tmp_path)})
    assert (bare.returncode, bare.stderr) == (
        2,
        "agentrt: the command line needs the extra 'cli': pip install 'agentrt[cli]'\n",
    )
    done = cli("run", "go", env={"PYTHONPATH": str(tmp_path), "SHOW_typer": "1"})
    assert done.returncode == 2
    assert "set OPENAI_API_KEY or COMETAPI_KEY" in done.stderr
    assert "pip install 'agentrt[local]'" in done.stderr
    demo = cli("demo", "--provider", "local", env={"PYTHONPATH": str(tmp_path), "SHOW_typer": "1"})
    assert demo.returncode == 2
    assert "pip install 'agentrt[local]'" in demo.stderr


def test_an_unreachable_server(cli):
    done = cli("run", "go", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    assert done.returncode == 4
    assert "Check the address" in done.stderr


def test_the_demo_through_a_provider(cli, serve, tmp_path):
    def model(request):
        last = request["input"][-1]
        if last["type"] == "function_call_output":
            return say(f"The answer is {last['output']}.")
        if "Calculate" in last["content"]:
            return calls(call("calculator", expression="1234 * 5678"))
        return calls(call("count_lines", path=last["content"].split()[-1].rstrip(".")))

    (tmp_path / "README.txt").write_text("one\ntwo\nthree")
    env = {"COMETAPI_KEY": "k", "COMETAPI_BASE_URL": serve(model, api_key="k").url}
    done = cli("demo", "--provider", "cometapi", env=env)
    assert done.returncode == 0, done.stderr
    for part in (
        "gpt-5.4 through cometapi",
        'calculator {"expression":"1234 * 5678"}',
        "7006652",
        " ms",
        "The answer is 7006652.",
        "README.txt",
        "The answer is 3.",
    ):
        assert part in done.stdout
    again = cli("demo", "--provider", "cometapi", "--json", env={**env, "COMETAPI_BASE_URL": serve(model).url})
    assert [json.loads(line)["text"] for line in again.stdout.splitlines()] == [
        "The answer is 7006652.",
        "The answer is 3.",
    ]


def test_ctrl_c_ends_at_once(serve, tmp_path):
    server = serve(say("late", delay=40))
    env = {**os.environ, **to(server)}
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom agentrt.cli import main; main()",
            "run",
            "go",
        ],
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 20
    while not server.requests and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_a_file_for_the_demo(tmp_path):
    assert pick_file(tmp_path) is None
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "folder").mkdir()
    assert pick_file(tmp_path) is None
    (tmp_path / "a.txt").write_text("x")
    assert pick_file(tmp_path) == "a.txt"
    (tmp_path / "readme.md").write_text("x")
    assert pick_file(tmp_path) == "readme.md"


def test_control_characters_are_shown_not_obeyed():
    assert visible("a\x1b[31m\u202eb\n\tc") == "a\\u001b[31m\\u202eb\n\tc"


def test_what_a_broken_reply_had_said_is_no_part_of_the_answer(serve, capsys, monkeypatch):
    from agentrt.cli import main

    script = [say("the first try, which breaks", cut_after=7), say("whole")]
    server = serve(*script)
    monkeypatch.setattr("sys.argv", ["agentrt", "run", "go", "--base-url", server.url, "--model", "m"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 0
    assert told.out.strip() == "whole"
    assert "asked for again" in told.err


# --- several agents, decisions


MORE_TOOLS = """
from agentrt import Agent, tool

@tool(approval=True)
def pay(amount: int) -> str:
    "Pay."
    return f"paid {amount}"

@tool
def double(n: int) -> int:
    "Double a number."
    return 2 * n

helper = Agent("m", name="helper", tools=[double]).as_tool()
"""


def test_calls_of_sub_agents_are_indented_and_what_they_say_is_no_answer(cli, serve, tmp_path):
    (tmp_path / "more.py").write_text(MORE_TOOLS)
    server = serve(calls(call("helper", task="x")), calls(call("double", n=21)), say("said inside"), say("It is 42."))
    done = cli("run", "go", "--tool", "more:helper", env=to(server))
    assert (done.returncode, done.stdout) == (0, "It is 42.\n")
    assert '  call    helper {"task":"x"}\n      call    double {"n":21}  helper\n      result  42' in done.stderr
    assert "  result  said inside" in done.stderr


def test_a_limit_is_told_in_words(cli, serve):
    server = serve(calls(call("double", n=1), call("double", n=2)), say("One."))
    done = cli("run", "go", "--tool", "mytools:double", "--max-tool-calls", "1", env=to(server))
    assert (done.returncode, done.stdout) == (0, "One.\n")
    assert "limit   max_tool_calls" in done.stderr


def test_what_waits_for_a_decision_has_a_code_of_its_own_where_nobody_can_be_asked(cli, serve, tmp_path):
    (tmp_path / "more.py").write_text(MORE_TOOLS)
    server = serve(calls(call("pay", amount=5)))
    done = cli("run", "go", "--tool", "more:pay", "--json", env=to(server), stdin="y\n")
    assert done.returncode == 7
    told = json.loads(done.stdout)
    assert (told["status"], told["pending"][0]["arguments"]) == ("pending", {"amount": 5})
    assert RunState.from_json(json.dumps(told["state"])).pending[0].id == told["pending"][0]["id"]
    assert "waits for a decision on pay" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(
    ("typed", "output", "code"),
    [("what\ny\n", "paid 5", 0), ("n\ntoo much\n", "denied: too much", 0), ("\x04", None, 7)],
)
def test_a_decision_is_asked_for_on_a_terminal(serve, tmp_path, typed, output, code):
    (tmp_path / "more.py").write_text(MORE_TOOLS)
    server = serve(calls(call("pay", amount=5)), say("done"))
    ours, theirs = os.openpty()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AGENTRT_", "OPENAI_", "COMETAPI_"))}
    command = [sys.executable, "-c", "from agentrt.cli import main; main()", "run", "go", "--tool", "more:pay"]
    done = subprocess.Popen(
        command, cwd=tmp_path, env={**clean, **to(server)}, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    with contextlib.suppress(OSError):  # Linux tells the end of a terminal in this way
        while more := os.read(ours, 4096):
            shown += more
    answer, _ = done.communicate(timeout=30)
    os.close(ours)
    assert done.returncode == code
    assert b"agent: pay" in shown
    assert output is None or output in server.requests[-1].json["input"][-1]["output"]
    assert (len(answer) > 0) == (code == 0)
