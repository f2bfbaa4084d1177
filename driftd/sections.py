"""The sections of the daemon's settings, one class each; see ``driftd.settings``.

Durations are float seconds with the suffix ``_s``, sizes are ``_bytes``; the file writes them with
their unit and without the suffix. Secrets never stand here: a setting names the environment
variable that holds one.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from policies.fields import Count, Document, Name, Share, Size, Span, Word, matching
from policies.units import said

# A string of PromQL, in any of its three kinds of quotes.
QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
FLUSH_WAIT_S_MAX = 30.0
REGISTERED = "models:/"
MODEL_VARIABLE = re.compile(r"\$model\b")


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"must be a path, not {said(value)}")
    return Path(value)


def _promql(text: str) -> str:
    if MODEL_VARIABLE.search(QUOTED.sub("", text)):
        raise ValueError('$model stands outside quotes; write {model="$model"}')
    # `$1` belongs to label_replace; what begins so is Grafana's and means nothing here.
    unknown = re.search(r"\$__\w+", text)
    if unknown:
        raise ValueError(f"there is no {unknown[0]}; only $model is filled in")
    return text


def _short(seconds: float) -> float:
    # Ingest that stands still for long is taken for broken.
    if seconds > FLUSH_WAIT_S_MAX:
        raise ValueError(
            f"is longer than {FLUSH_WAIT_S_MAX:g}s; a flush waits for it and writes nothing"
        )
    return seconds


FilePath = Annotated[
    Path, BeforeValidator(_path), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
Variable = Annotated[
    str, matching(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable")
]
"""The name of an environment variable."""
Url = Annotated[str, matching(r"^https?://[^\s/]+", "a URL such as http://127.0.0.1:9093")]
Promql = Annotated[Word, AfterValidator(_promql)]
"""A query whose ``$model`` stands in quotes."""
Positive = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class OAuthSettings(Document):
    """Where clients get a token (client credentials of OAuth 2)."""

    token_url: Url | None = None
    client_id: str = ""
    client_secret_env: Variable = "DRIFTD_KAFKA_CLIENT_SECRET"  # noqa: S105 - a name as well
    scope: str = ""


class SecuritySettings(Document):
    """How clients prove themselves to Kafka. ``ca_file``: who vouches for the brokers, where the
    system's authorities do not; a certificate with its key is the client's own."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "SCRAM-SHA-512"
    username: str = ""
    password_env: Variable = "DRIFTD_KAFKA_PASSWORD"  # noqa: S105 - a name as well
    oauth: OAuthSettings | None = None
    ca_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None
    key_password_env: Variable | None = None


class KafkaSettings(Document):
    """Where the brokers are. ``session_timeout``: how soon a dead worker is noticed; brokers take no
    less than their ``group.min.session.timeout.ms`` (6 s). Workers of one store share the consumer
    groups PREFIX-control and PREFIX-ingest; another installation on the same brokers needs another
    ``group_prefix``."""

    bootstrap: Word = "127.0.0.1:9092"
    session_timeout_s: Span = Field(default=6.0, alias="session_timeout")
    group_prefix: Word = "driftd"
    security: SecuritySettings = Field(default_factory=SecuritySettings)

    @property
    def control_group(self) -> str:
        """The consumer group whose members share the models."""
        return f"{self.group_prefix}-control"

    @property
    def ingest_group(self) -> str:
        """The consumer group whose members share the partitions of events."""
        return f"{self.group_prefix}-ingest"


class TopicSettings(Document):
    """The daemon's own topics; those of events stand in the policies. ``replication``: copies of
    each, 0 for the brokers' default; ``decisions_kept``: how long they stay, for ever where it is
    left out; ``away``: how long a daemon may be stopped without losing records. They count when
    ``driftd topics`` makes or checks topics."""

    control: Word = "driftd.control"
    traffic: Word = "driftd.traffic"
    decisions: Word = "driftd.decisions"
    dead_letters: Word = "driftd.dead_letters"
    control_partitions: Positive = 8
    replication: Count = 0
    decisions_kept_s: Span | None = Field(default=None, alias="decisions_kept")
    away_s: Span = Field(default=259_200.0, alias="away")
    dead_letters_kept_s: Span = Field(default=1_209_600.0, alias="dead_letters_kept")


class MlflowSettings(Document):
    """The model registry. ``deadline`` bounds every call, retries included.

    ``username`` logs in with the password in ``password_env``. Processes that load models log in as
    ``reader`` where it is set, and see the variables named in ``pass_env``; ``python`` is their
    interpreter, the one with the serving environment (default: driftd's own). A candidate has
    ``load_timeout`` and ``load_memory`` to load and answer; ``other_versions``: what becomes of one
    that was logged with other versions of Python or of its packages.
    """

    tracking_uri: Word = "http://127.0.0.1:5000"
    deadline_s: Span = Field(default=20.0, alias="deadline")
    username: str = ""
    password_env: Variable = "DRIFTD_MLFLOW_PASSWORD"  # noqa: S105 - a name as well
    reader: str = ""
    reader_password_env: Variable = "DRIFTD_MLFLOW_READER_PASSWORD"  # noqa: S105 - a name as well
    pass_env: list[Variable] = Field(default_factory=list)
    python: FilePath | None = None
    load_timeout_s: Span = Field(default=120.0, alias="load_timeout")
    load_memory_bytes: Size = Field(default=4 * 2**30, alias="load_memory")
    other_versions: Literal["refuse", "warn"] = "refuse"

    def relative_to(self, folder: Path) -> "MlflowSettings":
        """The same with the interpreter's path taken from ``folder``."""
        python = folder / self.python if self.python is not None else None
        return self.model_copy(update={"python": python})


class HttpSettings(Document):
    """The API. Without a token in ``token_env`` only a loopback ``host`` is listened on.
    ``public_url``: where people reach it, for the links in alerts."""

    host: Word = "127.0.0.1"
    port: Port = 8321
    public_url: Url | None = None
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


class EncoderSettings(Document):
    """What turns texts of events into vectors, in a process of its own. ``source``: a folder as
    transformers saves one, or ``models:/NAME/VERSION`` in MLflow; ``python``: the interpreter with
    its libraries (default: driftd's own). A flush has at most ``texts_per_flush`` texts encoded and
    waits ``timeout`` for them; loading may take ``load_timeout``."""

    source: Word
    python: FilePath | None = None
    texts_per_flush: Annotated[int, Field(ge=1, le=10_000)] = 64
    timeout_s: Annotated[Span, AfterValidator(_short)] = Field(default=2.0, alias="timeout")
    load_timeout_s: Span = Field(default=300.0, alias="load_timeout")
    memory_bytes: Size = Field(default=8 * 2**30, alias="memory")
    threads: Positive = 1

    def relative_to(self, folder: Path) -> "EncoderSettings":
        """The same with its paths taken from ``folder``."""
        registered = self.source.startswith(REGISTERED)
        source = self.source if registered else str(folder / self.source)
        python = folder / self.python if self.python is not None else None
        return self.model_copy(update={"source": source, "python": python})


class RouterSettings(Document):
    """Who splits the traffic. ``kind``: one of the shelf in ``driftd.routers``; ``driftd`` is our
    own server, which follows ``topics.traffic``, a ``webhook`` is told by HTTP at ``url``."""

    kind: Name = "driftd"
    url: Url | None = None
    token_env: Variable | None = None
    deadline_s: Span = Field(default=10.0, alias="deadline")


class AccessSettings(Document):
    """How we prove ourselves to a server of HTTP: by name and password, by a bearer token, by a
    certificate; ``ca_file``: who signed its own, where the system does not know."""

    username: str = ""
    password_env: Variable | None = None
    token_env: Variable | None = None
    ca_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.username) != bool(self.password_env):
            raise ValueError("username and password_env belong together; give both or neither")
        if self.username and self.token_env:
            raise ValueError("has a username and a token_env; a server asks for one of them")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; give both or neither")
        return self

    def relative_to(self, folder: Path) -> Self:
        """The same with its files taken from ``folder``."""
        files = ("ca_file", "certificate_file", "key_file")
        given = {name: getattr(self, name) for name in files if getattr(self, name) is not None}
        return self.model_copy(update={name: folder / path for name, path in given.items()})


class AlertmanagerSettings(AccessSettings):
    """Every URL gets every alert; ``resend`` repeats what still burns. ``runbook_url``: where
    ``docs/runbooks`` can be read; ``{kind}`` in it is filled in, else ``/KIND.md`` is added."""

    urls: list[Url] = Field(default_factory=list)
    resend_s: Span = Field(default=60.0, alias="resend")
    runbook_url: Url | None = None


class PrometheusSettings(AccessSettings):
    """Where rules with ``query: NAME`` are asked. The PromQL stands here, so that whoever edits a
    policy cannot run one of their own; ``"$model"`` in it is the model that the policy is of."""

    url: Url = "http://127.0.0.1:9090"
    deadline_s: Span = Field(default=5.0, alias="deadline")
    queries: dict[Name, Promql] = Field(default_factory=dict)


class RetentionSettings(Document):
    """How long what was counted and done is kept; what something open still needs stays longer.

    ``panes`` (with quality and replaced profiles) and ``archive`` are event time, ``decisions``
    (with closed incidents), ``commands`` and ``requests`` wall time.
    ``commands`` and ``requests`` are what makes an effect that is asked for twice happen
    once.
    """

    every_s: Span = Field(default=3_600.0, alias="every")
    panes_s: Span = Field(default=400 * 86_400.0, alias="panes")
    decisions_s: Span = Field(default=3 * 365 * 86_400.0, alias="decisions")
    commands_s: Span = Field(default=90 * 86_400.0, alias="commands")
    requests_s: Span = Field(default=90 * 86_400.0, alias="requests")
    archive_s: Span = Field(default=400 * 86_400.0, alias="archive")
