"""The rows that every peer reads: a reference and a later window, tables and vectors, from one seed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

REFERENCE, WINDOW, VECTORS = "reference.parquet", "window.parquet", "vectors.npz"
DIMENSION = 384
_TOPICS, _OWN_SHARE = 24, 0.1


def write_tables(folder: Path, reference_rows: int, rows: int, seed: int = 0) -> None:
    """Write both tables of 20 features; some of them have moved in the window."""
    rng = np.random.default_rng(seed)
    pq.write_table(_table(rng, reference_rows, moved=0.0), folder / REFERENCE)
    pq.write_table(_table(rng, rows, moved=1.0), folder / WINDOW)


def write_vectors(folder: Path, rows: int, seed: int = 0) -> None:
    """Write ``rows`` vectors for either side: of length 1, about topics, as embeddings are.

    In the window a tenth is about a topic of its own.
    """
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(_TOPICS + 1, DIMENSION))
    before = _embeddings(rng, topics, rng.integers(0, _TOPICS, rows))
    about = np.where(rng.random(rows) < _OWN_SHARE, _TOPICS, rng.integers(0, _TOPICS, rows))
    np.savez(folder / VECTORS, reference=before, window=_embeddings(rng, topics, about))


def _embeddings(
    rng: np.random.Generator, topics: NDArray[np.float64], about: NDArray[np.int64]
) -> NDArray[np.float32]:
    found = topics[about] + rng.normal(size=(len(about), DIMENSION))
    unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit.astype(np.float32)


def _table(rng: np.random.Generator, rows: int, moved: float) -> pa.Table:
    """6 features of 32 bits, 6 of 64 of which 4 are heavy-tailed, 4 of integers, 4 of names."""
    level = rng.normal(size=rows)
    plain = {
        f"measured_{number}": (0.6 * level + rng.normal(0.05 * moved * (number < 2), 1, rows))
        for number in range(6)
    }
    return pa.table(
        {
            **{name: values.astype(np.float32) for name, values in plain.items()},
            "ratio": rng.beta(2, 5, rows),
            "temperature": rng.normal(12 + 0.5 * moved, 8, rows).round(1),
            "amount": rng.lognormal(3 + 0.1 * moved, 1.2, rows),
            "duration": rng.gamma(0.7, 30, rows),
            "return": rng.standard_t(2.5, rows),
            "income": 1_000 * (1 + rng.pareto(1.5, rows)),
            "hour": rng.integers(0, 24, rows),
            "clicks": rng.poisson(3 + 0.2 * moved, rows),
            "bytes": (rng.lognormal(9, 2, rows)).astype(np.int64),
            "visits": np.minimum(rng.zipf(1.8, rows), 1_000_000),
            "channel": _names(rng, "channel", 4, rows, 0.0),
            "month": _names(rng, "month", 12, rows, 0.1 * moved),
            "carrier": _names(rng, "carrier", 50, rows, 0.0),
            "town": _names(rng, "town", 300, rows, 0.2 * moved),
        }
    )


def _names(
    rng: np.random.Generator, stem: str, count: int, rows: int, flatter: float
) -> pa.StringArray:
    weights = (1.0 + np.arange(count)) ** -(1.0 - flatter)
    names = pa.array([f"{stem} {number}" for number in range(count)])
    return names.take(pa.array(rng.choice(count, rows, p=weights / weights.sum())))
