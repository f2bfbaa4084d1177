"""What fires when on real records, beside river's detectors, and what fires where nothing changed.

make bench NAME=replays                                   # the flights; a few minutes
make bench NAME=replays ARGS="--elec elec2.csv"           # and the Australian electricity market

A logistic regression learns the first fifth of each record and stays as it is. driftd replays the
rest under one policy for both (`POLICY`): inputs, answers, and Brier score by labels. River's
detectors read the errors of the same model one by one. Then the same rows once more in random
order: nothing changes there, and whatever fires is false.

One JSON line: `{record}.{real,shuffled}.{detector}` = how often it fired, `first` and `per_30d`; for
driftd its incidents by kind. `--plot`: a figure of all of it.
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray
from river import drift
from river.drift import binary
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from detectors.profile import Profile
from driftd.console.figures import INK, MUTED, png_of, quiet
from driftd.console.plots import KIND_COLOURS, dates
from driftd.data.profile import build_profile
from driftd.data.replay.roles import Roles
from driftd.data.replay.sources import file_batches, replay_rows
from driftd.data.replay.watching import Replayed
from driftd.demo.flights import CATEGORIES, FEATURES, load_flights
from driftd.yamlfile import parse_yaml
from policies.checker import check
from policies.specs import ModelSpec

TRAIN = 0.2
MONTH_S = 30 * 86_400.0
POLICY = """
model: replayed
mode: alert
clock: {pane: 1d, lateness: 0s}
labels: {arrive_within: 1d, positive: "1"}
watch:
  drift: {ignore: [period, weekday]}
  rules:
    - {metric: brier, worse_by: 10%, than: training, confidence: sequential}
"""
PEERS: dict[str, Callable[[], Any]] = {
    "adwin": drift.ADWIN,
    "ddm": binary.DDM,
    "kswin": lambda: drift.KSWIN(seed=1),
    "page_hinkley": drift.PageHinkley,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Rows in the order of time: features, ``ts`` in seconds, ``label`` 1, 0 or NaN."""

    name: str
    rows: pd.DataFrame
    names: tuple[str, ...]
    """The features that are names."""

    def features(self) -> list[str]:
        """The columns that a model sees."""
        return [name for name in self.rows.columns if name not in ("ts", "label")]

    def shuffled(self, seed: int) -> "Record":
        """The same rows at other times."""
        order = np.random.default_rng(seed).permutation(len(self.rows))
        rows = self.rows.iloc[order].reset_index(drop=True)
        rows["ts"] = self.rows["ts"].to_numpy()
        return Record(name=self.name, rows=rows, names=self.names)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What fired on one record: detector -> event times; and driftd's replay."""

    span: tuple[float, float]
    fired: dict[str, list[float]] = field(default_factory=dict)
    replayed: Replayed
    errors: tuple[NDArray[np.float64], NDArray[np.float64]]

    def told(self) -> dict[str, Any]:
        """For the JSON line."""
        span = self.span[1] - self.span[0]
        kinds = [one.kind for one in self.replayed.incidents.values()]
        opened = [one.opened for one in self.replayed.incidents.values()]
        return {
            **{name: _summary(times, span) for name, times in self.fired.items()},
            "driftd": {
                **_summary(opened, span),
                "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
                "what": [one.summary for one in self.replayed.incidents.values()],
                "learned": _day(self.replayed.learned),
            },
        }


def _summary(times: Sequence[float], span_s: float) -> dict[str, Any]:
    return {
        "fired": len(times),
        "per_30d": round(len(times) * MONTH_S / span_s, 2),
        "first": _day(min(times, default=None)),
    }


def _day(ts: float | None) -> str | None:
    return None if ts is None else datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d")


def electricity(path: Path) -> Record:
    """Half hours from 1996-05-07 on; ``class`` 1 = the price in New South Wales goes up."""
    rows = pd.read_csv(path)
    start = datetime(1996, 5, 7, tzinfo=UTC).timestamp()
    rows["ts"] = start + 1_800.0 * np.arange(len(rows))
    rows = rows.rename(columns={"class": "label"})
    return Record(name="electricity", rows=rows, names=())


def flights(cache: Path) -> Record:
    """The year from New York: will a flight be late?"""
    table = load_flights(cache)
    rows = table[[*FEATURES, "hour_ts", "late"]].rename(columns={"hour_ts": "ts", "late": "label"})
    return Record(name="flights", rows=rows, names=CATEGORIES)


def model(record: Record) -> Pipeline:
    """A plain logistic regression."""
    numbers = [name for name in record.features() if name not in record.names]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=50), list(record.names)),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1_000))


def measure(record: Record, spec: ModelSpec, folder: Path) -> Outcome:
    """Train on the first fifth, then let everybody watch the rest."""
    rows, cut = record.rows, int(TRAIN * len(record.rows))
    known = rows["label"].notna().to_numpy()
    fitted = model(record)
    train = rows[:cut][known[:cut]]
    fitted.fit(train[record.features()], train["label"].astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a carrier that training never saw
        score = fitted.predict_proba(rows[record.features()])[:, 1]
    replayed = replay(record, score, cut, spec, folder)
    watched = known & (np.arange(len(rows)) >= cut)
    wrong = ((score >= 0.5) != rows["label"].fillna(0).to_numpy())[watched].astype(float)
    ts = rows["ts"].to_numpy()[watched]
    return Outcome(
        span=(float(ts[0]), float(ts[-1])),
        fired={name: peer(make(), ts, wrong) for name, make in PEERS.items()},
        replayed=replayed,
        errors=weekly(ts, wrong),
    )


def replay(
    record: Record, score: NDArray[np.float64], cut: int, spec: ModelSpec, folder: Path
) -> Replayed:
    """driftd over the rest, with the first fifth as the reference."""
    names = {"label": record.rows["label"].map({1: "1", 0: "0"}).astype(object)}
    table = pa.Table.from_pandas(record.rows.assign(score=score, **names), preserve_index=False)
    labels = record.rows["label"][:cut].fillna(-1).to_numpy().astype(np.int64)
    reference: Profile = build_profile(
        table.slice(0, cut).select(record.features()), None, "1", score[:cut], label=labels
    )
    path = folder / "rest.parquet"
    pq.write_table(table.slice(cut), path)
    roles = Roles(score="score", label="label")
    return replay_rows(spec, file_batches(path, roles), roles, reference)


def peer(detector: Any, ts: NDArray[np.float64], wrong: NDArray[np.float64]) -> list[float]:
    """When a detector of river fired on the errors, event by event."""
    found = []
    for at, error in zip(ts.tolist(), wrong.tolist(), strict=True):
        detector.update(error)
        if detector.drift_detected:
            found.append(at)
    return found


def weekly(
    ts: NDArray[np.float64], wrong: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts of weeks and their share of wrong answers."""
    week = (ts // (7 * 86_400)).astype(np.int64)
    weeks, place = np.unique(week, return_inverse=True)
    share: NDArray[np.float64] = np.bincount(place, wrong) / np.bincount(place)
    return (weeks * 7 * 86_400).astype(np.float64), share


def plot(outcomes: dict[str, dict[str, Outcome]]) -> bytes:
    """A column a record: errors, and what fired; below, the same rows in random order."""
    figure = Figure(figsize=(6.4 * len(outcomes), 6.6))
    grid = figure.subplots(3, len(outcomes), squeeze=False, height_ratios=[1.3, 1.6, 1.6])
    for column, (name, both) in enumerate(outcomes.items()):
        errors, real, shuffled = grid[:, column]
        at, share = both["real"].errors
        errors.plot(dates(at), share, color=INK, linewidth=1.2)
        quiet(errors, f"{name}: wrong answers of the frozen model, weekly", "share")
        _marks(real, both["real"], f"{name}: what fired")
        _marks(shuffled, both["shuffled"], f"{name}, rows in random order: all of it is false")
        for axes in (errors, real, shuffled):
            axes.set_xlim(*dates(both["real"].span))
            locator = AutoDateLocator()
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    figure.tight_layout(h_pad=1.2)
    return png_of(figure)


def _marks(axes: Axes, outcome: Outcome, title: str) -> None:
    rows = ["driftd", *PEERS]
    for incident in outcome.replayed.incidents.values():
        end = incident.closed if incident.closed is not None else outcome.span[1]
        span = dates([incident.opened, end])
        # Kinds beside each other: they are often open at the same time.
        row = 0.3 * (list(KIND_COLOURS).index(incident.kind) - 1) * 0.6
        axes.plot(span, [row, row], color=KIND_COLOURS[incident.kind], lw=3, solid_capstyle="butt")
    for place, (name, times) in enumerate(outcome.fired.items(), 1):
        axes.plot(dates(times), [place] * len(times), "|", color=MUTED, markersize=9)
        axes.annotate(
            str(len(times)), (1.01, place), xycoords=("axes fraction", "data"), fontsize=7
        )
        rows[place] = name
    count = str(len(outcome.replayed.incidents))
    axes.annotate(count, (1.01, 0), xycoords=("axes fraction", "data"), fontsize=7)
    quiet(axes, title)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.7)


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--elec", type=Path, help="elec2 as CSV: period, …, class (1 = UP)")
    parser.add_argument("--plot", type=Path, default=Path("build/replays.png"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    spec, _ = check(parse_yaml(POLICY).values)
    if spec is None:
        raise SystemExit("the benchmark's own policy has mistakes")
    outcomes: dict[str, dict[str, Outcome]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        records = [flights(folder / "flights.feather")]
        if options.elec is not None:
            records.append(electricity(options.elec))
        for record in records:
            outcomes[record.name] = {
                "real": measure(record, spec, folder),
                "shuffled": measure(record.shuffled(options.seed), spec, folder),
            }
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_bytes(plot(outcomes))
    told = {
        name: {case: outcome.told() for case, outcome in both.items()}
        for name, both in outcomes.items()
    }
    print(json.dumps({**told, "plot": str(options.plot)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
