"""What a policy may say and does not mean what it seems to: told by every check, never passed over."""

from policies.chances import chance_of, is_budgeted
from policies.clashes import Platform
from policies.metrics import KS_P, METRICS, compares_names
from policies.specs import ModelSpec, RuleSpec
from policies.units import amount_text, number_text


def notices_of(spec: ModelSpec, platform: Platform | None = None) -> tuple[str, ...]:
    """One sentence for each part of the policy that has no effect in this version, or on this
    ``platform``, or that promises less than it seems to."""
    found: list[str] = []
    if platform is not None and platform.event_clock:
        found += [
            f"{rule.name}: Prometheus knows wall time only; with `clock: event` it is not asked"
            for rule in spec.rules
            if rule.query
        ]
    for rule in spec.rules:
        found += _of_rule(rule)
    if spec.events.encode and spec.retrain is not None:
        names = ", ".join(feature for feature, _ in spec.events.encode)
        found.append(
            f"events.encode: texts are not kept: trainings and gates do not see {names}; send it under "
            "a second name as well where they need it"
        )
    return tuple(found)


def _of_rule(rule: RuleSpec) -> list[str]:
    found: list[str] = []
    if rule.metric in METRICS and rule.of == "@prediction" and not compares_names(rule.metric):
        found.append(f"{rule.name}: the predicted label is a name; it never decides, write psi")
    if rule.confidence == "sequential" and rule.metric and not is_budgeted(rule):
        found.append(
            f"{rule.name}: outside the budget of false alarms: evidence over time is not known of "
            "it, so that each window is compared by itself"
        )
    if rule.metric == KS_P.name:
        chance = chance_of(rule, None)
        often = number_text(round(chance.per_month or 0.0, 1))
        found.append(
            f"{rule.name}: outside the budget of false alarms: {amount_text(rule.amount)} of all "
            f"windows pass by chance ({often} in 30 days {chance.given}), and nearly every window "
            "under a daily cycle, since p falls with every event; a rule on ks asks how large"
        )
    return found
