"""A label leak: a feature that tells the label alone, so that no model would be needed."""

from collections.abc import Iterable, Mapping
from math import nan

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.contract import FloatArray, IntArray, Layout
from driftd.data.check.findings import Finding, share_text
from driftd.data.features import label_column
from driftd.data.folding import fold_column

AUC_MAX = 0.98
CLASSES_MAX = 20
CELL_ROWS_MIN = 50
ROWS_MIN = 200
_TODO = "leave the column out, or show that it is known before the label is"


class LabelLeaks:
    """Counts every feature apart for each class of the label, and says which features are the label.

    How well a feature alone ranks a class is its AUC: over its values in their order, and over its
    cells by their share of the class (only cells of at least 50 rows, the missing one too), which
    sees a code as well. Labels of more than 20 classes are taken for numbers and not looked at.
    """

    def __init__(
        self, layouts: Mapping[str, Layout], label: str, others: Iterable[str] = ()
    ) -> None:
        """``others``: columns without a layout, of which only whether they are missing is counted."""
        self._others = sorted(set(others) - {label})
        self._layouts = {name: one for name, one in layouts.items() if not name.startswith("@")}
        self._label = label
        self._counts: dict[str, dict[str, IntArray]] = {}
        self._rows = 0
        self._missing = 0
        self._examples: list[int] = []
        self._classes: set[str] = set()

    def add(self, rows: pa.Table) -> None:
        """The next rows."""
        if self._label not in rows.column_names:
            labels = pa.chunked_array([pa.nulls(rows.num_rows, pa.string())])
        else:
            labels = label_column(rows[self._label])
        missing = pc.is_null(labels)
        places = np.flatnonzero(missing.to_numpy())
        self._examples += [int(place) + self._rows + 1 for place in places[:3]]
        self._missing += len(places)
        self._rows += rows.num_rows
        self._classes.update(pc.unique(labels.drop_null()).to_pylist()[: 10 * CLASSES_MAX])
        if len(self._classes) > CLASSES_MAX:
            return
        for name in pc.unique(labels.drop_null()).to_pylist():
            self._fold(name, rows.filter(pc.equal(labels, name)))

    def _fold(self, label: str, rows: pa.Table) -> None:
        mine = self._counts.setdefault(label, {})
        for name, layout in self._layouts.items():
            if name in rows.column_names:
                counts = fold_column(layout, rows[name])
                if counts is not None:
                    mine[name] = mine.get(name, np.zeros(layout.size, np.int64)) + counts
        for name in self._others:
            if name in rows.column_names:
                missing = rows[name].null_count
                cells = np.array([rows.num_rows - missing, missing])
                mine[name] = mine.get(name, np.zeros(2, np.int64)) + cells

    def findings(self) -> list[Finding]:
        """Missing labels, labels of one class, features that tell the label."""
        found = []
        if self._missing:
            found.append(self._without_label())
        if len(self._classes) == 1:
            found.append(
                Finding(
                    check="one class",
                    severity="error",
                    column=self._label,
                    count=self._rows - self._missing,
                    of=self._rows,
                    says="every label is the same: there is nothing to learn",
                    todo="take rows of every class",
                )
            )
        if 2 <= len(self._classes) <= CLASSES_MAX:
            names = (*self._layouts, *self._others)
            found += [self._leak(name) for name in names if self._best(name) > AUC_MAX]
        return found

    def _without_label(self) -> Finding:
        return Finding(
            check="missing label",
            severity="error" if self._missing == self._rows else "warning",
            column=self._label,
            count=self._missing,
            of=self._rows,
            says=f"{share_text(self._missing, self._rows)} have no label",
            todo="leave them out of training, and find out whether some kind of row never gets one",
            examples=tuple(self._examples[:3]),
        )

    def _leak(self, name: str) -> Finding:
        return Finding(
            check="label leak",
            severity="error",
            column=name,
            count=self._rows,
            of=self._rows,
            says=f"it tells {self._label} alone: AUC {self._best(name):.3f}",
            todo=_TODO,
        )

    def _best(self, name: str) -> float:
        """The AUC of the class that this feature tells best."""
        sides = {label: counts[name] for label, counts in self._counts.items() if name in counts}
        if not sides:
            return nan
        whole = np.sum(list(sides.values()), axis=0)
        aucs = [0.5]
        for counts in sides.values():
            others = whole - counts
            if min(counts.sum(), others.sum()) >= CELL_ROWS_MIN and whole.sum() >= ROWS_MIN:
                aucs.append(_by_order(counts[:-1], others[:-1]))
                aucs.append(_by_share(counts, others))
        return max(aucs)


def _by_order(one: IntArray, other: IntArray) -> float:
    auc = auc_of_cells(one, other)
    return max(auc, 1 - auc) if auc == auc else 0.5  # noqa: PLR0124 - NaN


def _by_share(one: IntArray, other: IntArray) -> float:
    enough = one + other >= CELL_ROWS_MIN
    # What lies in small cells is no evidence: it ranks in the middle.
    share = np.where(enough, one / np.maximum(one + other, 1), one.sum() / (one + other).sum())
    order = np.argsort(share, kind="stable")
    return auc_of_cells(one[order].astype(np.float64), other[order].astype(np.float64))


def auc_of_cells(one: FloatArray | IntArray, other: FloatArray | IntArray) -> float:
    """P(a value of ``one`` lies in a later cell than one of ``other``), ties half; NaN without both.

    >>> auc_of_cells(np.array([0, 5]), np.array([5, 0])), auc_of_cells(np.array([3]), np.array([2]))
    (1.0, 0.5)
    """
    pairs = float(one.sum()) * float(other.sum())
    if not pairs:
        return nan
    before = np.concatenate([[0.0], np.cumsum(other)[:-1]])
    return float((one * (before + other / 2)).sum() / pairs)
