"""Evaluates a candidate on the withheld block: each version scores it in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from agents.commands import Evaluate
from driftd.data import scoring_child
from driftd.data.export import GATE, HOLDOUT, ID, LABEL, SUBJECT, TRAIN, TS, Manifest, read_manifest
from driftd.data.gate import EvaluationResult, enough, judge
from driftd.data.scores import Scores
from driftd.errors import UnreachableError

TIMEOUT_S = 600.0
STDERR_CHARACTERS = 1_000
# Neither HOME nor anything else of the daemon's: credentials live there.
PASSED = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Where versions come from, and what their processes may see and use.

    ``python`` has the serving environment; ``registry_env`` is what they are told of the registry
    and the store of its files; nothing else of the daemon's own is handed on. ``other_versions``:
    refuse or warn, see ``MlflowSettings``.
    """

    registry_name: str
    tracking_uri: str
    python: str = sys.executable
    registry_env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    memory_bytes: int = 4 << 30
    other_versions: str = "refuse"

    def environment(self, home: Path) -> Mapping[str, str]:
        """The environment of a scoring child."""
        return {
            **{name: os.environ[name] for name in PASSED if name in os.environ},
            **self.registry_env,
            "HOME": str(home),
            "TMPDIR": str(home),
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }


class ChildFailedError(Exception):
    """A version could not be scored; the message says why."""


def evaluate(command: Evaluate, data_dir: Path, scorer: Scorer) -> EvaluationResult:
    """Pass, fail or not evaluable, with all reasons.

    ``data_dir``: the folder that the candidate was trained from, phase ``gate``. Judged are the
    withheld rows since ``command.onset``: what was before says little about what is wrong now. A
    candidate that cannot be loaded or answer fails; a champion that cannot, or too few labels, are
    *not evaluable*. Raises ``UnreachableError`` when the registry did not answer.
    """
    manifest = read_manifest(data_dir)
    rows, why_not = _rows(command, data_dir, manifest)
    if why_not:
        return EvaluationResult(verdict="not_evaluable", reasons=(why_not,), n=rows.num_rows)
    versions = [version for version in (command.candidate, command.champion) if version]
    with tempfile.TemporaryDirectory(prefix="driftd-evaluate-") as folder:
        source = Path(folder) / "rows.parquet"
        pq.write_table(rows.drop_columns([SUBJECT, TS, LABEL]), source)
        # Side by side: loading a model is mostly waiting for imports, and both wait alike.
        with ThreadPoolExecutor(max_workers=len(versions)) as pool:
            runs = [
                pool.submit(score, scorer, version, source, list(manifest.columns))
                for version in versions
            ]
        try:
            candidate = _scores(rows, *runs[0].result())
        except ChildFailedError as error:
            why = f"candidate {command.candidate} {error}"
            return EvaluationResult(verdict="fail", reasons=(why,), n=rows.num_rows)
        try:
            champion = _scores(rows, *runs[1].result()) if command.champion else None
        except ChildFailedError as error:
            # An old version that no longer runs says nothing about the new one.
            why = f"champion {command.champion} {error}, so nothing can be compared with it"
            return EvaluationResult(verdict="not_evaluable", reasons=(why,), n=rows.num_rows)
    return judge(candidate, champion, gate=command.gate, must_improve=command.must_improve)


def score(
    scorer: Scorer, version: str, source: Path, columns: Sequence[str]
) -> tuple[pa.Table, list[float]]:
    """Ids and scores of one version, and the milliseconds of its single calls.

    Raises ``ChildFailedError`` with what the child said, or ``UnreachableError``.
    """
    with tempfile.TemporaryDirectory(prefix="driftd-score-") as folder:
        home = Path(folder)
        output, timing = home / "scores.parquet", home / "timing.json"
        call = [
            *(scorer.python, "-I", scoring_child.__file__),
            *("--model-uri", f"models:/{scorer.registry_name}/{version}"),
            *("--input", str(source), "--id", ID, "--columns", json.dumps(list(columns))),
            *("--output", str(output), "--timing", str(timing)),
        ]
        code, said = run_child(call, scorer, home)
        if code == scoring_child.EX_TEMPFAIL:
            raise UnreachableError(f"scoring version {version}: {last_line(said)}")
        if code:
            raise ChildFailedError(_failure(code, said))
        calls = json.loads(timing.read_text(encoding="utf-8"))["calls_ms"]
        return pq.read_table(output), calls


def run_child(call: Sequence[str], scorer: Scorer, home: Path) -> tuple[int, str]:
    """A child's exit code (negative: the signal that ended it) and what it said on stderr.

    Raises ``ChildFailedError`` when it took longer than ``scorer.timeout_s``, ``UnreachableError``
    when there is no such interpreter.
    """
    with (home / "stderr").open("w+b") as errors:
        try:
            child = subprocess.Popen(
                call,
                env=dict(scorer.environment(home)),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            raise UnreachableError(f"{scorer.python} cannot be started: {error}") from error
        try:
            code = child.wait(scorer.timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise ChildFailedError(f"took longer than {scorer.timeout_s:g} s to score") from None
        errors.seek(0)
        return code, errors.read().decode(errors="replace").strip()


def _failure(code: int, said: str) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name} while it scored"
    return f"could not be scored: {last_line(said)}\n{said[-STDERR_CHARACTERS:]}"


def last_line(said: str) -> str:
    """What a child said last: its error, in Python's way of telling one."""
    return said.splitlines()[-1] if said else "it said nothing"


def _rows(command: Evaluate, data_dir: Path, manifest: Manifest) -> tuple[pa.Table, str]:
    """The withheld rows since the onset, and why they cannot be judged on (empty: they can)."""
    if manifest.phase != GATE:
        return pa.table({}), "the exported data has no withheld block"
    held = pq.read_table(data_dir / HOLDOUT)
    train = pq.read_table(data_dir / TRAIN, columns=[ID, SUBJECT])
    shared = {name: _shared(train[name], held[name]) for name in (ID, SUBJECT)}
    for name, count in shared.items():
        if count:
            return held, f"{count} withheld rows have a trained {name}"
    rows = held.filter(pc.greater_equal(held[TS], command.onset))
    positives = int(np.sum(rows[LABEL]))
    where = "since the onset" if rows.num_rows < held.num_rows else "in the withheld block"
    return rows, enough(rows.num_rows, positives, where)


def _shared(train: pa.ChunkedArray, held: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.is_in(held, value_set=pc.unique(train))).as_py() or 0)


def _scores(rows: pa.Table, answers: pa.Table, calls_ms: Sequence[float]) -> Scores:
    found = pc.index_in(rows[ID], value_set=answers["id"].combine_chunks())
    if found.null_count:
        raise ChildFailedError(f"gave no score for {found.null_count} rows")
    return Scores(
        score=answers["score"].take(found).to_numpy().astype(np.float64),
        label=rows[LABEL].to_numpy().astype(np.int64),
        subject=rows[SUBJECT].to_numpy().astype(np.int64),
        calls_ms=calls_ms,
    )
