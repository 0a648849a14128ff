"""Finding opinions: filters, four orders, pages that begin after a cursor."""

import base64
import binascii
import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from serving.store.tables import OpinionRow

Order = Literal["newest", "oldest", "uncertain", "due"]
ORDERS: tuple[Order, ...] = get_args(Order)
MAX_PAGE = 200
# Each order ends in the number, so that no two rows stand alike; True: descending.
_KEYS: dict[Order, tuple[tuple[InstrumentedAttribute[Any], bool], ...]] = {
    "newest": ((OpinionRow.received_at, True), (OpinionRow.id, True)),
    "oldest": ((OpinionRow.received_at, False), (OpinionRow.id, False)),
    "uncertain": (
        (OpinionRow.urgent_rank, False), (OpinionRow.score, False), (OpinionRow.id, False),
    ),
    "due": (
        (OpinionRow.urgent_rank, False), (OpinionRow.due_at, False), (OpinionRow.id, False),
    ),
}  # fmt: skip


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
    keys = _KEYS[order]
    query = (
        select(OpinionRow)
        .where(*conditions(filters, now))
        .order_by(*(column.desc() if down else column.asc() for column, down in keys))
    )
    if cursor:
        query = query.where(_after(keys, _read_cursor(cursor, order)))
    rows = list(session.scalars(query.limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _write_cursor(rows[-1], order) if more else None)


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
        row.urgent: filters.urgent,
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
        found.append(or_(*exact, row.place.contains(filters.place, autoescape=True)))
    if filters.received_from:
        found.append(row.received_at >= filters.received_from)
    if filters.received_to:
        found.append(row.received_at < filters.received_to)
    if filters.text:
        found.append(
            or_(
                row.title.contains(filters.text, autoescape=True),
                row.text.contains(filters.text, autoescape=True),
            )
        )
    return found


def _after(
    keys: tuple[tuple[InstrumentedAttribute[Any], bool], ...], values: list[Any]
) -> ColumnElement[bool]:
    """Rows that stand after one with these values in the order of the keys."""
    cases: list[ColumnElement[bool]] = []
    for i, (column, down) in enumerate(keys):
        same = [earlier == value for (earlier, _), value in zip(keys[:i], values, strict=False)]
        cases.append(and_(*same, column < values[i] if down else column > values[i]))
    # The first key alone bounds the index scan; the cases say the rest.
    first, down = keys[0]
    return and_(first <= values[0] if down else first >= values[0], or_(*cases))


def _write_cursor(row: OpinionRow, order: Order) -> str:
    values = [getattr(row, column.key) for column, _ in _KEYS[order]]
    plain = [v.isoformat() if isinstance(v, datetime) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps([order, *plain]).encode()).decode()


def _read_cursor(cursor: str, order: Order) -> list[Any]:
    try:
        written, *values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if written != order or len(values) != len(_KEYS[order]):
            raise ValueError
        return [
            datetime.fromisoformat(value) if column.key.endswith("_at") else column_type(value)
            for (column, _), value, column_type in zip(
                _KEYS[order], values, (_number,) * len(values), strict=True
            )
        ]
    except (ValueError, TypeError, binascii.Error, UnicodeError):
        raise ValueError("cursor is of another order: leave it out to start anew") from None


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value
