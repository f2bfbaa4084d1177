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
    """Train each kind of TRAIN_KIND on train.parquet, register it, print its version."""
    data, name = Path(os.environ["DRIFTD_DATA"]), os.environ["DRIFTD_REGISTRY_NAME"]
    manifest = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    rows = pd.read_parquet(data / "train.parquet")
    # A model may use fewer features than it is offered; `noise` has gaps and `carrier` is text.
    features, label = rows[[name for name in manifest["columns"] if name == "x"]], rows["label"]
    mlflow.set_experiment(name)
    tags = {"driftd.op_id": os.environ["DRIFTD_OP_ID"]}
    for kind in os.environ.get("TRAIN_KIND", "good").split(","):
        with mlflow.start_run():
            uri = log(kind, features, label)
            version = mlflow.register_model(uri, name, tags=tags).version
        sys.stdout.write(f"{kind} {version}\n")


def log(kind: str, features: pd.DataFrame, label: pd.Series) -> str:
    """The URI of a logged model of this kind."""
    if kind == "pyfunc":
        model, flavour = ScoreFrame(), mlflow.pyfunc
        logged = flavour.log_model(name="model", python_model=model, pip_requirements=["mlflow"])
    else:
        made = {"good": LogisticRegression, "constant": DummyClassifier, "hanging": Hanging}
        fitted = Broken() if kind == "broken" else made[kind]().fit(features, label)
        logged = mlflow.sklearn.log_model(
            fitted, name="model", serialization_format="cloudpickle", pip_requirements=["mlflow"]
        )
    uri: str = logged.model_uri
    return uri


if __name__ == "__main__":
    main()
