"""The tables: what is kept of opinions, predictions, reviews, events and of who may see them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite numbers rows only in a column of type INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")
MAX_ID = 2**63 - 1


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept in UTC without a zone, so that both databases order it alike."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Refuses a moment without a time zone: it could mean any of 38 moments."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"moment is {value.isoformat()}: add a time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """The moment in UTC."""
        return value.replace(tzinfo=UTC) if value else None


class Table(DeclarativeBase):
    """What all tables share."""

    type_annotation_map = {  # noqa: RUF012
        datetime: Moment,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
    }


class OpinionRow(Table):
    """An opinion as it stands now; how it came there is in its events.

    `labels`, `category`, `lead`, `assist`, `level` and `due_at` are what holds now: the model's
    suggestion until a person decides. `version` counts the changes, for optimistic locking.
    """

    __tablename__ = "opinions"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        Index("ix_opinions_received", "received_at", "id"),
        Index("ix_opinions_uncertain", "waiting", "urgent_rank", "score", "id"),
        Index("ix_opinions_due", "waiting", "urgent_rank", "due_at", "id"),
        Index("ix_opinions_all_uncertain", "urgent_rank", "score", "id"),
        Index("ix_opinions_all_due", "urgent_rank", "due_at", "id"),
        Index("ix_opinions_state", "state", "received_at", "id"),
        Index("ix_opinions_category", "category", "received_at", "id"),
        Index("ix_opinions_lead", "lead", "received_at", "id"),
        Index("ix_opinions_source", "source", "received_at", "id"),
        Index("ix_opinions_open_due", "closed_at", "due_at", "id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    version: Mapped[int]
    source: Mapped[str] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(200))
    title: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    channel: Mapped[str | None] = mapped_column(String(20))
    place: Mapped[str | None] = mapped_column(Text)
    compound: Mapped[str | None] = mapped_column(String(80), index=True)
    community: Mapped[str | None] = mapped_column(String(80), index=True)
    street: Mapped[str | None] = mapped_column(String(80), index=True)
    received_at: Mapped[datetime]
    created_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(20))
    waiting: Mapped[bool]  # in front of a reviewer
    audit: Mapped[bool] = mapped_column(index=True)  # decided by the model, yet to be read blind
    decision: Mapped[str] = mapped_column(String(20))
    score: Mapped[float]
    urgent: Mapped[bool]
    urgent_rank: Mapped[int]  # 0 for urgent, else 1: the queue then runs along its index
    urgent_match: Mapped[str | None] = mapped_column(String(80))
    labels: Mapped[list[str]]
    category: Mapped[str] = mapped_column(String(40))
    lead: Mapped[str] = mapped_column(String(40))
    assist: Mapped[list[str]]
    level: Mapped[str] = mapped_column(String(40))
    due_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]  # routed last
    closed_at: Mapped[datetime | None]
    answer: Mapped[str | None] = mapped_column(Text)
    returns: Mapped[int]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("opinions.id"), index=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("opinions.id"), index=True)
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary)  # float16, normalised


class PredictionRow(Table):
    """What the model said when it read an opinion; never changed."""

    __tablename__ = "predictions"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    opinion_id: Mapped[int] = mapped_column(ForeignKey("opinions.id"), index=True)
    at: Mapped[datetime]
    model_version: Mapped[str] = mapped_column(String(80))
    taxonomy_version: Mapped[int]
    routing_version: Mapped[int]
    result: Mapped[dict[str, Any]]  # the answer of the API: labels, candidates, decision, route …


class ReviewRow(Table):
    """A person's labels of an opinion, and how they came about."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    opinion_id: Mapped[int] = mapped_column(ForeignKey("opinions.id"), index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(80), index=True)
    labels: Mapped[list[str]]
    origin: Mapped[str] = mapped_column(
        String(20)
    )  # accepted, corrected, blind, returned, imported
    suggested: Mapped[list[str]]  # what stood there before
    department: Mapped[str] = mapped_column(String(40))
    note: Mapped[str | None] = mapped_column(Text)
    undone: Mapped[bool]


class EventRow(Table):
    """A change of an opinion: who, when, why, under which versions; append-only."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    opinion_id: Mapped[int] = mapped_column(ForeignKey("opinions.id"), index=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))  # after it
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]
    model_version: Mapped[str] = mapped_column(String(80))
    taxonomy_version: Mapped[int]
    routing_version: Mapped[int]


class SubmissionRow(Table):
    """A request that carried an Idempotency-Key, and the answer it got."""

    __tablename__ = "submissions"
    __table_args__ = (UniqueConstraint("source", "key"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    source: Mapped[str] = mapped_column(String(80))
    key: Mapped[str] = mapped_column(String(200))
    body_sha256: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    answer: Mapped[dict[str, Any]]


class AccountRow(Table):
    """A person who reviews; the password is kept as an argon2 hash."""

    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    disabled: Mapped[bool]


class SessionRow(Table):
    """A browser that logged in; the cookie's token is kept as its SHA-256."""

    __tablename__ = "sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"))
    expires_at: Mapped[datetime]


class ApiKeyRow(Table):
    """A key of a system; kept as its SHA-256. Its name is the source of what it submits."""

    __tablename__ = "api_keys"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    scope: Mapped[str] = mapped_column(String(20))
    key_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    disabled: Mapped[bool]


class RoutingTableRow(Table):
    """A routing table put into force; the newest version holds."""

    __tablename__ = "routing_tables"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(80))
    content: Mapped[str] = mapped_column(Text)  # YAML


class JobRow(Table):
    """A file to be classified in the background."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    actor: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime]
    file: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))  # waiting, running, done, failed
    done: Mapped[int]
    total: Mapped[int]
    errors: Mapped[int]
    message: Mapped[str | None] = mapped_column(Text)
