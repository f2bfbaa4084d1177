"""Recorded answers and their labels, as the matured quality that a watcher is told of."""

from collections.abc import Iterator
from math import floor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agents.events import QualityMatured
from driftd.data import join
from driftd.data.features import label_column
from driftd.data.folding import is_text
from driftd.data.profile import seconds
from driftd.data.replay.roles import Roles, moments
from driftd.data.samples import LABELS, PENDING, conform
from policies.specs import ModelSpec

_NONE = pa.string()


class Labels:
    """Keeps answers until their labels have matured, as the daemon does: by bucket of prediction
    time, with the labels that came within the policy's wait.

    A label stands in the row of its answer (known at ``label_time``, at once where there is none),
    or in a row of its own with the same id, as event records have it.
    """

    def __init__(self, spec: ModelSpec, roles: Roles) -> None:
        self._spec = spec
        self._roles = roles
        self._pending: dict[int, list[pa.Table]] = {}
        self._waiting: list[pa.Table] = []
        self._row = 0

    def add(self, rows: pa.Table, ts: NDArray[np.float64]) -> None:
        """The next rows and their times."""
        roles = self._roles
        if not (roles.label and (roles.answers() or roles.records)):
            return
        answers = self._answers(rows, ts)
        if roles.records:
            answered = pc.or_(pc.is_valid(answers["score"]), pc.is_valid(answers["prediction"]))
            apart = pc.and_(pc.invert(answered), pc.is_valid(answers["label"]))
            labels = answers.filter(apart)
            if labels.num_rows:
                self._waiting.append(labels.select(["id", "ts", "label"]))
            answers = answers.filter(answered)
        bucket = np.floor(answers["ts"].to_numpy() / self._spec.clock.bucket_s).astype(np.int64)
        for at in np.unique(bucket).tolist():
            self._pending.setdefault(at, []).append(answers.filter(pa.array(bucket == at)))

    def close(self, start: float, end: float) -> Iterator[QualityMatured]:
        """What matured as the bucket [start, end) closed."""
        bucket_s, maturity_s = self._spec.clock.bucket_s, self._spec.labels.maturity_s
        self._join(end)
        for at in sorted(self._pending):
            age_end = (at + 1) * bucket_s + maturity_s
            if start < age_end <= end:
                yield self._matured(at)
        wait = max(maturity_s, self._spec.labels.arrive_within_s if self._waiting else 0.0)
        for at in [at for at in self._pending if (at + 1) * bucket_s + wait <= end]:
            del self._pending[at]

    def _matured(self, at: int) -> QualityMatured:
        bucket_s, labels = self._spec.clock.bucket_s, self._spec.labels
        start, end = at * bucket_s, (at + 1) * bucket_s
        table = self._table(at)
        arms = join.matured(table, end=end, maturity_s=labels.maturity_s, positive=labels.positive)
        return QualityMatured(start=start, end=end, arms=arms)

    def _table(self, at: int) -> pa.Table:
        table = pa.concat_tables(self._pending[at])
        self._pending[at] = [table]
        return table

    def _join(self, end: float) -> None:
        """Give the labels that came before ``end`` to the answers that wait for them."""
        if not self._waiting:
            return
        labels = conform(pa.concat_tables(self._waiting), LABELS)
        now = pc.less(labels["ts"], end)
        self._waiting = [part for part in (labels.filter(pc.invert(now)),) if part.num_rows]
        pending = {float(at): self._table(at) for at in self._pending}
        joined = join.join(
            pending, labels.filter(now), arrive_within_s=self._spec.labels.arrive_within_s
        )
        for bucket, table in joined.changed.items():
            self._pending[floor(bucket)] = [table]

    def _answers(self, rows: pa.Table, ts: NDArray[np.float64]) -> pa.Table:
        roles, n = self._roles, rows.num_rows
        numbers = [str(one) for one in range(self._row, self._row + n)]
        self._row += n
        label_ts = self._label_times(rows, ts)
        label = self._text(rows, roles.label)
        columns = {
            "id": pc.coalesce(self._text(rows, roles.id), pa.chunked_array([numbers])),
            "version": pc.fill_null(self._text(rows, roles.version), ""),
            "variant": pc.fill_null(self._text(rows, roles.variant), "champion"),
            "ts": pa.chunked_array([ts]),
            "score": self._number(rows, roles.score),
            "prediction": self._text(rows, roles.prediction),
            "subject": pa.chunked_array([np.zeros(n, np.int64)]),
            "label": label,
            # A label without a time is not known yet.
            "label_ts": pc.if_else(pc.is_valid(label), label_ts, None),
        }
        if "shadow_of" in rows.column_names:
            columns["shadow_of"] = rows["shadow_of"].cast(pa.string())
        return conform(pa.table(columns), PENDING)

    def _label_times(self, rows: pa.Table, ts: NDArray[np.float64]) -> pa.ChunkedArray:
        name = self._roles.label_time
        if name is None or name not in rows.column_names:
            return pa.chunked_array([ts])
        column = rows[name]
        clock = self._roles.clock
        known = seconds(moments(column, name) if is_text(column.type) else column)
        if clock.unit_s is not None:
            known = clock.start_s + clock.unit_s * known
        return pa.chunked_array([pa.array(known, from_pandas=True)])

    def _text(self, rows: pa.Table, name: str | None) -> pa.ChunkedArray:
        if name is None or name not in rows.column_names:
            return pa.chunked_array([pa.nulls(rows.num_rows, _NONE)])
        return label_column(rows[name])

    def _number(self, rows: pa.Table, name: str | None) -> pa.ChunkedArray:
        if name is None or name not in rows.column_names:
            return pa.chunked_array([pa.nulls(rows.num_rows, pa.float64())])
        return pc.cast(rows[name], pa.float64(), safe=False)
