"""Registers the models that the serving tests serve: `python -I serving_models.py URI FOLDER`."""

import os
import sys
import time
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder


class Odd(PythonModel):  # type: ignore[misc]
    """Does what its column `mode` says; scores `x` otherwise."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        for mode in model_input["mode"].dropna():
            if mode == "raise":
                raise RuntimeError(f"sees {sorted(os.environ)}")
            if mode == "die":
                print("no more", flush=True)
                os._exit(3)
            if mode == "hang":
                time.sleep(60)
            if mode == "eat":
                np.ones(10**9)
        return model_input["x"]


def main() -> None:
    """`delay`: three versions that score 18 rows differently; `odd`: one that misbehaves."""
    uri, folder = sys.argv[1:]
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("serving", artifact_location=folder)
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"temp": rng.normal(size=400), "carrier": rng.choice(["UA", "AA"], 400)})
    late = (rows.temp + rng.normal(size=400) > 0).astype(int)
    for strength in (0.1, 1.0, 10.0):
        encode = make_column_transformer(
            (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["carrier"]),
            remainder="passthrough",
        )
        model = make_pipeline(encode, LogisticRegression(C=strength / 100)).fit(rows, late)
        with mlflow.start_run(experiment_id=experiment):
            mlflow.sklearn.log_model(
                model, name="model", registered_model_name="delay",
                signature=infer_signature(rows, model.predict_proba(rows)[:, 1]),
                serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
            )  # fmt: skip
    client.set_registered_model_tag("delay", "driftd.positive", "late")
    client.set_registered_model_tag("delay", "driftd.negative", "on_time")
    client.set_registered_model_alias("delay", "champion", "1")
    example = pd.DataFrame({"x": [0.5], "mode": ["score"]})
    with mlflow.start_run(experiment_id=experiment):
        mlflow.pyfunc.log_model(
            name="model", python_model=Odd(), registered_model_name="odd",
            signature=infer_signature(example, example["x"]), pip_requirements=["mlflow"],
        )  # fmt: skip


if __name__ == "__main__":
    main()
