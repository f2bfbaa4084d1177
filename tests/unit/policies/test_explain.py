"""What a policy comes to: chance, delays, lengths, and every default with its consequence."""

from dataclasses import replace
from math import isinf
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from detectors.catalog import DISTANCES
from detectors.sketches.numeric import NumericLayout
from driftd.yamlfile import parse_yaml
from policies.chances import budget_of, chance_of
from policies.checker import check_document
from policies.compile import compile_policy
from policies.consequences import CONSEQUENCES, defaults_of
from policies.document import PolicyDocument
from policies.explain import Explanation, explain_policy
from policies.lengths import length_of
from policies.notices import notices_of
from policies.specs import CanarySpec, JudgeSpec, LabelSpec, RuleSpec, StepSpec
from policies.traffic import Traffic
from policies.units import DAY_S, HOUR_S


def document_of(text: str) -> PolicyDocument:
    document, found = check_document(parse_yaml(f"model: m\n{text}").values)
    assert [str(one) for one in found] == []
    assert document is not None
    return document


def explained(text: str, traffic: Traffic | None = None) -> Explanation:
    document = document_of(text)
    return explain_policy(document, compile_policy(document), traffic)


def rule(text: str) -> RuleSpec:
    return compile_policy(document_of(f"watch: {{rules: [{{{text}}}]}}")).rules[-1]


# Figures of windows that notes on this page's formulas measured or that follow exactly.
CHANCES = {
    "accuracy .90 is read below .855 in 7.3 % of windows of 100": (
        "metric: accuracy, worse_by: 5%, than: training, over: 1d, min_events: 100",
        30 * 0.0726,
    ),
    "in .07 % of windows of 500": (
        "metric: accuracy, worse_by: 5%, than: training, over: 1d",
        30 * 0.0007,
    ),
    "three days of fall come by 1 in 24": ("metric: accuracy, falling_for: 3d", 30 / 24),
    "two days of fall come by 1 in 6": ("metric: accuracy, falling_for: 2d", 30 / 6),
}


@pytest.mark.parametrize(("text", "per_month"), CHANCES.values(), ids=CHANCES)
def test_point_rules_fire_by_chance(text: str, per_month: float) -> None:
    chance = chance_of(rule(text), None)

    assert chance.per_month == pytest.approx(per_month, rel=0.2)


def test_a_fixed_limit_fires_more_by_chance_the_fewer_events_it_asks_for() -> None:
    few, many = (
        chance_of(rule(f"metric: missing_ratio, above: 5%, over: 5m, min_events: {n}"), None)
        for n in (50, 500)
    )

    assert few.per_month is not None
    assert many.per_month is not None
    # At half the limit P(share of 50 events > 5 %) = P(Binomial(50, .025) > 2) = .130 a window.
    assert few.per_month == pytest.approx(0.130 * 30 * 288, rel=0.01)
    assert many.per_month < few.per_month / 100
    assert few.given == "if it is 2.5%, 50 events a window"


def test_distances_rarely_pass_their_limit_by_sampling_alone() -> None:
    psi = chance_of(rule("metric: psi, of: temp, above: 0.2, over: 1d, min_events: 100"), None)
    ks = chance_of(rule("metric: ks, of: temp, above: 0.05, over: 1d, min_events: 100"), None)

    # Measured: PSI > .2 in .3 % of windows of 100 events and 20 cells, its bias removed.
    assert psi.per_month == pytest.approx(30 * 0.003, rel=0.6)
    # Kolmogorov: 2 exp(-2 (.5 + .87)^2) = .047 a window.
    assert ks.per_month == pytest.approx(30 * 0.047, rel=0.05)


def test_a_p_value_passes_by_chance_as_often_as_it_says() -> None:
    one = chance_of(rule("metric: ks_p, of: temp, below: 0.01, over: 1d"), None)
    every = chance_of(rule("metric: ks_p, below: 0.01, over: 1d"), None)

    assert one.per_month == pytest.approx(0.3)
    assert every.per_month == pytest.approx(30 * (1 - 0.99**21))
    assert "21 streams" in every.given


@pytest.mark.parametrize("name", [name for name in DISTANCES if "numeric" in DISTANCES[name].kinds])
@pytest.mark.parametrize("share", [0.1, 0.02])
def test_a_distances_chance_is_what_normal_panes_show(name: str, share: float) -> None:
    rng = np.random.default_rng(12)
    layout = NumericLayout.from_reference(rng.normal(size=50_000))
    cells = np.diff(norm.cdf(layout.bounds), prepend=0, append=1)
    panes = rng.multinomial(1_000, cells, 3_000)
    effects = [
        DISTANCES[name].measure(layout, cells, np.append(pane, 0), m=0).value for pane in panes
    ]
    limit = float(np.quantile(effects, 1 - share))
    asked = rule(f"metric: {name}, of: temp, above: {limit:.6f}, over: 1d, min_events: 1000")
    told = chance_of(asked, None)

    assert told.per_month is not None
    assert told.per_month / 30 == pytest.approx(share, rel=0.4)


def test_fewer_requests_are_a_matter_of_the_traffic() -> None:
    text = "metric: request_rate, worse_by: 50%, than: baseline, over: 5m"
    rare = chance_of(rule(text), Traffic(events_per_day=288 * 10))
    busy = chance_of(rule(text), Traffic(events_per_day=288 * 1_000))

    # P(Poisson(10) < 5) = .0293 a window of five minutes.
    assert rare.per_month == pytest.approx(0.0293 * 30 * 288, rel=0.01)
    assert busy.per_month == pytest.approx(0, abs=1e-9)
    assert chance_of(rule(text), None).per_month is None


@pytest.mark.parametrize(
    ("text", "budgeted"),
    [
        ("metric: accuracy, below: 80%", True),
        ("metric: latency_p99, above: 100ms", True),
        ("metric: brier_skill, below: 0", True),
        ("metric: latency_p99, worse_by: 50%, than: baseline", False),
        ("metric: request_rate, below: 10", False),
        ("metric: ks, of: temp, above: 0.2", False),
    ],
)
def test_only_what_gathers_evidence_is_under_the_budget(text: str, budgeted: bool) -> None:
    document = document_of(f"watch: {{rules: [{{{text}, confidence: sequential}}]}}")
    spec = compile_policy(document)
    line = explain_policy(document, spec).rules[-1]

    assert line.budgeted == budgeted
    assert any("outside the budget" in told for told in notices_of(spec)) != budgeted


NOTICES = {
    "metric: ks_p, below: 0.01, over: 1d": (
        "ks_p below 0.01 over 1d: outside the budget of false alarms: 0.01 of all windows pass by "
        "chance (5.7 in 30 days by sampling alone on one of 21 streams, 500 events a window), and "
        "nearly every window under a daily cycle, since p falls with every event; a rule on ks "
        "asks how large"
    ),
    "metric: ks, of: prediction, above: 0.1": (
        "ks of prediction above 0.1 over 10m: the predicted label is a name; it never decides, "
        "write psi"
    ),
}


@pytest.mark.parametrize(("text", "notice"), NOTICES.items(), ids=NOTICES)
def test_what_promises_less_than_it_seems_to_is_told_by_every_check(text: str, notice: str) -> None:
    spec = compile_policy(document_of(f"watch: {{rules: [{{{text}}}]}}"))

    assert notices_of(spec) == (notice,)


@pytest.mark.parametrize(
    "text",
    [
        "metric: auc, below: 0.7",
        "metric: request_rate, worse_by: 50%, than: baseline",
        "metric: latency_p99, worse_by: 50%, than: baseline",
        "query: q, above: 1",
    ],
)
def test_what_only_data_can_tell_is_said_to_be_unknown(text: str) -> None:
    assert chance_of(rule(text), None).per_month is None


def test_a_rule_that_never_has_enough_events_is_found_by_the_traffic() -> None:
    told = explained(
        "watch: {rules: [{metric: latency_p99, above: 100ms, over: 5m}]}",
        Traffic(events_per_day=100_000),
    )

    assert told.rules[-1].chance is not None
    assert told.rules[-1].chance.never
    assert told.cautions[0] == (
        "latency_p99 above 100ms over 5m: never decides: about 347 events in its window, "
        "min_events is 500"
    )


def test_the_budget_is_shared_and_large_drift_is_found_in_four_quiet_panes() -> None:
    spec = compile_policy(document_of(""))
    budget = budget_of(spec, None)

    # A = 2 T S / 1 with T = 4,320 panes of 10 minutes and S = 20 features, 20 missing shares,
    # score, label, errors, arrival, three streams of concept drift and the default rule.
    assert budget.streams == 48
    assert budget.log_threshold == pytest.approx(12.94, abs=0.01)
    assert budget.log_threshold_whole == pytest.approx(9.06, abs=0.01)
    assert (budget.delay_panes, budget.delay_s) == (4, 2_400.0)


def test_drift_within_the_tolerance_is_never_found() -> None:
    spec = compile_policy(document_of("watch: {drift: {tolerate: {ks: 0.25}}}"))

    assert isinf(budget_of(spec, None).delay_s)
    assert (
        explained("watch: {drift: {tolerate: {ks: 0.25}}}").to_dict()["budget"]["delay_s"] is None
    )


STEPS = (StepSpec(weight=0.1, shadow=1.0, for_s=DAY_S),)
BRIER = JudgeSpec(name="brier", metric="brier", worse_by_at_most=0.01)
ERRORS = JudgeSpec(name="errors", metric="error_rate", roll_back_above=1.2, promote_below=1.5)
BUSY = Traffic(events_per_day=1e9, label_delay_s=3 * HOUR_S)


def days(judge: JudgeSpec, traffic: Traffic, labels: LabelSpec | None = None) -> float:
    canary = CanarySpec(steps=STEPS, judge=(judge,))
    length = length_of(canary, labels or LabelSpec(), traffic)
    return length.judges[0].seconds / DAY_S


def test_with_endless_traffic_a_canary_takes_its_steps_or_the_labels_delay() -> None:
    canary = CanarySpec(steps=STEPS, judge=(BRIER, ERRORS))

    assert length_of(canary, LabelSpec(), BUSY).expected_s == DAY_S
    slow = replace(BUSY, label_delay_s=2 * DAY_S)
    assert length_of(canary, LabelSpec(), slow).expected_s == pytest.approx(2 * DAY_S, rel=0.01)


def test_labels_come_as_late_as_the_policy_waits_where_nobody_says_how_late() -> None:
    labels = LabelSpec(arrive_within_s=5 * DAY_S)

    assert days(BRIER, Traffic(events_per_day=1e9), labels) == pytest.approx(5, rel=0.01)


def test_pairs_need_about_thirteen_hundred_labels_for_a_hundredth_of_brier() -> None:
    # 2 ln(1/.05) (.12/.01)^2 x 1.5 = 1,294 pairs, the labels at once.
    assert days(BRIER, Traffic(events_per_day=1_294, label_delay_s=0.0)) == pytest.approx(
        1, rel=0.01
    )
    sampled = Traffic(events_per_day=1_294, label_delay_s=0.0, sample=0.1)
    assert days(BRIER, sampled) == pytest.approx(10, rel=0.01)


def test_live_arms_need_many_times_the_labels_that_pairs_need() -> None:
    traffic = Traffic(events_per_day=10_000, label_delay_s=0.0)
    depends = LabelSpec(depend_on_prediction=True)

    assert days(BRIER, traffic, depends) > 20 * days(BRIER, traffic)


def test_rates_of_bad_events_take_longer_the_closer_the_ratio_lies_to_one() -> None:
    traffic = Traffic(events_per_day=10_000)

    near = days(replace(ERRORS, promote_below=1.2), traffic)
    assert near > 4 * days(ERRORS, traffic)
    assert isinf(days(replace(ERRORS, promote_below=1.0), traffic))
    assert days(replace(ERRORS, promote_below=None), traffic) == 0.0


CANARY = "canary: {steps: [{weight: 10%, shadow: 100%, for: 1d}], give_up_after: 7d}"


def test_a_policy_that_cannot_finish_is_refused_once_the_traffic_is_known() -> None:
    assert explained(CANARY).mistakes == ()
    assert explained(CANARY, BUSY).mistakes == ()
    found = explained(CANARY, Traffic(events_per_day=1_000, label_delay_s=3 * HOUR_S)).mistakes

    # An equal version at weight .1 against a ratio of 1.3: .0033 nats a bad event by 1.5, so that
    # ln(1/.05) needs 1,350 of them, 1 % of 135 thousand.
    assert [str(one) for one in found] == [
        (
            "canary.give_up_after: a canary takes about 135d at 1000 events a day "
            "(latency_p99 roll back above 1.1x, promote below 1.3x: 1% bad events, equal in both "
            "versions) and is given up after 7d"
        )
    ]


def test_every_key_that_may_be_left_out_has_a_consequence() -> None:
    everything_left_out = document_of("retrain: {trainer: t}\ncanary: {}")
    nothing_there = document_of("")
    left_out = {*defaults_of(everything_left_out), *defaults_of(nothing_there)}

    assert left_out == set(CONSEQUENCES)


def test_a_key_that_is_given_is_no_default() -> None:
    paths = {one.path for one in explained("clock: {pane: 10m}\nowner: me").defaults}

    assert "clock.pane" not in paths
    assert "owner" not in paths
    assert "clock.lateness" in paths


CAUTIONS: dict[str, tuple[str, str]] = {
    "a limit on the good side": (
        "watch: {rules: [{metric: accuracy, above: 99%}]}",
        "accuracy above 99% over 10m: fires while accuracy is good",
    ),
    "a margin of nothing": (
        "canary: {}",
        "brier worse by at most 0: a version that is merely equal is never promoted",
    ),
    "nobody approves": (
        "promote: {approval: required}",
        "promote.approval is required, and no owner says who may approve",
    ),
    "a mode that does not train": (
        "retrain: {trainer: t}",
        "mode alert: the section retrain is not acted on",
    ),
    "chance": (
        "watch: {rules: [{metric: accuracy, falling_for: 3d}]}",
        "accuracy falling for 3d: fires about 1.2 times in 30 days by chance",
    ),
}


@pytest.mark.parametrize(("text", "caution"), CAUTIONS.values(), ids=CAUTIONS)
def test_what_works_and_may_surprise_is_said(text: str, caution: str) -> None:
    assert caution in explained(text).cautions


def test_an_explanation_is_plain_values() -> None:
    plain: dict[str, Any] = explained(CANARY, BUSY).to_dict()

    assert plain["model"] == "m"
    assert plain["length"]["steps_s"] == DAY_S
    assert plain["rules"][0]["budgeted"] is True


def test_panes_of_few_events_are_told_with_a_length_that_would_do() -> None:
    few = explained("", Traffic(events_per_day=500))
    assert few.budget is not None
    assert few.budget.delay_s == float("inf")
    assert few.cautions[0].startswith("clock.pane: a pane of 10m holds about 3 events")
    assert few.cautions[0].endswith("set it to 6h")


@pytest.mark.parametrize(("pane", "said"), [("6h", False), ("1h", True), ("1d", False)])
def test_panes_that_hold_enough_are_no_caution(pane: str, said: bool) -> None:
    told = explained(f"clock: {{pane: {pane}}}", Traffic(events_per_day=500))
    assert any(caution.startswith("clock.pane") for caution in told.cautions) is said


def test_texts_that_are_not_kept_are_told_where_something_is_trained() -> None:
    encode = "events: {encode: {query: sentence}}\n"
    assert notices_of(compile_policy(document_of(encode))) == ()

    (told,) = notices_of(compile_policy(document_of(encode + "retrain: {trainer: t}")))
    assert "trainings and gates do not see query" in told
