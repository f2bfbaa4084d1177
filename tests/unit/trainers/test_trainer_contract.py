"""Every trainer of the catalog keeps the promises of the contract."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from driftd.trainers.catalog import TRAINERS
from driftd.trainers.contract import Job, JobState, JobStatus, Trainer
from driftd.trainers.subprocess import SubprocessTrainer

Make = Callable[..., Trainer]
OP_ID = "0123456789abcdef"


def _subprocess(work: Path, code: str, **limits: float) -> Trainer:
    return SubprocessTrainer(command=[sys.executable, "-c", code], work=work, grace_s=1.0, **limits)  # type: ignore[arg-type]


# How each kind of the catalog runs a piece of Python; a kind that is missing here fails the suite.
MAKERS: Mapping[str, Make] = {"subprocess": _subprocess}


def _job(tmp_path: Path, op_id: str = OP_ID) -> Job:
    return Job(
        op_id=op_id,
        model="flight-delay",
        registry_name="flight_delay",
        data=tmp_path / "data",
        phase="gate",
        tracking_uri="http://127.0.0.1:5000",
    )


def _until(trainer: Trainer, wanted: Sequence[JobStatus], op_id: str = OP_ID) -> JobState:
    """The first answer with one of the wanted statuses; the suite's time-out is the only limit."""
    pause = threading.Event()
    while (state := trainer.status(op_id)).status not in wanted:
        assert not state.status.ended, state
        pause.wait(0.02)
    return state


@pytest.fixture(params=sorted(TRAINERS))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    made: list[Trainer] = []

    def build(code: str, **limits: float) -> Trainer:
        made.append(MAKERS[request.param](tmp_path / "work", code, **limits))
        return made[-1]

    yield build
    for op_id in ("a1", "a2", OP_ID):
        for trainer in made[:1]:
            trainer.cancel(op_id)


def test_a_job_that_ends_well_has_succeeded(make: Make, tmp_path: Path) -> None:
    trainer = make("print('done')")
    trainer.submit(_job(tmp_path))
    assert _until(trainer, [JobStatus.SUCCEEDED]).status is JobStatus.SUCCEEDED


def test_a_job_that_fails_says_how(make: Make, tmp_path: Path) -> None:
    trainer = make("raise SystemExit('no such column: temp')")
    trainer.submit(_job(tmp_path))
    state = _until(trainer, [JobStatus.FAILED])
    assert state.why == "its command ended with exit code 1"
    assert state.log == "no such column: temp"


def test_an_op_id_never_submitted_is_unknown_and_not_failed(make: Make) -> None:
    assert make("pass").status("feedbeef00000000").status is JobStatus.UNKNOWN


def test_submitting_twice_is_one_job(make: Make, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    trainer = make(f"open({str(runs)!r}, 'a').write('run\\n')")
    for _ in range(3):
        trainer.submit(_job(tmp_path))
        _until(trainer, [JobStatus.SUCCEEDED])
    assert runs.read_text(encoding="utf-8") == "run\n"


def test_racing_submissions_are_one_job(make: Make, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    code = f"open({str(runs)!r}, 'a').write('run\\n')"
    trainers = [make(code) for _ in range(6)]
    barrier = threading.Barrier(len(trainers))

    def submit(trainer: Trainer) -> None:
        barrier.wait()
        trainer.submit(_job(tmp_path))

    threads = [threading.Thread(target=submit, args=(trainer,)) for trainer in trainers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _until(trainers[0], [JobStatus.SUCCEEDED])
    assert runs.read_text(encoding="utf-8") == "run\n"


def test_a_new_object_answers_for_the_old_ones_job(make: Make, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(.01)"
    make(code).submit(_job(tmp_path))
    restarted = make(code)
    _until(restarted, [JobStatus.RUNNING])
    go.touch()
    assert _until(restarted, [JobStatus.SUCCEEDED]).status is JobStatus.SUCCEEDED


def test_cancel_ends_the_job_and_what_it_started(make: Make, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r} + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pids)!r} + '.new', {str(pids)!r})\n"
        "time.sleep(600)"
    )
    trainer = make(code)
    trainer.submit(_job(tmp_path))
    pause = threading.Event()
    while not pids.exists():
        pause.wait(0.02)
    trainer.cancel(OP_ID)
    trainer.cancel(OP_ID)
    assert _until(trainer, [JobStatus.CANCELLED]).why == "it was cancelled"
    while any(_runs(int(pid)) for pid in pids.read_text(encoding="utf-8").split()):
        pause.wait(0.02)


def test_cancelling_an_ended_job_changes_nothing(make: Make, tmp_path: Path) -> None:
    trainer = make("pass")
    trainer.submit(_job(tmp_path))
    _until(trainer, [JobStatus.SUCCEEDED])
    trainer.cancel(OP_ID)
    assert trainer.status(OP_ID).status is JobStatus.SUCCEEDED


def test_a_job_that_runs_too_long_has_failed(make: Make, tmp_path: Path) -> None:
    trainer = make("import time; time.sleep(600)", run_timeout_s=0.3)
    trainer.submit(_job(tmp_path))
    assert _until(trainer, [JobStatus.FAILED]).why == "it ran longer than 0.3 s"


def test_a_job_waits_for_a_free_place_and_not_for_ever(make: Make, tmp_path: Path) -> None:
    first = make("import time; time.sleep(600)")
    first.submit(_job(tmp_path, "a1"))
    _until(first, [JobStatus.RUNNING], "a1")
    second = make("pass", queue_timeout_s=0.5)
    second.submit(_job(tmp_path, "a2"))
    assert _until(second, [JobStatus.QUEUED], "a2").status is JobStatus.QUEUED
    assert _until(second, [JobStatus.FAILED], "a2").why == "it waited 0.5 s for a free slot"


def test_a_queued_job_runs_when_a_place_is_free(make: Make, tmp_path: Path) -> None:
    first = make("import time; time.sleep(600)")
    first.submit(_job(tmp_path, "a1"))
    _until(first, [JobStatus.RUNNING], "a1")
    second = make("pass")
    second.submit(_job(tmp_path, "a2"))
    _until(second, [JobStatus.QUEUED], "a2")
    first.cancel("a1")
    assert _until(second, [JobStatus.SUCCEEDED], "a2").status is JobStatus.SUCCEEDED


def test_a_job_is_told_its_task_and_none_of_the_daemons_secrets(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTD_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = tmp_path / "seen"
    trainer = make(f"import json, os; json.dump(dict(os.environ), open({str(seen)!r}, 'w'))")
    trainer.submit(_job(tmp_path))
    _until(trainer, [JobStatus.SUCCEEDED])
    environment = json.loads(seen.read_text(encoding="utf-8"))
    assert "secret" not in environment.values()
    assert environment["DRIFTD_OP_ID"] == OP_ID
    assert environment["DRIFTD_DATA"] == str(tmp_path / "data")
    assert environment["DRIFTD_PHASE"] == "gate"
    assert environment["HOME"] != os.environ.get("HOME")


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
