"""Where the tests find node, the conformance suite and the reference servers, which `.ci/run` installs."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PREFIX = Path(os.environ.get("MCP_NPM_PREFIX", "")).absolute()
PACKAGES = PREFIX / "node_modules" / "@modelcontextprotocol"
BIN = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
OLDEST_NODE = 22


@cache
def missing():
    node = shutil.which("node", path=BIN)
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout if node else "v0"
    if int(version[1:].partition(".")[0]) < OLDEST_NODE:
        return f"it needs node {OLDEST_NODE} or newer: pip install -e '.[dev]' brings one"
    if not PACKAGES.is_dir():
        return "it needs the npm packages that .ci/run installs, and MCP_NPM_PREFIX, the folder that they are in"
    return None


needs_npm = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def script(package):
    """Give a package's program, as node takes it."""
    return str(next((PACKAGES / package / "dist").glob("index.js")))
