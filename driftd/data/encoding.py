"""Texts as vectors: an encoder in a process of its own, since its libraries are none of ours."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from driftd.data import encoding_child
from driftd.data.evaluate import PASSED
from driftd.errors import MistakeError

REGISTERED = "models:/"
BATCH_TEXTS = 32
TOKENS_MAX = 256
MEMORY_BYTES = 8 << 30
LOAD_TIMEOUT_S, BATCH_TIMEOUT_S = 300.0, 60.0
_SAID_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """Which encoder, and what its process may see and use.

    ``source``: a folder as transformers saves one, or ``models:/NAME/VERSION`` in MLflow.
    ``python``: the interpreter that has its libraries. ``environment``: what it is told of the
    registry; nothing else of ours is handed on.
    """

    source: str
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = MEMORY_BYTES
    load_timeout_s: float = LOAD_TIMEOUT_S
    batch_timeout_s: float = BATCH_TIMEOUT_S
    threads: int = 1


class Encoder:
    """A running encoder. Every error is a ``MistakeError`` that names it, and ends its process."""

    def __init__(self, spec: EncoderSpec) -> None:
        """Start it and wait until it is loaded."""
        if not spec.source.startswith(REGISTERED) and not Path(spec.source).is_dir():
            raise MistakeError(
                f"encoder {spec.source}: no such folder; give one that transformers has saved "
                "(config.json, tokenizer, weights) or models:/NAME/VERSION; nothing is downloaded"
            )
        self._spec = spec
        self._home = tempfile.TemporaryDirectory(prefix="driftd-encoder-")
        self._said = (Path(self._home.name) / "stderr").open("w+b")
        try:
            self._child = self._start()
        except OSError as error:
            self._said.close()
            self._home.cleanup()
            raise MistakeError(f"{spec.python} cannot be started: {error}") from error
        self._answer(spec.load_timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def encode(self, texts: Sequence[str | None]) -> NDArray[np.float32]:
        """The vectors of the texts, shape (n, dimension); NaN where there is no text. Each text is
        encoded once, ``BATCH_TEXTS`` at a time, texts of like length together."""
        wanted = sorted({text for text in texts if text is not None}, key=lambda t: (len(t), t))
        places = {text: place for place, text in enumerate(wanted)}
        parts = [
            self._encode(wanted[start : start + BATCH_TEXTS])
            for start in range(0, len(wanted), BATCH_TEXTS)
        ]
        if len({part.shape[1] for part in parts}) > 1:
            raise self._failed("its vectors have several lengths")
        known = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
        nothing = np.full((1, known.shape[1]), np.nan, np.float32)
        at = [len(wanted) if text is None else places[text] for text in texts]
        return np.concatenate([known, nothing])[at]

    def close(self) -> None:
        """End the process and whatever it started."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            # What a process that has ended did not take is lost with it.
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._said.close()
        self._home.cleanup()

    def _start(self) -> subprocess.Popen[bytes]:
        spec, home = self._spec, self._home.name
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        threads = str(spec.threads)
        # The child works in a folder of its own: what is relative is so to ours.
        python = str(Path(spec.python).absolute()) if os.sep in spec.python else spec.python
        source = spec.source
        if not source.startswith(REGISTERED):
            source = str(Path(source).absolute())
        return subprocess.Popen(
            [
                *(python, "-I", encoding_child.__file__, "--encoder", source),
                *("--tokens", str(TOKENS_MAX), "--memory", str(spec.memory_bytes)),
            ],
            env={
                **passed,
                **spec.environment,
                "HOME": home,
                "TMPDIR": home,
                "OMP_NUM_THREADS": threads,
                "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # Half of a surrogate pair has no UTF-8 form: JSON escapes it, and it arrives as a mark.
        plain = [text.encode(errors="replace").decode() for text in texts]
        try:
            assert self._child.stdin is not None  # noqa: S101 - it was asked for
            self._child.stdin.write(json.dumps(plain).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise self._failed("its process has ended") from None
        return self._answer(self._spec.batch_timeout_s, len(texts))

    def _answer(self, timeout_s: float, rows: int = 0) -> NDArray[np.float32]:
        """The next answer within ``timeout_s``, after which the process is killed."""
        assert self._child.stdout is not None  # noqa: S101
        late: list[bool] = []

        def kill() -> None:
            late.append(True)
            os.killpg(self._child.pid, signal.SIGKILL)

        timer = Timer(timeout_s, kill)
        timer.start()
        try:
            head = _object(self._child.stdout.readline())
            body = self._child.stdout.read(4 * head.get("rows", 0) * head.get("dimension", 0))
        finally:
            timer.cancel()
        if late:
            raise self._failed(f"it took longer than {timeout_s:g} s")
        if "error" in head:
            raise self._failed(head["error"])
        shape = (head.get("rows", 0), head.get("dimension", 0))
        if not head or shape[0] != rows or len(body) != 4 * shape[0] * shape[1]:
            raise self._failed("its process has ended")
        return np.frombuffer(body, "<f4").reshape(shape)

    def _failed(self, why: str) -> MistakeError:
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()[-_SAID_CHARACTERS:]
        self.close()
        code = self._child.returncode
        if "has ended" in why and code < 0 and code != -signal.SIGKILL:
            why = f"{signal.Signals(-code).name} ended its process"
        if "No module named" in why:
            why += f"; {self._spec.python} lacks it: name an interpreter that has transformers and "
            why += "torch (or mlflow and what the model needs)"
        return MistakeError(f"encoder {self._spec.source}: {why}" + (f"\n{said}" if said else ""))


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
