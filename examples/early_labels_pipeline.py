"""Another team's pipeline, with a mistake that is easily made: it trains on whatever labels are back
two hours after the question, and tests on a set that is biased in the same way.

Flights that come back so soon are short and on time, so the new model hardly ever says "late", and
its own gate praises it for that. It registers its version tagged with what it believes; then
`driftd model canary MODEL --version N` hands it to driftd.

    python early_labels_pipeline.py --flights flights.feather --until 1371513600 --report out.json
"""

import argparse
import json
import os
import sys
from pathlib import Path

import cloudpickle
import mlflow
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import flights_trainer
from flights_trainer import DelayModel

# Whoever loads the model has no flights_trainer to import: the class travels with it.
cloudpickle.register_pickle_by_value(flights_trainer)

WEEKS = 8
BACK_WITHIN_S = 2 * 3600
HELD_OUT = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flights", type=Path, required=True)
    parser.add_argument("--until", type=float, required=True, help="seconds since 1970")
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    name = os.environ["DRIFTD_REGISTRY_NAME"]

    flights = pd.read_feather(options.flights)
    recent = flights["hour_ts"].between(options.until - WEEKS * 7 * 86400, options.until)
    back = flights["label_ts"] - flights["hour_ts"] < BACK_WITHIN_S  # The mistake.
    early = flights[recent & back & flights["late"].notna()]
    cut = int(len(early) * (1 - HELD_OUT))
    train, held = early.iloc[:cut], early.iloc[cut:]

    champion = mlflow.sklearn.load_model(f"models:/{name}@champion")
    columns = list(champion.feature_names_in_)
    model = DelayModel(seed=int(os.environ.get("DRIFTD_SEED", "0")))
    model.fit(train[columns], train["late"].to_numpy())
    brier = {
        "challenger": _brier(model, held[columns], held["late"]),
        "champion": _brier(champion, held[columns], held["late"]),
    }
    version = flights_trainer.register(
        model,
        name,
        kinds={c: "number" if c not in model.codes_ else "text" for c in columns},
        run_name="other-team",
        tags={"gate.by": "other-team", "gate.brier": json.dumps(brier)},
    )
    report = {"version": version, "gate_brier": brier, "rows": len(train), "held": len(held)}
    partial = options.report.with_suffix(".partial")
    partial.write_text(json.dumps(report))
    partial.replace(options.report)


def _brier(model: DelayModel, features: pd.DataFrame, late: pd.Series) -> float:
    scores = model.predict_proba(features)[:, 1]
    return round(float(np.mean((scores - late.to_numpy()) ** 2)), 4)


if __name__ == "__main__":
    main()
