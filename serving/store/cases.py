"""Opinions joined and divided: near-identical demands as one case, several demands as parts."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from serving.store.lifecycle import RefusedError
from serving.store.opinions import (
    Act,
    Arrival,
    add,
    apply_route,
    change,
    check,
    check_version,
    follow,
    load,
    record,
    review,
)
from serving.store.tables import OpinionRow


def merge(session: Session, act: Act, case: OpinionRow, members: Sequence[OpinionRow]) -> None:
    """Join opinions to a case (同诉合并): they follow it from now on, each keeps its history.

    Raises:
        RefusedError: one of them is closed, in another case, heads a case itself, or is the case.
    """
    check(case, "merge", None)
    for member in members:
        check(member, "merge", None)
        if member.id == case.id:
            raise RefusedError("illegal_move", f"opinion {case.id} cannot be merged into itself")
        if heads_case(session, member):
            raise RefusedError(
                "illegal_move",
                f"opinion {member.id} heads a case: merge the others into it instead",
            )
        member.case_id = case.id
        follow(session, act, member, case, "merge")
    record(session, act, case, "merge", detail={"members": [member.id for member in members]})
    case.version += 1


def leave(session: Session, act: Act, member: OpinionRow, version: int | None = None) -> None:
    """Take an opinion out of its case; an open one goes before a reviewer again.

    Raises:
        RefusedError: it is in no case, or has changed since.
    """
    check_version(member, version)
    if member.case_id is None:
        raise RefusedError("illegal_move", f"opinion {member.id} is in no case")
    case, member.case_id = member.case_id, None
    if member.state != "closed":
        member.state, member.waiting = "in_review", True
    change(session, act, member, "leave", detail={"case": case})


def split(
    session: Session, act: Act, parent: OpinionRow, parts: Sequence[tuple[Arrival, list[str]]]
) -> list[OpinionRow]:
    """Divide an opinion with several demands (一诉多求): each part is routed by itself.

    The parent is routed with them and closes with the last of them.

    Args:
        parts: each with what the model made of it and the labels a person gave it.

    Raises:
        RefusedError: the parent's state does not allow it.
        ValueError: fewer than two parts.
    """
    check(parent, "split", None)
    if len(parts) < 2:
        raise ValueError(f"{len(parts)} parts: split into at least two")
    children = []
    for arrival, labels in parts:
        child = add(session, act, arrival, audit_share=0.0)
        child.parent_id = parent.id
        child.urgent, child.urgent_rank = parent.urgent, parent.urgent_rank
        child.state, child.waiting = "in_review", True  # decided here, not by the model
        review(session, act, child, labels)
        children.append(child)
    labels = list(dict.fromkeys(label for _, given in parts for label in given))
    apply_route(session, act, parent, labels[:3])
    parent.state, parent.waiting, parent.settled_at = "routed", False, act.at
    detail: dict[str, Any] = {"parts": [child.id for child in children]}
    change(session, act, parent, "split", detail=detail)
    return children


def heads_case(session: Session, row: OpinionRow) -> bool:
    """Whether others were merged into it."""
    return session.query(OpinionRow.id).filter(OpinionRow.case_id == row.id).first() is not None


def load_all(session: Session, ids: Sequence[int]) -> list[OpinionRow]:
    """The opinions, in the order of their numbers, held against changes by others.

    Raises:
        LookupError: there is none of a number; the message names it.
    """
    rows = []
    for id in sorted(set(ids)):
        row = load(session, id)
        if row is None:
            raise LookupError(f"there is no opinion {id}")
        rows.append(row)
    return rows
