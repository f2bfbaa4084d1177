"""The tables. A change here needs a migration; a test compares the two."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
)
from sqlalchemy.engine import Dialect

metadata = MetaData()


class JsonBytes(TypeDecorator[bytes]):
    """JSON bytes in Python, text in SQL, so that a person can read and query it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else value.decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode()


class Words(TypeDecorator[str]):
    """Text as a producer may have sent it: PostgreSQL takes no NUL and no half of a surrogate pair,
    and one such version name must not stop its partition for ever."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isprintable() and value.isascii()):
            return value
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


class Prose(Words):
    """The same, for what is long."""

    impl = Text
    cache_ok = True


# SQLite increments only a column of exactly this type.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str, *, key: bool = False, default: str = "") -> Column[Any]:
    return Column(name, Words, primary_key=key, nullable=False, server_default=default)


def _json(name: str, default: str = "{}") -> Column[Any]:
    return Column(name, JsonBytes, nullable=False, server_default=default)


def _int(name: str, *, key: bool = False) -> Column[Any]:
    return Column(name, BigInteger, primary_key=key, nullable=False, server_default="0")


def _float(name: str, *, key: bool = False) -> Column[Any]:
    return Column(name, Double, primary_key=key, nullable=False, server_default="0")


def _bool(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _serial(name: str) -> Column[Any]:
    return Column(name, _SERIAL, primary_key=True, autoincrement=True)


def _blob(name: str = "blob") -> Column[Any]:
    return Column(name, LargeBinary, nullable=False)


# --- what ingest writes ---------------------------------------------------------------------------
position = Table(
    "position",
    metadata,
    _text("topic", key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    _int("lineage"),
    _int("next_offset"),
    _float("watermark"),
    _float("proof"),
    _int("records"),
    _int("gap"),
    _bool("left_out"),
    Column("witness_offset", BigInteger, nullable=False, server_default="-1"),
    _int("witness_crc32"),
    _int("witness_timestamp_ms"),
)
dead_letter_count = Table(
    "dead_letter_count", metadata, _text("topic", key=True), _text("reason", key=True), _int("n")
)
partial = Table(
    "partial",
    metadata,
    # Ids are never used again: a step deletes by the ids it read.
    _serial("id"),
    _text("model"),
    _text("version"),
    _text("variant"),
    _float("bucket"),
    _int("n"),
    _blob(),
    Index("partial_by_bucket", "model", "bucket"),
    sqlite_autoincrement=True,
)
sample = Table(
    "sample",
    metadata,
    _serial("id"),
    _text("model"),
    _float("bucket"),
    _text("kind"),
    _int("n"),
    _blob(),
    Index("sample_by_bucket", "model", "bucket"),
    sqlite_autoincrement=True,
)
increment = Table(
    "increment",
    metadata,
    _serial("id"),
    _text("model"),
    _float("at"),
    _text("version"),
    _text("variant"),
    _blob(),
    Index("increment_by_model", "model", "id"),
    sqlite_autoincrement=True,
)

# --- what a control step reads and writes ----------------------------------------------------------
model_state = Table(
    "model_state",
    metadata,
    _text("model", key=True),
    _int("revision"),
    Column("closed", Double),
    _blob("snapshot"),
    _int("snapshot_format"),
    _int("policy_revision"),
    _bool("rollout_open"),
    _json("readings"),
)
pane = Table(
    "pane",
    metadata,
    _text("model", key=True),
    _float("start", key=True),
    _text("version", key=True),
    _text("variant", key=True),
    _float("end"),
    _int("n"),
    _int("errors"),
    _int("late"),
    _bool("complete"),
    _blob(),
)
pending = Table(
    "pending",
    metadata,
    _text("model", key=True),
    _float("bucket", key=True),
    _int("n"),
    _blob(),
)
quality = Table(
    "quality",
    metadata,
    _text("model", key=True),
    _float("bucket", key=True),
    _text("version", key=True),
    _text("variant", key=True),
    _int("predictions"),
    _blob(),
)
profile = Table(
    "profile",
    metadata,
    _serial("profile_id"),
    _text("model"),
    _text("version"),
    _text("digest"),
    _blob(),
    _float("wall_at"),
    Index("profile_by_model", "model", "profile_id"),
    sqlite_autoincrement=True,
)
baseline = Table("baseline", metadata, _text("model", key=True), _blob(), _float("wall_at"))
policy = Table(
    "policy",
    metadata,
    _text("model", key=True),
    _int("revision", key=True),
    _text("digest"),
    Column("text", Prose, nullable=False, server_default=""),
    _text("by"),
    _json("spec_json"),
    _float("wall_at"),
)
decision = Table(
    "decision",
    metadata,
    _serial("id"),
    _text("model"),
    _float("at"),
    _text("what"),
    Column("why", Prose, nullable=False, server_default=""),
    _text("by"),
    _text("incident_id"),
    _text("op_id"),
    _json("evidence"),
    _int("policy_revision"),
    _float("wall_at"),
    Index("decision_by_model", "model", "id"),
    Index("decision_by_age", "wall_at"),
    sqlite_autoincrement=True,
)
incident = Table(
    "incident",
    metadata,
    _text("incident_id", key=True),
    _text("model"),
    _text("kind"),
    _text("severity"),
    _text("state"),
    _float("onset"),
    _float("opened"),
    Column("closed", Double),
    _json("body"),
    Index("incident_by_model", "model", "opened"),
)

# --- what is asked of us, and what we do outside ---------------------------------------------------
inbox = Table(
    "inbox",
    metadata,
    _serial("id"),
    _text("model"),
    _text("kind"),
    _json("payload"),
    _text("request_id"),
    _float("wall_at"),
    Index("inbox_by_model", "model", "id"),
    sqlite_autoincrement=True,
)
# A request stays known after its inbox row is gone: asked twice, done once.
request = Table(
    "request",
    metadata,
    _text("request_id", key=True),
    _text("model"),
    _float("wall_at"),
    Index("request_by_age", "wall_at"),
)
outbox = Table(
    "outbox",
    metadata,
    _serial("seq"),
    Column("op_id", Words, nullable=False, unique=True),
    _text("model"),
    _text("kind"),
    _json("payload"),
    _float("not_before"),
    _text("state", default="new"),
    _int("attempt"),
    _text("owner"),
    _float("lease_until"),
    _json("result"),
    Column("reason", Prose, nullable=False, server_default=""),
    _float("wall_created"),
    _float("wall_finished"),
    Index("outbox_by_state", "state", "seq"),
    Index("outbox_by_model", "model", "seq"),
    Index("outbox_by_end", "wall_finished"),
    sqlite_autoincrement=True,
)
flag = Table(
    "flag", metadata, _text("name", key=True), _text("value"), _text("by"), _float("wall_at")
)
worker = Table(
    "worker",
    metadata,
    _text("worker", key=True),
    _text("role"),
    _float("wall_started"),
    _float("wall_seen"),
    _json("body"),
)
