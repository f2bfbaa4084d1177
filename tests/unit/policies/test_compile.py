"""What agents see of a policy: defaults, units turned into numbers, names of rules."""

from pathlib import Path

import pytest

from driftd.yamlfile import parse_yaml
from policies.checker import check
from policies.specs import (
    Amount,
    CanarySpec,
    ClockSpec,
    DriftSpec,
    EventsSpec,
    GateSpec,
    JudgeSpec,
    LabelSpec,
    ModelSpec,
    PrivacySpec,
    PromoteSpec,
    RegistrySpec,
    RetrainSpec,
    RuleSpec,
    Schedule,
    StepSpec,
)

POLICIES = Path(__file__).parents[3] / "configs" / "policies"
QUALITY = RuleSpec(
    name="brier worse by 5% than training over 10m, sequential",
    comparison="worse_by",
    amount=Amount(value=5.0, unit="%"),
    metric="brier",
    than="training",
    over_s=600.0,
    confidence="sequential",
)
JUDGES = (
    JudgeSpec(name="brier worse by at most 0", metric="brier", worse_by_at_most=0.0),
    JudgeSpec(
        name="error_rate roll back above 1.2x, promote below 1.5x",
        metric="error_rate",
        roll_back_above=1.2,
        promote_below=1.5,
    ),
    JudgeSpec(
        name="latency_p99 roll back above 1.1x, promote below 1.3x",
        metric="latency_p99",
        roll_back_above=1.1,
        promote_below=1.3,
    ),
)


def compiled(text: str) -> ModelSpec:
    spec, found = check(parse_yaml(text).values)
    assert [str(one) for one in found] == []
    assert spec is not None
    return spec


def rule(text: str, clock: str = "10m") -> RuleSpec:
    spec = compiled(f"model: m\nclock: {{pane: {clock}}}\nwatch: {{rules: [{{{text}}}]}}")
    return spec.rules[-1]


def test_the_minimal_policy_is_the_defaults() -> None:
    assert compiled((POLICIES / "minimal.yaml").read_text()) == ModelSpec(
        model="flight-delay",
        registry=RegistrySpec(name="flight-delay"),
        rules=(QUALITY,),
        retrain=RetrainSpec(trainer="tabular"),
        canary=CanarySpec(judge=JUDGES),
    )


def test_the_full_policy_means_what_it_says() -> None:
    day = 86_400.0
    spec = compiled((POLICIES / "flight-delay.yaml").read_text())

    assert [one.name for one in spec.rules] == [
        "brier worse by 5% than training over 10m, sequential",
        "missing_ratio above 5% over 5m",
        "latency_p99 above 100ms over 5m",
        "request_rate worse by 50% than baseline over 5m",
        "psi of prediction above 0.2 over 1d",
        "accuracy falling for 3d by 1pp",
        "query gpu_busy above 90% over 5m",
    ]
    assert spec == ModelSpec(
        model="flight-delay",
        owner="ml-delays",
        mode="auto",
        registry=RegistrySpec(name="flight_delay"),
        events=EventsSpec(sources=("weather",)),
        labels=LabelSpec(positive="late"),
        clock=ClockSpec(bucket_s=300.0),
        privacy=PrivacySpec(drop=frozenset({"email"}), hash=frozenset({"subject"})),
        drift=DriftSpec(ignore=frozenset({"weekday"})),
        rules=spec.rules,
        retrain=RetrainSpec(
            schedules=(Schedule(cron="0 2 * * 1", timezone="America/New_York"),),
            labels_since_onset=500,
            trainer="tabular-gpu",
        ),
        gate=(
            GateSpec(
                name="brier better by 0.002 than champion",
                metric="brier",
                comparison="better_by",
                amount=Amount(value=0.002),
            ),
            GateSpec(
                name="latency_p99 below 50ms",
                metric="latency_p99",
                comparison="below",
                amount=Amount(value=50.0, unit="ms"),
            ),
        ),
        canary=CanarySpec(
            steps=(
                StepSpec(shadow=1.0, for_s=day),
                StepSpec(weight=0.1, shadow=1.0, for_s=day),
                StepSpec(weight=0.5, shadow=1.0, for_s=day),
            ),
            judge=JUDGES,
        ),
        promote=PromoteSpec(approval_required=True),
    )


def test_maturity_is_the_longest_wait_where_nothing_else_is_said() -> None:
    assert compiled("model: m\nlabels: {arrive_within: 6h}").labels.maturity_s == 6 * 3_600.0
    labels = compiled("model: m\nlabels: {arrive_within: 48h, maturity: 12h}").labels
    assert labels.maturity_s == 12 * 3_600.0


@pytest.mark.parametrize(("label", "positive"), [("late", "late"), ("1", "1"), ("'1'", "1")])
def test_a_positive_label_is_a_text(label: str, positive: str) -> None:
    assert compiled(f"model: m\nlabels: {{positive: {label}}}").labels.positive == positive


BUCKETS = {
    "a pane alone": ("10m", "metric: accuracy, below: 50%", 600.0),
    "a window that divides the pane": ("10m", "metric: accuracy, below: 50%, over: 5m", 300.0),
    "a window of many panes": ("1d", "metric: accuracy, below: 50%, over: 14d", 86_400.0),
    "a window that shares a part": ("10m", "metric: accuracy, below: 50%, over: 25m", 300.0),
    "days in a row are read off days": ("7d", "metric: accuracy, falling_for: 3d", 86_400.0),
}


@pytest.mark.parametrize(("pane", "text", "bucket"), BUCKETS.values(), ids=BUCKETS)
def test_the_bucket_divides_the_pane_and_every_window(pane: str, text: str, bucket: float) -> None:
    spec = compiled(f"model: m\nclock: {{pane: {pane}}}\nwatch: {{rules: [{{{text}}}]}}")

    assert spec.clock.bucket_s == bucket
    # Rules without a window of their own look at one pane.
    assert all(one.over_s % bucket == 0 for one in spec.rules)


MIN_EVENTS = {
    "a share at a point": ("metric: accuracy, below: 50%", 500),
    "a share at a point, as said": ("metric: accuracy, below: 50%, min_events: 20", 20),
    "sequential evidence": ("metric: accuracy, below: 50%, confidence: sequential", 0),
    "traffic, which may stop": ("metric: request_rate, below: 1", 0),
    "a query": ("query: q, above: 1", 0),
}


@pytest.mark.parametrize(("text", "events"), MIN_EVENTS.values(), ids=MIN_EVENTS)
def test_a_point_rule_wants_enough_events_to_mean_something(text: str, events: int) -> None:
    assert rule(text).min_events == events


def test_a_fall_over_days_carries_the_days_as_its_window() -> None:
    falling = rule("metric: accuracy, falling_for: 3d")

    assert falling.name == "accuracy falling for 3d"
    assert falling.over_s == 3 * 86_400.0
    assert falling.amount == Amount(value=0.0, unit="pp")


@pytest.mark.parametrize(
    ("of", "stream"), [("prediction", "@prediction"), ("score", "@score"), ("temp", "temp")]
)
def test_a_rule_names_streams_as_agents_do(of: str, stream: str) -> None:
    assert rule(f"metric: psi, of: {of}, above: 0.2").of == stream


def test_quality_is_watched_by_default_beside_rules_that_say_nothing_of_it() -> None:
    spec = compiled("model: m\nwatch: {rules: [{metric: latency_p99, above: 100ms}]}")

    assert [one.name for one in spec.rules] == [QUALITY.name, "latency_p99 above 100ms over 10m"]


def test_a_rule_on_quality_replaces_the_default_one() -> None:
    spec = compiled(
        "model: m\nclock: {pane: 1d}\nwatch: {rules: [{metric: brier_skill, below: 0, over: 14d}]}"
    )

    assert [one.name for one in spec.rules] == ["brier_skill below 0 over 14d"]


def test_a_schedule_alone_trains_on_nothing_else() -> None:
    spec = compiled('model: m\nretrain: {trainer: t, on: [{schedule: "0 2 * * 1"}]}')

    assert spec.retrain is not None
    assert (spec.retrain.on_quality, spec.retrain.on_input_drift) == (False, False)
    assert spec.retrain.schedules == (Schedule(cron="0 2 * * 1"),)


def test_limits_and_margins_are_numbers() -> None:
    spec = compiled(
        "model: m\n"
        "retrain: {trainer: t, limits: {budget: 1 per 42d, trainings: 4}}\n"
        "canary: {judge: [{metric: accuracy, worse_by_at_most: 1pp}], levels: {promote: 1%}}\n"
        "promote: {probation: 0s}"
    )

    assert spec.retrain is not None
    assert spec.canary is not None
    assert (spec.retrain.budget_count, spec.retrain.budget_per_s) == (1, 42 * 86_400.0)
    assert spec.retrain.trainings_max == 4
    assert spec.canary.judge[0].worse_by_at_most == 0.01
    assert spec.canary.alpha_promote == 0.01
    # Without a probation nothing answers in reverse.
    assert spec.promote.reverse_shadow == 0.0
