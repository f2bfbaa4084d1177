"""A trainer for tests, as a user would write one: reads the export, registers a tagged version.

Run as a program of its own; it imports nothing of driftd. ``TRAIN_KIND``: ``good`` (logistic
regression), ``constant`` (says the base rate), ``broken`` (fails to load where it is served),
``hanging`` (never answers) or ``pyfunc`` (a frame of probabilities).
"""

import json
import os
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression


class Broken:
    """A model whose pickle needs a module that is not there."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Unpickle as an import of what nobody has."""
        return __import__, ("module_of_the_trainers_machine",)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Never reached."""
        return np.zeros(len(frame))


class Hanging(DummyClassifier):  # type: ignore[misc]
    """A model that loads and never answers."""

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Longer than any test waits."""
        time.sleep(600)
        return np.zeros((len(frame), 2))


class ScoreFrame(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A pyfunc that answers with a frame of two probabilities."""

    def predict(
        self, context: object, model_input: pd.DataFrame, params: object = None
    ) -> pd.DataFrame:
        """Probabilities of 0 and 1."""
        score = 1 / (1 + np.exp(-model_input["x"].to_numpy()))
        return pd.DataFrame({"p0": 1 - score, "p1": score})


def main() -> None:
    """Train on train.parquet, register, print the version."""
    data, name = Path(os.environ["DRIFTD_DATA"]), os.environ["DRIFTD_REGISTRY_NAME"]
    manifest = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    rows = pd.read_parquet(data / "train.parquet")
    features, label = rows[list(manifest["columns"])], rows["label"]
    kind = os.environ.get("TRAIN_KIND", "good")
    mlflow.set_experiment(name)
    with mlflow.start_run():
        if kind == "pyfunc":
            info = mlflow.pyfunc.log_model(
                name="model", python_model=ScoreFrame(), pip_requirements=["mlflow"]
            )
        else:
            made = {"good": LogisticRegression, "constant": DummyClassifier, "hanging": Hanging}
            model = Broken() if kind == "broken" else made[kind]().fit(features, label)
            info = mlflow.sklearn.log_model(
                model, name="model", serialization_format="cloudpickle", pip_requirements=["mlflow"]
            )
        tags = {"driftd.op_id": os.environ["DRIFTD_OP_ID"]}
        version = mlflow.register_model(info.model_uri, name, tags=tags).version
    sys.stdout.write(f"{version}\n")


if __name__ == "__main__":
    main()
