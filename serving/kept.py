"""From stored rows to the answers of the API and the pages."""

from datetime import UTC, datetime
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from model.calendar import SHANGHAI
from model.gazetteer import NOWHERE, Place
from model.triage import Triage
from serving.answers import describe_place
from serving.opinion_schema import (
    CategoryName,
    EventAnswer,
    Offer,
    OpinionAnswer,
    OpinionHistory,
    ReviewAnswer,
)
from serving.schema import DepartmentName, Result, RouteAnswer
from serving.store.lifecycle import State, allowed_moves
from serving.store.tables import EventRow, OpinionRow, PredictionRow, ReviewRow


def describe_opinion(row: OpinionRow, triage: Triage) -> OpinionAnswer:
    """The row as it stands now, with names; moments on the clock of the offices."""
    state = cast(State, row.state)
    place = place_of(row)
    plain = {
        name: getattr(row, name)
        for name in OpinionAnswer.model_fields
        if name not in ("allowed", "labels", "route", "overdue") and not name.endswith("_at")
    }
    return OpinionAnswer(
        **plain,
        allowed=list(allowed_moves(state, row.audit, row.case_id is not None)),
        received_at=row.received_at.astimezone(SHANGHAI),
        created_at=row.created_at.astimezone(SHANGHAI),
        closed_at=row.closed_at and row.closed_at.astimezone(SHANGHAI),
        labels=[name_category(triage, code) for code in row.labels],
        route=RouteAnswer(
            lead=name_department(triage, row.lead, place),
            assist=[name_department(triage, code, place) for code in row.assist],
            level=row.level,
            due_at=row.due_at.astimezone(SHANGHAI),
            place=describe_place(place),
        ),
        overdue=row.closed_at is None and row.due_at < datetime.now(UTC),
    )


def describe_history(session: Session, row: OpinionRow, triage: Triage) -> OpinionHistory:
    """The opinion with everything that happened to it."""
    prediction = latest_prediction(session, row)
    events = session.scalars(
        select(EventRow).where(EventRow.opinion_id == row.id).order_by(EventRow.id)
    )
    reviews = session.scalars(
        select(ReviewRow).where(ReviewRow.opinion_id == row.id).order_by(ReviewRow.id)
    )
    return OpinionHistory(
        **dict(describe_opinion(row, triage)),
        prediction=Result.model_validate(prediction.result),
        model_version=prediction.model_version,
        events=[EventAnswer.model_validate(event, from_attributes=True) for event in events],
        reviews=[ReviewAnswer.model_validate(review, from_attributes=True) for review in reviews],
        parts=_ids(session, OpinionRow.parent_id == row.id),
        merged=_ids(session, OpinionRow.case_id == row.id),
    )


def latest_prediction(session: Session, row: OpinionRow) -> PredictionRow:
    """What the model said last."""
    return session.scalars(
        select(PredictionRow)
        .where(PredictionRow.opinion_id == row.id)
        .order_by(PredictionRow.id.desc())
        .limit(1)
    ).one()


def next_departments(session: Session, row: OpinionRow, triage: Triage) -> list[Offer]:
    """Departments of the next-best categories other than the one that leads now, best first."""
    offers: dict[str, Offer] = {}
    for candidate in latest_prediction(session, row).result["candidates"]:
        rule = triage.routing.rules.get(candidate["code"])
        if rule and rule.lead.code != row.lead and rule.lead.code not in offers:
            offers[rule.lead.code] = Offer(
                category=name_category(triage, candidate["code"]),
                department=name_department(triage, rule.lead.code, place_of(row)),
            )
    return list(offers.values())


def name_category(triage: Triage, code: str) -> CategoryName:
    """A category by its code; one that the taxonomy no longer has keeps its code for a name."""
    if code not in triage.taxonomy.codes:
        return CategoryName(code=code, name=code, domain="")
    category = triage.taxonomy.category(code)
    return CategoryName(code=code, name=category.name, domain=category.domain)


def name_department(triage: Triage, code: str, place: Place = NOWHERE) -> DepartmentName:
    """A department as it is called at the place; one not in the table keeps its code for a name."""
    names = {department.code: department.name for department in triage.routing.departments}
    name = triage.gazetteer.local_name(code, place) or names.get(code, code)
    return DepartmentName(code=code, name=name)


def place_of(row: OpinionRow) -> Place:
    """Where the opinion comes from, as far as it was certain when it came in."""
    return Place(row.compound, row.community, row.street)


def _ids(session: Session, condition: object) -> list[int]:
    query = select(OpinionRow.id).where(condition).order_by(OpinionRow.id)  # type: ignore[arg-type]
    return list(session.scalars(query))
