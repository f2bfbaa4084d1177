"""How long a canary takes: its steps, and what each of its judges needs to see."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log

from policies.metrics import METRICS
from policies.specs import CanarySpec, JudgeSpec, LabelSpec, StepSpec
from policies.traffic import Traffic
from policies.units import DAY_S, number_text, share_text

# The difference that a new version is expected to bring where a margin of 0 asks for one: of a
# Brier score, or of a share of right answers.
IMPROVEMENT = 0.01
# Standard deviation of one pair's difference in squared error, measured on real challengers, and of
# one answer's squared error where arms are not paired.
PAIR_SD, ANSWER_SD = 0.12, 0.20
# Mixing over effects costs about half as much evidence again as knowing the effect.
MIXTURE_COST = 1.5
# The error rate of a usual service, where nobody says another.
ERROR_SHARE = 0.01


Gain = Callable[[StepSpec], float]
"""Nats that one event adds in a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeLength:
    """When one judge has seen enough: seconds from the start, and what was assumed."""

    name: str
    seconds: float
    given: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """``steps_s`` is the least; ``expected_s`` the time until every judge has its evidence, None
    without traffic."""

    steps_s: float
    expected_s: float | None
    judges: tuple[JudgeLength, ...]


def length_of(canary: CanarySpec, labels: LabelSpec, traffic: Traffic | None) -> Length:
    """The expected length of a canary whose new version deserves promotion."""
    steps_s = sum(step.for_s for step in canary.steps)
    if traffic is None:
        return Length(steps_s=steps_s, expected_s=None, judges=())
    judges = tuple(_judge(canary, labels, judge, traffic) for judge in canary.judge)
    slowest = max((judge.seconds for judge in judges), default=0.0)
    return Length(steps_s=steps_s, expected_s=max(steps_s, slowest), judges=judges)


def _judge(
    canary: CanarySpec, labels: LabelSpec, judge: JudgeSpec, traffic: Traffic
) -> JudgeLength:
    nats = log(1 / canary.alpha_promote)
    metric = METRICS[judge.metric]
    if metric.paired_loss:
        delay = traffic.label_delay_s
        wait = labels.arrive_within_s if delay is None else delay
        gain, given = _quality_gain(judge, labels, traffic.sample)
        seconds = _time(canary, nats, gain, traffic) + wait
        return JudgeLength(name=judge.name, seconds=seconds, given=given)
    if judge.promote_below is None:
        # It can only take a version back.
        return JudgeLength(name=judge.name, seconds=0.0, given="only rolls back")
    share = ERROR_SHARE
    if metric.unit == "ms":
        share = 1 - int(metric.name.removeprefix("latency_p")) / 100
    gain = _ratio_gain(share, judge.promote_below)
    given = f"{share_text(share)} bad events, equal in both versions"
    return JudgeLength(name=judge.name, seconds=_time(canary, nats, gain, traffic), given=given)


def _ratio_gain(bad_share: float, ratio: float) -> Gain:
    return lambda step: bad_share * _split_information(step.weight, ratio)


def _quality_gain(judge: JudgeSpec, labels: LabelSpec, sample: float) -> tuple[Gain, str]:
    """Nats an event by step, of means that differ by delta with standard deviation sd: their
    squared ratio by two (normal mixture martingale)."""
    margin = judge.worse_by_at_most or 0.0
    delta = margin or IMPROVEMENT
    what = "no worse" if margin else f"better by {number_text(delta)}"
    kept = "" if sample == 1 else f", {share_text(sample)} of the labels sampled"

    def paired(step: StepSpec) -> float:
        return sample * step.shadow * (delta / PAIR_SD) ** 2 / 2 / MIXTURE_COST

    def randomised(step: StepSpec) -> float:
        # The variance of a difference of two means, an event: sd² / (w (1 - w)).
        return (
            sample * step.weight * (1 - step.weight) * (delta / ANSWER_SD) ** 2 / 2 / MIXTURE_COST
        )

    if labels.depend_on_prediction:
        return randomised, f"a version that is {what}, live arms, sd {ANSWER_SD} an answer{kept}"
    return paired, f"a version that is {what}, pairs, sd {PAIR_SD} a pair{kept}"


def _split_information(weight: float, ratio: float) -> float:
    """Nats a bad event against "the challenger's rate is ``ratio`` times as high", both being equal:
    Kullback-Leibler between the shares of bad events that would be its own (conditional-share test).
    """
    # Without two live arms, or where better than equal is asked for, equal versions prove nothing.
    if not 0 < weight < 1 or ratio <= 1:
        return 0.0
    claimed = weight * ratio / (weight * ratio + 1 - weight)
    own, other = weight, 1 - weight
    return (own * log(own / claimed) + other * log(other / (1 - claimed))) / MIXTURE_COST


def _time(canary: CanarySpec, nats: float, gain: Gain, traffic: Traffic) -> float:
    """Seconds until ``nats`` are gathered; the last step goes on for as long as it takes."""
    passed, have = 0.0, 0.0
    for step in canary.steps:
        rate = gain(step) * traffic.events_per_day / DAY_S
        need = (nats - have) / rate if rate > 0 else inf
        last = step is canary.steps[-1]
        if need <= step.for_s or last:
            return passed + need
        passed, have = passed + step.for_s, have + rate * step.for_s
    return passed
