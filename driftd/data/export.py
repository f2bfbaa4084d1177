"""Training data from the archive: Parquet with a manifest, and a withheld block for the gate."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftd.data.answers import is_positive
from driftd.data.archive import Archive, put_file
from driftd.data.features import feature_table, kinds_of
from driftd.errors import MistakeError

FORMAT = 1
TRAIN, HOLDOUT, MANIFEST = "train.parquet", "holdout.parquet", "manifest.json"
ROWS_MAX = 5_000_000
LABELS_MAX = 20
# Columns beside the features; the manifest's ``columns`` names the features alone.
ID, SUBJECT, TS, LABEL = "id", "subject", "ts", "label"
GATE, REFIT = "gate", "refit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an export holds. ``rows``, ``positives`` and ``sha256`` go by file name; ``columns`` says
    ``number`` or ``text`` for each feature, in the order of the files. Times in seconds."""

    format: int
    model: str
    phase: str
    since: float
    until: float
    holdout_since: float | None
    columns: dict[str, str]
    positive: str | None
    labels: dict[str, int]
    """How often each label came, the commonest first, at most 20 of them."""
    without: list[list[float]]
    rows: dict[str, int]
    positives: dict[str, int]
    sha256: dict[str, str]
    straddling: int
    """Training rows left out because their id or subject also stands in the withheld block."""


def export_training(
    archive: Archive,
    model: str,
    since: float,
    until: float,
    out_dir: Path,
    *,
    phase: str,
    holdout: float = 0.2,
    positive: str | None = None,
    without: Sequence[tuple[float, float]] = (),
) -> Manifest:
    """Write what a trainer gets: labelled live requests with event time in [since, until), but for
    the spans ``without``, whose input was faulty.

    ``phase`` ``gate``: the newest ``holdout`` share of the time that has data is withheld as a
    block, and no id or subject stands on both sides; ``refit``: everything is for training. Files
    are replaced whole, the manifest last; the same archive gives the same bytes. Raises
    ``MistakeError`` when there is nothing to write.
    """
    _check(phase, holdout)
    rows = _rows(archive, model, since, until, without)
    table, kinds = training_table(rows, positive)
    edge, train, held = _split(table, until, holdout if phase == GATE else 0.0)
    if not train.any():
        raise MistakeError(
            f"no labelled request of {model} is left to train on: every subject also stands in the "
            "withheld block; withhold less, or let the window be longer"
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    files = {TRAIN: table.filter(pa.array(train))}
    if phase == GATE:
        files[HOLDOUT] = table.filter(pa.array(held))
    else:
        # A folder is used again for the refit: what was withheld must not be taken for it.
        (out_dir / HOLDOUT).unlink(missing_ok=True)
    for name, content in files.items():
        put_file(out_dir / name, content)
    manifest = Manifest(
        format=FORMAT,
        model=model,
        phase=phase,
        since=since,
        until=until,
        holdout_since=edge,
        columns=kinds,
        positive=positive,
        labels=_label_counts(rows["label"]),
        without=[list(span) for span in without],
        rows={name: content.num_rows for name, content in files.items()},
        positives={name: int(np.sum(content[LABEL])) for name, content in files.items()},
        sha256={name: _sha256(out_dir / name) for name in files},
        straddling=table.num_rows - int(train.sum()) - int(held.sum()),
    )
    _write(out_dir / MANIFEST, manifest)
    return manifest


def _rows(
    archive: Archive,
    model: str,
    since: float,
    until: float,
    without: Sequence[tuple[float, float]],
) -> pa.Table:
    """Labelled live requests with features, outside the spans, the newest where they are too many."""
    rows = archive.read(model, since, until, ["id", "subject", "ts", "label", "features"])
    rows = _outside(rows.filter(pc.is_valid(rows["features"])), without)
    if rows.num_rows == 0:
        raise MistakeError(
            f"the archive has no labelled request of {model} with features in the asked window; "
            "it fills as labels arrive for predictions that are sampled"
        )
    return rows.slice(max(0, rows.num_rows - ROWS_MAX))


def _outside(rows: pa.Table, spans: Sequence[tuple[float, float]]) -> pa.Table:
    ts = rows["ts"].to_numpy()
    kept = np.ones(len(ts), bool)
    for start, end in spans:
        kept &= (ts < start) | (ts >= end)
    return rows if kept.all() else rows.filter(pa.array(kept))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an exported folder. Raises ``MistakeError`` when it is none, or a newer one."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = int(values["format"])
        if version > FORMAT:
            raise MistakeError(f"{folder / MANIFEST} has format {version}: a newer driftd wrote it")
        return Manifest(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MistakeError(
            f"{folder} is no folder that `driftd data export` wrote: {error}"
        ) from error


def training_table(rows: pa.Table, positive: str | None) -> tuple[pa.Table, dict[str, str]]:
    """Archived rows as id, subject, ts, label (0/1) and one column a feature, with their kinds."""
    features = feature_table(rows["features"])
    columns: dict[str, Any] = {
        ID: rows["id"],
        SUBJECT: rows["subject"],
        TS: rows["ts"],
        LABEL: pa.array(is_positive(rows["label"], positive).astype(np.int8)),
    }
    taken = sorted(set(columns) & set(features.column_names))
    if taken:
        raise MistakeError(
            f"features may not be called {', '.join(taken)}: the export's own columns are"
        )
    columns.update({name: features[name] for name in features.column_names})
    return pa.table(columns), kinds_of(features)


def _check(phase: str, holdout: float) -> None:
    if phase not in (GATE, REFIT):
        raise MistakeError(f"phase is {GATE} or {REFIT}, not {phase!r}")
    if phase == GATE and not 0 < holdout < 1:
        raise MistakeError(f"holdout is a share between 0 and 1, not {holdout:g}")


def _label_counts(labels: pa.ChunkedArray) -> dict[str, int]:
    counts = {one["values"]: one["counts"] for one in pc.value_counts(labels).to_pylist()}
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:LABELS_MAX])


def _split(
    table: pa.Table, until: float, holdout: float
) -> tuple[float | None, NDArray[np.bool_], NDArray[np.bool_]]:
    """The first moment withheld, and masks of training and withheld rows, shape (rows,)."""
    ts = table[TS].to_numpy()
    if not holdout:
        return None, np.ones(len(ts), np.bool_), np.zeros(len(ts), np.bool_)
    # The share is of the time that has data: an archive younger than the window must not lose all.
    first, last = float(ts[0]), min(until, float(np.nextafter(ts[-1], np.inf)))
    edge = last - holdout * (last - first)
    held = ts >= edge
    subject = table[SUBJECT].to_numpy()
    # Ids stand once in a read of the archive, so subjects are what may straddle.
    train = ~held & ~np.isin(subject, np.unique(subject[held]))
    return edge, train, held


def _write(path: Path, manifest: Manifest) -> None:
    temporary = path.with_suffix(".new")
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
