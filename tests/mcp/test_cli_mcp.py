"""``agentrt mcp`` on a file with good and bad servers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mcp.oauth_server import Login
from tests.mcp.parts import ROGUE
from tests.mcp.rogue_http import serving


@pytest.fixture
def folder(tmp_path):
    def entry(mode):
        return {"command": sys.executable, "args": [ROGUE, mode], "protocol": "2025-11-25", "connectTimeout": 3}

    servers = {
        "files": entry("rug-pull"),
        "gone": {"command": "there-is-no-such-command"},
        "unset": {"command": "x", "env": {"KEY": "${NOT_SET_ANYWHERE}"}},
        "off": {"command": "x", "disabled": True},
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    return tmp_path


def mcp(folder, *arguments, stdin="", **environment):
    program = Path(sys.executable).with_name("agentrt")
    told = {"cwd": folder, "env": {**os.environ, **environment}, "input": stdin, "text": True, "timeout": 60}
    return subprocess.run([program, "mcp", *arguments], **told, capture_output=True, check=False)


def test_a_list_says_how_each_server_is_doing(folder):
    done = mcp(folder, "list", "--json")
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert list(rows) == ["files", "gone", "unset"]
    assert (rows["files"]["state"], rows["files"]["protocol"]) == ("ready", "2025-11-25")
    assert "files__add" in rows["files"]["tools"]
    assert "there-is-no-such-command" in rows["gone"]["problem"]
    assert "mcpServers.unset.env.KEY" in rows["unset"]["problem"]
    shown = mcp(folder, "list")
    assert "ready" in shown.stdout
    assert "NOT_SET_ANYWHERE" in shown.stdout
    assert "Traceback" not in shown.stderr


def test_a_tool_is_called_once(folder):
    done = mcp(folder, "call", "files", "add", '{"a": 1, "b": 2}')
    assert (done.returncode, done.stdout) == (0, "3\n")
    done = mcp(folder, "call", "files", "add", "-", "--json", stdin='{"a": 1, "b": 2}')
    assert json.loads(done.stdout)["content"] == [{"type": "text", "text": "3"}]
    for arguments, words in {"[1]": "JSON object", "{": "no JSON"}.items():
        done = mcp(folder, "call", "files", "add", arguments)
        assert done.returncode == 2
        assert words in done.stderr
    done = mcp(folder, "call", "nope", "add")
    assert done.returncode == 2
    assert "files" in done.stderr


def test_a_server_is_looked_at(folder):
    told = json.loads(mcp(folder, "inspect", "files", "--json").stdout)
    add = next(tool for tool in told["tools"] if tool["original"] == "add")
    assert (add["name"], add["effect"], add["approval"]) == ("files__add", "unsafe", False)
    assert "files__add" in mcp(folder, "inspect", "files").stdout


def test_servers_are_pinned_and_held_to_it(folder):
    assert mcp(folder, "diff", "files").returncode == 1
    assert mcp(folder, "lock", "files").returncode == 0
    done = mcp(folder, "diff", "files")
    assert (done.returncode, done.stdout) == (0, "")
    lock = json.loads((folder / "mcp.lock.json").read_text())
    del lock["servers"]["files"]["tools"]["pid"]
    (folder / "mcp.lock.json").write_text(json.dumps(lock))
    done = mcp(folder, "diff", "files")
    assert done.returncode == 1
    assert "files/pid" in done.stdout
    assert mcp(folder, "approve", "files", "nope").returncode == 2
    assert mcp(folder, "approve", "files", "pid").returncode == 0
    assert mcp(folder, "diff", "files").returncode == 0


def test_a_login_is_made_once_and_kept(tmp_path):
    browser = tmp_path / "browser.py"
    browser.write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    kept = {"XDG_DATA_HOME": str(tmp_path), "NO_PROXY": "*", "BROWSER": f"{sys.executable} {browser} %s"}
    with serving(Login()) as origin:
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"shop": {"url": f"{origin}/mcp"}}}))
        done = mcp(tmp_path, "call", "shop", "add", '{"a": 1, "b": 2}', **kept)
        assert done.returncode == 3
        assert "agentrt mcp login shop" in done.stderr
        done = mcp(tmp_path, "login", "shop", **kept)
        assert done.returncode == 0, done.stderr
        assert "logged in" in done.stdout
        done = mcp(tmp_path, "call", "shop", "add", '{"a": 1, "b": 2}', **kept)
        assert (done.returncode, done.stdout.strip()) == (0, '{"result":3}')


def test_a_folder_without_a_file_says_so(tmp_path):
    done = mcp(tmp_path, "list")
    assert done.returncode == 2
    assert "--config" in done.stderr
