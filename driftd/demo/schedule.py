"""What is sent when: the calls of each hour, the labels as they arrive, and the feed's fault."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from driftd.demo.flights import FEATURES, LATE, ON_TIME
from driftd.demo.options import DAY_S

UTC_SHIFT_MIN = 240
DAY_MIN = 1_440


@dataclass(frozen=True, slots=True)
class Call:
    """One request: all flights of one airport and hour. ``rows`` are positions in the table."""

    rows: range
    body: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """A label that becomes known at ``ts``."""

    ts: float
    id: str
    label: str


class Schedule:
    """The stream's flights, those asked about in [since, until), in the order of time.

    ``scores`` and ``versions`` take the answers that went out, by row; NaN and "" where none did.
    """

    def __init__(self, flights: pd.DataFrame, since: float, until: float, seed: int) -> None:
        inside = (flights["hour_ts"] >= since) & (flights["hour_ts"] < until)
        table = flights[inside].reset_index(drop=True)
        self.table = table
        self.hour_ts = table["hour_ts"].to_numpy()
        self.scores = np.full(len(table), np.nan)
        self.versions = np.full(len(table), "", dtype=object)
        self.fault: tuple[float, float] | None = None
        self._ids: list[str] = table["id"].to_list()
        # Who sticks to which version is drawn from the subject alone: another seed, another draw.
        suffix = f"#{seed}" if seed else ""
        self._subjects = [f"{subject}{suffix}" for subject in table["subject"]]
        known = table[table["late"].notna()].sort_values(["label_ts", "id"])
        self._label_ts = known["label_ts"].to_numpy()
        self._label_ids = known["id"].to_list()
        self._labels = [LATE if late else ON_TIME for late in known["late"]]
        self.last_label_ts = float(self._label_ts[-1]) if len(known) else since

    def calls(self, start: float, end: float) -> list[Call]:
        """One call an airport and hour in [start, end), in order of time."""
        first, last = (int(i) for i in np.searchsorted(self.hour_ts, [start, end]))
        instances = self._instances(first, last)
        calls = []
        for rows in _runs(self._subjects, first, last):
            body = {
                "instances": instances[rows.start - first : rows.stop - first],
                "ids": self._ids[rows.start : rows.stop],
                "subject": self._subjects[rows.start],
                "ts": float(self.hour_ts[rows.start]),
            }
            calls.append(Call(rows, msgspec.json.encode(body)))
        return calls

    def arrivals(self, start: float, end: float) -> list[Arrival]:
        """The labels that become known in [start, end), in order of time."""
        first, last = (int(i) for i in np.searchsorted(self._label_ts, [start, end]))
        return [
            Arrival(float(self._label_ts[i]), self._label_ids[i], self._labels[i])
            for i in range(first, last)
        ]

    def set_fault(self, since: float, until: float) -> None:
        """From now on the feed's clock is in UTC for flights in [since, until)."""
        self.fault = (since, until)

    def as_received(self) -> pd.DataFrame:
        """The features as they were sent, the fault included; one row a flight."""
        received = self.table[list(FEATURES)].copy()
        faulty = self._faulty(0, len(self.table))
        minutes = received["minute_of_day"].to_numpy(copy=True)
        minutes[faulty] = (minutes[faulty] + UTC_SHIFT_MIN) % DAY_MIN
        received["minute_of_day"] = minutes
        return received

    def largest_window(self, days: int) -> int:
        """The most predictions and labels that any ``days`` in a row hold."""
        times = np.sort(np.concatenate([self.hour_ts, self._label_ts]))
        ends = np.searchsorted(times, times + days * DAY_S)
        return int((ends - np.arange(len(times))).max()) if len(times) else 0

    def _instances(self, first: int, last: int) -> list[dict[str, float | str]]:
        columns = {name: self.table[name].iloc[first:last] for name in FEATURES}
        faulty = self._faulty(first, last)
        if faulty.any():
            minutes = columns["minute_of_day"]
            columns["minute_of_day"] = minutes.where(~faulty, (minutes + UTC_SHIFT_MIN) % DAY_MIN)
        lists = [columns[name].to_list() for name in FEATURES]
        return [dict(zip(FEATURES, values, strict=True)) for values in zip(*lists, strict=True)]

    def _faulty(self, first: int, last: int) -> NDArray[np.bool_]:
        hours = self.hour_ts[first:last]
        if self.fault is None:
            return np.zeros(len(hours), np.bool_)
        return (hours >= self.fault[0]) & (hours < self.fault[1])


def _runs(names: list[str], first: int, last: int) -> Iterator[range]:
    """The stretches of equal names in [first, last)."""
    start = first
    for i in range(first + 1, last + 1):
        if i == last or names[i] != names[start]:
            yield range(start, i)
            start = i
