"""False alarms in 30 days and delays of real changes, in simulated regimes, one configuration for all.

make bench NAME=validity                              # 20 models a regime, about an hour of CPU
make bench NAME=validity ARGS="--models 4 --only t3,seasonal"

Every regime simulates models of 50 features for a burn-in and 30 days in which nothing is wrong,
and counts what the product's own learning, distances and engines alarm at; then it moves features
and counts panes until that is found. Beside it p < .01, Benjamini-Hochberg and three in a row judge
the same panes. One JSON line; a table goes to stderr. `--out FILE` keeps the JSON for the plots.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.panes.naive import RULES
from benchmarks.panes.regimes import REGIMES
from benchmarks.panes.trial import DEFAULT, SENSITIVE, Trial, run

MODELS, FEW_PANES_TIMES = 20, 5
"""Models a regime; a month of few panes says little, and costs little: five times as many."""
ALL_FEATURES_EVERY = 5
DEAF = 0.10


def main() -> int:
    """Run what was asked for and print it. Exit code 1 if a regime breaks the promise."""
    asked = _asked()
    names = asked.only.split(",") if asked.only else list(REGIMES)
    jobs = [(name, asked.seed + model) for name in names for model in range(_models(asked, name))]
    trials: dict[str, list[Trial]] = {name: [] for name in names}
    regimes: dict[str, Any] = {}
    with ProcessPoolExecutor(asked.workers) as pool:
        for trial in pool.map(_one, jobs):
            trials[trial.regime].append(trial)
            if len(trials[trial.regime]) == _models(asked, trial.regime):
                regimes[trial.regime] = told(trials[trial.regime])
                _row(trial.regime, regimes[trial.regime])
    worst = max(told_one["incidents_per_30d"] for told_one in regimes.values())
    result = {"regimes": regimes, "worst_incidents_per_30d": worst}
    print(json.dumps(result))
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1))
    return int(worst > 1)


def told(trials: Sequence[Trial]) -> dict[str, Any]:
    """What the trials of one regime come to; delays in panes."""
    default = _watched(trials, DEFAULT)
    first = [trial.first_week for trial in trials if trial.first_week is not None]
    return {
        "says": REGIMES[trials[0].regime].says,
        "models": len(trials),
        **default,
        "delay_half_sd_panes": default["delays"]["half_sd"]["median"],
        "missed": default["delays"]["one_sd"]["missed"],
        "deaf": default["delays"]["one_sd"]["missed"] > DEAF,
        "first_week_incidents_per_30d": round(sum(first) / len(first) * 30 / 7, 2)
        if first
        else None,
        "tolerate_05": _watched(trials, SENSITIVE) if SENSITIVE in trials[0].watched else None,
        "naive": {name: _naive(trials, name) for name in RULES if trials[0].naive},
    }


def _watched(trials: Sequence[Trial], tolerance: float) -> dict[str, Any]:
    seen = [trial.watched[tolerance] for trial in trials]
    total = sum(one.incidents for one in seen)
    names = dict.fromkeys(name for one in seen for name in one.delays)
    return {
        "incidents": total,
        "incidents_per_30d": round(total / len(seen), 3),
        "interval_95": [round(limit / len(seen), 3) for limit in poisson_interval(total)],
        "transients_per_30d": round(sum(one.transients for one in seen) / len(seen), 2),
        "panes_a_decision": [
            float(np.median([one.panes_median for one in seen])),
            float(np.median([one.panes_high for one in seen])),
        ],
        "delays": {
            name: _delay([d for one in seen for d in one.delays.get(name, ())]) for name in names
        },
    }


def _delay(delays: Sequence[float]) -> dict[str, Any]:
    """Median and 90 % of the delays; None where so many were not found in 30 days."""
    found = np.where(np.isnan(delays), np.inf, delays)
    median, high = (float(q) for q in np.quantile(found, [0.5, 0.9], method="higher"))
    return {
        "median": median if np.isfinite(median) else None,
        "q90": high if np.isfinite(high) else None,
        "missed": round(float(np.isinf(found).mean()), 3),
        "of": len(delays),
    }


def _naive(trials: Sequence[Trial], rule: str) -> dict[str, float]:
    alarms = float(np.mean([trial.naive[rule][0] for trial in trials]))
    merged = float(np.mean([trial.naive[rule][1] for trial in trials]))
    return {"alarms_per_30d": round(alarms, 1), "incidents_per_30d": round(merged, 1)}


def poisson_interval(events: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a Poisson mean from one count (Garwood 1936).

    >>> [round(limit, 2) for limit in poisson_interval(0)]
    [0.0, 3.69]
    """
    tail = (1 - level) / 2
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    return low, float(stats.chi2.isf(tail, 2 * events + 2)) / 2


def _one(job: tuple[str, int]) -> Trial:
    warnings.simplefilter("ignore", RuntimeWarning)  # an all-gap column has no mean
    name, seed = job
    return run(name, seed, all_features=seed % ALL_FEATURES_EVERY == 0)


def _models(asked: argparse.Namespace, name: str) -> int:
    return int(asked.models) * (FEW_PANES_TIMES if REGIMES[name].month < 1_000 else 1)


def _row(name: str, regime: Mapping[str, Any]) -> None:
    def delay(of: Mapping[str, Any], change: str) -> str:
        found = of["delays"].get(change)
        if found is None:
            return "-"
        return f"{found['median'] or '-'}/{found['q90'] or '-'}"

    low, high = regime["interval_95"]
    sharp = regime["tolerate_05"]
    parts = [
        f"{name:17s} {regime['incidents_per_30d']:5.2f} [{low:.2f}, {high:.2f}]",
        f"transients {regime['transients_per_30d']:5.1f}",
        *(f"{change} {delay(regime, change)}" for change in regime["delays"]),
    ]
    if sharp is not None:
        parts.append(f"| tolerate .05: {sharp['incidents_per_30d']:.2f}")
        parts += [f"{change} {delay(sharp, change)}" for change in sharp["delays"]]
    if regime["naive"]:
        parts.append(f"| p < .01: {regime['naive']['p_below_01']['incidents_per_30d']:.0f}")
    print("  ".join(parts), file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=MODELS, help="simulated models a regime")
    parser.add_argument("--only", default="", help="regimes, with commas between")
    parser.add_argument("--seed", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file that keeps the JSON")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
