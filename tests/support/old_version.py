"""The release v0.1.0, unpacked from the sources that ``tests/data`` holds, and run beside this one."""

import sys
import tarfile
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"
SOURCES = DATA / "driftd-0.1.0.tar.xz"


def unpack_old(folder: Path) -> Path:
    """The folder that holds v0.1.0's packages."""
    with tarfile.open(SOURCES) as archive:
        archive.extractall(folder, filter="data")
    return folder


def old_command(*arguments: str) -> list[str]:
    """``driftd …`` of v0.1.0, when ``old_environment`` is its environment. ``-P``: the folder in
    which it starts is not searched first, for it holds this version."""
    return [sys.executable, "-P", "-m", "driftd.cli.main", *arguments]


def old_environment(folder: Path) -> dict[str, str]:
    """What makes Python find ``folder``'s packages before those of this version."""
    return {"PYTHONPATH": f"{folder}:{folder / 'recorder'}"}
