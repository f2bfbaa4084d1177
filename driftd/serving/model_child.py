"""One model version in a process of its own (`python -I`): scores in batches over a socket.

Standalone: imports none of driftd, so that a model's own libraries and ours never meet. Frames are
a length (4 bytes, big-endian) and that much msgpack. It says first `{"ready": true, "version",
"positive", "negative"}` or `{"ready": false, "error"}`; then each `{"instances": [...]}` is answered
by `{"scores": [...]}` or by `{"error", "at"}` (`at`: the index of the instance that is to blame, or null).
It ends when the socket does.
"""

import argparse
import resource
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mlflow
import mlflow.pyfunc
import mlflow.sklearn
import msgspec
import numpy as np
import pandas as pd
from mlflow.models import Model

Row = Mapping[str, float | str | None]
LENGTH = struct.Struct(">I")


class InputError(Exception):
    """The instance `at` does not fit the model's signature."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.at = at


class Columns:
    """Turns rows into the one frame that the model was trained on: names, order and types."""

    def __init__(self, names: Sequence[str] | None, types: Mapping[str, np.dtype[Any]]) -> None:
        self._names = names
        self._types = types
        self._texts: set[str] = set()

    def frame(self, rows: Sequence[Row]) -> pd.DataFrame:
        """A missing key becomes NaN or None; keys that the model does not know are left out."""
        names = self._names
        if names is None:
            names = list(dict.fromkeys(name for row in rows for name in row))
        return pd.DataFrame({name: self._column(name, rows) for name in names})

    def _column(self, name: str, rows: Sequence[Row]) -> Any:
        values = [row.get(name) for row in rows]
        wanted = self._types.get(name)
        if wanted is None:
            # Without a signature a column is a number unless a text stands, or once stood, in it.
            if any(isinstance(value, str) for value in values):
                self._texts.add(name)
                return values
            if name in self._texts and all(value is None for value in values):
                return pd.array(values, dtype="str")
            return np.array(values, dtype=np.float64)
        is_text = wanted.kind in "UO"
        for at, value in enumerate(values):
            if value is not None and isinstance(value, str) is not is_text:
                kind = "a text" if is_text else "a number"
                raise InputError(f"{name}: the model needs {kind}, got {value!r}", at)
        if is_text:
            return pd.array(values, dtype="str")
        numbers = np.array(values, dtype=np.float64)
        # An integer column cannot hold NaN: with a gap it stays a float, as pandas reads it too.
        if wanted.kind in "iub" and np.isnan(numbers).any():
            return numbers
        return numbers.astype(wanted)


class Scorer:
    """A loaded model version."""

    def __init__(self, predict: Callable[[pd.DataFrame], Any], columns: Columns) -> None:
        self._predict = predict
        self._columns = columns

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """One finite number a row. Raises InputError, or whatever the model raises."""
        output = self._predict(self._columns.frame(rows))
        scores = np.asarray(output, dtype=np.float64)
        if scores.ndim == 2 and scores.shape[1] in (1, 2):
            scores = scores[:, -1]
        if scores.shape != (len(rows),):
            message = f"the model gave an array of shape {scores.shape} for {len(rows)} instances"
            raise ValueError(message)
        if not np.isfinite(scores).all():
            raise ValueError("the model gave a score that is not a finite number")
        return [float(score) for score in scores]

    def warm(self) -> None:
        """The first call pays for lazy imports and pools; a row of gaps may be refused."""
        try:
            self.scores([{}])
        except Exception:  # noqa: BLE001  (a refusal of this row says nothing)
            return


def load(folder: str) -> Scorer:
    """The model in `folder`: `predict_proba` of scikit-learn where it exists, else pyfunc."""
    described = Model.load(folder)
    schema = described.get_input_schema()
    named = schema is not None and schema.has_input_names() and not schema.is_tensor_spec()
    names = list(schema.input_names()) if named else None
    found = {c.name: _column_type(c.type) for c in schema.inputs} if named else {}
    types = {name: kind for name, kind in found.items() if kind is not None}
    if "sklearn" not in described.flavors:
        return Scorer(mlflow.pyfunc.load_model(folder).predict, Columns(names, types))
    estimator = mlflow.sklearn.load_model(folder)
    fitted_on = getattr(estimator, "feature_names_in_", None)
    if fitted_on is not None:
        names = [str(name) for name in fitted_on]
    predict = getattr(estimator, "predict_proba", estimator.predict)
    return Scorer(predict, Columns(names, types))


def fetch(name: str, version: str) -> tuple[Scorer, dict[str, str]]:
    """Load `version` (a number, or `@alias`) of the registered model `name`, and what it is."""
    client = mlflow.MlflowClient()
    found = (
        client.get_model_version_by_alias(name, version[1:])
        if version.startswith("@")
        else client.get_model_version(name, version)
    )
    # mlflow.artifacts, not load_model: both flavours are looked at, and it is fetched once.
    folder = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{found.version}")
    tags = {**client.get_registered_model(name).tags, **found.tags}
    about = {
        "version": str(found.version),
        "positive": tags.get("driftd.positive", "1"),
        "negative": tags.get("driftd.negative", "0"),
    }
    return load(folder), about


def serve(channel: socket.socket, scorer: Scorer) -> None:
    """Answer until the other side closes."""
    with channel.makefile("rb") as stream:
        while head := stream.read(LENGTH.size):
            (length,) = LENGTH.unpack(head)
            asked = msgspec.msgpack.decode(stream.read(length))
            try:
                answer: dict[str, Any] = {"scores": scorer.scores(asked["instances"])}
            except InputError as error:
                answer = {"error": str(error), "at": error.at}
            except Exception as error:  # noqa: BLE001  (whatever a model raises is an answer)
                answer = {"error": f"{type(error).__name__}: {error}"[:500], "at": None}
            _send(channel, answer)


def main() -> int:
    """Load, say so, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True, help="a number, or @alias")
    parser.add_argument("--socket", type=int, required=True, help="an inherited descriptor")
    parser.add_argument("--memory", type=int, required=True, help="bytes")
    args = parser.parse_args()
    # Data, not address space: allocators reserve far more addresses than they ever write to.
    resource.setrlimit(resource.RLIMIT_DATA, (args.memory, args.memory))
    with socket.socket(fileno=args.socket) as channel:
        try:
            scorer, about = fetch(args.name, args.version)
            scorer.warm()
        except Exception as error:  # noqa: BLE001  (told to the parent, which tells the people)
            _send(channel, {"ready": False, "error": f"{type(error).__name__}: {error}"[:500]})
            return 1
        _send(channel, {"ready": True, **about})
        serve(channel, scorer)
    return 0


def _column_type(kind: object) -> "np.dtype[Any] | None":
    """NumPy's type of a scalar column of numbers or texts; None for the rest (dates, lists)."""
    to_numpy = getattr(kind, "to_numpy", None)
    found = np.dtype(to_numpy()) if to_numpy is not None else None
    return found if found is not None and found.kind in "iufbUO" else None


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    body = msgspec.msgpack.encode(message)
    channel.sendall(LENGTH.pack(len(body)) + body)


if __name__ == "__main__":
    sys.exit(main())
