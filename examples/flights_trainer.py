"""A trainer as a user writes one: reads driftd's Parquet, fits a model, registers a version.

driftd runs it as a child process (settings: `trainers: {…: {kind: subprocess, command: [python,
examples/flights_trainer.py]}}`) and tells it by environment variables where its data are and which
op_id the new version must be tagged with. It imports nothing of driftd.
"""

import json
import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import sklearn
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier


class DelayModel(ClassifierMixin, BaseEstimator):
    """Boosted trees over numbers and texts; a text that was not seen in training is missing.

    A dictionary a text column instead of a pipeline of transformers: half a millisecond a request
    instead of five.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "DelayModel":
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.classes_ = np.array([0, 1])
        texts = [name for name in X.columns if not pd.api.types.is_numeric_dtype(X[name])]
        self.codes_ = {
            name: {value: float(i) for i, value in enumerate(sorted(X[name].dropna().unique()))}
            for name in texts
        }
        self.trees_ = HistGradientBoostingClassifier(
            max_iter=60,
            learning_rate=0.08,
            max_leaf_nodes=8,
            min_samples_leaf=300,
            l2_regularization=5.0,
            early_stopping=False,
            # Codes have no order: airports are split by groups, not by the alphabet.
            categorical_features=[list(X.columns).index(name) for name in texts],
            random_state=self.seed,
        ).fit(self._numbers(X), y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return self.trees_.predict_proba(self._numbers(X))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(int)

    def _numbers(self, X: pd.DataFrame) -> np.ndarray:
        numbers = np.empty((len(X), len(self.feature_names_in_)))
        for column, name in enumerate(self.feature_names_in_):
            codes = self.codes_.get(name)
            if codes is None:
                numbers[:, column] = X[name].to_numpy(dtype=float)
            else:
                numbers[:, column] = [codes.get(value, np.nan) for value in X[name]]
        return numbers


def register(
    model: DelayModel, name: str, kinds: dict[str, str], run_name: str, tags: dict[str, str]
) -> str:
    """Log the model in a run of its own and make it a version; the version's number."""
    inputs = [
        ColSpec("double" if kind == "number" else "string", column, required=False)
        for column, kind in kinds.items()
    ]
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name=run_name, tags=tags) as run:
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            # The default format refuses these trees (MLflow 3.17.2); looking up the requirements
            # by itself takes 7 s.
            serialization_format="cloudpickle",
            pip_requirements=[f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"],
            # The columns' names and types, and no input example: that would be rows of real people.
            signature=ModelSignature(inputs=Schema(inputs)),
        )
    # Version and tags in one call: no moment in which the version is there and nobody's.
    made = mlflow.MlflowClient().create_model_version(
        name,
        source=logged.model_uri,
        run_id=run.info.run_id,
        model_id=logged.model_id,
        tags={**tags, "driftd.positive": "late", "driftd.negative": "on_time"},
    )
    return str(made.version)


def main() -> None:
    name, op_id = os.environ["DRIFTD_REGISTRY_NAME"], os.environ["DRIFTD_OP_ID"]
    folder = Path(os.environ["DRIFTD_DATA"])
    kinds = json.loads((folder / "manifest.json").read_text())["columns"]
    train = pd.read_parquet(folder / "train.parquet")
    model = DelayModel(seed=int(os.environ.get("DRIFTD_SEED", "0")))
    model.fit(train[list(kinds)], train["label"].to_numpy())
    filter_string = f"name = '{name}' and tags.`driftd.op_id` = '{op_id}'"
    if not mlflow.MlflowClient().search_model_versions(filter_string):
        # Else an earlier attempt came this far: one op_id, one version.
        register(model, name, kinds, run_name=op_id, tags={"driftd.op_id": op_id})


if __name__ == "__main__":
    main()
