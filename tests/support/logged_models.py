"""Logs small models for tests as other people's pipelines do: `python logged_models.py NAME KIND…`.

It prints one version a line. ``good``; ``python``, ``package``, ``absent``, ``patch``: descriptions that
were written elsewhere; ``eats`` and ``hangs`` when it is loaded; ``empty``: no files at all.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

import cloudpickle  # type: ignore[import-untyped]
import mlflow
import mlflow.sklearn
import pandas as pd
from sklearn.linear_model import LogisticRegression

NEEDS = {
    "package": ["mlflow", "scikit-learn==0.24.2"],
    "absent": ["mlflow", "lightgbm-that-nobody-has==4.5", "--extra-index-url https://x.example"],
    "patch": ["mlflow==3.17.1", 'pywin32; sys_platform == "win32"', "./wheels/own.whl"],
}


class Eats:
    """Takes more memory than it may when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        """Two gigabytes."""
        return bytearray, (2 << 30,)


class Hangs:
    """Never comes back when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        """Longer than any test waits."""
        return time.sleep, (600,)


def main() -> None:
    """Log each kind in a run of its own."""
    name, *kinds = sys.argv[1:]
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(name)
    number = experiment.experiment_id if experiment else client.create_experiment(name)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "n": [1.0, 0.0, 1.0, 0.0]})
    model = LogisticRegression().fit(rows, [0, 0, 1, 1])
    for kind in kinds:
        run = client.create_run(number).info.run_id
        if kind != "empty":
            with tempfile.TemporaryDirectory() as folder:
                files = save(model, kind, Path(folder) / "model")
                client.log_artifacts(run, str(files), "model")
        client.set_terminated(run)
        made = client.create_model_version(
            name, f"{client.get_run(run).info.artifact_uri}/model", run, tags={"kind": kind}
        )
        sys.stdout.write(f"{kind} {made.version}\n")


def save(model: LogisticRegression, kind: str, folder: Path) -> Path:
    """The files of a model of this kind."""
    needs = NEEDS.get(kind, ["mlflow", "scikit-learn"])
    mlflow.sklearn.save_model(
        model, folder, serialization_format="cloudpickle", pip_requirements=["mlflow"]
    )
    (folder / "requirements.txt").write_text("\n".join(needs) + "\n", encoding="utf-8")
    if kind == "python":
        described = folder / "MLmodel"
        text = re.sub("python_version: .*", "python_version: 3.9.18", described.read_text("utf-8"))
        described.write_text(text, encoding="utf-8")
    if kind in {"eats", "hangs"}:
        made = Eats() if kind == "eats" else Hangs()
        (folder / "model.pkl").write_bytes(cloudpickle.dumps(made))
    return folder


if __name__ == "__main__":
    main()
