"""Operational judges: given that an answer went wrong or was slow, whose was it?"""

from collections import Counter
from math import exp, log

import msgspec
import numpy as np

from agents.events import LATENCY, ArmsObserved
from agents.stages.levels import Levels
from agents.stages.state import BATCHES_KEPT_MAX, Judge
from detectors.sequential import event_split
from policies.specs import JudgeSpec

ERRORS = "error_rate"
LATENCIES = "latency_p"
# Before so many answers, and so many above it, a quantile is not known well enough.
REFERENCE_ANSWERS_MIN, REFERENCE_TAIL_MIN = 200, 20
# With hardly an error in either arm no ratio can be proven. A rate that is proven to be below this
# is harmless whatever the ratio: 3,700 answers without an error are enough at 5 %.
HARMLESS_ERROR_RATE = 0.001
_HARMLESS_ALTERNATIVES = tuple(HARMLESS_ERROR_RATE / part for part in (3.0, 10.0, 100.0))

Counts = tuple[int, int]
"""(bad answers, answers)."""


def with_answers(
    spec: JudgeSpec,
    judge: Judge,
    event: ArmsObserved,
    *,
    judged: str,
    opponent: str,
    step: int,
    levels: Levels,
) -> Judge:
    """The judge after one increment, both arms from the same flush.

    Stratified: each increment is judged by its own share of answers, so that ramps, cycles and
    incidents that hit both arms cancel.
    """
    if spec.metric == ERRORS:
        mine, theirs = _errors(event, judged), _errors(event, opponent)
    else:
        judge, learnt = _with_reference(spec, judge, event, opponent)
        if not learnt:
            return judge
        mine = _slow(event, judged, judge.cell)
        theirs = _slow(event, opponent, judge.cell)
    if mine[1] == 0 or theirs[1] == 0:
        return judge
    return _judged(spec, judge, mine, theirs, step=step, levels=levels)


def quantile_of(metric: str) -> float:
    """The quantile that a latency metric names.

    >>> quantile_of("latency_p99"), quantile_of("latency_p50")
    (0.99, 0.5)
    """
    digits = metric.removeprefix(LATENCIES)
    if not metric.startswith(LATENCIES) or not digits.isdigit() or not 0 < int(digits[:2]) < 100:
        raise ValueError(f"{metric} is no latency quantile such as latency_p99")
    return int(digits) / 10.0 ** len(digits)


def _judged(
    spec: JudgeSpec, judge: Judge, mine: Counts, theirs: Counts, *, step: int, levels: Levels
) -> Judge:
    question = event_split.EventSplitSpec(
        roll_back_above=spec.roll_back_above, promote_below=spec.promote_below
    )
    before = event_split.EventSplitState()
    if judge.engine:
        before = event_split.EventSplitState.from_dict(judge.engine)
    batches = (*judge.batches, theirs)[-BATCHES_KEPT_MAX:]
    bad, answers = np.array(batches, np.int64).T
    state = event_split.step(
        question,
        before,
        challenger_events=mine[0],
        challenger_n=mine[1],
        champion_events=theirs[0],
        champion_n=theirs[1],
        # Errors come in bursts: one broken caller is one event, however often it calls.
        design_effect=event_split.design_effect(bad, answers),
    )
    return msgspec.structs.replace(
        judge,
        engine=state.to_dict(),
        harm=state.peak_roll_back / levels.harm,
        proof=_proof(spec, state, levels),
        seen=judge.seen + mine[1],
        step=step,
        batches=batches,
    )


def _proof(spec: JudgeSpec, state: event_split.EventSplitState, levels: Levels) -> float:
    if spec.promote_below is None:
        return 1.0  # the policy asks this judge about harm only
    if spec.metric != ERRORS:
        return state.log_e_promote / levels.proof
    # Two ways to pass share the alpha.
    harmless = _log_e_harmless(state.challenger_events, state.challenger_n)
    return max(state.log_e_promote, harmless) / (levels.proof + log(2.0))


def _log_e_harmless(bad: int, answers: int) -> float:
    """log E against "the rate of errors is at least 0.1 %": a mean of likelihood ratios, each a
    martingale at the boundary and smaller above it (Ville 1939)."""
    p0 = HARMLESS_ERROR_RATE
    logs = [
        bad * log(p / p0) + (answers - bad) * log((1 - p) / (1 - p0))
        for p in _HARMLESS_ALTERNATIVES
    ]
    top = max(logs)
    return top + log(sum(exp(one - top) for one in logs) / len(logs))


def _errors(event: ArmsObserved, version: str) -> Counts:
    # An answer counts for its version, live or in shadow: an error is an error.
    arms = [counts for arm, counts in event.arms.items() if arm.version == version]
    return sum(arm.errors for arm in arms), sum(arm.n for arm in arms)


def _latencies(event: ArmsObserved, version: str) -> Counter[int]:
    # Live answers only: shadows are answered in the background, where they wait.
    cells: Counter[int] = Counter()
    for arm, counts in event.arms.items():
        if arm.version == version and arm.variant != "shadow" and LATENCY in counts.counts:
            present = counts.counts[LATENCY][:-1]  # the last cell counts missing values
            for cell in np.flatnonzero(present):
                cells[int(cell)] += int(present[cell])
    return cells


def _slow(event: ArmsObserved, version: str, cell: int) -> Counts:
    cells = _latencies(event, version)
    return sum(n for at, n in cells.items() if at > cell), sum(cells.values())


def _with_reference(
    spec: JudgeSpec, judge: Judge, event: ArmsObserved, opponent: str
) -> tuple[Judge, bool]:
    """The judge, and whether its threshold was frozen before this increment.

    What chose the threshold is not used as evidence: it would make the opponent look better.
    """
    if judge.cell >= 0:
        return judge, True
    cells = Counter(dict(judge.reference)) + _latencies(event, opponent)
    judge = msgspec.structs.replace(judge, reference=tuple(sorted(cells.items())))
    quantile, answers = quantile_of(spec.metric), cells.total()
    if answers < REFERENCE_ANSWERS_MIN or answers * (1.0 - quantile) < REFERENCE_TAIL_MIN:
        return judge, False
    wanted, below = quantile * answers, 0
    for cell, n in sorted(cells.items()):
        below += n
        if below >= wanted:
            return msgspec.structs.replace(judge, cell=cell, reference=()), False
    raise AssertionError("a quantile below 1 lies within the counts")
