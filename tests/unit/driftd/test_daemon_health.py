"""Alive is who needs no restart, ready is who takes part; an outage outside is no reason to die."""

from types import SimpleNamespace
from typing import Any

import pytest

from driftd import daemon as module
from driftd.control.doorbell import Ownership
from driftd.daemon import STALLED_AFTER_S, Daemon
from driftd.roles import Role
from driftd.settings import Settings

LONG = STALLED_AFTER_S + 1


class Watch:
    """A steady clock that a test turns."""

    def __init__(self) -> None:
        self.now = 10_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Watch:
    clock = Watch()
    monkeypatch.setattr(module, "steady_now", clock)
    return clock


def daemon(clock: Watch, role: Role = Role.ALL, **more: Any) -> Daemon:
    """A worker that has started and takes part; its parts are told what they say."""
    ownership = Ownership("driftd.control", 8)
    ownership.assigned([])
    ownership.changed_at = clock.now
    ingest = SimpleNamespace(stalled_s=0.0, missing=tuple, notices=tuple)
    link = SimpleNamespace(trouble="", away_at=0.0, partitions=lambda _topic: 8)
    known: dict[str, Any] = {
        "settings": Settings(),
        "role": role,
        "worker": "w-1",
        "api": "",
        "ownership": ownership,
        "link": link,
        "control": SimpleNamespace(last_step=clock.now) if role.controls else None,
        "app": SimpleNamespace(crashed=False) if role.controls else None,
        "ingest": ingest if role.ingests else None,
        "policies": SimpleNamespace(notices=tuple),
        "topics": SimpleNamespace(notices=()),
        "started": True,
        "store_trouble": "",
        "store_away_at": 0.0,
        **dict.fromkeys(("store", "book", "metrics", "bell", "alertmanager")),
    }
    return Daemon(**{**known, **more})


@pytest.mark.parametrize("role", list(Role))
def test_who_takes_part_is_alive_and_ready(clock: Watch, role: Role) -> None:
    one = daemon(clock, role)

    assert (one.wrong(), one.not_ready()) == ((), ())


def test_a_control_loop_that_hangs_wants_a_restart(clock: Watch) -> None:
    one = daemon(clock)
    clock.now += LONG

    assert one.wrong() == (f"the control loop has not come round for {LONG:.0f} s",)


def test_ingest_that_hangs_wants_a_restart(clock: Watch) -> None:
    one = daemon(clock, Role.INGEST)
    one.ingest.stalled_s = LONG  # type: ignore[union-attr,misc]

    assert one.wrong() == (f"ingest has made no progress for {LONG:.0f} s",)


def test_a_group_that_is_not_joined_for_long_wants_a_restart(clock: Watch) -> None:
    one = daemon(clock)
    one.ownership.revoked([])
    one.ownership.changed_at = clock.now
    assert one.wrong() == ()
    assert "has not given this worker its partitions" in one.not_ready()[0]

    clock.now += LONG
    one.control.last_step = clock.now  # type: ignore[union-attr]

    assert "driftd-control was not joined" in one.wrong()[0]


@pytest.mark.parametrize("outside", ["store", "kafka"])
def test_nobody_stalls_while_the_outside_is_away(clock: Watch, outside: str) -> None:
    one = daemon(clock)
    one.ownership.revoked([])
    one.ownership.changed_at = clock.now
    clock.now += 10 * LONG
    one.ingest.stalled_s = 10 * LONG  # type: ignore[union-attr,misc]
    if outside == "store":
        one.store_is_away("connection refused")
        one.store_away_at = clock.now
        assert one.not_ready()[0] == "the store does not answer: connection refused"
    else:
        one.link.away_at = clock.now

    assert one.wrong() == ()


def test_a_dead_faust_app_wants_a_restart(clock: Watch) -> None:
    one = daemon(clock)
    one.app.crashed = True

    assert one.wrong() == ("the Faust app has crashed",)


def test_before_it_has_started_nothing_is_wrong_and_it_says_what_it_waits_for(
    clock: Watch,
) -> None:
    one = daemon(clock, started=False)
    clock.now += LONG

    assert one.wrong() == ()
    assert one.not_ready() == ("the worker is starting",)
    one.link.trouble = "no broker answers"
    assert one.not_ready() == ("Kafka does not answer: no broker answers",)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (0, "the broker has no topic driftd.control: driftd topics create"),
        (4, "driftd.control has 4 partitions, topics.control_partitions says 8"),
    ],
)
def test_a_control_topic_in_which_models_would_have_no_owner_is_told(
    clock: Watch, there: int, told: str
) -> None:
    one = daemon(clock)
    one.link.partitions = lambda _topic: there  # type: ignore[method-assign,assignment]

    assert one.not_ready()[0].startswith(told)
    # Nobody else steps those models, but a restart mends nothing.
    assert one.wrong() == ()


def test_a_clock_that_is_off_is_a_notice(clock: Watch) -> None:
    one = daemon(clock)
    assert one.notices() == ()

    one.clock_ahead_s = -4.6

    assert one.notices() == ("the clock of w-1 is -5 s off the store's: leases need NTP",)
