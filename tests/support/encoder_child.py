"""Encoders in the place of the real one: child processes that speak its protocol, well or badly."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from driftd.data.encoding import EncoderSpec

_HEAD = """\
#!{python}
import json, os, pathlib, struct, sys, time
source = pathlib.Path(sys.argv[sys.argv.index("--encoder") + 1])
def say(head, body=b""):
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\\n" + body)
    sys.stdout.buffer.flush()
def vectors(texts):
    say(dict(rows=len(texts), dimension=2), b"".join(struct.pack("<2f", len(t), 1.0) for t in texts))
with (source / "starts").open("a") as file:
    file.write(f"{{os.getpid()}}\\n")
"""
WELL = """\
say({"ready": True})
for line in sys.stdin.buffer:
    vectors(json.loads(line))
"""


def encoder_child(folder: Path, body: str = WELL, **more: float) -> EncoderSpec:
    """A spec whose process runs ``body``. Its vectors are (characters of the text, 1)."""
    script = folder / "child"
    script.write_text(_HEAD.format(python=sys.executable) + body)
    script.chmod(0o755)
    return EncoderSpec(source=str(folder), python=str(script), quiet=True, **more)  # type: ignore[arg-type]


def starts(folder: Path) -> list[int]:
    """The process ids of all that were started."""
    file = folder / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def comes_true(condition: Callable[[], bool]) -> None:
    """Wait for something that a process does in its own time."""
    for _ in range(2_400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")
