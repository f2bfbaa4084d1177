"""The topics that driftd needs: what each has to be, what the broker says, and how they are made."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from driftd.errors import UnreachableError
from driftd.kafka import librdkafka_options
from driftd.kafka_errors import cannot_bootstrap
from driftd.sections import KafkaSettings
from driftd.settings import Settings

TIMEOUT_S = 15.0
BROKER_DEFAULT = -1
_RINGS_KEPT_MS = 86_400_000
_FOR_EVER_MS = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A topic as it has to be. ``partitions``: ``BROKER_DEFAULT`` where any number will do;
    ``operations``: what the daemon does with it."""

    name: str
    use: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)
    operations: tuple[str, ...] = ()

    @property
    def is_source(self) -> bool:
        """Whether others write it: then its configuration is theirs."""
        return self.use == "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A topic as it is. ``operations`` and ``config`` are None where they are not shown to us."""

    partitions: int
    replication: int
    operations: frozenset[str] | None
    config: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the broker says. ``refused``: topics that we may not describe; ``auto_create`` is None
    where the broker's configuration is not shown to us."""

    brokers: int
    auto_create: bool | None
    found: Mapping[str, Found]
    refused: frozenset[str]


def own_topics(settings: Settings) -> tuple[Wanted, ...]:
    """The daemon's own topics."""
    names, replication = settings.topics, settings.topics.replication or BROKER_DEFAULT
    decisions_ms = (
        _FOR_EVER_MS if names.decisions_kept_s is None else round(names.decisions_kept_s * 1_000)
    )
    letters_ms = round(names.dead_letters_kept_s * 1_000)
    rows = (
        (names.control, "doorbells", names.control_partitions, _kept(_RINGS_KEPT_MS), "Read Write"),
        # A server that starts reads the last routing of every model, however old.
        (names.traffic, "routings", 1, {"cleanup.policy": "compact"}, "Write"),
        (names.decisions, "decisions", 1, _kept(decisions_ms), "Write"),
        (names.dead_letters, "dead letters", 1, _kept(letters_ms), "Write"),
    )
    return tuple(
        Wanted(
            name=name,
            use=use,
            partitions=partitions,
            replication=replication,
            config=config,
            operations=tuple(operations.split()),
        )
        for name, use, partitions, config, operations in rows
    )


def source_topics(
    names: Iterable[str], settings: Settings, partitions: int = BROKER_DEFAULT
) -> tuple[Wanted, ...]:
    """The topics of events that policies name."""
    replication = settings.topics.replication or BROKER_DEFAULT
    return tuple(
        Wanted(
            name=name,
            use="events",
            partitions=partitions,
            replication=replication,
            operations=("Read",),
        )
        for name in sorted(set(names))
    )


def missing_topics(settings: Settings) -> tuple[str, ...]:
    """One line for each of the daemon's own topics that is not there or cannot be used, each with
    what to do. Makes nothing; blocks. Raises ``UnreachableError``."""
    admin = _admin(settings.kafka)
    try:
        listed = admin.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise cannot_bootstrap(settings.kafka, error) from error
    lines = [
        f"the broker has no topic {one.name}, or this user may not describe it: "
        "driftd topics create, or driftd topics check"
        for one in own_topics(settings)
        if one.name not in listed
    ]
    control, wanted = settings.topics.control, settings.topics.control_partitions
    if control in listed and len(listed[control].partitions) != wanted:
        lines.append(
            f"the topic {control} has {len(listed[control].partitions)} partitions, but "
            f"topics.control_partitions is {wanted}: driftd topics check says how to mend it"
        )
    return tuple(lines)


class TopicAdmin:
    """Looks at topics and makes them; every method blocks. Raises ``UnreachableError``."""

    def __init__(self, kafka: KafkaSettings, timeout_s: float = TIMEOUT_S) -> None:
        self._kafka = kafka
        self._timeout_s = timeout_s
        self._admin = _admin(kafka)

    def look(self, names: Iterable[str]) -> Cluster:
        """What the broker shows us of these topics. Asking makes none."""
        asked = sorted(set(names))
        try:
            brokers = self._admin.list_topics(timeout=self._timeout_s).brokers
        except KafkaException as error:
            raise cannot_bootstrap(self._kafka, error) from error
        described = self._admin.describe_topics(
            TopicCollection(asked),
            include_authorized_operations=True,
            request_timeout=self._timeout_s,
        )
        there, refused = {}, set()
        for name, future in described.items():
            try:
                there[name] = future.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    refused.add(name)
                elif error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise UnreachableError(f"Kafka does not describe {name}: {error}") from error
        configs = self._configs([ConfigResource(ResourceType.TOPIC, name) for name in there])
        found = {name: _found(topic, configs.get(name)) for name, topic in there.items()}
        return Cluster(
            brokers=len(brokers),
            auto_create=self._auto_create(brokers),
            found=found,
            refused=frozenset(refused),
        )

    def create(self, wanted: Iterable[Wanted]) -> dict[str, str]:
        """Make topics; name -> why it was refused, empty where it was made. A topic that has come
        into being meanwhile is left as it is.."""
        new = [
            NewTopic(
                one.name,
                num_partitions=one.partitions,
                replication_factor=one.replication,
                config=dict(one.config),
            )
            for one in wanted
        ]
        if not new:
            return {}
        outcome = {}
        for name, future in self._admin.create_topics(
            new, operation_timeout=self._timeout_s
        ).items():
            outcome[name] = _refusal(future)
        return outcome

    def refused_groups(self, names: Iterable[str]) -> tuple[str, ...]:
        """The consumer groups that we may not describe, and so not join."""
        asked = sorted(set(names))
        described = self._admin.describe_consumer_groups(asked, request_timeout=self._timeout_s)
        refused = []
        for name, future in described.items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                    refused.append(name)
        return tuple(refused)

    def _configs(self, resources: list[ConfigResource]) -> dict[str, dict[str, str]]:
        """Name -> configuration, of what is shown to us."""
        if not resources:
            return {}
        found = {}
        asked = self._admin.describe_configs(resources, request_timeout=self._timeout_s)
        for resource, future in asked.items():
            try:
                entries = future.result()
            except KafkaException:
                continue
            found[resource.name] = {key: entry.value or "" for key, entry in entries.items()}
        return found

    def _auto_create(self, brokers: Mapping[int, Any]) -> bool | None:
        some = [ConfigResource(ResourceType.BROKER, str(number)) for number in sorted(brokers)[:1]]
        said = [
            config["auto.create.topics.enable"]
            for config in self._configs(some).values()
            if "auto.create.topics.enable" in config
        ]
        return said[0] == "true" if said else None


def _admin(kafka: KafkaSettings) -> AdminClient:
    return AdminClient({**librdkafka_options(kafka), "log_level": 0})


def _found(topic: Any, config: Mapping[str, str] | None) -> Found:
    operations = topic.authorized_operations
    return Found(
        partitions=len(topic.partitions),
        replication=min((len(one.replicas) for one in topic.partitions), default=0),
        operations=None if operations is None else frozenset(one.name for one in operations),
        config=config,
    )


def _refusal(future: "Future[None]") -> str:
    try:
        future.result()
    except KafkaException as error:
        told = error.args[0]
        if told.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return ""
        if told.code() in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        ):
            return "this user may not create it"
        return str(told.str())
    return ""


def _kept(milliseconds: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds)}
