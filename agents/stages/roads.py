"""ONE table: every road that a model can take. A pair that is not here cannot happen."""

from collections.abc import Mapping
from types import MappingProxyType

from agents.events import (
    ArmsObserved,
    PairsJoined,
    QualityMatured,
    RegistryObserved,
    Ticked,
)
from agents.incidents import IncidentChanged
from agents.stages import (
    attempts,
    canary,
    evaluate,
    notes,
    people,
    probation,
    promote,
    refit,
    register,
    registry,
    retreat,
    train,
)
from agents.stages.contract import Decide, Road, Trigger
from agents.stages.state import LIVE, PREPARING, Stage

S = Stage


def _road(decide: Decide, *to: Stage) -> Road:
    return Road(decide=decide, to=frozenset(to))


def _everywhere() -> dict[tuple[Stage, Trigger], Road]:
    """What may happen in every stage and leaves it as it is, unless a later row says more."""
    rows: dict[tuple[Stage, Trigger], Road] = {}
    for stage in Stage:
        rows[stage, IncidentChanged] = _road(notes.on_incident, stage)
        rows[stage, QualityMatured] = _road(notes.on_labels, stage)
        rows[stage, RegistryObserved] = _road(registry.observe, stage)
        rows[stage, "profile ended"] = _road(registry.profile_ended, stage)
        rows[stage, "traffic ended"] = _road(people.traffic_ended, stage)
        rows[stage, "pause"] = _road(people.pause, stage)
        rows[stage, "resume"] = _road(people.resume, stage)
    for stage in PREPARING:
        rows[stage, IncidentChanged] = _road(notes.on_incident, stage, S.WATCHING)
        rows[stage, RegistryObserved] = _road(registry.observe, stage, S.WATCHING, S.HELD)
        rows[stage, "refuse"] = _road(attempts.ask_refuse, S.WATCHING)
    for stage in LIVE - {S.PROBATION}:
        rows[stage, RegistryObserved] = _road(registry.observe, stage, S.ROLLING_BACK)
        rows[stage, "traffic ended"] = _road(canary.traffic_ended, stage, S.ROLLING_BACK)
        rows[stage, PairsJoined] = _road(canary.on_pairs, stage, S.ROLLING_BACK)
        rows[stage, ArmsObserved] = _road(canary.on_answers, stage, S.ROLLING_BACK)
    for stage in LIVE:
        rows[stage, "rollback"] = _road(retreat.ask_rollback, S.ROLLING_BACK)
    return rows


ROADS: Mapping[tuple[Stage, Trigger], Road] = MappingProxyType(
    {
        **_everywhere(),
        (S.WATCHING, Ticked): _road(train.tick, S.WATCHING, S.TRAINING),
        (S.WATCHING, RegistryObserved): _road(registry.observe, S.WATCHING, S.HELD),
        (S.WATCHING, "retrain"): _road(train.ask, S.WATCHING),
        (S.WATCHING, "canary"): _road(register.ask_canary, S.WATCHING, S.REGISTERING),
        (S.WATCHING, "rollback"): _road(retreat.ask_rollback, S.WATCHING, S.ROLLING_BACK),
        (S.TRAINING, "train ended"): _road(train.ended, S.TRAINING, S.EVALUATING, S.WATCHING),
        (S.TRAINING, Ticked): _road(train.again, S.TRAINING, S.WATCHING),
        (S.EVALUATING, "evaluate ended"): _road(
            evaluate.ended, S.EVALUATING, S.REFITTING, S.WATCHING
        ),
        (S.EVALUATING, Ticked): _road(evaluate.tick, S.EVALUATING, S.WATCHING),
        (S.REFITTING, "refit ended"): _road(refit.ended, S.REFITTING, S.REGISTERING, S.WATCHING),
        (S.REFITTING, Ticked): _road(refit.tick, S.REFITTING),
        (S.REGISTERING, "challenger ended"): _road(
            register.ended, S.REGISTERING, S.CANARY, S.AWAITING_APPROVAL, S.WATCHING
        ),
        (S.REGISTERING, Ticked): _road(register.tick, S.REGISTERING),
        (S.CANARY, Ticked): _road(
            canary.tick, S.CANARY, S.AWAITING_APPROVAL, S.PROMOTING, S.ROLLING_BACK
        ),
        (S.CANARY, "promote"): _road(canary.ask_promote, S.PROMOTING),
        (S.CANARY, "refuse"): _road(canary.ask_refuse, S.ROLLING_BACK),
        (S.AWAITING_APPROVAL, Ticked): _road(
            promote.approval_tick, S.AWAITING_APPROVAL, S.ROLLING_BACK
        ),
        (S.AWAITING_APPROVAL, "approve"): _road(
            promote.ask_approve, S.AWAITING_APPROVAL, S.PROMOTING
        ),
        (S.AWAITING_APPROVAL, "promote"): _road(canary.ask_promote, S.PROMOTING),
        (S.AWAITING_APPROVAL, "refuse"): _road(canary.ask_refuse, S.ROLLING_BACK),
        (S.PROMOTING, "alias ended"): _road(
            promote.ended, S.PROMOTING, S.PROBATION, S.ROLLING_BACK, S.WATCHING
        ),
        (S.PROMOTING, Ticked): _road(promote.tick, S.PROMOTING),
        (S.PROBATION, PairsJoined): _road(probation.on_pairs, S.PROBATION, S.ROLLING_BACK),
        (S.PROBATION, ArmsObserved): _road(probation.on_answers, S.PROBATION, S.ROLLING_BACK),
        (S.PROBATION, Ticked): _road(probation.tick, S.PROBATION, S.WATCHING),
        (S.PROBATION, RegistryObserved): _road(
            registry.observe, S.PROBATION, S.ROLLING_BACK, S.HELD
        ),
        (S.ROLLING_BACK, "traffic ended"): _road(retreat.ended, S.ROLLING_BACK),
        (S.ROLLING_BACK, "alias ended"): _road(retreat.ended, S.ROLLING_BACK, S.WATCHING, S.HELD),
        (S.ROLLING_BACK, "tag ended"): _road(retreat.ended, S.ROLLING_BACK, S.WATCHING, S.HELD),
        (S.ROLLING_BACK, Ticked): _road(retreat.tick, S.ROLLING_BACK),
        (S.ROLLING_BACK, "rollback"): _road(retreat.ask_again, S.ROLLING_BACK),
        (S.HELD, "resume"): _road(registry.ask_resume, S.WATCHING, S.HELD),
        (S.HELD, "rollback"): _road(retreat.ask_rollback, S.HELD, S.ROLLING_BACK),
    }
)
