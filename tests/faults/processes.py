"""Processes of their own, to be talked to and killed."""

import subprocess
import sys
from pathlib import Path

__all__ = ["python"]

ROOT = Path(__file__).parent.parent.parent


def python(code, *arguments, **options):
    """Start a Python that finds this agentrt, from any folder. It is killed when its ``with`` is left early."""
    preamble = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    return Process(
        [sys.executable, "-c", preamble + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


class Process(subprocess.Popen):
    def __exit__(self, kind, *rest):
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)
