"""The offline gate: is the candidate, on rows that no training saw, as good as the policy asks?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from driftd.data.scores import QUALITY, Scores, difference_error, measure
from policies.metrics import METRICS
from policies.specs import GateSpec

Verdict = Literal["pass", "fail", "not_evaluable"]
LABELS_MIN, CLASS_MIN = 500, 20
LATENCIES = tuple(name for name in METRICS if name.startswith("latency_p"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One metric. ``gain`` > 0 is better; ``error``: its standard error, clustered by subject."""

    metric: str
    candidate: float
    champion: float | None = None
    gain: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """``verdict`` with all its reasons, one sentence each; ``n`` labels were judged on."""

    verdict: Verdict
    reasons: tuple[str, ...]
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    n: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The result of the command, plain values."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "metrics": self.metrics,
            "n": self.n,
        }


def enough(labels: int, positives: int, since: str) -> str:
    """Why so few labels cannot decide, or nothing. ``since`` says what they are counted from."""
    if labels < LABELS_MIN:
        return f"{labels} labels {since}, {LABELS_MIN} are needed"
    rarer = min(positives, labels - positives)
    if rarer < CLASS_MIN:
        kind = "positive" if positives <= labels - positives else "negative"
        return f"{rarer} {kind} labels {since}, {CLASS_MIN} are needed"
    return ""


def judge(
    candidate: Scores,
    champion: Scores | None,
    *,
    gate: Sequence[GateSpec],
    must_improve: str = "",
) -> EvaluationResult:
    """Every condition is asked, so that every reason is told; all must hold.

    ``champion`` None: there is none yet, and only the absolute conditions are asked.
    """
    table = {name: compare(name, candidate, champion) for name in (*QUALITY, *LATENCIES)}
    held: list[bool] = []
    reasons: list[str] = []
    unknown = False
    if must_improve and champion is not None:
        if must_improve in table:
            said = _must_improve(table[must_improve])
            held.append(said[0])
            reasons.append(said[1])
        else:
            unknown = True
            reasons.append(f"{must_improve} must improve, and cannot be measured on archived data")
    for spec in gate:
        compared = table.get(spec.metric)
        if compared is None:
            unknown = True
            reasons.append(f"{spec.name}: {spec.metric} cannot be measured on archived data")
            continue
        if spec.comparison in ("better_by", "worse_by_at_most") and champion is None:
            reasons.append(f"{spec.name}: not asked, there is no champion yet")
            continue
        said = _ask(spec, compared)
        held.append(said[0])
        reasons.append(said[1])
    verdict: Verdict = "fail" if not all(held) else "not_evaluable" if unknown else "pass"
    return EvaluationResult(
        verdict=verdict,
        reasons=tuple(reasons) or ("the policy asks for nothing",),
        metrics={name: _numbers(compared) for name, compared in table.items()},
        n=len(candidate.label),
    )


def compare(metric: str, candidate: Scores, champion: Scores | None) -> Compared:
    """A metric of both on the same rows; the gain is positive where the candidate is better."""
    value, influence = measure(candidate, metric)
    if champion is None:
        return Compared(metric=metric, candidate=value)
    other, others = measure(champion, metric)
    gain = other - value if METRICS[metric].worse == "up" else value - other
    return Compared(
        metric=metric,
        candidate=value,
        champion=other,
        gain=gain,
        error=difference_error(influence, others, candidate.subject),
    )


def _must_improve(compared: Compared) -> tuple[bool, str]:
    gain = compared.gain if compared.gain is not None else float("nan")
    return gain > 0, f"{_told(compared)}; it raised the incident and must improve"


def _ask(spec: GateSpec, compared: Compared) -> tuple[bool, str]:
    amount = spec.amount
    scale = {"%": 0.01, "pp": 0.01, "s": 1000.0}.get(amount.unit, 1.0)
    wanted = amount.value * scale
    # A comparison with NaN is False: what cannot be measured holds no condition.
    if spec.comparison == "below":
        return compared.candidate < wanted, f"{spec.name}: {_told(compared)}"
    if spec.comparison == "above":
        return compared.candidate > wanted, f"{spec.name}: {_told(compared)}"
    gain, champion = compared.gain, compared.champion
    if gain is None or champion is None:
        return False, f"{spec.name}: {_told(compared)}"
    if amount.unit == "%":
        wanted *= abs(champion)
    elif amount.unit == "x":
        wanted = (amount.value - 1) * abs(champion)
    margin = wanted if spec.comparison == "better_by" else -wanted
    return gain >= margin, f"{spec.name}: {_told(compared)}"


def _told(compared: Compared) -> str:
    text = f"{compared.metric} {compared.candidate:.4g}"
    if compared.champion is None or compared.gain is None or compared.error is None:
        return text
    spread = f" ± {compared.error:.2g}" if isfinite(compared.error) else ""
    way = "better" if compared.gain > 0 else "worse"
    return f"{text} against {compared.champion:.4g}, {way} by {abs(compared.gain):.3g}{spread}"


def _numbers(compared: Compared) -> dict[str, float]:
    """Only what is a number: NaN has no place in JSON."""
    values = {
        "candidate": compared.candidate,
        "champion": compared.champion,
        "gain": compared.gain,
        "error": compared.error,
    }
    return {key: value for key, value in values.items() if value is not None and isfinite(value)}
