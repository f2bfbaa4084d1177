"""Somebody deletes versions in the registry, in every stage: the way back is kept, and it is told."""

from agents.commands import MoveAlias
from agents.stages.state import Stage
from tests.support.story import Story, World, policy

CHALLENGER = "3"


def _tickets(story: Story) -> list[str]:
    return [one.why for one in story.decisions if one.what == "ticket"]


def _answering(story: Story) -> set[str]:
    assert story.world.routing is not None
    return {route.version for route in story.world.routing.routes}


def test_a_candidate_deleted_in_its_canary_goes_back_to_nothing_and_is_not_barred() -> None:
    story = Story().in_canary()
    story.world.delete(CHALLENGER)
    story.observe()

    assert story.stage() is Stage.WATCHING
    assert _answering(story) == {"1"}
    assert story.state.barred == ()
    assert "version 3 was deleted in the registry" in _tickets(story)[0]
    assert story.world.aliases["champion"] == "1"


def test_a_candidate_deleted_while_people_think_is_not_promoted() -> None:
    story = Story(spec=policy(mode="retrain")).known()
    story.ask("canary", version="7")
    story.until(Stage.AWAITING_APPROVAL, 0.1)
    story.world.delete("7")
    story.observe()
    story.ask("approve")

    assert story.stage() is Stage.WATCHING
    assert story.of(MoveAlias) == []


def test_a_new_champion_deleted_in_probation_gives_way_to_the_old_one_alias_and_all() -> None:
    story = Story().in_probation()
    assert story.world.aliases["champion"] == CHALLENGER
    story.world.delete(CHALLENGER)
    story.observe()

    assert story.stage() is Stage.WATCHING
    assert story.world.aliases["champion"] == "1"
    assert _answering(story) == {"1"}
    assert story.state.barred == ()


def test_a_champion_that_is_only_watched_stays_in_traffic_and_can_be_rolled_back() -> None:
    story = Story().in_probation()
    story.until(Stage.WATCHING)
    story.world.delete(CHALLENGER)
    for _ in range(3):
        story.observe()

    assert story.stage() is Stage.WATCHING
    assert _answering(story) == {CHALLENGER}
    assert len(_tickets(story)) == 1
    assert "`driftd rollback` brings version 1 back" in _tickets(story)[0]

    story.ask("rollback")
    assert story.world.aliases["champion"] == "1"
    assert _answering(story) == {"1"}


def test_a_champion_deleted_in_a_canary_is_followed_by_what_won_against_it() -> None:
    story = Story().in_canary()
    story.world.delete("1")
    story.observe()
    assert story.stage() is Stage.CANARY
    assert len(_tickets(story)) == 1

    story.until(Stage.PROBATION, 0.1)
    assert story.world.aliases["champion"] == CHALLENGER


def test_an_alias_that_a_person_took_away_is_not_filled() -> None:
    story = Story().in_canary()
    story.observe()
    del story.world.aliases["champion"]
    story.observe()
    told = story.decisions[-1].why
    story.until(Stage.HELD, 0.1)

    assert "the alias 'champion' of flight_delay names no version any more" in told
    assert "champion" not in story.world.aliases


def test_a_way_back_deleted_in_probation_stays_loaded_and_is_still_taken() -> None:
    story = Story().in_probation()
    story.world.delete("1")
    story.observe()
    assert story.stage() is Stage.PROBATION
    assert "it can take over while servers have it loaded" in _tickets(story)[0]

    story.until(Stage.HELD, 0.5)
    assert _answering(story) == {"1"}
    assert "no such version" in story.state.held


def test_a_way_back_deleted_later_is_forgotten_and_a_rollback_declined() -> None:
    story = Story().in_probation()
    story.until(Stage.WATCHING)
    story.world.delete("1")
    story.observe()
    story.ask("rollback")

    assert story.stage() is Stage.WATCHING
    assert _answering(story) == {CHALLENGER}
    assert "no previous version is known" in story.decisions[-1].why


def test_who_is_no_longer_the_way_back_is_tagged_retired_unless_it_is_barred() -> None:
    story = Story().in_probation()
    story.until(Stage.WATCHING)
    story.ask("canary", version="9")
    story.until(Stage.PROBATION, 0.1)

    tags = story.of(MoveAlias)[-1].tags
    assert {version: tags[version]["driftd.state"] for version in tags} == {
        "9": "champion",
        CHALLENGER: "previous",
        "1": "retired",
    }


def test_what_differs_in_the_serving_environment_is_told_once_and_stops_nothing() -> None:
    class Warns(World):
        """Its registry says what is different."""

        def _effect(self, command: object) -> dict[str, object]:
            effect = dict(super()._effect(command))  # type: ignore[arg-type]
            if type(command).__name__ == "MarkChallenger":
                effect["warnings"] = ["it needs numpy==2.2.1, the serving environment has 2.2.3"]
            return effect

    story = Story(world=Warns()).known()
    story.ask("canary", version="7")

    assert story.stage() is Stage.CANARY
    (told,) = [one.why for one in story.decisions if one.what == "tell"]
    assert told.startswith("version 7 runs in the serving environment, but it needs numpy==2.2.1")
