"""What the dashboard counts: grouped in SQL, alike on both databases, over a bounded window.

An opinion counts on the day it came in, once: the parts of a divided one do not count again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Integer, String, and_, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from model.calendar import SHANGHAI
from serving.store.tables import OpinionRow, ReviewRow

_row = OpinionRow
MAX_DAYS = 366
TOP_PLACES = 20
_Z95 = 1.959964


class _Day(FunctionElement[str]):
    """The day of a stored moment on the clock of the offices, as YYYY-MM-DD."""

    type = String()
    inherit_cache = True


class _Tenths(FunctionElement[int]):
    """Tenths of an hour from the first stored moment to the second."""

    type = Integer()
    inherit_cache = True


@compiles(_Day, "sqlite")
def _day_sqlite(element: _Day, compiler: SQLCompiler, **kw: Any) -> str:
    return f"date({compiler.process(element.clauses, **kw)}, '+8 hours')"


@compiles(_Day, "postgresql")
def _day_postgresql(element: _Day, compiler: SQLCompiler, **kw: Any) -> str:
    return f"to_char({compiler.process(element.clauses, **kw)} + interval '8 hours', 'YYYY-MM-DD')"


@compiles(_Tenths, "sqlite")
def _tenths_sqlite(element: _Tenths, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(round((julianday({second}) - julianday({first})) * 240) AS INTEGER)"


@compiles(_Tenths, "postgresql")
def _tenths_postgresql(element: _Tenths, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(round(extract(epoch FROM {second} - {first}) / 360) AS INTEGER)"


@dataclass(frozen=True)
class Window:
    """Whole days on the clock of the offices, the last one included."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """The first moment."""
        return datetime.combine(self.first, time(), SHANGHAI)

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(self.last + timedelta(1), time(), SHANGHAI)

    @property
    def days(self) -> list[str]:
        """Every day, as YYYY-MM-DD."""
        n = (self.last - self.first).days + 1
        return [(self.first + timedelta(i)).isoformat() for i in range(n)]


def last_days(days: int, now: datetime) -> Window:
    """The window of so many days that ends today.

    Raises:
        ValueError: not from 1 to MAX_DAYS.
    """
    if not 1 <= days <= MAX_DAYS:
        raise ValueError(f"days is {days}: give 1 to {MAX_DAYS}")
    today = now.astimezone(SHANGHAI).date()
    return Window(today - timedelta(days - 1), today)


@dataclass(frozen=True)
class Volume:
    """Opinions of one group: how many came in, what the model decided, what became of them."""

    group: str | None
    received: int
    auto: int
    review: int
    out_of_scope: int
    dispatched: int
    closed: int


@dataclass(frozen=True)
class Rates:
    """Of one category: suggestions that people decided on, opinions that were dispatched."""

    category: str
    reviewed: int  # accepted or corrected, with the suggestion in view
    corrected: int
    dispatched: int
    returned: int


@dataclass(frozen=True)
class Duration:
    """Hours from receipt to settlement: nearest-rank percentiles of those closed in the window."""

    department: str | None  # None: all together
    closed: int
    median: float
    p90: float


@dataclass(frozen=True)
class Late:
    """Open opinions past their due time."""

    department: str
    overdue: int
    oldest_due: datetime


@dataclass(frozen=True)
class Throughput:
    """Opinions that one person decided on one day."""

    actor: str
    day: str
    reviews: int


@dataclass(frozen=True)
class Audit:
    """Automatic decisions that a person read blind, and those of the same primary category."""

    read: int
    right: int

    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval of the share that is right; None where none was read."""
        if not self.read:
            return None
        n, share = self.read, self.right / self.read
        centre = share + _Z95**2 / (2 * n)
        spread = _Z95 * (share * (1 - share) / n + _Z95**2 / (4 * n * n)) ** 0.5
        scale = 1 + _Z95**2 / n
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def by_day(session: Session, window: Window) -> list[Volume]:
    """Volume of every day of the window, also of those without any."""
    found = {volume.group: volume for volume in _volumes(session, window, _Day(_row.received_at))}
    return [found.get(day, Volume(day, 0, 0, 0, 0, 0, 0)) for day in window.days]


def by_category(session: Session, window: Window) -> list[Volume]:
    """Volume by the category that holds now, the largest first."""
    return _volumes(session, window, _row.category)


def by_department(session: Session, window: Window) -> list[Volume]:
    """Volume by the department that leads now, the largest first."""
    return _volumes(session, window, _row.lead)


def by_place(session: Session, window: Window) -> list[Volume]:
    """Volume of the TOP_PLACES largest streets, or places where no street is known; None: none."""
    return _volumes(session, window, func.coalesce(_row.street, _row.place), TOP_PLACES)


def total(volumes: Sequence[Volume]) -> Volume:
    """The sum of groups that make up the whole, such as every day."""
    names = ("received", "auto", "review", "out_of_scope", "dispatched", "closed")
    return Volume("all", *(sum(getattr(volume, name) for volume in volumes) for name in names))


def rates(session: Session, window: Window, categories: Sequence[Volume]) -> list[Rates]:
    """How often people corrected a category's suggestion, and departments returned its opinions.

    A correction counts under the category that was suggested, in the window of the review. A
    return counts under the category it was sent with, in the window of the opinion's receipt.

    Args:
        categories: of `by_category`, in the same window.
    """
    suggested = _primary(ReviewRow.suggested)
    reviewed: Counter[str] = Counter()
    corrected: Counter[str] = Counter()
    for category, origin, n in session.execute(
        select(suggested, ReviewRow.origin, func.count())
        .where(*_reviewed_in(window), ReviewRow.origin.in_(["accepted", "corrected"]))
        .group_by(suggested, ReviewRow.origin)
    ):
        reviewed[category] += n
        corrected[category] += n if origin == "corrected" else 0
    sent_with = (
        select(suggested)
        .where(ReviewRow.opinion_id == _row.id, ReviewRow.origin == "returned")
        .order_by(ReviewRow.id)
        .limit(1)
        .scalar_subquery()
    )
    dispatched = Counter({str(volume.group): volume.dispatched for volume in categories})
    returned: Counter[str] = Counter()
    for sent, now in session.execute(
        select(func.coalesce(sent_with, _row.category), _row.category).where(
            *_received_in(window), _row.returns > 0
        )
    ):
        returned[sent] += 1
        dispatched[sent] += 1
        dispatched[now] -= 1
    return [
        Rates(code, reviewed[code], corrected[code], dispatched[code], returned[code])
        for code in sorted(reviewed.keys() | dispatched.keys())
    ]


def time_to_close(session: Session, window: Window) -> list[Duration]:
    """Hours to settlement of what was closed in the window: all, then by department."""
    tenths = _Tenths(_row.received_at, _row.closed_at).label("tenths")
    counts: dict[str | None, Counter[int]] = {None: Counter()}
    for department, length, n in session.execute(
        select(_row.lead, tenths, func.count())
        .where(
            _row.closed_at >= window.since, _row.closed_at < window.until, _row.parent_id.is_(None)
        )
        .group_by(_row.lead, tenths)
    ):
        counts[None][length] += n
        counts.setdefault(department, Counter())[length] += n
    durations = [
        Duration(department, c.total(), _percentile(c, 50), _percentile(c, 90))
        for department, c in counts.items()
        if c
    ]
    return sorted(durations, key=lambda d: (d.department is not None, -d.closed, d.department))


def overdue(session: Session, now: datetime) -> list[Late]:
    """Open opinions past their due time by department, parts included; not bound to a window."""
    rows = session.execute(
        select(_row.lead, func.count(), func.min(_row.due_at))
        .where(_row.closed_at.is_(None), _row.due_at < now)
        .group_by(_row.lead)
        .order_by(func.count().desc(), _row.lead)
    ).all()
    return [Late(*row) for row in rows]


def waiting(session: Session) -> int:
    """How many are in front of a reviewer now."""
    query = select(func.count()).select_from(_row).where(_row.waiting.is_(True))
    return session.scalar(query) or 0


def throughput(session: Session, window: Window) -> list[Throughput]:
    """Reviews that stand, by person and day."""
    day = _Day(ReviewRow.at)
    rows = session.execute(
        select(ReviewRow.actor, day, func.count())
        .where(*_reviewed_in(window))
        .group_by(ReviewRow.actor, day)
        .order_by(day, ReviewRow.actor)
    ).all()
    return [Throughput(*row) for row in rows]


def audit(session: Session, window: Window) -> Audit:
    """How the automatic decisions fared before people who did not see them."""
    right = _primary(ReviewRow.labels) == _primary(ReviewRow.suggested)
    read, agreed = session.execute(
        select(func.count(), func.count().filter(right))
        .join(_row, _row.id == ReviewRow.opinion_id)
        .where(*_reviewed_in(window), ReviewRow.origin == "blind", _row.decision == "auto")
    ).one()
    return Audit(read, agreed)


def _volumes(
    session: Session, window: Window, group: ColumnElement[Any] | Any, limit: int | None = None
) -> list[Volume]:
    name, count = cast(ColumnElement[Any], group).label("name"), func.count()
    rows = session.execute(
        select(
            name,
            count,
            *(count.filter(_row.decision == d) for d in ("auto", "review", "out_of_scope")),
            count.filter(_row.settled_at.is_not(None)),
            count.filter(_row.closed_at.is_not(None)),
        )
        .where(*_received_in(window))
        .group_by(name)
        .order_by(count.desc(), name)
        .limit(limit)
    ).all()
    return [Volume(*row) for row in rows]


def _received_in(window: Window) -> Sequence[ColumnElement[bool]]:
    in_time = and_(_row.received_at >= window.since, _row.received_at < window.until)
    return in_time, _row.parent_id.is_(None)


def _reviewed_in(window: Window) -> Sequence[ColumnElement[bool]]:
    in_time = and_(ReviewRow.at >= window.since, ReviewRow.at < window.until)
    return in_time, ReviewRow.undone.is_(False)


def _primary(labels: Any) -> ColumnElement[str]:
    """The first of the labels in a column of JSON."""
    return cast(ColumnElement[str], labels[0].as_string())


def _percentile(tenths: Counter[int], percent: int) -> float:
    """The nearest-rank percentile of counted tenths of hours, in hours."""
    rank = -(-tenths.total() * percent // 100)
    for length, n in sorted(tenths.items()):
        rank -= n
        if rank <= 0:
            return length / 10
    raise ValueError("nothing was counted")
