"""What another routing table would have changed: stored opinions routed by both tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from model.calendar import WorkCalendar
from model.routing import Route, RoutingTable, route
from serving.store.tables import OpinionRow

EXAMPLES = 3  # numbers of opinions named beside each move


@dataclass(frozen=True)
class Move:
    """Opinions of one category that another department would lead."""

    category: str
    before: str
    after: str
    count: int
    examples: tuple[int, ...]


@dataclass(frozen=True)
class Load:
    """How many opinions a department leads by either table."""

    department: str
    name: str
    before: int
    after: int

    @property
    def change(self) -> int:
        """How many more it would lead."""
        return self.after - self.before


@dataclass(frozen=True)
class Preview:
    """The difference between two tables.

    Attributes:
        read: opinions that were routed by both.
        unknown: opinions left out, for a category that the tables do not have.
        otherwise: those that keep their lead, but not their assistance, level or due time.
        moves: the most frequent first.
        loads: of the departments that lead by either table, the most changed first.
    """

    read: int
    unknown: int
    otherwise: int
    moves: tuple[Move, ...]
    loads: tuple[Load, ...]

    @property
    def moved(self) -> int:
        """Opinions that another department would lead."""
        return sum(move.count for move in self.moves)


def replay(
    session: Session,
    since: datetime,
    present: RoutingTable,
    proposed: RoutingTable,
    calendar: WorkCalendar,
) -> Preview:
    """Route the opinions received since then by both tables, by the labels that hold now.

    Opinions merged into a case are not counted, of divided ones only the parts: each counts
    where a department has work with it. A department that a reviewer chose himself is left aside.
    """
    part = aliased(OpinionRow)
    row = OpinionRow
    query = select(row.id, row.labels, row.received_at, row.urgent).where(
        row.received_at >= since,
        row.case_id.is_(None),
        ~select(part.id).where(part.parent_id == row.id).exists(),
    )
    moved: dict[tuple[str, str, str], list[int]] = {}
    loads: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    read = unknown = otherwise = 0
    for id, labels, received_at, urgent in session.execute(query.order_by(row.id)):
        if not set(labels) <= set(proposed.rules):
            unknown += 1
            continue
        before, after = (
            route(table, labels, received_at, urgent, calendar) for table in (present, proposed)
        )
        read += 1
        loads[0][before.lead.code] += 1
        loads[1][after.lead.code] += 1
        if before.lead.code != after.lead.code:
            moved.setdefault((labels[0], before.lead.code, after.lead.code), []).append(id)
        elif _outline(before) != _outline(after):
            otherwise += 1
    moves = [Move(*key, len(ids), tuple(ids[:EXAMPLES])) for key, ids in moved.items()]
    return Preview(
        read,
        unknown,
        otherwise,
        tuple(sorted(moves, key=lambda move: -move.count)),
        _rank(loads, (proposed, present)),
    )


def _outline(where: Route) -> tuple[object, ...]:
    """What a route says beside its lead; the names of departments may change freely."""
    return [department.code for department in where.assist], where.level, where.due_at


def _rank(
    loads: tuple[Counter[str], Counter[str]], tables: Sequence[RoutingTable]
) -> tuple[Load, ...]:
    names: dict[str, str] = {}
    for table in tables:
        names = {department.code: department.name for department in table.departments} | names
    before, after = loads
    found = [Load(code, names[code], before[code], after[code]) for code in before | after]
    return tuple(sorted(found, key=lambda load: (-abs(load.change), -load.after, load.department)))
