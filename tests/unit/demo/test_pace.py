"""Lock-step: how far the replay may be ahead of the control loop."""

import pytest

from driftd.demo.options import DAY_S, HOUR_S
from driftd.demo.pace import Pulse, fits_retention

D = float(DAY_S)


@pytest.mark.parametrize(
    ("pulse", "start", "may"),
    [
        (Pulse(closed=10 * D, busy=False, rollout=False), 12 * D, True),
        (Pulse(closed=10 * D, busy=False, rollout=False), 13 * D, False),
        (Pulse(closed=10 * D, busy=False, rollout=True), 11 * D, True),
        (Pulse(closed=10 * D, busy=False, rollout=True), 11 * D + 6 * HOUR_S, False),
        (Pulse(closed=10 * D, busy=True, rollout=False), 10 * D, False),
    ],
    ids=["two days", "three days", "a day in a rollout", "more in a rollout", "busy"],
)
def test_the_replay_keeps_its_distance(pulse: Pulse, start: float, may: bool) -> None:
    assert pulse.may_send(start) is may


def test_no_answer_of_the_daemon_is_busy() -> None:
    pulse = Pulse.of(None, since=5 * D)

    assert not pulse.may_send(5 * D)


def test_a_loop_that_has_closed_nothing_yet_stands_at_the_beginning() -> None:
    pulse = Pulse.of({"closed": None, "busy": False, "rollout": False}, since=5 * D)

    assert pulse.closed == 5 * D
    assert pulse.may_send(7 * D)


@pytest.mark.parametrize("rollout", [True, False])
@pytest.mark.parametrize("start", [5 * D, 5 * D + 6 * HOUR_S, 5 * D + 23 * HOUR_S])
def test_a_block_never_crosses_midnight(rollout: bool, start: float) -> None:
    end = Pulse(closed=0, busy=False, rollout=rollout).block_end(start)

    assert start < end <= 6 * D
    assert (end % D == 0) or rollout


def test_what_waits_must_fit_into_a_fifth_of_the_retention() -> None:
    assert fits_retention(1_000, partitions=16, retention_bytes=5 * 2**20)
    assert not fits_retention(100_000, partitions=16, retention_bytes=5 * 2**20)
