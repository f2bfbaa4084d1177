"""When an alert is sent, sent again, ended and let go, and what stands in it."""

import msgspec
import pytest

from agents.alerter import Alert, Alerter, AlerterState, Links
from agents.incidents import Incident, StreamMoved
from policies.specs import ModelSpec, RegistrySpec

NOW = 1_700_000_000.0
MINUTE = 60.0
SPEC = ModelSpec(
    model="flight-delay", owner="ml-delays", registry=RegistrySpec(name="flight_delay")
)
MOVED = StreamMoved(
    stream="minute_of_day",
    distance="ks",
    effect=0.18,
    tolerance=0.1,
    evidence=1.0,
    since=1_371_513_600.0,
    how="minute_of_day: ks 0.180, normally 0.000, tolerated +0.1",
)
FAULT = Incident(
    incident_id="a1b2c3d4e5f60718",
    model="flight-delay",
    kind="data_fault",
    severity="warning",
    onset=1_371_513_600.0,
    opened=1_371_859_200.0,
    summary="Data fault in flight-delay: minute_of_day is shifted",
    streams=(MOVED,),
    cause="minute_of_day is shifted by +240 min (mod 1440)",
)
RESOLVED = msgspec.structs.replace(FAULT, state="resolved", closed=1_373_068_800.0)
DRIFT = msgspec.structs.replace(
    FAULT, incident_id="ffff000011112222", kind="input_drift", severity="info", cause=""
)


class Life:
    """An alerter whose state goes through its stored bytes after every call."""

    def __init__(self, spec: ModelSpec = SPEC) -> None:
        self.alerter = Alerter(spec, links=Links(report="http://d/report/{model}#{incident}"))
        self.state = AlerterState.new()

    def at(self, seconds: float, *incidents: Incident, **more: float) -> tuple[Alert, ...]:
        """What is due so many seconds after the beginning."""
        opened = dict(more) or None
        self.state, due = self.alerter.alerts(incidents, self.state, NOW + seconds, opened)
        self.state = AlerterState.from_bytes(self.state.to_bytes())
        return due


def test_the_first_sending_is_at_once_and_says_everything() -> None:
    (alert,) = Life().at(0, FAULT)

    assert alert.labels == {
        "alertname": "DriftdDataFault",
        "model": "flight-delay",
        "kind": "data_fault",
        "severity": "warning",
        "owner": "ml-delays",
    }
    assert alert.annotations == {
        "summary": FAULT.summary,
        "description": f"Probable cause: {FAULT.cause}.\n{MOVED.how}",
        "onset": "2013-06-18T00:00:00Z",
        "streams": "minute_of_day",
        "incident_id": FAULT.incident_id,
        "report_url": "http://d/report/flight-delay#a1b2c3d4e5f60718",
    }
    assert (alert.starts_at, alert.ends_at) == (NOW, NOW + 15 * MINUTE)
    assert alert.link == alert.annotations["report_url"]


def test_is_sent_again_each_minute_while_it_fires_and_never_in_between() -> None:
    life = Life()
    sent = [second for second in range(0, 241, 10) if life.at(second, FAULT)]

    assert sent == [0, 60, 120, 180, 240]


def test_every_sending_keeps_the_start_and_moves_the_end() -> None:
    life = Life()
    alerts = [life.at(minute * MINUTE, FAULT)[0] for minute in range(3)]

    assert {alert.starts_at for alert in alerts} == {NOW}
    assert [alert.ends_at - NOW for alert in alerts] == [900, 960, 1_020]


def test_a_known_wall_time_of_the_opening_is_the_start() -> None:
    (alert,) = Life().at(0, FAULT, a1b2c3d4e5f60718=NOW - 300)

    assert alert.starts_at == NOW - 300


def test_the_end_is_said_at_once_and_repeated_for_fifteen_minutes() -> None:
    life = Life()
    life.at(0, FAULT)
    sent = {s: life.at(s, RESOLVED) for s in range(90, 90 + 20 * 60, 30)}
    due = {s: alerts[0] for s, alerts in sent.items() if alerts}

    assert sorted(due) == list(range(90, 90 + 15 * 60, 60))
    assert {alert.ends_at for alert in due.values()} == {NOW + 90}
    assert {alert.starts_at for alert in due.values()} == {NOW}
    assert life.state.sendings == {}


def test_an_incident_that_is_no_longer_shown_has_ended() -> None:
    life = Life()
    life.at(0, FAULT)

    assert life.at(10)[0].ends_at == NOW + 10


def test_an_old_incident_that_never_fired_here_is_not_sent() -> None:
    assert Life().at(0, RESOLVED) == ()


def test_a_restart_changes_nothing() -> None:
    life, reborn = Life(), Life()
    life.at(0, FAULT)
    reborn.state = life.state

    assert reborn.at(30, FAULT) == ()
    (alert,) = reborn.at(60, FAULT)
    assert alert.starts_at == NOW


def test_a_new_incident_of_the_same_labels_is_not_put_out_by_the_old_end() -> None:
    life = Life()
    again = msgspec.structs.replace(FAULT, incident_id="9999888877776666")
    life.at(0, FAULT)
    life.at(60, RESOLVED)
    due = life.at(70, RESOLVED, again)

    assert [(a.annotations["incident_id"], a.ends_at) for a in due] == [
        ("9999888877776666", NOW + 70 + 15 * MINUTE)
    ]
    assert due[0].starts_at == NOW + 70
    assert [a.annotations["incident_id"] for a in life.at(130, RESOLVED, again)] == [
        "9999888877776666"
    ]


def test_a_raised_severity_fires_under_its_labels_and_ends_under_the_old() -> None:
    life = Life()
    life.at(0, DRIFT)
    raised = msgspec.structs.replace(DRIFT, severity="warning")
    due = {alert.labels["severity"]: alert for alert in life.at(20, raised)}

    assert due["info"].ends_at == NOW + 20
    assert due["warning"].ends_at == NOW + 20 + 15 * MINUTE
    assert due["warning"].starts_at == NOW


def test_news_of_an_incident_are_sent_at_once_under_its_labels() -> None:
    life = Life()
    life.at(0, FAULT)
    second = msgspec.structs.replace(MOVED, stream="temp", how="temp: missing")
    joined = msgspec.structs.replace(FAULT, streams=(MOVED, second), quiet=0)
    (alert,) = life.at(10, joined)

    assert alert.annotations["streams"] == "minute_of_day, temp"
    assert (alert.starts_at, alert.ends_at) == (NOW, NOW + 10 + 15 * MINUTE)
    assert alert.labels == life.at(70, joined)[0].labels


def test_quiet_panes_are_no_news() -> None:
    life = Life()
    life.at(0, FAULT)

    assert life.at(10, msgspec.structs.replace(FAULT, quiet=3)) == ()


@pytest.mark.parametrize(
    ("state", "said"),
    [("false_alarm", "Answered: a false alarm."), ("accepted", "Answered: accepted as the new")],
)
def test_a_persons_answer_ends_the_alert_at_once_and_is_said(state: str, said: str) -> None:
    life = Life()
    life.at(0, FAULT)
    answered = msgspec.structs.replace(FAULT, state=state, closed=RESOLVED.closed)
    (alert,) = life.at(5, answered)

    assert alert.ends_at == NOW + 5
    assert alert.annotations["description"].startswith(said)


def test_what_has_ended_never_fires_again_after_a_restart() -> None:
    life, reborn = Life(), Life()
    life.at(0, FAULT)
    life.at(5, RESOLVED)
    reborn.state = AlerterState.from_bytes(life.state.to_bytes())
    sent = [alert for second in range(6, 2_000, 10) for alert in reborn.at(second)]

    assert {alert.ends_at for alert in sent} == {NOW + 5}


def test_one_alert_an_incident() -> None:
    due = Life().at(0, FAULT, DRIFT)

    assert [alert.labels["kind"] for alert in due] == ["data_fault", "input_drift"]


def test_a_clock_that_is_set_back_does_not_silence_an_alert() -> None:
    life = Life()
    life.at(0, FAULT)

    assert len(life.at(-3_600, FAULT)) == 1


@pytest.mark.parametrize(("mode", "count"), [("observe", 0), ("alert", 1), ("auto", 1)])
def test_only_an_observer_says_nothing(mode: str, count: int) -> None:
    spec = ModelSpec(
        model="flight-delay",
        mode=mode,  # type: ignore[arg-type]  # parametrized
        registry=RegistrySpec(name="flight_delay"),
    )

    assert len(Life(spec).at(0, FAULT)) == count


def test_a_switch_to_observing_ends_what_fires() -> None:
    life = Life()
    life.at(0, FAULT)
    observing = ModelSpec(model="flight-delay", mode="observe", registry=RegistrySpec(name="f"))
    life.alerter = Alerter(observing)

    assert life.at(5, FAULT)[0].ends_at == NOW + 5


def test_a_model_without_owner_still_has_the_label() -> None:
    nobody = ModelSpec(model="flight-delay", registry=RegistrySpec(name="f"))
    (alert,) = Life(nobody).at(0, FAULT)

    assert alert.labels["owner"] == "none"
