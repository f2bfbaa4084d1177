"""Why a Kafka client could not start: aiokafka says nothing but "Unable to bootstrap", so we look."""

import contextlib
import socket
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from driftd.clock import steady_now
from driftd.errors import UnreachableError
from driftd.kafka import aiokafka_options, librdkafka_options
from driftd.kafka_oauth import TokenError
from driftd.sections import KafkaSettings, SecuritySettings
from driftd.security import OAUTHBEARER

LOOK_S = 6.0
POLL_S = 0.2
CONNECT_S = 2.0


def cannot_bootstrap(kafka: KafkaSettings, error: Exception) -> UnreachableError:
    """What to tell when a client could not start: the cause if it can be seen, else all that there
    may be. Blocks for ``LOOK_S`` at most."""
    cause = find_cause(kafka)
    if cause is None:
        cause = f"it answers now; it may have been away for a moment ({error})"
    return UnreachableError(f"cannot reach Kafka: {cause}")


def find_cause(kafka: KafkaSettings) -> str | None:
    """Connect once with librdkafka, which tells what it met; None when that succeeds."""
    if kafka.security.protocol.startswith("SASL") and kafka.security.mechanism == OAUTHBEARER:
        try:
            aiokafka_options(kafka)["sasl_oauth_token_provider"].source.get()
        except TokenError as error:
            return str(error.args[0])
    met = _Met()
    # No log: what was met comes by the callback.
    options = {**librdkafka_options(kafka), "log_level": 0, "error_cb": met.errors.append}
    admin = AdminClient(options)
    deadline = steady_now() + LOOK_S
    while steady_now() < deadline:
        try:
            # It serves no callbacks while it waits, so it waits shortly.
            admin.list_topics(timeout=POLL_S)
        except KafkaException:
            admin.poll(0)
        else:
            return None
        if met.decided:
            break
    return _told(kafka, met.worst)


@dataclass(slots=True)
class _Met:
    """The errors that a client reported."""

    errors: list[KafkaError] = field(default_factory=list)

    @property
    def worst(self) -> KafkaError | None:
        """The one that says most: a broker that refuses us before one that does not answer."""
        known = [one for one in self.errors if one.code() in _TELLING]
        return min(known, key=lambda one: _TELLING.index(one.code()), default=None)

    @property
    def decided(self) -> bool:
        """Whether every broker has been tried, or one has said no."""
        codes = {one.code() for one in self.errors}
        return bool(codes & {*_SAID_NO, KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001 - its name


def _told(kafka: KafkaSettings, error: KafkaError | None) -> str:
    if error is None:
        # A broker that hangs up without a word is no error to the library.
        return _hangs_up(kafka) if _listens(kafka.bootstrap) else _nobody(kafka)
    said: str = error.str()
    if "alert" in said and "certificate" in said:
        cause = _own_certificate(kafka.security)
    elif "PLAINTEXT broker" in said or "wrong version number" in said:
        cause = f"no TLS is spoken there, but kafka.security.protocol is {kafka.security.protocol}"
    elif error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001 - its name
        cause = _login(kafka.security, said)
    elif error.code() == KafkaError._SSL:  # noqa: SLF001 - its name
        cause = _authority(kafka.security)
    elif error.code() == KafkaError._RESOLVE:  # noqa: SLF001 - its name
        cause = f"a name of kafka.bootstrap ({kafka.bootstrap}) has no address"
    elif "refused" in said or "timed out" in said:
        cause = _nobody(kafka)
    else:
        cause = _hangs_up(kafka)
    # It begins with the address, which the cause names by its setting.
    return f"{cause} ({said.partition(': ')[2] or said})"


def _login(security: SecuritySettings, said: str) -> str:
    if "supported mechanisms" in said:
        return f"the broker does not take kafka.security.mechanism {security.mechanism}"
    if security.mechanism == OAUTHBEARER:
        url = security.oauth.token_url if security.oauth else ""
        return f"the broker refuses the token of kafka.security.oauth.token_url {url}"
    return (
        f"the broker refuses kafka.security.username {security.username} with the password in "
        f"{security.password_env}"
    )


def _authority(security: SecuritySettings) -> str:
    if security.ca_file is None:
        return (
            "none of this system's authorities vouches for the broker's certificate; "
            "kafka.security.ca_file may name another one"
        )
    return (
        f"kafka.security.ca_file {security.ca_file} does not vouch for the broker's certificate, "
        "or the certificate is for another name"
    )


def _own_certificate(security: SecuritySettings) -> str:
    if security.certificate_file is None:
        return (
            "the broker wants a certificate of ours: set kafka.security.certificate_file and "
            "key_file"
        )
    return (
        f"the broker does not take kafka.security.certificate_file {security.certificate_file}: "
        "it trusts another authority, or the certificate has expired"
    )


def _hangs_up(kafka: KafkaSettings) -> str:
    return (
        f"a server at kafka.bootstrap ({kafka.bootstrap}) hangs up: it wants another "
        f"kafka.security.protocol than {kafka.security.protocol}, or it is no Kafka"
    )


def _nobody(kafka: KafkaSettings) -> str:
    return f"no broker answers at kafka.bootstrap ({kafka.bootstrap})"


def _listens(bootstrap: str) -> bool:
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with contextlib.suppress(OSError, ValueError):
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
            return True
    return False


_SAID_NO = (KafkaError._AUTHENTICATION, KafkaError._SSL)  # noqa: SLF001 - their names
# The more telling first.
_TELLING = (*_SAID_NO, KafkaError._RESOLVE, KafkaError._TRANSPORT)  # noqa: SLF001 - their names
