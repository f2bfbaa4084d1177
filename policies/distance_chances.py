"""What sampling alone does to a distance: how often a window of n independent events passes a limit."""

from collections.abc import Callable, Mapping
from math import exp, lgamma, log, sqrt

from scipy import stats

from detectors.distances.ks import FLOOR
from policies.specs import RuleSpec

# A model of usual size: its features and its score, where a rule speaks of every stream.
FEATURES = 20
STREAMS = FEATURES + 1
# Groups of cells that a stream is compared over: numbers, and a category of usual size.
GROUPS = 20
# Total variation of 20 even groups: standard deviation of sqrt(n) times it (simulated .30; its
# upper tail is that of .33).
TV_NOISE = 0.33
# Wasserstein of a normal stream in sd: sqrt(n) times it has mean 1.26 without a change, and its
# upper tail is that of a mean that moved by 1.2 more than the limit (simulated).
WASSERSTEIN_FLOOR = 1.2


def chance_of_distance(rule: RuleSpec, n: int) -> tuple[float, str] | None:
    """The probability that one window of n events fires, and the assumption; None if unknown."""
    law = _LAWS.get(rule.metric)
    if law is None:
        return None
    limit = rule.amount.value / 100 if rule.amount.unit == "%" else rule.amount.value
    one = min(max(law(limit, n), 0.0), 1.0)
    if rule.of:
        return one, "by sampling alone"
    return 1 - (1 - one) ** STREAMS, f"by sampling alone on one of {STREAMS} streams"


def _chi_square(limit: float, n: int) -> float:
    # n times the effect is about chi-square; its mean, the floor, was removed.
    return float(stats.chi2.sf(GROUPS - 1 + n * limit, GROUPS - 1))


def _jensen_shannon(limit: float, n: int) -> float:
    freedom = GROUPS - 1
    mean_chi = sqrt(2) * exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2))
    return float(stats.chi2.sf((limit * sqrt(8 * log(2) * n) + mean_chi) ** 2, freedom))


_LAWS: Mapping[str, Callable[[float, int], float]] = {
    "chi_square": _chi_square,
    "jensen_shannon": _jensen_shannon,
    "ks": lambda limit, n: float(stats.kstwobign.sf(limit * sqrt(n) + FLOOR)),
    # That is what a p-value is.
    "ks_p": lambda limit, n: limit,  # noqa: ARG005 - at any number of events
    # PSI of small changes is chi-square an event.
    "psi": _chi_square,
    "total_variation": lambda limit, n: float(stats.norm.sf(limit * sqrt(n) / TV_NOISE)),
    "wasserstein": lambda limit, n: float(2 * stats.norm.sf(limit * sqrt(n) + WASSERSTEIN_FLOOR)),
}
