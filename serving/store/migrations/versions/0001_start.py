"""The first schema: opinions with predictions, reviews and events; accounts, keys, jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("key_sha256"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("file", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "opinions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("compound", sa.String(length=80), nullable=True),
        sa.Column("community", sa.String(length=80), nullable=True),
        sa.Column("street", sa.String(length=80), nullable=True),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.Column("audit", sa.Boolean(), nullable=False),
        sa.Column("decision", sa.String(length=20), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("urgent_rank", sa.Integer(), nullable=False),
        sa.Column("urgent_match", sa.String(length=80), nullable=True),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("lead", sa.String(length=40), nullable=False),
        sa.Column("assist", sa.JSON(), nullable=False),
        sa.Column("level", sa.String(length=40), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("settled_at", sa.DateTime(), nullable=True),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("returns", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("parent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["opinions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["opinions.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "external_id"),
    )
    with op.batch_alter_table("opinions", schema=None) as batch_op:
        batch_op.create_index("ix_opinions_all_due", ["urgent_rank", "due_at", "id"], unique=False)
        batch_op.create_index(
            "ix_opinions_all_uncertain", ["urgent_rank", "score", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_opinions_audit"), ["audit"], unique=False)
        batch_op.create_index(batch_op.f("ix_opinions_case_id"), ["case_id"], unique=False)
        batch_op.create_index(
            "ix_opinions_category", ["category", "received_at", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_opinions_community"), ["community"], unique=False)
        batch_op.create_index(batch_op.f("ix_opinions_compound"), ["compound"], unique=False)
        batch_op.create_index(
            "ix_opinions_due", ["waiting", "urgent_rank", "due_at", "id"], unique=False
        )
        batch_op.create_index("ix_opinions_lead", ["lead", "received_at", "id"], unique=False)
        batch_op.create_index("ix_opinions_open_due", ["closed_at", "due_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_opinions_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index("ix_opinions_received", ["received_at", "id"], unique=False)
        batch_op.create_index("ix_opinions_source", ["source", "received_at", "id"], unique=False)
        batch_op.create_index("ix_opinions_state", ["state", "received_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_opinions_street"), ["street"], unique=False)
        batch_op.create_index(
            "ix_opinions_uncertain", ["waiting", "urgent_rank", "score", "id"], unique=False
        )

    op.create_table(
        "routing_tables",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "key"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "opinion_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("model_version", sa.String(length=80), nullable=False),
        sa.Column("taxonomy_version", sa.Integer(), nullable=False),
        sa.Column("routing_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["opinion_id"],
            ["opinions.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_opinion_id"), ["opinion_id"], unique=False)

    op.create_table(
        "predictions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "opinion_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("model_version", sa.String(length=80), nullable=False),
        sa.Column("taxonomy_version", sa.Integer(), nullable=False),
        sa.Column("routing_version", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["opinion_id"],
            ["opinions.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_predictions_opinion_id"), ["opinion_id"], unique=False)

    op.create_table(
        "reviews",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "opinion_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("suggested", sa.JSON(), nullable=False),
        sa.Column("department", sa.String(length=40), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("undone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["opinion_id"],
            ["opinions.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reviews_actor"), ["actor"], unique=False)
        batch_op.create_index(batch_op.f("ix_reviews_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_reviews_opinion_id"), ["opinion_id"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=80), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"],
            ["accounts.name"],
        ),
        sa.PrimaryKeyConstraint("token_sha256"),
    )


def downgrade() -> None:
    op.drop_table("sessions")
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reviews_opinion_id"))
        batch_op.drop_index(batch_op.f("ix_reviews_at"))
        batch_op.drop_index(batch_op.f("ix_reviews_actor"))

    op.drop_table("reviews")
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_predictions_opinion_id"))

    op.drop_table("predictions")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_events_opinion_id"))

    op.drop_table("events")
    op.drop_table("submissions")
    op.drop_table("routing_tables")
    with op.batch_alter_table("opinions", schema=None) as batch_op:
        batch_op.drop_index("ix_opinions_uncertain")
        batch_op.drop_index(batch_op.f("ix_opinions_street"))
        batch_op.drop_index("ix_opinions_state")
        batch_op.drop_index("ix_opinions_source")
        batch_op.drop_index("ix_opinions_received")
        batch_op.drop_index(batch_op.f("ix_opinions_parent_id"))
        batch_op.drop_index("ix_opinions_open_due")
        batch_op.drop_index("ix_opinions_lead")
        batch_op.drop_index("ix_opinions_due")
        batch_op.drop_index(batch_op.f("ix_opinions_compound"))
        batch_op.drop_index(batch_op.f("ix_opinions_community"))
        batch_op.drop_index("ix_opinions_category")
        batch_op.drop_index(batch_op.f("ix_opinions_case_id"))
        batch_op.drop_index(batch_op.f("ix_opinions_audit"))
        batch_op.drop_index("ix_opinions_all_uncertain")
        batch_op.drop_index("ix_opinions_all_due")

    op.drop_table("opinions")
    op.drop_table("jobs")
    op.drop_table("api_keys")
    op.drop_table("accounts")
