"""Concept drift: whether the champion's answers still mean what they meant in its own burn-in.

Three streams, each silent when only the base rate or the mix of requests changes: ``@loss``, the Brier
score beyond what the scores themselves expect; ``@calibration``, how far labels lie from scores;
``@wrong``, the share of wrong answers at the burn-in's base rate. Panes of few labels are taken
together; a new champion starts anew.
"""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import msgspec
import numpy as np

from agents.events import QualityMatured
from agents.watching.concept_streams import CALIBRATION, CONCEPT, LOSS, WRONG, concept_streams
from agents.watching.concept_texts import how_calibration, how_loss, how_wrong
from agents.watching.incidents import Alarm
from agents.watching.label_measures import Quality, unpack_quality
from agents.watching.learning import PANES_MIN, SPAN_MIN_S
from agents.watching.readings import Found, advance, moved_of, read, unknown
from agents.watching.second_opinions import ask_advisors
from agents.watching.share_fits import fit_share
from agents.watching.shares import step_share
from agents.watching.state import Concept, Part, Reading, Track
from detectors.baseline import EVENTS_MIN
from detectors.calibration import Calibration, calibration_of, standardised
from detectors.contract import FloatArray
from detectors.quality import QualitySketch
from detectors.sequential import scalar
from policies.specs import ModelSpec

# A pane of fewer labels waits for the next: 200 tell a Brier score to about .015.
LABELS_MIN = 200
# So many panes of the burn-in are kept as seven numbers: a week of ten minutes.
LEARNING_MAX = 1_008
_EDGE_S = 1e-6
_LABELS = Quality("accuracy")
# What an evaluation can measure of each; it must improve before a version is promoted.
_METRICS: Mapping[str, str] = {LOSS: "brier", CALIBRATION: "brier", WRONG: "accuracy"}
_UNITS: Mapping[str, str] = {LOSS: "brier", CALIBRATION: "gap", WRONG: "share"}
Spans = Sequence[tuple[float, float]]


class ConceptWatch:
    """Watches the meaning of one model's answers. Pure."""

    def __init__(self, spec: ModelSpec, log_threshold: float) -> None:
        self._pane_s = spec.clock.pane_s
        self._watched = concept_streams(spec)
        self._advisors = spec.advisors
        self._log_threshold = log_threshold
        self._tolerances = {
            LOSS: spec.drift.tolerate_loss,
            CALIBRATION: spec.drift.tolerate_calibration,
            WRONG: spec.drift.tolerate_share,
        }

    def step(
        self, concept: Concept, event: QualityMatured, champion: str, faults: Spans
    ) -> tuple[Concept, list[Alarm]]:
        """Take a matured bucket of the champion's live answers. ``faults``: spans of broken input,
        in which wrong answers say nothing about the concept."""
        if not (self._watched or self._advisors) or not champion:
            return concept, []
        if champion != concept.champion:
            concept = Concept(champion=champion, seen=concept.seen)
        part = _LABELS.read_labels(event, champion)
        if part.start < concept.seen - _EDGE_S:
            return concept, []
        alarms: list[Alarm] = []
        before = concept.open
        if before is not None and self._index(before.end) < self._index(part.end):
            # The pane's last buckets had no predictions: it is whole all the same.
            concept, alarms = self._pane_over(concept, before, faults)
            before = concept.open
        whole = part if before is None else _LABELS.join(before, part)
        concept = msgspec.structs.replace(concept, open=whole, seen=part.end)
        if (part.end + _EDGE_S) % self._pane_s <= 2 * _EDGE_S:
            concept, more = self._pane_over(concept, whole, faults)
            alarms += more
        return concept, alarms

    def _index(self, end: float) -> int:
        return int((end - _EDGE_S) // self._pane_s)

    def _pane_over(
        self, concept: Concept, whole: Part, faults: Spans
    ) -> tuple[Concept, list[Alarm]]:
        """A pane has ended; with enough labels it is learned from or weighed."""
        if any(start < whole.end and whole.start < end for start, end in faults):
            # What the model answered to broken input is no evidence about anything else.
            return msgspec.structs.replace(concept, open=None), []
        sketch = unpack_quality(whole)
        if sketch.n < LABELS_MIN:
            return concept, []
        concept = msgspec.structs.replace(concept, open=None)
        end = (self._index(whole.end) + 1) * self._pane_s
        opinions, advice = ask_advisors(self._advisors, concept.advice, sketch, end)
        concept = msgspec.structs.replace(concept, advice=advice, opinions=opinions)
        if not self._watched:
            return concept, []
        if not concept.fit:
            return self._learn(concept, sketch, whole, end), []
        return self._weigh(concept, sketch, whole.start, end)

    def _learn(self, concept: Concept, sketch: QualitySketch, whole: Part, end: float) -> Concept:
        found = _measured(sketch)
        row = (
            sketch.n,
            sketch.positives,
            sketch.fn,
            sketch.fp,
            found.excess_loss,
            found.gap_effect,
            found.expected_wrong,
        )
        learning = (*concept.learning, row)[-LEARNING_MAX:]
        first = whole.start if concept.first is None else concept.first
        readings = tuple(
            unknown(name, _UNITS[name], self._tolerances[name], end) for name in self._watched
        )
        concept = msgspec.structs.replace(
            concept, learning=learning, first=first, readings=readings
        )
        if len(learning) < PANES_MIN or end - first < SPAN_MIN_S - _EDGE_S:
            return concept
        table = np.array(learning, np.float64)
        base = float(table[:, 1].sum() / table[:, 0].sum())
        # Both are shares: of a loss, and of labels. What is missing throughout is never learned.
        fit = scalar.fit(
            table[:, 4:6],
            np.array([self._tolerances[LOSS], self._tolerances[CALIBRATION]]),
            self._log_threshold,
            largest=1.0,
        )
        usual = _usual(table)
        counted = [pair for row in table if (pair := _wrong_of(row, base, usual))[1]]
        wrong = None
        if len(counted) >= PANES_MIN // 2:
            wrong = fit_share(counted, self._tolerances[WRONG], self._log_threshold)
        return msgspec.structs.replace(
            concept, learning=(), base=base, usual=usual, fit=fit.to_dict(), wrong=wrong
        )

    def _weigh(
        self, concept: Concept, sketch: QualitySketch, start: float, end: float
    ) -> tuple[Concept, list[Alarm]]:
        seen = _measured(sketch)
        fit = scalar.ScalarFit.from_dict(concept.fit)
        engine, pair = _step_pair(fit, concept.engine, seen, start)
        found = dict(zip((LOSS, CALIBRATION), pair, strict=True))
        counts = sketch.n, sketch.positives, sketch.fn, sketch.fp
        k, n = _wrong(*counts, seen.expected_wrong, concept.base, concept.usual)
        wrong_engine = concept.wrong_engine
        if concept.wrong is not None:
            wrong_engine, found[WRONG] = step_share(
                WRONG, concept.wrong, wrong_engine, (k, n), self._log_threshold, at=start
            )
        how = {
            LOSS: how_loss(sketch, seen, float(fit.mean[0])),
            CALIBRATION: how_calibration(seen, float(fit.mean[1])),
            WRONG: how_wrong(sketch, seen, k / n if n else nan, concept),
        }
        before = {reading.stream: reading for reading in concept.readings}
        tracks, readings, alarms = dict(concept.tracks), [], []
        for name in self._watched:
            if name not in found:
                continue
            tracks[name] = track = advance(tracks.get(name), found[name])
            reading = read(found[name], end, before.get(name))
            readings.append(reading)
            if found[name].fired:
                alarms.append(_alarm(reading, track, how[name]))
        return (
            msgspec.structs.replace(
                concept,
                engine=engine,
                wrong_engine=wrong_engine,
                tracks=tracks,
                readings=tuple(readings),
            ),
            alarms,
        )


def accepted(concept: Concept) -> Concept:
    """What people accepted is the new normal: learn it from here on."""
    return Concept(
        champion=concept.champion,
        seen=concept.seen,
        advice=concept.advice,
        opinions=concept.opinions,
    )


def levels(concept: Concept) -> dict[tuple[str, str], float]:
    """(stream, "") -> how far above normal, in tolerances."""
    return {(name, ""): concept.tracks.get(name, Track()).ratio for name in CONCEPT}


def _measured(sketch: QualitySketch) -> Calibration:
    return calibration_of(sketch) if sketch.scored >= EVENTS_MIN else Calibration(n=sketch.scored)


def _step_pair(
    fit: scalar.ScalarFit, engine: Mapping[str, Any], seen: Calibration, start: float
) -> tuple[dict[str, Any], list[Found]]:
    effects: FloatArray = np.array([seen.excess_loss, seen.gap_effect])
    before = scalar.ScalarState.start(2)
    if engine:
        before = scalar.ScalarState.from_dict(dict(engine))
    after, fired, evidence, fast = scalar.step(fit, before, effects, at=start)
    effects = np.where(fit.learned, effects, nan)
    return after.to_dict(), [
        Found(
            stream=name,
            distance=_UNITS[name],
            tolerance=float(fit.tolerance[i]),
            excess=float(effects[i] - fit.mean[i]),
            evidence=float(evidence[i]),
            fired=bool(fired[i]),
            fast=bool(fast[i]),
            since=float(after.since[i]),
            panes=int(fit.panes[i]),
        )
        for i, name in enumerate((LOSS, CALIBRATION))
    ]


def _usual(table: FloatArray) -> float:
    """Share of wrong answers that the scores of the burn-in expected; NaN where few had scores."""
    expected = table[:, 6][np.isfinite(table[:, 6])]
    return float(expected.mean()) if len(expected) >= PANES_MIN // 2 else nan


def _wrong_of(row: FloatArray, base: float, usual: float) -> tuple[int, int]:
    n, positives, fn, fp = (int(count) for count in row[:4])
    return _wrong(n, positives, fn, fp, float(row[6]), base, usual)


def _wrong(
    n: int, positives: int, fn: int, fp: int, expected: float, base: float, usual: float
) -> tuple[int, int]:
    """(k, n): wrong answers as if their scores had expected those of the burn-in; where there are no
    scores, as if the base rate were its. (0, 0) is a gap."""
    if isnan(usual):
        share = standardised(n, positives, fn, fp, base)
    else:
        share = (fn + fp) / n - expected + usual
    return (0, 0) if isnan(share) else (round(n * min(max(share, 0.0), 1.0)), n)


def _alarm(reading: Reading, track: Track, how: str) -> Alarm:
    moved = moved_of(reading, track, how)
    moved = msgspec.structs.replace(moved, distance=_METRICS[reading.stream])
    return Alarm(moved=moved, kind="quality", severity="warning")
