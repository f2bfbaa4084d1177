"""Concept drift: loud when answers mean something else, silent through a season of base rates."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from scipy.special import expit, logit

from agents.events import Arm, ArmQuality, QualityMatured
from agents.watcher import Watcher
from agents.watching.concept import LABELS_MIN, LEARNING_MAX
from agents.watching.concept_streams import CONCEPT
from agents.watching.learning import budget_streams
from agents.watching.state import ReadingState, WatchState
from agents.watching.streams import streams_of
from detectors.contract import FloatArray
from detectors.quality import QualitySketch
from policies.specs import ClockSpec, DriftSpec
from tests.support.watched import CHAMPION, DAY, PROFILE, Day, Watch, pane, spec, watch

Concept = Callable[[FloatArray], FloatArray]


def usual(scores: FloatArray) -> FloatArray:
    return scores


def noise(share: float) -> Concept:
    """So large a share of the labels has nothing to do with the request any more."""
    return lambda scores: (1 - share) * scores + share * scores.mean()


def sketch(day: int, concept: Concept = usual, n: int = 600, a: float = 0.6) -> QualitySketch:
    """Labels of a day whose scores come true with the chance that ``concept`` makes of them."""
    rng = np.random.default_rng([17, day])
    scores = rng.beta(a, 1.6, n)
    truth = (rng.random(n) < concept(scores)).astype(np.int64)
    return QualitySketch.fold(scores, (scores >= 0.5).astype(np.int64), truth)


def labels(
    day: int, concept: Concept = usual, n: int = 600, arm: Arm = CHAMPION, a: float = 0.6
) -> QualityMatured:
    one = ArmQuality(predictions=n, sketch=sketch(day, concept, n, a))
    return QualityMatured(start=day * DAY, end=(day + 1) * DAY, arms={arm: one})


def lived(life: Watch, first: int, last: int, concept: Concept = usual, **more: Any) -> None:
    """Days of panes and of labels, which mature with them."""
    for day in range(first, last):
        life.pane(pane(day))
        life.quality(labels(day, concept, **more))


@pytest.fixture(scope="module")
def learned() -> Watch:
    life = watch()
    lived(life, 0, 70)
    assert life.state.concept.fit
    assert life.changes == ()
    return life


@pytest.mark.parametrize("share", [0.4, 0.8])
def test_answers_that_mean_less_are_a_quality_incident(learned: Watch, share: float) -> None:
    life = learned.copy()
    lived(life, 70, 90, noise(share))

    (incident,) = life.state.incidents
    assert (incident.kind, incident.severity) == ("quality", "warning")
    assert 68 * DAY <= incident.onset <= 72 * DAY
    assert {moved.stream for moved in incident.streams} == set(CONCEPT)
    assert {moved.distance for moved in incident.streams} == {"brier", "accuracy"}
    how = {moved.stream: moved.how for moved in incident.streams}
    assert "beyond what its scores expect at this base rate" in how["@loss"]
    assert "labels and scores differ by" in how["@calibration"]
    assert "of the answers are wrong, where its scores expect" in how["@wrong"]


def test_a_season_of_base_rates_is_none(learned: Watch) -> None:
    life = learned.copy()
    brier = []
    for day in range(70, 430):
        swing = float(np.sin(2 * np.pi * (day - 70) / 360))
        season = labels(day, lambda scores, s=swing: expit(logit(scores) + s))  # type: ignore[misc]
        brier.append(season.arms[CHAMPION].sketch.brier)
        life.pane(pane(day))
        life.quality(season)

    # The Brier score alone moved by more than half of itself.
    assert max(brier) > 1.5 * min(brier)
    assert not [i for c in life.changes for i in [c.incident] if i.kind == "quality"]


def test_other_requests_are_none(learned: Watch) -> None:
    life = learned.copy()
    for day in range(70, 200):
        life.quality(labels(day, a=0.6 + (day - 70) / 130))

    assert life.changes == ()


def test_it_ends_when_answers_mean_the_same_again(learned: Watch) -> None:
    life = learned.copy()
    lived(life, 70, 82, noise(0.8))
    assert life.told("opened") == ["quality"]
    lived(life, 82, 95)

    assert life.told("closed") == ["quality"]


def test_readings_tell_it_as_of_the_newest_labels(learned: Watch) -> None:
    life = learned.copy()
    assert [life.readings[name].state for name in CONCEPT] == ["quiet"] * 3
    lived(life, 70, 80, noise(0.8))

    assert [life.readings[name].state for name in CONCEPT] == ["drift"] * 3
    assert [life.readings[name].distance for name in CONCEPT] == ["brier", "gap", "share"]


def test_a_new_champion_starts_anew(learned: Watch) -> None:
    life = learned.copy()
    new = Arm("2", "champion")
    for day in range(70, 120):
        life.quality(labels(day, noise(0.8), arm=new), champion="2")
    assert life.changes == ()
    assert life.state.concept.champion == "2"
    for day in range(120, 160):
        life.quality(labels(day, noise(0.8), arm=new), champion="2")
    assert life.state.concept.fit
    assert life.changes == ()


def test_only_the_champions_live_answers_count(learned: Watch) -> None:
    life = learned.copy()
    for day in range(70, 100):
        good, bad = labels(day), labels(day, noise(0.9))
        others = {
            Arm("2", "challenger"): bad.arms[CHAMPION],
            Arm("1", "shadow"): bad.arms[CHAMPION],
        }
        life.quality(replace(good, arms={**good.arms, **others}))

    assert life.changes == ()


def test_answers_to_broken_input_are_no_evidence(learned: Watch) -> None:
    life = learned.copy()
    for day in range(70, 90):
        life.pane(pane(day, Day(clock=240.0)))
        life.quality(labels(day, noise(0.9) if day > 74 else usual))

    assert "data_fault" in life.told("opened")
    assert "quality" not in life.told("opened")
    before = life.state.concept.learning
    assert before == ()


def test_labels_that_are_turned_round_say_nothing_about_the_answers() -> None:
    life = watch()
    for day in range(61):
        life.quality(labels(day))
    assert life.state.concept.fit
    for day in range(61, 80):
        life.quality(labels(day, lambda scores: 1 - scores))

    assert life.told("opened") == ["data_fault"]
    assert life.open("data_fault").streams[0].stream == "@labels"


def test_few_labels_are_taken_together() -> None:
    life = watch()
    for day in range(40):
        life.quality(labels(day, n=60))

    # Four days make one pane of 240 labels.
    assert len(life.state.concept.learning) == 10
    assert all(row[0] == 240 >= LABELS_MIN for row in life.state.concept.learning)


def test_the_burn_in_is_bounded_and_ends_where_panes_are_short() -> None:
    asked = replace(spec(), clock=ClockSpec(pane_s=300.0, bucket_s=300.0))
    life = Watch(watcher=Watcher(asked, PROFILE))
    one = ArmQuality(predictions=250, sketch=sketch(0, n=250))
    for i in range(7 * 288):
        event = QualityMatured(start=i * 300.0, end=(i + 1) * 300.0, arms={CHAMPION: one})
        step = life.watcher.on_quality(life.state, event, "1")
        life.state = step.state
        assert len(life.state.concept.learning) <= LEARNING_MAX

    assert life.state.concept.fit
    assert len(life.state.concept.learning) == 0


def test_labels_that_come_twice_count_once(learned: Watch) -> None:
    life = learned.copy()
    before = life.state.to_bytes()
    life.quality(labels(69, noise(0.9)))

    assert life.state.to_bytes() == before


def test_what_people_accept_is_learned_anew(learned: Watch) -> None:
    life = learned.copy()
    lived(life, 70, 80, noise(0.4))
    life.asked("accept", incident_id=life.open("quality").incident_id)
    assert not life.state.mutes
    lived(life, 80, 160, noise(0.4))
    assert life.told("opened") == ["quality"]
    lived(life, 160, 180, noise(1.0))

    assert life.told("opened").count("quality") == 2


def test_a_false_alarm_keeps_quiet_until_it_was_quiet_once(learned: Watch) -> None:
    life = learned.copy()
    lived(life, 70, 80, noise(0.8))
    life.asked("false_alarm", incident_id=life.open("quality").incident_id)
    lived(life, 80, 90, noise(0.8))
    assert life.told("opened") == ["quality"]
    lived(life, 90, 93)
    lived(life, 93, 103, noise(0.8))

    assert life.told("opened") == ["quality", "quality"]


@pytest.mark.parametrize(
    "drift",
    [DriftSpec(enabled=False), DriftSpec(ignore=frozenset(CONCEPT))],
    ids=["off", "ignored"],
)
def test_what_is_not_watched_is_neither_kept_nor_told(drift: DriftSpec) -> None:
    life = watch(drift=drift)
    lived(life, 0, 100, noise(0.9))

    assert life.state.concept.learning == ()
    assert not set(CONCEPT) & set(life.readings)


def test_one_that_is_ignored_leaves_the_others(learned: Watch) -> None:
    life = learned.copy()
    life.watcher = watch(drift=DriftSpec(ignore=frozenset({"@loss", "@wrong"}))).watcher
    lived(life, 70, 90, noise(0.8))

    (incident,) = life.state.incidents
    assert [moved.stream for moved in incident.streams] == ["@calibration"]


def test_their_false_alarms_are_in_the_budget() -> None:
    asked, less = spec(), spec(drift=DriftSpec(ignore=frozenset({"@loss"})))

    assert budget_streams(asked, streams_of(asked, PROFILE)) == 1 + budget_streams(
        less, streams_of(less, PROFILE)
    )


def test_answers_without_scores_are_watched_by_their_errors_alone() -> None:
    life = watch()

    def plain(day: int, wrong: float) -> QualityMatured:
        rng = np.random.default_rng([day, 5])
        truth = (rng.random(600) < 0.3).astype(np.int64)
        said = np.where(rng.random(600) < wrong, 1 - truth, truth)
        one = QualitySketch.fold(np.full(600, np.nan), said, truth)
        arms = {CHAMPION: ArmQuality(predictions=600, sketch=one)}
        return QualityMatured(start=day * DAY, end=(day + 1) * DAY, arms=arms)

    for day in range(90):
        life.quality(plain(day, 0.1))
    assert life.changes == ()
    for day in range(90, 110):
        life.quality(plain(day, 0.3))

    (incident,) = life.state.incidents
    (moved,) = incident.streams
    assert moved.stream == "@wrong"
    assert "at the usual base rate of" in moved.how


def advised() -> Watch:
    ignored = frozenset({*CONCEPT, "@labels"})
    asked = replace(spec(drift=DriftSpec(ignore=ignored)), advisors=("adwin", "ddm"))
    return Watch(watcher=Watcher(asked, PROFILE))


def test_second_opinions_are_shown_and_nothing_follows() -> None:
    life = advised()
    lived(life, 0, 40)
    names = ("@wrong.adwin", "@wrong.ddm")
    assert [life.readings[name].state for name in names] == ["advisory"] * 2
    assert [life.readings[name].evidence for name in names] == [0.0, 0.0]
    lived(life, 40, 41, lambda scores: 1 - scores)
    lived(life, 41, 42)
    assert life.readings["@wrong.adwin"].effect > 0.1
    lived(life, 42, 45, lambda scores: 1 - scores)

    assert [life.readings[name].evidence for name in names] == [1.0, 1.0]
    assert life.changes == ()
    lived(life, 46, 56, lambda scores: 1 - scores)
    assert [life.readings[name].evidence for name in names] == [0.0, 0.0]


def test_a_version_before_this_one_reads_the_state() -> None:
    life = advised()
    lived(life, 0, 20)
    plain = msgspec.msgpack.decode(life.state.to_bytes())
    states = {reading["state"] for reading in plain["readings"]}

    # It passes over what it does not know, and knows these words for what is left.
    assert states <= {"learning", "quiet", "transient", "drift", "gap"}
    assert "advisory" in get_args(ReadingState)
    del plain["concept"]
    assert WatchState.from_bytes(msgspec.msgpack.encode(plain)).concept.champion == ""


def test_a_state_that_nothing_changed_keeps_its_bytes(learned: Watch) -> None:
    # An idle step is told from another by its bytes: 0 and 0.0 would be a write for nothing.
    life = learned.copy()
    life.quality(labels(70, n=60))
    stored = life.state.to_bytes()

    assert life.state.concept.open is not None
    assert WatchState.from_bytes(stored).to_bytes() == stored
    step = life.watcher.on_quality(life.state, labels(71, n=60), "1")
    assert WatchState.from_bytes(step.state.to_bytes()).to_bytes() == step.state.to_bytes()
