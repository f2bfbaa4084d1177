"""A secured broker with the principals and the permissions of docs/kafka.md."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.demo.children import Children
from driftd.sections import KafkaSettings
from stack.kafka_secured import Acl, SecuredKafka
from stack.tokens import TokenServer

PASSWORD = "driftd-secret"
USERS = ("driftd", "server", "producer", "platform", "other")
CLIENT_SECRET = "client-secret"
OWN = {"driftd.control": 4, "driftd.traffic": 1, "driftd.decisions": 1, "driftd.dead_letters": 1}
ENVIRONMENT = {
    "DRIFTD_KAFKA_PASSWORD": PASSWORD,
    "DRIFTD_KAFKA_CLIENT_SECRET": CLIENT_SECRET,
}


def on_topics(operation: str, *names: str) -> list[Acl]:
    """One permission a topic."""
    return [(operation, "topic", name, "literal") for name in names]


DAEMON = [
    *on_topics("read", "predictions", "labels", "driftd.control"),
    *on_topics(
        "write", "driftd.control", "driftd.traffic", "driftd.decisions", "driftd.dead_letters"
    ),
    ("read", "group", "driftd-ingest", "literal"),
    ("read", "group", "driftd-control", "literal"),
]
SERVER = [*on_topics("read", "driftd.traffic"), *on_topics("write", "predictions")]
PRODUCER = on_topics("write", "predictions", "labels")
TOPICS = [
    ("create", "cluster", "kafka-cluster", "literal"),
    ("describe", "topic", "*", "literal"),
    ("describe_configs", "topic", "*", "literal"),
]


@dataclass(frozen=True, kw_only=True)
class Secured:
    """The broker and the endpoint of tokens."""

    kafka: SecuredKafka
    tokens: TokenServer
    directory: Path

    def section(self, **security: Any) -> dict[str, Any]:
        """``kafka`` of the settings at the first listener, as the file says it."""
        base = {"protocol": "SASL_SSL", "username": "driftd", "ca_file": str(self.kafka.ca_file)}
        return {"bootstrap": self.kafka.bootstrap, "security": {**base, **security}}

    @property
    def oauth(self) -> dict[str, str]:
        """``kafka.security.oauth`` of the settings."""
        return {"token_url": self.tokens.token_url, "client_id": "driftd"}

    def ways(self) -> Mapping[str, KafkaSettings]:
        """Every way to log in."""
        kafka, tls = self.kafka, {"ca_file": str(self.kafka.ca_file)}
        assert kafka.certificates is not None
        token = {"mechanism": "OAUTHBEARER", "oauth": self.oauth}
        certificate = {
            "certificate_file": str(kafka.certificates.client_certificate),
            "key_file": str(kafka.certificates.client_key),
        }
        plain = {"protocol": "SASL_PLAINTEXT"}
        ways = {
            "SCRAM-SHA-512": self.section(),
            "SCRAM-SHA-256": self.section(mechanism="SCRAM-SHA-256"),
            "PLAIN": self.section(mechanism="PLAIN"),
            "PLAIN without TLS": {
                "bootstrap": kafka.plaintext,
                "security": {**plain, "mechanism": "PLAIN", "username": "driftd"},
            },
            "OAUTHBEARER": {
                "bootstrap": kafka.bootstrap,
                "security": {"protocol": "SASL_SSL", **tls, **token},
            },
            "OAUTHBEARER without TLS": {
                "bootstrap": kafka.plaintext,
                "security": {**plain, **token},
            },
            "a certificate": {
                "bootstrap": kafka.mutual,
                "security": {"protocol": "SSL", **tls, **certificate},
            },
        }
        return {name: KafkaSettings.model_validate(section) for name, section in ways.items()}


@contextmanager
def secured_kafka(directory: Path, *, session_ms: int = 3_600_000) -> Iterator[Secured]:
    """A broker that lets nobody do anything yet; everything ends with the block."""
    children = Children(directory / "logs")
    with TokenServer(directory / "tokens", {"driftd": CLIENT_SECRET}) as tokens:
        kafka = SecuredKafka(
            children,
            directory / "kafka",
            users={user: f"{user}-secret" for user in USERS},
            tokens=tokens,
            session_ms=session_ms,
        )
        try:
            kafka.start()
            yield Secured(kafka=kafka, tokens=tokens, directory=directory)
        finally:
            children.stop_all()
