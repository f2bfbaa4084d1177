"""The long demonstrations: other seeds, nothing to learn, no fault, and kill -9 at random moments.

make accept                       # all of it, about three quarters of an hour
make accept ARGS="kill shuffle"   # some of it
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEEDS = range(5)
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One demo: its last line, and the folder with its store."""

    figures: Figures
    folder: Path


def demo(folder: Path, *options: str) -> Run:
    """Run the demo; raises when it does not end well."""
    command = [sys.executable, "-m", "driftd.cli.main", "demo", "--json", "--dir", str(folder)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise SystemExit(
            f"demo {' '.join(options)} ended with {done.returncode}\n{done.stderr[-3000:]}"
        )
    return Run(figures=json.loads(lines[-1]), folder=folder)


def checks(name: str, run: Run, wanted: dict[str, Callable[[Figures], bool]]) -> Iterator[str]:
    """What does not hold, one sentence each."""
    for text, holds in wanted.items():
        if not holds(run.figures):
            yield f"{name}: not so: {text}"


def names_clock(figures: Figures) -> bool:
    """Whether a data fault names the clock feature."""
    return any(
        incident["kind"] == "data_fault" and "minute_of_day" in incident["streams"]
        for incident in figures["incidents"]
    )


COUNTED: dict[str, Callable[[Figures], bool]] = {
    "records counted = end offsets": lambda f: f["records_counted"] == f["records_in_topics"],
    "no request failed": lambda f: f["failed_requests"] == 0,
}
STORY = COUNTED | {
    "the managed model is better calibrated": lambda f: f["brier_managed"] < f["brier_frozen"],
    "the managed model ranks better": lambda f: f["auc_managed"] > f["auc_frozen"],
    "at least one promotion": lambda f: f["promotions"] >= 1,
    "one roll-back": lambda f: f["rollbacks"] == 1,
    "the clock fault is named": names_clock,
}


def seeds(root: Path) -> list[str]:
    """Other seeds move the details, not the verdicts."""
    wrong: list[str] = []
    for seed in SEEDS:
        run = demo(root / f"seed-{seed}", "--seed", str(seed))
        show(f"seed {seed}", run)
        wrong += checks(f"seed {seed}", run, STORY)
    return wrong


def shuffle(root: Path) -> list[str]:
    """Labels in random order: there is nothing to learn, so nothing may be promoted."""
    wrong: list[str] = []
    for seed in SEEDS:
        run = demo(root / f"shuffle-{seed}", "--shuffle-labels", "--seed", str(seed))
        show(f"shuffled, seed {seed}", run)
        nothing = {"no promotion": lambda f: f["promotions"] == 0}
        wrong += checks(f"shuffled, seed {seed}", run, COUNTED | nothing)
    return wrong


def fault(root: Path) -> list[str]:
    """Without the two injected faults nothing is rolled back and no clock is blamed."""
    run = demo(root / "no-fault", "--no-fault")
    show("no fault", run)
    quiet: dict[str, Callable[[Figures], bool]] = {
        "no roll-back": lambda f: f["rollbacks"] == 0,
        "no clock is blamed": lambda f: not names_clock(f),
    }
    return list(checks("no fault", run, COUNTED | quiet))


def kill(root: Path) -> list[str]:
    """Killed five times with -9, the run counts and decides as the one that was left alone."""
    alone, killed = demo(root / "alone"), demo(root / "killed", "--kill", "5")
    show("left alone", alone)
    show("killed 5 times", killed)
    wrong = list(checks("killed", killed, STORY))
    if panes(alone.folder) != panes(killed.folder):
        wrong.append("killed: counts a pane differ from the unkilled run")
    wrong += [
        f"killed: op_id {op_id} was executed to effect {times} times"
        for op_id, times in Counter(effects(killed.folder)).items()
        if times > 1
    ]
    for name in ("incidents", "retrainings", "promotions", "rollbacks", "champion_version"):
        if alone.figures[name] != killed.figures[name]:
            wrong.append(f"killed: {name} {killed.figures[name]}, alone {alone.figures[name]}")
    if aliases(alone.folder) != aliases(killed.folder):
        wrong.append(f"killed: aliases {aliases(killed.folder)}, alone {aliases(alone.folder)}")
    return wrong


def panes(folder: Path) -> list[tuple[Any, ...]]:
    """Counts of every closed pane, by SQL."""
    query = "SELECT model, start, version, variant, n, errors, late FROM pane ORDER BY 1, 2, 3, 4"
    with sqlite3.connect(folder / "driftd.db") as store:
        return store.execute(query).fetchall()


def effects(folder: Path) -> list[str]:
    """The op_id of every version in the registry: one a training that took effect."""
    query = "SELECT value FROM model_version_tags WHERE key = 'driftd.op_id'"
    return [row[0] for row in registry(folder, query)]


def aliases(folder: Path) -> dict[str, int]:
    """Where the registry's aliases point in the end."""
    return dict(registry(folder, "SELECT alias, version FROM registered_model_aliases"))


def registry(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask MLflow's own database."""
    with sqlite3.connect(folder / "mlflow" / "mlflow.db") as database:
        return database.execute(query).fetchall()


def show(name: str, run: Run) -> None:
    """One line a run."""
    keys = ("promotions", "rollbacks", "retrainings", "brier_frozen", "brier_managed", "seconds")
    told = " ".join(f"{key}={run.figures[key]}" for key in keys)
    kinds = Counter(incident["kind"] for incident in run.figures["incidents"])
    print(f"{name:22s} {told} incidents={dict(kinds)}", flush=True)


PARTS: dict[str, Callable[[Path], list[str]]] = {
    "fault": fault,
    "kill": kill,
    "seeds": seeds,
    "shuffle": shuffle,
}


def main() -> int:
    """Run the parts asked for, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all without it")
    parser.add_argument("--dir", type=Path, help="keep the runs here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driftd-accept-") as temporary:
        root = asked.dir or Path(temporary)
        wrong = [line for name in asked.parts or PARTS for line in PARTS[name](root)]
    for line in wrong:
        print(line)
    print(json.dumps({"wrong": len(wrong), "parts": list(asked.parts or PARTS)}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
