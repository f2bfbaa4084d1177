"""Loads Compose files as Docker Compose itself does, without an engine: compose-go tells what is wrong."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from driftd.errors import MistakeError
from stack.gobuild import build

# `$$` is how a file writes one dollar sign.
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)")


def load(files: Sequence[Path], environment: Mapping[str, str]) -> dict[str, Any]:
    """The project that the files make, all profiles in force.

    Only ``environment`` fills in variables, not this machine's. Raises ``MistakeError`` with what
    Compose says: an unknown key, a service or volume that is not there, a variable that is not set.
    """
    command = [str(build("composecheck")), *map(str, files)]
    known = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(
        command, env={**known, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise MistakeError(done.stderr.strip())
    project: dict[str, Any] = msgspec.json.decode(done.stdout)
    return project


def variables(file: Path) -> set[str]:
    """The names of all variables that a Compose file asks for; comments apart."""
    lines = (line.split(" #")[0] for line in file.read_text(encoding="utf-8").splitlines())
    return {name for line in lines if line.lstrip()[:1] != "#" for name in VARIABLE.findall(line)}


def env_file(path: Path) -> dict[str, str]:
    """Names and values of a file of ``NAME=value`` lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}
