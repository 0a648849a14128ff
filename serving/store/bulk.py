"""Many suggestions confirmed at once, each recorded by itself, all taken back at once."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving.store.cases import load_all
from serving.store.lifecycle import RefusedError
from serving.store.opinions import Act, load, review, undo
from serving.store.tables import EventRow, ReviewRow

MAX_BULK = 200
_MOMENT = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class Outcome:
    """How many were changed; how many were left, for someone else had changed them first."""

    bulk: str
    done: list[int]
    left: list[int]


def confirm(session: Session, act: Act, seen: Sequence[tuple[int, int]]) -> Outcome:
    """Accept the suggestion of each opinion that still is as it was seen.

    Args:
        seen: numbers with the versions that the reviewer saw, at most MAX_BULK.

    Raises:
        LookupError: there is none of a number.
        ValueError: too many.
    """
    if len(seen) > MAX_BULK:
        raise ValueError(f"{len(seen)} opinions: confirm at most {MAX_BULK} at once")
    versions = dict(seen)
    bulk = f"{act.at.astimezone(UTC).strftime(_MOMENT)}-{secrets.token_hex(4)}"
    done, left = [], []
    for row in load_all(session, list(versions)):
        if row.state != "in_review":
            left.append(row.id)
            continue
        try:
            review(session, act, row, row.labels, version=versions[row.id], bulk=bulk)
        except RefusedError:
            left.append(row.id)
        else:
            done.append(row.id)
    return Outcome(bulk, done, left)


def take_back(session: Session, act: Act, bulk: str) -> Outcome:
    """Undo a bulk of the actor's own where nothing came after it.

    Raises:
        ValueError: it is no name of a bulk.
    """
    at = _read_moment(bulk)
    ids = session.scalars(
        select(ReviewRow.opinion_id)
        .where(
            ReviewRow.at == at,  # the index that leads to them; their events name the bulk
            ReviewRow.actor == act.actor,
            ReviewRow.undone.is_(False),
        )
        .order_by(ReviewRow.opinion_id)
    ).all()
    done, left = [], []
    for id in ids:
        row = load(session, id)
        last = session.scalar(
            select(EventRow).where(EventRow.opinion_id == id).order_by(EventRow.id.desc()).limit(1)
        )
        if row is None or last is None or last.detail.get("bulk") != bulk:
            left.append(id)
            continue
        undo(session, act, row)
        done.append(id)
    return Outcome(bulk, done, left)


def _read_moment(bulk: str) -> datetime:
    try:
        return datetime.strptime(bulk.partition("-")[0], _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"bulk is {bulk!r}: give the name that the confirmation had") from None
