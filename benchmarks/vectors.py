"""What vectors cost and how large MMD is for what change: make bench NAME=vectors. One JSON line."""

import json
import os
import time
from collections.abc import Callable

# CPU time of one thread is what is told.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import msgspec
import numpy as np

from detectors.contract import FloatArray
from detectors.distances.mmd import MMD
from detectors.sketches.layouts import encode_counts
from detectors.sketches.vector import VectorLayout
from driftd.ingest.decoders import decode_chunk
from driftd.ingest.events import Limits

ROWS, DIMENSION, RUNS = 10_000, 384, 7
EVENTS, EFFECT_DIMENSION, REPEATS = 500, 32, 100
MOVES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "none": lambda x: x,
    "one_coordinate_quarter_sd": lambda x: x + 0.25 * np.eye(EFFECT_DIMENSION)[0],
    "all_coordinates_quarter_sd": lambda x: x + 0.25,
    "spread_5_percent_wider": lambda x: x * 1.05,
    "spread_25_percent_wider": lambda x: x * 1.25,
    "outliers_5_percent": lambda x: x * np.where(np.arange(len(x)) % 20, 1.0, 4.0)[:, None],
    "new_topic_10_percent": lambda x: x + np.where(np.arange(len(x)) % 10, 0.0, 1.5)[:, None],
}


def cpu_s(work: Callable[[], object]) -> float:
    """The best of some runs, in CPU-seconds."""
    taken = []
    for _ in range(RUNS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def costs() -> dict[str, float]:
    """CPU and bytes for 10,000 vectors of 384 coordinates."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    layout = VectorLayout.from_reference(rows)
    counts = layout.fold(rows)
    normal = counts[:-1] / counts[:-1].sum()
    some = [
        msgspec.json.encode(
            {
                "id": "a",
                "model": "m",
                "ts": 1e9,
                "vectors": {"text": row.astype(float).round(6).tolist()},
            }
        )
        for row in rows[:500]
    ]
    decoded = decode_chunk(some, Limits()).events
    lists = [(event.vectors or {})["text"] for event in decoded]
    return {
        "fold_cpu_s": cpu_s(lambda: layout.fold(rows)),
        "fold_one_cpu_s": cpu_s(lambda: layout.fold(rows[:1])),
        "distance_cpu_s": cpu_s(lambda: MMD().measure(layout, normal, counts, m=ROWS)),
        "reference_cpu_s": cpu_s(lambda: VectorLayout.from_reference(rows)),
        "decode_us_a_vector": cpu_s(lambda: decode_chunk(some, Limits())) / len(some) * 1e6,
        "fold_lists_us_a_vector": cpu_s(lambda: layout.fold(lists)) / len(lists) * 1e6,
        "bytes_a_bucket": len(encode_counts(counts)),
        "bytes_a_layout": len(json.dumps(layout.to_dict())),
    }


def effects() -> dict[str, dict[str, float]]:
    """Mean and spread of d_k with 500 vectors of 32 normal coordinates a pane."""
    rng = np.random.default_rng(2)
    past = rng.normal(size=(20_000, EFFECT_DIMENSION))
    layout = VectorLayout.from_reference(past)
    counts = layout.fold(past)
    normal = counts[:-1] / counts[:-1].sum()
    found = {}
    for name, move in MOVES.items():
        panes = (move(rng.normal(size=(EVENTS, EFFECT_DIMENSION))) for _ in range(REPEATS))
        values = [
            MMD().measure(layout, normal, layout.fold(pane), m=len(past)).value for pane in panes
        ]
        found[name] = {"mean": float(np.mean(values)), "sd": float(np.std(values))}
    return found


def main() -> None:
    """Measure and print."""
    plain = {"costs": costs(), "effects": effects()}
    print(json.dumps(plain, default=float))


if __name__ == "__main__":
    main()
