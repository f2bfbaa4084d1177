"""The comparison: version 1, never retrained, on every flight as received, against what went out."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from driftd.data import scoring_child
from driftd.demo.children import Children
from driftd.demo.flights import FEATURES, MODEL
from driftd.demo.schedule import Schedule

NAME = "frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both on the same rows: those that were answered and whose label is known."""

    n: int
    brier_frozen: float
    brier_managed: float
    auc_frozen: float
    auc_managed: float


def start_frozen(children: Children, schedule: Schedule, tracking_uri: str) -> Path:
    """Let a child score all flights as received with version 1; where its answers will lie."""
    folder = children.directory
    received = schedule.as_received().assign(id=schedule.table["id"])
    received.to_parquet(folder / "received.parquet")
    output = folder / "frozen.parquet"
    command = [
        *(sys.executable, "-I", scoring_child.__file__),
        *("--model-uri", f"models:/{MODEL}/1", "--columns", json.dumps(FEATURES)),
        *("--input", str(folder / "received.parquet"), "--output", str(output)),
        *("--timing", str(folder / "frozen.timing.json"), "--calls", "0"),
    ]
    children.start(NAME, command, {"MLFLOW_TRACKING_URI": tracking_uri})
    return output


def compare(schedule: Schedule, frozen: Path) -> Comparison:
    """Pooled Brier score and AUC of the frozen version and of the answers that went out."""
    answers = pd.read_parquet(frozen)
    if not answers["id"].equals(schedule.table["id"]):
        raise ValueError("the frozen scores are not those of the flights that were asked about")
    label = schedule.table["late"].to_numpy()
    usable = ~np.isnan(label) & ~np.isnan(schedule.scores)
    late = label[usable]
    old, live = answers["score"].to_numpy()[usable], schedule.scores[usable]
    return Comparison(
        n=int(usable.sum()),
        brier_frozen=brier(old, late),
        brier_managed=brier(live, late),
        auc_frozen=auc(old, late),
        auc_managed=auc(live, late),
    )


def brier(score: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    """Mean squared difference of probability and outcome (Brier 1950)."""
    return float(np.mean((score - label) ** 2))


def auc(score: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    """The chance that a late flight scores above one on time, ties half (Mann-Whitney)."""
    late = label > 0
    n, m = int(late.sum()), int((~late).sum())
    return float((rankdata(score)[late].sum() - n * (n + 1) / 2) / (n * m))
