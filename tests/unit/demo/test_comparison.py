"""The demo's figures are right: checked against other libraries and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency, ks_2samp
from sklearn.metrics import brier_score_loss, roc_auc_score

from driftd.demo.flights import CATEGORIES, FEATURES
from driftd.demo.frozen import auc, brier
from driftd.demo.naive import chi_square_p_value, ks_p_value, naive_alerts
from driftd.demo.options import DAY_S

RNG = np.random.default_rng(7)


def test_brier_and_auc_are_those_of_scikit_learn() -> None:
    label = np.where(RNG.random(500) < 0.3, 1.0, 0.0)
    score = np.asarray(np.round(0.3 * label + RNG.random(500) * 0.7, 2), np.float64)

    assert brier(score, label) == pytest.approx(brier_score_loss(label, score))
    assert auc(score, label) == pytest.approx(roc_auc_score(label, score))


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1])
def test_the_ks_p_value_is_that_of_scipy(shift: float) -> None:
    past, now = np.round(RNG.normal(size=2_000), 1), np.round(RNG.normal(shift, size=300), 1)
    # SciPy's asymptotic form uses the exact one-sample law; they agree to a few percent.
    expected = ks_2samp(past, now, method="asymp").pvalue

    assert ks_p_value(np.sort(past), now) == pytest.approx(expected, rel=0.15)


def test_the_chi_square_p_value_is_that_of_scipy() -> None:
    past, now = np.array([500, 300, 200, 0]), np.array([60, 20, 25, 0])
    expected = chi2_contingency(np.vstack([past, now])[:, :3], correction=False).pvalue

    assert chi_square_p_value(past, now) == pytest.approx(expected)


def _table(n: int, temp: float = 0.0) -> pd.DataFrame:
    numbers = {name: RNG.normal(size=n) for name in FEATURES if name not in CATEGORIES}
    texts = {name: RNG.choice(["a", "b", "c"], n) for name in CATEGORIES}
    table = pd.DataFrame({**numbers, **texts})
    table["temp"] += temp
    return table


def test_a_shift_is_an_alert_each_day_and_no_shift_hardly_ever() -> None:
    january = _table(3_000)
    ts = np.repeat(np.arange(20.0), 300) * DAY_S

    assert naive_alerts(january, _table(6_000), ts) <= 10
    assert naive_alerts(january, _table(6_000, temp=1.0), ts) >= 20
