"""What is wrong with a topic, and the line that mends it; pure: no broker is asked here."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from driftd.settings import Settings
from driftd.topics import BROKER_DEFAULT, Cluster, Found, Wanted

# A record's envelope: the limits of driftd and Kafka are both a round number and differ by it.
ENVELOPE_BYTES = 4_096
MANY_BROKERS = 3
State = Literal["created", "exists", "differs", "missing", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """``grave``: driftd does not work like that; otherwise it works, and less well. ``mend``: what
    to type or to change."""

    what: str
    mend: str = ""
    grave: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One topic of the table. ``partitions`` and ``replication`` are 0 where nobody knows."""

    name: str
    use: str
    state: State
    partitions: int = 0
    replication: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def is_grave(self) -> bool:
        """Whether driftd does not work like that."""
        return any(problem.grave for problem in self.problems)


def rows_of(settings: Settings, wanted: Iterable[Wanted], cluster: Cluster) -> tuple[Row, ...]:
    """The table: each topic against what it has to be."""
    judge = _Judge(settings, cluster)
    return tuple(judge.row(one) for one in wanted)


def cluster_problems(cluster: Cluster) -> tuple[Problem, ...]:
    """What concerns all topics."""
    if not cluster.auto_create:
        return ()
    return (
        Problem(
            what="auto.create.topics.enable is on: a mistyped topic becomes a new, empty one",
            mend="set auto.create.topics.enable=false on the brokers; driftd never relies on it",
        ),
    )


def group_problems(settings: Settings, refused: Iterable[str]) -> tuple[Problem, ...]:
    """Consumer groups that this user may not join."""
    judge = _Judge(settings, Cluster(brokers=0, auto_create=None, found={}, refused=frozenset()))
    return tuple(
        Problem(
            what=f"this user may not read the consumer group {name}",
            mend=judge.grant(f"--group {name}", "Read"),
            grave=True,
        )
        for name in refused
    )


class _Judge:
    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        security = settings.kafka.security
        token = security.oauth.client_id if security.oauth else ""
        self._user = security.username or token or "NAME"
        self._where = f"--bootstrap-server {settings.kafka.bootstrap}"
        if security.protocol != "PLAINTEXT":
            self._where += " --command-config admin.properties"

    def row(self, wanted: Wanted) -> Row:
        if wanted.name in self._cluster.refused:
            problem = Problem(
                what="this user may not describe it, so it may be there or not",
                mend=self._grant(wanted.name, *(wanted.operations or ("Describe",))),
                grave=True,
            )
            return Row(name=wanted.name, use=wanted.use, state="refused", problems=(problem,))
        found = self._cluster.found.get(wanted.name)
        if found is None:
            problem = Problem(what="is not there", mend="driftd topics create", grave=True)
            return Row(name=wanted.name, use=wanted.use, state="missing", problems=(problem,))
        problems = tuple(self._problems(wanted, found))
        return Row(
            name=wanted.name,
            use=wanted.use,
            state="differs" if problems else "exists",
            partitions=found.partitions,
            replication=found.replication,
            problems=problems,
        )

    def _problems(self, wanted: Wanted, found: Found) -> Iterator[Problem]:
        yield from self._partitions(wanted, found)
        yield from self._replication(wanted, found)
        if found.operations is not None:
            for operation in wanted.operations:
                if not found.operations & {operation.upper(), "ALL"}:
                    yield Problem(
                        what=f"this user may not {operation.lower()} it",
                        mend=self._grant(wanted.name, operation),
                        grave=True,
                    )
        if found.config is None:
            yield Problem(
                what="its configuration is not shown to this user",
                mend=self._grant(wanted.name, "DescribeConfigs"),
            )
            return
        if wanted.is_source:
            yield from self._source(wanted.name, found.config)
        for key, value in wanted.config.items():
            if _falls_short(key, found.config.get(key, value), value):
                yield Problem(
                    what=f"{key} is {found.config[key]}, not {value}",
                    mend=self._configure(wanted.name, key, value),
                    grave=key == "cleanup.policy",
                )

    def _partitions(self, wanted: Wanted, found: Found) -> Iterator[Problem]:
        # Only the control topic is split by a rule that all workers must share.
        if wanted.name != self._settings.topics.control or found.partitions == wanted.partitions:
            return
        mend = f"set topics.control_partitions: {found.partitions}"
        if found.partitions < wanted.partitions:
            mend += (
                f", or stop all workers and: kafka-topics.sh {self._where} --alter "
                f"--topic {wanted.name} --partitions {wanted.partitions}"
            )
        yield Problem(
            what=(
                f"has {found.partitions} partitions, topics.control_partitions is "
                f"{wanted.partitions}"
            ),
            mend=mend,
            grave=True,
        )

    def _replication(self, wanted: Wanted, found: Found) -> Iterator[Problem]:
        mend = "kafka-reassign-partitions.sh moves a topic to more brokers"
        if wanted.replication != BROKER_DEFAULT and found.replication < wanted.replication:
            what = f"has {found.replication} copies, topics.replication is {wanted.replication}"
            yield Problem(what=what, mend=mend)
        elif found.replication == 1 and self._cluster.brokers >= MANY_BROKERS:
            what = f"has one copy on {self._cluster.brokers} brokers: one that is away stops it"
            yield Problem(what=what, mend=mend)

    def _source(self, name: str, config: Mapping[str, str]) -> Iterator[Problem]:
        away_ms = round(self._settings.topics.away_s * 1_000)
        kept_ms = int(config.get("retention.ms", "-1"))
        if "delete" in config.get("cleanup.policy", "delete") and 0 <= kept_ms < away_ms:
            yield Problem(
                what=(
                    f"records are kept for {kept_ms / 3_600_000:g} h: a daemon that is away for "
                    f"longer loses some (topics.away is {away_ms / 3_600_000:g} h)"
                ),
                mend=self._configure(name, "retention.ms", str(away_ms)),
            )
        if "compact" in config.get("cleanup.policy", ""):
            yield Problem(
                what="is compacted: of two events with one key the older one may vanish uncounted",
                mend=self._configure(name, "cleanup.policy", "delete"),
            )
        most = int(config.get("max.message.bytes", "0"))
        limit = self._settings.ingest.record_limit_bytes
        if most > limit + ENVELOPE_BYTES:
            yield Problem(
                what=(
                    f"takes records of {most} bytes; what is above ingest.record_limit ({limit} "
                    "bytes) becomes a dead letter"
                ),
                mend=self._configure(name, "max.message.bytes", str(limit + ENVELOPE_BYTES)),
            )

    def _configure(self, name: str, key: str, value: str) -> str:
        return (
            f"kafka-configs.sh {self._where} --alter --entity-type topics --entity-name {name} "
            f"--add-config {key}={value}"
        )

    def _grant(self, name: str, *operations: str) -> str:
        return self.grant(f"--topic {name}", *operations)

    def grant(self, resource: str, *operations: str) -> str:
        """The line that lets this user do something."""
        wanted = " ".join(f"--operation {operation}" for operation in operations)
        return (
            f"kafka-acls.sh {self._where} --add --allow-principal User:{self._user} {wanted} "
            f"{resource}"
        )


def _falls_short(key: str, found: str, wanted: str) -> bool:
    """Whether a topic's setting will not do; to keep records longer than we need is no harm."""
    if key != "retention.ms" or not found.lstrip("-").isdigit():
        return found != wanted
    kept, needed = (float("inf") if int(ms) < 0 else int(ms) for ms in (found, wanted))
    return kept < needed
