"""One section of the settings, three client libraries."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials

from driftd.errors import MistakeError
from driftd.kafka import aiokafka_options, faust_options, librdkafka_options
from driftd.sections import KafkaSettings
from stack.certificates import Certificates, make_certificates

OAUTH = {"token_url": "https://login.example/token", "client_id": "driftd", "scope": "kafka"}


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def kafka(**security: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap": "k:9092", "security": security})


def test_plain() -> None:
    assert aiokafka_options(kafka()) == {
        "bootstrap_servers": "k:9092", "security_protocol": "PLAINTEXT",
    }  # fmt: skip
    assert librdkafka_options(kafka())["bootstrap.servers"] == "k:9092"
    assert "broker_credentials" not in faust_options(kafka())


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_password_over_tls(monkeypatch: pytest.MonkeyPatch, mechanism: str) -> None:
    monkeypatch.setenv("DRIFTD_KAFKA_PASSWORD", "secret")
    section = kafka(protocol="SASL_SSL", username="driftd", mechanism=mechanism)

    ours, theirs = aiokafka_options(section), librdkafka_options(section)
    fausts = faust_options(section)["broker_credentials"]

    assert isinstance(ours["ssl_context"], ssl.SSLContext)
    assert ours["ssl_context"].check_hostname
    assert ours["sasl_mechanism"] == theirs["sasl.mechanism"] == mechanism
    assert ours["sasl_plain_username"] == theirs["sasl.username"] == "driftd"
    assert ours["sasl_plain_password"] == theirs["sasl.password"] == "secret"
    assert isinstance(fausts, SASLCredentials)
    assert (fausts.mechanism.value, fausts.username) == (mechanism, "driftd")
    assert (fausts.password, fausts.protocol.value) == ("secret", "SASL_SSL")


def test_a_certificate_of_ours(pem: Certificates) -> None:
    section = kafka(
        protocol="SSL",
        ca_file=str(pem.ca),
        certificate_file=str(pem.client_certificate),
        key_file=str(pem.client_key),
    )

    theirs = librdkafka_options(section)

    assert isinstance(aiokafka_options(section)["ssl_context"], ssl.SSLContext)
    assert theirs["ssl.ca.location"] == str(pem.ca)
    assert theirs["ssl.certificate.location"] == str(pem.client_certificate)
    assert theirs["ssl.key.location"] == str(pem.client_key)
    assert isinstance(faust_options(section)["broker_credentials"], SSLCredentials)


def test_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_KAFKA_CLIENT_SECRET", "secret")
    section = kafka(protocol="SASL_SSL", mechanism="OAUTHBEARER", oauth=OAUTH)

    ours, theirs = aiokafka_options(section), librdkafka_options(section)
    fausts = faust_options(section)["broker_credentials"]

    assert ours["sasl_mechanism"] == theirs["sasl.mechanism"] == "OAUTHBEARER"
    assert theirs["sasl.oauthbearer.token.endpoint.url"] == OAUTH["token_url"]
    assert theirs["sasl.oauthbearer.client.secret"] == "secret"
    assert theirs["sasl.oauthbearer.scope"] == "kafka"
    assert isinstance(fausts, OAuthCredentials)
    # One token serves all clients of a process.
    assert fausts.oauth_cb.source is ours["sasl_oauth_token_provider"].source


@pytest.mark.parametrize(
    ("security", "name"),
    [
        ({"username": "driftd"}, "password_env: the variable DRIFTD_KAFKA_PASSWORD"),
        (
            {"mechanism": "OAUTHBEARER", "oauth": OAUTH},
            "oauth.client_secret_env: the variable DRIFTD_KAFKA_CLIENT_SECRET",
        ),
    ],
)
def test_a_missing_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, security: dict[str, Any], name: str
) -> None:
    for variable in ("DRIFTD_KAFKA_PASSWORD", "DRIFTD_KAFKA_CLIENT_SECRET"):
        monkeypatch.delenv(variable, raising=False)

    for options in (aiokafka_options, librdkafka_options, faust_options):
        with pytest.raises(MistakeError, match=f"kafka.security.{name} is not set"):
            options(kafka(protocol="SASL_PLAINTEXT", **security))


def test_a_file_that_is_no_authority_is_named(tmp_path: Path) -> None:
    text = tmp_path / "ca.pem"
    text.write_text("no certificate")

    for options in (aiokafka_options, librdkafka_options, faust_options):
        with pytest.raises(MistakeError, match=r"kafka\.security\.ca_file: .*ca\.pem cannot be"):
            options(kafka(protocol="SSL", ca_file=str(text)))
        with pytest.raises(MistakeError, match=r"none\.pem cannot be used: No such file"):
            options(kafka(protocol="SSL", ca_file=str(tmp_path / "none.pem")))


def test_a_key_opens_with_its_password_and_with_no_other(
    monkeypatch: pytest.MonkeyPatch, pem: Certificates, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:sesame"]
    subprocess.run(
        [*command, "-in", str(pem.client_key), "-out", str(locked)], check=True, capture_output=True
    )
    given = {
        "protocol": "SSL",
        "certificate_file": str(pem.client_certificate),
        "key_file": str(locked),
    }
    monkeypatch.setenv("KEY_WORD", "sesame")
    monkeypatch.setenv("OTHER_WORD", "barley")

    options = librdkafka_options(kafka(**given, key_password_env="KEY_WORD"))
    assert options["ssl.key.password"] == "sesame"
    for wrong in ({"key_password_env": "OTHER_WORD"}, {}):
        with pytest.raises(MistakeError, match="key_password_env must name"):
            librdkafka_options(kafka(**given, **wrong))
