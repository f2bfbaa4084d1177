"""Threshold rules: a window of each, a limit, and whether it is broken."""

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from math import ceil, isnan, nan, sqrt

import msgspec

from agents.events import PaneClosed, QualityMatured, QueryRead
from agents.watching.distance_measures import FurthestStream
from agents.watching.fitted import Fitted
from agents.watching.incidents import Alarm
from agents.watching.label_measures import QUALITY, standard_error
from agents.watching.measures import (
    LabelMeasure,
    Latency,
    Measure,
    PaneMeasure,
    Speaks,
    measure_of,
)
from agents.watching.query_measure import Extreme
from agents.watching.rule_alarms import amount_of, rule_alarm, stream_of
from agents.watching.sequential_rules import shares_of, step_rule
from agents.watching.state import Part, RuleTrack
from detectors.baseline import DAY_S, HOUR_S
from detectors.contract import Layout
from detectors.profile import Profile
from policies.metrics import METRICS
from policies.specs import ModelSpec, RuleSpec

# A window is kept in at most so many parts, and is therefore up to 1/48 longer than it says.
PARTS_MAX = 48
# A window of every stream is large: it is kept in fewer parts, and up to 1/8 longer than it says.
PARTS_MAX_WIDE = 8
# "than: baseline" is the mean of about four weeks at the same hour of the week.
WEEKS = 4
HOURS_A_WEEK = 168
_EDGE_S = 1e-6


class RuleBook:
    """The rules of one model. ``log_threshold``: what a sequential rule's evidence must reach."""

    def __init__(
        self,
        spec: ModelSpec,
        layouts: Mapping[str, Layout],
        profile: Profile | None,
        log_threshold: float,
    ) -> None:
        self._spec = spec
        self._layouts = layouts
        self._profile = profile
        self._log_threshold = log_threshold

    def on_bucket(
        self, tracks: Mapping[str, RuleTrack], bucket: PaneClosed, fitted: Fitted | None
    ) -> tuple[dict[str, RuleTrack], list[Alarm]]:
        """Evaluate what is known when a bucket closes. An incomplete bucket is no evidence."""
        after, alarms = self._known(tracks), []
        for rule in self._spec.rules:
            measure = self._measure(rule, fitted)
            if not isinstance(measure, PaneMeasure) or not bucket.complete:
                continue
            track = after.get(rule.name)
            # A hole in the window would be taken for silence: begin again behind it.
            if track is not None and track.parts and track.parts[-1].end < bucket.start - _EDGE_S:
                after[rule.name] = msgspec.structs.replace(track, parts=())
            alarms += self._take(after, rule, measure, measure.read(bucket))
        return after, alarms

    def on_labels(
        self, tracks: Mapping[str, RuleTrack], event: QualityMatured, champion: str
    ) -> tuple[dict[str, RuleTrack], list[Alarm]]:
        """Evaluate what is known when the labels of a bucket have matured."""
        after, alarms = self._known(tracks), []
        for rule in self._spec.rules:
            measure = self._measure(rule, None)
            if isinstance(measure, LabelMeasure):
                part = measure.read_labels(event, champion)
                alarms += self._take(after, rule, measure, part)
        return after, alarms

    def on_query(
        self, tracks: Mapping[str, RuleTrack], event: QueryRead
    ) -> tuple[dict[str, RuleTrack], list[Alarm]]:
        """Evaluate the rules of one query; a bucket that came before changes nothing."""
        after, alarms = self._known(tracks), []
        for rule in self._spec.rules:
            if rule.query != event.query:
                continue
            measure = Extreme(rule)
            track = after.get(rule.name)
            if track is not None and track.parts and track.parts[-1].end < event.start - _EDGE_S:
                after[rule.name] = msgspec.structs.replace(track, parts=())
            alarms += self._take(after, rule, measure, measure.read_query(event))
        return after, alarms

    def without_quality(self, tracks: Mapping[str, RuleTrack]) -> dict[str, RuleTrack]:
        """Another version answers now: windows of quality start empty."""
        mine = {rule.name for rule in self._spec.rules if rule.metric in QUALITY}
        return {name: track for name, track in self._known(tracks).items() if name not in mine}

    def _known(self, tracks: Mapping[str, RuleTrack]) -> dict[str, RuleTrack]:
        names = [rule.name for rule in self._spec.rules]
        return {name: tracks[name] for name in names if name in tracks}

    def _measure(self, rule: RuleSpec, fitted: Fitted | None) -> Measure | None:
        if rule.metric not in METRICS:
            return None
        baselines = fitted.baselines if fitted is not None else {}
        ignore = self._spec.drift.ignore
        return measure_of(rule, self._layouts, self._profile, baselines, ignore=ignore)

    def _take(
        self, after: dict[str, RuleTrack], rule: RuleSpec, measure: Measure, part: Part
    ) -> list[Alarm]:
        empty = RuleTrack(stream=stream_of(rule), rule=rule.name)
        track = after.get(rule.name, empty)
        if track.parts and part.start < track.parts[-1].end - _EDGE_S:
            return []
        limit = self._limit(rule, track, part)
        share = shares_of(rule, measure, limit) if rule.confidence == "sequential" else None
        if share is not None and rule.comparison != "falling_for":
            pane_s = self._spec.clock.pane_s
            track, fired = step_rule(track, part, share, pane_s, self._log_threshold)
            track = msgspec.structs.replace(track, limit=limit)
            after[rule.name] = self._remember(rule, track, part)
            return [rule_alarm(rule, track, part.end, track.since)] if fired else []
        track = msgspec.structs.replace(track, parts=self._push(rule, measure, track.parts, part))
        track, window = self._judge(rule, measure, track, limit, part.end)
        after[rule.name] = self._remember(rule, track, part)
        if not track.breached or window is None:
            return []
        # A query's window counts buckets, which are no events.
        events = 0 if rule.query else measure.events(window)
        loudest = measure.loudest(window) if isinstance(measure, Speaks) and not rule.of else ""
        alarm = rule_alarm(rule, track, part.end, window.start, events=events, loudest=loudest)
        return [alarm]

    def _push(
        self, rule: RuleSpec, measure: Measure, parts: Sequence[Part], part: Part
    ) -> tuple[Part, ...]:
        bucket_s, span = self._spec.clock.bucket_s, rule.over_s
        most = PARTS_MAX_WIDE if isinstance(measure, FurthestStream) else PARTS_MAX
        grain = bucket_s * max(1, ceil(rule.over_s / bucket_s / most - 1e-9))
        if rule.comparison == "falling_for":
            grain, span = DAY_S, rule.over_s + DAY_S
        kept = list(parts)
        last = kept[-1] if kept else None
        if last is not None and last.end < part.start:
            # Labels of hours without predictions mature without an event.
            last = kept[-1] = msgspec.structs.replace(last, end=part.start)
        if last is not None and last.start // grain == (part.end - _EDGE_S) // grain:
            kept[-1] = measure.join(last, part)
        else:
            kept.append(part)
        return tuple(old for old in kept if old.end > part.end - span + _EDGE_S)

    def _judge(
        self, rule: RuleSpec, measure: Measure, track: RuleTrack, limit: float, now: float
    ) -> tuple[RuleTrack, Part | None]:
        """Compare the window with the limit; None where it is not full or has too few events."""
        unknown = msgspec.structs.replace(track, breached=False, value=nan, limit=limit)
        if rule.comparison == "falling_for":
            return _falling(rule, measure, unknown)
        window = reduce(measure.join, track.parts)
        full = window.start <= now - rule.over_s + _EDGE_S
        few = measure.events(window) < max(rule.min_events, 1)
        if not full or (few and (rule.query or METRICS[rule.metric].events)):
            return unknown, None
        value = measure.value(window)
        known = not (isnan(value) or isnan(limit))
        breached = known and _is_breached(rule, measure, window, limit, self._log_threshold)
        return msgspec.structs.replace(unknown, value=value, breached=breached), window

    def _limit(self, rule: RuleSpec, track: RuleTrack, part: Part) -> float:
        if rule.comparison != "worse_by":
            return amount_of(rule)
        reference = self._training(rule) if rule.than == "training" else nan
        if rule.than == "baseline":
            mean, count = track.slots.get(_slot(part), (nan, 0))
            reference = mean if count >= self._a_week() else nan
        up = METRICS[rule.metric].worse == "up"
        value = rule.amount.value
        if rule.amount.unit == "%":
            return reference + (1 if up else -1) * abs(reference) * value / 100
        if rule.amount.unit == "x":
            return reference * value if up else reference / value
        return reference + (1 if up else -1) * amount_of(rule)

    def _training(self, rule: RuleSpec) -> float:
        if self._profile is None:
            return nan
        if rule.metric in QUALITY:
            quality = self._profile.quality
            return float(getattr(quality, rule.metric)) if quality is not None else nan
        streams = self._profile.streams
        known = [streams[rule.of]] if rule.of and rule.of in streams else []
        if not rule.of:
            known = [stream for name, stream in sorted(streams.items()) if name[0] != "@"]
        return max((stream.missing_share for stream in known), default=nan)

    def _a_week(self) -> int:
        """How many buckets one slot of the week sees in a week."""
        return max(1, round(HOUR_S / self._spec.clock.bucket_s))

    def _remember(self, rule: RuleSpec, track: RuleTrack, part: Part) -> RuleTrack:
        # What breaks the rule must not become normal by lasting.
        if rule.than != "baseline" or isnan(track.value) or track.breached:
            return track
        mean, count = track.slots.get(_slot(part), (0.0, 0))
        weight = 1 / min(count + 1, WEEKS * self._a_week())
        slot = {_slot(part): (mean + weight * (track.value - mean), count + 1)}
        return msgspec.structs.replace(track, slots={**track.slots, **slot})


def _is_breached(
    rule: RuleSpec,
    measure: Measure,
    window: Part,
    limit: float,
    log_threshold: float,
) -> bool:
    value = measure.value(window)
    above = rule.comparison == "above" or (
        rule.comparison == "worse_by" and METRICS[rule.metric].worse == "up"
    )
    if above and isinstance(measure, Latency) and measure.threshold is not None:
        return window.bad > (1 - measure.q) * window.n
    margin = 0.0
    if rule.confidence == "sequential" and rule.metric in QUALITY:
        # exp(-z²/2) = 1 / A: the normal tail at the threshold that evidence has to reach.
        margin = sqrt(2 * log_threshold) * standard_error(rule.metric, window)
    return value > limit + margin if above else value < limit - margin


def _falling(rule: RuleSpec, measure: Measure, unknown: RuleTrack) -> tuple[RuleTrack, Part | None]:
    """True when each of the last days is worse than the one before, and all together by enough."""
    days = [part for part in unknown.parts if part.end - part.start >= DAY_S - _EDGE_S]
    needed = round(rule.over_s / DAY_S) + 1
    days = days[-needed:]
    if len(days) < needed or any(measure.events(day) < max(rule.min_events, 1) for day in days):
        return unknown, None
    sign = 1 if METRICS[rule.metric].worse == "up" else -1
    values = [sign * measure.value(day) for day in days]
    fall = values[-1] - values[0]
    limit = amount_of(rule) * (abs(values[0]) if rule.amount.unit == "%" else 1)
    worse = all(new > old for old, new in pairwise(values))
    track = msgspec.structs.replace(
        unknown, value=fall, limit=limit, breached=worse and fall >= limit
    )
    return track, reduce(measure.join, days)


def _slot(part: Part) -> int:
    return int((part.end - _EDGE_S) // HOUR_S) % HOURS_A_WEEK
