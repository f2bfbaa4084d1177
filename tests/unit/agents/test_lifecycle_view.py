"""What people see of a lifecycle in `driftd status`."""

import json

from agents.lifecycle import pairing, rollout_open, stage_view
from agents.stages.state import Stage
from tests.support.story import Story


def test_a_model_at_rest_shows_no_rollout() -> None:
    story = Story().known()
    view = stage_view(story.state, story.spec)

    assert (view["stage"], view["champion"], view["candidate"]) == ("watching", "1", "")
    assert (view["weight"], view["step"], view["judges"]) == (0.0, None, [])
    assert not rollout_open(story.state)
    assert pairing(story.state) is None


def test_a_canary_shows_its_step_and_evidence_between_0_and_1() -> None:
    story = Story().in_canary()
    story.days(6, 0.1)
    view = stage_view(story.state, story.spec)

    assert (view["stage"], view["candidate"], view["gate"]) == ("canary", "3", "own")
    assert (view["step"], view["weight"], view["shadow"]) == (0, 0.1, 1.0)
    (judge,) = view["judges"]
    assert judge["proof"] == 1.0
    assert judge["harm"] == 0.0
    assert (judge["seen"], view["days"]) == (360, 6)
    assert view["day_effect"] > 0
    assert json.loads(json.dumps(view)) == view
    assert rollout_open(story.state)
    assert pairing(story.state) == ("1", "3")


def test_probation_pairs_the_new_champion_with_the_old_one() -> None:
    story = Story().in_probation()
    view = stage_view(story.state, story.spec)

    assert (view["stage"], view["champion"], view["previous"]) == ("probation", "3", "1")
    assert (view["weight"], view["shadow"]) == (1.0, 0.1)
    assert pairing(story.state) == ("3", "1")


def test_a_pause_and_a_stopped_clock_are_shown() -> None:
    story = Story().in_canary()
    story.ask("pause")
    story.open("data_fault")
    view = stage_view(story.state, story.spec)

    assert (view["paused"], view["clock_stopped"]) == (True, True)
    assert story.stage() is Stage.CANARY
