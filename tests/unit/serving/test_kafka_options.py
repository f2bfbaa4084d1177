"""One section of the settings, two client libraries."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from driftd.errors import MistakeError
from driftd.kafka import aiokafka_options, librdkafka_options
from driftd.sections import KafkaSettings


def kafka(**security: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap": "k:9092", "security": security})


def test_plain() -> None:
    assert aiokafka_options(kafka()) == {
        "bootstrap_servers": "k:9092", "security_protocol": "PLAINTEXT",
    }  # fmt: skip
    assert librdkafka_options(kafka())["bootstrap.servers"] == "k:9092"


def test_sasl_and_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_KAFKA_PASSWORD", "secret")
    section = kafka(protocol="SASL_SSL", username="driftd")

    ours, theirs = aiokafka_options(section), librdkafka_options(section)

    assert isinstance(ours["ssl_context"], ssl.SSLContext)
    assert ours["sasl_mechanism"] == theirs["sasl.mechanism"] == "SCRAM-SHA-512"
    assert ours["sasl_plain_username"] == theirs["sasl.username"] == "driftd"
    assert ours["sasl_plain_password"] == theirs["sasl.password"] == "secret"


def test_the_authority_is_passed_on() -> None:
    options = librdkafka_options(kafka(protocol="SSL", ca_file=str(Path("ca.pem"))))

    assert options["ssl.ca.location"] == "ca.pem"


def test_a_missing_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRIFTD_KAFKA_PASSWORD", raising=False)

    with pytest.raises(MistakeError, match="the variable DRIFTD_KAFKA_PASSWORD is not set"):
        librdkafka_options(kafka(protocol="SASL_PLAINTEXT", username="driftd"))
