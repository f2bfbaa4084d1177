"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite increments only a column of exactly this type.
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "baseline",
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("wall_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("model"),
    )
    op.create_table(
        "dead_letter_count",
        sa.Column("topic", sa.String(), server_default="", nullable=False),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("topic", "reason"),
    )
    op.create_table(
        "decision",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("at", sa.Double(), server_default="0", nullable=False),
        sa.Column("what", sa.String(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.String(), server_default="", nullable=False),
        sa.Column("incident_id", sa.String(), server_default="", nullable=False),
        sa.Column("op_id", sa.String(), server_default="", nullable=False),
        sa.Column("evidence", sa.Text(), server_default="{}", nullable=False),
        sa.Column("policy_revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("wall_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("decision_by_model", "decision", ["model", "id"], unique=False)
    op.create_table(
        "flag",
        sa.Column("name", sa.String(), server_default="", nullable=False),
        sa.Column("value", sa.String(), server_default="", nullable=False),
        sa.Column("by", sa.String(), server_default="", nullable=False),
        sa.Column("wall_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("kind", sa.String(), server_default="", nullable=False),
        sa.Column("payload", sa.Text(), server_default="{}", nullable=False),
        sa.Column("request_id", sa.String(), server_default="", nullable=False),
        sa.Column("wall_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_by_model", "inbox", ["model", "id"], unique=False)
    op.create_table(
        "incident",
        sa.Column("incident_id", sa.String(), server_default="", nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("kind", sa.String(), server_default="", nullable=False),
        sa.Column("severity", sa.String(), server_default="", nullable=False),
        sa.Column("state", sa.String(), server_default="", nullable=False),
        sa.Column("onset", sa.Double(), server_default="0", nullable=False),
        sa.Column("opened", sa.Double(), server_default="0", nullable=False),
        sa.Column("closed", sa.Double(), nullable=True),
        sa.Column("body", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("incident_id"),
    )
    op.create_index("incident_by_model", "incident", ["model", "opened"], unique=False)
    op.create_table(
        "increment",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("at", sa.Double(), server_default="0", nullable=False),
        sa.Column("version", sa.String(), server_default="", nullable=False),
        sa.Column("variant", sa.String(), server_default="", nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("increment_by_model", "increment", ["model", "id"], unique=False)
    op.create_table(
        "model_state",
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("closed", sa.Double(), nullable=True),
        sa.Column("snapshot", sa.LargeBinary(), nullable=False),
        sa.Column("snapshot_format", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("policy_revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rollout_open", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("readings", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("model"),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        sa.Column("op_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("kind", sa.String(), server_default="", nullable=False),
        sa.Column("payload", sa.Text(), server_default="{}", nullable=False),
        sa.Column("not_before", sa.Double(), server_default="0", nullable=False),
        sa.Column("state", sa.String(), server_default="new", nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owner", sa.String(), server_default="", nullable=False),
        sa.Column("lease_until", sa.Double(), server_default="0", nullable=False),
        sa.Column("result", sa.Text(), server_default="{}", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("wall_created", sa.Double(), server_default="0", nullable=False),
        sa.Column("wall_finished", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("op_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_by_model", "outbox", ["model", "seq"], unique=False)
    op.create_index("outbox_by_state", "outbox", ["state", "seq"], unique=False)
    op.create_table(
        "pane",
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("start", sa.Double(), server_default="0", nullable=False),
        sa.Column("version", sa.String(), server_default="", nullable=False),
        sa.Column("variant", sa.String(), server_default="", nullable=False),
        sa.Column("end", sa.Double(), server_default="0", nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("errors", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("late", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("complete", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model", "start", "version", "variant"),
    )
    op.create_table(
        "partial",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("version", sa.String(), server_default="", nullable=False),
        sa.Column("variant", sa.String(), server_default="", nullable=False),
        sa.Column("bucket", sa.Double(), server_default="0", nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("partial_by_bucket", "partial", ["model", "bucket"], unique=False)
    op.create_table(
        "pending",
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("bucket", sa.Double(), server_default="0", nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model", "bucket"),
    )
    op.create_table(
        "policy",
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("digest", sa.String(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.String(), server_default="", nullable=False),
        sa.Column("spec_json", sa.Text(), server_default="{}", nullable=False),
        sa.Column("wall_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("model", "revision"),
    )
    op.create_table(
        "position",
        sa.Column("topic", sa.String(), server_default="", nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lineage", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_offset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("watermark", sa.Double(), server_default="0", nullable=False),
        sa.Column("proof", sa.Double(), server_default="0", nullable=False),
        sa.Column("records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gap", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("left_out", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("witness_offset", sa.BigInteger(), server_default="-1", nullable=False),
        sa.Column("witness_crc32", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("witness_timestamp_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    op.create_table(
        "profile",
        sa.Column("profile_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("version", sa.String(), server_default="", nullable=False),
        sa.Column("digest", sa.String(), server_default="", nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("wall_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("profile_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("profile_by_model", "profile", ["model", "profile_id"], unique=False)
    op.create_table(
        "quality",
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("bucket", sa.Double(), server_default="0", nullable=False),
        sa.Column("version", sa.String(), server_default="", nullable=False),
        sa.Column("variant", sa.String(), server_default="", nullable=False),
        sa.Column("predictions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model", "bucket", "version", "variant"),
    )
    op.create_table(
        "request",
        sa.Column("request_id", sa.String(), server_default="", nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("wall_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_table(
        "sample",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(), server_default="", nullable=False),
        sa.Column("bucket", sa.Double(), server_default="0", nullable=False),
        sa.Column("kind", sa.String(), server_default="", nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("sample_by_bucket", "sample", ["model", "bucket"], unique=False)
    op.create_table(
        "worker",
        sa.Column("worker", sa.String(), server_default="", nullable=False),
        sa.Column("role", sa.String(), server_default="", nullable=False),
        sa.Column("wall_started", sa.Double(), server_default="0", nullable=False),
        sa.Column("wall_seen", sa.Double(), server_default="0", nullable=False),
        sa.Column("body", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("worker"),
    )


def downgrade() -> None:
    op.drop_table("worker")
    op.drop_table("sample")
    op.drop_table("request")
    op.drop_table("quality")
    op.drop_table("profile")
    op.drop_table("position")
    op.drop_table("policy")
    op.drop_table("pending")
    op.drop_table("partial")
    op.drop_table("pane")
    op.drop_table("outbox")
    op.drop_table("model_state")
    op.drop_table("increment")
    op.drop_table("incident")
    op.drop_table("inbox")
    op.drop_table("flag")
    op.drop_table("decision")
    op.drop_table("dead_letter_count")
    op.drop_table("baseline")
