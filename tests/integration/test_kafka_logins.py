"""Every way to log in, with every client that driftd has, on a real broker; and why one fails."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Producer
from driftd_recorder.recorder import Recorder

from agents.commands import Route, Routing
from driftd.control.doorbell import Ownership, make_app
from driftd.errors import UnreachableError
from driftd.ingest.probe import Probe
from driftd.kafka import aiokafka_options, faust_options, librdkafka_options
from driftd.kafka_errors import cannot_bootstrap, find_cause
from driftd.routers.driftd_traffic import DriftdTraffic
from driftd.sections import KafkaSettings
from driftd.serving.traffic import TrafficFollower
from driftd.settings import Settings
from driftd.topics import TopicAdmin
from stack.certificates import Certificates, make_certificates
from tests.support.secured import ENVIRONMENT, OWN, Secured, secured_kafka

WAIT_S = 120.0
SESSION_MS = 3_000
WAYS = [
    *("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "PLAIN without TLS"),
    *("OAUTHBEARER", "OAUTHBEARER without TLS", "a certificate"),
]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with (
        pytest.MonkeyPatch.context() as patch,
        secured_kafka(tmp_path_factory.mktemp("secured"), session_ms=SESSION_MS) as made,
    ):
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        made.kafka.create_topics({**OWN, "predictions": 1, "long": 1})
        for principal in ("User:driftd", "User:CN=driftd"):
            every = [("all", kind, "*", "literal") for kind in ("topic", "group")]
            made.kafka.allow(principal, every)
        yield made


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority that nobody trusts."""
    return make_certificates(tmp_path_factory.mktemp("strangers"))


@pytest.mark.parametrize("way", WAYS)
def test_every_client_gets_in_by_every_way(secured: Secured, way: str, tmp_path: Path) -> None:
    kafka = secured.ways()[way]
    assert list(secured.ways()) == WAYS
    model = uuid.uuid4().hex

    route = Route(version="1", variant="champion", weight=1.0)
    router = DriftdTraffic(librdkafka_options(kafka), "driftd.traffic", deadline_s=60)
    router.apply(Routing(model=model, epoch=3, routes=(route,)))
    router.close()
    recorder = Recorder(kafka.bootstrap, extra=librdkafka_options(kafka))
    recorder.prediction(model=model, version="1", score=0.5)
    assert recorder.close(60) == 0
    assert recorder.counts().delivered == 1
    assert TopicAdmin(kafka).look(["predictions"]).found["predictions"].partitions == 1
    asyncio.run(_async_clients(kafka, model, tmp_path))


async def _async_clients(kafka: KafkaSettings, model: str, folder: Path) -> None:
    async with asyncio.timeout(WAIT_S):
        async with AIOKafkaProducer(**aiokafka_options(kafka), enable_idempotence=True) as ours:
            await ours.send_and_wait("predictions", model.encode())
        async with Probe(kafka) as probe:
            assert "predictions" in await probe.partitions()
        assert await _read_until(kafka, model.encode()) >= 2
        await _follow(kafka, model)
        await _own_by_faust(kafka, folder)


async def _read_until(kafka: KafkaSettings, value: bytes) -> int:
    """Records that a member of a group reads up to one of this value."""
    group = {"group_id": uuid.uuid4().hex, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer("predictions", **aiokafka_options(kafka), **group) as consumer:
        count = 0
        async for record in consumer:
            count += 1
            if record.value == value:
                break
    return count


async def _follow(kafka: KafkaSettings, model: str) -> None:
    offered: list[int] = []

    def offer(routing: Routing) -> bool:
        offered.append(routing.epoch)
        return True

    follower = TrafficFollower(aiokafka_options(kafka), "driftd.traffic", model, offer, print)
    task = asyncio.create_task(follower.run())
    await follower.caught_up.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert offered == [3]


async def _own_by_faust(kafka: KafkaSettings, folder: Path) -> None:
    given = {"topics": {"control_partitions": 4}, "kafka": {"group_prefix": uuid.uuid4().hex}}
    settings = Settings.model_validate(given)
    ownership = Ownership("driftd.control", 4)

    async def look(_model: str) -> None:
        return

    app: Any = make_app(settings, ownership, look, faust_options(kafka), str(folder / "faust"))
    await app.start()
    try:
        while not ownership.owns("any"):  # noqa: ASYNC110 - a rebalance makes it true
            await asyncio.sleep(0.05)
    finally:
        await app.stop()


def test_a_token_is_renewed_and_nothing_is_lost_when_a_session_ends(secured: Secured) -> None:
    """The broker closes a session of OAUTHBEARER after three seconds; records go on for longer."""
    kafka = secured.ways()["OAUTHBEARER"]

    async def story() -> None:
        async with (
            AIOKafkaProducer(**aiokafka_options(kafka), enable_idempotence=True) as producer,
            AIOKafkaConsumer(
                "long", **aiokafka_options(kafka), auto_offset_reset="earliest"
            ) as consumer,
        ):
            for number in range(24):
                await producer.send_and_wait("long", b"%d" % number)
                await asyncio.sleep(SESSION_MS / 1000 / 8)
            read = [await consumer.getone() for _ in range(24)]
        assert [int(record.value) for record in read] == list(range(24))

    asyncio.run(asyncio.wait_for(story(), WAIT_S))


@pytest.mark.parametrize(
    ("listener", "security", "told"),
    [
        ("bootstrap", {"password_env": "WRONG"}, "kafka.security.username driftd with the passw"),
        ("bootstrap", {"username": "nobody"}, "the broker refuses kafka.security.username nobody"),
        ("bootstrap", {"ca_file": "STRANGERS"}, "does not vouch for the broker's certificate"),
        ("bootstrap", {"ca_file": None}, "none of this system's authorities vouches"),
        ("plaintext", {}, "no TLS is spoken there, but kafka.security.protocol is SASL_SSL"),
        ("mutual", {"protocol": "SSL", "username": ""}, "the broker wants a certificate of ours"),
        (
            "mutual",
            {"protocol": "SSL", "username": "", "certificate_file": "STRANGERS"},
            "the broker does not take kafka.security.certificate_file",
        ),
        (
            "bootstrap",
            {"protocol": "PLAINTEXT", "username": "", "ca_file": None},
            "hangs up: it wants another kafka.security.protocol than PLAINTEXT",
        ),
        (
            "plaintext",
            {"protocol": "SASL_PLAINTEXT", "ca_file": None},
            "the broker does not take kafka.security.mechanism SCRAM-SHA-512",
        ),
        (
            "bootstrap",
            {"username": "", "mechanism": "OAUTHBEARER", "oauth": {"client_secret_env": "WRONG"}},
            'refuses a token (401 {"error": "invalid_client"})',
        ),
    ],
)  # fmt: skip
def test_the_true_cause_is_told(
    monkeypatch: pytest.MonkeyPatch,
    secured: Secured,
    strangers: Certificates,
    listener: str,
    security: dict[str, Any],
    told: str,
) -> None:
    monkeypatch.setenv("WRONG", "guessed")
    if "certificate_file" in security:
        security |= {
            "certificate_file": str(strangers.client_certificate),
            "key_file": str(strangers.client_key),
        }
    if security.get("ca_file") == "STRANGERS":
        security |= {"ca_file": str(strangers.ca)}
    if "oauth" in security:
        security |= {"oauth": {**secured.oauth, **security["oauth"]}}
    section = secured.section(**security)
    section["bootstrap"] = getattr(secured.kafka, listener)

    said = cannot_bootstrap(KafkaSettings.model_validate(section), OSError("Unable to bootstrap"))

    assert isinstance(said, UnreachableError)
    assert str(said).startswith("cannot reach Kafka: ")
    assert told in str(said)


@pytest.mark.parametrize(
    ("bootstrap", "told"),
    [
        ("127.0.0.1:9", "no broker answers at kafka.bootstrap (127.0.0.1:9)"),
        ("no-such-host.invalid:9092", "has no address"),
    ],
)
def test_a_broker_that_is_not_there_is_told(bootstrap: str, told: str) -> None:
    kafka = KafkaSettings.model_validate({"bootstrap": bootstrap})

    assert told in str(find_cause(kafka))


def test_whoever_gets_in_has_no_cause(secured: Secured) -> None:
    assert {name: find_cause(kafka) for name, kafka in secured.ways().items()} == dict.fromkeys(
        WAYS
    )


def test_a_user_without_permission_is_refused(secured: Secured, monkeypatch: Any) -> None:
    monkeypatch.setenv("DRIFTD_KAFKA_PASSWORD", "other-secret")
    other = KafkaSettings.model_validate(secured.section(username="other"))
    failed: list[str] = []

    producer = Producer(librdkafka_options(other))
    producer.produce(
        "predictions", json.dumps({}), on_delivery=lambda error, _: failed.append(error.name())
    )
    producer.flush(60)

    assert failed == ["TOPIC_AUTHORIZATION_FAILED"]
    assert TopicAdmin(other).look(["predictions"]).refused == {"predictions"}
