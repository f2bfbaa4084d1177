"""Whether a version runs in the serving environment, found out before a request depends on it."""

import json
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.data import fitness_child
from driftd.data.archive import Archive
from driftd.data.evaluate import ChildFailedError, Scorer, last_line, run_child
from driftd.data.scoring_child import EX_TEMPFAIL
from driftd.errors import UnreachableError

SAMPLE_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """``refused``: why it cannot serve, all reasons (empty: it can). ``warnings``: what is different
    and did not keep it from answering. ``answered``: requests of the archive that it answered."""

    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    answered: int = 0


def fitness(scorer: Scorer, version: str, sample: Sequence[Mapping[str, Any]]) -> Fitness:
    """Compare, load and try a version in a process of the serving environment.

    ``sample``: features of requests. Takes at most ``scorer.timeout_s`` and
    ``scorer.memory_bytes``; nothing of the version is imported if its own description says that it
    cannot run here. Raises ``UnreachableError`` when its files could not be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="driftd-fitness-") as folder:
        home = Path(folder)
        output, phase = home / "fitness.json", home / "phase"
        (home / "sample.json").write_text(json.dumps(list(sample)), encoding="utf-8")
        call = [
            *(scorer.python, "-I", fitness_child.__file__),
            *("--model-uri", f"models:/{scorer.registry_name}/{version}"),
            *("--folder", folder, "--sample", str(home / "sample.json")),
            *("--output", str(output), "--phase", str(phase)),
            *("--memory", str(scorer.memory_bytes)),
            *("--seconds", str(int(scorer.timeout_s) + 1)),
            *("--other-versions", scorer.other_versions),
        ]
        try:
            code, said = run_child(call, scorer, home)
        except ChildFailedError:
            code, said = -signal.SIGALRM, ""
        if output.exists():
            return _read(output)
        at = phase.read_text(encoding="utf-8") if phase.exists() else ""
        if code == EX_TEMPFAIL or (at == "fetch" and code < 0):
            why = last_line(said) if said else f"it took longer than {scorer.timeout_s:g} s"
            raise UnreachableError(f"fetching version {version}: {why}")
        return Fitness(refused=(_ended(at, code, said, scorer),))


def recent_requests(archive: Archive, model: str) -> list[dict[str, Any]]:
    """Features of some of the newest archived requests of a model; none before the first label came."""
    return [json.loads(text) for text in archive.some(model, "features", SAMPLE_ROWS)]


def _read(output: Path) -> Fitness:
    found = json.loads(output.read_text(encoding="utf-8"))
    return Fitness(
        refused=tuple(found["refused"]),
        warnings=tuple(found["warnings"]),
        answered=int(found["answered"]),
    )


def _ended(at: str, code: int, said: str, scorer: Scorer) -> str:
    what = {"load": "it does not load", "answer": "it does not answer"}.get(
        at, "it cannot be fetched"
    )
    if code == -signal.SIGALRM:
        return f"{what} within {scorer.timeout_s:g} s"
    how = f"{signal.Signals(-code).name} ended its process" if code < 0 else last_line(said)
    return f"{what}: {how}"
