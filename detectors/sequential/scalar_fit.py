"""What a burn-in teaches about each stream: its usual effect, its noise, how long its jumps last."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil, log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from detectors.contract import FloatArray

PANES_MIN = 12
BLOCKS_MIN = 8
PEAKS_MIN = 5
TOP, TOP_MIN = 0.05, 20
# Normal 95 % quantile, beyond which a long burn-in's jumps are looked at.
_NORMAL_START = 1.645
# No effect is that large; what claims to be would only overflow.
_EFFECT_MAX = 1e12
SCALES = (1, 6, 36, 144)
SAFETY = 2.0
_TINY = 1e-12
_LAGS = 7
# Means of so many panes beside single ones.
WIDTHS, PANES_A_WIDTH = (3, 6), 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarFit:
    """What is known about S streams after their burn-in; arrays of shape (S,), unit of the effect.

    ``mean``, ``sigma``: usual effect and long-run noise. ``panes``: how many panes a decision needs
    ("a decision on this stream needs 40 panes"), ``cap`` = log_threshold / panes: the most evidence
    one pane may add, in nats. For people: ``jump``, the worst jump expected in a budget period,
    ``decay``, the share of it that is left after each pane, ``share``, the part of a jump that
    outlives its first pane, ``hill``, the tail index of jumps (normal .21, t3 .41, on that scale for
    burn-ins of any length). A stream that
    had too few values is not ``learned``: its sigma is infinite and it gives no evidence.
    """

    mean: FloatArray
    sigma: FloatArray
    tolerance: FloatArray
    panes: FloatArray
    cap: FloatArray
    jump: FloatArray
    decay: FloatArray
    share: FloatArray
    hill: FloatArray
    log_threshold: float

    @property
    def learned(self) -> NDArray[np.bool_]:
        """Which streams had enough values to be learned, shape (S,)."""
        return np.isfinite(self.sigma)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists of floats."""
        plain = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {**plain, "log_threshold": self.log_threshold}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ScalarFit":
        """The fit that ``to_dict`` wrote down."""
        arrays = {name: np.array(values[name], np.float64) for name in _ARRAYS}
        return cls(**arrays, log_threshold=values["log_threshold"])


_ARRAYS = tuple(item.name for item in fields(ScalarFit) if item.name != "log_threshold")


def fit(
    raw: FloatArray,
    tolerance: float | FloatArray,
    log_threshold: float,
    *,
    largest: float | FloatArray = 1.0,
    panes_min: int = 3,
    safety: float = SAFETY,
    scales: Sequence[int] = SCALES,
    widths: Sequence[int] = WIDTHS,
) -> ScalarFit:
    """Learn S streams from the effects ``raw`` of T burn-in panes, shape (T, S), in time order.

    ``tolerance``: effects up to it above the usual are never evidence, one number or (S,), > 0.
    ``log_threshold`` = ln A: with T panes in a budget period and S streams ln(2 T S), and ln(2 T)
    for the stream of the whole model, so that both together keep one budget. ``largest``: the
    largest value the effect can take (1 for KS and shares; infinite for PSI). ``widths``: peaks are
    looked for in means of so many panes too, as far as the burn-in is long enough. NaN is a gap. Effects
    of the burn-in must be leave-one-day-out (``Baseline.fit``), or the noise is learned too small.
    ValueError below 12 panes, and for a tolerance or threshold that is not positive.

    The method was measured on simulated regimes with up to 50 streams, heavy tails included: .03
    false incidents in 30 days where the fixed cap gave 11; its bound is empirical, not a theorem.

    >>> noise = np.abs(np.random.default_rng(1).normal(0, 0.01, (500, 2)))
    >>> learned = fit(noise, tolerance=0.05, log_threshold=log(2 * 4320 * 2))
    >>> learned.panes.tolist(), learned.sigma.round(3).tolist()
    ([3.0, 3.0], [0.007, 0.009])
    """
    raw = np.asarray(raw, np.float64)
    if raw.ndim != 2 or len(raw) < PANES_MIN:
        raise ValueError(
            f"a fit needs at least {PANES_MIN} panes of effects, shape (panes, streams)"
        )
    tol = np.broadcast_to(np.asarray(tolerance, np.float64), raw.shape[1:]).copy()
    if not ((tol > 0).all() and log_threshold > 0):
        raise ValueError("a tolerance and a threshold must be positive: a point null always alarms")
    learned = np.isfinite(raw).sum(axis=0) >= PANES_MIN
    filled = _filled(raw, learned)
    mean, sigma = _noise(filled, scales)
    hill, jump = _jumps(filled, learned, log_threshold)
    jump = np.minimum(jump, largest)
    decay, share = _fading(filled, mean, widths)
    left = share * jump / tol
    # Slow: such a jump outlasts its first pane above the tolerance. Never calmer than the model's
    # median slow stream: a single stream sees too few large jumps to know its own decay well.
    slow = learned & (share >= 0.3) & (left > 1)
    decay = _pooled(decay, slow)
    stay = np.where(slow, np.log(np.maximum(left, 1)) / -np.log(decay), 0.0)
    # What outlasts the burn-in itself cannot have been learned from it.
    panes = np.maximum(panes_min, np.minimum(np.ceil(1 + safety * stay), len(raw)))
    return ScalarFit(
        mean=mean,
        sigma=np.where(learned, sigma, np.inf),
        tolerance=tol,
        panes=panes,
        cap=log_threshold / panes,
        jump=jump,
        decay=decay,
        share=share,
        hill=hill,
        log_threshold=float(log_threshold),
    )


def _filled(raw: FloatArray, learned: NDArray[np.bool_]) -> FloatArray:
    """Gaps filled by the stream's median, so that they look neither calm nor loud."""
    usable = np.where(np.isfinite(raw), np.clip(raw, -_EFFECT_MAX, _EFFECT_MAX), np.nan)
    usable[:, ~learned] = 0.0
    return np.where(np.isnan(usable), np.nanmedian(usable, axis=0), usable)


def _noise(raw: FloatArray, scales: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Mean and long-run sigma of the winsorised effects, each shape (S,).

    Long-run: the largest s Var(means of s panes) over the scales that have at least 8 blocks; the
    square root of a tail factor on top, since the cap of the engine does the rest.
    """
    median = np.median(raw, axis=0)
    spread = 1.4826 * np.median(np.abs(raw - median), axis=0)
    # Outages of the burn-in are not noise.
    x = np.minimum(raw, median + 6 * np.maximum(spread, _TINY))
    mean = x.mean(axis=0)
    variance = long_run_variance(x, scales)
    high = np.quantile(x, 0.995, axis=0) - mean
    tail = np.maximum(1.0, high / (2.58 * np.maximum(x.std(axis=0), _TINY)))
    return mean, np.sqrt(np.maximum(variance, _TINY) * tail)


def long_run_variance(x: FloatArray, scales: Sequence[int] = SCALES) -> FloatArray:
    """The largest s Var(means of s panes) over the scales that have at least 8 blocks, shape (S,);
    ``x``: (T, S). 0 where no scale has."""
    variance = np.zeros(x.shape[1])
    for scale in scales:
        blocks = len(x) // scale
        if blocks >= BLOCKS_MIN:
            means = x[: blocks * scale].reshape(blocks, scale, -1).mean(axis=1)
            variance = np.maximum(variance, scale * means.var(axis=0, ddof=1))
    return variance


def _jumps(
    x: FloatArray, learned: NDArray[np.bool_], log_threshold: float
) -> tuple[FloatArray, FloatArray]:
    """Hill index of upward jumps, and the worst jump of a budget period, each shape (S,).

    Jumps between means of two panes; the largest .5 % are censored, so that the burn-in's own
    incidents do not set the tail (Hill 1975).
    """
    pairs = (x[1:] + x[:-1]) / 2
    jumps = -np.sort(-(pairs[2:] - pairs[:-2]), axis=0)
    # 5 % of the jumps, but 20 of them; in a short burn-in that reaches into calmer jumps, and what
    # normal noise looks like there is asked instead of what it looks like beyond its 95 % quantile.
    k = max(int(TOP * len(x)), min(TOP_MIN, len(x) // 3))
    k0 = min(ceil(0.005 * len(x)), k - 1)
    usual = np.maximum(jumps[k], 1e-9)
    ratios = np.log(np.maximum(jumps[:k], 1e-9) / usual)
    ratios[:k0] = ratios[k0]
    hill = _pooled(ratios.sum(axis=0) / (k - k0), learned)
    start, index = _NORMAL_START, 1.0
    if k > TOP * len(x):
        start = float(ndtri(1 - k / len(x)))
        index = _normal_hill(start) / _normal_hill(_NORMAL_START)
    hill = hill / index
    # Normal quantile of the budget period over the normal quantile of `usual`.
    growth = sqrt(max(2 * log_threshold - log(4 * pi * log_threshold), 0.0)) / start
    heavy = np.clip(1.5 * (hill - 0.25), 0, 1) * (log_threshold + log(0.05))
    return hill, usual * growth * np.exp(heavy)


def _normal_hill(start: float) -> float:
    """Hill index of standard normal values beyond ``start``: the integral of P(Z > x) / x."""
    x = np.linspace(start, start + 8, 2_000)
    tail = ndtr(-x) / x
    return float((tail[1:] + tail[:-1]).sum() / 2 * (x[1] - x[0]) / ndtr(-start))


def _fading(
    x: FloatArray, mean: FloatArray, widths: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """How high panes fade: share left per pane, and share that outlives its peak, each (S,).

    Looked at in single panes and in means of a few: where panes hold few events the highest single
    ones are sampling noise, which hides that what lies below it stays.
    """
    decay, share = _decay(x, mean)
    for width in widths:
        if len(x) < PANES_A_WIDTH * width:
            continue
        means = np.lib.stride_tricks.sliding_window_view(x, width, axis=0).mean(axis=-1)
        own_decay, own_share = _decay(means, mean, width)
        better = own_share > share
        decay, share = np.where(better, own_decay, decay), np.where(better, own_share, share)
    return decay, share


def _decay(x: FloatArray, mean: FloatArray, width: int = 1) -> tuple[FloatArray, FloatArray]:
    """The same for means ``x`` of ``width`` panes; means that share a pane are not compared."""
    end = width + _LAGS - 1
    before_end = x[:-end]
    # The highest 1 % of panes, but at least five: one peak says little about how peaks fade.
    level = min(0.99, 1 - PEAKS_MIN / len(x))
    high = before_end > np.quantile(x, level, axis=0)
    # They may all lie at the end of the burn-in, where what followed is not known.
    none = ~high.any(axis=0)
    high |= none & (before_end >= np.quantile(before_end, level, axis=0))

    def after(base: FloatArray, lag: int) -> FloatArray:
        later = (x - base)[lag : len(x) - end + lag]
        total: FloatArray = np.where(high, later, 0.0).sum(axis=0)
        return np.maximum(total, 1e-9)

    low = np.quantile(x, 0.1, axis=0)
    # From the first mean behind the peak on: free of the peak's own noise.
    decay = np.clip((after(low, end) / after(low, width)) ** (1 / (_LAGS - 1)), 1e-3, 0.99)
    return decay, np.minimum(after(mean, width) / after(mean, 0) / decay**width, 1.0)


def _pooled(own: FloatArray, among: NDArray[np.bool_]) -> FloatArray:
    """Never below the median of the marked streams."""
    return np.maximum(own, np.median(own[among])) if among.any() else own
