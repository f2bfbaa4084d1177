"""What a policy may not say: every refusal, at its place, with what to write instead."""

from pathlib import Path
from typing import Any

import pytest

from driftd.yamlfile import parse_yaml
from policies.checker import check
from policies.clashes import Platform

PLATFORM = Platform(
    trainers=frozenset({"tabular", "tabular-gpu"}),
    routers=frozenset({"driftd"}),
    queries=frozenset({"gpu_busy"}),
    encoders=frozenset({"sentence"}),
)
EXAMPLES = Path(__file__).parents[3] / "configs" / "policies"


def mistakes(text: str, platform: Platform | None = None) -> list[str]:
    """The mistakes of a policy that needs only what the test is about."""
    spec, found = check(parse_yaml(f"model: m\n{text}").values, platform)
    assert (spec is None) == bool(found)
    return [str(one) for one in found]


def rule(text: str) -> list[str]:
    return mistakes(f"watch: {{rules: [{{{text}}}]}}")


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_policy_is_good(file: Path) -> None:
    spec, found = check(parse_yaml(file.read_text()).values, PLATFORM)

    assert [str(one) for one in found] == []
    assert spec is not None


def test_a_policy_of_one_line_is_good() -> None:
    assert mistakes("") == []


RULES = {
    "neither metric nor query": ("above: 1", "needs a metric (or a query)"),
    "both metric and query": (
        "metric: accuracy, query: q, below: 90%",
        "has a metric and a query; make two rules",
    ),
    "no comparison": (
        "metric: accuracy",
        "asks nothing; give one of above, below, worse_by or falling_for",
    ),
    "two comparisons": (
        "metric: accuracy, above: 10%, below: 90%",
        "has above and below; make 2 rules",
    ),
}


@pytest.mark.parametrize(("text", "message"), RULES.values(), ids=RULES)
def test_a_rule_asks_one_thing_of_one_metric(text: str, message: str) -> None:
    assert rule(text) == [f"watch.rules[0]: {message}"]


RULE_KEYS = {
    "an unknown metric, nearly right": (
        "metric: acuracy, below: 90%",
        "metric: there is no metric 'acuracy'; did you mean 'accuracy'?",
    ),
    "worse than what": (
        "metric: brier, worse_by: 5%",
        "than: is missing; worse than what? write training",
    ),
    "a label metric has no baseline": (
        "metric: brier, worse_by: 5%, than: baseline",
        "than: brier is known by its labels only; write training",
    ),
    "training has no traffic": (
        "metric: request_rate, worse_by: 50%, than: training",
        "than: request_rate is no part of training; write baseline",
    ),
    "rules watch the champion": (
        "metric: brier, worse_by: 5%, than: champion",
        "than: rules watch the champion itself; write training",
    ),
    "a level has no reference": (
        "metric: accuracy, below: 90%, than: training",
        "than: belongs to worse_by; above and below compare with a number",
    ),
    "a distance is a comparison already": (
        "metric: psi, of: score, worse_by: 5%, than: training",
        "worse_by: psi is itself a distance from the baseline; use above",
    ),
    "a p-value is a comparison already": (
        "metric: ks_p, of: score, worse_by: 5%, than: training",
        "worse_by: ks_p is small when something changed; use below",
    ),
    "a large p-value is no news": (
        "metric: ks_p, above: 0.01",
        "above: ks_p is small when something changed; use below",
    ),
    "a p-value is no evidence over time": (
        "metric: ks_p, below: 0.01, confidence: sequential",
        "confidence: ks_p gathers no evidence over time; watch.drift does that with ks",
    ),
    "names have no order": (
        "metric: wasserstein, of: prediction, above: 0.2",
        "of: the predicted label is a name, and wasserstein is of numbers; write psi",
    ),
    "no p-value above one": (
        "metric: ks_p, below: 110%",
        "below: ks_p is a share of 1 and never below 110%",
    ),
    "by without falling_for": (
        "metric: accuracy, below: 90%, by: 1pp",
        "by: belongs to falling_for",
    ),
    "falling for hours": (
        "metric: accuracy, falling_for: 36h",
        "falling_for: must be whole days, 2d to 31d; days are what is compared",
    ),
    "falling for one day": (
        "metric: accuracy, falling_for: 1d",
        "falling_for: must be whole days, 2d to 31d; days are what is compared",
    ),
    "falling over a window": (
        "metric: accuracy, falling_for: 3d, over: 1d",
        "over: falling_for compares days; leave over=1d out",
    ),
    "falling sequentially": (
        "metric: accuracy, falling_for: 3d, confidence: sequential",
        "confidence: falling_for counts days in a row; only point does that",
    ),
    "a stream of a metric that has none": (
        "metric: accuracy, below: 90%, of: temp",
        "of: accuracy is of the whole model, not of a stream",
    ),
    "min_events of sequential evidence": (
        "metric: accuracy, below: 90%, confidence: sequential, min_events: 9",
        "min_events: sequential evidence counts every event; min_events is for point rules",
    ),
    "a latency without a unit": (
        "metric: latency_p99, above: 100",
        "above: 100 does not fit latency_p99; write ms (100ms) or s (100s)",
    ),
    "points are no level": (
        "metric: accuracy, below: 90pp",
        "below: 90pp does not fit accuracy; write a bare number or percent (5%)",
    ),
    "a share above everything": (
        "metric: missing_ratio, above: 100%",
        "above: missing_ratio is a share of 1 and never above 100%",
    ),
    "a share below nothing": (
        "metric: accuracy, below: 0",
        "below: accuracy is a share of 1 and never below 0",
    ),
    "a negative latency": (
        "metric: latency_p99, above: -1ms",
        "above: latency_p99 is never negative",
    ),
    "a negative change": (
        "metric: brier, worse_by: -5%, than: training",
        "worse_by: -5% is negative; a change is written by its size",
    ),
    "no change at all": (
        "metric: brier, worse_by: 0, than: training",
        "worse_by: must be more than 0, or half of all windows would alarm",
    ),
    "a fall of everything": (
        "metric: accuracy, worse_by: 100%, than: training",
        "worse_by: accuracy cannot fall by 100%",
    ),
    "a window finer than a second": (
        "metric: accuracy, below: 90%, over: 1500ms",
        "over: must be whole seconds; counters are kept by the second at the finest",
    ),
    "a query has no reference": (
        "query: q, worse_by: 5%",
        "worse_by: a query's value has no reference; use above or below",
    ),
    "a query is of no stream": ("query: q, above: 1, of: temp", "of: means nothing for a query"),
    "a query has no ratio": (
        "query: q, above: 1.2x",
        "above: 1.2x does not fit a query; write a bare number, percent (5%), ms (100ms) or s (100s)",
    ),
    "a query in percent is a share": (
        "query: q, above: 100%",
        "above: in percent a query is a share of 1 and never above 100%; write a bare number",
    ),
    "a query has no counts": (
        "query: q, above: 1, confidence: sequential",
        "confidence: a query gives a number without counts; only point compares it",
    ),
    "a negative duration": (
        "metric: accuracy, below: 90%, over: -5m",
        "over: -5m is negative; a duration is not",
    ),
    "no window": (
        "metric: accuracy, below: 90%, over: 0m",
        "over: must be longer than nothing",
    ),
    "an unknown severity": (
        "metric: accuracy, below: 90%, severity: critcal",
        "severity: must be info, warning or critical, not 'critcal'; did you mean 'critical'?",
    ),
}


@pytest.mark.parametrize(("text", "message"), RULE_KEYS.values(), ids=RULE_KEYS)
def test_a_rule_says_only_what_its_metric_can_be_asked(text: str, message: str) -> None:
    assert rule(text) == [f"watch.rules[0].{message}"]


def test_a_rule_stands_once_however_loud_it_is() -> None:
    text = "{metric: auc, below: 0.7}, {metric: auc, below: 0.7, over: 10m, severity: critical}"
    louder = "{metric: auc, below: 0.7}, {metric: auc, below: 0.6, severity: critical}"

    assert mistakes(f"watch: {{rules: [{text}]}}") == [
        "watch.rules[1]: asks the same as rules[0]; one of them is enough"
    ]
    assert mistakes(f"watch: {{rules: [{louder}]}}") == []


AUTO = "mode: auto\nretrain: {trainer: tabular}\n"
SECTIONS = {
    "auto without retrain": (
        "mode: auto\ncanary: {}",
        "mode: auto needs a section retrain that names a trainer",
    ),
    "retrain without retrain": (
        "mode: retrain",
        "mode: retrain needs a section retrain that names a trainer",
    ),
    "auto without a canary": (
        AUTO,
        "mode: auto needs a section canary; canary: {} takes every default",
    ),
    "retrain without a trainer": ("retrain: {}", "retrain.trainer: is missing"),
    "one alias for two roles": (
        "registry: {champion: live, challenger: live}",
        "registry.challenger: is live, the champion's alias too; each role needs its own",
    ),
    "no way back of its own": (
        "registry: {previous: champion}",
        "registry.previous: is champion, the alias of the champion too; the way back needs its own",
    ),
    "dropped and hashed": (
        "privacy: {drop: [email], hash: [email]}",
        "privacy.hash[0]: email is dropped already; nothing is left to hash",
    ),
    "ids are never dropped": (
        "privacy: {drop: [id]}",
        "privacy.drop[0]: labels find their predictions by id; hash it instead",
    ),
    "mapped to an unknown field": (
        "events: {map: {proba: scores}}",
        "events.map.proba: an event has no field 'scores'; did you mean 'score'?",
    ),
    "mapped twice": (
        "events: {map: {a: score, b: score}}",
        "events.map.b: a is mapped to score already",
    ),
    "mature after the last label": (
        "labels: {arrive_within: 6h, maturity: 12h}",
        "labels.maturity: is later than arrive_within (6h); nothing would wait for those labels",
    ),
    "a pane of half seconds": (
        "clock: {pane: 1500ms}",
        "clock.pane: must be whole seconds; counters are kept by the second at the finest",
    ),
    "a budget of nothing": (
        "watch: {false_alarms: 0 per 30d}",
        (
            "watch.false_alarms: a budget of no false alarms finds nothing; "
            "write a small one, such as 1 per 365d"
        ),
    ),
    "drift is off and wanted": (
        "watch: {drift: {enabled: false}}\nretrain: {trainer: t, on: [input_drift]}",
        "retrain.on[0]: nothing raises it: watch.drift.enabled is false",
    ),
    "wanted twice": (
        "retrain: {trainer: t, on: [quality, quality]}",
        "retrain.on[1]: stands here twice",
    ),
    "wanted by an unknown word": (
        "retrain: {trainer: t, on: [qualty]}",
        "retrain.on[0]: must be quality or input_drift, not 'qualty'; did you mean 'quality'?",
    ),
    "wanted by nothing": ("retrain: {trainer: t, on: []}", "retrain.on: must not be empty"),
    "a schedule of four fields": (
        'retrain: {trainer: t, on: [{schedule: "0 2 * *"}]}',
        (
            "retrain.on[0].schedule: '0 2 * *' must have five fields: "
            "minute hour day month weekday, such as 0 2 * * 1"
        ),
    ),
    "an hour that does not exist": (
        'retrain: {trainer: t, on: [{schedule: "0 25 * * *"}]}',
        (
            "retrain.on[0].schedule: '0 25 * * *' has a bad hour; "
            "the fields are minute hour day month weekday"
        ),
    ),
    "a time zone that does not exist": (
        'retrain: {trainer: t, on: [{schedule: "0 2 * * 1", timezone: Mars/Base}]}',
        (
            "retrain.on[0].timezone: there is no time zone 'Mars/Base'; "
            "write UTC or a name such as Europe/Berlin"
        ),
    ),
    "nothing withheld": (
        "retrain: {trainer: t, data: {holdout: 0%}}",
        (
            "retrain.data.holdout: must be more than 0% and at most 50%: "
            "something to train on, something to judge by"
        ),
    ),
    "more withheld than trained on": (
        "retrain: {trainer: t, data: {holdout: 51%}}",
        (
            "retrain.data.holdout: must be more than 0% and at most 50%: "
            "something to train on, something to judge by"
        ),
    ),
    "a window without labels": (
        "retrain: {trainer: t, data: {window: 24h}}",
        "retrain.data.window: is not longer than the wait for labels (1d); it would hold none",
    ),
    "half a training": (
        "retrain: {trainer: t, limits: {budget: 0.5 per 7d}}",
        (
            "retrain.limits.budget: must allow a whole number of trainings, at least 1; "
            "mode: alert trains never"
        ),
    ),
    "a gate on a stream": (
        "gate: [{metric: request_rate, below: 5}]",
        (
            "gate[0].metric: request_rate is not known here; there are accuracy, auc, brier, "
            "brier_skill, f1, latency_p50, latency_p90, latency_p95, latency_p99, precision and recall"
        ),
    ),
    "a gate that asks nothing": (
        "gate: [{metric: brier}]",
        "gate[0]: asks nothing; give one of better_by, worse_by_at_most, below or above",
    ),
    "a gate against training": (
        "gate: [{metric: brier, better_by: 0.002, than: training}]",
        (
            "gate[0].than: offline a version is compared with the champion, "
            "by better_by or worse_by_at_most"
        ),
    ),
    "a gate the wrong way round": (
        "gate: [{metric: brier, above: 0.2}]",
        "gate[0].above: a gate says what must hold, and brier is good below a value; write below",
    ),
    "a step without traffic": (
        "canary: {steps: [{for: 1d}, {weight: 10%, shadow: 100%, for: 1d}]}",
        "canary.steps[0]: reaches no traffic; give it a weight, a shadow or both",
    ),
    "a weight that falls": (
        "canary: {steps: [{weight: 50%, shadow: 100%}, {weight: 10%, shadow: 100%}]}",
        (
            "canary.steps[1].weight: falls from 50% to 10%; "
            "a rollout goes up, a roll-back goes down by itself"
        ),
    ),
    "a weight of more than all": (
        "canary: {steps: [{weight: 110%, shadow: 100%}]}",
        "canary.steps[0].weight: 110% is more than everything; a share lies between 0% and 100%",
    ),
    "no steps": ("canary: {steps: []}", "canary.steps: must not be empty"),
    "given up before it ends": (
        "canary: {steps: [{weight: 10%, shadow: 100%, for: 8d}], give_up_after: 7d}",
        "canary.give_up_after: 7d is less than the steps take (8d)",
    ),
    "given up by default before it ends": (
        "canary: {steps: [{weight: 10%, shadow: 100%, for: 8d}]}",
        "canary.give_up_after: 7d, the default, is less than the steps take (8d)",
    ),
    "pairs without a shadow": (
        "canary: {steps: [{weight: 10%}], judge: [{metric: brier, worse_by_at_most: 0}]}",
        "canary.judge[0]: brier is judged on pairs of answers; give a step a shadow",
    ),
    "live arms without a weight": (
        "canary: {steps: [{shadow: 100%}], judge: [{metric: error_rate, promote_below: 1.5x}]}",
        "canary.judge[0]: error_rate compares live arms; give a step a weight between 0% and 100%",
    ),
    "labels that depend on the prediction, without live arms": (
        (
            "labels: {depend_on_prediction: true}\n"
            "canary: {steps: [{shadow: 100%}], judge: [{metric: brier, worse_by_at_most: 0}]}"
        ),
        (
            "canary.judge[0]: brier: labels depend on the prediction, so only live arms can be "
            "compared; give a step a weight between 0% and 100%"
        ),
    ),
    "a margin on a rate": (
        "canary: {judge: [{metric: error_rate, worse_by_at_most: 1pp}]}",
        (
            "canary.judge[0].worse_by_at_most: error_rate is compared by ratios; "
            "write roll_back_above and promote_below"
        ),
    ),
    "a ratio on a loss": (
        "canary: {judge: [{metric: brier, roll_back_above: 1.2x}]}",
        "canary.judge[0].roll_back_above: brier is compared by differences; write worse_by_at_most",
    ),
    "a judge that asks nothing": (
        "canary: {judge: [{metric: error_rate}]}",
        "canary.judge[0]: asks nothing; give roll_back_above, promote_below or both",
    ),
    "a relative margin": (
        "canary: {judge: [{metric: brier, worse_by_at_most: 5%}]}",
        "canary.judge[0].worse_by_at_most: a margin is a difference of 0 or more: 0.002 or 1pp",
    ),
    "a better version taken back": (
        "canary: {judge: [{metric: error_rate, roll_back_above: 0.9x}]}",
        "canary.judge[0].roll_back_above: below 1x would take back a version that is better",
    ),
    "a judge without pairs": (
        "canary: {judge: [{metric: auc, worse_by_at_most: 0}]}",
        (
            "canary.judge[0].metric: auc is not known here; there are accuracy, brier, error_rate, "
            "latency_p50, latency_p90, latency_p95 and latency_p99"
        ),
    ),
    "a level of certainty": (
        "canary: {levels: {roll_back: 0%}}",
        "canary.levels.roll_back: must be more than 0% and at most 50%",
    ),
    "a reverse shadow without a probation": (
        "canary: {}\npromote: {probation: 0s, reverse_shadow: 10%}",
        (
            "promote.reverse_shadow: there is no probation in which the old version could answer; "
            "write 0% or a probation"
        ),
    ),
    "a section without a value": (
        "canary:",
        "canary: has no value; {} takes every default",
    ),
    "a key without a value": (
        "owner:",
        "owner: has no value; give it one, or leave the key out",
    ),
    "a section that is a list": (
        "watch: []",
        "watch: must be a section of keys, not a list; write {} to take every default",
    ),
    "a list that is a word": ("gate: brier", "gate: must be a list, not 'brier'"),
    "a switch that is a word": (
        "labels: {depend_on_prediction: yes}",
        "labels.depend_on_prediction: must be true or false, not 'yes'",
    ),
    "a share without a unit": (
        "retrain: {trainer: t, data: {holdout: 0.2}}",
        "retrain.data.holdout: 0.2 has no unit; write a share in percent, such as 10%",
    ),
    "a duration without a unit": (
        "clock: {pane: 10}",
        "clock.pane: 10 has no unit; write 10s, 10m, 10h or 10d",
    ),
}


@pytest.mark.parametrize(("text", "message"), SECTIONS.values(), ids=SECTIONS)
def test_what_cannot_be_together_is_refused_with_what_to_write(text: str, message: str) -> None:
    assert mistakes(text) == [message]


NAMES = {
    "an unknown trainer": (
        "retrain: {trainer: tabular-cpu}",
        "retrain.trainer: the settings name no trainer 'tabular-cpu'; did you mean 'tabular-gpu'?",
    ),
    "an unknown router": (
        "canary: {router: istio}",
        "canary.router: the settings name no router 'istio'; they name driftd",
    ),
    "an unknown query": (
        "watch: {rules: [{query: gpu_bsy, above: 90%}]}",
        "watch.rules[0].query: the settings name no query 'gpu_bsy'; did you mean 'gpu_busy'?",
    ),
}


@pytest.mark.parametrize(("text", "message"), NAMES.values(), ids=NAMES)
def test_names_are_checked_against_the_settings_if_there_are_any(text: str, message: str) -> None:
    assert mistakes(text, PLATFORM) == [message]
    assert mistakes(text) == []


def test_a_missing_model_does_not_hide_the_other_mistakes() -> None:
    _, found = check({"mode": "auto", "canary": {}})

    assert [str(one) for one in found] == [
        "model: is missing",
        "mode: auto needs a section retrain that names a trainer",
    ]


def test_a_misspelt_section_is_read_as_it_was_meant_and_its_mistakes_are_told_too() -> None:
    assert mistakes("wach: {rules: [{metric: brier, worse_by: 5%}]}") == [
        "wach: no such key; did you mean 'watch'?",
        "wach.rules[0].than: is missing; worse than what? write training",
    ]


def test_one_mistake_is_not_told_twice() -> None:
    # `trainer` is missing, so there is no section retrain to speak of; auto does not complain of it.
    assert mistakes("mode: auto\nretrain: {on: [quality]}\ncanary: {}") == [
        "retrain.trainer: is missing"
    ]
    # The weight could not be read, so nothing is said of a step without traffic.
    assert mistakes("canary: {steps: [{weight: ten, for: 1d}]}") == [
        "canary.steps[0].weight: must be a share in percent, such as 10%; 'ten' is not"
    ]


def test_a_misspelt_key_and_its_wrong_value_are_two_mistakes() -> None:
    assert mistakes("clock: {pan: 10}") == [
        "clock.pan: no such key; did you mean 'pane'?",
        "clock.pan: 10 has no unit; write 10s, 10m, 10h or 10d",
    ]


def test_a_required_key_without_a_value_is_one_mistake() -> None:
    assert mistakes("retrain: {trainer: }") == [
        "retrain.trainer: has no value; give it one, or leave the key out"
    ]


def test_items_behind_an_unreadable_one_keep_their_places() -> None:
    text = "gate: [5, {metric: brier, better_by: 0.002}, {metric: nosuch, below: 1}]"

    assert mistakes(text) == [
        "gate[0]: must be a section of keys, not 5; write {} to take every default",
        (
            "gate[2].metric: there is no metric 'nosuch'; there are accuracy, auc, brier, brier_skill, "
            "f1, latency_p50, latency_p90, latency_p95, latency_p99, precision and recall"
        ),
    ]


@pytest.mark.parametrize("values", [None, [], "model: x", 3, True])
def test_anything_but_a_mapping_is_one_mistake(values: Any) -> None:
    spec, found = check(values)

    assert spec is None
    assert len(found) == 1
    assert found[0].message.startswith("a file is a mapping of keys, not ")


ENCODE = {
    "unknown": (
        "events: {encode: {q: sentense}}",
        "events.encode.q: the settings name no encoder 'sentense'; did you mean 'sentence'?",
    ),
    "dropped": (
        "events: {encode: {q: sentence}}\nprivacy: {drop: [q]}",
        "events.encode.q: privacy.drop takes q away first; nothing is left to encode",
    ),
    "hashed": (
        "events: {encode: {q: sentence}}\nprivacy: {hash: [q]}",
        "events.encode.q: privacy.hash takes q away first; nothing is left to encode",
    ),
    "a source's": (
        "events: {sources: [chat], encode: {chat.q: sentence}}",
        "events.encode.chat.q: is a feature of the source chat; only those of predictions are encoded",
    ),
    "a path": (
        "events: {encode: {q: /models/sentence}}",
        (
            "events.encode.q: must be a name: at most 100 letters, digits, . _ - and first a letter or "
            "digit; '/models/sentence' is not"
        ),
    ),
}


@pytest.mark.parametrize(("text", "message"), ENCODE.values(), ids=ENCODE)
def test_texts_are_encoded_by_what_the_settings_name(text: str, message: str) -> None:
    assert mistakes(text, PLATFORM) == [message]


def test_a_good_encoder_is_compiled() -> None:
    text = "model: m\nevents: {encode: {q: sentence, chat.text: sentence}}"
    spec, found = check(parse_yaml(text).values, PLATFORM)

    assert found == ()
    assert spec is not None
    assert spec.events.encode == (("chat.text", "sentence"), ("q", "sentence"))
