"""PyTorch and transformers in an environment of their own: 5.5 GB, most of it PyTorch's CUDA."""

import hashlib
import subprocess
import sys
from pathlib import Path

from driftd.errors import MistakeError

LOCK = Path(__file__).parent.parent / "requirements" / "text.txt"


def python(cache: Path) -> Path:
    """Its interpreter. Raises ``MistakeError`` when it is not there."""
    folder = _folder(cache)
    if not (folder / ".complete").exists():
        raise MistakeError("the text encoders are not there yet; run: python -m stack.install")
    return folder / "bin" / "python"


def install(cache: Path) -> None:
    """Make it of the lock file, once (40 s from a near registry)."""
    folder = _folder(cache)
    if (folder / ".complete").exists():
        return
    print(f"installing PyTorch and transformers (5.5 GB) into {folder}", file=sys.stderr)
    uv = Path(sys.executable).with_name("uv")
    commands = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [
            *(str(uv), "pip", "install", "-q", "--python", str(folder / "bin" / "python")),
            *("--require-hashes", "-r", str(LOCK)),
        ],
    )
    for command in commands:
        subprocess.run(command, check=True, stdout=sys.stderr)
    (folder / ".complete").touch()


def _folder(cache: Path) -> Path:
    return cache / f"text-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
