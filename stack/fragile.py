"""Registers a champion and versions that break on demand: `python -I fragile.py URI COUNT`.

Every version scores ``x``. Version 1 never fails; the others fail on rows whose ``trap`` is set.
"""

import sys
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel

MODEL = "fragile"


class Fragile(PythonModel):  # type: ignore[misc]
    """Scores ``x``; ``trapped`` ones fail where a row says so."""

    def __init__(self, *, trapped: bool) -> None:
        self.trapped = trapped

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """One score a row."""
        if self.trapped and (model_input["trap"] > 0).any():
            raise ValueError("a row with a trap")
        return model_input["x"]


def main() -> None:
    """Version 1 and ``count`` fragile versions; all from two runs."""
    uri, count = sys.argv[1], int(sys.argv[2])
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    client.create_registered_model(MODEL)
    mlflow.set_experiment(MODEL)
    example = pd.DataFrame({"x": [0.5], "trap": [0.0]})
    for trapped, versions in ((False, 1), (True, count)):
        with mlflow.start_run() as run:
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=Fragile(trapped=trapped),
                signature=infer_signature(example, example["x"]),
                pip_requirements=["mlflow"],
            )
        for _ in range(versions):
            client.create_model_version(
                MODEL, logged.model_uri, run.info.run_id, model_id=logged.model_id
            )
    client.set_registered_model_alias(MODEL, "champion", "1")


if __name__ == "__main__":
    main()
