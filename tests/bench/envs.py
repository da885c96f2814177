"""An environment of its own for each peer, made once with the packages that its adapter names (PEP 723)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from platformdirs import user_cache_path

INSTALL_SECONDS = 900


class EnvError(Exception):
    """The peer can't be installed."""


def packages(adapter: Path) -> list[str]:
    """Read the pinned packages from the block at the top of the file."""
    block = re.search(r"(?m)^# /// script\n((?:#.*\n)+?)# ///$", adapter.read_text(encoding="utf-8"))
    if block is None:
        raise EnvError(f"{adapter} names no packages: it needs a block '# /// script' with dependencies")
    return tomllib.loads(re.sub(r"(?m)^# ?", "", block[1]))["dependencies"]


def interpreter(adapter: Path, folder: Path | None) -> str:
    """Give the Python of the peer's environment, which is made or reused.

    Args:
        adapter: The peer's file.
        folder: Where environments are kept; default the user's cache.
    """
    wanted = "\n".join([sys.version, *packages(adapter)])
    home = (folder or user_cache_path("agentrt") / "bench").absolute() / adapter.stem
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = home / "ready.txt"
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return str(python)
    print(f"installing {', '.join(packages(adapter))} into {home}", file=sys.stderr)
    if home.exists() and not (home / "pyvenv.cfg").exists():
        raise EnvError(f"{home} is there and is no virtual environment; choose another folder with --envs")
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages(adapter)]
    try:
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        raise EnvError(f"{adapter.stem} could not be installed: {error}") from error
    ready.write_text(wanted, encoding="utf-8")
    return str(python)
