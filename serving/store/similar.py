"""Opinions that say much the same, by their embeddings: precedents, and repeats of one demand."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from serving.store.tables import OpinionRow, ReviewRow

POOL = 2_000  # newest opinions of a category that are compared, so that the time is bounded
SAME_DEMAND = 0.90  # cosine from which two opinions may be one demand
WINDOW = timedelta(days=30)


@dataclass(frozen=True)
class Similar:
    """Another opinion and its cosine, at most 1."""

    opinion: OpinionRow
    cosine: float


def nearest_confirmed(session: Session, row: OpinionRow, n: int = 5) -> list[Similar]:
    """The opinions most like this one among those that a person labelled, most alike first."""
    confirmed = select(ReviewRow.opinion_id).where(ReviewRow.undone.is_(False))
    return _nearest(session, row, [OpinionRow.id.in_(confirmed)], n)


def repeats(session: Session, row: OpinionRow, n: int = 10) -> list[Similar]:
    """Open opinions that may make the same demand: alike, of one time, of one place if it is known.

    Places of different names keep two opinions apart, however alike they sound.
    """
    conditions: list[ColumnElement[bool]] = [
        OpinionRow.state != "closed",
        OpinionRow.case_id.is_(None),
        OpinionRow.category == row.category,
        OpinionRow.received_at.between(row.received_at - WINDOW, row.received_at + WINDOW),
    ]
    for column, place in (
        (OpinionRow.compound, row.compound),
        (OpinionRow.community, row.community),
        (OpinionRow.street, row.street),
    ):
        if place:
            conditions.append(column.is_(None) | (column == place))
    return [s for s in _nearest(session, row, conditions, n) if s.cosine >= SAME_DEMAND]


def _nearest(
    session: Session, row: OpinionRow, conditions: list[ColumnElement[bool]], n: int
) -> list[Similar]:
    if row.embedding is None:
        return []
    # A model of another width wrote the others: they cannot be compared.
    same_width = func.length(OpinionRow.embedding) == len(row.embedding)
    pool = session.execute(
        select(OpinionRow.id, OpinionRow.embedding)
        .where(OpinionRow.id != row.id, same_width, *conditions)
        .order_by(OpinionRow.id.desc())
        .limit(POOL)
    ).all()
    if not pool:
        return []
    vectors = _unpack(b"".join(embedding or b"" for _, embedding in pool), len(pool))
    cosines = vectors @ _unpack(row.embedding, 1)[0]
    best = np.argsort(-cosines, kind="stable")[:n]
    rows = {
        found.id: found
        for found in session.scalars(
            select(OpinionRow).where(OpinionRow.id.in_([pool[i][0] for i in best]))
        )
    }
    return [Similar(rows[pool[i][0]], float(cosines[i])) for i in best]


def _unpack(packed: bytes, n: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """n * H half-precision numbers -> (n, H)."""
    return np.frombuffer(packed, np.float16).astype(np.float32).reshape(n, -1)
