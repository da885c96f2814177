"""The command ``agentrt``. It needs the extra ``cli``; without it, it says how to install it."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the script ``agentrt``."""
    if importlib.util.find_spec("typer") is None or importlib.util.find_spec("rich") is None:
        print("agentrt: the command line needs the extra 'cli': pip install 'agentrt[cli]'", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    from agentrt.cli.app import run_app  # noqa: PLC0415 - typer and rich are an extra

    run_app()
