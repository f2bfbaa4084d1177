"""SciPy over the sample: two-sample KS of each number, chi-square of each column of names.

Alone: imports none of driftd. Argument: the folder of the sample. One JSON line.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy
from scipy.stats import chi2_contingency, ks_2samp

WARM_ROWS = 1_000


def compare(reference: pa.Table, window: pa.Table) -> dict[str, float]:
    """KS of each column of numbers; those of names are tested too."""
    found = {}
    for name in window.column_names:
        if pa.types.is_string(window[name].type):
            chi2_contingency(counts(reference[name], window[name]))
        else:
            tested = ks_2samp(window[name].to_numpy(), reference[name].to_numpy())
            found[name] = float(tested.statistic)
    return found


def counts(*sides: Any) -> list[list[int]]:
    """How often each name is seen on each side."""
    seen: list[dict[str, int]] = []
    for side in sides:
        counted = pc.value_counts(side)
        names = counted.field("values").to_pylist()
        seen.append(dict(zip(names, counted.field("counts").to_pylist(), strict=True)))
    every = sorted(set().union(*seen))
    return [[side.get(name, 0) for name in every] for side in seen]


def peak_mb() -> float:
    """The most memory that this process held. Not getrusage's: that begins with its parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Read, compare, print."""
    folder = Path(sys.argv[1])
    reference = pq.read_table(folder / "reference.parquet").combine_chunks()
    window = pq.read_table(folder / "window.parquet").combine_chunks()
    compare(reference.slice(0, WARM_ROWS), window.slice(0, WARM_ROWS))
    started = time.process_time()
    statistics = compare(reference, window)
    taken = time.process_time() - started
    peak = peak_mb()
    told = {"cpu_s": taken, "peak_mb": peak, "ks": statistics, "version": scipy.__version__}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
