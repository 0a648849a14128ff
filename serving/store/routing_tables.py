"""Versions of the routing table: applied from the command line, taken over by running servers."""

import threading
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from model.labels import Taxonomy
from model.routing import RoutingTable, read_routing
from model.triage import Triage
from model.yaml_file import parse_yaml
from serving.store.engine import Store
from serving.store.tables import OpinionRow, RoutingTableRow

CHECK_SECONDS = 5.0  # between two looks for a newer version
_log = structlog.get_logger()


def newest(session: Session) -> RoutingTableRow | None:
    """The version in force; None where data/routing.yaml is."""
    return session.scalar(select(RoutingTableRow).order_by(RoutingTableRow.version.desc()).limit(1))


def read_version(row: RoutingTableRow, taxonomy: Taxonomy) -> RoutingTable:
    """The table of a version; its number is the version's, whatever the YAML says.

    Raises:
        ValueError: it does not fit the taxonomy; the message names the field and the remedy.
    """
    place = f"routing table, version {row.version}"
    table = read_routing(parse_yaml(row.content, place), taxonomy)
    return replace(table, version=row.version)


def apply(session: Session, content: str, actor: str, at: datetime, file_version: int) -> int:
    """Put a checked table into force.

    Args:
        content: YAML.
        file_version: of data/routing.yaml, so that no number stands for two tables.

    Returns:
        Its version: the next one, or the present one where that is this very table.
    """
    present = newest(session)
    if present and present.content == content:
        return present.version
    version = max(present.version if present else 0, file_version) + 1
    session.add(RoutingTableRow(version=version, at=at, actor=actor, content=content))
    session.flush()
    return version


def missing_levels(session: Session, table: RoutingTable) -> dict[str, int]:
    """Levels at which open opinions stand but which the table lacks, with their number."""
    return _open_outside(session, OpinionRow.level, table.levels)


def missing_departments(session: Session, table: RoutingTable) -> dict[str, int]:
    """Departments that lead open opinions but are not in the table, with their number."""
    codes = [department.code for department in table.departments]
    return _open_outside(session, OpinionRow.lead, codes)


def _open_outside(
    session: Session, column: InstrumentedAttribute[str], known: Collection[str]
) -> dict[str, int]:
    rows = session.execute(
        select(column, func.count())
        .where(OpinionRow.closed_at.is_(None), column.not_in(known))
        .group_by(column)
        .order_by(column)
    )
    return {name: count for name, count in rows}


class RoutingWatch:
    """Takes a newer version over into a running server, within CHECK_SECONDS."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._next_look = 0.0
        self._seen = 0  # version that was looked at last, sound or not
        self._table: RoutingTable | None = None

    def newer(self, triage: Triage) -> Triage | None:
        """The same triage with the table in force; None where it has that already.

        One caller at a time looks; the others go on with what there is. A database that does not
        answer, or a table that no longer fits, leaves the present table in force.
        """
        if time.monotonic() < self._next_look or not self._turn.acquire(blocking=False):
            return None
        try:
            self._look(triage)
        except SQLAlchemyError as error:
            _log.error("routing_table_not_read", fault=type(error).__name__)
        except ValueError as error:
            _log.error("routing_table_not_read", fault=str(error))
        finally:
            self._next_look = time.monotonic() + CHECK_SECONDS
            self._turn.release()
        if self._table is None or triage.routing is self._table:
            return None
        return triage.with_routing(self._table)

    def _look(self, triage: Triage) -> None:
        with self._store.read() as session:
            version = session.scalar(select(func.max(RoutingTableRow.version))) or 0
            row = session.get(RoutingTableRow, version) if version != self._seen else None
        if row is not None:
            self._seen = row.version
            self._table = read_version(row, triage.taxonomy)
            _log.info("routing_table", version=row.version, actor=row.actor)
