"""Kills the daemon with -9 when the story has come to a chosen point, and starts it again."""

import random
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from driftd.demo.children import Children
from driftd.demo.options import DAY_S
from driftd.demo.setup import start_daemon

POLL_S = 0.005
TAKING_BACK = "while the broken version is taken back"
"""The only moment that may be over before it is seen: it lasts as long as two commands."""

Condition = Callable[[Path], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """``due`` looks at the run's folder from outside; ``delay_s`` moves the moment a little;
    ``holds`` must be true of what the dead daemon left."""

    name: str
    due: Condition
    delay_s: float
    holds: Condition


@dataclass(slots=True)
class Killer:
    """A thread that waits for each kill in turn. ``done``: names of kills that hit what they meant;
    ``missed``: those that came when it was over already."""

    children: Children
    settings: Path
    kills: Sequence[Kill]
    done: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; a kill under way is finished, so that the daemon runs afterwards."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(60.0)

    def _run(self) -> None:
        folder = self.children.directory
        for kill in self.kills:
            while not kill.due(folder):
                if self._over.wait(POLL_S):
                    return
            self._over.wait(kill.delay_s)
            self.children.kill("daemon")
            (self.done if kill.holds(folder) else self.missed).append(kill.name)
            start_daemon(self.children, self.settings)


def kills_of(seed: int) -> tuple[Kill, ...]:
    """In the canary of the broken version, on its way back, in the training, in the next canary."""
    draw = random.Random(f"kills {seed}")
    first, second = (draw.choice([1, 2]) for _ in range(2))
    return (
        Kill(
            name="in the canary of the broken version",
            due=_days_into_canary(1, first),
            delay_s=draw.uniform(0.0, 0.3),
            holds=_rollout_open,
        ),
        Kill(name=TAKING_BACK, due=_decided("roll back"), delay_s=0.0, holds=_on_the_way_back),
        Kill(name="in the training", due=_job_runs, delay_s=0.0, holds=_training_unfinished),
        Kill(
            name="in the canary of the retrained version",
            due=_days_into_canary(2, second),
            delay_s=draw.uniform(0.0, 0.3),
            holds=_rollout_open,
        ),
    )


def select(folder: Path, query: str) -> list[tuple[object, ...]]:
    """Rows of the run's store, read from outside while others write."""
    store = sqlite3.connect(f"file:{folder / 'driftd.db'}?mode=ro", uri=True, timeout=30)
    try:
        return store.execute(query).fetchall()
    finally:
        store.close()


def _days_into_canary(number: int, days: int) -> Condition:
    begun = f"SELECT at FROM decision WHERE what = 'canary' ORDER BY id LIMIT 1 OFFSET {number - 1}"

    def due(folder: Path) -> bool:
        after = f"closed >= ({begun}) + {days * DAY_S}"
        return bool(select(folder, f"SELECT 1 FROM model_state WHERE rollout_open AND {after}"))

    return due


def _decided(what: str) -> Condition:
    query = f"SELECT 1 FROM decision WHERE what = '{what}'"
    return lambda folder: bool(select(folder, query))


def _on_the_way_back(folder: Path) -> bool:
    return _decided("roll back")(folder) and not _decided("rolled back")(folder)


def _rollout_open(folder: Path) -> bool:
    return bool(select(folder, "SELECT 1 FROM model_state WHERE rollout_open"))


def _job_runs(folder: Path) -> bool:
    jobs = [job for job in (folder / "work" / "jobs").glob("*") if (job / "started.json").exists()]
    return any(not (job / "exit.json").exists() for job in jobs)


def _training_unfinished(folder: Path) -> bool:
    unfinished = "kind = 'train' AND state IN ('new', 'running')"
    return bool(select(folder, f"SELECT 1 FROM outbox WHERE {unfinished}"))
