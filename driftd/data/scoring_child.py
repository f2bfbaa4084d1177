"""Scores a Parquet file with one model version (standalone: run with ``python -I``, imports none of ours).

``--output`` gets columns id and score, in the order of the input; ``--timing`` a JSON object with the
seconds of loading and the milliseconds of single calls. What goes wrong is the last line of stderr;
exit code 75 says that the registry could not be reached, which is no fault of the version.
"""

import argparse
import json
import sys
import time
from typing import Any

WARM_UPS = 5
EX_TEMPFAIL = 75


def main() -> int:
    """Load, score in batches, time single calls, write."""
    asked = arguments()
    started = time.perf_counter()
    try:
        score = load(asked.model_uri)
    except Exception as error:
        if unreachable(error):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
            return EX_TEMPFAIL
        raise
    loaded_s = time.perf_counter() - started

    import numpy as np  # noqa: PLC0415 - after the model, which brings its own numpy to be tested
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    frame = pd.read_parquet(asked.input, columns=[asked.id, *json.loads(asked.columns)])
    ids, features = frame.pop(asked.id), frame
    started = time.perf_counter()
    scores = np.concatenate(
        [np.empty(0)]
        + [
            score(features.iloc[start : start + asked.batch])
            for start in range(0, len(features), asked.batch)
        ]
    )
    batches_s = time.perf_counter() - started
    if scores.shape != (len(ids),):
        raise ValueError(f"{len(ids)} rows gave scores of shape {scores.shape}, not one a row")
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} of {len(ids)} scores are not finite")
    pq.write_table(pa.table({"id": ids.astype(str), "score": scores}), asked.output)
    timing = {
        "load_s": loaded_s,
        "batches_s": batches_s,
        "rows": len(ids),
        "calls_ms": single(score, features, asked.calls),
    }
    with open(asked.timing, "w", encoding="utf-8") as file:  # noqa: PTH123 - no pathlib needed
        json.dump(timing, file)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-uri", required=True, help="models:/NAME/VERSION")
    parser.add_argument("--input", required=True, help="Parquet with the id and the features")
    parser.add_argument("--output", required=True, help="Parquet to write: id, score")
    parser.add_argument("--timing", required=True, help="JSON to write")
    parser.add_argument("--columns", required=True, help="the features, a JSON list")
    parser.add_argument("--id", default="id", help="the column that names a row")
    parser.add_argument("--batch", type=int, default=10_000, help="rows a call")
    parser.add_argument("--calls", type=int, default=200, help="single rows to time")
    return parser.parse_args()


def load(uri: str) -> Any:
    """A function from a frame to the probability of the positive class, shape (rows,)."""
    import mlflow  # noqa: PLC0415 - an import error is an answer about the version, not of this file
    import mlflow.pyfunc  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    # Two rows of a class: labels alone would throw away what Brier and AUC measure.
    flavours = mlflow.models.get_model_info(uri).flavors
    if "sklearn" in flavours:
        import mlflow.sklearn  # noqa: PLC0415

        model = mlflow.sklearn.load_model(uri)
        if hasattr(model, "predict_proba"):
            classes = getattr(model, "classes_", [0, 1])
            if len(classes) != 2:
                raise ValueError(f"the model has {len(classes)} classes; two can be scored")
            names = [str(name) for name in getattr(model, "feature_names_in_", ())]
            return lambda frame: np.asarray(
                model.predict_proba(frame[names] if names else frame), np.float64
            )[:, 1]
    model = mlflow.pyfunc.load_model(uri)
    return lambda frame: column(model.predict(frame))


def unreachable(error: BaseException | None) -> bool:
    """Whether the network, and not the version, is what failed."""
    while error is not None:
        named = {kind.__name__ for kind in type(error).__mro__}
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in {404, 410}:
            return False  # it was reached, and the file is not there
        if named & {"RequestException", "HTTPError", "ConnectionError", "TimeoutError"}:
            return True
        if "MlflowException" in named and str(error).startswith("API request to"):
            return True
        error = error.__cause__ or error.__context__
    return False


def column(answer: Any) -> Any:
    """The last column of what a model answered: the positive class, where it gives one a class."""
    import numpy as np  # noqa: PLC0415

    if isinstance(answer, dict):
        answer = answer.get("score", answer.get("probability"))
    values = np.asarray(getattr(answer, "to_numpy", lambda: answer)(), np.float64)
    return values if values.ndim == 1 else values.reshape(len(values), -1)[:, -1]


def single(score: Any, features: Any, calls: int) -> list[float]:
    """Milliseconds of calls with one row each, spread over the input, after a few to warm up."""
    if not len(features):
        return []
    step = max(1, len(features) // max(1, calls))
    rows = [features.iloc[[i]] for i in range(0, len(features), step)][:calls]
    for row in rows[:WARM_UPS]:
        score(row)
    took = []
    for row in rows:
        started = time.perf_counter()
        score(row)
        took.append(1000 * (time.perf_counter() - started))
    return took


if __name__ == "__main__":
    sys.exit(main())
