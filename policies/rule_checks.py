"""Which combinations of a threshold rule's keys mean something."""

from collections.abc import Iterator, Mapping

from policies.clashes import Clash, Platform, clash, unnamed
from policies.document import RuleDocument
from policies.metrics import KS_P, METRICS, Metric, Unit
from policies.mistakes import Path, listed, nearest
from policies.queries import QUERY_UNITS
from policies.specs import Amount
from policies.units import DAY_S, amount_text, duration_text

COMPARISONS = ("above", "below", "worse_by", "falling_for")
FALLING_DAYS_MAX = 31
# `ks` of the predicted label was accepted before; policies in force say it, and a notice tells.
_NUMBERS_ONLY = ("ks_p", "wasserstein")
# Which units a comparison may have, by the metric's own.
_LEVEL_UNITS: Mapping[Unit, tuple[str, ...]] = {
    "share": ("", "%"),
    "ms": ("ms", "s"),
    "per second": ("",),
    "number": ("",),
}
_CHANGE_UNITS: Mapping[Unit, tuple[str, ...]] = {
    "share": ("%", "pp", ""),
    "ms": ("%", "ms", "s"),
    "per second": ("%",),
    "number": ("", "%"),
}
_SPELT = {"": "a bare number", "%": "percent (5%)", "pp": "points (5pp)", "x": "a ratio (1.2x)"}


def rule_clashes(rule: RuleDocument, path: Path, platform: Platform | None) -> Iterator[Clash]:
    """Everything that is wrong with one rule."""
    if (rule.metric is None) == (rule.query is None):
        both = rule.metric is not None
        why = "has a metric and a query; make two rules" if both else "needs a metric (or a query)"
        yield clash(path, why)
        return
    given = [name for name in COMPARISONS if getattr(rule, name) is not None]
    if len(given) != 1:
        some = f"has {listed(given, 'and')}; make {len(given)} rules"
        yield clash(path, some if given else f"asks nothing; give one of {listed(COMPARISONS)}")
        return
    if rule.query is not None:
        yield from _query(rule, given[0], path, platform)
        return
    metric = METRICS.get(str(rule.metric))
    if metric is None:
        yield unknown_metric(str(rule.metric), (*path, "metric"), tuple(METRICS))
        return
    yield from _shape(rule, metric, given[0], path)
    yield from _reference(rule, metric, path)
    yield from _amounts(rule, metric, given[0], path)


def unknown_metric(name: str, path: Path, known: tuple[str, ...]) -> Clash:
    """A name that the catalog does not have, or not for this purpose."""
    meant = nearest(name, known)
    why = f"there is no metric {name!r}" if name not in METRICS else f"{name} is not known here"
    return clash(
        path, why if meant else f"{why}; there are {listed(known, 'and')}", suggestion=meant
    )


def level_clash(amount: Amount, metric: Metric, path: Path, *, above: bool) -> Clash | None:
    """A fixed level that has the wrong unit, or that the metric can never pass."""
    if amount.unit not in _LEVEL_UNITS[metric.unit]:
        return clash(path, _unit_wanted(amount, metric.name, _LEVEL_UNITS[metric.unit]))
    value = amount.value / 100 if amount.unit == "%" else amount.value
    if metric.unit == "share" and not (0 <= value < 1 if above else 0 < value <= 1):
        word = "above" if above else "below"
        return clash(path, f"{metric.name} is a share of 1 and never {word} {amount_text(amount)}")
    if metric.unit in ("ms", "per second") and value < 0:
        return clash(path, f"{metric.name} is never negative")
    return None


def change_clash(amount: Amount, metric: Metric, path: Path) -> Clash | None:
    """A change that has the wrong unit or goes the wrong way."""
    if amount.unit not in _CHANGE_UNITS[metric.unit]:
        return clash(path, _unit_wanted(amount, metric.name, _CHANGE_UNITS[metric.unit]))
    if amount.value < 0:
        return clash(path, f"{amount_text(amount)} is negative; a change is written by its size")
    if amount.unit == "%" and metric.worse == "down" and amount.value >= 100:
        return clash(path, f"{metric.name} cannot fall by {amount_text(amount)}")
    return None


def _query(
    rule: RuleDocument, comparison: str, path: Path, platform: Platform | None
) -> Iterator[Clash]:
    if platform is not None and rule.query not in platform.queries:
        yield unnamed("query", str(rule.query), platform.queries, (*path, "query"))
    if comparison not in ("above", "below"):
        why = "a query's value has no reference; use above or below"
        yield clash((*path, comparison), why, (*path, "query"), about="key")
    else:
        yield from _query_level(getattr(rule, comparison), (*path, comparison), comparison)
    for key in ("of", "than", "by", "min_events"):
        if getattr(rule, key) is not None:
            yield clash((*path, key), "means nothing for a query", about="key")
    if rule.confidence == "sequential":
        why = "a query gives a number without counts; only point compares it"
        yield clash((*path, "confidence"), why)


def _query_level(amount: Amount, path: Path, comparison: str) -> Iterator[Clash]:
    if amount.unit not in QUERY_UNITS:
        yield clash(path, _unit_wanted(amount, "a query", tuple(QUERY_UNITS)))
    elif amount.unit == "%":
        share = amount.value / 100
        if not (0 <= share < 1 if comparison == "above" else 0 < share <= 1):
            why = f"in percent a query is a share of 1 and never {comparison} {amount_text(amount)}"
            yield clash(path, f"{why}; write a bare number")


def _shape(rule: RuleDocument, metric: Metric, comparison: str, path: Path) -> Iterator[Clash]:
    """Keys that belong to another kind of rule."""
    if rule.of is not None and not metric.of:
        why = f"{metric.name} is of the whole model, not of a stream"
        yield clash((*path, "of"), why, (*path, "metric"), about="key")
    if metric is KS_P:
        yield from _p_value(rule, comparison, path)
    if rule.of == "prediction" and metric.name in _NUMBERS_ONLY:
        why = f"the predicted label is a name, and {metric.name} is of numbers; write psi"
        yield clash((*path, "of"), why, (*path, "metric"))
    if rule.confidence == "sequential" and rule.min_events is not None:
        why = "sequential evidence counts every event; min_events is for point rules"
        yield clash((*path, "min_events"), why, (*path, "confidence"), about="key")
    if comparison != "falling_for":
        if rule.by is not None:
            yield clash((*path, "by"), "belongs to falling_for", about="key")
        return
    days = float(rule.falling_for or 0) / DAY_S
    if days != int(days) or not 2 <= days <= FALLING_DAYS_MAX:
        why = f"must be whole days, 2d to {FALLING_DAYS_MAX}d; days are what is compared"
        yield clash((*path, "falling_for"), why)
    if rule.over is not None:
        why = f"falling_for compares days; leave over={duration_text(rule.over)} out"
        yield clash((*path, "over"), why, (*path, "falling_for"), about="key")
    if rule.confidence == "sequential":
        why = "falling_for counts days in a row; only point does that"
        yield clash((*path, "confidence"), why, (*path, "falling_for"))


def _p_value(rule: RuleDocument, comparison: str, path: Path) -> Iterator[Clash]:
    if comparison != "below":
        why = f"{KS_P.name} is small when something changed; use below"
        yield clash((*path, comparison), why, (*path, "metric"), about="key")
    if rule.confidence == "sequential":
        why = f"{KS_P.name} gathers no evidence over time; watch.drift does that with ks"
        yield clash((*path, "confidence"), why, (*path, "metric"))


def _reference(rule: RuleDocument, metric: Metric, path: Path) -> Iterator[Clash]:
    """`than`: only beside worse_by, and only a reference that knows the metric."""
    than = (*path, "than")
    if rule.worse_by is None:
        if rule.than is not None:
            yield clash(
                than, "belongs to worse_by; above and below compare with a number", about="key"
            )
        return
    if metric is KS_P:
        return
    if not metric.against:
        why = f"{metric.name} is itself a distance from the baseline; use above"
        yield clash((*path, "worse_by"), why, (*path, "metric"), about="key")
        return
    known = listed(sorted(metric.against))
    if rule.than is None:
        yield clash((*path, "than"), f"is missing; worse than what? write {known}", about="section")
    elif rule.than == "champion":
        why = f"rules watch the champion itself; write {known}"
        yield clash(than, why)
    elif rule.than not in metric.against:
        what = "is known by its labels only" if metric.needs_labels else "is no part of training"
        yield clash(than, f"{metric.name} {what}; write {known}", (*path, "metric"))


def _amounts(rule: RuleDocument, metric: Metric, comparison: str, path: Path) -> Iterator[Clash]:
    found: list[Clash | None] = []
    where = (*path, comparison)
    if rule.above is not None:
        found.append(level_clash(rule.above, metric, where, above=True))
    if rule.below is not None:
        found.append(level_clash(rule.below, metric, where, above=False))
    if rule.worse_by is not None:
        found.append(change_clash(rule.worse_by, metric, where))
        if rule.worse_by.value == 0 and rule.confidence == "point":
            found.append(clash(where, "must be more than 0, or half of all windows would alarm"))
    if rule.by is not None and comparison == "falling_for":
        found.append(change_clash(rule.by, metric, (*path, "by")))
    yield from (one for one in found if one is not None)


def _unit_wanted(amount: Amount, name: str, units: tuple[str, ...]) -> str:
    wanted = listed([_SPELT.get(unit, f"{unit} (100{unit})") for unit in units])
    return f"{amount_text(amount)} does not fit {name}; write {wanted}"
