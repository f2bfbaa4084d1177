"""Flights as a model's traffic: real rows become events, and events buckets, as in production."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agents.codec import decode_arm
from agents.events import Arm, ArmCounts, PaneClosed, QualityMatured
from detectors.contract import FloatArray
from detectors.profile import Profile
from driftd.data.join import consolidate, join, matured
from driftd.data.samples import LABELS, decode_labels
from driftd.demo.flights import FEATURES, LATE, MODEL, ON_TIME
from driftd.ingest.buffer import Buffer
from driftd.ingest.events import Event
from driftd.ingest.folding import Folded, fold
from driftd.ingest.plans import Plans, index_plans, make_plan
from policies.specs import ModelSpec

VERSION = "1"
CHAMPION = Arm(VERSION, "champion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One pane of traffic: its bucket, and its labels as they are at maturity."""

    closed: PaneClosed
    labels: QualityMatured


class Traffic:
    """Folds rows with one plan, as an ingest worker does."""

    def __init__(self, spec: ModelSpec, profile: Profile) -> None:
        self._spec = spec
        self._pane_s = spec.clock.pane_s
        self._plans: Plans = index_plans({spec.model: make_plan(spec, profile)})

    def days(
        self, rows: pd.DataFrame, scores: FloatArray, since: float, until: float
    ) -> Iterator[Day]:
        """Every pane of [since, until), empty ones too. ``rows`` as ``load_flights`` gives them;
        ``scores``: shape (rows,)."""
        hours = rows["hour_ts"].to_numpy()
        for start in np.arange(since, until, self._pane_s):
            inside = (hours >= start) & (hours < start + self._pane_s)
            yield self._day(float(start), rows[inside], scores[inside])

    def _day(self, start: float, rows: pd.DataFrame, scores: FloatArray) -> Day:
        end = start + self._pane_s
        buffer = Buffer(opened=0.0)
        if len(rows):
            buffer.predictions[MODEL, VERSION, "champion", start] = predictions(rows, scores)
            buffer.labels[MODEL, start] = labels(rows)
        folded = fold(buffer, (), self._plans, 1.0)
        arms = {}
        for row in folded.flush.partials:
            counts = decode_arm(row.blob, self._plans.models[MODEL].marks)
            arms[Arm(row.version, "champion")] = ArmCounts(
                n=counts.n, errors=counts.errors, counts=counts.counts
            )
        return Day(
            closed=PaneClosed(start=start, end=end, arms=arms),
            labels=self._matured(folded, start, end),
        )

    def _matured(self, folded: Folded, start: float, end: float) -> QualityMatured:
        kinds = {row.kind: row.blob for row in folded.flush.samples}
        if not kinds:
            return QualityMatured(start=start, end=end)
        spec = self._spec.labels
        parts = [kinds["prediction"]] if "prediction" in kinds else []
        arrived = decode_labels(kinds["label"]) if "label" in kinds else LABELS.empty_table()
        pending = consolidate(parts)
        joined = join({start: pending}, arrived, arrive_within_s=spec.arrive_within_s)
        table = joined.changed.get(start, pending)
        arms = matured(table, end=end, maturity_s=spec.maturity_s, positive=spec.positive)
        return QualityMatured(start=start, end=end, arms=arms)


def predictions(rows: pd.DataFrame, scores: FloatArray) -> list[Event]:
    """One event a row; a feature that is missing is null, as a producer sends it."""
    columns = [_plain(rows[name]) for name in FEATURES]
    return [
        Event(
            id=name,
            model=MODEL,
            version=VERSION,
            ts=ts,
            subject=subject,
            features=dict(zip(FEATURES, values, strict=True)),
            score=score,
            prediction=LATE if score >= 0.5 else ON_TIME,
            latency_ms=1.0,
        )
        for name, ts, subject, score, values in zip(
            rows["id"],
            rows["hour_ts"],
            rows["subject"],
            scores.tolist(),
            zip(*columns, strict=True),
            strict=True,
        )
    ]


def labels(rows: pd.DataFrame) -> list[Event]:
    """The labels that ever arrive, each at its own time."""
    known = rows[rows["late"].notna()]
    return [
        Event(id=name, model=MODEL, ts=ts, label=LATE if late else ON_TIME)
        for name, ts, late in zip(known["id"], known["label_ts"], known["late"], strict=True)
    ]


def _plain(column: pd.Series) -> Sequence[float | str | None]:
    values: list[float | str | None] = column.astype(object).where(column.notna(), None).to_list()
    return values
