"""The unit that is shipped agrees with how a worker really stops."""

from configparser import RawConfigParser
from pathlib import Path

from driftd.worker import EXIT_STALLED, HARD_EXIT_AFTER_S, LEAVE_AFTER_S

UNIT = Path(__file__).parents[3] / "configs" / "systemd" / "driftd.service"


def service() -> dict[str, str]:
    """The section of the service; of a name that stands there twice the last value."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


def test_systemd_waits_longer_than_a_worker_may_take_to_stop() -> None:
    told = service()

    assert told["KillSignal"] == "SIGTERM"
    assert float(told["TimeoutStopSec"].removesuffix("s")) > HARD_EXIT_AFTER_S + LEAVE_AFTER_S


def test_all_but_a_mistake_is_started_again() -> None:
    told = service()

    assert told["Restart"] == "always"
    never = {int(code) for code in told["RestartPreventExitStatus"].split()}
    assert EXIT_STALLED not in never
    assert never == {1, 2}


def test_trainings_are_left_to_go_on() -> None:
    assert service()["KillMode"] == "process"
