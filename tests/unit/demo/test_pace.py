"""Lock-step: how far the replay may be ahead of the control loop."""

import pytest

from driftd.demo.options import DAY_S
from driftd.demo.pace import Pulse, fits_retention

D = float(DAY_S)


@pytest.mark.parametrize(
    ("pulse", "done"),
    [
        (Pulse(closed=12 * D, busy=False, rollout=False), True),
        (Pulse(closed=13 * D, busy=False, rollout=True), True),
        (Pulse(closed=11 * D, busy=False, rollout=False), False),
        (Pulse(closed=12 * D, busy=True, rollout=False), False),
    ],
    ids=["all closed", "more than asked", "a day behind", "a command in flight"],
)
def test_a_stride_begins_when_all_before_it_is_done(pulse: Pulse, done: bool) -> None:
    assert pulse.has_done(12 * D) is done


def test_no_answer_of_the_daemon_is_busy() -> None:
    assert not Pulse.of(None, since=5 * D).has_done(5 * D)


def test_a_loop_that_has_closed_nothing_yet_stands_at_the_beginning() -> None:
    pulse = Pulse.of({"closed": None, "busy": False, "rollout": False}, since=5 * D)

    assert pulse.has_done(5 * D)


@pytest.mark.parametrize(("rollout", "days"), [(True, 1), (False, 2)])
def test_a_stride_is_a_day_in_a_rollout_and_two_else(rollout: bool, days: int) -> None:
    pulse = Pulse(closed=5 * D, busy=False, rollout=rollout)

    assert pulse.stride_end(5 * D) == (5 + days) * D


def test_what_waits_must_fit_into_a_fifth_of_the_retention() -> None:
    assert fits_retention(1_000, partitions=16, retention_bytes=5 * 2**20)
    assert not fits_retention(100_000, partitions=16, retention_bytes=5 * 2**20)
