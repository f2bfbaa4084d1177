"""Does an incident say what is wrong? Ten faults in real flights, each from several onsets on.

make bench NAME=why                            # three onsets, and as many runs without a fault
make bench NAME=why ARGS="--fault unit"        # one of them, with all that is said

Each run is the whole way: a profile of the 28 days of training, a model trained on them, rows as
events, ingest's folding, and the watcher with its burn-in. A fault counts as named right when its
cause is named, in an incident of the right kind, and no other cause beside it; `right` counts faults
that are named right from most onsets.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from agents.incidents import Incident
from agents.watcher import Fitted, Watcher, WatchState, WatchStep
from benchmarks.injected.faults import CONTROL, FAULTS, HARD, Fault
from benchmarks.injected.traffic import VERSION, Day, Traffic
from detectors.contract import FloatArray
from detectors.profile import Profile
from driftd.data.profile import build_profile
from driftd.demo.files import EXAMPLES, TRAINER, write_files
from driftd.demo.flights import FEATURES, LATE, MODEL, ON_TIME, load_flights
from driftd.yamlfile import parse_yaml
from policies.checker import check
from policies.specs import ModelSpec

DAY_S = 86_400.0
TRAINED_DAYS, LEARNED_DAYS, CALM_DAYS, FAULTY_DAYS = 28, 61, 9, 28
ONSETS = ((4, 16), (7, 16), (10, 15))
# Evidence may seem to begin some days before a fault, when the weather helped it.
BLURRED_DAYS = 7
NOTHING = "nothing"


def policy() -> ModelSpec:
    """The demo's policy, as a daemon would compile it."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), bootstrap="b:1", tracking_uri="http://m:1", port=1, seed=0)
        text = (Path(folder) / "policies" / f"{MODEL}.yaml").read_text()
    spec, mistakes = check(parse_yaml(text).values)
    if spec is None:
        raise SystemExit(f"the demo's policy does not compile: {mistakes}")
    return spec


@dataclass(slots=True, kw_only=True)
class Life:
    """A watcher, what it remembers, and what it has said."""

    watcher: Watcher
    state: WatchState
    fitted: Fitted | None
    past: tuple[Any, ...]
    incidents: dict[str, Incident]

    def copy(self) -> "Life":
        """The same life, to go on apart."""
        return Life(
            watcher=self.watcher,
            state=self.state,
            fitted=self.fitted,
            past=self.past,
            incidents=dict(self.incidents),
        )

    def live(self, days: Sequence[Day]) -> None:
        """Take whole days: the pane at midnight, the labels half a day later."""
        for day in days:
            wanted = self.watcher.wants_history(self.state, day.closed)
            since, until = wanted or (0.0, 0.0)
            history = tuple(one for one in self.past if since <= one.start and one.end <= until)
            self._take(self.watcher.on_pane(self.state, self.fitted, day.closed, history))
            self.past = (*self.past, day.closed)
            self._take(self.watcher.on_quality(self.state, day.labels, VERSION))

    def _take(self, step: WatchStep) -> None:
        self.state = WatchState.from_bytes(step.state.to_bytes())
        self.fitted = step.fitted or self.fitted
        self.incidents.update({one.incident.incident_id: one.incident for one in step.incidents})


class Stage:
    """Everything up to an onset, lived once: training, burn-in, some calm days."""

    def __init__(self, flights: pd.DataFrame, spec: ModelSpec, onset: float) -> None:
        self.onset, self._flights = onset, flights
        live_from = onset - (LEARNED_DAYS + CALM_DAYS) * DAY_S
        training = self._rows(live_from - TRAINED_DAYS * DAY_S, live_from)
        known = training[training["late"].notna()]
        self._model = _delay_model().fit(known[list(FEATURES)], known["late"].to_numpy(int))
        profile = self._profile(known)
        self._traffic = Traffic(spec, profile)
        self._before = Life(
            watcher=Watcher(spec, profile),
            state=WatchState.new(),
            fitted=None,
            past=(),
            incidents={},
        )
        calm = self._rows(live_from, onset)
        self._before.live(list(self._traffic.days(calm, self._scores(calm), live_from, onset)))

    def run(self, fault: Fault, seed: int) -> list[Incident]:
        """The incidents that were open in the days from the onset on, as they were told last."""
        until = self.onset + FAULTY_DAYS * DAY_S
        rows = fault.change(self._rows(self.onset, until), np.random.default_rng(seed))
        if fault.flips_labels:
            rows = rows.assign(late=1 - rows["late"])
        life = self._before.copy()
        life.live(list(self._traffic.days(rows, self._scores(rows), self.onset, until)))
        told = life.incidents.values()
        return [one for one in told if one.closed is None or one.closed > self.onset]

    def _rows(self, since: float, until: float) -> pd.DataFrame:
        hours = self._flights["hour_ts"]
        return self._flights[(hours >= since) & (hours < until)]

    def _profile(self, known: pd.DataFrame) -> Profile:
        table = pa.table({name: known[name].to_numpy() for name in FEATURES})
        return build_profile(
            table,
            version=VERSION,
            score=self._scores(known),
            label=known["late"].to_numpy(np.int64),
            positive=LATE,
            negative=ON_TIME,
        )

    def _scores(self, rows: pd.DataFrame) -> FloatArray:
        if rows.empty:
            return np.empty(0)
        scores: FloatArray = self._model.predict_proba(rows[list(FEATURES)])[:, 1]
        return scores


def _delay_model() -> Any:
    """The demo's model, from the example trainer."""
    spec = importlib.util.spec_from_file_location("flights_trainer", EXAMPLES / TRAINER)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{EXAMPLES / TRAINER} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DelayModel()


def named(incidents: Sequence[Incident], onset: float) -> tuple[str, str]:
    """(causes, kinds) of what was said of the time from the onset on: names joined by +."""
    told = [
        (moved.cause_kind, one.kind)
        for one in incidents
        for moved in one.streams
        if moved.cause_kind and moved.since >= onset - BLURRED_DAYS * DAY_S
    ]
    causes, kinds = sorted({cause for cause, _ in told}), sorted({kind for _, kind in told})
    return "+".join(causes) or NOTHING, "+".join(kinds)


def measure(
    flights: pd.DataFrame, faults: Mapping[str, Fault], hard: Mapping[str, Fault]
) -> dict[str, Any]:
    """Every fault from every onset; the figures. ``hard`` ones are shown and not counted."""
    spec, every = policy(), {"control": CONTROL, **faults, **hard}
    confusion: dict[str, Counter[str]] = {name: Counter() for name in every}
    hits: Counter[str] = Counter()
    for number, (month, day) in enumerate(ONSETS):
        stage = Stage(flights, spec, datetime(2013, month, day, tzinfo=UTC).timestamp())
        usual = 0
        for name, fault in every.items():
            incidents = stage.run(fault, number)
            cause, kinds = named(incidents, stage.onset)
            fell = sum(one.kind == "quality" and one.opened > stage.onset for one in incidents)
            usual = fell if name == "control" else usual
            right = (cause, kinds) == (fault.cause or NOTHING, fault.kind)
            right = right and not (fault.harmless and fell > usual)
            confusion[name][cause] += 1
            hits[name] += right
            show(f"{month:02}-{day:02}", name, incidents, right=right)
    return {
        "benchmark": "why",
        "right": sum(hits[name] * 2 > len(ONSETS) for name in faults),
        "of": len(faults),
        "runs_right": sum(hits[name] for name in faults),
        "runs": len(faults) * len(ONSETS),
        "control_named": len(ONSETS) - hits["control"],
        "confusion": {name: dict(confusion[name]) for name in ("control", *faults)},
        "hard": {name: dict(confusion[name]) for name in hard},
    }


def show(when: str, name: str, incidents: Sequence[Incident], *, right: bool) -> None:
    """What was said, for people."""
    print(f"{when}  {name}: {'right' if right else 'WRONG'}", file=sys.stderr)
    for one in incidents:
        streams = ", ".join(f"{m.stream}[{m.cause_kind}]" for m in one.streams)
        print(f"    {one.kind} ({one.severity}): {one.cause or '-'}  {streams}", file=sys.stderr)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fault", choices=sorted({**FAULTS, **HARD}), help="only this one")
    asked = parser.parse_args()
    every = {**FAULTS, **HARD}
    faults = {asked.fault: every[asked.fault]} if asked.fault else FAULTS
    hard = {} if asked.fault else HARD
    with tempfile.TemporaryDirectory(prefix="driftd-why-") as folder:
        flights = load_flights(Path(folder) / "flights.feather")
        print(json.dumps(measure(flights, faults, hard)))


if __name__ == "__main__":
    main()
