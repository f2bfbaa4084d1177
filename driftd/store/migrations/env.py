"""Alembic's door: it migrates the connection that ``driftd.store.migrate`` hands in."""

from alembic import context

from driftd.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
# The transaction is the caller's: on SQLite it holds the write lock from its first statement on.
context.run_migrations()
