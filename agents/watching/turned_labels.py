"""Labels that are turned round: a data fault of the labels, from which nothing may be trained."""

from collections.abc import Iterable

import msgspec
import numpy as np

from agents.events import QualityMatured
from agents.incidents import Incident, StreamMoved
from agents.watching.incidents import ABOUT_LABELS, Alarm
from agents.watching.naming import LABELS
from agents.watching.state import LabelTrack
from detectors.profile import Profile
from detectors.quality import QualitySketch
from detectors.sequential import turned
from policies.specs import ModelSpec

# Panes with fewer labels, or fewer of either class, are taken together.
LABELS_MIN, CLASS_MIN = 50, 10
_EDGE_S = 1e-6


def broken_inputs(incidents: Iterable[Incident]) -> bool:
    """Whether the inputs are broken: then wrong answers say nothing about the labels."""
    return any(
        incident.kind == "data_fault"
        and any(moved.stream not in ABOUT_LABELS for moved in incident.streams)
        for incident in incidents
    )


class TurnedLabels:
    """Watches the champion's own answers against their labels."""

    def __init__(self, spec: ModelSpec, profile: Profile | None, log_threshold: float) -> None:
        quality = profile.quality if profile is not None else None
        self._pane_s = spec.clock.pane_s
        self._off = not spec.drift.enabled or LABELS in spec.drift.ignore
        self._reference = quality
        self._log_threshold = log_threshold

    def step(
        self, track: LabelTrack, event: QualityMatured, champion: str
    ) -> tuple[LabelTrack, list[Alarm]]:
        """Take the labels of a bucket; weigh them when a pane is over and enough have come."""
        if self._reference is None or self._off:
            return track, []
        sketch = _unpacked(track.open)
        for arm, quality in event.arms.items():
            if arm.version == champion and arm.variant == "champion":
                sketch = sketch.merge(quality.sketch)
        start = event.start if track.start is None else track.start
        ends_pane = (event.end + _EDGE_S) % self._pane_s <= 2 * _EDGE_S
        if not ends_pane or not _is_enough(sketch):
            return msgspec.structs.replace(track, open=_packed(sketch), start=start), []
        before = turned.TurnedState(log_m=track.log_m, run=track.run, since=track.since)
        after, fired = turned.step(
            before,
            sketch,
            self._reference.auc - turned.CHANCE,
            self._reference.positives / self._reference.n,
            self._log_threshold,
            at=start,
        )
        track = LabelTrack(log_m=after.log_m, run=after.run, since=after.since, level=after.level)
        since = event.end if after.since is None else after.since
        return track, [self._alarm(sketch, self._reference, since)] if fired else []

    def _alarm(self, sketch: QualitySketch, reference: QualitySketch, since: float) -> Alarm:
        usual = reference.positives / reference.n
        now = sketch.positives / sketch.n
        told = f"AUC {sketch.auc:.2f} ({reference.auc:.2f} in training)"
        share = f"{now:.0%} of the labels are positive ({usual:.0%} in training)"
        moved = StreamMoved(
            stream=LABELS,
            distance="auc",
            effect=turned.CHANCE - sketch.auc,
            tolerance=0.0,
            evidence=1.0,
            since=since,
            how=f"{LABELS}: {told} over {sketch.n} labels; {share}",
            cause=f"the labels look turned round: {told}, and {share}",
            cause_kind="flipped_labels",
            # That the shares of the classes have changed places says the same by another way.
            sure=round(1 - min(abs(now - (1 - usual)), 0.5), 3),
        )
        return Alarm(moved=moved, kind="data_fault", severity="warning")


def _is_enough(sketch: QualitySketch) -> bool:
    classes = sketch.positive_scores.sum(), sketch.negative_scores.sum()
    return sketch.n >= LABELS_MIN and min(classes) >= CLASS_MIN


def _packed(sketch: QualitySketch) -> bytes:
    if not sketch.n:
        return b""
    plain = sketch.to_dict()
    for side in ("positive_scores", "negative_scores"):
        plain[side] = np.array(plain[side], np.int32).tobytes()
    return msgspec.msgpack.encode(plain)


def _unpacked(blob: bytes) -> QualitySketch:
    if not blob:
        return QualitySketch.empty()
    plain = msgspec.msgpack.decode(blob)
    for side in ("positive_scores", "negative_scores"):
        plain[side] = np.frombuffer(plain[side], np.int32).tolist()
    return QualitySketch.from_dict(plain)
