"""Runs one job in a session of its own and writes down how it ended (standalone: imports none of ours).

``python -I job_child.py FOLDER`` reads ``job.json`` there and returns as soon as the job is claimed;
what stays behind is an orphan that no death of the daemon touches. Files it leaves, each written in
one step: ``claim.json`` (who runs it; made by link(), so that of several racers one wins),
``started.json`` (it has a slot), ``exit.json`` (how it ended).
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLL_S = 0.2
PR_SET_PDEATHSIG = 1


def main(folder: Path) -> int:
    """Fork; the child claims the job, the parent leaves when it has."""
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os.read(ready, 1)
        return 0
    os.close(ready)
    os.setsid()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if not claim(folder):
        return 0
    os.close(tell)
    os.chdir(folder)
    # A cancelled group gets SIGTERM; this process stays to write down how its command ended.
    signal.signal(signal.SIGTERM, lambda *_: None)
    slot = wait_for_slot(Path(job["slots"]), job["at_once"], job["queue_timeout_s"])
    if slot is None:
        write(folder, "exit.json", {"why": "queue_timeout"})
        return 0
    write(folder, "started.json", {})
    write(folder, "exit.json", run(folder, job))
    # What the command left behind ends with it, and so does this process.
    os.killpg(0, signal.SIGKILL)
    return 0


def claim(folder: Path) -> bool:
    """True for exactly one of all processes that ever try."""
    mine = folder / f"claim.{os.getpid()}"
    mine.write_text(json.dumps(identity(os.getpid())), encoding="utf-8")
    try:
        os.link(mine, folder / "claim.json")
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def identity(pid: int) -> dict[str, object]:
    """A pid alone may be another process tomorrow: its start time and boot make it one for ever."""
    # The command's name in this line may hold spaces and brackets; the fields follow the last one.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return {"pid": pid, "start": int(fields[19]), "boot": boot}


def wait_for_slot(slots: Path, at_once: int, timeout_s: float) -> int | None:
    """A locked file descriptor, or None in vain; the lock falls with the process, however it ends."""
    end = time.monotonic() + timeout_s
    files = [os.open(slots / f"slot-{i}", os.O_CREAT | os.O_RDWR, 0o600) for i in range(at_once)]
    while True:
        for file in files:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return file
        if time.monotonic() >= end:
            return None
        time.sleep(POLL_S)


def run(folder: Path, job: dict[str, object]) -> dict[str, object]:
    """Run the command to its end or time-out; what is returned goes into ``exit.json``.

    The command inherits this process's environment: values that may be secret lie in no file.
    """
    memory = int(str(job["memory_bytes"]))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        # Without its keeper a command would run on unseen, and be started again beside itself.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    with (folder / "stdout.log").open("wb") as out, (folder / "stderr.log").open("wb") as err:
        try:
            command = subprocess.Popen(
                list(job["command"]),  # type: ignore[call-overload]
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                preexec_fn=limit,  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            return {"why": "not_started", "detail": str(error)}
        timeout_s = float(str(job["run_timeout_s"]))
        try:
            return {"why": "exited", "code": command.wait(timeout_s)}
        except subprocess.TimeoutExpired:
            os.killpg(0, signal.SIGTERM)
            try:
                command.wait(float(str(job["grace_s"])))
            except subprocess.TimeoutExpired:
                command.kill()
            return {"why": "run_timeout", "code": command.wait()}


def write(folder: Path, name: str, value: dict[str, object]) -> None:
    """Whole or not at all, even if the machine loses its power."""
    number, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(folder / name)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
