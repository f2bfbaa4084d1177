"""What is normal at this hour of the week."""

import json

import numpy as np
import pytest

from detectors.baseline import Baseline, choose_slots, day_of, slot_of
from detectors.contract import FloatArray
from detectors.distances.ks import KS
from detectors.sketches.numeric import NumericLayout

DAY = 86_400.0
MONDAY = 4 * DAY  # 1970-01-05


@pytest.mark.parametrize(
    ("pane_s", "days", "slots"),
    [
        (600, 14, 48),
        (600, 13, 1),
        (3_600, 30, 48),
        (6 * 3_600, 60, 48),
        (DAY, 60, 2),
        (DAY, 13, 1),
        (2 * DAY, 90, 1),
        (7 * DAY, 700, 1),
    ],
)
def test_slots_are_the_finest_with_four_days_each(pane_s: float, days: float, slots: int) -> None:
    assert choose_slots(pane_s, int(days * DAY / pane_s)) == slots


def test_every_chosen_slot_has_at_least_four_days() -> None:
    for start in range(7):
        panes = [MONDAY + start * DAY + 600 * i for i in range(14 * 144)]
        days: dict[int, set[int]] = {}
        for ts in panes:
            days.setdefault(slot_of(ts, choose_slots(600, len(panes))), set()).add(day_of(ts))
        assert len(days) == 48
        assert min(map(len, days.values())) == 4


def test_slots_know_weekends_and_hours() -> None:
    saturday = MONDAY + 5 * DAY

    assert [slot_of(MONDAY + h * 3_600, 48) for h in (0, 1, 23.99)] == [0, 1, 23]
    assert [slot_of(saturday + h * 3_600, 48) for h in (0, 23, 47.9, 48)] == [24, 47, 47, 0]
    assert [slot_of(MONDAY + d * DAY, 2) for d in range(7)] == [0, 0, 0, 0, 0, 1, 1]
    assert {slot_of(MONDAY + d * DAY, 1) for d in range(7)} == {0}
    assert slot_of(-3 * DAY + 60, 48) == 0  # 1969-12-29, a Monday


def test_local_time_moves_the_slot_and_the_day() -> None:
    new_york = -5 * 3_600.0

    assert slot_of(MONDAY, 48, new_york) == 24 + 19  # still Sunday 19:00 there
    assert day_of(MONDAY, new_york) == day_of(MONDAY) - 1


def test_a_number_of_slots_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="24 slots"):
        slot_of(0.0, 24)


def test_normal_pools_the_events_of_a_slot() -> None:
    counts = np.array([[8, 2], [80, 120], [0, 50]])
    baseline, _ = Baseline.fit(counts, np.array([0, 0, 1]), np.array([0, 1, 5]))

    assert baseline.slots == 2
    assert baseline.normal(0).tolist() == [88 / 210, 122 / 210]
    assert (baseline.events(0), baseline.events(1)) == (210, 50)


def test_the_own_day_is_left_out_of_a_burn_in_panes_normal() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 50, (40, 6))
    slots, days = np.arange(40) % 2, np.arange(40) // 10
    _, normals = Baseline.fit(counts, slots, days)

    for t in range(40):
        rest = counts[(slots == slots[t]) & (days != days[t])].sum(axis=0)
        assert normals[t].tolist() == pytest.approx((rest / rest.sum()).tolist())


def test_a_slot_without_another_day_falls_back_to_other_days_of_all_slots() -> None:
    counts = np.array([[10, 0], [0, 10], [4, 6]])
    baseline, normals = Baseline.fit(
        counts, np.array([0, 1, 1]), np.array([0, 1, 2]), slot_count=48
    )

    assert normals[0].tolist() == [4 / 20, 16 / 20]
    assert baseline.normal(17).tolist() == [14 / 30, 16 / 30]
    assert baseline.events(17) == 30


def test_without_any_other_day_or_event_normal_is_a_gap() -> None:
    alone, normals = Baseline.fit(np.array([[3, 1]]), np.array([0]), np.array([0]))
    nothing, _ = Baseline.fit(np.zeros((3, 2), int), np.zeros(3, int), np.arange(3))

    assert alone.normal(0).tolist() == [0.75, 0.25]
    assert np.isnan(normals).all()
    assert np.isnan(nothing.normal(0)).all()
    assert nothing.events(0) == 0


def test_leaving_the_day_out_shows_the_noise_that_will_follow() -> None:
    rng = np.random.default_rng(2)
    layout = NumericLayout(tuple(np.linspace(-2, 2, 41)))
    levels = np.repeat(rng.normal(0, 0.2, 40), 3)  # each day has a level of its own
    counts = np.stack([layout.fold(rng.normal(level, 1, 2_000))[:-1] for level in levels])
    slots, days = np.tile([0, 1, 1], 40), np.repeat(np.arange(40), 3)

    def effects(fitted: slice, normals: list[FloatArray]) -> float:
        panes = np.pad(counts[fitted], ((0, 0), (0, 1)))
        ks = [KS().measure(layout, b, c, m=0).value for b, c in zip(normals, panes, strict=True)]
        return float(np.mean(ks))

    burn_in, later = slice(0, 12), slice(12, 120)
    baseline, others = Baseline.fit(counts[burn_in], slots[burn_in], days[burn_in])
    naive = effects(burn_in, [baseline.normal(s) for s in slots[burn_in]])
    honest = effects(burn_in, list(others))
    truth = effects(later, [baseline.normal(s) for s in slots[later]])

    assert naive < honest
    assert abs(honest - truth) < abs(naive - truth)


def test_survives_json_and_stays_small() -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(30, (14 * 144, 256))
    slots = np.array([slot_of(MONDAY + 600 * i, 48) for i in range(len(counts))])
    baseline, _ = Baseline.fit(counts, slots, np.arange(len(counts)) // 144)
    text = json.dumps(baseline.to_dict())
    again = Baseline.from_dict(json.loads(text))

    assert again.counts.tolist() == baseline.counts.tolist()
    assert len(text) < 48 * 256 * 4
