"""Canary evidence from pairs: both versions answered the same requests, whose loss is smaller?"""

from dataclasses import asdict, dataclass
from math import inf, log, nan, sqrt
from typing import Any

import numpy as np
from scipy.special import log_ndtr

from detectors.contract import FloatArray

# Before this many clusters no variance is known well enough for a decision.
CLUSTERS_MIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedSpec:
    """Two questions about mu = mean of d = challenger's loss - champion's loss, in loss units.

    ``margin_roll_back``: H0 mu ≤ it; evidence against H0 says that the challenger is worse.
    ``margin_promote``: H0 mu ≥ it; evidence against H0 says that it is better than the margin (a
    margin of 0 asks for an improvement). None: not asked. ``target``: the mean difference that the
    bet is tuned to find, ``kappa`` = target / variance of d; ``kappa`` fixes the bet instead (in
    1/loss). A badly tuned bet costs time, never validity. ``largest``: the largest \\|d\\| that the
    loss allows (1 for Brier and for right or wrong).
    """

    margin_roll_back: float | None = 0.0
    margin_promote: float | None = None
    target: float = 0.01
    kappa: float | None = None
    largest: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a target, bet or bound that is not positive (ValueError)."""
        if not all(value > 0 for value in (self.target, self.kappa or 1.0, self.largest)):
            raise ValueError("target, kappa and largest must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedState:
    """Sums so far: over n clusters in some batches.

    ``total`` = Σ d; ``variance`` = V, the variance of ``total``; ``within`` = Σ (d - batch mean)²;
    ``between`` = Σ n_batch (batch mean)²; ``moved``: clusters with d ≠ 0; ``kappa``: the bet, fixed
    once 20 clusters are in. ``log_e_...``: log E now; ``peak_roll_back``: the largest ever.
    """

    n: int = 0
    batches: int = 0
    moved: int = 0
    total: float = 0.0
    variance: float = 0.0
    within: float = 0.0
    between: float = 0.0
    kappa: float = 0.0
    log_e_roll_back: float = 0.0
    log_e_promote: float = 0.0
    peak_roll_back: float = 0.0

    @property
    def mean(self) -> float:
        """Mean difference, challenger - champion; below 0 the challenger is better. NaN at n = 0."""
        return self.total / self.n if self.n else nan

    @property
    def day_effect(self) -> float:
        """Between-batch over within-batch variance of d (ANOVA's F); near 1: batches are alike.

        Large: whole days are better or worse together, so fewer independent clusters stand behind
        the evidence than it counts. For display. NaN without two batches and a spread within.
        """
        free = self.n - self.batches
        if self.batches < 2 or free < 1 or self.within <= 0:
            return nan
        spread = max(0.0, self.between - self.total**2 / self.n)
        return (spread / (self.batches - 1)) / (self.within / free)

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """Where the mean difference lies at 1 - alpha, however often one looks; infinite before 20.

        mean ± sqrt((V + 1/kappa²) ln((1 + kappa² V) / alpha²)) / n: the two-sided normal mixture
        (Robbins 1970; asymptotic, arXiv 2103.06476).
        """
        if self.n < CLUSTERS_MIN or self.kappa <= 0:
            return -inf, inf
        a = 1 + self.kappa**2 * self.variance
        half = sqrt(a * log(a / alpha**2)) / self.kappa / self.n
        return self.mean - half, self.mean + half

    def harmful(self, alpha: float) -> bool:
        """Has E against "not worse" ever reached 1/alpha?"""
        return self.peak_roll_back >= -log(alpha)

    def good(self, alpha: float) -> bool:
        """Is E against "not better than the margin" at least 1/alpha now, at the end of the step?"""
        return self.log_e_promote >= -log(alpha)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PairedState":
        """The state that ``to_dict`` wrote down."""
        return cls(**values)


def step(
    spec: PairedSpec, state: PairedState, d: FloatArray, *, design_effect: float = 1.0
) -> PairedState:
    """Take one batch (a pane) of cluster means ``d``, shape (clusters,), in loss units.

    A cluster is the unit of randomisation: the mean difference of one subject's requests in this
    batch. S = Σ (d - margin), V = Σ over batches of Σ (d - batch mean)² n/(n-1), times
    ``design_effect`` where whole batches vary together; E = 2 (1 + k² V)^-½ exp(k² S² / (2 (1 +
    k² V))) Phi(k S / sqrt(1 + k² V)): the half-normal mixture of one-sided bets of scale k
    (Robbins 1970; asymptotic e-process of Waudby-Smith et al., arXiv 2103.06476). Stratified: a day
    on which both versions do badly cancels. Nothing is decided below 20 clusters; and while fewer
    than 20 differ at all, each that is wanting counts as one largest difference in V, since a
    difference that is rare has not been seen in the variance yet. NaN entries are left out.

    >>> rng, spec, state = np.random.default_rng(1), PairedSpec(margin_promote=0.01), PairedState()
    >>> for _ in range(10):
    ...     state = step(spec, state, rng.normal(0.03, 0.12, 200))
    >>> state.harmful(0.01), state.good(0.05), round(state.mean, 3)
    (True, False, 0.028)
    """
    d = np.asarray(d, np.float64)
    d = d[np.isfinite(d)]
    n = len(d)
    if n == 0:
        return state
    mean = float(d.mean())
    within = float(((d - mean) ** 2).sum())
    # One cluster has no spread of its own: its square stands in, never smaller in expectation.
    spread = within * n / (n - 1) if n > 1 else float(d[0]) ** 2
    sums = PairedState(
        n=state.n + n,
        batches=state.batches + 1,
        moved=state.moved + int((d != 0).sum()),
        total=state.total + float(d.sum()),
        variance=state.variance + spread * max(design_effect, 1.0),
        within=state.within + within,
        between=state.between + n * mean**2,
        kappa=state.kappa,
        peak_roll_back=state.peak_roll_back,
    )
    return _judged(spec, sums) if sums.n >= CLUSTERS_MIN else sums


def _judged(spec: PairedSpec, sums: PairedState) -> PairedState:
    """The same sums with their evidence."""
    v = sums.variance + max(0, CLUSTERS_MIN - sums.moved) * spec.largest**2
    kappa = sums.kappa or spec.kappa or spec.target * sums.n / v
    worse = better = 0.0
    if spec.margin_roll_back is not None:
        worse = _log_e(sums.total - sums.n * spec.margin_roll_back, v, kappa)
    if spec.margin_promote is not None:
        better = _log_e(sums.n * spec.margin_promote - sums.total, v, kappa)
    return PairedState(
        n=sums.n,
        batches=sums.batches,
        moved=sums.moved,
        total=sums.total,
        variance=sums.variance,
        within=sums.within,
        between=sums.between,
        kappa=kappa,
        log_e_roll_back=worse,
        log_e_promote=better,
        peak_roll_back=max(sums.peak_roll_back, worse),
    )


def _log_e(s: float, v: float, kappa: float) -> float:
    a = 1 + kappa**2 * v
    tail = float(log_ndtr(kappa * s / sqrt(a)))
    return log(2) - 0.5 * log(a) + kappa**2 * s**2 / (2 * a) + tail
