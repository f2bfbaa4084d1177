"""Evidence over time that labels are turned round: the answers are wrong as often as they were right."""

from dataclasses import dataclass
from math import exp, inf, isfinite, log1p, nan

from detectors.quality import QualitySketch

# A model without skill has an AUC of one half. Drift takes a model there, and hardly below.
CHANCE = 0.5
# How far below one half turned labels bring the AUC at least, and at most for the test: a training
# window flatters.
SKILL_MIN, SKILL_MAX = 0.05, 0.15
# Classes whose shares differ from one half by less say nothing when they change places.
ALIKE = 0.05
# The evidence of one step is capped so that no decision needs fewer.
STEPS_MIN = 3
_EXP_MAX = 700.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedState:
    """``log_m``: log of the e-detector (-inf: nothing yet); ``run``: summed log evidence since the
    likeliest onset; ``since``: event time of that onset, None while there is none; ``level``: how far
    the AUC lies below one half, in units of .05 (NaN: not known)."""

    log_m: float = -inf
    run: float = 0.0
    since: float | None = None
    level: float = nan


def step(
    state: TurnedState,
    sketch: QualitySketch,
    skill: float,
    share: float,
    log_threshold: float,
    *,
    at: float,
) -> tuple[TurnedState, bool]:
    """Take labels that begin at event time ``at``; whether labels are turned round.

    ``skill``: the AUC that is usual, less 1/2; ``share``: the usual share of positive labels. H0: AUC ≥ 1/2; H1: AUC = 1/2 - d, d = ``skill`` cut to
    [.05, .15]. With the AUC x of the labels and its standard error s (Hanley, McNeil 1982):
    M = (M + 1) exp(min(((x - 1/2)² - (x - 1/2 + d)²) / 2s², ln A / 3)), alarm at M ≥ A: an e-detector
    of Shiryaev-Roberts form (Shin, Ramdas, Rinaldo 2023), valid as far as x is normal. Turning labels
    turns their shares as well: where the classes are not about equally common and the positive ones
    are as common as ever, a model that is worse than chance has another reason, and the evidence is
    dropped. Nothing can be said of a model without skill, or where one class is missing: a gap.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> truth = (rng.random(400) < 0.3).astype(int)
    >>> scores = np.clip(0.3 + 0.2 * truth + rng.normal(0, 0.2, 400), 0, 1)
    >>> turned = QualitySketch.fold(scores, (scores > 0.5).astype(int), 1 - truth)
    >>> state, steps, fired = TurnedState(), 0, False
    >>> while not fired:
    ...     state, fired = step(state, turned, 0.2, 0.3, 12.0, at=float(steps))
    ...     steps += 1
    >>> steps, state.since
    (3, 0.0)
    """
    error = sketch.auc_error
    if not skill >= SKILL_MIN or not isfinite(error) or error <= 0:
        return TurnedState(log_m=state.log_m, run=state.run, since=state.since), False
    now = sketch.positives / sketch.n
    if abs(share - 0.5) > ALIKE and abs(now - share) < abs(now - (1 - share)):
        return TurnedState(level=0.0), False
    lower = min(skill, SKILL_MAX)
    below = sketch.auc - CHANCE
    gain = (below**2 - (below + lower) ** 2) / (2 * error**2)
    gain = min(gain, log_threshold / STEPS_MIN)
    log_m = gain + (log1p(exp(state.log_m)) if state.log_m < _EXP_MAX else state.log_m)
    run = max(state.run, 0.0) + gain
    since = (at if state.since is None else state.since) if run > 0 else None
    # A hair of rounding must not cost a step where three capped ones are exactly enough.
    fired = log_m >= log_threshold - 1e-9
    after = TurnedState(
        log_m=-inf if fired else log_m, run=run, since=since, level=-below / SKILL_MIN
    )
    return after, fired
