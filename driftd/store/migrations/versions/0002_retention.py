"""What retention looks for by age has an index; PostgreSQL keeps blobs in a cheap form."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEXES = (
    ("decision_by_age", "decision", ["wall_at"]),
    ("request_by_age", "request", ["wall_at"]),
    ("outbox_by_end", "outbox", ["wall_finished"]),
)
BLOBS = (
    ("partial", "blob"),
    ("sample", "blob"),
    ("increment", "blob"),
    ("pane", "blob"),
    ("pending", "blob"),
    ("quality", "blob"),
    ("profile", "blob"),
    ("baseline", "blob"),
    ("model_state", "snapshot"),
)
# Rows that live for seconds: a fifth of the table is no measure of what a vacuum is worth.
QUEUES = ("partial", "sample", "increment", "inbox")
# Rows that are written again and again: room on their page saves their indexes from growing.
REWRITTEN = ("position", "model_state", "pending", "worker", "flag")


def upgrade() -> None:
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns, unique=False)
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    # The default (pglz) was the largest cost of a flush; what is compressed already it only tries.
    for table, column in BLOBS:
        if _has_lz4(connection):
            op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET COMPRESSION lz4')
        else:
            op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET STORAGE EXTERNAL')
    often = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500"
    for table in QUEUES:
        op.execute(f'ALTER TABLE "{table}" SET ({often})')
    for table in REWRITTEN:
        op.execute(f'ALTER TABLE "{table}" SET (fillfactor = 70)')


def downgrade() -> None:
    for name, table, _ in INDEXES:
        op.drop_index(name, table)


def _has_lz4(connection: sa.Connection) -> bool:
    """Whether this server (14 or later) was built with it."""
    query = "SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"
    return connection.execute(sa.text(query)).first() is not None
