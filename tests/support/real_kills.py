"""Kills one of several workers with -9 at a chosen point of the story, and starts it again later."""

import contextlib
import json
import os
import random
import re
import signal
import threading
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from driftd.demo.flights import MODEL
from driftd.demo.options import DAY_S
from stack.world import World

WORKERS = ("worker-a", "worker-b")
POLL_S, HELD_MAX_S = 0.02, 120.0
_OWNED = re.compile(rf'^driftd_stage\{{[^}}]*model="{MODEL}"', re.MULTILINE)

T = TypeVar("T")
Rows = list[tuple[Any, ...]]


class Watch:
    """The run as it is seen from outside; for one thread."""

    def __init__(self, world: World) -> None:
        self.world = world
        url = world.postgres.url("driftd", driver="")
        self._store = psycopg.connect(url, autocommit=True, connect_timeout=5)

    def close(self) -> None:
        """Look no more."""
        self._store.close()

    def sql(self, query: str) -> Rows:
        """Rows of the store."""
        return self._store.execute(query.encode()).fetchall()

    def alive(self) -> tuple[str, ...]:
        """The workers whose processes run."""
        running = self.world.children.running
        return tuple(name for name in WORKERS if running[name].poll() is None)

    def owner(self) -> str | None:
        """The worker that owns the model's control partition: it alone shows the model's stage."""
        owning = [name for name in self.alive() if _OWNED.search(self._metrics(name))]
        return owning[0] if len(owning) == 1 else None

    def named(self, owner: str) -> str | None:
        """The worker behind a name in the store, which ends with its process id."""
        parts = re.split(r"\W+", owner)
        running = self.world.children.running
        return next((name for name in WORKERS if str(running[name].pid) in parts), None)

    def _metrics(self, name: str) -> str:
        url = f"http://127.0.0.1:{self.world.ports[name]}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealKill:
    """``victim`` names the worker to kill once it is time. ``before`` is what the store says right
    after the kill; as soon as ``taken_over`` is true of it, the other worker carries it all."""

    name: str
    victim: Callable[[Watch], str | None]
    before: Callable[[Watch], Rows]
    holds: Callable[[Rows], bool]
    taken_over: Callable[[Watch, Rows], bool]
    delay_s: float
    with_jobs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What one kill was: ``hit``: the moment it was meant for was not over."""

    name: str
    victim: str
    hit: bool
    alone: str
    """Who carried everything before the victim came back."""


@dataclass(slots=True)
class RealKiller:
    """A thread that waits for each kill in turn, then for the survivor, then starts the victim."""

    world: World
    kills: Sequence[RealKill]
    done: list[Killed] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; a kill under way is finished, so that both workers run afterwards."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(HELD_MAX_S)

    def _run(self) -> None:
        with contextlib.closing(Watch(self.world)) as watch:
            for kill in self.kills:
                victim = self._wait(lambda kill=kill: kill.victim(watch))  # type: ignore[misc]
                if victim is None:
                    return
                self._over.wait(kill.delay_s)
                self._kill(victim, with_jobs=kill.with_jobs)
                before = kill.before(watch)
                hit = kill.holds(before)
                if hit:
                    self._wait(lambda kill=kill, b=before: kill.taken_over(watch, b))  # type: ignore[misc]
                alone = ", ".join(watch.alive())
                self.world.start_worker(victim)
                self.done.append(Killed(name=kill.name, victim=victim, hit=hit, alone=alone))

    def _wait(self, look: Callable[[], T]) -> T | None:
        while not (found := look()):
            if self._over.wait(POLL_S):
                return None
        return found

    def _kill(self, victim: str, *, with_jobs: bool) -> None:
        self.world.children.kill(victim)
        if with_jobs:
            # Its machine went down: what it had started goes with it.
            for claim in (self.world.folder / f"work-{victim}" / "jobs").glob("*/claim.json"):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(json.loads(claim.read_text())["pid"]), signal.SIGKILL)


def kills_of(seed: int) -> tuple[RealKill, RealKill]:
    """In a canary and in a training, in the order in which they come."""
    draw = random.Random(f"real kills {seed}")
    number, days = draw.choice([1, 2]), draw.choice([1, 2])
    canary = RealKill(
        name="in mid-canary",
        victim=lambda watch: _in_canary(watch, number, days),
        before=lambda watch: watch.sql("SELECT rollout_open, revision FROM model_state"),
        holds=lambda rows: bool(rows[0][0]),
        taken_over=lambda watch, rows: _revision(watch) > rows[0][1],
        delay_s=draw.uniform(0.0, 0.3),
        with_jobs=False,
    )
    phase = draw.choice(["gate", "refit"])
    training = RealKill(
        name="in mid-training",
        victim=lambda watch: _in_training(watch, phase),
        before=_trainings,
        holds=lambda rows: len(rows) == 1,
        taken_over=_is_taken_over,
        delay_s=0.0,
        with_jobs=draw.choice([False, True]),
    )
    return (canary, training) if number == 1 else (training, canary)


def _in_canary(watch: Watch, number: int, days: int) -> str | None:
    begun = f"SELECT at FROM decision WHERE what = 'canary' ORDER BY id LIMIT 1 OFFSET {number - 1}"
    after = f"closed >= ({begun}) + {days * DAY_S}"
    due = watch.sql(f"SELECT 1 FROM model_state WHERE rollout_open AND {after}")
    return watch.owner() if due else None


def _revision(watch: Watch) -> int:
    return int(watch.sql("SELECT revision FROM model_state")[0][0])


def _trainings(watch: Watch) -> Rows:
    query = "SELECT op_id, owner FROM outbox WHERE kind = 'train' AND state = 'running'"
    return watch.sql(query)


def _in_training(watch: Watch, phase: str) -> str | None:
    """Who holds the training of this phase while its job runs."""
    query = "SELECT op_id, owner, payload FROM outbox WHERE kind = 'train' AND state = 'running'"
    for op_id, owner, payload in watch.sql(query):
        name = watch.named(owner)
        if json.loads(payload)["phase"] == phase and name is not None:
            job: Path = watch.world.folder / f"work-{name}" / "jobs" / op_id
            if (job / "started.json").exists() and not (job / "exit.json").exists():
                return name
    return None


def _is_taken_over(watch: Watch, before: Rows) -> bool:
    op_id, owner = before[0]
    rows = watch.sql(f"SELECT owner, state FROM outbox WHERE op_id = '{op_id}'")
    return rows[0] not in ((owner, "running"), ("", "new"))
