"""Finding opinions: filters, four orders, pages that begin after a cursor."""

import base64
import binascii
import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Select, and_, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from serving.store.tables import MAX_ID, OpinionRow

Order = Literal["newest", "oldest", "uncertain", "due"]
ORDERS: tuple[Order, ...] = get_args(Order)
MAX_PAGE = 200
# Each order ends in the number, so that no two rows stand alike; `newest` alone descends.
_KEYS: dict[Order, tuple[InstrumentedAttribute[Any], ...]] = {
    "newest": (OpinionRow.received_at, OpinionRow.id),
    "oldest": (OpinionRow.received_at, OpinionRow.id),
    "uncertain": (OpinionRow.urgent_rank, OpinionRow.score, OpinionRow.id),
    "due": (OpinionRow.urgent_rank, OpinionRow.due_at, OpinionRow.id),
}


@dataclass(frozen=True)
class Filters:
    """What to look for; None leaves it open. Times are aware."""

    state: str | None = None
    waiting: bool | None = None
    audit: bool | None = None
    category: str | None = None
    department: str | None = None
    decision: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    urgent: bool | None = None
    overdue: bool | None = None
    place: str | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    text: str | None = None
    source: str | None = None
    case_id: int | None = None
    parent_id: int | None = None

    def active(self) -> dict[str, Any]:
        """Those that are set."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Page:
    """Some opinions, and where the next page begins: None after the last."""

    opinions: list[OpinionRow]
    next_cursor: str | None


def find(
    session: Session,
    filters: Filters,
    order: Order,
    limit: int,
    now: datetime,
    cursor: str | None = None,
) -> Page:
    """One page of opinions.

    Args:
        limit: from 1 to MAX_PAGE.
        now: decides what is overdue.
        cursor: of the page before.

    Raises:
        ValueError: the cursor is of another order, or no cursor.
    """
    rows = list(session.scalars(page_query(filters, order, limit + 1, now, cursor)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _write_cursor(rows[-1], order) if more else None)


def page_query(
    filters: Filters, order: Order, limit: int, now: datetime, cursor: str | None = None
) -> Select[OpinionRow]:
    """The query behind `find`.

    Raises:
        ValueError: see `find`.
    """
    keys = _KEYS[order]
    down = order == "newest"
    query = (
        select(OpinionRow)
        .where(*conditions(filters, now))
        .order_by(*(column.desc() if down else column.asc() for column in keys))
        .limit(limit)
    )
    if not cursor:
        return query
    values = _read_cursor(cursor, order)
    # Compared as one row: both databases then begin in the index right where the page begins.
    return query.where(tuple_(*keys) < values if down else tuple_(*keys) > values)


def conditions(filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    """The filters as conditions on OpinionRow, joined by and."""
    row = OpinionRow
    equal = {
        row.state: filters.state,
        row.waiting: filters.waiting,
        row.audit: filters.audit,
        row.category: filters.category,
        row.lead: filters.department,
        row.decision: filters.decision,
        row.urgent_rank: None if filters.urgent is None else int(not filters.urgent),
        row.source: filters.source,
        row.case_id: filters.case_id,
        row.parent_id: filters.parent_id,
    }
    found: list[ColumnElement[bool]] = [
        column == value for column, value in equal.items() if value is not None
    ]
    if filters.min_score is not None:
        found.append(row.score >= filters.min_score)
    if filters.max_score is not None:
        found.append(row.score <= filters.max_score)
    if filters.overdue is not None:
        late = and_(row.closed_at.is_(None), row.due_at < now)
        found.append(late if filters.overdue else ~late)
    if filters.place:
        columns = (row.compound, row.community, row.street)
        exact = [column == filters.place for column in columns]
        found.append(or_(*exact, _holds(row.place, filters.place)))
    if filters.received_from:
        found.append(row.received_at >= filters.received_from)
    if filters.received_to:
        found.append(row.received_at < filters.received_to)
    if filters.text:
        found.append(
            or_(
                _holds(row.title, filters.text),
                _holds(row.text, filters.text),
            )
        )
    return found


def _holds(column: InstrumentedAttribute[Any], wanted: str) -> ColumnElement[bool]:
    """Whether the column contains it, in capitals or not; most Chinese words have neither, and
    then the database need not fold what it reads, which takes longer than the search."""
    if wanted.lower() == wanted.upper():
        return column.contains(wanted, autoescape=True)
    return column.icontains(wanted, autoescape=True)


def _write_cursor(row: OpinionRow, order: Order) -> str:
    values = [getattr(row, column.key) for column in _KEYS[order]]
    plain = [v.isoformat() if isinstance(v, datetime) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps([order, *plain]).encode()).decode()


def _read_cursor(cursor: str, order: Order) -> tuple[Any, ...]:
    try:
        written, *values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if written != order:
            raise ValueError
        columns = zip(_KEYS[order], values, strict=True)
        return tuple(_read_value(column.key, value) for column, value in columns)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise ValueError("cursor is of another order: leave it out to start anew") from None


def _read_value(key: str, value: Any) -> Any:
    if key.endswith("_at"):
        return datetime.fromisoformat(value).astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_ID:
        raise TypeError
    return value
