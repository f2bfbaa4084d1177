"""Each peer in an environment of its own, made once of its lock file; a run of one as a child."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.errors import MistakeError
from stack.install import cache

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TIMEOUT_S = 1_800
_SAID_CHARACTERS = 800
# One thread each, wherever a library would start more; and nothing is reported home.
_ALONE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One of those compared. ``lock``: its lock file, None for our own environment; ``isolated``:
    whether it runs without our code in reach."""

    name: str
    lock: Path | None = None
    isolated: bool = True

    def install(self) -> Path:
        """Its interpreter, after making its environment where that is not there yet.

        Raises ``MistakeError`` that names it and says what to do.
        """
        if self.lock is None:
            return Path(sys.executable)
        folder = cache() / "peers" / self.name
        complete, wanted = folder / ".complete", hashlib.sha256(self.lock.read_bytes()).hexdigest()
        if not complete.is_file() or complete.read_text() != wanted:
            print(f"installing {self.name} into {folder}", file=sys.stderr)
            self._make(folder)
            complete.write_text(wanted)
        return folder / "bin" / "python"

    def run(self, python: Path, *arguments: str) -> dict[str, Any]:
        """What it measured: the last line that it printed. Raises ``MistakeError`` if it failed."""
        script = HERE / f"run_{self.name}.py"
        how = ["-I", str(script)] if self.isolated else ["-m", f"benchmarks.peers.{script.stem}"]
        command = [str(python), *how, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **_ALONE, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MistakeError(
                f"{self.name} took longer than {TIMEOUT_S} s; {self._without}"
            ) from None
        if done.returncode or not done.stdout.strip():
            said = done.stderr.strip()[-_SAID_CHARACTERS:]
            raise MistakeError(f"{self.name} failed ({done.returncode}); {self._without}:\n{said}")
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return told

    @property
    def _without(self) -> str:
        return "see what it says below, or leave it out with --only"

    def _make(self, folder: Path) -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        python = str(folder / "bin" / "python")
        lock = str(self.lock)
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [uv, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr or done.stdout).strip()[-_SAID_CHARACTERS:]
                raise MistakeError(
                    f"{self.name} cannot be installed into {folder}: is a package index reachable, "
                    f"is there room for 2 GB? Leave it out with --only.\n{said}"
                )


_LOCKS = ROOT / "requirements" / "peers"
PEERS = {
    "ours": Peer(name="ours", isolated=False),
    "scipy": Peer(name="scipy"),
    "evidently": Peer(name="evidently", lock=_LOCKS / "evidently.txt"),
    "alibi": Peer(name="alibi", lock=_LOCKS / "alibi.txt"),
}
