"""The table of roads: every pair of stage and event is walked, and the docs show the same table."""

from pathlib import Path

import numpy as np
import pytest

from agents.events import (
    Arm,
    ArmCounts,
    ArmsObserved,
    CommandDone,
    OperatorAsked,
    PairsJoined,
    PaneClosed,
    QualityMatured,
    RegistryObserved,
    Ticked,
)
from agents.incidents import IncidentChanged
from agents.lifecycle import ROADS, Lifecycle, LifecycleState
from agents.stages.contract import VERBS, LifecycleEvent, Trigger
from agents.stages.diagram import mermaid
from agents.stages.state import (
    Approval,
    Attempt,
    Op,
    OpKind,
    Retreat,
    Rollout,
    Stage,
)
from tests.support.story import DAY, START, incident, policy

OPS: tuple[OpKind, ...] = (
    "train", "evaluate", "refit", "challenger", "traffic", "alias", "tag", "profile",
)  # fmt: skip
OBSERVATIONS = (
    ArmsObserved, IncidentChanged, PairsJoined, QualityMatured, RegistryObserved, Ticked,
)  # fmt: skip
TRIGGERS: tuple[Trigger, ...] = (
    *OBSERVATIONS, *sorted(VERBS), *(f"{kind} ended" for kind in OPS),
)  # fmt: skip
SPEC = policy()


def standing(stage: Stage, kind: OpKind | None = None) -> LifecycleState:
    """A model in that stage, with everything that it may need, waiting for a command."""
    champion, previous = ("3", "1") if stage is Stage.PROBATION else ("1", "0")
    return LifecycleState(
        stage=stage,
        champion=champion,
        previous=previous,
        registry=champion,
        profile=champion,
        started=START,
        epoch=4,
        attempt=Attempt(cause="quality-1", number=1, since=START - DAY, until=START, version="2"),
        rollout=Rollout(candidate="3", cause="quality-1", number=1, began=START, step_began=START),
        approval=Approval(version="3", revision=0, evidence="", expires=START + 9 * DAY),
        retreat=Retreat(kind="harmful", version="3", why="worse"),
        held="a foreign hand was there",
        ops=(Op(op_id="op", kind=kind),) if kind is not None else (),
    )


def event(trigger: Trigger, outcome: str = "done") -> LifecycleEvent:
    if isinstance(trigger, str):
        if trigger in VERBS:
            arguments = {"version": "9"} if trigger == "canary" else {}
            return OperatorAsked(verb=trigger, by="ana", arguments=arguments, request_id="r")
        return CommandDone(op_id="op", kind="k", outcome=outcome, result={"version": "3"})  # type: ignore[arg-type]
    one = np.ones(1)
    events: dict[object, LifecycleEvent] = {
        ArmsObserved: ArmsObserved(at=START + 1, arms={Arm("3", "challenger"): ArmCounts(n=5)}),
        IncidentChanged: IncidentChanged(
            change="opened", incident=incident("data_fault", onset=START - 9.0), at=START
        ),
        PairsJoined: PairsJoined(
            start=START,
            end=START + DAY,
            champion="1",
            challenger="3",
            subject=np.ones(1, np.int64),
            champion_score=one,
            challenger_score=one,
            label=np.ones(1, np.int64),
        ),
        QualityMatured: QualityMatured(start=START, end=START + DAY),
        RegistryObserved: RegistryObserved(champion="8", challenger=None, previous=None),
        Ticked: Ticked(now=START + DAY, watermark=START + DAY),
    }
    return events[trigger]


def kind_of(trigger: Trigger) -> OpKind | None:
    return next((kind for kind in OPS if trigger == f"{kind} ended"), None)


@pytest.mark.parametrize("outcome", ["done", "failed", "refused"])
@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda t: t if isinstance(t, str) else t.__name__)
@pytest.mark.parametrize("stage", Stage)
def test_a_pair_leads_where_the_table_says_or_nowhere(
    stage: Stage, trigger: Trigger, outcome: str
) -> None:
    before = standing(stage, kind_of(trigger))

    step = Lifecycle(SPEC).handle(before, event(trigger, outcome), START + DAY)

    road = ROADS.get((stage, trigger))
    if road is not None:
        assert step.state.stage in road.to
        return
    assert step.state == before
    assert step.commands == ()
    heard = [decided for decided in step.decisions if "ignored because" in decided.why]
    assert len(heard) == (0 if trigger in OBSERVATIONS else 1)


def test_every_stage_has_a_way_for_a_person() -> None:
    # Rolling back goes on by itself; there, a person can only hurry it.
    ways = {
        stage: [verb for verb in VERBS - {"pause"} if (stage, verb) in ROADS] for stage in Stage
    }

    assert all(set(verbs) - {"resume"} for verbs in ways.values())


def test_every_stage_can_be_reached_and_left() -> None:
    arrows = {(a, b) for (a, _), road in ROADS.items() for b in road.to - {a}}

    assert {b for _, b in arrows} == set(Stage)
    assert {a for a, _ in arrows} == set(Stage)


def test_the_table_has_no_row_for_an_event_that_does_not_exist() -> None:
    assert {trigger for _, trigger in ROADS} <= set(TRIGGERS)


def test_the_end_of_an_unknown_command_is_told_and_changes_nothing() -> None:
    before = standing(Stage.TRAINING, "train")
    stray = CommandDone(op_id="other", kind="train", outcome="done", result={"version": "9"})

    step = Lifecycle(SPEC).handle(before, stray, START)

    assert step.state == before
    assert "nobody waits for it" in step.decisions[0].why


def test_what_others_hear_is_not_our_business() -> None:
    before = standing(Stage.WATCHING)
    lifecycle = Lifecycle(SPEC)

    for other in (PaneClosed(start=0.0, end=1.0), OperatorAsked(verb="accept", by="ana")):
        step = lifecycle.handle(before, other, START)
        assert (step.state, step.commands, step.decisions) == (before, (), ())


def test_the_docs_show_this_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "lifecycle.md").read_text(encoding="utf-8")

    assert f"```mermaid\n{mermaid()}```" in page, f"put this into docs/lifecycle.md:\n{mermaid()}"
