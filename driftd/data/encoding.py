"""Texts as vectors: an encoder in a process of its own, since its libraries are none of ours."""

import builtins
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
from driftd.sections import REGISTERED

BATCH_TEXTS = 32
TOKENS_MAX = 256
MEMORY_BYTES = 8 << 30
LOAD_TIMEOUT_S, BATCH_TIMEOUT_S = 300.0, 60.0
DIMENSION_MAX = 8_192
_SAID_CHARACTERS = 500
_HEAD_BYTES = 65_536


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
    quiet: bool = False
    """Nothing that its libraries say of texts is kept: for those that come from people."""


class EncoderError(MistakeError):
    """An encoder failed; its process has been ended. ``reason`` holds no word of the encoder's own,
    which may be of the texts."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Encoder:
    """A running encoder, used by one thread. Every error is an ``EncoderError`` that names it, and
    ends its process; one that was never started is a ``MistakeError``."""

    def __init__(self, spec: EncoderSpec, *, wait: bool = True) -> None:
        """Start it and, unless ``wait`` is false, ``load`` it."""
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
        if wait:
            self.load()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def load(self) -> None:
        """Wait until it is loaded, for at most ``load_timeout_s``."""
        self._exchange(b"", self._spec.load_timeout_s)

    def encode(
        self, texts: Sequence[str | None], *, timeout_s: float | None = None
    ) -> NDArray[np.float32]:
        """The vectors of the texts, shape (n, dimension); NaN where there is no text. Each text is
        encoded once, ``BATCH_TEXTS`` at a time, texts of like length together. ``timeout_s`` is for
        each of those batches, that of the spec if it is left out."""
        wanted = sorted({text for text in texts if text is not None}, key=lambda t: (len(t), t))
        places = {text: place for place, text in enumerate(wanted)}
        parts = [
            self._encode(wanted[start : start + BATCH_TEXTS], timeout_s)
            for start in range(0, len(wanted), BATCH_TEXTS)
        ]
        if len({part.shape[1] for part in parts}) > 1:
            raise self._failed("its vectors have several lengths")
        known = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
        nothing = np.full((1, known.shape[1]), np.nan, np.float32)
        at = [len(wanted) if text is None else places[text] for text in texts]
        return np.concatenate([known, nothing])[at]

    def kill(self) -> None:
        """End the process from another thread; the one that waits for it gets an error."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and whatever it started. It may be closed already."""
        self.kill()
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
                *(["--quiet"] if spec.quiet else []),
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

    def _encode(self, texts: Sequence[str], timeout_s: float | None) -> NDArray[np.float32]:
        # Half of a surrogate pair has no UTF-8 form: JSON escapes it, and it arrives as a mark.
        plain = [text.encode(errors="replace").decode() for text in texts]
        timeout_s = self._spec.batch_timeout_s if timeout_s is None else timeout_s
        return self._exchange(json.dumps(plain).encode() + b"\n", timeout_s, len(texts))

    def _exchange(self, asked: bytes, timeout_s: float, rows: int = 0) -> NDArray[np.float32]:
        """The answer to ``asked`` within ``timeout_s``, after which the process is killed: one that
        reads nothing would hold us up as much as one that says nothing."""
        late: list[bool] = []

        def kill() -> None:
            late.append(True)
            self.kill()

        timer = Timer(timeout_s, kill)
        timer.daemon = True
        timer.start()
        head: dict[str, Any] = {}
        body, why = b"", ""
        try:
            head, body = self._ask(asked, rows)
        except (OSError, EOFError):
            why = "its process has ended"
        except ValueError:
            why = "it answered something else than vectors"
        finally:
            timer.cancel()
        if late:
            raise self._failed(f"it took longer than {timeout_s:g} s")
        if "error" in head:
            told = str(head["error"])
            raise self._failed(told, f"it could not encode a text ({_kind(told)})")
        if why:
            raise self._failed(why)
        return np.frombuffer(body, "<f4").reshape(rows, head.get("dimension", 0))

    def _ask(self, asked: bytes, rows: int) -> tuple[dict[str, Any], bytes]:
        """Head and body of an answer. Raises EOFError where it ends, ValueError for anything else."""
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None  # noqa: S101 - both were asked for
        assert stdout is not None  # noqa: S101
        if asked:
            stdin.write(asked)
            stdin.flush()
        line = stdout.readline(_HEAD_BYTES)
        if not line:
            raise EOFError
        head = _object(line)
        if "error" in head or (not rows and head.get("ready") is True):
            return {key: head[key] for key in ("error",) if key in head}, b""
        dimension = head.get("dimension")
        # Nothing is read that was not asked for, however much is announced.
        if not isinstance(dimension, int) or not 1 <= dimension <= DIMENSION_MAX:
            raise ValueError(dimension)
        if not rows or head.get("rows") != rows:
            raise ValueError(rows)
        body = stdout.read(4 * rows * dimension)
        if len(body) < 4 * rows * dimension:
            raise EOFError
        return head, body

    def _failed(self, why: str, reason: str = "") -> EncoderError:
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()[-_SAID_CHARACTERS:]
        self.close()
        code = self._child.returncode
        if "has ended" in why and code < 0 and code != -signal.SIGKILL:
            why = f"{signal.Signals(-code).name} ended its process"
        reason = reason or why
        if "No module named" in why:
            why += f"; {self._spec.python} lacks it: name an interpreter that has transformers and "
            why += "torch (or mlflow and what the model needs)"
        return EncoderError(
            f"encoder {self._spec.source}: {why}" + (f"\n{said}" if said else ""), reason
        )


def _kind(told: str) -> str:
    """The exception's name in ``ValueError: …``; what follows may be of the text."""
    known = getattr(builtins, told.partition(":")[0], None)
    named = isinstance(known, type) and issubclass(known, Exception)
    return known.__name__ if named and known is not None else "an error of its own"


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
