"""What comes between: broken input, foreign hands, pauses, routers and registries that refuse."""

from dataclasses import replace

from agents.commands import LoadProfile, MarkChallenger, MoveAlias, SetTraffic, Train
from agents.events import RegistryObserved
from agents.stages.state import Stage
from policies.specs import PromoteSpec
from tests.support.story import CANARY, DAY, Story, World, policy


def test_nothing_trains_while_the_input_is_broken() -> None:
    story = Story().known()
    story.open("data_fault")
    story.open()
    story.days(10)
    story.ask("retrain")
    story.day()

    assert story.of(Train) == []
    assert any("nothing trains on broken input" in one.why for one in story.decisions)
    story.close("data_fault")
    story.day()
    assert len(story.of(Train)) == 2


def test_a_training_leaves_out_what_a_fault_touched() -> None:
    story = Story().known()
    onset = story.at - DAY
    story.open("data_fault", onset=onset)
    story.days(3)
    end = story.at
    story.close("data_fault", onset=onset)
    story.open()
    story.day()

    assert {command.without for command in story.of(Train)} == {((onset, end),)}


def test_a_fault_that_people_call_normal_is_not_left_out() -> None:
    story = Story().known()
    story.open("data_fault")
    story.close("data_fault", state="accepted")
    story.open()
    story.day()

    assert {command.without for command in story.of(Train)} == {()}


def test_a_fault_that_reaches_into_the_data_ends_the_training() -> None:
    story = Story(world=World(slow={Train})).known()
    story.open()
    story.tick()
    assert story.stage() is Stage.TRAINING

    story.at += DAY
    story.open("data_fault", onset=story.at - 3 * DAY)
    assert story.stage() is Stage.WATCHING
    story.world.slow.clear()
    story.execute()
    assert story.stage() is Stage.WATCHING, "the end of the training is not heard any more"
    assert story.words()[-1] == "ignore"


def test_a_fault_after_the_data_does_not_end_the_training() -> None:
    story = Story(world=World(slow={Train})).known()
    story.open()
    story.tick()

    story.open("data_fault", onset=story.at + 1.0)

    assert story.stage() is Stage.TRAINING


def test_broken_input_neither_rolls_back_nor_promotes_and_stops_the_clock() -> None:
    story = Story().in_canary()
    story.days(2, 0.05)
    judges = story.state.rollout.judges if story.state.rollout else ()
    story.open("data_fault")
    story.days(30, -0.5)

    assert story.stage() is Stage.CANARY
    assert story.state.rollout is not None
    assert story.state.rollout.judges == judges
    story.close("data_fault")
    days = story.until(Stage.PROBATION, 0.1)
    assert days >= 15, "the days of the fault do not count as days of the steps"


def test_a_foreign_champion_is_adopted_while_nothing_is_under_way() -> None:
    story = Story().known()
    story.world.aliases["champion"] = "8"
    story.observe()

    assert (story.state.champion, story.state.previous) == ("8", "1")
    assert story.words().count("adopt") == 1
    story.day()
    assert story.of(LoadProfile)[-1].version == "8"
    assert story.of(SetTraffic) == [], "driftd does not direct traffic before its first rollout"


def test_a_foreign_move_during_a_rollout_is_held_and_told() -> None:
    story = Story().in_canary()
    story.days(2, 0.05)
    story.world.aliases["champion"] = "8"
    story.observe()

    assert story.stage() is Stage.HELD
    assert "foreign hand" in story.state.held
    assert story.world.routing is not None
    assert [route.version for route in story.world.routing.routes] == ["1"]
    story.days(30, 0.1)
    assert story.stage() is Stage.HELD, "only a person ends this"

    story.ask("resume")
    assert story.stage() is Stage.WATCHING
    assert story.state.champion == "8"
    assert [route.version for route in story.world.routing.routes] == ["8"]


def test_a_person_undoes_what_a_foreign_hand_did() -> None:
    story = Story().in_canary()
    story.world.aliases["champion"] = "8"
    story.observe()
    story.ask("rollback")
    story.day()

    assert story.stage() is Stage.WATCHING
    assert story.world.aliases["champion"] == "1"
    assert story.state.champion == "1"


def test_an_alias_that_was_moved_before_the_promotion_is_not_overwritten() -> None:
    story = Story().in_canary()
    story.world.aliases["champion"] = "8"
    story.until(Stage.HELD, 0.1)

    assert story.world.aliases["champion"] == "8"
    assert story.of(MoveAlias)[-1].expect == "1"


def test_a_sighting_from_before_our_own_move_is_not_a_foreign_hand() -> None:
    story = Story().in_probation()
    stale = RegistryObserved(champion="1", challenger="3", previous="1")

    story.tell(stale)
    assert story.stage() is Stage.PROBATION
    story.observe()
    assert story.stage() is Stage.PROBATION

    story.tell(stale, stale)
    assert story.stage() is Stage.HELD, "seen twice it is true"


def test_nobody_becomes_champion_who_is_barred_not_even_by_a_foreign_hand() -> None:
    story = Story().known()
    story.ask("canary", version="7")
    story.until(Stage.WATCHING, -0.1)
    story.world.aliases["champion"] = "7"
    story.observe()
    story.observe()

    assert story.stage() is Stage.HELD
    story.ask("resume")
    assert story.stage() is Stage.HELD
    assert story.state.champion == "1"


def test_a_paused_model_begins_nothing_and_goes_on_afterwards() -> None:
    story = Story(world=World(slow={Train})).known()
    story.open()
    story.tick()
    story.ask("pause")
    story.world.slow.clear()
    story.days(3)
    assert [command.phase for command in story.of(Train)] == ["gate"]
    story.ask("promote")
    assert "paused" in story.decisions[-1].why

    story.ask("resume")

    assert story.stage() is Stage.CANARY
    assert [command.phase for command in story.of(Train)] == ["gate", "refit"]


def test_a_pause_leaves_the_way_back_open() -> None:
    story = Story().in_canary()
    story.ask("pause")
    story.days(40, 0.01)
    assert story.stage() is Stage.CANARY, "neither a step nor the deadline ends in a pause"

    story.until(Stage.WATCHING, -0.3)

    assert story.state.barred == ("3",)
    assert story.state.paused


def test_a_roll_back_during_a_promotion_waits_for_its_end_and_undoes_it() -> None:
    story = Story().in_canary()
    story.world.slow = {MoveAlias}
    story.until(Stage.PROMOTING, 0.1)
    story.ask("rollback")
    assert story.world.routing is not None
    assert [route.version for route in story.world.routing.routes] == ["1"]
    assert len(story.of(MoveAlias)) == 1, "the way back of the alias waits for the way forth"

    story.world.slow.clear()
    story.day()

    assert story.stage() is Stage.WATCHING
    assert [(move.expect, move.to) for move in story.of(MoveAlias)] == [("1", "3"), ("3", "1")]
    assert story.world.aliases["champion"] == "1"


def test_a_router_that_refuses_ends_the_rollout() -> None:
    story = Story(world=World(refuses={SetTraffic})).known()
    story.open()
    story.days(3)

    assert story.stage() is Stage.HELD
    assert story.world.aliases["champion"] == "1"


def test_a_router_that_broke_gets_the_traffic_again_under_a_new_epoch() -> None:
    story = Story(world=World(fails={SetTraffic})).known()
    story.open()
    story.tick()
    assert story.stage() is Stage.CANARY
    story.world.fails.clear()
    story.days(2)

    assert [command.routing.epoch for command in story.of(SetTraffic)] == [1, 2]
    assert story.state.rollout is not None
    assert story.state.rollout.step_began is not None


def test_a_version_that_does_not_exist_gets_no_traffic() -> None:
    story = Story(world=World(refuses={MarkChallenger})).known()
    story.ask("canary", version="77")

    assert story.stage() is Stage.WATCHING
    assert story.of(SetTraffic) == []


def test_a_person_takes_the_previous_version_back_long_after() -> None:
    story = Story().in_probation()
    story.until(Stage.WATCHING, 0.0)
    story.days(5)
    story.ask("rollback", why="customers complain")
    story.day()

    assert story.world.aliases == {"champion": "1", "challenger": "3", "previous": "1"}
    assert story.state.champion == "1"
    assert story.state.barred == (), "a person's wish says nothing of harm, unless it is said"
    story.ask("rollback")
    assert "no previous version" in story.decisions[-1].why


def test_a_person_promotes_by_hand_and_the_journal_says_so() -> None:
    story = Story().in_canary()
    story.days(2, 0.0)
    story.ask("promote")

    assert story.state.champion == "3"
    assert next(one for one in story.decisions if one.what == "promote").by == "ana"


def test_a_policy_that_loses_its_canary_takes_the_traffic_back() -> None:
    story = Story().in_canary()
    story.days(2, 0.0)
    story.spec = policy(canary=None)
    story.days(2)

    assert story.stage() is Stage.WATCHING
    assert story.world.routing is not None
    assert [route.version for route in story.world.routing.routes] == ["1"]


def test_a_change_of_weights_in_the_policy_reaches_the_router() -> None:
    story = Story().in_canary()
    steps = (replace(CANARY.steps[0], weight=0.2), *CANARY.steps[1:])
    story.spec = policy(canary=replace(CANARY, steps=steps))
    story.day()

    assert story.world.routing is not None
    assert [route.weight for route in story.world.routing.routes] == [0.8, 0.2]
    assert story.world.routing.epoch == 2


def test_an_approval_is_asked_anew_when_the_policy_has_changed() -> None:
    promote = PromoteSpec(approval_required=True)
    story = Story(spec=policy(promote=promote)).in_canary()
    story.until(Stage.AWAITING_APPROVAL, 0.1)
    story.spec = policy(promote=promote, revision=2)
    story.ask("approve")
    assert story.stage() is Stage.AWAITING_APPROVAL

    story.ask("approve")

    assert story.stage() is Stage.PROBATION


def test_a_champion_without_a_profile_is_told_once() -> None:
    story = Story(world=World(refuses={LoadProfile}))
    story.observe()
    story.days(5)

    assert story.words().count("tell") == 1
    story.world.refuses.clear()
    story.day()
    assert story.state.profile == "1", "a profile that a person logs later is found"
