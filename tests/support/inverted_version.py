"""A version that is plainly broken, as a mixed-up label column makes one: trained on late for on time.

Run as a program of its own beside the trainer of the examples; it imports nothing of driftd.
Arguments: the folder of ``flights_trainer.py``, the folder with ``train.parquet``.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import cloudpickle  # type: ignore[import-untyped]
import pandas as pd


def main() -> None:
    """Train on inverted labels and register the result; its number goes to standard output."""
    examples, data = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(examples))
    flights_trainer = importlib.import_module("flights_trainer")
    cloudpickle.register_pickle_by_value(flights_trainer)
    kinds = json.loads((data / "manifest.json").read_text())["columns"]
    train = pd.read_parquet(data / "train.parquet")
    model = flights_trainer.DelayModel().fit(train[list(kinds)], 1 - train["label"].to_numpy())
    name = os.environ["DRIFTD_REGISTRY_NAME"]
    flights_trainer.register(model, name, kinds, run_name="inverted", tags={"gate.by": "nobody"})


if __name__ == "__main__":
    main()
