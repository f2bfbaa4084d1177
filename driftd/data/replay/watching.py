"""A policy's own watcher over recorded buckets: what it would have said, when, and how often."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agents.codec import decode_arm, encode_arm
from agents.events import Arm, PaneClosed, QualityMatured
from agents.incidents import Incident
from agents.watcher import Watcher, WatchState, WatchStep
from agents.watching.fitted import Fitted
from agents.watching.learning import PANES_MAX, PANES_MIN, SPAN_MAX_S, SPAN_MIN_S
from detectors.profile import Profile
from driftd.data.replay.timeline import Timeline
from policies.specs import ModelSpec

# A bucket as it is kept: start, end, complete, arms and sources with their stored counts.
_Stored = tuple[float, float, bool, list[tuple[Arm, bytes]], list[tuple[str, bytes]]]
BUDGET_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A threshold rule was broken in [start, end); ``end`` is None where it still is."""

    rule: str
    stream: str
    start: float
    end: float | None


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What a replay showed. Times are seconds of event time; ``learned`` is when the first baseline
    stood, None if the record is too short for one; ``panes_needed``: stream -> panes a decision
    needs on it; ``skipped``: column -> why it was not watched."""

    model: str
    pane_s: float
    since: float = float("nan")
    until: float = float("nan")
    events: int = 0
    panes: int = 0
    learned: float | None = None
    relearned: list[float] = field(default_factory=list)
    fitted: Fitted | None = None
    incidents: dict[str, Incident] = field(default_factory=dict)
    firings: list[Firing] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline)
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def watched_s(self) -> float:
        """How long drift was watched: from the end of the learning on."""
        return self.until - self.learned if self.learned is not None else 0.0

    def per_30d(self, kind: str | None = None) -> float:
        """Incidents in 30 days of watching, all or of one kind; NaN where nothing was watched.

        Rules are watched from the first event on, drift only once it is learned.
        """
        count = sum(kind in (None, one.kind) for one in self.incidents.values())
        span = self.watched_s or self.until - self.since
        return count * BUDGET_S / span if span > 0 else float("nan")

    @property
    def panes_needed(self) -> dict[str, int]:
        """Stream -> how many panes a decision needs on it; of those that had values to learn from."""
        if self.fitted is None:
            return {}
        return {
            name: int(panes)
            for name, panes in zip(self.fitted.streams, self.fitted.scalar.panes, strict=True)
            if self.fitted.baselines[name].counts.any()
        }

    def why_not_learned(self) -> str:
        """What was missing for a baseline."""
        days = max(SPAN_MIN_S, PANES_MIN * self.pane_s) / 86_400
        return (
            f"no baseline was learned: it takes {PANES_MIN} panes of 20 events or more over "
            f"{days:g} days; there were {self.panes} panes over "
            f"{(self.until - self.since) / 86_400:.1f} days. Replay more, or make panes of another "
            "length by clock.pane"
        )


class Replay:
    """Feeds one watcher. Memory is bounded: compressed buckets of the learning span, and a timeline
    of fixed size."""

    def __init__(self, spec: ModelSpec, profile: Profile | None) -> None:
        self._spec = spec
        self._watcher = Watcher(spec, profile)
        self._state = WatchState.new()
        self._fitted: Fitted | None = None
        self._history: deque[_Stored] = deque()
        self._keep_s = max(SPAN_MAX_S, PANES_MAX * spec.clock.pane_s) + spec.clock.pane_s
        self._firing: dict[tuple[str, str], float] = {}
        self.found = Replayed(model=spec.model, pane_s=spec.clock.pane_s)

    def close(self, pane: PaneClosed, matured: Iterable[QualityMatured] = ()) -> None:
        """The next bucket, then the labels that matured with it."""
        found = self.found
        if found.since != found.since:
            found.since = pane.start
        found.until = pane.end
        found.events += sum(arm.n for arm in pane.arms.values())
        wanted = self._watcher.wants_history(self._state, pane)
        history = self._stored(*wanted) if wanted else []
        self._take(self._watcher.on_pane(self._state, self._fitted, pane, history), pane.end)
        self._store(pane)
        for event in matured:
            self._take(self._watcher.on_quality(self._state, event, _champion(event)), pane.end)
        self._rules(pane.end)

    def end(self) -> Replayed:
        """All that was seen."""
        for (stream, rule), start in self._firing.items():
            self.found.firings.append(Firing(rule=rule, stream=stream, start=start, end=None))
        self._firing = {}
        self.found.firings.sort(key=lambda one: one.start)
        self.found.panes = self._state.panes
        return self.found

    def _take(self, step: WatchStep, at: float) -> None:
        self._state = step.state
        for changed in step.incidents:
            self.found.incidents[changed.incident.incident_id] = changed.incident
        if step.fitted is not None:
            self._fitted = step.fitted
            if self.found.learned is None:
                self.found.learned = at
            else:
                self.found.relearned.append(at)
            self.found.fitted = step.fitted
        if step.readings:
            self.found.timeline.add(at, step.readings)

    def _rules(self, at: float) -> None:
        for track in self._state.rules.values():
            key = (track.stream, track.rule)
            if track.breached:
                self._firing.setdefault(key, at)
            elif key in self._firing:
                start = self._firing.pop(key)
                self.found.firings.append(
                    Firing(rule=track.rule, stream=track.stream, start=start, end=at)
                )

    def _store(self, pane: PaneClosed) -> None:
        arms = [(arm, encode_arm(counts)) for arm, counts in pane.arms.items()]
        sources = [(name, encode_arm(counts)) for name, counts in pane.sources.items()]
        self._history.append((pane.start, pane.end, pane.complete, arms, sources))
        while self._history and self._history[0][0] < pane.end - self._keep_s:
            self._history.popleft()

    def _stored(self, start: float, end: float) -> list[PaneClosed]:
        return [
            PaneClosed(
                start=begin,
                end=until,
                complete=complete,
                arms={arm: decode_arm(blob) for arm, blob in arms},
                sources={name: decode_arm(blob) for name, blob in sources},
            )
            for begin, until, complete, arms, sources in self._history
            if start <= begin < end
        ]


def _champion(event: QualityMatured) -> str:
    """The version that answered most as champion."""
    counts = {
        arm.version: quality.predictions
        for arm, quality in event.arms.items()
        if arm.variant == "champion"
    }
    return max(sorted(counts), key=lambda version: counts[version], default="")
