"""What is normal in production at this hour of the week, learned from a burn-in."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.contract import FloatArray, IntArray
from detectors.sketches.layouts import decode_counts, encode_counts

DAY_S, HOUR_S = 86_400.0, 3_600.0
SLOTS = (48, 2, 1)
DAYS_MIN = 4.0
# Fewer events than this in a pane say nothing about a distribution: the pane is a gap.
EVENTS_MIN = 20
# KS takes its sampling floor away, in which half an sd is lost where a pane holds some 20 events; with
# 125 it is found (benchmarks/validity.py, regime few_events).
EVENTS_WANTED = 100
# 1970-01-01 was a Thursday; Monday is 0.
_FIRST_WEEKDAY = 3


def choose_slots(pane_s: float, panes: int, *, days_min: float = DAYS_MIN) -> int:
    """How many slots ``panes`` panes of ``pane_s`` seconds can fill: the finest of 48, 2, 1.

    48: weekday or weekend x hour; 2: weekday or weekend; 1: always. A slot needs panes of at least
    ``days_min`` days, and weekends, 2 days of 7, are the first to lack them. Panes of a day or more
    never have hours, longer ones no weekdays either.

    >>> choose_slots(600, 14 * 144), choose_slots(600, 13 * 144), choose_slots(86_400, 60)
    (48, 1, 2)
    """
    weekend_days = panes * pane_s / DAY_S * 2 / 7
    if pane_s > DAY_S or weekend_days < days_min - 1e-9:
        return 1
    return 2 if pane_s >= DAY_S else 48


def slot_of(ts: float, slots: int, tz_offset_s: float = 0.0) -> int:
    """The slot of a pane that starts at event time ``ts``; ``tz_offset_s`` is local time - UTC.

    >>> [slot_of(ts, 48) for ts in (0.0, 5 * 3600.0, 2 * 86400.0 + 3600)], slot_of(0.0, 2)
    ([0, 5, 25], 0)
    """
    local = ts + tz_offset_s
    weekend = int((local // DAY_S + _FIRST_WEEKDAY) % 7 >= 5)
    if slots == 48:
        return weekend * 24 + int(local % DAY_S // HOUR_S)
    if slots == 2:
        return weekend
    if slots == 1:
        return 0
    raise ValueError(f"{slots} slots; there are baselines of {SLOTS}")


def day_of(ts: float, tz_offset_s: float = 0.0) -> int:
    """The day of a pane that starts at event time ``ts``, counted from 1970."""
    return int((ts + tz_offset_s) // DAY_S)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Baseline:
    """Counts of one stream's present cells in every slot, shape (slots, K); K = layout.size - 1.

    >>> counts, days = np.array([[9, 1], [8, 2], [1, 9]]), np.array([0, 1, 2])
    >>> baseline, others = Baseline.fit(counts, np.zeros(3, np.int64), days)
    >>> baseline.normal(0).tolist(), others[2].tolist()
    ([0.6, 0.4], [0.85, 0.15])
    """

    counts: IntArray

    @classmethod
    def fit(
        cls, counts: IntArray, slots: IntArray, days: IntArray, *, slot_count: int | None = None
    ) -> tuple["Baseline", FloatArray]:
        """Learn from T burn-in panes; also give what was normal for each of them, shape (T, K).

        ``counts``: present cells only, shape (T, K) (a sketch without its missing cell); ``slots``
        and ``days``: shape (T,), from ``slot_of`` and ``day_of``. ``slot_count``: 48, 2 or 1; else
        the finest that ``slots`` fits in. Panes weigh by their events. The second answer leaves the
        pane's own day out: a later pane is compared with other days as well, and without this a
        short burn-in looks quieter than what follows. A slot without another day falls back to the
        other days of all slots; NaN shares, a gap, if there is nothing at all.
        """
        counts = np.asarray(counts, np.int64)
        slots, days = np.asarray(slots, np.int64), np.asarray(days, np.int64)
        highest = int(slots.max(initial=0))
        size = slot_count or min(n for n in SLOTS if n > highest)
        pooled = np.zeros((size, counts.shape[1]), np.int64)
        np.add.at(pooled, slots, counts)
        every_day, day = np.unique(days, return_inverse=True)
        by_day = np.zeros((len(every_day), counts.shape[1]), np.int64)
        np.add.at(by_day, day, counts)
        _, cell = np.unique(slots * len(every_day) + day, return_inverse=True)
        own = np.zeros((int(cell.max(initial=0)) + 1, counts.shape[1]), np.int64)
        np.add.at(own, cell, counts)
        others = pooled[slots] - own[cell]
        empty = others.sum(axis=1) == 0
        others[empty] = (by_day.sum(axis=0) - by_day)[day[empty]]
        return cls(counts=pooled), _shares(others)

    @property
    def slots(self) -> int:
        """How many slots there are: 48, 2 or 1."""
        return len(self.counts)

    def normal(self, slot: int) -> FloatArray:
        """Normal shares of the present cells in this slot, shape (K,); of all slots together where
        it has none; NaN where nothing was ever present."""
        own = self.counts[slot]
        return _shares(own if own.any() else self.counts.sum(axis=0))

    def events(self, slot: int) -> int:
        """How many events stand behind ``normal``: the ``m`` of a distance."""
        own = int(self.counts[slot].sum())
        return own or int(self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values: each slot's counts as base64 text of their compressed bytes."""
        return {"counts": [b64encode(encode_counts(row)).decode() for row in self.counts]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Baseline":
        """The baseline that ``to_dict`` wrote down."""
        return cls(counts=np.stack([decode_counts(b64decode(row)) for row in values["counts"]]))


def _shares(counts: IntArray) -> FloatArray:
    """Shares over the last axis; NaN where there is nothing."""
    totals = counts.sum(axis=-1, keepdims=True).astype(np.float64)
    return counts / np.where(totals > 0, totals, np.nan)
