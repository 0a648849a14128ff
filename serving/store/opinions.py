"""What happens to an opinion: taken in, reviewed, returned, escalated, closed; each with its event.

Every function changes rows of the session it is given and leaves the commit to the caller, so that
an opinion and its event stand or fall together.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.routing import route
from model.triage import Triage
from serving.store.lifecycle import (
    Move,
    Origin,
    RefusedError,
    ReturnReason,
    State,
    allowed_moves,
)
from serving.store.tables import MAX_ID, EventRow, OpinionRow, PredictionRow, ReviewRow

# What a review changes and `undo` restores.
_HELD = (
    "state", "waiting", "audit", "labels", "category", "lead", "assist", "level", "due_at",
    "settled_at",
)  # fmt: skip
# What an opinion that was merged into a case takes over from it.
_SHARED = (
    "state", "labels", "category", "lead", "assist", "level", "due_at", "settled_at", "closed_at",
    "answer",
)  # fmt: skip


@dataclass(frozen=True)
class Act:
    """Who changes something, when, with which tables and model in force."""

    actor: str
    at: datetime
    triage: Triage


@dataclass(frozen=True)
class Arrival:
    """An opinion as it came in, with what the model made of it."""

    source: str
    external_id: str | None
    title: str
    text: str
    channel: str | None
    place: str | None
    received_at: datetime
    result: dict[str, Any]  # the answer of the API, as JSON
    embedding: np.ndarray[Any, np.dtype[np.float32]] | None
    compound: str | None = None
    community: str | None = None
    street: str | None = None


def add(session: Session, act: Act, arrival: Arrival, audit_share: float) -> OpinionRow:
    """Keep a new opinion: received, suggested, then routed or put before a reviewer.

    Args:
        audit_share: of the automatic decisions, to be read blind by a person as well.
    """
    result = arrival.result
    auto = result["decision"] == "auto"
    row = OpinionRow(
        version=1,
        source=arrival.source,
        external_id=arrival.external_id,
        title=arrival.title,
        text=arrival.text,
        channel=arrival.channel,
        place=arrival.place,
        compound=arrival.compound,
        community=arrival.community,
        street=arrival.street,
        received_at=arrival.received_at,
        created_at=act.at,
        state="routed" if auto else "in_review",
        waiting=not auto,
        audit=False,
        decision=result["decision"],
        score=result["labels"][0]["score"],
        urgent=result["urgent"],
        urgent_rank=0 if result["urgent"] else 1,
        urgent_match=result["urgent_match"],
        labels=[label["code"] for label in result["labels"]],
        category=result["labels"][0]["code"],
        lead=result["route"]["lead"]["code"],
        assist=[department["code"] for department in result["route"]["assist"]],
        level=result["route"]["level"],
        due_at=datetime.fromisoformat(result["route"]["due_at"]),
        settled_at=act.at if auto else None,
        closed_at=None,
        answer=None,
        returns=0,
        embedding=None if arrival.embedding is None else pack(arrival.embedding),
    )
    session.add(row)
    session.flush()
    row.audit = auto and random.random() < audit_share
    session.add(PredictionRow(opinion_id=row.id, at=act.at, result=result, **versions(act)))
    record(session, act, row, "received", state="received", detail={"channel": row.channel})
    record(session, act, row, "suggested", state="suggested", detail={"labels": row.labels})
    detail = {"lead": row.lead, "decision": row.decision, "audit": row.audit}
    record(session, act, row, "auto" if auto else "queued", detail=detail)
    return row


def load(session: Session, id: int) -> OpinionRow | None:
    """The opinion, held against changes by others until the transaction ends."""
    if not 0 < id <= MAX_ID:
        return None
    return session.scalar(select(OpinionRow).where(OpinionRow.id == id).with_for_update())


def check_version(row: OpinionRow, version: int | None) -> None:
    """Whether the row is still as the caller saw it, if he tells.

    Raises:
        RefusedError: it has changed since.
    """
    if version is not None and version != row.version:
        message = f"opinion {row.id} is at version {row.version}, you saw {version}: read it anew"
        raise RefusedError("version_conflict", message)


def check(row: OpinionRow, move: Move, version: int | None) -> None:
    """Whether the move can be made.

    Args:
        version: of the row as the caller saw it, if he tells.

    Raises:
        RefusedError: the state does not allow it, or the row has changed since.
    """
    check_version(row, version)
    moves = allowed_moves(cast(State, row.state), row.audit, row.case_id is not None)
    if move not in moves:
        where = f"is merged into {row.case_id}" if row.case_id else f"is {row.state}"
        allowed = ", ".join(moves) or "nothing"
        raise RefusedError(
            "illegal_move", f"opinion {row.id} {where}: {move} is no move, but {allowed}"
        )


def review(
    session: Session,
    act: Act,
    row: OpinionRow,
    labels: Sequence[str],
    *,
    department: str | None = None,
    note: str | None = None,
    blind: bool = False,
    version: int | None = None,
    bulk: str | None = None,
) -> Origin:
    """A person's decision: the labels hold, the opinion is routed by them.

    Args:
        labels: category codes, the primary one first.
        department: leads in place of the one that the routing table names.
        blind: the reviewer did not see the suggestion.
        bulk: names the confirmation of many that this is a part of.

    Returns:
        How the label came about.

    Raises:
        RefusedError: see `check`.
        ValueError: a label has no route.
    """
    check(row, "review", version)
    before = {name: _plain(getattr(row, name)) for name in _HELD}
    suggested = list(row.labels)
    origin: Origin = "accepted"
    if blind or row.audit:
        origin = "blind"
    elif row.state == "returned":
        origin = "returned"
    elif list(labels) != suggested or (department or row.lead) != row.lead:
        origin = "corrected"
    if list(labels) != suggested or row.state == "returned":
        apply_route(session, act, row, labels)
    if department:
        row.assist = [code for code in row.assist if code != department]
        row.lead = department
    row.state, row.waiting, row.audit, row.settled_at = "routed", False, False, act.at
    session.add(
        ReviewRow(
            opinion_id=row.id,
            at=act.at,
            actor=act.actor,
            labels=list(labels),
            origin=origin,
            suggested=suggested,
            department=row.lead,
            note=note,
            undone=False,
        )
    )
    detail = {"labels": list(labels), "lead": row.lead, "origin": origin, "before": before}
    change(
        session, act, row, "review", reason=note, detail=detail | ({"bulk": bulk} if bulk else {})
    )
    return origin


def undo(session: Session, act: Act, row: OpinionRow, version: int | None = None) -> None:
    """Take the last review back, where nothing came after it.

    Raises:
        RefusedError: the last change was no review, or the row has changed since.
    """
    check_version(row, version)
    last = session.scalars(
        select(EventRow).where(EventRow.opinion_id == row.id).order_by(EventRow.id.desc()).limit(1)
    ).one()
    if last.action != "review" or "before" not in last.detail:  # of a case it only followed
        raise RefusedError("illegal_move", f"opinion {row.id}: its last change was no review")
    for name, value in last.detail["before"].items():
        setattr(row, name, _revive(name, value))
    given = session.scalars(
        select(ReviewRow)
        .where(ReviewRow.opinion_id == row.id, ReviewRow.undone.is_(False))
        .order_by(ReviewRow.id.desc())
        .limit(1)
    ).one()
    given.undone = True
    change(session, act, row, "undo")


def send_back(
    session: Session,
    act: Act,
    row: OpinionRow,
    reason: ReturnReason,
    note: str | None = None,
    version: int | None = None,
) -> None:
    """A department returns it (退单): it goes one level up and before a reviewer again."""
    check(row, "return", version)
    detail = {"code": reason, "lead": row.lead}
    row.state, row.waiting, row.audit = "returned", True, False
    row.returns += 1
    row.level = next_level(act, row.level) or row.level
    change(session, act, row, "return", reason=note, detail=detail)


def escalate(
    session: Session, act: Act, row: OpinionRow, note: str | None = None, version: int | None = None
) -> None:
    """Move it one level up: compound, community, street, district.

    Raises:
        RefusedError: it is at the highest level, or see `check`.
    """
    check(row, "escalate", version)
    level = next_level(act, row.level)
    if level is None:
        raise RefusedError(
            "illegal_move", f"opinion {row.id} is at {row.level}: there is no level above"
        )
    detail = {"from": row.level, "to": level}
    row.level = level
    change(session, act, row, "escalate", reason=note, detail=detail)


def close(
    session: Session, act: Act, row: OpinionRow, answer: str, version: int | None = None
) -> None:
    """Settle it with an answer; a case closes those merged into it, the last child its parent."""
    check(row, "close", version)
    _settle(session, act, row, answer)


def _settle(session: Session, act: Act, row: OpinionRow, answer: str, **event: Any) -> None:
    row.state, row.closed_at, row.answer = "closed", act.at, answer
    row.waiting, row.audit = False, False
    followers = change(session, act, row, "close", reason=answer, **event)
    for settled in (row, *followers):
        parent = load(session, settled.parent_id) if settled.parent_id else None
        if parent is None or parent.state == "closed":
            continue
        parts = select(OpinionRow).where(OpinionRow.parent_id == parent.id)
        if all(part.state == "closed" for part in session.scalars(parts)):
            _settle(session, act, parent, answer, detail={"last_part": settled.id})


def next_level(act: Act, level: str) -> str | None:
    """The level above, None at the highest."""
    levels = act.triage.routing.levels
    at = levels.index(level) + 1
    return levels[at] if at < len(levels) else None


def record(
    session: Session,
    act: Act,
    row: OpinionRow,
    action: str,
    *,
    state: str | None = None,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add an event to the history of the opinion."""
    session.add(
        EventRow(
            opinion_id=row.id,
            at=act.at,
            actor=act.actor,
            action=action,
            state=state or row.state,
            reason=reason,
            detail=detail or {},
            **versions(act),
        )
    )


def pack(embedding: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """Unit length, half precision, (H,) -> 2 H bytes."""
    return (embedding / max(float(np.linalg.norm(embedding)), 1e-9)).astype(np.float16).tobytes()


def change(
    session: Session, act: Act, row: OpinionRow, action: str, **event: Any
) -> Sequence[OpinionRow]:
    """Count and record a change of the row; opinions merged into it follow.

    Returns:
        Those that followed.
    """
    row.version += 1
    record(session, act, row, action, **event)
    merged = select(OpinionRow).where(OpinionRow.case_id == row.id).order_by(OpinionRow.id)
    members = session.scalars(merged.with_for_update()).all()
    for member in members:
        follow(session, act, member, row, action)
    return members


def follow(session: Session, act: Act, member: OpinionRow, case: OpinionRow, action: str) -> None:
    """Bring an opinion of a case to where the case is."""
    for name in _SHARED:
        setattr(member, name, getattr(case, name))
    member.waiting, member.audit = False, False
    member.version += 1
    record(session, act, member, action, detail={"case": case.id})


def apply_route(session: Session, act: Act, row: OpinionRow, labels: Sequence[str]) -> None:
    """Labels and the route they mean; a level that it was raised to is not given up."""
    triage = act.triage
    where = route(triage.routing, labels, row.received_at, row.urgent, triage.calendar)
    levels = triage.routing.levels
    row.labels, row.category = list(labels), labels[0]
    row.lead, row.assist = where.lead.code, [department.code for department in where.assist]
    raised = row.returns or session.scalar(
        select(EventRow.id)
        .where(EventRow.opinion_id == row.id, EventRow.action == "escalate")
        .limit(1)
    )
    row.level = max(row.level, where.level, key=levels.index) if raised else where.level
    row.due_at = where.due_at


def versions(act: Act) -> dict[str, Any]:
    """Of model, taxonomy and routing table in force."""
    return {
        "model_version": act.triage.classifier.artifact.version,
        "taxonomy_version": act.triage.taxonomy.version,
        "routing_version": act.triage.routing.version,
    }


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _revive(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name.endswith("_at") and value else value
