"""The parent's side of a model child: starts it, asks it one batch at a time, notices its death."""

import asyncio
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from driftd.errors import DriftdError, OutsideError

log = structlog.get_logger()

Row = Mapping[str, float | str | None]
_LENGTH = struct.Struct(">I")
_SCRIPT = Path(__file__).with_name("model_child.py")
_WORDS_KEPT_MAX = 20
# What any program needs; how to reach the registry comes with the spec. Never the daemon's own.
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ")


class LoadError(OutsideError):
    """A model version could not be loaded; it will be tried again."""


class ChildDiedError(DriftdError):
    """The model's process is gone; the request may be answered by another."""


class ScoringError(DriftdError):
    """The model raised on these instances."""


class UnfitError(ScoringError):
    """An instance does not fit the model's signature; the caller must change it."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(f"instances[{at}].{what}")
        self.what = what
        self.at = at
        """Its index among the rows that were asked."""


class _Ready(msgspec.Struct):
    ready: bool
    version: str = ""
    positive: str = "1"
    negative: str = "0"
    error: str = ""


class _Answer(msgspec.Struct):
    scores: list[float] | None = None
    error: str = ""
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How children of one registered model are started."""

    name: str
    """The registered model's name."""
    tracking_uri: str
    python: str = sys.executable
    memory_bytes: int = 4 << 30
    load_timeout_s: float = 120.0
    score_timeout_s: float = 30.0
    registry_timeout_s: float = 10.0
    registry_env: Mapping[str, str] = field(default_factory=dict)
    """How to reach the registry and its files, see ``clients.environment``."""
    pass_env: tuple[str, ...] = ()

    def environment(self, scratch: str) -> dict[str, str]:
        """The child's whole environment; `scratch` is its folder for temporary files."""
        passed = {key: os.environ[key] for key in (*_PASSED, *self.pass_env) if key in os.environ}
        return {
            # A home of its own: the daemon's holds credentials.
            "HOME": scratch,
            **self.registry_env,
            **passed,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            # MLflow's own defaults wait for minutes on a dead server.
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, int(self.registry_timeout_s))),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            # Its thread changes the environment while others read it, which fails now and then.
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TMPDIR": scratch,
            # Versions share the machine; a thread pool a child would only fight the others.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }


@dataclass(slots=True, eq=False)
class Child:
    """A started process with a loaded version. Not for two askers at once."""

    version: str
    positive: str
    negative: str
    _process: asyncio.subprocess.Process
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _spec: ChildSpec
    _scratch: str
    _words: deque[str]
    _listening: asyncio.Task[None]
    _encoder: msgspec.msgpack.Encoder = field(default_factory=msgspec.msgpack.Encoder)
    _decoder: msgspec.msgpack.Decoder[_Answer] = field(
        default_factory=lambda: msgspec.msgpack.Decoder(_Answer)
    )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, rows: Sequence[Row]) -> list[float]:
        """One score a row. Raises ChildDiedError, ScoringError or UnfitError; a child that hangs
        is killed and counts as dead."""
        body = self._encoder.encode({"instances": rows})
        try:
            async with asyncio.timeout(self._spec.score_timeout_s):
                self._writer.write(_LENGTH.pack(len(body)) + body)
                await self._writer.drain()
                answer = self._decoder.decode(await _receive(self._reader))
        except TimeoutError:  # an OSError too: it comes first
            self._kill()
            raise ChildDiedError(
                self._epitaph(f"gave no answer in {self._spec.score_timeout_s:g} s")
            ) from None
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError):
            raise ChildDiedError(self._epitaph("died")) from None
        if answer.scores is None:
            if answer.at is not None:
                raise UnfitError(answer.error, answer.at)
            raise ScoringError(answer.error)
        return answer.scores

    async def wait(self) -> None:
        """Return when the process has ended, whoever ended it."""
        await self._process.wait()

    async def stop(self, patience_s: float = 2.0) -> None:
        """End the process and remove its temporary files."""
        # A closed socket is the child's sign to leave.
        self._writer.close()
        try:
            async with asyncio.timeout(patience_s):
                await self._process.wait()
        except TimeoutError:
            self._kill()
            await self._process.wait()
        # A process that the model started may still hold the pipe.
        await asyncio.wait({self._listening}, timeout=0.5)
        self._listening.cancel()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    def _epitaph(self, what: str) -> str:
        last = f"; its last words: {self._words[-1]}" if self._words else ""
        return f"the process of version {self.version} {what}{last}"


async def start_child(spec: ChildSpec, version: str) -> Child:
    """Start a process for `version` (a number, or `@alias`) and wait until it is warm.

    Raises LoadError when it does not get there within `spec.load_timeout_s`.
    """
    scratch = await asyncio.to_thread(tempfile.mkdtemp, prefix="driftd-model-")
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            spec.python, "-I", str(_SCRIPT),
            f"--name={spec.name}", f"--version={version}",
            f"--socket={theirs.fileno()}", f"--memory={spec.memory_bytes}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(theirs.fileno(),),
            env=spec.environment(scratch),
            # Ctrl-C is for us: the child finishes what it was asked.
            start_new_session=True,
            cwd=scratch,
        )  # fmt: skip
    except OSError as error:
        ours.close()
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        raise LoadError(f"{spec.python} could not be started: {error}") from error
    finally:
        theirs.close()
    words: deque[str] = deque(maxlen=_WORDS_KEPT_MAX)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    child = Child(
        version, "1", "0", process, reader, writer, spec, scratch, words,
        asyncio.create_task(_listen(process, version, words)),
    )  # fmt: skip
    try:
        await _until_ready(child, spec, version)
    except BaseException:
        child._kill()  # noqa: SLF001  (the same module)
        await child.stop()
        raise
    return child


async def _until_ready(child: Child, spec: ChildSpec, version: str) -> None:
    name = f"models:/{spec.name}/{version}"
    try:
        async with asyncio.timeout(spec.load_timeout_s):
            body = await _receive(child._reader)  # noqa: SLF001  (the same module)
    except TimeoutError:
        raise LoadError(f"{name} did not load within {spec.load_timeout_s:g} s") from None
    except (OSError, asyncio.IncompleteReadError):
        await child.wait()
        raise LoadError(child._epitaph("died while loading")) from None  # noqa: SLF001
    ready = msgspec.msgpack.decode(body, type=_Ready)
    if not ready.ready:
        raise LoadError(f"{name} could not be loaded: {ready.error}")
    child.version, child.positive, child.negative = ready.version, ready.positive, ready.negative


async def _receive(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)


async def _listen(process: asyncio.subprocess.Process, version: str, words: deque[str]) -> None:
    """Pass on what the model's code prints, so that its pipe never fills up."""
    while process.stdout is not None:
        try:
            line = await process.stdout.readline()
        except ValueError:  # one line above the stream's limit; what follows is read on
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        words.append(text[:500])
        log.debug("model said", version=version, text=text[:500])
