"""The judges of a rollout: what counts as harm, what as proof, and what as neither."""

from dataclasses import replace
from math import log

import numpy as np
import pytest

from agents.events import LATENCY, Arm, ArmCounts, ArmsObserved, PairsJoined
from agents.stages import evidence
from agents.stages.levels import Levels
from agents.stages.pairs import LOSSES, day_effect, differences
from agents.stages.state import Judge
from detectors.sketches.positive import PositiveLayout
from policies.metrics import METRICS
from policies.specs import CanarySpec, JudgeSpec, StepSpec
from tests.support.story import BRIER, CANARY, DAY, ERROR_RATE, LATENCY_P99

LAYOUT = PositiveLayout()
CHAMPION, CHALLENGER = Arm("1", "champion"), Arm("3", "challenger")
Judges = tuple[Judge, ...]


def canary(*judges: JudgeSpec) -> CanarySpec:
    return replace(CANARY, judge=judges)


def increment(
    champion: ArmCounts, challenger: ArmCounts, variant: Arm = CHALLENGER
) -> ArmsObserved:
    return ArmsObserved(at=0.0, arms={CHAMPION: champion, variant: challenger})


def answered(n: int, errors: int = 0, *, slower: float = 1.0, seed: int = 0) -> ArmCounts:
    latencies = np.random.default_rng(seed).lognormal(2.0, 0.5, n) * slower
    return ArmCounts(n=n, errors=errors, counts={LATENCY: LAYOUT.fold(latencies)})


def judged(judges: Judges, spec: CanarySpec, *events: ArmsObserved, step: int = 0) -> Judges:
    for event in events:
        judges = evidence.judge_answers(spec, judges, event, judged="3", opponent="1", step=step)
    return judges


def pairs(
    gain: float, *, subjects: int = 50, each: int = 1, day: int = 0, seed: int = 0
) -> PairsJoined:
    """Champion at 0.5; a challenger that is nearer to the label by ``gain``."""
    rng = np.random.default_rng([seed, day])
    n = subjects * each
    label = (rng.random(n) < 0.5).astype(np.int64)
    near = gain + np.repeat(rng.normal(0.0, 0.1, subjects), each)
    return PairsJoined(
        start=day * DAY,
        end=(day + 1) * DAY,
        champion="1",
        challenger="3",
        subject=np.repeat(np.arange(subjects), each).astype(np.int64),
        champion_score=np.full(n, 0.5),
        challenger_score=np.clip(0.5 + np.where(label == 1, near, -near), 0, 1),
        label=label,
    )


def after_pairs(spec: CanarySpec, gain: float, days: int, **how: int) -> Judges:
    judges = evidence.open_judges(spec)
    for day in range(days):
        event = pairs(gain, day=day, **how)
        judges = evidence.judge_pairs(spec, judges, event, judged="3", step=0)
    return judges


@pytest.mark.parametrize(
    ("gain", "harm", "proof"),
    [(0.1, False, True), (-0.1, True, False), (0.01, False, False)],
    ids=["better", "worse", "alike"],
)
def test_pairs_show_who_is_better(gain: float, harm: bool, proof: bool) -> None:
    judges = after_pairs(canary(BRIER), gain, 14)

    assert (evidence.harmful(judges) is not None) is harm
    assert evidence.proven(judges) is proof


def test_a_margin_that_the_policy_allows_is_no_harm() -> None:
    allowed = replace(BRIER, worse_by_at_most=0.2)

    judges = after_pairs(canary(allowed), -0.1, 14)

    assert evidence.harmful(judges) is None
    assert evidence.proven(judges)


def test_a_subject_counts_once_however_many_requests_it_sends() -> None:
    single = after_pairs(canary(BRIER), 0.03, 5)[0]
    flooded = after_pairs(canary(BRIER), 0.03, 5, each=30)[0]

    assert flooded.seen == single.seen == 250
    assert flooded.proof == pytest.approx(single.proof, rel=0.3)


def test_accuracy_counts_wrong_answers() -> None:
    event = replace(
        pairs(0.0, subjects=2),
        champion_score=np.array([0.9, 0.9]),
        challenger_score=np.array([0.1, 0.6]),
        label=np.array([1, 1]),
    )

    assert differences("accuracy", event, judged="3").tolist() == [1.0, 0.0]
    assert differences("accuracy", event, judged="1").tolist() == [-1.0, 0.0]


def test_scores_that_are_no_numbers_are_no_pairs() -> None:
    event = replace(pairs(0.1, subjects=3), challenger_score=np.array([np.nan, np.inf, 0.6]))

    assert len(differences("brier", event, judged="3")) == 1


def test_a_challenger_that_fails_more_often_is_found() -> None:
    spec = canary(ERROR_RATE)
    flush = increment(answered(900, 9), answered(100, 6))

    judges = judged(evidence.open_judges(spec), spec, *[flush] * 20)

    found = evidence.harmful(judges)
    assert found is not None
    assert found.name == "error_rate"


def test_an_incident_that_hits_both_arms_is_not_the_challengers() -> None:
    spec = canary(ERROR_RATE)
    calm = increment(answered(900, 9), answered(100, 1))
    storm = increment(answered(900, 450), answered(100, 50))

    judges = judged(evidence.open_judges(spec), spec, *([calm] * 10 + [storm] * 5) * 3)

    assert evidence.harmful(judges) is None


def test_a_ramp_with_a_rising_error_rate_is_not_the_challengers() -> None:
    # Pooled over both steps the challenger has 4.6 % errors, the champion 1.9 %: Simpson's trap.
    spec = canary(ERROR_RATE)
    first = increment(answered(9_500, 95), answered(500, 5))
    then = increment(answered(5_000, 250), answered(5_000, 250))

    judges = judged(evidence.open_judges(spec), spec, *[first] * 5, *[then] * 5)

    assert evidence.harmful(judges) is None


def test_hardly_any_error_is_proof_enough() -> None:
    spec = canary(ERROR_RATE)
    flush = increment(answered(900), answered(100))

    some = judged(evidence.open_judges(spec), spec, *[flush] * 20)
    many = judged(some, spec, *[flush] * 50)

    assert not evidence.proven(some), "2,000 answers without an error could hide 0.1 %"
    assert evidence.proven(many)


def test_a_rate_of_one_in_a_thousand_is_not_called_harmless() -> None:
    spec = canary(ERROR_RATE)
    flush = increment(answered(900, 0), answered(1_000, 1))

    judges = judged(evidence.open_judges(spec), spec, *[flush] * 50)

    assert not evidence.proven(judges)


def test_an_answer_in_shadow_counts_for_errors_and_not_for_latency() -> None:
    spec = canary(ERROR_RATE, LATENCY_P99)
    shadow = Arm("3", "shadow")
    flush = increment(answered(1_000), answered(1_000, slower=9.0), shadow)

    judges = judged(evidence.open_judges(spec), spec, *[flush] * 9)

    assert [judge.seen for judge in judges] == [9_000, 0]


@pytest.mark.parametrize(("slower", "harm"), [(1.0, False), (1.5, True)])
def test_a_slower_challenger_is_found_at_the_champions_own_quantile(
    slower: float, harm: bool
) -> None:
    spec = canary(LATENCY_P99)
    judges = evidence.open_judges(spec)
    for seed in range(40):
        slow = answered(500, slower=slower, seed=seed + 500)
        judges = judged(judges, spec, increment(answered(500, seed=seed), slow))

    assert (evidence.harmful(judges) is not None) is harm
    above = LAYOUT.fold(np.random.default_rng(9).lognormal(2.0, 0.5, 20_000))[judges[0].cell + 1 :]
    assert above.sum() / 20_000 == pytest.approx(0.01, abs=0.005)


def test_what_chose_the_latency_threshold_is_no_evidence() -> None:
    spec = canary(LATENCY_P99)

    first = judged(evidence.open_judges(spec), spec, increment(answered(2_100), answered(100)))

    assert first[0].cell > 0
    assert (first[0].seen, first[0].reference) == (0, ())


def test_one_arm_alone_says_nothing() -> None:
    spec = canary(ERROR_RATE)
    alone = ArmsObserved(at=0.0, arms={CHALLENGER: answered(1_000, 900)})

    judges = judged(evidence.open_judges(spec), spec, alone)

    assert judges == evidence.open_judges(spec)


def test_all_judges_have_to_be_convinced() -> None:
    spec = canary(BRIER, ERROR_RATE)
    judges = evidence.open_judges(spec)
    for day in range(14):
        judges = evidence.judge_pairs(spec, judges, pairs(0.1, day=day), judged="3", step=0)

    assert judges[0].proof >= 1.0
    assert not evidence.proven(judges)
    assert not evidence.proven(())


def test_judges_share_the_alpha_of_harm_and_not_that_of_proof() -> None:
    one, five = Levels.of(CANARY, 1), Levels.of(CANARY, 5)

    assert five.harm - one.harm == pytest.approx(log(5))
    assert five.proof == one.proof == pytest.approx(log(1 / CANARY.alpha_promote))


def test_a_step_waits_only_for_judges_that_can_see_something_in_it() -> None:
    judges = tuple(
        Judge(name=spec.name, metric=spec.metric, step=step)
        for spec, step in ((BRIER, 0), (ERROR_RATE, 0), (LATENCY_P99, -1))
    )

    assert evidence.all_saw(judges, 0, StepSpec(weight=0.0, shadow=1.0))
    assert not evidence.all_saw(judges, 0, StepSpec(weight=0.1, shadow=1.0))
    assert not evidence.all_saw(judges, 1, StepSpec(weight=0.0, shadow=1.0))


def test_a_judge_that_the_policy_adds_during_a_rollout_starts_with_nothing() -> None:
    judges = after_pairs(canary(BRIER), 0.1, 14)
    both = canary(ERROR_RATE, BRIER)

    after = evidence.judge_pairs(both, judges, pairs(0.1, day=15), judged="3", step=0)

    assert [judge.name for judge in after] == ["error_rate", "brier"]
    assert not evidence.proven(after)


def test_a_metric_that_nobody_can_judge_is_an_error() -> None:
    with pytest.raises(ValueError, match="auc"):
        evidence.judge_specs(canary(JudgeSpec(name="auc", metric="auc")))


def test_the_digest_names_this_evidence_and_no_other() -> None:
    some, more = after_pairs(canary(BRIER), 0.1, 3), after_pairs(canary(BRIER), 0.1, 4)

    assert evidence.digest(some) == evidence.digest(after_pairs(canary(BRIER), 0.1, 3))
    assert evidence.digest(some) != evidence.digest(more)


def test_days_that_move_together_are_shown_as_such() -> None:
    alike = after_pairs(canary(BRIER), 0.02, 30)[0].days
    judges = evidence.open_judges(canary(BRIER))
    for day in range(30):
        good = pairs(0.2 if day % 2 else -0.2, day=day)
        judges = evidence.judge_pairs(canary(BRIER), judges, good, judged="3", step=0)

    assert day_effect(alike) == pytest.approx(1.0, abs=0.7)
    assert (day_effect(judges[0].days) or 0.0) > 5.0
    assert day_effect(alike[:2]) is None


@pytest.mark.parametrize("name", [m.name for m in METRICS.values() if m.paired_loss or m.ratio])
def test_every_metric_that_a_policy_may_judge_by_has_a_judge(name: str) -> None:
    paired = METRICS[name].paired_loss
    spec = JudgeSpec(name=name, metric=name, worse_by_at_most=0.0 if paired else None)

    assert evidence.judge_specs(canary(spec)) == (spec,)
    assert (name in LOSSES) is paired
