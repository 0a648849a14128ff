"""Run by alembic: migrates over the connection that `serving.store.engine.migrate` gives."""

from alembic import context

from serving.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
