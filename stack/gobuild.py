"""Builds our two Go programs once a content and keeps them for all checkouts of this user."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from driftd.errors import MistakeError
from stack.install import cache

HERE = Path(__file__).parent
SOURCES = ("main.go", "go.mod", "go.sum")
GO_OLDEST = (1, 24)


def built(name: str) -> Path | None:
    """The program of ``stack/NAME`` where it was built before."""
    path = _path(name)
    return path if path.exists() else None


def build(name: str, flags: Sequence[str] = ()) -> Path:
    """The program of ``stack/NAME``, built if it is not there.

    ``flags`` go to the linker. Raises ``MistakeError`` without a Go that is new enough, or with
    what the compiler said.
    """
    known = built(name)
    if known is not None:
        return known
    path = _path(name)
    compiler = go()
    # Other sessions may build the same: each writes a file of its own, and the last one stays.
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=path.parent) as folder:
        output = Path(folder) / name
        command = [
            *(
                "nice",
                "-n",
                "10",
                compiler,
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-mod=readonly",
            ),
            *("-ldflags", " ".join(("-s", "-w", *flags)), "-o", str(output), "."),
        ]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
        done = subprocess.run(
            command, cwd=HERE / name, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MistakeError(
                f"stack/{name} cannot be built by {compiler}:\n{done.stderr.strip()}"
            )
        output.replace(path)
    return path


def go() -> str:
    """The Go compiler. Raises ``MistakeError`` where there is none, or one that is too old."""
    oldest = ".".join(map(str, GO_OLDEST))
    found = shutil.which("go")
    if found is None:
        raise MistakeError(f"Go {oldest} or newer is needed and not on the PATH: go.dev/dl")
    said = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"go(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < GO_OLDEST:
        raise MistakeError(f"Go {oldest} or newer is needed, not {said.strip()}: go.dev/dl")
    return found


def _path(name: str) -> Path:
    digest = hashlib.sha256()
    for source in SOURCES:
        digest.update((HERE / name / source).read_bytes())
    return cache() / f"{name}-{digest.hexdigest()[:12]}"
