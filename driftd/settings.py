"""The daemon's settings: what the platform decides, named so that policies can refer to it.

Durations are float seconds with the suffix ``_s``, sizes are ``_bytes``; the file writes them with
their unit and without the suffix. Secrets never stand here: a setting names the environment
variable that holds one.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from driftd.errors import MistakeError
from driftd.yamlfile import Located, parse_yaml
from policies.clashes import Platform
from policies.fields import Count, Document, Name, Share, Size, Span, Word, matching
from policies.mistakes import Mistake
from policies.strict import read
from policies.units import said

_SQLITE = "sqlite:///"


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"must be a path, not {said(value)}")
    return Path(value)


FilePath = Annotated[
    Path, BeforeValidator(_path), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
Variable = Annotated[
    str, matching(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable")
]
"""The name of an environment variable."""
Url = Annotated[str, matching(r"^https?://[^\s/]+", "a URL such as http://127.0.0.1:9093")]
Positive = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class SecuritySettings(Document):
    """How clients prove themselves to Kafka."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password_env: Variable = "DRIFTD_KAFKA_PASSWORD"  # noqa: S105 - a name as well
    ca_file: FilePath | None = None


class KafkaSettings(Document):
    """Where the brokers are. ``session_timeout``: how soon a dead worker is noticed."""

    bootstrap: Word = "127.0.0.1:9092"
    session_timeout_s: Span = Field(default=4.0, alias="session_timeout")
    security: SecuritySettings = Field(default_factory=SecuritySettings)


class TopicSettings(Document):
    """The daemon's own topics; those of events stand in the policies."""

    control: Word = "driftd.control"
    traffic: Word = "driftd.traffic"
    decisions: Word = "driftd.decisions"
    dead_letters: Word = "driftd.dead_letters"
    control_partitions: Positive = 8


class MlflowSettings(Document):
    """The model registry. ``deadline`` bounds every call, retries included."""

    tracking_uri: Word = "http://127.0.0.1:5000"
    deadline_s: Span = Field(default=20.0, alias="deadline")


class HttpSettings(Document):
    """The API. Without a token in ``token_env`` only a loopback ``host`` is listened on."""

    host: Word = "127.0.0.1"
    port: Port = 8321
    token_env: Variable = "DRIFTD_TOKEN"  # noqa: S105 - the name of a variable, not a secret


class IngestSettings(Document):
    """How events are read. ``sample``: the share of ids kept to be joined with their labels;
    ``future``: how far ahead of the broker's clock an event may be."""

    flush_s: Span = Field(default=5.0, alias="flush")
    flush_canary_s: Span = Field(default=1.0, alias="flush_canary")
    buffer_events: Positive = 20_000
    record_limit_bytes: Size = Field(default=2**20, alias="record_limit")
    future_s: Span = Field(default=3_600.0, alias="future")
    sample: Share = 0.05
    dead_letters: Literal["none", "raw"] = "none"


class LimitSettings(Document):
    """What the fleet may do at once; 0 stops it."""

    trainings_at_once: Count = 1
    rollouts_at_once: Count = 4


class TrainerSettings(Document):
    """A way to train. ``kind``: one of the shelf in ``driftd.trainers``. A ``subprocess`` runs
    ``command`` with ``env`` and the variables named in ``pass_env`` only."""

    kind: Name = "subprocess"
    command: list[str] = Field(default_factory=list)
    env: dict[Variable, str] = Field(default_factory=dict)
    pass_env: list[Variable] = Field(default_factory=lambda: ["PATH"])
    run_timeout_s: Span = Field(default=1_800.0, alias="run_timeout")
    queue_timeout_s: Span = Field(default=3_600.0, alias="queue_timeout")
    memory_bytes: Size = Field(default=4 * 2**30, alias="memory")


class RouterSettings(Document):
    """Who splits the traffic. ``kind``: one of the shelf in ``driftd.routers``; ``driftd`` is our
    own server, which follows ``topics.traffic``, a ``webhook`` is told by HTTP at ``url``."""

    kind: Name = "driftd"
    url: Url | None = None
    token_env: Variable | None = None
    deadline_s: Span = Field(default=10.0, alias="deadline")


class AlertmanagerSettings(Document):
    """Every URL gets every alert; ``resend`` repeats what still burns."""

    urls: list[Url] = Field(default_factory=list)
    resend_s: Span = Field(default=60.0, alias="resend")


class PrometheusSettings(Document):
    """Where rules with ``query: NAME`` are asked. The PromQL stands here, so that whoever edits a
    policy cannot run one of their own."""

    url: Url = "http://127.0.0.1:9090"
    deadline_s: Span = Field(default=5.0, alias="deadline")
    queries: dict[Name, Word] = Field(default_factory=dict)


class Settings(Document):
    """All settings. ``Settings.model_validate({...})`` takes what a file holds; an empty mapping is
    a daemon on this machine."""

    store: Word = "sqlite:///driftd.db"
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    topics: TopicSettings = Field(default_factory=TopicSettings)
    mlflow: MlflowSettings = Field(default_factory=MlflowSettings)
    policies: FilePath = Path("policies")
    archive: Word = "archive"
    work: FilePath = Path("work")
    http: HttpSettings = Field(default_factory=HttpSettings)
    clock: Literal["wall", "event"] = "wall"
    ingest: IngestSettings = Field(default_factory=IngestSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    trainers: dict[Name, TrainerSettings] = Field(default_factory=dict)
    routers: dict[Name, RouterSettings] = Field(
        default_factory=lambda: {"driftd": RouterSettings()}
    )
    alertmanager: AlertmanagerSettings = Field(default_factory=AlertmanagerSettings)
    prometheus: PrometheusSettings = Field(default_factory=PrometheusSettings)
    hash_key_env: Variable = "DRIFTD_HASH_KEY"

    def platform(self) -> Platform:
        """The names that policies may use."""
        return Platform(
            trainers=frozenset(self.trainers),
            routers=frozenset(self.routers),
            queries=frozenset(self.prometheus.queries),
        )

    def relative_to(self, folder: Path) -> "Settings":
        """The same with every relative path taken from ``folder``, where the file lies."""
        store, archive, security = self.store, self.archive, self.kafka.security
        file = store.removeprefix(_SQLITE)
        if file != store and file not in ("", ":memory:"):
            store = f"{_SQLITE}{folder / file}"
        if "://" not in archive:
            archive = str(folder / archive)
        if security.ca_file is not None:
            security = security.model_copy(update={"ca_file": folder / security.ca_file})
        return self.model_copy(
            update={
                "store": store,
                "archive": archive,
                "policies": folder / self.policies,
                "work": folder / self.work,
                "kafka": self.kafka.model_copy(update={"security": security}),
            }
        )


class SettingsError(MistakeError):
    """The settings cannot be used as they are."""

    def __init__(self, file: Path, mistakes: tuple[Located, ...]) -> None:
        super().__init__("\n".join(one.text(str(file)) for one in mistakes))
        self.mistakes = mistakes


def read_settings(text: str) -> tuple[Settings | None, tuple[Located, ...]]:
    """The settings, or every mistake in them with its place. A file may be empty: all defaults."""
    if not text.strip():
        return Settings(), ()
    file = parse_yaml(text)
    if file.values is None and file.mistakes:
        return None, file.locate(())
    reading = read(Settings, file.values)
    mistakes = list(reading.mistakes)
    if reading.document is not None:
        mistakes += _combinations(reading.document)
    located = file.locate(mistakes)
    return (None, located) if located else (reading.document, ())


def load_settings(path: Path) -> Settings:
    """Read a file; its relative paths are taken from its folder. Raises ``SettingsError`` with all
    mistakes, and ``MistakeError`` when there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MistakeError(f"{path}: cannot be read: {error}") from error
    settings, mistakes = read_settings(text)
    if settings is None:
        raise SettingsError(path, mistakes)
    return settings.relative_to(path.resolve().parent)


def _combinations(settings: Settings) -> list[Mistake]:
    """What is right by itself and cannot be together."""
    found = []
    security, ingest, topics = settings.kafka.security, settings.ingest, settings.topics
    if security.protocol.startswith("SASL") and not security.username:
        why = f"is missing; {security.protocol} needs one"
        found.append(Mistake(("kafka", "security", "username"), why, about="section"))
    if ingest.flush_canary_s > ingest.flush_s:
        why = "is longer than flush; a canary is looked at more often, not less"
        found.append(Mistake(("ingest", "flush_canary"), why))
    if ingest.sample == 0:
        found.append(
            Mistake(("ingest", "sample"), "0% keeps no prediction; no label could be joined")
        )
    for name, trainer in settings.trainers.items():
        if trainer.kind == "subprocess" and not trainer.command:
            path = ("trainers", name, "command")
            found.append(Mistake(path, "is missing; a subprocess needs one", about="section"))
    for name, router in settings.routers.items():
        if router.kind == "webhook" and router.url is None:
            path = ("routers", name, "url")
            found.append(Mistake(path, "is missing; a webhook needs one", about="section"))
    names = (topics.control, topics.traffic, topics.decisions, topics.dead_letters)
    if len(set(names)) < len(names):
        found.append(Mistake(("topics",), "two of them are one topic; each needs its own"))
    return found
