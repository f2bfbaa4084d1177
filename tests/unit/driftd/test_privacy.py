"""Private fields are gone or hashed before anything else sees the event."""

import pytest

from driftd.errors import MistakeError
from driftd.ingest.events import Event
from driftd.ingest.privacy import Privacy
from policies.specs import PrivacySpec

KEY = b"a key"


def _event() -> Event:
    return Event(
        id="a",
        model="m",
        ts=1.0,
        features={"email": "x@y", "age": 41.0},
        vectors={"email": [1.0]},
        segment={"email": "y", "region": "eu"},
        subject="user-42",
        shadow_of="b",
    )


def test_dropped_names_vanish_wherever_they_stand() -> None:
    event = _event()
    Privacy(PrivacySpec(drop=frozenset({"email", "subject"})), None).apply(event)

    assert event.features == {"age": 41.0}
    assert event.vectors == {}
    assert event.segment == {"region": "eu"}
    assert event.subject is None


def test_a_hash_is_the_same_for_the_same_key_and_another_for_another() -> None:
    spec = PrivacySpec(hash=frozenset({"subject", "age"}))
    events = [_event() for _ in range(3)]
    for event, key in zip(events, (KEY, KEY, b"other"), strict=True):
        Privacy(spec, key).apply(event)

    assert events[0].subject == events[1].subject != events[2].subject
    assert events[0].features is not None
    assert events[0].features["age"] != 41.0
    assert "user-42" not in str(events[0])


def test_a_hash_is_an_hmac_with_sha_256() -> None:
    event = Event(model="m", ts=1.0, subject="what do ya want for nothing?")
    Privacy(PrivacySpec(hash=frozenset({"subject"})), b"Jefe").apply(event)

    # RFC 4231, test case 2.
    assert event.subject == "5bdcc146bf60754e6a042426089575c7"


def test_a_hashed_id_still_joins_its_shadow() -> None:
    live, shadow = Event(id="a", model="m", ts=1.0), Event(id="s", shadow_of="a", model="m", ts=1.0)
    privacy = Privacy(PrivacySpec(hash=frozenset({"id"})), KEY)
    privacy.apply(live)
    privacy.apply(shadow)

    assert live.id == shadow.shadow_of != "a"


def test_the_bytes_for_a_dead_letter_are_clean() -> None:
    privacy = Privacy(PrivacySpec(drop=frozenset({"email"}), hash=frozenset({"subject"})), KEY)
    shown = privacy.clean_bytes(_event())

    assert b"x@y" not in shown
    assert b"user-42" not in shown
    assert b'"age":41.0' in shown


def test_to_hash_without_a_key_is_a_mistake_and_says_what_is_missing() -> None:
    with pytest.raises(MistakeError, match=r"hash names subject.*hash_key_env"):
        Privacy(PrivacySpec(hash=frozenset({"subject"})), None)
