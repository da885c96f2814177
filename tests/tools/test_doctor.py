"""What the doctor says, and what the commands print."""

import json
import os
import subprocess
import sys
from typing import Annotated, Any

import pytest

from agentrt import Context, Tool, tool
from agentrt.registry.doctor import examine


@tool(effect="pure")
def fine(city: str) -> str:
    """Say the weather.

    Args:
        city: Name of the city.
    """
    return city


def findings(function, **options):
    ((_, _, found),) = examine([Tool(function, **options)])
    return [f"{level}: {text}" for level, text in found]


def test_a_good_tool_has_no_findings():
    ((name, tokens, found),) = examine([fine])
    assert (name, found) == ("fine", [])
    assert 30 < tokens < 80


def test_what_a_model_cannot_know():
    def work(a, b: Any, c: list, d: dict[str, Any], e: int | list, ctx: Context, *more: int) -> None:
        """Work.

        Args:
            a: One.
            b: Two.
            x: Not there.
            ctx: The context.
            more: More.
        """

    found = findings(work, effect="pure")
    assert "warning: the docstring describes 'x', which is no parameter; correct the name" in found
    assert "warning: 'a' has no type, so the model can't know what to give; annotate it" in found
    for name in "bcde":
        assert f"warning: '{name}' takes any value, so the model can't know what to give; name a type" in found
    for name in "cde":
        assert f"warning: '{name}' has no description; describe it in the docstring" in found
    assert "note: it is not strict, as 'a' may hold anything, which strict mode can't say" in found
    assert not any("'more' has no desc" in text or "'ctx'" in text for text in found)


def test_what_is_missing_or_odd():
    def größe(x: Annotated[int, "How big."]) -> None: ...  # noqa: PLC2401

    found = findings(größe)
    assert "warning: it has no description; write a docstring that says what it is for, and when to use it" in found
    assert any("the wire doesn't take its name, so the model sees 'gr_" in text for text in found)
    assert any("its effect is not declared" in text for text in found)


def test_what_cannot_be_a_tool():
    def work(x: object()) -> None: ...

    (one, two, three) = examine([work, fine, fine])
    assert one.tokens is None
    assert one.findings[-1].level == "error"
    assert "parameter 'x' has the type" in one.findings[-1].text
    assert two.findings == three.findings
    assert two.findings[0].text == "2 tools have the name 'fine'; rename one with @tool(name=…)"


@pytest.mark.parametrize("works", [True, False])
def test_tokens_are_counted_where_tiktoken_is(monkeypatch, tmp_path, works):
    body = "def get_encoding(name):\n    return __import__('types').SimpleNamespace(encode=lambda text: [1] * 7)\n"
    (tmp_path / "tiktoken.py").write_text(
        body if works else "def get_encoding(name):\n    raise OSError('no way there')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiktoken", raising=False)
    ((_, tokens, _),) = examine([fine])
    assert (tokens == 7) is works
    monkeypatch.delitem(sys.modules, "tiktoken", raising=False)


# --- the commands


@pytest.fixture
def cli(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from agentrt import Registry, tool\n"
        "@tool(effect='pure')\ndef price(item: str) -> float:\n    '''Price.\n\n    Args:\n        item: What.\n    '''\n"
        "registry = Registry([price])\n\ndef helper(x: int) -> int: ...\n"
    )
    (tmp_path / "plain.py").write_text(
        "from json import dumps\n\ndef double(n: int) -> int:\n    'Double.'\n\ndef _hidden(): ...\n"
    )
    (tmp_path / "twice.py").write_text("from agentrt import Tool\na = Tool(len, name='x')\nb = Tool(abs, name='x')\n")
    (tmp_path / "empty.py").write_text("limit = 3\n")

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", "from agentrt.cli import main; main()", *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


def test_the_definitions_of_a_module(cli):
    done = cli("tools", "shop")
    (definition,) = json.loads(done.stdout)
    assert (done.returncode, definition["name"]) == (0, "price")
    assert len(cli("tools", "plain", "--json").stdout.splitlines()) == 1
    assert [entry["name"] for entry in json.loads(cli("tools", "plain.py").stdout)] == ["double"]
    assert [entry["name"] for entry in json.loads(cli("tools", "shop:registry").stdout)] == ["price"]
    assert [entry["name"] for entry in json.loads(cli("tools", "shop.py:helper").stdout)] == ["helper"]


def test_the_doctor_of_a_module(cli):
    done = cli("doctor", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("price  about ")
    assert done.stdout.rstrip().endswith("tokens in each request")
    done = cli("doctor", "plain", "--json")
    (one,) = json.loads(done.stdout)
    assert (one["name"], done.returncode) == ("double", 0)
    assert {"level", "text"} == one["findings"][0].keys()
    done = cli("doctor", "statistics")
    assert done.returncode == 0
    assert "mean  about" in done.stdout
    assert "'data' has no type" in done.stdout
    done = cli("doctor", "twice")
    assert done.returncode == 1
    assert "2 tools have the name 'x'" in done.stdout
    done = cli("doctor", "pathlib:Path.read_text")
    assert done.returncode == 1
    assert "is a method without its object" in done.stdout


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("empty", "'empty' has no tools and no public functions of its own; name one: empty:function"),
        ("nowhere", "the module 'nowhere' can't be imported"),
        ("shop:nothing", "shop has no 'nothing'; it has"),
        ("empty:limit", "'limit' is a int, which can't be called"),
    ],
)
def test_what_cannot_be_looked_at(cli, spec, told):
    for command in ("tools", "doctor"):
        done = cli(command, spec)
        assert done.returncode == 2
        assert told in done.stderr
