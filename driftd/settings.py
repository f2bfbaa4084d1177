"""The daemon's settings: what the platform decides, named so that policies can refer to it.

Durations are float seconds with the suffix ``_s``, sizes are ``_bytes``; the file writes them with
their unit and without the suffix. Secrets never stand here: a setting names the environment
variable that holds one.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from driftd.errors import MistakeError
from driftd.sections import (
    AlertmanagerSettings,
    EncoderSettings,
    FilePath,
    HttpSettings,
    IngestSettings,
    KafkaSettings,
    LimitSettings,
    MlflowSettings,
    PrometheusSettings,
    RetentionSettings,
    RouterSettings,
    TopicSettings,
    TrainerSettings,
    Variable,
)
from driftd.security import security_mistakes
from driftd.yamlfile import Located, parse_yaml
from policies.clashes import Platform
from policies.fields import Document, Name, Word
from policies.mistakes import Mistake
from policies.strict import read

_SQLITE = "sqlite:///"
# A caller that tries again for so long is still told that it was heard.
IDEMPOTENCE_S_MIN = 7 * 86_400.0
_SECURITY_FILES = ("ca_file", "certificate_file", "key_file")


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
    encoders: dict[Name, EncoderSettings] = Field(default_factory=dict)
    alertmanager: AlertmanagerSettings = Field(default_factory=AlertmanagerSettings)
    prometheus: PrometheusSettings = Field(default_factory=PrometheusSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    hash_key_env: Variable = "DRIFTD_HASH_KEY"

    def platform(self) -> Platform:
        """The names that policies may use."""
        return Platform(
            trainers=frozenset(self.trainers),
            routers=frozenset(self.routers),
            queries=frozenset(self.prometheus.queries),
            encoders=frozenset(self.encoders),
            event_clock=self.clock == "event",
        )

    def relative_to(self, folder: Path) -> "Settings":
        """The same with every relative path taken from ``folder``, where the file lies."""
        store, archive, security = self.store, self.archive, self.kafka.security
        file = store.removeprefix(_SQLITE)
        if file != store and file not in ("", ":memory:"):
            store = f"{_SQLITE}{folder / file}"
        if "://" not in archive:
            archive = str(folder / archive)
        given = {key: getattr(security, key) for key in _SECURITY_FILES}
        files = {key: folder / file for key, file in given.items() if file is not None}
        security = security.model_copy(update=files)
        return self.model_copy(
            update={
                "store": store,
                "archive": archive,
                "policies": folder / self.policies,
                "work": folder / self.work,
                "kafka": self.kafka.model_copy(update={"security": security}),
                "encoders": {k: one.relative_to(folder) for k, one in self.encoders.items()},
                "mlflow": self.mlflow.relative_to(folder),
                "alertmanager": self.alertmanager.relative_to(folder),
                "prometheus": self.prometheus.relative_to(folder),
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
    found: list[Mistake] = []
    ingest, topics = settings.ingest, settings.topics
    found += security_mistakes(settings.kafka.security)
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
    for name in ("commands", "requests"):
        if getattr(settings.retention, f"{name}_s") < IDEMPOTENCE_S_MIN:
            why = "is shorter than 7d; whoever asks again within a week must not be obeyed twice"
            found.append(Mistake(("retention", name), why))
    names = (topics.control, topics.traffic, topics.decisions, topics.dead_letters)
    if len(set(names)) < len(names):
        found.append(Mistake(("topics",), "two of them are one topic; each needs its own"))
    return found
