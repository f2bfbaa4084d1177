"""Concept drift: silent through a real season of base rates, and how soon a real change is found.

make bench NAME=concept                                   # about two minutes

*Season*: three models learn a part of the flights of 2013 and answer the rest of the year, in which
the share of late flights moves between a seventh and a third; nothing is done to the labels. Counted
are the alarms of driftd's three streams in panes of 1 day, 4 hours and 1 hour, and, through the
same engine with the same tolerances, those of the Brier score and the share of wrong answers as they
are. *Found*: scores that mean what they say, 600 labels a pane, until a share of the labels has
nothing to do with them any more; the panes until the first alarm, median and largest. *Quiet*: the
same without a change, 250 labels a pane of ten minutes.

One JSON line: `season.{streams,plain}` alarms in the model-years, `brier` and `base_rate` = lowest and
highest month; `found.{share}.{median,largest,missed}`; `quiet.{alarms,days}`.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from agents.events import Arm, ArmQuality, QualityMatured
from agents.watching.concept import LABELS_MIN, ConceptWatch
from agents.watching.learning import PANES_MIN, SPAN_MIN_S, log_threshold
from agents.watching.state import Concept
from detectors.baseline import DAY_S
from detectors.quality import QualitySketch
from detectors.sequential import scalar
from driftd.demo.flights import CATEGORIES, CHAMPION_FROM, FEATURES, load_flights
from policies.specs import ClockSpec, ModelSpec, RegistrySpec

Floats = NDArray[np.float64]
CHAMPION = Arm("1", "champion")
# A model of twenty features shares its budget over so many streams.
STREAMS = 48
MODELS = {"January": (0, 28), "January to April": (0, 120), "May and June": (120, 180)}
PANES_S = (DAY_S, DAY_S / 6, DAY_S / 24)
SHARES = (0.2, 0.4, 0.8)


def spec_of(pane_s: float) -> ModelSpec:
    """A policy of defaults but for the pane."""
    clock = ClockSpec(pane_s=pane_s, bucket_s=pane_s)
    return ModelSpec(model="m", registry=RegistrySpec(name="m"), clock=clock)


def alarms_of(
    pane_s: float, sketches: Iterator[tuple[int, QualitySketch]]
) -> list[tuple[int, str]]:
    """(pane, stream) of every alarm of driftd's three streams."""
    spec = spec_of(pane_s)
    watch, concept, found = ConceptWatch(spec, log_threshold(spec, STREAMS)), Concept(), []
    for pane, sketch in sketches:
        arms = {CHAMPION: ArmQuality(predictions=sketch.n, sketch=sketch)}
        event = QualityMatured(start=pane * pane_s, end=(pane + 1) * pane_s, arms=arms)
        concept, alarms = watch.step(concept, event, CHAMPION.version, ())
        found += [(pane, alarm.moved.stream) for alarm in alarms]
    return found


def plain_alarms(pane_s: float, sketches: Iterator[tuple[int, QualitySketch]]) -> int:
    """Alarms of Brier score and share of wrong answers as they are, by the same engine."""
    spec = spec_of(pane_s)
    drift, threshold = spec.drift, log_threshold(spec, STREAMS)
    rows, last = [], QualitySketch.empty()
    for _, sketch in sketches:
        last = last.merge(sketch)
        if last.n >= LABELS_MIN:
            rows.append((last.brier, 1 - last.accuracy))
            last = QualitySketch.empty()
    table = np.array(rows)
    learned = max(PANES_MIN, int(SPAN_MIN_S / pane_s))
    fit = scalar.fit(
        table[:learned], np.array([drift.tolerate_loss, drift.tolerate_share]), threshold
    )
    state, count = scalar.ScalarState.start(2), 0
    for i, row in enumerate(table[learned:]):
        state, fired, _, _ = scalar.step(fit, state, row, at=float(i))
        count += int(fired.sum())
    return count


def folded(
    scores: Floats, late: NDArray[np.int64], at: Floats, pane_s: float, since: float
) -> Iterator[tuple[int, QualitySketch]]:
    """The panes of a record from ``since`` on."""
    index = (at // pane_s).astype(np.int64)
    for pane in np.unique(index[at >= since]):
        rows = slice(*np.searchsorted(index, [pane, pane + 1]))
        answers = (scores[rows] >= 0.5).astype(np.int64)
        yield int(pane), QualitySketch.fold(scores[rows], answers, late[rows])


def season(cache: Path) -> dict[str, Any]:
    """Three models through the rest of their year."""
    flights = load_flights(cache)
    flights = flights[flights["late"].notna()].reset_index(drop=True)
    table = flights[list(FEATURES)].copy()
    for name in CATEGORIES:
        table[name] = table[name].astype("category").cat.codes
    at, late = flights["hour_ts"].to_numpy(), flights["late"].to_numpy().astype(np.int64)
    streams: list[str] = []
    plain, briers = 0, []
    for first, last in MODELS.values():
        start, end = (CHAMPION_FROM + day * DAY_S for day in (first, last))
        known = (at >= start) & (at < end)
        model = HistGradientBoostingClassifier(learning_rate=0.06, max_leaf_nodes=15)
        scores = model.fit(table[known], late[known]).predict_proba(table)[:, 1]
        for pane_s in PANES_S:
            streams += [s for _, s in alarms_of(pane_s, folded(scores, late, at, pane_s, end))]
            plain += plain_alarms(pane_s, folded(scores, late, at, pane_s, end))
        months = pd.Series((scores - late) ** 2).groupby((at - CHAMPION_FROM) // (30 * DAY_S))
        briers += [v for month, v in months.mean().items() if float(str(month)) * 30 >= last]
    base = pd.Series(late).groupby((at - CHAMPION_FROM) // (30 * DAY_S)).mean()
    return {
        "models": len(MODELS),
        "panes": [f"{pane_s / 3_600:g}h" for pane_s in PANES_S],
        "streams": {name: streams.count(name) for name in sorted({*streams})},
        "plain": plain,
        "brier": [round(min(briers), 3), round(max(briers), 3)],
        "base_rate": [round(float(base.min()), 3), round(float(base.max()), 3)],
    }


def simulated(
    seed: int, n: int, panes: int, changed: Callable[[int], float]
) -> Iterator[tuple[int, QualitySketch]]:
    """Scores that mean what they say, but for ``changed(pane)`` of the labels."""
    rng = np.random.default_rng([seed, 41])
    for pane in range(panes):
        scores = rng.beta(0.6, 1.6, n)
        share = changed(pane)
        chance = (1 - share) * scores + share * scores.mean()
        labels = (rng.random(n) < chance).astype(np.int64)
        yield pane, QualitySketch.fold(scores, (scores >= 0.5).astype(np.int64), labels)


def found(share: float, lives: int, burn_in: int = 90, after: int = 300) -> dict[str, Any]:
    """Daily panes: how long a change of this share goes unseen."""
    delays = []
    for seed in range(lives):
        life = simulated(seed, 600, burn_in + after, lambda pane: share * (pane >= burn_in))
        first = next((pane for pane, _ in alarms_of(DAY_S, life) if pane >= burn_in), None)
        delays.append(np.inf if first is None else first - burn_in + 1)
    seen = [int(delay) for delay in delays if np.isfinite(delay)]
    return {
        "median": int(np.median(seen)) if seen else None,
        "largest": max(seen, default=None),
        "missed": len(delays) - len(seen),
    }


def quiet(lives: int) -> dict[str, Any]:
    """Ten-minute panes over 30 days after the burn-in, nothing changed."""
    panes = int((30 * DAY_S + SPAN_MIN_S) / 600)
    alarms = sum(
        len(alarms_of(600.0, simulated(seed, 250, panes, lambda _: 0.0))) for seed in range(lives)
    )
    return {"alarms": alarms, "days": 30 * lives}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lives", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--flights", type=Path, default=Path(gettempdir()) / "flights.feather")
    options = parser.parse_args()
    figures = {
        "season": season(options.flights),
        "found": {f"{share:g}": found(share, options.lives) for share in SHARES},
        "quiet": quiet(options.lives),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
