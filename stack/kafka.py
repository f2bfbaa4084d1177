"""Apache Kafka in one process (KRaft), plain or with SASL_SSL, SCRAM and ACLs."""

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from driftd.demo.children import Children, free_port
from stack.certificates import Certificates, make_certificates
from stack.install import kafka_jars, program
from stack.services import Service

ADMIN, ADMIN_PASSWORD = "admin", "admin-secret"
TIMEOUT_S = 30.0
_COMMON = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "group.initial.rebalance.delay.ms": "0",
    # Nothing may come into being by a mistyped name.
    "auto.create.topics.enable": "false",
}


class Kafka(Service):
    """One broker. ``config``: more broker settings. ``scram``: user -> password; then the listener
    is SASL_SSL, nobody but ``admin`` may do anything until an ACL says so."""

    def __init__(
        self,
        children: Children,
        folder: Path,
        *,
        name: str = "kafka",
        config: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(children, name)
        self._folder = folder
        self._config = dict(config or {})
        self._scram = None if scram is None else {ADMIN: ADMIN_PASSWORD, **scram}
        self._port, self._controller = free_port(), free_port()
        self.certificates: Certificates | None = None

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return f"127.0.0.1:{self._port}"

    @property
    def ca_file(self) -> Path:
        """The authority that vouches for the broker; only with ``scram``."""
        if self.certificates is None:
            raise ValueError("a plain broker has no certificate")
        return self.certificates.ca

    def start(self) -> None:
        """Format the log folder the first time, then start and wait."""
        if not (self._folder / "data").exists():
            self._format()
        super().start()

    def command(self) -> Sequence[str]:
        """The broker."""
        return [
            *(str(program("java")), "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC"),
            *("-XX:TieredStopAtLevel=1", "-cp", f"{kafka_jars()}/*"),
            *("kafka.Kafka", str(self._properties_file)),
        ]

    def is_ready(self) -> bool:
        """Whether an administrator gets the list of topics."""
        try:
            return bool(self.admin().list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def client_options(self) -> dict[str, str]:
        """What a librdkafka client of the administrator takes."""
        options = {"bootstrap.servers": self.bootstrap, "log_level": "0"}
        if self._scram is not None:
            options |= {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": ADMIN,
                "sasl.password": ADMIN_PASSWORD,
                "ssl.ca.location": str(self.ca_file),
            }
        return options

    def admin(self) -> AdminClient:
        """A client that may do everything."""
        return AdminClient(self.client_options())

    def create_topics(
        self, topics: Mapping[str, int], config: Mapping[str, str] | None = None
    ) -> None:
        """Make topics with their numbers of partitions, and wait until they are there."""
        wanted = [
            NewTopic(name, partitions, replication_factor=1, config=dict(config or {}))
            for name, partitions in topics.items()
        ]
        # Its answers die with the client.
        admin = self.admin()
        for future in admin.create_topics(wanted, operation_timeout=TIMEOUT_S).values():
            future.result(TIMEOUT_S)
        # A broker answers a while before it leads what it has made.
        self.offsets(topics)

    @retry(
        retry=retry_if_exception_type(KafkaException),
        wait=wait_fixed(0.1),
        stop=stop_after_delay(TIMEOUT_S),
        reraise=True,
    )
    def offsets(self, topics: Mapping[str, int]) -> dict[tuple[str, int], int]:
        """(topic, partition) -> its end offset, as the broker says."""
        consumer = Consumer({**self.client_options(), "group.id": "truth"})
        try:
            return {
                (topic, n): consumer.get_watermark_offsets(
                    TopicPartition(topic, n), timeout=TIMEOUT_S
                )[1]
                for topic, count in topics.items()
                for n in range(count)
            }
        finally:
            consumer.close()

    @property
    def _properties_file(self) -> Path:
        return self._folder / "server.properties"

    def _format(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._scram is not None:
            self.certificates = make_certificates(self._folder / "tls")
        properties = {**_COMMON, **self._listeners(), **self._config}
        properties["log.dirs"] = str(self._folder / "data")
        text = "".join(f"{key}={value}\n" for key, value in properties.items())
        self._properties_file.write_text(text)
        tool = [str(program("java")), "-XX:TieredStopAtLevel=1", "-cp", f"{kafka_jars()}/*"]
        tool += ["kafka.tools.StorageTool", "format", "-c", str(self._properties_file)]
        tool += ["-t", "ZHJpZnRkLXRlc3RzLWthZg"]
        for user, password in (self._scram or {}).items():
            tool += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((self._folder / "format.log").open("wb"))
            subprocess.run(tool, check=True, stdout=log, stderr=log)

    def _listeners(self) -> dict[str, str]:
        kind = "PLAINTEXT" if self._scram is None else "SASL_SSL"
        listeners = {
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": f"{kind}://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"{kind}://{self.bootstrap}",
            "listener.security.protocol.map": f"{kind}:{kind},CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": kind,
        }
        if self.certificates is None:
            return listeners
        login = (
            "org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{ADMIN}" password="{ADMIN_PASSWORD}";'
        )
        return listeners | {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.broker),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.ca),
            "ssl.client.auth": "none",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The controller's listener is plain and on the loopback.
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
        }
