"""alibi-detect over the sample: TabularDrift of the table, MMDDrift of some of the vectors.

Alone: imports none of driftd. Arguments: the folder of the sample, how many vectors of each side
MMD takes (its kernel matrix and its 100 permutations grow with the square). One JSON line.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import alibi_detect
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from alibi_detect.cd import MMDDrift, TabularDrift

WARM_ROWS = 1_000


def read(folder: Path) -> tuple[Any, Any, list[str], dict[int, None]]:
    """Both sides as matrices, names as the numbers that it wants; columns; which are names."""
    sides = [pq.read_table(folder / f"{side}.parquet") for side in ("reference", "window")]
    columns, named = sides[0].column_names, dict[int, None]()
    matrices = [np.empty((side.num_rows, len(columns))) for side in sides]
    for number, name in enumerate(columns):
        values = [side[name].combine_chunks() for side in sides]
        if pa.types.is_string(values[0].type):
            named[number] = None
            known = pc.unique(pa.chunked_array(values))
            values = [pc.index_in(value, value_set=known) for value in values]
        for matrix, value in zip(matrices, values, strict=True):
            matrix[:, number] = value.to_numpy(zero_copy_only=False)
    return matrices[0], matrices[1], columns, named


def table(folder: Path) -> dict[str, Any]:
    """CPU-seconds of TabularDrift and the statistic of each column of numbers."""
    reference, window, columns, named = read(folder)
    warm = TabularDrift(reference[:WARM_ROWS], categories_per_feature=dict(named))
    warm.predict(window[:WARM_ROWS], drift_type="feature")
    detector = TabularDrift(reference, categories_per_feature=dict(named))
    started = time.process_time()
    found = detector.predict(window, drift_type="feature")["data"]["distance"]
    taken = time.process_time() - started
    numbers = [number for number in range(len(columns)) if number not in named]
    return {"cpu_s": taken, "ks": {columns[at]: float(found[at]) for at in numbers}}


def vectors(folder: Path, rows: int) -> dict[str, Any]:
    """CPU-seconds of MMDDrift with ``rows`` of each side."""
    with np.load(folder / "vectors.npz") as file:
        reference, window = file["reference"][:rows], file["window"][:rows]
    detector = MMDDrift(reference, backend="tensorflow")
    detector.predict(window[: len(window) // 2])
    started = time.process_time()
    detector.predict(window)
    return {"mmd_cpu_s": time.process_time() - started, "mmd_rows": len(window)}


def peak_mb() -> float:
    """The most memory that this process held. Not getrusage's: that begins with its parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Read, compare, print."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    told = table(folder)
    peak = peak_mb()
    told |= {"peak_mb": peak, "version": alibi_detect.__version__, **vectors(folder, rows)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
