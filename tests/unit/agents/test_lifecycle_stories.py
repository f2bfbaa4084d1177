"""Whole stories of a model, told by the day: what it costs, what it brings, what it never does."""

from agents.commands import (
    Evaluate,
    LoadProfile,
    MoveAlias,
    Route,
    SetTraffic,
    Shadow,
    TagVersion,
    Train,
)
from agents.lifecycle import desired_routing
from agents.stages.state import Stage
from policies.specs import PromoteSpec
from tests.support.story import CANARY, DAY, RETRAIN, Story, World, policy


def test_a_quality_incident_trains_once_on_part_and_once_on_everything() -> None:
    story = Story().in_canary()

    gate, refit = story.of(Train)
    assert (gate.phase, refit.phase) == ("gate", "refit")
    assert (gate.incident_id, gate.until, gate.until - gate.since) == (
        "quality-1",
        story.at,
        RETRAIN.window_s,
    )
    (evaluation,) = story.of(Evaluate)
    assert (evaluation.candidate, evaluation.champion) == ("2", "1")
    assert evaluation.must_improve == "brier_skill"
    assert len(story.state.trainings) == 1


def test_a_good_challenger_becomes_champion_and_leaves_probation() -> None:
    story = Story().in_canary()

    days = story.until(Stage.PROBATION, 0.1)

    assert days >= 17, "promotion before the policy's 14 and 3 days"
    assert story.world.aliases == {"champion": "3", "challenger": "3", "previous": "1"}
    assert (story.state.champion, story.state.previous) == ("3", "1")
    story.until(Stage.WATCHING, 0.0, most=5)
    assert story.world.routing is not None
    assert story.world.routing.routes == (Route(version="3", variant="champion", weight=1.0),)
    assert story.world.routing.loaded == ("3",)


def test_every_request_is_a_pair_in_the_canary_and_a_sample_in_probation() -> None:
    story = Story().in_canary()

    first = story.world.routing
    assert first is not None
    assert [(r.version, r.weight) for r in first.routes] == [("1", 0.9), ("3", 0.1)]
    assert set(first.shadows) == {Shadow(version="3", share=1.0), Shadow(version="1", share=1.0)}
    assert first.loaded == ("1", "3")

    story.until(Stage.PROBATION, 0.1)
    last = story.world.routing
    assert last is not None
    assert last.shadows == (Shadow(version="1", share=0.1),)
    assert last.loaded == ("3", "1"), "the way back is always loaded"


def test_a_broken_challenger_goes_back_within_days_traffic_first() -> None:
    story = Story().known()
    story.ask("canary", version="7", gate="external")
    before = len(story.commands)

    days = story.until(Stage.WATCHING, -0.1)

    assert days <= 3
    traffic, tag = story.commands[before:]
    assert isinstance(traffic, SetTraffic)
    assert [(r.version, r.weight) for r in traffic.routing.routes] == [("1", 1.0)]
    assert traffic.routing.barred == ("7",)
    assert isinstance(tag, TagVersion)
    assert tag.tags["driftd.state"] == "rolled_back"
    assert story.state.barred == ("7",)
    assert next(d for d in story.decisions if d.what == "roll back").by == "evidence"
    assert story.world.aliases["champion"] == "1"


def test_a_barred_version_is_never_let_in_again() -> None:
    story = Story().known()
    story.ask("canary", version="7", gate="external")
    story.until(Stage.WATCHING, -0.1)

    story.day()
    story.ask("canary", version="7", gate="external")

    assert story.stage() is Stage.WATCHING
    assert "barred" in story.decisions[-1].why


def test_a_challenger_that_is_no_different_is_inconclusive_and_not_barred() -> None:
    story = Story().in_canary()

    days = story.until(Stage.WATCHING, 0.01)

    assert days == 22  # the deadline is 21 days after the first look
    assert story.state.barred == ()
    assert "ticket" in story.words()
    assert story.world.aliases == {"champion": "1", "challenger": "3"}
    assert story.world.tags["3"]["driftd.state"] == "candidate"
    assert story.state.trainings[-1].started + RETRAIN.cooldown_s < story.at


def test_no_pairs_are_not_harm() -> None:
    story = Story().in_canary()

    story.days(20, None)

    assert story.stage() is Stage.CANARY
    assert story.state.rollout is not None
    assert story.state.rollout.step == 0, "a step does not end before its evidence is in"
    story.until(Stage.WATCHING, None)
    assert story.state.barred == ()


def test_harm_in_probation_puts_the_old_champion_back() -> None:
    # Harm takes three days of pairs to be believed, so probation lasts longer than that.
    patient = policy(promote=PromoteSpec(probation_s=7 * DAY, reverse_shadow=1.0))
    story = Story(spec=patient).in_probation()
    before = len(story.commands)

    # Now version 1 answers better than version 3, which holds the alias.
    days = story.until(Stage.WATCHING, 0.1)

    assert days <= 3
    moves = [c for c in story.commands[before:] if not isinstance(c, LoadProfile)]
    traffic, alias = moves
    assert isinstance(traffic, SetTraffic)
    assert [(r.version, r.weight) for r in traffic.routing.routes] == [("1", 1.0)]
    assert isinstance(alias, MoveAlias)
    assert (alias.expect, alias.to, alias.previous) == ("3", "1", "")
    assert story.world.aliases["champion"] == "1"
    assert story.world.aliases["previous"] == "1"
    assert story.state.barred == ("3",)


def test_one_incident_leads_to_one_promotion() -> None:
    story = Story().in_probation()
    story.until(Stage.WATCHING, 0.0)

    story.days(60)

    assert len(story.of(MoveAlias)) == 1
    assert len(story.of(Train)) == 2, "the incident is still open, but it has had its version"


def test_a_gate_that_says_no_leaves_everything_as_it_was() -> None:
    story = Story(world=World(verdict="fail")).known()
    story.open()
    story.days(60)

    gates = [command for command in story.of(Train) if command.phase == "gate"]
    assert len(gates) == RETRAIN.attempts
    assert gates[1].until - gates[0].until >= RETRAIN.cooldown_s
    assert len({command.op_id for command in story.of(Train)}) == len(story.of(Train))
    assert story.of(SetTraffic) == []
    assert story.stage() is Stage.WATCHING


def test_an_evaluation_that_cannot_tell_is_asked_again_and_then_left() -> None:
    story = Story(world=World(verdict="not_evaluable")).known()
    story.open()
    story.tick()
    assert story.stage() is Stage.EVALUATING

    story.until(Stage.WATCHING)

    assert len(story.of(Evaluate)) == 3
    assert len({command.op_id for command in story.of(Evaluate)}) == 3
    assert story.state.barred == ()


def test_a_failed_training_is_tried_again_as_often_as_the_policy_says() -> None:
    story = Story(world=World(fails={Train})).known()
    story.open()
    story.tick()
    assert story.stage() is Stage.TRAINING

    story.days(60)

    attempts = [command.attempt for command in story.of(Train)]
    assert attempts == [1, 2]
    assert story.stage() is Stage.WATCHING
    assert story.state.trainings_total == 2


def test_a_person_has_the_last_word_where_the_policy_says_so() -> None:
    asked = policy(promote=PromoteSpec(approval_required=True, probation_s=DAY))
    story = Story(spec=asked).in_canary()
    story.until(Stage.AWAITING_APPROVAL, 0.1)
    assert story.of(MoveAlias) == []

    story.ask("approve", version="9")
    assert story.stage() is Stage.AWAITING_APPROVAL, "another version was approved"
    story.ask("approve", version="3")

    assert story.stage() is Stage.PROBATION
    assert next(d for d in story.decisions if d.what == "promote").by == "ana"


def test_an_approval_that_nobody_gives_expires() -> None:
    asked = policy(promote=PromoteSpec(approval_required=True))
    story = Story(spec=asked).in_canary()
    story.until(Stage.AWAITING_APPROVAL, 0.1)

    days = story.until(Stage.WATCHING, 0.1)

    assert days == 7
    assert story.of(MoveAlias) == []
    assert story.state.barred == ()


def test_harm_is_heard_while_a_person_thinks() -> None:
    asked = policy(promote=PromoteSpec(approval_required=True))
    story = Story(spec=asked).in_canary()
    story.until(Stage.AWAITING_APPROVAL, 0.1)

    story.until(Stage.WATCHING, -0.3, most=6)

    assert story.state.barred == ("3",)


def test_mode_retrain_ends_with_a_registered_candidate() -> None:
    story = Story(spec=policy(mode="retrain")).known()
    story.open()
    story.days(3)

    assert story.world.aliases == {"champion": "1", "challenger": "3"}
    assert story.stage() is Stage.WATCHING
    assert story.of(SetTraffic) == []


def test_mode_alert_trains_nothing_by_itself_and_for_a_person_on_request() -> None:
    story = Story(spec=policy(mode="alert")).known()
    story.open()
    story.days(30)
    assert story.of(Train) == []

    story.ask("retrain")
    story.day()

    assert [command.phase for command in story.of(Train)] == ["gate", "refit"]
    assert story.of(SetTraffic) == []


def test_a_canary_without_any_named_judge_still_has_one() -> None:
    bare = policy(canary=type(CANARY)(steps=CANARY.steps, give_up_after_s=CANARY.give_up_after_s))
    story = Story(spec=bare).in_canary()

    story.until(Stage.PROBATION, 0.1)

    assert desired_routing(story.state, bare) == story.world.routing
