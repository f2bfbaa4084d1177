"""The one place that turns the settings' `kafka` section into what each client library takes."""

import os
import ssl
from typing import Any

from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials

from driftd.errors import MistakeError
from driftd.kafka_oauth import TokenProvider, token_source
from driftd.sections import KafkaSettings, OAuthSettings, SecuritySettings
from driftd.security import OAUTHBEARER


def aiokafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for an aiokafka producer, consumer or admin client. Raises MistakeError."""
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": security.protocol,
    }
    if security.protocol.endswith("SSL"):
        options["ssl_context"] = _tls_context(security)
    if not security.protocol.startswith("SASL"):
        return options
    options["sasl_mechanism"] = security.mechanism
    if security.mechanism == OAUTHBEARER:
        options["sasl_oauth_token_provider"] = _provider(security)
    else:
        options |= {
            "sasl_plain_username": security.username,
            "sasl_plain_password": _secret("password_env", security.password_env),
        }
    return options


def producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for an aiokafka producer. Raises MistakeError."""
    # Not idempotent: aiokafka counts a record that the broker refused or that waited too long, so
    # from then on every other one is out of sequence until the process ends. What we send may come
    # twice; one batch is on its way at a time, so the order holds.
    return {**aiokafka_options(kafka), "acks": "all", "enable_idempotence": False}


def librdkafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """The settings of a confluent-kafka client. Raises MistakeError."""
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap,
        "security.protocol": security.protocol,
        # A broker that is away would flood standard error; what fails is told by who asked.
        "log_level": 2,
    }
    if security.protocol.endswith("SSL"):
        options |= _librdkafka_tls(security)
    if not security.protocol.startswith("SASL"):
        return options
    options["sasl.mechanism"] = security.mechanism
    if security.mechanism == OAUTHBEARER:
        return options | _librdkafka_oauth(security)
    return options | {
        "sasl.username": security.username,
        "sasl.password": _secret("password_env", security.password_env),
    }


def faust_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for ``faust.App``. Raises MistakeError."""
    options: dict[str, Any] = {
        "broker": [f"kafka://{address}" for address in kafka.bootstrap.split(",")],
        "broker_session_timeout": kafka.session_timeout_s,
        "broker_heartbeat_interval": kafka.session_timeout_s / 3,
        # The session may not outlive a request.
        "broker_request_timeout": max(10.0, kafka.session_timeout_s + 1),
        "consumer_auto_offset_reset": "latest",
    }
    security = kafka.security
    if security.protocol == "PLAINTEXT":
        return options
    known = aiokafka_options(kafka)
    context = known.get("ssl_context")
    if security.protocol == "SSL":
        options["broker_credentials"] = SSLCredentials(context=context)
    elif security.mechanism == OAUTHBEARER:
        provider = known["sasl_oauth_token_provider"]
        options["broker_credentials"] = OAuthCredentials(oauth_cb=provider, ssl_context=context)
    else:
        options["broker_credentials"] = SASLCredentials(
            username=security.username,
            password=known["sasl_plain_password"],
            mechanism=security.mechanism,
            ssl_context=context,
        )
    return options


def _tls_context(security: SecuritySettings) -> ssl.SSLContext:
    """Verifies the broker's certificate and its name; shows ours where there is one."""
    ca_file = security.ca_file
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise MistakeError(
            f"kafka.security.ca_file: {ca_file} cannot be used: {_why(error)}; it must hold "
            "certificates of authorities in PEM"
        ) from error
    if security.certificate_file is None or security.key_file is None:
        return context
    try:
        context.load_cert_chain(
            security.certificate_file, security.key_file, password=lambda: _key_password(security)
        )
    except OSError as error:
        raise MistakeError(
            f"kafka.security.certificate_file {security.certificate_file} and key_file "
            f"{security.key_file} cannot be used: {_why(error)}; both must be PEM, the key that of "
            "the certificate, and key_password_env must name the variable of its password if it "
            "has one"
        ) from error
    return context


def _why(error: OSError) -> str:
    # The library gives no text where the key's password is missing or wrong.
    return error.strerror or str(error) or "the password of the key is wrong"


def _key_password(security: SecuritySettings) -> str:
    name = security.key_password_env
    # An empty one opens no key, where None would ask the terminal.
    return "" if name is None else _secret("key_password_env", name)


def _librdkafka_tls(security: SecuritySettings) -> dict[str, str]:
    # Read here as well, so that a bad file is told alike whichever client is built first.
    _tls_context(security)
    options = {}
    if security.ca_file is not None:
        options["ssl.ca.location"] = str(security.ca_file)
    if security.certificate_file is not None and security.key_file is not None:
        options["ssl.certificate.location"] = str(security.certificate_file)
        options["ssl.key.location"] = str(security.key_file)
        if security.key_password_env is not None:
            options["ssl.key.password"] = _key_password(security)
    return options


def _librdkafka_oauth(security: SecuritySettings) -> dict[str, str]:
    oauth, secret = _oauth(security)
    options = {
        # Its own refresh runs in the background; a callback of ours would wait for a poll.
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": str(oauth.token_url),
        "sasl.oauthbearer.client.id": oauth.client_id,
        "sasl.oauthbearer.client.secret": secret,
    }
    if oauth.scope:
        options["sasl.oauthbearer.scope"] = oauth.scope
    return options


def _provider(security: SecuritySettings) -> TokenProvider:
    oauth, secret = _oauth(security)
    return TokenProvider(token_source(oauth, secret))


def _oauth(security: SecuritySettings) -> tuple[OAuthSettings, str]:
    oauth = security.oauth
    if oauth is None or not oauth.token_url:
        raise MistakeError(f"kafka.security.oauth.token_url: is missing; {OAUTHBEARER} needs one")
    return oauth, _secret("oauth.client_secret_env", oauth.client_secret_env)


def _secret(setting: str, name: str) -> str:
    if name not in os.environ:
        raise MistakeError(f"kafka.security.{setting}: the variable {name} is not set")
    return os.environ[name]
