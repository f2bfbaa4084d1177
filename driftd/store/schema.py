"""The tables. A change here needs a migration; a test compares the two."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, Table

from driftd.store.columns import (
    Prose,
    Words,
    blob,
    flagged,
    json_bytes,
    real,
    serial,
    whole,
    words,
)

metadata = MetaData()

# --- what ingest writes ---------------------------------------------------------------------------
position = Table(
    "position",
    metadata,
    words("topic", key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    whole("lineage"),
    whole("next_offset"),
    real("watermark"),
    real("proof"),
    whole("records"),
    whole("gap"),
    flagged("left_out"),
    Column("witness_offset", BigInteger, nullable=False, server_default="-1"),
    whole("witness_crc32"),
    whole("witness_timestamp_ms"),
)
dead_letter_count = Table(
    "dead_letter_count", metadata, words("topic", key=True), words("reason", key=True), whole("n")
)
partial = Table(
    "partial",
    metadata,
    # Ids are never used again: a step deletes by the ids it read.
    serial("id"),
    words("model"),
    words("version"),
    words("variant"),
    real("bucket"),
    whole("n"),
    blob(),
    Index("partial_by_bucket", "model", "bucket"),
    sqlite_autoincrement=True,
)
sample = Table(
    "sample",
    metadata,
    serial("id"),
    words("model"),
    real("bucket"),
    words("kind"),
    whole("n"),
    blob(),
    Index("sample_by_bucket", "model", "bucket"),
    sqlite_autoincrement=True,
)
increment = Table(
    "increment",
    metadata,
    serial("id"),
    words("model"),
    real("at"),
    words("version"),
    words("variant"),
    blob(),
    Index("increment_by_model", "model", "id"),
    sqlite_autoincrement=True,
)

# --- what a control step reads and writes ----------------------------------------------------------
model_state = Table(
    "model_state",
    metadata,
    words("model", key=True),
    whole("revision"),
    Column("closed", Double),
    blob("snapshot"),
    whole("snapshot_format"),
    whole("policy_revision"),
    flagged("rollout_open"),
    json_bytes("readings"),
)
pane = Table(
    "pane",
    metadata,
    words("model", key=True),
    real("start", key=True),
    words("version", key=True),
    words("variant", key=True),
    real("end"),
    whole("n"),
    whole("errors"),
    whole("late"),
    flagged("complete"),
    blob(),
)
pending = Table(
    "pending",
    metadata,
    words("model", key=True),
    real("bucket", key=True),
    whole("n"),
    blob(),
)
quality = Table(
    "quality",
    metadata,
    words("model", key=True),
    real("bucket", key=True),
    words("version", key=True),
    words("variant", key=True),
    whole("predictions"),
    blob(),
)
profile = Table(
    "profile",
    metadata,
    serial("profile_id"),
    words("model"),
    words("version"),
    words("digest"),
    blob(),
    real("wall_at"),
    Index("profile_by_model", "model", "profile_id"),
    sqlite_autoincrement=True,
)
baseline = Table("baseline", metadata, words("model", key=True), blob(), real("wall_at"))
policy = Table(
    "policy",
    metadata,
    words("model", key=True),
    whole("revision", key=True),
    words("digest"),
    Column("text", Prose, nullable=False, server_default=""),
    words("by"),
    json_bytes("spec_json"),
    real("wall_at"),
)
decision = Table(
    "decision",
    metadata,
    serial("id"),
    words("model"),
    real("at"),
    words("what"),
    Column("why", Prose, nullable=False, server_default=""),
    words("by"),
    words("incident_id"),
    words("op_id"),
    json_bytes("evidence"),
    whole("policy_revision"),
    real("wall_at"),
    Index("decision_by_model", "model", "id"),
    Index("decision_by_age", "wall_at"),
    sqlite_autoincrement=True,
)
incident = Table(
    "incident",
    metadata,
    words("incident_id", key=True),
    words("model"),
    words("kind"),
    words("severity"),
    words("state"),
    real("onset"),
    real("opened"),
    Column("closed", Double),
    json_bytes("body"),
    Index("incident_by_model", "model", "opened"),
)

# --- what is asked of us, and what we do outside ---------------------------------------------------
inbox = Table(
    "inbox",
    metadata,
    serial("id"),
    words("model"),
    words("kind"),
    json_bytes("payload"),
    words("request_id"),
    real("wall_at"),
    Index("inbox_by_model", "model", "id"),
    sqlite_autoincrement=True,
)
# A request stays known after its inbox row is gone: asked twice, done once.
request = Table(
    "request",
    metadata,
    words("request_id", key=True),
    words("model"),
    real("wall_at"),
    Index("request_by_age", "wall_at"),
)
outbox = Table(
    "outbox",
    metadata,
    serial("seq"),
    Column("op_id", Words, nullable=False, unique=True),
    words("model"),
    words("kind"),
    json_bytes("payload"),
    real("not_before"),
    words("state", default="new"),
    whole("attempt"),
    words("owner"),
    real("lease_until"),
    json_bytes("result"),
    Column("reason", Prose, nullable=False, server_default=""),
    real("wall_created"),
    real("wall_finished"),
    Index("outbox_by_state", "state", "seq"),
    Index("outbox_by_model", "model", "seq"),
    Index("outbox_by_end", "wall_finished"),
    sqlite_autoincrement=True,
)
flag = Table(
    "flag", metadata, words("name", key=True), words("value"), words("by"), real("wall_at")
)
worker = Table(
    "worker",
    metadata,
    words("worker", key=True),
    words("role"),
    real("wall_started"),
    real("wall_seen"),
    json_bytes("body"),
)
