"""Evidence over time for any effect a pane: does it lie above its tolerance for longer than usual?"""

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import FloatArray
from detectors.sequential.scalar_fit import ScalarFit, fit

__all__ = ["BETS", "ScalarFit", "ScalarState", "expected_delay", "fit", "step"]

BoolArray = NDArray[np.bool_]

# Bets on how many sigma above the tolerance the effect lies; their mean needs no tuning.
BETS = np.array([0.25, 0.5, 1.0, 2.0])
# A transient is judged as if every stream's jumps were over after three panes.
FAST_PANES = 3
# One calm pane may take away much evidence, but not so much that a float underflows.
_CALM = -50.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarState:
    """The evidence of S streams after some panes; a value of S x 10 floats.

    ``log_m``, ``fast_log_m``: shape (S, 4), log of the e-detector of each bet (-inf before the
    first pane and after an alarm), for the drift tier and the fast tier. ``run``: shape (S,), the
    summed log evidence since the most likely onset (CUSUM, Page 1954). ``since``: shape (S,), event
    time of that onset, the first pane of the present run of evidence; NaN while there is none.
    """

    log_m: FloatArray
    fast_log_m: FloatArray
    run: FloatArray
    since: FloatArray

    @classmethod
    def start(cls, streams: int) -> "ScalarState":
        """No evidence about any stream."""
        nothing = np.full((streams, len(BETS)), -np.inf)
        return cls(
            log_m=nothing,
            fast_log_m=nothing.copy(),
            run=np.zeros(streams),
            since=np.full(streams, np.nan),
        )

    def forget(self, streams: BoolArray) -> "ScalarState":
        """The same without the evidence of the marked streams, shape (S,)."""
        return ScalarState(
            log_m=np.where(streams[:, None], -np.inf, self.log_m),
            fast_log_m=np.where(streams[:, None], -np.inf, self.fast_log_m),
            run=np.where(streams, 0.0, self.run),
            since=np.where(streams, np.nan, self.since),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists of floats; -inf and NaN stay floats."""
        return {
            "log_m": self.log_m.tolist(),
            "fast_log_m": self.fast_log_m.tolist(),
            "run": self.run.tolist(),
            "since": self.since.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ScalarState":
        """The state that ``to_dict`` wrote down."""
        bets = (-1, len(BETS))
        return cls(
            log_m=np.array(values["log_m"], np.float64).reshape(bets),
            fast_log_m=np.array(values["fast_log_m"], np.float64).reshape(bets),
            run=np.array(values["run"], np.float64),
            since=np.array(values["since"], np.float64),
        )


def step(
    fit: ScalarFit, state: ScalarState, x: FloatArray, *, at: float
) -> tuple[ScalarState, BoolArray, FloatArray, BoolArray]:
    """Take one pane's effects ``x``, shape (S,), of the pane that starts at event time ``at``.

    Gives the next state, alarms (S,), evidence (S,) = log mean M / log A from 0 up, 1 = alarm, and
    the fast tier's alarms (S,): shifts that are real and may not last (*transients*), which never
    page. What is not finite is a gap: that stream's evidence stands still.

    z = (x - mean - tolerance) / sigma; M_l = (M_l + 1) exp(min(l z - l²/2, ln A / panes)) for each
    bet l; alarm when mean_l M_l ≥ A, then M = 0: an e-detector of Shiryaev-Roberts form (Shin,
    Ramdas, Rinaldo 2023, arXiv 2203.03532), with the evidence of one pane capped as
    ``scalar_fit`` learned it.

    >>> noise = np.abs(np.random.default_rng(1).normal(0, 0.01, (500, 1)))
    >>> learned = fit(noise, tolerance=0.05, log_threshold=log(2 * 4320))
    >>> state, panes, alarms = ScalarState.start(1), 0, np.array([False])
    >>> while not alarms[0]:
    ...     state, alarms, _, _ = step(learned, state, np.array([0.2]), at=600.0 * panes)
    ...     panes += 1
    >>> panes, state.since.tolist()
    (3, [0.0])
    """
    x = np.asarray(x, np.float64)
    gap = ~np.isfinite(x)
    z = (np.where(gap, fit.mean, x) - fit.mean - fit.tolerance) / fit.sigma
    gain = BETS * z[:, None] - 0.5 * BETS**2
    slow = np.clip(gain, _CALM, fit.cap[:, None])
    fast = np.clip(gain, _CALM, fit.log_threshold / FAST_PANES)
    log_m, alarms, evidence = _accumulate(state.log_m, slow, gap, fit.log_threshold)
    fast_log_m, fast_alarms, _ = _accumulate(state.fast_log_m, fast, gap, fit.log_threshold)

    run = np.where(gap, state.run, np.maximum(state.run, 0.0) + _log_mean(slow))
    begins = (run > 0) & np.isnan(state.since)
    since = np.where(begins, at, np.where(run > 0, state.since, np.nan))
    # An alarm always has an onset, even where its last pane ended the run.
    since = np.where(alarms & np.isnan(since), np.fmin(state.since, at), since)
    after = ScalarState(log_m=log_m, fast_log_m=fast_log_m, run=run, since=since)
    return after, alarms, evidence, fast_alarms


def expected_delay(fit: ScalarFit, effect: float | FloatArray) -> FloatArray:
    """Panes until a lasting ``effect`` is found, shape (S,); infinite below mean + tolerance.

    About (ln A + ln 4) / min(g, cap), g = max over bets of l mu - l²/2 at mu = the effect in sigmas
    above the tolerance: what to print after the burn-in.
    """
    mu = (effect - fit.mean - fit.tolerance) / fit.sigma
    top = BETS[-1]
    with np.errstate(over="ignore"):
        growth = np.where(mu <= top, mu**2 / 2, top * mu - top**2 / 2)
    panes = (fit.log_threshold + log(len(BETS))) / np.minimum(np.maximum(growth, 1e-9), fit.cap)
    return np.where((mu > 0) & fit.learned, np.ceil(panes), np.inf)


def _accumulate(
    log_m: FloatArray, gain: FloatArray, gap: BoolArray, log_threshold: float
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """M = (M + 1) e in logs; what alarms starts again."""
    grown = np.where(gap[:, None], log_m, np.logaddexp(log_m, 0.0) + gain)
    total = _log_mean(grown)
    alarms = (total >= log_threshold) & ~gap
    evidence = np.clip(total / log_threshold, 0.0, None)
    return np.where(alarms[:, None], -np.inf, grown), alarms, evidence


def _log_mean(logs: FloatArray) -> FloatArray:
    """log of the mean of exp over the last axis; -inf where all are."""
    top = logs.max(axis=-1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean: FloatArray = np.log(np.exp(logs - safe[..., None]).mean(axis=-1))
    return safe + mean
