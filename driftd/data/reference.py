"""The reference profile of a version just trained: its training window, as it scores it itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detectors.contract import Layout
from detectors.profile import Profile
from driftd.data.evaluate import ChildFailedError, Scorer, score
from driftd.data.export import ID, TRAIN, read_manifest
from driftd.data.profile import build_profile
from driftd.errors import RefusedError


def reference_profile(
    folder: Path,
    scorer: Scorer,
    version: str,
    layouts: Mapping[str, Layout] | None = None,
    *,
    latency_thresholds: Sequence[float] = (),
) -> Profile:
    """Score ``train.parquet`` of an export with ``version`` and count it, on the model's layouts.

    Predicted labels are named as the true ones are. Its quality is that on data it was trained on: a mark for *worse than training*, not a promise.
    Raises ``RefusedError`` when the version does not answer, ``UnreachableError`` when the registry
    does not.
    """
    manifest = read_manifest(folder)
    table = pq.read_table(folder / TRAIN)
    try:
        answers, _ = score(scorer, version, folder / TRAIN, list(manifest.columns))
    except ChildFailedError as error:
        raise RefusedError(f"version {version} {error}") from error
    found = pc.index_in(table[ID], value_set=answers["id"].combine_chunks())
    scores = pa.chunked_array([answers["score"].combine_chunks()]).take(found)
    positive = manifest.positive or "1"
    # Of several other labels, the commonest stands for "not the positive one".
    negative = next((name for name in manifest.labels if name != positive), "0")
    return build_profile(
        table,
        layouts,
        version,
        np.asarray(scores.to_numpy(), np.float64),
        positive=positive,
        negative=negative,
        latency_thresholds=latency_thresholds,
    )
