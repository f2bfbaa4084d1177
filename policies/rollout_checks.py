"""Which combinations of a gate's and a canary's keys mean something."""

from collections.abc import Iterator
from itertools import pairwise

from policies.clashes import Clash, Platform, clash, unnamed
from policies.document import CanaryDocument, GateDocument, JudgeDocument, PolicyDocument
from policies.metrics import METRICS, Metric
from policies.mistakes import Path, listed
from policies.rule_checks import change_clash, level_clash, unknown_metric
from policies.units import duration_text, share_text

LEVEL_MAX = 0.5


def gate_clashes(gate: GateDocument, path: Path) -> Iterator[Clash]:
    """Everything that is wrong with one offline condition."""
    known = {name: metric for name, metric in METRICS.items() if metric.offline}
    metric = known.get(gate.metric)
    if metric is None:
        yield unknown_metric(gate.metric, (*path, "metric"), tuple(known))
        return
    names = ("better_by", "worse_by_at_most", "below", "above")
    given = [name for name in names if getattr(gate, name) is not None]
    if len(given) != 1:
        some = f"has {listed(given, 'and')}; make {len(given)} conditions of them"
        yield clash(path, some if given else f"asks nothing; give one of {listed(names)}")
        return
    relative = given[0] in ("better_by", "worse_by_at_most")
    if gate.than is not None and (gate.than != "champion" or not relative):
        why = "offline a version is compared with the champion, by better_by or worse_by_at_most"
        yield clash((*path, "than"), why, (*path, given[0]))
    amount, where = getattr(gate, given[0]), (*path, given[0])
    found = (
        change_clash(amount, metric, where)
        if relative
        else level_clash(amount, metric, where, above=given[0] == "above")
    )
    if found is not None:
        yield found
    good = "below" if metric.worse == "up" else "above"
    if not relative and given[0] != good:
        why = f"a gate says what must hold, and {metric.name} is good {good} a value; write {good}"
        yield clash(where, why, (*path, "metric"), about="key")


def canary_clashes(
    document: PolicyDocument, canary: CanaryDocument, platform: Platform | None
) -> Iterator[Clash]:
    """Everything that is wrong with the proof on live traffic."""
    here: Path = ("canary",)
    steps = (*here, "steps")
    for place, step in enumerate(canary.steps):
        if step.weight == 0 and step.shadow == 0:
            yield clash((*steps, place), "reaches no traffic; give it a weight, a shadow or both")
    for place, (first, second) in enumerate(pairwise(canary.steps), start=1):
        if second.weight < first.weight:
            why = (
                f"falls from {share_text(first.weight)} to {share_text(second.weight)}; "
                "a rollout goes up, a roll-back goes down by itself"
            )
            yield clash((*steps, place, "weight"), why, (*steps, place - 1))
    least = sum(step.for_ for step in canary.steps)
    if canary.give_up_after < least:
        give_up = duration_text(canary.give_up_after)
        default = "" if "give_up_after" in canary.model_fields_set else ", the default,"
        why = f"{give_up}{default} is less than the steps take ({duration_text(least)})"
        yield clash((*here, "give_up_after"), why, steps)
    for place, judge in enumerate(canary.judge or ()):
        yield from _judge(document, canary, judge, (*here, "judge", place))
    for name, level in (("roll_back", canary.levels.roll_back), ("promote", canary.levels.promote)):
        if not 0 < level <= LEVEL_MAX:
            why = f"must be more than 0% and at most {share_text(LEVEL_MAX)}"
            yield clash((*here, "levels", name), why)
    if platform is not None and canary.router not in platform.routers:
        yield unnamed("router", canary.router, platform.routers, (*here, "router"))


def _judge(
    document: PolicyDocument, canary: CanaryDocument, judge: JudgeDocument, path: Path
) -> Iterator[Clash]:
    known = {n: m for n, m in METRICS.items() if m.paired_loss or m.ratio}
    metric = known.get(judge.metric)
    if metric is None:
        yield unknown_metric(judge.metric, (*path, "metric"), tuple(known))
        return
    yield from _judge_keys(judge, metric, path)
    shadows = any(step.shadow > 0 for step in canary.steps)
    splits = any(0 < step.weight < 1 for step in canary.steps)
    steps: Path = ("canary", "steps")
    depends = document.labels.depend_on_prediction
    if metric.ratio and not splits:
        why = f"{metric.name} compares live arms; give a step a weight between 0% and 100%"
        yield clash(path, why, steps)
    elif metric.paired_loss and depends and not splits:
        why = f"{metric.name}: labels depend on the prediction, so only live arms can be compared;"
        yield clash(path, f"{why} give a step a weight between 0% and 100%", steps, ("labels",))
    elif metric.paired_loss and not depends and not shadows:
        why = f"{metric.name} is judged on pairs of answers; give a step a shadow"
        yield clash(path, why, steps, ("labels",))


def _judge_keys(judge: JudgeDocument, metric: Metric, path: Path) -> Iterator[Clash]:
    margin, back, on = judge.worse_by_at_most, judge.roll_back_above, judge.promote_below
    if metric.ratio:
        if margin is not None:
            why = f"{metric.name} is compared by ratios; write roll_back_above and promote_below"
            yield clash((*path, "worse_by_at_most"), why, (*path, "metric"), about="key")
        if back is None and on is None and margin is None:
            yield clash(path, "asks nothing; give roll_back_above, promote_below or both")
        if back is not None and back < 1:
            why = "below 1x would take back a version that is better"
            yield clash((*path, "roll_back_above"), why)
        if on is not None and on <= 0:
            yield clash((*path, "promote_below"), "no version has a rate below nothing")
        return
    for key, ratio in (("roll_back_above", back), ("promote_below", on)):
        if ratio is not None:
            why = f"{metric.name} is compared by differences; write worse_by_at_most"
            yield clash((*path, key), why, (*path, "metric"), about="key")
    if margin is None and back is None and on is None:
        yield clash(path, "asks nothing; give worse_by_at_most")
    if margin is not None and (margin.unit not in ("", "pp") or margin.value < 0):
        why = "a margin is a difference of 0 or more: 0.002 or 1pp"
        yield clash((*path, "worse_by_at_most"), why)
