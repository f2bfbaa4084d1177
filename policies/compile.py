"""Makes the small specs that agents see of a policy document, and names what was left to defaults."""

from collections.abc import Iterable
from math import gcd

from policies.document import (
    CanaryDocument,
    EventsDocument,
    GateDocument,
    JudgeDocument,
    PolicyDocument,
    RetrainDocument,
    RuleDocument,
    ScheduleDocument,
    WatchDocument,
)
from policies.metrics import METRICS
from policies.rule_checks import COMPARISONS
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
from policies.units import DAY_S, amount_text, duration_text, number_text

# Below so many events a share jumps by chance: accuracy .90 is read as below .855 in 7 % of windows
# of 100 events, in .07 % of windows of 500 (measured).
MIN_EVENTS = 500
# What rules and a gate's `of` call the streams that are no features.
_STREAMS = {"score": "@score", "prediction": "@prediction"}
# "Quality from labels", where no rule says anything else of it.
QUALITY_RULE = RuleDocument.model_validate(
    {"metric": "brier", "worse_by": "5%", "than": "training", "confidence": "sequential"}
)
# What a canary must show where the policy does not say: no worse answers, no more errors, no slower.
JUDGES = tuple(
    JudgeDocument.model_validate(values)
    for values in (
        {"metric": "brier", "worse_by_at_most": 0.0},
        {"metric": "error_rate", "roll_back_above": "1.2x", "promote_below": "1.5x"},
        {"metric": "latency_p99", "roll_back_above": "1.1x", "promote_below": "1.3x"},
    )
)


def compile_policy(document: PolicyDocument) -> ModelSpec:
    """The spec of a document in which ``policies.checker`` found no mistake."""
    labels, privacy = document.labels, document.privacy
    rules = rules_of(document.watch)
    return ModelSpec(
        model=document.model,
        owner=document.owner,
        mode=document.mode,
        registry=RegistrySpec(
            name=document.registry.name or document.model,
            champion=document.registry.champion,
            challenger=document.registry.challenger,
            previous=document.registry.previous,
        ),
        events=_events(document.events),
        labels=LabelSpec(
            arrive_within_s=labels.arrive_within,
            maturity_s=labels.arrive_within if labels.maturity is None else labels.maturity,
            depend_on_prediction=labels.depend_on_prediction,
            positive=labels.positive,
        ),
        clock=ClockSpec(
            pane_s=document.clock.pane,
            bucket_s=bucket_s(document.clock.pane, rules),
            lateness_s=document.clock.lateness,
            idle_s=document.clock.idle,
        ),
        privacy=PrivacySpec(drop=frozenset(privacy.drop), hash=frozenset(privacy.hash)),
        drift=_drift(document.watch),
        advisors=tuple(sorted(set(document.watch.advisors))),
        rules=tuple(compile_rule(rule, document.clock.pane) for rule in rules),
        retrain=None if document.retrain is None else _retrain(document.retrain),
        gate=tuple(_gate(gate) for gate in document.gate),
        canary=None if document.canary is None else _canary(document.canary),
        promote=PromoteSpec(
            approval_required=document.promote.approval == "required",
            probation_s=document.promote.probation,
            reverse_shadow=document.promote.reverse_shadow if document.promote.probation else 0.0,
        ),
    )


def rules_of(watch: WatchDocument) -> tuple[RuleDocument, ...]:
    """The rules of a policy; quality is watched by one of ours where no rule is about labels."""
    metrics = [METRICS.get(rule.metric or "") for rule in watch.rules]
    if any(metric is not None and metric.needs_labels for metric in metrics):
        return tuple(watch.rules)
    return (QUALITY_RULE, *watch.rules)


def bucket_s(pane_s: float, rules: Iterable[RuleDocument]) -> float:
    """The longest bucket of which the pane and every rule's window are whole multiples, seconds."""
    spans = [pane_s]
    for rule in rules:
        spans += [rule.over] if rule.over is not None else []
        # What falls for days is read off days.
        spans += [DAY_S] if rule.falling_for is not None else []
    return float(gcd(*(round(span) for span in spans)))


def compile_rule(rule: RuleDocument, pane_s: float) -> RuleSpec:
    """One rule with its defaults: a window of one pane, and enough events to mean something."""
    comparison = next(name for name in COMPARISONS if getattr(rule, name) is not None)
    amount = getattr(rule, comparison)
    over = pane_s if rule.over is None else rule.over
    if rule.falling_for is not None:
        amount, over = rule.by or Amount(value=0.0, unit="pp"), rule.falling_for
    metric = METRICS.get(rule.metric or "")
    min_events = rule.min_events
    if min_events is None:
        counted = metric is not None and metric.events and rule.confidence == "point"
        min_events = MIN_EVENTS if counted else 0
    return RuleSpec(
        name=_rule_name(rule, comparison, amount, over),
        comparison=comparison,  # type: ignore[arg-type]  # one of COMPARISONS
        amount=amount,
        metric=rule.metric or "",
        query=rule.query or "",
        of=None if rule.of is None else _STREAMS.get(rule.of, rule.of),
        than=rule.than,
        over_s=over,
        confidence=rule.confidence,
        min_events=min_events,
        severity=rule.severity,
    )


def _rule_name(rule: RuleDocument, comparison: str, amount: Amount, over_s: float) -> str:
    """The rule in one form of words, e.g. ``brier_skill below 0 over 14d``."""
    subject = f"query {rule.query}" if rule.query else str(rule.metric)
    subject += f" of {rule.of}" if rule.of else ""
    if comparison == "falling_for":
        by = f" by {amount_text(amount)}" if amount.value else ""
        return f"{subject} falling for {duration_text(over_s)}{by}"
    than = f" than {rule.than}" if rule.than else ""
    sure = ", sequential" if rule.confidence == "sequential" else ""
    verb = comparison.replace("_", " ")
    return f"{subject} {verb} {amount_text(amount)}{than} over {duration_text(over_s)}{sure}"


def _events(events: EventsDocument) -> EventsSpec:
    return EventsSpec(
        predictions=events.predictions,
        labels=events.labels,
        sources=tuple(events.sources),
        field_map=tuple(sorted(events.map.items())),
        encode=tuple(sorted(events.encode.items())),
    )


def _drift(watch: WatchDocument) -> DriftSpec:
    tolerate = watch.drift.tolerate
    return DriftSpec(
        false_alarms=watch.false_alarms.count,
        budget_s=watch.false_alarms.per_s,
        ignore=frozenset(watch.drift.ignore),
        tolerate_ks=tolerate.ks,
        tolerate_psi=tolerate.psi,
        tolerate_mmd=tolerate.mmd,
        tolerate_share=tolerate.share,
        tolerate_loss=tolerate.loss,
        tolerate_calibration=tolerate.calibration,
        enabled=watch.drift.enabled,
    )


def _retrain(retrain: RetrainDocument) -> RetrainSpec:
    limits, data = retrain.limits, retrain.data
    return RetrainSpec(
        on_quality="quality" in retrain.on,
        on_input_drift="input_drift" in retrain.on,
        schedules=tuple(
            Schedule(cron=item.schedule, timezone=item.timezone)
            for item in retrain.on
            if isinstance(item, ScheduleDocument)
        ),
        labels_since_onset=retrain.needs.labels_since_onset,
        cooldown_s=limits.cooldown,
        budget_count=int(limits.budget.count),
        budget_per_s=limits.budget.per_s,
        attempts=limits.attempts,
        window_s=data.window,
        holdout=data.holdout,
        trainer=retrain.trainer,
        trainings_max=limits.trainings,
    )


def _gate(gate: GateDocument) -> GateSpec:
    name = gate.metric
    if gate.better_by is not None:
        text = f"{name} better by {amount_text(gate.better_by)} than champion"
        return GateSpec(name=text, metric=name, comparison="better_by", amount=gate.better_by)
    if gate.worse_by_at_most is not None:
        amount = gate.worse_by_at_most
        text = f"{name} worse by at most {amount_text(amount)} than champion"
        return GateSpec(name=text, metric=name, comparison="worse_by_at_most", amount=amount)
    if gate.below is not None:
        text = f"{name} below {amount_text(gate.below)}"
        return GateSpec(name=text, metric=name, comparison="below", amount=gate.below)
    above = gate.above or Amount(value=0.0)
    return GateSpec(
        name=f"{name} above {amount_text(above)}", metric=name, comparison="above", amount=above
    )


def _canary(canary: CanaryDocument) -> CanarySpec:
    return CanarySpec(
        steps=tuple(
            StepSpec(weight=step.weight, shadow=step.shadow, for_s=step.for_)
            for step in canary.steps
        ),
        judge=tuple(_judge(judge) for judge in canary.judge or JUDGES),
        give_up_after_s=canary.give_up_after,
        alpha_roll_back=canary.levels.roll_back,
        alpha_promote=canary.levels.promote,
        router=canary.router,
    )


def _judge(judge: JudgeDocument) -> JudgeSpec:
    margin = judge.worse_by_at_most
    if margin is not None:
        value = margin.value / 100 if margin.unit == "pp" else margin.value
        name = f"{judge.metric} worse by at most {amount_text(margin)}"
        return JudgeSpec(name=name, metric=judge.metric, worse_by_at_most=value)
    back, on = judge.roll_back_above, judge.promote_below
    parts = [f"roll back above {number_text(back)}x"] if back is not None else []
    parts += [f"promote below {number_text(on)}x"] if on is not None else []
    return JudgeSpec(
        name=f"{judge.metric} {', '.join(parts)}",
        metric=judge.metric,
        roll_back_above=back,
        promote_below=on,
    )
