"""A model with traffic, a watcher, and a year that a test can bend: one pane is one day."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from agents.commands import Decided
from agents.events import (
    PREDICTION,
    SCORE,
    Arm,
    ArmCounts,
    ArmQuality,
    OperatorAsked,
    PaneClosed,
    QualityMatured,
)
from agents.incidents import Incident, IncidentChanged
from agents.watcher import Fitted, Reading, Watcher, WatchState, WatchStep
from detectors.contract import Layout
from detectors.profile import Profile, StreamProfile, default_layouts
from detectors.quality import QualitySketch
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout
from policies.specs import ClockSpec, DriftSpec, ModelSpec, RegistrySpec, RuleSpec

DAY = 86_400.0
EVENTS = 400
CHAMPION = Arm("1", "champion")
CARRIERS = ("AA", "B6", "DL", "EV", "UA")


@dataclass(frozen=True, kw_only=True)
class Day:
    """How one day differs from a usual one. Temperatures in sd, clocks in minutes, shares 0..1."""

    warmer: float = 0.0
    clock: float = 0.0
    distance: float = 1.0
    missing: float = 0.0
    unseen: float = 0.0
    n: int = EVENTS
    errors: int = 0
    arm: Arm = CHAMPION
    complete: bool = True


USUAL = Day()


def values(day: int, how: Day, seed: int = 7) -> dict[str, list[Any]]:
    """The features of one day; the same day and seed, the same values."""
    rng = np.random.default_rng([seed, day + 1_000])
    n = how.n
    minutes = np.where(rng.random(n) < 0.5, rng.normal(510, 80, n), rng.normal(1_050, 110, n))
    minutes = np.round(np.clip(minutes, 300, 1_420))
    temp = rng.normal(0.15 * rng.normal() + how.warmer, 1, n).tolist()
    carriers = rng.choice(CARRIERS, n, p=[0.3, 0.2, 0.2, 0.2, 0.1]).tolist()
    return {
        "carrier": [
            "XX" if u < how.unseen else c for c, u in zip(carriers, rng.random(n), strict=True)
        ],
        "distance": (rng.gamma(4, 250, n) * how.distance).tolist(),
        "minute_of_day": ((minutes + how.clock) % 1_440).tolist(),
        "temp": [None if u < how.missing else t for t, u in zip(temp, rng.random(n), strict=True)],
        SCORE: rng.beta(2, 5, n).tolist(),
        PREDICTION: np.where(rng.random(n) < 0.2, "late", "on_time").tolist(),
    }


def profile() -> Profile:
    """The training window: 28 days before day 0."""
    days = [values(day, USUAL) for day in range(-28, 0)]
    together: dict[str, list[Any]] = {
        name: [v for day in days for v in day[name]] for name in days[0]
    }
    layouts: dict[str, Layout] = {
        name: CategoryLayout.from_reference(column)
        if isinstance(column[0], str)
        else NumericLayout.from_reference(column)
        for name, column in together.items()
    }
    layouts[SCORE] = default_layouts()[SCORE]
    return Profile(
        version="1",
        n=28 * EVENTS,
        since=-28 * DAY,
        until=0.0,
        streams={
            name: StreamProfile(layout=layout, counts=layout.fold(together[name]))
            for name, layout in layouts.items()
        },
        quality=labels(4_000, right=0.8, seed=3),
    )


def spec(*rules: RuleSpec, bucket_s: float = DAY, drift: DriftSpec | None = None) -> ModelSpec:
    """A policy with panes of a day."""
    return ModelSpec(
        model="flight-delay",
        owner="ml-delays",
        registry=RegistrySpec(name="flight_delay"),
        clock=ClockSpec(pane_s=DAY, bucket_s=bucket_s),
        drift=drift or DriftSpec(),
        rules=rules,
    )


def bucket(
    columns: Mapping[str, Sequence[Any]], start: float, end: float, how: Day = USUAL
) -> PaneClosed:
    """A closed bucket that holds these values."""
    streams = PROFILE.streams
    counts = {name: streams[name].layout.fold(list(column)) for name, column in columns.items()}
    n = len(columns[SCORE])
    arms = {how.arm: ArmCounts(n=n, errors=how.errors, counts=counts)} if n else {}
    return PaneClosed(start=start, end=end, arms=arms, complete=how.complete)


def pane(day: int, how: Day = USUAL, seed: int = 7) -> PaneClosed:
    """The whole day as one bucket."""
    return bucket(values(day, how, seed), day * DAY, (day + 1) * DAY, how)


def labels(n: int, *, right: float, seed: int = 0, late: float = 0.3) -> QualitySketch:
    """``n`` joined labels whose scores agree with them with probability ``right``."""
    rng = np.random.default_rng([seed, 11])
    truth = (rng.random(n) < late).astype(np.int64)
    agrees = rng.random(n) < right
    scores = np.where(agrees == (truth == 1), 0.8, 0.2)
    return QualitySketch.fold(scores, (scores >= 0.5).astype(np.int64), truth)


def matured(
    day: int,
    *,
    right: float = 0.8,
    arrived: float = 1.0,
    arms: Sequence[Arm] = (CHAMPION,),
    n: int = EVENTS,
) -> QualityMatured:
    """The labels of one day, for each of the arms."""
    sketch = labels(round(n * arrived), right=right, seed=day)
    return QualityMatured(
        start=day * DAY,
        end=(day + 1) * DAY,
        arms={arm: ArmQuality(predictions=n, sketch=sketch) for arm in arms},
    )


PROFILE = profile()


@dataclass(kw_only=True)
class Watch:
    """A watcher that lives through days. Every step goes through the stored bytes."""

    watcher: Watcher
    state: WatchState = field(default_factory=WatchState.new)
    fitted: Fitted | None = None
    closed: tuple[PaneClosed, ...] = ()
    changes: tuple[IncidentChanged, ...] = ()
    decisions: tuple[Decided, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    history_asked: int = 0

    def copy(self) -> "Watch":
        """The same life, to be continued apart."""
        return replace(self)

    def pane(self, closed: PaneClosed) -> WatchStep:
        """Close one bucket."""
        wanted = self.watcher.wants_history(self.state, closed)
        history: tuple[PaneClosed, ...] = ()
        if wanted is not None:
            self.history_asked += 1
            start, end = wanted
            history = tuple(old for old in self.closed if start <= old.start and old.end <= end)
        step = self.watcher.on_pane(self.state, self.fitted, closed, history)
        self.closed = (*self.closed, closed)
        if step.readings:
            self.readings = {reading.stream: reading for reading in step.readings}
        return self._take(step)

    def days(
        self, first: int, last: int, how: Callable[[int], Day] | Day = USUAL, seed: int = 7
    ) -> None:
        """Close the days [first, last)."""
        for day in range(first, last):
            self.pane(pane(day, how if isinstance(how, Day) else how(day), seed))

    def quality(self, event: QualityMatured, champion: str = "1") -> WatchStep:
        """Labels have matured."""
        return self._take(self.watcher.on_quality(self.state, event, champion))

    def asked(self, verb: str, **arguments: Any) -> WatchStep:
        """A person answers."""
        request = OperatorAsked(verb=verb, by="ada", arguments=arguments)
        return self._take(self.watcher.on_operator(self.state, request, self.state.closed))

    def told(self, change: str = "opened") -> list[str]:
        """The kinds of the incidents that changed in this way, in order."""
        return [c.incident.kind for c in self.changes if c.change == change]

    def open(self, kind: str) -> Incident:
        """The open incident of a kind."""
        return next(incident for incident in self.state.incidents if incident.kind == kind)

    def _take(self, step: WatchStep) -> WatchStep:
        self.state = WatchState.from_bytes(step.state.to_bytes())
        if step.fitted is not None:
            self.fitted = Fitted.from_bytes(step.fitted.to_bytes())
        self.changes = (*self.changes, *step.incidents)
        self.decisions = (*self.decisions, *step.decisions)
        return step


def watch(*rules: RuleSpec, drift: DriftSpec | None = None, bucket_s: float = DAY) -> Watch:
    """A watcher that has seen nothing."""
    return Watch(watcher=Watcher(spec(*rules, drift=drift, bucket_s=bucket_s), PROFILE))
