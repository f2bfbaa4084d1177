"""One whole pane through the engines: effects, evidence, readings, and who alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import msgspec
import numpy as np

from agents.watching.fitted import Fitted
from agents.watching.incidents import Alarm
from agents.watching.learning import mean_effect
from agents.watching.readings import Found, Telling, moved_of, unknown
from agents.watching.shares import judge_feeds, judge_shares
from agents.watching.state import Reading, Track, WatchState
from agents.watching.streams import TOLERANCE_WHOLE, WHOLE, PaneCounts, Streams
from agents.watching.stuck_values import judge_stuck
from agents.watching.why.contract import Explained
from agents.watching.why.decide import decide
from agents.watching.why.scene import scene_of
from detectors.baseline import EVENTS_MIN, slot_of
from detectors.catalog import DISTANCES
from detectors.contract import Effect, FloatArray, events
from detectors.profile import Profile
from detectors.sequential import scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one pane showed: the engines' next states, readings in the streams' order, alarms, and
    the causes of streams that alarm or were asked about."""

    state: WatchState
    readings: tuple[Reading, ...]
    alarms: tuple[Alarm, ...]
    causes: Mapping[str, Explained]


class PaneJudge:
    """Judges the panes of one model against what was learned."""

    def __init__(self, profile: Profile | None, streams: Streams, log_threshold: float) -> None:
        self._profile = profile
        self._streams = streams
        self._by_name = {stream.name: stream for stream in streams.distances}
        self._log_threshold = log_threshold

    def learning(self, state: WatchState, pane: PaneCounts) -> Seen:
        """A pane while nothing is known yet."""
        watched = [(s.name, s.distance, s.tolerance) for s in self._streams.distances]
        if watched:
            watched.append((WHOLE, "mean", TOLERANCE_WHOLE))
        watched += [(s.name, "share", s.tolerance) for s in self._streams.shares]
        readings = tuple(unknown(*stream, pane.end) for stream in watched)
        return Seen(state=state, readings=readings, alarms=(), causes={})

    def judge(
        self,
        state: WatchState,
        fitted: Fitted,
        panes: Sequence[PaneCounts],
        *,
        held: frozenset[str],
        asked: frozenset[str] = frozenset(),
    ) -> Seen:
        """Take the last of ``panes``; those before it help to find causes. ``held``: streams whose
        movement is explained (an open data fault) or answered by people; they stay out of the
        whole-model mean. ``asked``: members of incidents that want a cause, beside who alarms."""
        pane = panes[-1]
        telling = Telling(
            end=pane.end,
            before={reading.stream: reading for reading in state.readings},
            tracks=dict(state.tracks),
        )
        slot = slot_of(pane.start, fitted.slots)
        engines, whole = state.scalar, state.whole
        if fitted.streams:
            measured = self._measure(fitted, pane, slot)
            engines = self._distances(state.scalar, fitted, pane, measured, telling)
            calm = self._calm(fitted, np.array([effect.value for effect in measured]), held)
            whole = self._whole(state.whole, fitted, pane, calm, telling)
        # A stream that came after the burn-in waits for the next one.
        telling.readings += [
            unknown(stream.name, stream.distance, stream.tolerance, pane.end)
            for stream in self._streams.distances
            if stream.name not in fitted.streams
        ]
        shares = judge_shares(
            self._streams.shares,
            state.shares,
            fitted,
            pane,
            log_threshold=self._log_threshold,
            slot=slot,
            telling=telling,
        )
        silent = judge_feeds(state.silent, fitted, pane, slot, telling)
        stuck = judge_stuck(self._streams.distances, state.stuck, fitted, pane, telling)
        after = msgspec.structs.replace(
            state,
            scalar=engines,
            whole=whole,
            shares=shares,
            silent=silent,
            stuck=stuck,
            tracks=telling.tracks,
        )
        return self._explained(after, fitted, panes, telling, asked)

    def _explained(
        self,
        state: WatchState,
        fitted: Fitted,
        panes: Sequence[PaneCounts],
        telling: Telling,
        asked: frozenset[str],
    ) -> Seen:
        """The pane with the causes of those who alarm, and of ``asked``."""
        asked |= {alarm.moved.stream for alarm in telling.alarms}
        causes = self._causes(fitted, panes, telling, asked)
        # The whole model alarmed, and who moved it is known before it alarms by itself.
        found = [
            _named(r, telling.tracks[r.stream]) for r in telling.readings if r.stream in causes
        ]
        alarms = [*telling.alarms, *(one for one in found if one.moved.stream not in asked)]
        return Seen(
            state=state, readings=tuple(telling.readings), alarms=tuple(alarms), causes=causes
        )

    def _causes(
        self,
        fitted: Fitted,
        panes: Sequence[PaneCounts],
        telling: Telling,
        asked: frozenset[str],
    ) -> Mapping[str, Explained]:
        if not asked or not panes[-1].complete:
            return {}
        near = {reading.stream: reading.evidence for reading in telling.readings}
        return decide(
            scene_of(self._streams, fitted, panes, telling.tracks, near, asked, self._profile)
        )

    def _measure(self, fitted: Fitted, pane: PaneCounts, slot: int) -> list[Effect]:
        """The effects in the fit's order; NaN where nothing can be said."""
        measured: list[Effect] = []
        for name in fitted.streams:
            stream, counts = self._by_name.get(name), pane.counts.get(name)
            baseline = fitted.baselines[name]
            present = 0 if stream is None or counts is None else events(stream.layout, counts)
            if (
                stream is None
                or counts is None
                or len(counts) - 1 != baseline.counts.shape[1]
                or present < EVENTS_MIN
                or not pane.complete
            ):
                measured.append(Effect(distance="", value=nan, raw=nan, n=present, m=0))
                continue
            distance, m = DISTANCES[stream.distance], baseline.events(slot) // stream.layout.unit
            measured.append(distance.measure(stream.layout, baseline.normal(slot), counts, m=m))
        return measured

    def _distances(
        self,
        engines: Mapping[str, Any],
        fitted: Fitted,
        pane: PaneCounts,
        measured: list[Effect],
        telling: Telling,
    ) -> dict[str, Any]:
        effects = np.array([effect.value for effect in measured])
        before = _scalar_state(engines, len(effects))
        after, fired, evidence, fast = scalar.step(fitted.scalar, before, effects, at=pane.start)
        for i, name in enumerate(fitted.streams):
            stream = self._by_name.get(name)
            if stream is None:
                continue
            normal = float(fitted.scalar.mean[i])
            reading, track = telling.take(
                Found(
                    stream=stream.name,
                    distance=stream.distance,
                    tolerance=stream.tolerance,
                    excess=float(effects[i]) - normal,
                    evidence=float(evidence[i]),
                    fired=bool(fired[i]),
                    fast=bool(fast[i]),
                    since=float(after.since[i]),
                    panes=int(fitted.scalar.panes[i]),
                )
            )
            if not fired[i]:
                continue
            moved = moved_of(reading, track, _how(reading, normal, measured[i].where))
            telling.alarms.append(Alarm(moved=moved, kind="input_drift", severity="info"))
        return after.to_dict()

    def _calm(self, fitted: Fitted, effects: FloatArray, held: frozenset[str]) -> FloatArray:
        """The effects with those that are held taken as usual."""
        aside = np.array([name in held for name in fitted.streams], bool)
        return np.where(aside & np.isfinite(effects), fitted.scalar.mean, effects)

    def _whole(
        self,
        engine: Mapping[str, Any],
        fitted: Fitted,
        pane: PaneCounts,
        effects: FloatArray,
        telling: Telling,
    ) -> dict[str, Any]:
        mean = mean_effect(effects[None, :])
        before = _scalar_state(engine, 1)
        after, fired, evidence, fast = scalar.step(fitted.whole, before, mean, at=pane.start)
        normal = float(fitted.whole.mean[0])
        reading, track = telling.take(
            Found(
                stream=WHOLE,
                distance="mean",
                tolerance=TOLERANCE_WHOLE,
                excess=float(mean[0]) - normal,
                evidence=float(evidence[0]),
                fired=bool(fired[0]),
                fast=bool(fast[0]),
                since=float(after.since[0]),
                panes=int(fitted.whole.panes[0]),
            )
        )
        if fired[0]:
            moved = moved_of(reading, track, _how(reading, normal, ""))
            telling.alarms.append(Alarm(moved=moved, kind="input_drift", severity="info"))
        return after.to_dict()


def _named(reading: Reading, track: Track) -> Alarm:
    how = (
        f"{reading.stream}: {reading.distance} {reading.effect:+.3f} against normal, tolerated "
        f"+{reading.tolerance:g}; told before its own alarm, since the whole model moved"
    )
    return Alarm(moved=moved_of(reading, track, how), kind="input_drift", severity="info")


def _how(reading: Reading, normal: float, where: str) -> str:
    place = f", most at {where}" if where else ""
    return (
        f"{reading.stream}: {reading.distance} {reading.effect + normal:.3f}, normally "
        f"{normal:.3f}, tolerated +{reading.tolerance:g}{place}"
    )


def _scalar_state(plain: Mapping[str, Any], streams: int) -> scalar.ScalarState:
    if plain:
        state = scalar.ScalarState.from_dict(dict(plain))
        if len(state.run) == streams:
            return state
    return scalar.ScalarState.start(streams)
