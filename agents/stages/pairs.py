"""Quality judges: both versions answered the same requests, whose loss is smaller?"""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from agents.events import PairsJoined
from agents.stages.levels import Levels
from agents.stages.state import DAYS_KEPT_MAX, DayDifference, Judge
from detectors.contract import FloatArray, IntArray
from detectors.sequential import paired
from policies.specs import JudgeSpec

DAY_S = 86_400.0
# A decision needs so many batches of pairs at least, as a drift alarm needs so many panes.
BATCHES_MIN = 3

Loss = Callable[[FloatArray, IntArray], FloatArray]


def _wrong(score: FloatArray, label: IntArray) -> FloatArray:
    return np.asarray((score >= 0.5) != (label == 1), np.float64)


def _squared(score: FloatArray, label: IntArray) -> FloatArray:
    return np.asarray((score - label) ** 2, np.float64)


# Losses in [0, 1] a request, smaller is better. Means of them are what the paired test compares.
LOSSES: Mapping[str, Loss] = {
    "accuracy": _wrong,
    "brier": _squared,
}


def differences(metric: str, event: PairsJoined, *, judged: str) -> FloatArray:
    """Mean loss of ``judged`` minus its opponent's by subject, shape (subjects,).

    Requests of one subject come together (they share weather, or a person), so the subject is the
    unit that counts. Pairs with a score that is not finite are left out.
    """
    champion, challenger = event.champion_score, event.challenger_score
    whole = np.isfinite(champion) & np.isfinite(challenger)
    label, loss = event.label[whole], LOSSES[metric]
    d = loss(challenger[whole], label) - loss(champion[whole], label)
    if judged == event.champion:
        d = -d
    _, unit = np.unique(event.subject[whole], return_inverse=True)
    counts = np.bincount(unit)
    return np.asarray(np.bincount(unit, weights=d) / np.maximum(counts, 1), np.float64)


def with_pairs(
    spec: JudgeSpec, judge: Judge, event: PairsJoined, *, judged: str, step: int, levels: Levels
) -> Judge:
    """The judge after one batch of pairs; ``judged`` is the version that has to prove itself.

    The margin that the policy allows is the boundary of both questions: worse by more is harm,
    worse by less is good enough. A margin of 0 asks for an improvement. One batch may add a third
    of what a decision needs at most: its subjects share the weather of their day, so that a single
    bad day can look like proof.
    """
    d = differences(spec.metric, event, judged=judged)
    if len(d) == 0:
        return judge
    margin = spec.worse_by_at_most or 0.0
    question = paired.PairedSpec(margin_roll_back=margin, margin_promote=margin)
    before = paired.PairedState.from_dict(judge.engine) if judge.engine else paired.PairedState()
    state = paired.step(question, before, d)
    return msgspec.structs.replace(
        judge,
        engine=state.to_dict(),
        harm=_capped(judge.harm, state.log_e_roll_back / levels.harm),
        proof=_capped(judge.proof, state.log_e_promote / levels.proof),
        seen=judge.seen + len(d),
        step=step,
        days=_with_day(judge.days, int(event.start // DAY_S), d),
    )


def day_effect(days: tuple[DayDifference, ...]) -> float | None:
    """By what factor correlated days inflate the variance of the mean difference.

    Variance of the daily means about their mean, over the mean of s²/n within a day.
    """
    usable = [day for day in days if day.clusters >= 2]
    if len(usable) < 3:
        return None
    means = [day.total / day.clusters for day in usable]
    centre = sum(means) / len(means)
    between = sum((mean - centre) ** 2 for mean in means) / (len(means) - 1)
    within = [
        max(0.0, day.squares - day.total**2 / day.clusters) / (day.clusters - 1) / day.clusters
        for day in usable
    ]
    expected = sum(within) / len(within)
    return between / expected if expected > 0 else None


def _capped(before: float, now: float) -> float:
    """Evidence over its threshold, after a batch: it may fall at once and rises by steps."""
    return min(now, max(before, 0.0) + 1 / BATCHES_MIN)


def _with_day(
    days: tuple[DayDifference, ...], day: int, d: FloatArray
) -> tuple[DayDifference, ...]:
    before = next((one for one in days if one.day == day), None)
    clusters, total, squares = len(d), float(d.sum()), float((d**2).sum())
    if before is not None:
        clusters, total = clusters + before.clusters, total + before.total
        squares += before.squares
    merged = DayDifference(day=day, clusters=clusters, total=total, squares=squares)
    others = tuple(one for one in days if one.day != day)
    return tuple(sorted((*others, merged), key=lambda one: one.day))[-DAYS_KEPT_MAX:]
