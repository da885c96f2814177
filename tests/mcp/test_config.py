import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentrt import UsageError
from agentrt.bridges.mcp.config import read_config
from agentrt.bridges.mcp.expand import dotenv
from agentrt.bridges.mcp.jsonc import parse_jsonc

CONFIGS = Path(__file__).with_name("data") / "configs"
SECRET = "s3cr3t-value"


def servers_of(source, **options):
    return {entry.name: entry for entry in read_config(source, **options).servers}


def one(entry, **options):
    """Read a configuration of one server."""
    options.setdefault("environ", {"HOME": "/home/me", "SET": "value", "EMPTY": "", "SECRET": SECRET, "LOOP": "${SET}"})
    return read_config({"mcpServers": {"a": entry}}, **options).servers[0]


@pytest.fixture
def project(tmp_path):
    """Put files of the collection where their editors have them; gives the path of the first."""

    def put(**files):
        for name, place in files.items():
            target = tmp_path / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(next(CONFIGS.glob(f"{name}.*")), target)
        return tmp_path / next(iter(files.values()))

    return put


# --- files as clients have them


def test_a_file_of_claude_desktop():
    config = read_config(CONFIGS / "claude_desktop_config.json", environ={})
    files, tides = config.servers
    assert (files.command, files.args[-1], files.problem) == ("npx", "/srv/music", None)
    assert (tides.name, tides.args) == ("Tide Tables", ("tide-tables-mcp", "--port", "8765"))
    assert tides.env == {"TIDE_KEY": "tk-literal-1", "TIDE_VERBOSE": "true", "TIDE_RETRIES": "3"}
    assert config.warnings == ()
    assert config.path == CONFIGS / "claude_desktop_config.json"


def test_a_file_of_claude_code():
    config = read_config(CONFIGS / "claude_code.json", environ={"ORDERS_TOKEN": SECRET, "LEDGER_DB": "/tmp/l.db"})
    orders, ledger, legacy, mail = config.servers
    assert (orders.url, orders.headers, orders.sse) == (
        "https://orders.example.com/mcp",
        {"Authorization": f"Bearer {SECRET}"},
        False,
    )
    assert orders.timeout == 120
    assert (ledger.command, ledger.args[-1], ledger.env) == (
        "/opt/ledger/bin/serve",
        "/tmp/l.db",
        {"LEDGER_PRICE": "$5 flat"},
    )
    assert legacy.sse
    assert mail.oauth == {"client_id": "agentrt-desk", "redirect_port": 8912}
    assert config.warnings == (
        "mcpServers.mail.oauth.authServerMetadataUrl: not known to agentrt; it is kept and not used",
    )


def test_a_file_of_cursor_knows_its_project(project):
    path = project(cursor=".cursor/mcp.json", dotenv=".env")
    root = path.parent.parent
    servers = servers_of(path, environ={"HOME": "/home/me", "LINT_TOKEN": SECRET, "WIKI_KEY": "w"})
    lint, wiki = servers["lint"], servers["wiki"]
    assert lint.args == (f"{root}{os.sep}tools{os.sep}lint.js", "--home", "/home/me")
    assert lint.cwd == str(root)
    assert lint.env == {
        "REGION": "from-file",
        "PLAIN": "a value",
        "SINGLE": "${NOT_EXPANDED} # as it is",
        "DOUBLE": 'line one\nline "two"',
        "HASH": "a#b",
        "COLOUR": "#fff",
        "EMPTY": "",
        "LINT_TOKEN": SECRET,
        "LINT_NAME": root.name,
    }
    assert wiki.sse, "an address that ends in /sse, and no type"
    assert wiki.oauth == {"client_id": "cursor-1", "scopes": ["read", "search"]}


def test_a_file_of_vs_code_has_comments_commas_and_inputs(project):
    path = project(vscode=".vscode/mcp.json", dotenv=".env")
    config = read_config(path, environ={}, inputs={"deploy-key": SECRET})
    deploy, docs = config.servers
    assert deploy.args[-2:] == ("--stage=test", "north")
    assert deploy.env["KEY"] == SECRET
    assert (deploy.env["REGION"], deploy.env["HASH"]) == ("north", "a#b"), "env goes over envFile"
    assert (docs.url, docs.headers) == ("https://docs.example.com/mcp", {"X-Key": SECRET})
    assert config.warnings == ("servers.deploy.dev: not known to agentrt; it is kept and not used",)
    assert deploy.extra == {"dev": {"watch": "src/**/*.ts"}}


def test_an_input_is_asked_for_once_and_never_for_a_server_that_is_off(project):
    asked = []

    def ask(definition):
        asked.append(definition)
        return SECRET if definition.get("password") else None

    deploy, docs = read_config(project(vscode=".vscode/mcp.json", dotenv=".env"), inputs=ask).servers
    assert (deploy.problem, docs.problem, docs.headers) == (None, None, {"X-Key": SECRET})
    assert [definition["id"] for definition in asked] == ["stage", "region", "deploy-key"]
    assert asked[0]["options"] == ["test", "live"]

    asked.clear()
    off = {"command": "x", "env": {"KEY": "${input:key}"}, "disabled": True}
    (entry,) = read_config({"servers": {"off": off}}, inputs=ask).servers
    assert (entry.disabled, entry.problem, asked) == (True, None, [])


def test_the_settings_of_vs_code_have_servers_under_mcp():
    (search,) = read_config(CONFIGS / "vscode_settings.json", inputs={"token": SECRET}).servers
    assert search.env == {"TOKEN": SECRET}
    (search,) = read_config(CONFIGS / "vscode_settings.json").servers
    assert search.problem == (
        "mcp.servers.search.env.TOKEN: the input token has no value; pass inputs={'token': …}, or give it a default"
    )


def test_a_file_of_windsurf_reads_a_token_from_a_file():
    figures, off = read_config(CONFIGS / "windsurf_mcp_config.json", environ={"TEAM": "blue"}).servers
    assert figures.url == "https://figures.example.com/mcp"
    assert figures.headers == {"Authorization": "Bearer wt-from-file", "X-Team": "blue"}
    assert figures.deny == ("delete_figure",)
    assert (off.disabled, off.problem) == (True, None)


def test_a_file_of_copilot_names_its_tools():
    servers = servers_of(CONFIGS / "copilot.json")
    assert (servers["browser"].command, servers["browser"].allow, servers["browser"].timeout) == ("npx", None, 30)
    assert servers["errors"].allow == ("get_issue_details", "get_issue_summary")
    assert (servers["nothing"].allow, servers["nothing"].sse) == ((), True)


def test_a_file_of_cline_has_seconds_and_tools_that_needn_t_be_asked_for():
    config = read_config(CONFIGS / "cline_mcp_settings.json")
    weather, slow = config.servers
    assert weather.approve == ("get_forecast", "get_alerts")
    assert weather.timeout == 90
    assert (slow.sse, slow.timeout) == (False, 1.8)
    assert config.warnings == (
        "mcpServers.slow.timeout: 1800 is read as milliseconds; if seconds are meant, write 1800000",
    )


# --- what texts stand for


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("plain", "plain"),
        ("${SET}", "value"),
        ("a${SET}b${env:SET}c{env:SET}", "avaluebvaluecvalue"),
        ("${UNSET:-other}", "other"),
        ("${UNSET:-}", ""),
        ("${env:UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("$SET %SET% $(SET) {SET} {env}", "$SET %SET% $(SET) {SET} {env}"),
        ("${LOOP}", "${SET}"),
        ("${UNSET:-$SET}", "$SET"),
        ("$${SET}", "$value"),
        ("${userHome}/x", "/home/me/x"),
        ("~/x", "~/x"),
        ("${pathSeparator}${/}", os.sep * 2),
        ("{env:UNSET}", "the environment variable UNSET is not set; set it, or write ${UNSET:-default}"),
        ("x${UNSET}", "the environment variable UNSET is not set; set it, or write ${UNSET:-default}"),
        ("${UNSET", "a ${ has no }"),
        ("${UNSET:-${SET}}", "a ${…} within a ${…} is not read"),
        ("${command:pick}", "${command:pick} is not known; there are ${NAME}"),
        ("${}", "${} is not known"),
        ("${file:nowhere.txt}", "there is no file nowhere.txt"),
        ("${file:/}", "/ is no file"),
        (f"${{file:{'x' * 300}}}", "can't be read (File name too long)"),
        ("a\0b", "NUL"),
    ],
)
def test_what_a_text_stands_for(written, expanded):
    entry = one({"command": "run", "args": [written], "env": {"X": written}})
    if entry.problem is None:
        assert (entry.args, entry.env) == ((expanded,), {"X": expanded})
    else:
        assert entry.problem.startswith("mcpServers.a.args[0]: ")
        assert expanded in entry.problem


def test_everything_that_may_hold_a_variable_is_expanded():
    entry = one({"command": "~/${SET}", "args": ["${SET}"], "env": {"X": "${SET}"}, "cwd": "~/${SET}"})
    assert (entry.command, entry.args, entry.env, entry.cwd) == (
        "/home/me/value",
        ("value",),
        {"X": "value"},
        "/home/me/value",
    )
    entry = one({"url": "https://${SET}.example.com", "headers": {"X": "${SET}"}, "oauth": {"clientId": "${SET}"}})
    assert (entry.url, entry.headers, entry.oauth) == (
        "https://value.example.com",
        {"X": "value"},
        {"client_id": "value"},
    )


def test_a_folder_is_meant_from_the_project_on(project):
    path = project(claude_desktop_config=".vscode/mcp.json")
    path.write_text('{"servers": {"a": {"command": "x", "cwd": "sub", "env": {"W": "${workspaceFolder}"}}}}')
    (entry,) = read_config(path).servers
    assert (entry.cwd, entry.env["W"]) == (str(path.parent.parent / "sub"), str(path.parent.parent))
    assert Path(one({"command": "x", "cwd": "${workspaceFolder}"}).cwd) == Path.cwd()


def test_what_a_file_holds_is_bounded_and_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "big").write_text("x" * 70_000)
    os.mkfifo(tmp_path / "pipe")
    for name, told in [("big", "is bigger than"), ("pipe", "is no file")]:
        assert told in one({"command": "x", "args": [f"${{file:{tmp_path / name}}}"]}).problem


def test_no_expanded_value_is_shown_anywhere(tmp_path):
    (tmp_path / "secret.txt").write_text(f"{SECRET}\n\n{SECRET}")
    entries = {
        "args": {"command": "${SECRET}", "args": ["${SECRET}"], "env": {"K": "${SECRET}"}, "cwd": "${SECRET}"},
        "url": {"url": "https://${SECRET}.example.com/?k=${SECRET}", "headers": {"K": "${SECRET}"}},
        "bad url": {"url": "${SECRET}"},
        "bad header": {"url": "https://a.example.com", "headers": {"K": "a${file:secret.txt}"}},
        "bad file": {"command": "x", "envFile": "${SECRET}"},
        "bad lines": {"command": "x", "envFile": "secret.txt"},
        "unknown": {"command": "x", "literal": SECRET, "timeout": SECRET},
    }
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": entries}))
    config = read_config(path, environ={"SECRET": SECRET})
    assert SECRET not in f"{config} {config.servers} {config.warnings} {[entry.problem for entry in config.servers]}"
    assert [entry.problem is None for entry in config.servers] == [True, True, False, False, False, False, False]
    assert SECRET not in str([entry.written for entry in config.servers[:6]]), "what is pinned holds no value"


def test_lines_of_an_env_file():
    assert dotenv('A=1\r\n\n # note\nexport B = two words # note\nC=\'x"#y\' # n\nD="a\\tb\\$"\nE=\nF=a=b') == {
        "A": "1",
        "B": "two words",
        "C": 'x"#y',
        "D": "a\tb$",
        "E": "",
        "F": "a=b",
    }
    for broken in ["just words", "A='open", '="x"', "A='x' y"]:
        with pytest.raises(Exception, match=r"line 2 of the file is not like NAME=value"):
            dotenv(f"OK=1\n{broken}")


# --- one bad server


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (None, "mcpServers.a: must be an object"),
        ("npx", "mcpServers.a: must be an object"),
        ({}, "mcpServers.a: has neither a command nor a url"),
        ({"command": "x", "url": "https://e.com"}, "mcpServers.a: has a command and a url"),
        ({"command": ["x"]}, "mcpServers.a.command: must be a text"),
        ({"command": "${EMPTY}"}, "mcpServers.a.command: is empty"),
        ({"command": "x", "args": "y"}, "mcpServers.a.args: must be a list"),
        ({"command": "x", "args": [None]}, "mcpServers.a.args[0]: must be a text"),
        ({"command": "x", "env": ["A=1"]}, "mcpServers.a.env: must be an object"),
        ({"command": "x", "env": {"A": {}}}, "mcpServers.a.env.A: must be a text"),
        ({"command": "x", "env": {"A=": "1"}}, 'mcpServers.a.env["A="]: no environment variable'),
        ({"command": "x", "envFile": "/nowhere/.env"}, "mcpServers.a.envFile: there is no file /nowhere/.env"),
        ({"type": "stdio", "url": "https://e.com"}, "mcpServers.a: its type is stdio, which needs a command"),
        ({"type": "http", "command": "x"}, "mcpServers.a: its type is http, which needs a url"),
        ({"type": "ws", "url": "wss://e.com"}, "mcpServers.a.type: must be stdio, http or sse"),
        ({"transport": {"type": "http"}, "url": "https://e.com"}, "mcpServers.a.transport: must be stdio"),
        ({"url": "e.com/mcp"}, "mcpServers.a.url: must be a full address"),
        ({"serverUrl": "file:///etc/passwd"}, "mcpServers.a.serverUrl: must be a full address"),
        ({"url": "https://e.com:99999/"}, "mcpServers.a.url: must be a full address"),
        ({"url": "https://[/"}, "mcpServers.a.url: must be a full address"),
        ({"url": "https://e.com", "headers": {"A": "x\r\nB: y"}}, "mcpServers.a.headers.A: a header is one line"),
        ({"url": "https://e.com", "auth": SECRET}, "mcpServers.a.auth: must be an object"),
        ({"command": "x", "disabled": "yes"}, "mcpServers.a.disabled: must be true or false"),
        ({"command": "x", "trusted": 1}, "mcpServers.a.trusted: must be true or false"),
        ({"command": "x", "timeout": "60"}, "mcpServers.a.timeout: must be a number"),
        ({"command": "x", "timeout": 0}, "mcpServers.a.timeout: must be a number"),
        ({"command": "x", "timeout": True}, "mcpServers.a.timeout: must be a number"),
        ({"command": "x", "timeout": 10**400}, "mcpServers.a.timeout: must be a number"),
        ({"command": "x", "connectTimeout": -1}, "mcpServers.a.connectTimeout: must be a number"),
        ({"command": "x", "tools": {"b": {}}}, "mcpServers.a.tools: must be a list of names"),
        ({"command": "x", "autoApprove": [1]}, "mcpServers.a.autoApprove: must be a list of names"),
        ({"command": "x", "protocol": "2020-01-01"}, "mcpServers.a.protocol: must be one of auto"),
    ],
)
def test_a_bad_entry_costs_that_server_only(entry, problem):
    config = read_config({"mcpServers": {"a": entry, "b": {"command": "x"}}}, environ={"EMPTY": ""})
    bad, good = config.servers
    assert bad.problem.startswith(problem)
    assert SECRET not in bad.problem
    assert good.problem is None


@pytest.mark.parametrize(
    ("written", "seconds"), [(0.5, 0.5), (60, 60), (999, 999), (1000, 1), (60_000, 60), (600_000, 600), (None, None)]
)
def test_a_timeout_below_a_thousand_is_seconds_and_else_milliseconds(written, seconds):
    assert one({"command": "x", "timeout": written}).timeout == seconds


def test_agentrt_has_keys_of_its_own():
    entry = one(
        {
            "command": "x",
            "protocol": "2025-11-25",
            "trusted": True,
            "inheritEnv": ["SSH_AUTH_SOCK"],
            "connectTimeout": 90,
            "description": "What it is for",
            "enabled": True,
        }
    )
    assert (entry.protocol, entry.trusted, entry.inherit_env) == ("2025-11-25", True, ("SSH_AUTH_SOCK",))
    assert (entry.connect_timeout, entry.description) == (90, "What it is for")


@pytest.mark.parametrize(
    ("entry", "oauth"),
    [
        ({"oauth": True}, {}),
        ({"auth": "oauth"}, {}),
        ({"oauth": {"clientId": "c", "scopes": ["a"]}}, {"client_id": "c", "scopes": ["a"]}),
        ({"auth": {"CLIENT_ID": "c", "CLIENT_SECRET": "${SECRET}"}}, {"client_id": "c", "client_secret": SECRET}),
        ({"oauth": False}, None),
        ({}, None),
    ],
)
def test_a_login_is_said_in_several_ways(entry, oauth):
    assert one({"url": "https://e.com", **entry}).oauth == oauth


def test_reading_a_configuration_does_not_load_the_sdk():
    code = (
        "import sys, agentrt.bridges.mcp.config, agentrt.bridges.mcp.verdicts, agentrt.bridges.mcp.trust; "
        "print([name for name in ('mcp', 'mcp_types', 'jsonschema') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_server_is_off_by_either_word():
    assert one({"command": "x", "disabled": True}).disabled
    assert one({"command": "x", "enabled": False}).disabled
    assert not one({"command": "x", "enabled": True, "disabled": False}).disabled


def test_a_tool_must_pass_every_list_of_tools():
    entry = one({"command": "x", "enabledTools": ["a", "b"], "includeTools": ["b", "c"], "tools": ["*"]})
    assert entry.allow == ("b",)
    assert one({"command": "x", "excludeTools": ["a"], "disabledTools": ["b"]}).deny == ("b", "a")


def test_any_name_is_kept_and_what_is_invisible_in_it_is_shown():
    names = ["a.b", "ö ä", "x\u202ey", 'q"', "__proto__"]
    config = read_config({"mcpServers": {name: {"command": "x", "odd": 1} for name in [*names, ""]}})
    assert [entry.name for entry in config.servers] == names
    assert config.warnings[2] == r'mcpServers["x\\u202ey"].odd: not known to agentrt; it is kept and not used'
    assert "a server without a name is left out" in config.warnings[-1]


# --- the file as a whole


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no JSON: Expecting value at line 1 column 1"),
        ('{"mcpServers": {\n  "ä": {"command": "x" "args": []}\n}}', "at line 2 column 24"),
        ('{"mcpServers": {} /* open', "is no JSON"),
        ('{"mcpServers": {"a": {"timeout": NaN}}}', "is no JSON"),
        ('{"a": "\\ud83d"}', "is no JSON"),
        ("[" * 100_000, "is no JSON: recursion limit"),
        ("[]", "names no servers"),
        ("{}", "names no servers"),
        ('{"github": {"command": "npx"}}', "names no servers"),
        ('{"mcp": 5}', "names no servers"),
        ('{"mcpServers": []}', "mcpServers must be an object"),
        ('{"servers": null}', "servers must be an object"),
        ('{"mcpServers": {}, "mcpServers": {}}', "has mcpServers twice"),
    ],
)
def test_a_file_that_can_t_be_read_says_what_to_do(tmp_path, text, told):
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=str(path)) as caught:
        read_config(path)
    assert told in str(caught.value)


def test_a_file_that_isn_t_there_or_isn_t_text(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file .*nowhere\.json; create it"):
        read_config(tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match="is no file"):
        read_config(tmp_path)
    (tmp_path / "utf16.json").write_bytes('{"mcpServers": {}}'.encode("utf-16"))
    with pytest.raises(UsageError, match=r"is no UTF-8 text .* save it as UTF-8"):
        read_config(tmp_path / "utf16.json")
    with pytest.raises(UsageError, match="the MCP configuration is no JSON"):
        read_config({"mcpServers": {"a": {"command": object()}}})


def test_a_byte_order_mark_is_no_part_of_it(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"mcpServers": {"a": {"command": "x"}}}')
    assert servers_of(path)["a"].command == "x"


def test_two_servers_of_one_name_are_not_guessed_between(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_text(
        '{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}, "b": {"command": "x", "env": {"K": 1, "K": 2}}, '
        '"c": {"command": "x"}, "d": {"command": "x"}}, "servers": {"c": {"command": "z"}}}'
    )
    servers = servers_of(path)
    assert servers["a"].problem == "mcpServers.a: there are two servers of this name; rename or remove one"
    assert servers["b"].problem == "mcpServers.b.env.K: is there twice; keep one"
    assert servers["c"].problem == "servers.c: there are two servers of this name; rename or remove one"
    assert servers["c"].command is None
    assert servers["d"].problem is None


# --- JSON with comments


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "// no /* comment */ ,]"}', {"a": "// no /* comment */ ,]"}),
        ('// x\n{"a": [1, /* , */ 2,],}\n// y', {"a": [1, 2]}),
        (r'["\\", "\"//", 1, // ]' + "\n]", ["\\", '"//', 1]),
        ("[1 /* a // b */, 2 // c /* d\n]", [1, 2]),
        ("[1,\r\n]", [1]),
        ("[,]", None),
        ("{,}", None),
        ("[1,,]", None),
        ("[1 /* ]", None),
        ('["a // b]', None),
        ("[1] [2]", None),
        ("['a']", None),
    ],
)
def test_comments_and_last_commas(text, value):
    if value is None:
        with pytest.raises(ValueError, match="line 1"):
            parse_jsonc(text)
    else:
        assert parse_jsonc(text) == value


def test_whatever_is_json_reads_the_same_however_it_is_commented():
    seed = random.randrange(2**32)
    print("seed", seed)
    chosen = random.Random(seed)
    for _ in range(300):
        value = random_value(chosen, 4)
        assert parse_jsonc(json.dumps(value, ensure_ascii=chosen.random() < 0.5)) == value
        assert parse_jsonc(commented(chosen, value)) == value


def random_value(chosen, depth):
    kind = chosen.randrange(7 if depth else 5)
    if kind == 5:
        return [random_value(chosen, depth - 1) for _ in range(chosen.randrange(4))]
    if kind == 6:
        return {random_text(chosen): random_value(chosen, depth - 1) for _ in range(chosen.randrange(4))}
    return [None, True, chosen.randrange(-(10**9), 10**9), chosen.uniform(-1e6, 1e6), random_text(chosen)][kind]


def random_text(chosen):
    return "".join(
        chosen.choice(['"', "\\", "//", "/*", "*/", ",", "]", "}", "\n", "a", "é", "😀", " ", "\u2028"])
        for _ in range(chosen.randrange(8))
    )


def commented(chosen, value):
    """Write a value with comments, blanks and last commas wherever they may stand."""

    def gap():
        return chosen.choice(["", " ", "\n", '/* ,]} " */', '// " /* ]\n', "/**/", "\t//\n"])

    def members(parts):
        return f",{gap()}".join(parts) + (chosen.choice(["", f"{gap()},"]) if parts else "")

    if isinstance(value, list):
        return f"{gap()}[{gap()}{members([commented(chosen, part) for part in value])}{gap()}]{gap()}"
    if isinstance(value, dict):
        pairs = [f"{gap()}{json.dumps(key)}{gap()}:{commented(chosen, part)}" for key, part in value.items()]
        return f"{gap()}{{{gap()}{members(pairs)}{gap()}}}{gap()}"
    return f"{gap()}{json.dumps(value)}{gap()}"


@pytest.mark.parametrize(
    "text", ["/*" * 500_000, '"' + '\\"' * 500_000, "[" + " " * 1_000_000, ",   " * 250_000, '{"a":1,' * 100_000]
)
def test_a_broken_file_is_refused_in_time_that_grows_with_its_size_only(text):
    start = time.perf_counter()
    with pytest.raises(ValueError, match="line 1"):
        parse_jsonc(text)
    assert time.perf_counter() - start < 5


def test_keys_that_are_there_twice_are_found_in_no_time():
    start = time.perf_counter()
    table = parse_jsonc("{" + ",".join(f'"k{number % 50_000}":1' for number in range(100_000)) + "}")
    assert len(table.repeated) == 50_000
    assert time.perf_counter() - start < 5
