"""How much evidence is enough: the policy's alphas as thresholds of log e-values."""

from dataclasses import dataclass
from math import log

from policies.specs import CanarySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Log e-values from which a judge finds harm, and from which it has proof."""

    harm: float
    proof: float

    @classmethod
    def of(cls, canary: CanarySpec, judges: int) -> "Levels":
        """One judge alone may take a version back, so they share ``alpha_roll_back``. A promotion
        needs every judge, which is at most as likely as any one of them being wrong: each may use
        the whole ``alpha_promote`` (intersection-union test, Berger 1982)."""
        return cls(
            harm=log(max(judges, 1) / canary.alpha_roll_back),
            proof=log(1.0 / canary.alpha_promote),
        )
