"""What fails is tried again, under another name and not for ever; what is due is not done twice."""

from dataclasses import replace
from itertools import pairwise

import pytest

from agents.commands import (
    AnyCommand,
    Evaluate,
    MarkChallenger,
    MoveAlias,
    SetTraffic,
    TagVersion,
    Train,
)
from agents.stages.notes import labels_since
from agents.stages.state import LABEL_MARKS_MAX, Stage
from policies.specs import Schedule
from tests.support.story import DAY, RETRAIN, START, Story, World, policy

WAITS_IN = {
    Evaluate: Stage.EVALUATING,
    MarkChallenger: Stage.REGISTERING,
    MoveAlias: Stage.PROMOTING,
    TagVersion: Stage.ROLLING_BACK,
}


@pytest.mark.parametrize("kind", WAITS_IN, ids=lambda kind: kind.__name__)
def test_a_command_that_failed_once_is_sent_again_under_another_name(
    kind: type[AnyCommand],
) -> None:
    story = Story(world=World(fails={kind})).known()
    story.open()
    gain = -0.2 if kind is TagVersion else 0.1
    story.until(WAITS_IN[kind], gain)
    story.world.fails.clear()
    story.day(gain)

    first, second = story.of(kind)
    assert first.op_id != second.op_id
    assert replace_name(first) == replace_name(second)
    assert story.stage() is not WAITS_IN[kind]


def replace_name(command: AnyCommand) -> dict[str, object]:
    """A command without its name, and without the tag that holds it."""
    values = {name: getattr(command, name) for name in command.__struct_fields__}
    return {name: value for name, value in values.items() if name not in {"op_id", "tags"}}


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        (Evaluate, Stage.WATCHING),
        (MarkChallenger, Stage.WATCHING),
        (MoveAlias, Stage.HELD),
    ],
    ids=["evaluation", "registration", "promotion"],
)
def test_a_command_that_fails_again_and_again_is_left(kind: type[AnyCommand], end: Stage) -> None:
    once = replace(RETRAIN, attempts=1)
    story = Story(spec=policy(retrain=once), world=World(fails={kind})).known()
    story.open()
    story.days(40, 0.1)

    assert story.stage() is end
    assert len(story.of(kind)) == 5
    assert story.world.aliases["champion"] == "1"
    assert story.state.barred == ()


def test_a_refit_that_failed_is_no_second_training() -> None:
    story = Story().known()
    story.open()
    story.world.slow = {Evaluate}
    story.tick()
    story.world.fails = {Train}
    story.world.slow.clear()
    story.execute()
    assert story.stage() is Stage.REFITTING
    story.world.fails.clear()
    story.day()

    assert [command.phase for command in story.of(Train)] == ["gate", "refit", "refit"]
    assert story.state.trainings_total == 1
    assert story.stage() is Stage.CANARY


def test_a_second_attempt_keeps_to_the_ceiling() -> None:
    spec = policy(retrain=replace(RETRAIN, trainings_max=1))
    story = Story(spec=spec, world=World(fails={Train})).known()
    story.open()
    story.days(60)

    assert len(story.of(Train)) == 1


def test_traffic_back_is_tried_until_the_router_takes_it() -> None:
    story = Story().in_canary()
    story.world.fails = {SetTraffic}
    story.until(Stage.ROLLING_BACK, -0.2)
    story.days(2)
    assert story.stage() is Stage.ROLLING_BACK
    story.world.fails.clear()
    story.days(2)

    assert story.stage() is Stage.WATCHING
    assert story.world.routing is not None
    assert [route.version for route in story.world.routing.routes] == ["1"]


def test_a_person_can_hurry_a_way_back() -> None:
    story = Story(world=World(fails={TagVersion})).in_canary()
    story.until(Stage.ROLLING_BACK, -0.2)
    story.world.fails.clear()
    story.ask("rollback")
    story.tick()

    assert story.stage() is Stage.WATCHING


def test_a_slot_of_a_schedule_trains_once() -> None:
    monday = Schedule(cron="0 2 * * 1")
    weekly = replace(RETRAIN, on_quality=False, cooldown_s=DAY, schedules=(monday,))
    story = Story(spec=policy(retrain=weekly), world=World(verdict="fail")).known()
    story.days(50)

    gates = story.of(Train)
    assert len({command.op_id for command in gates}) == len(gates)
    assert {b.until - a.until for a, b in pairwise(gates)} == {7 * DAY}
    assert {command.attempt for command in gates} == {1}


def test_a_training_waits_for_labels_since_the_onset() -> None:
    patient = replace(RETRAIN, labels_since_onset=1_000)
    story = Story(spec=policy(retrain=patient)).known()
    story.open(onset=story.at)
    story.days(3)
    assert story.of(Train) == []
    story.day()

    assert len(story.of(Train)) == 2
    assert story.words().count("wait") == 1, "why it waits is told once"


def test_labels_are_counted_since_an_onset_and_never_too_many() -> None:
    story = Story(spec=policy(mode="alert")).known()
    story.days(3 * LABEL_MARKS_MAX)

    assert len(story.state.labels) <= LABEL_MARKS_MAX
    assert labels_since(story.state, START) == story.state.labels_total
    assert labels_since(story.state, story.at - 10 * DAY) == 3_000
    old = labels_since(story.state, START + 100.5 * DAY)
    true = story.state.labels_total - 101 * 300
    assert 0.7 * true <= old <= true, "coarser with age, and on the safe side"
    assert labels_since(story.state, story.at) == 0


@pytest.mark.parametrize(
    ("changes", "verb", "why"),
    [
        ({"retrain": None}, "retrain", "has no `retrain`"),
        ({"mode": "observe"}, "retrain", "observe"),
        ({"mode": "observe"}, "canary", "observe"),
        ({"mode": "observe"}, "rollback", "observe"),
        ({"canary": None}, "canary", "has no `canary`"),
        ({}, "rollback", "no previous version"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_refused_with_its_reason(
    changes: dict[str, object], verb: str, why: str
) -> None:
    story = Story(spec=policy(**changes)).known()  # type: ignore[arg-type]
    before = len(story.commands)
    story.ask(verb, version="9")

    assert why in story.decisions[-1].why
    assert story.commands[before:] == []
    assert story.stage() is Stage.WATCHING


@pytest.mark.parametrize(("version", "why"), [("", "names no version"), ("1", "is the champion")])
def test_only_another_version_can_challenge(version: str, why: str) -> None:
    story = Story().known()
    story.ask("canary", version=version)

    assert why in story.decisions[-1].why


def test_the_first_version_of_a_model_is_a_persons_decision() -> None:
    story = Story(world=World(aliases={}))
    story.days(3)
    assert story.state.champion == ""
    story.ask("retrain")
    story.days(2)
    assert story.stage() is Stage.AWAITING_APPROVAL
    story.ask("approve")

    assert story.state.champion == story.world.aliases["champion"] == "3"
    assert story.stage() is Stage.WATCHING
