"""Synthetic labelled requests in the archive's form."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from driftd.data.archive import ARCHIVED
from driftd.data.samples import subject_hash, table_of


def labelled(
    n: int, *, start: float, end: float, seed: int = 7, positive: str = "late"
) -> pa.Table:
    """``n`` live requests over [start, end), twenty a subject in time order.

    Features ``x`` (the label's log odds are 2x), ``noise`` (sometimes missing) and ``carrier``.
    """
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.uniform(start, end, n))
    x = rng.normal(size=n)
    late = rng.random(n) < 1 / (1 + np.exp(-2 * x))
    noise = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    features = [
        json.dumps(
            {
                "x": float(x[i]),
                "noise": None if np.isnan(noise[i]) else float(noise[i]),
                "carrier": "UA" if i % 3 else "AA",
            }
        )
        for i in range(n)
    ]
    columns: dict[str, Any] = {
        "id": [f"r{i}" for i in range(n)],
        "version": ["1"] * n,
        "variant": ["champion"] * n,
        "ts": ts,
        "score": 1 / (1 + np.exp(-x)),
        "subject": [subject_hash(f"s{i // 20}") for i in range(n)],
        "features": features,
        "label": [positive if one else "on_time" for one in late],
        "label_ts": ts + 3_600,
    }
    return table_of(columns, ARCHIVED)
