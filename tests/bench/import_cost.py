"""CPU time of `import agentrt` against importing the four libraries it stands on, in pairs. Run it by hand.

``python tests/bench/import_cost.py [PAIRS]`` prints each pair's ratio and their median; the goal is at most 1.3.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

FLOOR = "import pydantic, httpx2, anyio, docstring_parser"
COMMAND = "import time\nstart = time.process_time()\n{}\nprint(time.process_time() - start)"


# Without bytecode on disk it would be the compiler that is measured.
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def cpu(statement: str) -> float:
    command = [sys.executable, "-c", COMMAND.format(statement)]
    return float(subprocess.run(command, env=ENV, capture_output=True, text=True, check=True).stdout)


pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
cpu(FLOOR), cpu("import agentrt")
ratios = []
for _ in range(pairs):
    floor, ours = cpu(FLOOR), cpu("import agentrt")
    ratios.append(ours / floor)
    print(f"{floor * 1000:.0f} ms  {ours * 1000:.0f} ms  {ours / floor:.2f}")
print(f"median {statistics.median(ratios):.2f}")
