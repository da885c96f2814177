"""A 1 GiB event, body or gzip bomb: a typed error, and the process grows by less than 64 MiB."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("kind", "how", "library"),
    [
        ("event", "stream", "pool"),
        ("event", "stream", "httpx"),
        ("events", "stream", "pool"),
        ("comments", "stream", "pool"),
        ("body", "create", "pool"),
        ("body", "create", "httpx2"),
        ("bomb", "create", "pool"),
        ("bomb", "create", "httpx2"),
        ("bomb", "create", "httpx"),
        ("streamed-bomb", "stream", "pool"),
        ("streamed-bomb", "stream", "httpx"),
        ("error", "create", "pool"),
    ],
)
def test_a_gibibyte_of_anything_is_a_typed_error_and_memory_stays_flat(kind, how, library):
    server = subprocess.Popen([sys.executable, HERE / "raw_server.py", kind], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, HERE / "big.py", url, how, library], capture_output=True, text=True, timeout=50, check=True
        )
    finally:
        server.kill()
        server.communicate()
    error, grown = done.stdout.split()
    print(kind, how, library, error, grown, "MiB")
    assert error == ("StatusError" if kind == "error" else "WireError")
    assert float(grown) < 64
