"""Trainings as processes of this machine that outlive the daemon and are found again by it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftd.clock import steady_now, wall_now
from driftd.errors import RefusedError, UnreachableError
from driftd.trainers import job_child
from driftd.trainers.contract import Job, JobState, JobStatus

LOG_TAIL_BYTES = 4_000
SPAWN_TIMEOUT_S = 30.0
POLL_S = 0.05
KILL_TIMEOUT_S = 10.0
# Neither HOME nor anything else of the daemon's: credentials live there.
PASSED = ("LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubprocessTrainer:
    """Runs ``command`` once a job, in the job's folder ``work/jobs/<op_id>``.

    The command sees ``PATH`` (this Python's folder first), ``env``, the variables named in
    ``pass_env``, what ``Job.environment`` says, and a home of its own; nothing else. ``at_once``
    commands of one ``work`` folder run at a time, the others are queued. ``memory_bytes`` bounds
    the address space (0: no bound).
    """

    command: Sequence[str]
    work: Path
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: Sequence[str] = ()
    run_timeout_s: float = 1_800.0
    queue_timeout_s: float = 3_600.0
    memory_bytes: int = 0
    at_once: int = 1
    grace_s: float = 5.0

    def submit(self, job: Job) -> None:
        """Claimed when this returns, by this call or by another one."""
        folder = self._folder(job.op_id)
        if (folder / "claim.json").exists():
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        job_child.write(
            folder,
            "job.json",
            {
                "submitted": wall_now(),
                "command": list(self.command),
                "slots": str(folder.parent.absolute()),
                "at_once": self.at_once,
                "queue_timeout_s": self.queue_timeout_s,
                "run_timeout_s": self.run_timeout_s,
                "memory_bytes": self.memory_bytes,
                "grace_s": self.grace_s,
            },
        )
        self._spawn(folder, self._environment(job, folder))

    def status(self, op_id: str) -> JobState:
        """Read from the job's folder and from /proc: it needs no memory of having started it."""
        folder = self._folder(op_id)
        if not folder.exists():
            return JobState(status=JobStatus.UNKNOWN, why=f"no job {op_id} was submitted here")
        claim = _read(folder / "claim.json")
        if claim is None:
            return JobState(status=JobStatus.UNKNOWN, why="its submission was cut short")
        alive = _alive(claim)
        # Read after the look at the process: what ends in between has written its exit by now.
        ended = _read(folder / "exit.json")
        if ended is not None:
            return self._ended(folder, ended)
        if alive:
            started = (folder / "started.json").exists()
            return JobState(status=JobStatus.RUNNING if started else JobStatus.QUEUED)
        if (folder / "cancelled").exists():
            return JobState(status=JobStatus.CANCELLED, why="it was cancelled")
        why = "its process is gone and left no exit status (killed, out of memory, or a reboot)"
        return JobState(status=JobStatus.LOST, why=why, log=_tail(folder / "stderr.log"))

    def cancel(self, op_id: str) -> None:
        """SIGTERM to its process group, SIGKILL after ``grace_s``; returns when it is gone."""
        folder = self._folder(op_id)
        claim = _read(folder / "claim.json")
        if claim is None or not _alive(claim) or (folder / "exit.json").exists():
            return
        (folder / "cancelled").touch()
        end = steady_now() + self.grace_s
        _signal(claim, signal.SIGTERM)
        # A queued job has no command yet that would end its keeper.
        if not (folder / "started.json").exists():
            _signal(claim, signal.SIGKILL)
        while _alive(claim):
            if steady_now() >= end:
                _signal(claim, signal.SIGKILL)
            if steady_now() >= end + KILL_TIMEOUT_S:
                raise UnreachableError(f"process {claim['pid']} of job {op_id} does not end")
            time.sleep(POLL_S)

    def _folder(self, op_id: str) -> Path:
        if not op_id.isalnum():
            raise RefusedError(f"an op_id is made of letters and digits, {op_id!r} is not")
        return self.work / "jobs" / op_id

    def _environment(self, job: Job, folder: Path) -> dict[str, str]:
        here = os.environ
        allowed = {name: here[name] for name in (*PASSED, *self.pass_env) if name in here}
        home = str(folder.absolute())
        return {
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), here.get("PATH", os.defpath)]
            ),
            "HOME": home,
            "TMPDIR": str(Path(home) / "tmp"),
            # Trainings share the machine with the daemon; more threads are the settings' to give.
            "OMP_NUM_THREADS": "1",
            **allowed,
            **self.env,
            **job.environment(),
        }

    def _spawn(self, folder: Path, environment: Mapping[str, str]) -> None:
        call = [sys.executable, "-I", job_child.__file__, str(folder.absolute())]
        log = folder / "keeper.log"
        try:
            with log.open("ab") as out:
                done = subprocess.run(
                    call,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    timeout=SPAWN_TIMEOUT_S,
                    check=False,
                )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreachableError(f"the job's keeper could not be started: {error}") from error
        if done.returncode or not (folder / "claim.json").exists():
            raise UnreachableError(f"the job's keeper failed: {_tail(log)}")

    def _ended(self, folder: Path, ended: Mapping[str, Any]) -> JobState:
        log = _tail(folder / "stderr.log")
        code = ended.get("code")
        if ended["why"] == "exited" and code == 0:
            return JobState(status=JobStatus.SUCCEEDED, log=log)
        if (folder / "cancelled").exists():
            return JobState(status=JobStatus.CANCELLED, why="it was cancelled", log=log)
        why = {
            "queue_timeout": f"it waited {self.queue_timeout_s:g} s for a free slot",
            "run_timeout": f"it ran longer than {self.run_timeout_s:g} s",
            "not_started": f"its command could not be started: {ended.get('detail')}",
        }.get(ended["why"], _ended_with(code))
        return JobState(status=JobStatus.FAILED, why=why, log=log)


def _ended_with(code: Any) -> str:
    if isinstance(code, int) and code < 0:
        return f"its command was ended by {signal.Signals(-code).name}"
    return f"its command ended with exit code {code}"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return value


def _alive(claim: Mapping[str, Any]) -> bool:
    """The very process that claimed the job runs; a zombie does not."""
    pid = int(claim["pid"])
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state not in "ZX" and job_child.identity(pid) == claim
    except (FileNotFoundError, ProcessLookupError):
        return False


def _signal(claim: Mapping[str, Any], number: signal.Signals) -> None:
    # The keeper leads its session, so its pid names the group of everything it started.
    if _alive(claim):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(claim["pid"]), number)


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - LOG_TAIL_BYTES))
            return stream.read(LOG_TAIL_BYTES).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
