"""The one place that turns the settings' `kafka` section into what each client library takes."""

import os
from typing import Any

from aiokafka.helpers import create_ssl_context
from faust.auth import SASLCredentials, SSLCredentials

from driftd.errors import MistakeError, UnreachableError
from driftd.sections import KafkaSettings


def aiokafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for an aiokafka producer or consumer. Raises MistakeError."""
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": security.protocol,
    }
    if security.protocol.endswith("SSL"):
        ca_file = security.ca_file
        options["ssl_context"] = create_ssl_context(cafile=str(ca_file) if ca_file else None)
    if security.protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": _password(kafka),
        }
    return options


def librdkafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """The settings of a confluent-kafka client. Raises MistakeError."""
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap,
        "security.protocol": security.protocol,
        # A broker that is away would flood standard error; what fails is told by who asked.
        "log_level": 2,
    }
    if security.protocol.endswith("SSL") and security.ca_file is not None:
        options["ssl.ca.location"] = str(security.ca_file)
    if security.protocol.startswith("SASL"):
        options |= {
            "sasl.mechanism": security.mechanism,
            "sasl.username": security.username,
            "sasl.password": _password(kafka),
        }
    return options


def cannot_bootstrap(kafka: KafkaSettings, error: Exception) -> UnreachableError:
    """What to tell when a client could not start: the libraries report an absent broker, a wrong
    password and an untrusted certificate all alike, so the message names every cause."""
    causes = [f"no broker answers at kafka.bootstrap ({kafka.bootstrap})"]
    protocol = kafka.security.protocol
    if protocol.startswith("SASL"):
        causes.append(
            f"kafka.security.username or the password in {kafka.security.password_env} is wrong"
        )
    if protocol.endswith("SSL"):
        causes.append("kafka.security.ca_file does not vouch for the broker's certificate")
    else:
        causes.append(f"the broker wants another kafka.security.protocol than {protocol}")
    return UnreachableError(f"cannot reach Kafka ({error}): {', or '.join(causes)}")


def _password(kafka: KafkaSettings) -> str:
    name = kafka.security.password_env
    if name not in os.environ:
        raise MistakeError(f"kafka.security.password_env: the variable {name} is not set")
    return os.environ[name]


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
    else:
        options["broker_credentials"] = SASLCredentials(
            username=security.username,
            password=known["sasl_plain_password"],
            mechanism=security.mechanism,
            ssl_context=context,
        )
    return options
