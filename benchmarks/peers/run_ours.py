"""driftd over the sample, given the profiles that were made of its reference.

Argument: the folder of the sample. One JSON line.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.peers.samples import VECTORS, WINDOW
from detectors.distances.mmd import MMD
from detectors.profile import Profile
from driftd.data.compare import compare_table

TABLE_PROFILE, VECTOR_PROFILE, STREAM = "table.profile", "vectors.profile", "text"
WARM_ROWS = 1_000


def table(folder: Path) -> dict[str, Any]:
    """CPU-seconds of counting the window and of all distances; KS of each column of numbers."""
    profile = Profile.from_bytes((folder / TABLE_PROFILE).read_bytes())
    window = pq.read_table(folder / WINDOW)
    compare_table(profile, window.slice(0, WARM_ROWS))
    started = time.process_time()
    compared = compare_table(profile, window)
    taken = time.process_time() - started
    statistics = {one.stream: one.effects["ks"].raw for one in compared if "ks" in one.effects}
    return {"cpu_s": taken, "ks": statistics}


def vectors(folder: Path) -> dict[str, Any]:
    """CPU-seconds of summing the window's vectors and of MMD, and MMD in spreads of phi."""
    stream = Profile.from_bytes((folder / VECTOR_PROFILE).read_bytes()).streams[STREAM]
    with np.load(folder / VECTORS) as file:
        window = file["window"]
    layout, normal, m = stream.layout, stream.shares, stream.n
    layout.fold(window[:WARM_ROWS])
    started = time.process_time()
    effect = MMD().measure(layout, normal, layout.fold(window), m=m)
    return {"mmd_cpu_s": time.process_time() - started, "mmd": effect.raw}


def peak_mb() -> float:
    """The most memory that this process held. Not getrusage's: that begins with its parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Read, compare, print."""
    folder = Path(sys.argv[1])
    told = table(folder)
    peak = peak_mb()
    told |= {"peak_mb": peak, **vectors(folder)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
