"""What the judges of a rollout have seen, and what follows: harm, proof, or neither yet."""

from hashlib import sha256

import msgspec

from agents.events import ArmsObserved, PairsJoined
from agents.stages.answers import ERRORS, quantile_of, with_answers
from agents.stages.levels import Levels
from agents.stages.pairs import LOSSES, day_effect, with_pairs
from agents.stages.state import Judge, Rollout
from policies.specs import CanarySpec, JudgeSpec, StepSpec

# Nothing is promoted without a judge: a canary that names none has this one.
JUDGES_DEFAULT = (JudgeSpec(name="brier", metric="brier", worse_by_at_most=0.0),)
DIGEST_CHARACTERS = 16


def judge_specs(canary: CanarySpec) -> tuple[JudgeSpec, ...]:
    """The judges of a canary, at least one. ValueError where nobody can judge a metric."""
    specs = canary.judge or JUDGES_DEFAULT
    for spec in specs:
        if spec.metric not in LOSSES and spec.metric != ERRORS:
            quantile_of(spec.metric)
    return specs


def open_judges(canary: CanarySpec) -> tuple[Judge, ...]:
    """Judges that have seen nothing yet."""
    return tuple(Judge(name=spec.name, metric=spec.metric) for spec in judge_specs(canary))


def judge_pairs(
    canary: CanarySpec,
    judges: tuple[Judge, ...],
    event: PairsJoined,
    *,
    judged: str,
    step: int,
) -> tuple[Judge, ...]:
    """The judges after a batch of pairs; those of operational metrics are left as they are."""
    levels = Levels.of(canary, len(judge_specs(canary)))
    return tuple(
        with_pairs(spec, judge, event, judged=judged, step=step, levels=levels)
        if spec.metric in LOSSES
        else judge
        for spec, judge in _aligned(canary, judges)
    )


def judge_answers(
    canary: CanarySpec,
    judges: tuple[Judge, ...],
    event: ArmsObserved,
    *,
    judged: str,
    opponent: str,
    step: int,
) -> tuple[Judge, ...]:
    """The judges after an increment of both arms; those of quality are left as they are."""
    levels = Levels.of(canary, len(judge_specs(canary)))
    return tuple(
        with_answers(
            spec,
            judge,
            event,
            judged=judged,
            opponent=opponent,
            step=step,
            levels=levels,
        )
        if spec.metric not in LOSSES
        else judge
        for spec, judge in _aligned(canary, judges)
    )


def harmful(judges: tuple[Judge, ...]) -> Judge | None:
    """The judge that has found harm, at any time: the strongest, or None."""
    found = [judge for judge in judges if judge.harm >= 1.0]
    return max(found, key=lambda judge: judge.harm, default=None)


def proven(judges: tuple[Judge, ...]) -> bool:
    """Whether every judge has proof that holds now. Absence of evidence is none."""
    return bool(judges) and all(judge.proof >= 1.0 and judge.seen > 0 for judge in judges)


def all_saw(judges: tuple[Judge, ...], number: int, step: StepSpec) -> bool:
    """Whether every judge has seen something of step ``number``: labels that wait are no evidence.

    Without shadow answers there are no pairs, without live weight there is no live latency; who
    cannot see anything in a step is not waited for.
    """
    for judge in judges:
        blind = step.shadow <= 0 if judge.metric in LOSSES else step.weight <= 0
        if judge.metric == ERRORS:
            blind = step.shadow <= 0 and step.weight <= 0
        if judge.step < number and not blind:
            return False
    return True


def in_words(judges: tuple[Judge, ...]) -> str:
    """E.g. ``brier: proof 0.42, harm 0.00 (1,204 seen)``, judges separated by ``; ``."""
    return "; ".join(
        f"{judge.name}: proof {max(0.0, judge.proof):.2f}, harm {max(0.0, judge.harm):.2f} "
        f"({judge.seen:,} seen)"
        for judge in judges
    )


def told(rollout: Rollout) -> dict[str, object]:
    """The evidence as a decision keeps it: the candidate, and what each judge found."""
    judges = {
        judge.name: {
            "harm": round(judge.harm, 4),
            "proof": round(judge.proof, 4),
            "seen": judge.seen,
            "days": len(judge.days),
            "day_effect": day_effect(judge.days),
            **_sums(judge),
        }
        for judge in rollout.judges
    }
    return {"candidate": rollout.candidate, "gate": rollout.gate, "judges": judges}


def digest(judges: tuple[Judge, ...]) -> str:
    """Names this evidence: what a person approves is exactly what that person was shown."""
    return sha256(msgspec.msgpack.encode(judges)).hexdigest()[:DIGEST_CHARACTERS]


def _sums(judge: Judge) -> dict[str, object]:
    names: tuple[str, ...]
    if judge.metric in LOSSES:
        names = ("n", "total")
    else:
        names = ("challenger_events", "challenger_n", "champion_events", "champion_n")
    return {name: judge.engine[name] for name in names if name in judge.engine}


def _aligned(canary: CanarySpec, judges: tuple[Judge, ...]) -> tuple[tuple[JudgeSpec, Judge], ...]:
    # A policy may change during a rollout: a new judge starts with nothing, one that is gone or
    # asks about another metric is forgotten.
    known = {(judge.name, judge.metric): judge for judge in judges}
    return tuple(
        (spec, known.get((spec.name, spec.metric), Judge(name=spec.name, metric=spec.metric)))
        for spec in judge_specs(canary)
    )
