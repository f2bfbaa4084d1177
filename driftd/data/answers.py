"""Labelled rows in numbers: what was answered, what was true, by which arm, to which request."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agents.events import Arm
from detectors.contract import FloatArray, IntArray

# What a label may look like when the policy names no positive one: 1 and true, as JSON writes them.
_TRUE = ("1", "true", "True")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Labelled rows in numbers, shape (rows,) each; ``usable`` marks rows with label and answer."""

    score: FloatArray
    predicted: IntArray
    label: IntArray
    usable: NDArray[np.bool_]


def answers_of(rows: pa.Table, positive: str | None = None) -> Answers:
    """Scores, predicted and true labels of rows as numbers; see ``quality_of`` for what counts."""
    score = pc.fill_null(rows["score"], float("nan")).to_numpy().astype(np.float64)
    said = is_positive(rows["prediction"], positive)
    has_said = bools(pc.is_valid(rows["prediction"]))
    has_score = np.isfinite(score)
    with np.errstate(invalid="ignore"):
        predicted = np.where(has_said, said, score >= 0.5).astype(np.int64)
    return Answers(
        score=np.where(has_score, score, predicted.astype(np.float64)),
        predicted=predicted,
        label=is_positive(rows["label"], positive).astype(np.int64),
        usable=bools(pc.is_valid(rows["label"])) & (has_score | has_said),
    )


def is_positive(labels: pa.ChunkedArray, positive: str | None) -> NDArray[np.bool_]:
    """Which labels are the positive one; by default ``1`` and ``true``. Null is not."""
    names = _TRUE if positive is None or positive in _TRUE else (positive,)
    return bools(pc.is_in(labels, value_set=pa.array(names, pa.string())))


def root_of(table: pa.Table) -> pa.Array:
    """The id of the live prediction that a row answers: its own, or that of its original."""
    return pc.coalesce(table["shadow_of"], table["id"]).combine_chunks()


def arms_of(rows: pa.Table) -> tuple[list[Arm], IntArray]:
    """The arms that occur, and for each row the index of its arm."""
    pairs = list(zip(rows["version"].to_pylist(), rows["variant"].to_pylist(), strict=True))
    arms = sorted(set(pairs))
    index = {arm: i for i, arm in enumerate(arms)}
    codes = np.fromiter((index[pair] for pair in pairs), np.int64, len(pairs))
    return [Arm(version, variant) for version, variant in arms], codes


def bools(values: pa.ChunkedArray | pa.Array) -> NDArray[np.bool_]:
    """A mask as NumPy; null is False."""
    out: NDArray[np.bool_] = pc.fill_null(values, fill_value=False).to_numpy(zero_copy_only=False)
    return out
