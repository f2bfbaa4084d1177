"""What a naive rule would have sent: p < .01 by KS or chi-square, a day and feature, against January."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2, kstwobign

from driftd.demo.flights import CATEGORIES, FEATURES
from driftd.demo.options import DAY_S

P_BELOW = 0.01
VALUES_MIN = 20
# A weekday is never like a month of all weekdays: nobody would test that.
TESTED = tuple(name for name in FEATURES if name != "weekday")


def naive_alerts(reference: pd.DataFrame, received: pd.DataFrame, ts: NDArray[np.float64]) -> int:
    """How many (day, feature) pairs of ``received`` have p < .01; ``ts`` is each row's time."""
    day = (ts // DAY_S).astype(np.int64)
    alerts = 0
    for name in TESTED:
        count = _categories if name in CATEGORIES else _numbers
        alerts += count(reference[name], received[name], day)
    return alerts


def ks_p_value(reference: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """The asymptotic two-sample Kolmogorov-Smirnov p-value; ``reference`` is sorted."""
    n, m = len(reference), len(values)
    points = np.sort(values)
    grid = np.concatenate([reference, points])
    below = np.searchsorted(reference, grid, "right") / n
    distance = np.abs(below - np.searchsorted(points, grid, "right") / m).max()
    return float(kstwobign.sf(distance * np.sqrt(n * m / (n + m))))


def chi_square_p_value(reference: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    """Pearson's test that two rows of counts have the same shares; empty columns are left out."""
    table = np.vstack([reference, counts]).astype(float)
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, table.shape[1] - 1))


def _numbers(reference: pd.Series, received: pd.Series, day: NDArray[np.int64]) -> int:
    past = np.sort(reference.dropna().to_numpy(float))
    values = received.to_numpy(float)
    present = ~np.isnan(values)
    days = _by_day(values[present], day[present])
    return sum(ks_p_value(past, one) < P_BELOW for one in days if len(one) >= VALUES_MIN)


def _categories(reference: pd.Series, received: pd.Series, day: NDArray[np.int64]) -> int:
    codes, names = pd.factorize(pd.concat([reference, received], ignore_index=True))
    past = np.bincount(codes[: len(reference)], minlength=len(names))
    days = _by_day(codes[len(reference) :], day)
    present = (np.bincount(one, minlength=len(names)) for one in days if len(one) >= VALUES_MIN)
    return sum(chi_square_p_value(past, counts) < P_BELOW for counts in present)


def _by_day(values: NDArray[Any], day: NDArray[np.int64]) -> list[NDArray[Any]]:
    order = np.argsort(day, kind="stable")
    cuts = np.flatnonzero(np.diff(day[order])) + 1
    return np.split(values[order], cuts)
