"""What the tests of runs share."""

import json
import os
import subprocess
import sys
from pathlib import Path

from agentrt.wire.items import Item

ROOT = Path(__file__).parents[2]


def outputs(ran) -> list:
    """Give the outputs of all calls that a run added, in order."""
    items: list[Item] = ran.items if hasattr(ran, "items") else ran
    return [item.raw["output"] for item in items if item.type == "function_call_output"]


def asks_server(name="search", arguments='{"q": "cats"}', number=1, **more):
    """Make the item by which a hosted MCP server asks for approval."""
    item = {"type": "mcp_approval_request", "id": f"mcpr_{number}", "server_label": "docs", "name": name}
    return {**item, "arguments": arguments, **more}


def python(code: str, *arguments: str, stdin: str = "", **environment: str) -> dict:
    """Run code in a fresh process; gives the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
