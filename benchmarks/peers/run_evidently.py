"""Evidently over the sample: its preset for data drift, as it comes.

Alone: imports none of driftd. Argument: the folder of the sample. One JSON line.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import evidently
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

WARM_ROWS = 1_000


def compare(reference: pd.DataFrame, window: pd.DataFrame) -> dict[str, float]:
    """What it found, a column."""
    report = Report([DataDriftPreset()]).run(current_data=window, reference_data=reference)
    metrics = report.dict()["metrics"]
    return {one["metric_name"]: float(one["value"]) for one in metrics[1:]}


def peak_mb() -> float:
    """The most memory that this process held. Not getrusage's: that begins with its parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Read, compare, print."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    reference = pd.read_parquet(folder / "reference.parquet")
    window = pd.read_parquet(folder / "window.parquet")
    compare(reference.head(WARM_ROWS), window.head(WARM_ROWS))
    started = time.process_time()
    found = compare(reference, window)
    taken = time.process_time() - started
    if len(found) != len(window.columns):
        raise SystemExit(f"{len(found)} of {len(window.columns)} columns were compared")
    peak = peak_mb()
    print(json.dumps({"cpu_s": taken, "peak_mb": peak, "version": evidently.__version__}))


if __name__ == "__main__":
    main()
