"""/v1/opinions: finding kept opinions and moving them on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from model.prediction import Decision
from model.text import Opinion, has_words
from model.triage import Triage
from serving.access import Actor, require
from serving.classify import ReadyTriage
from serving.errors import RequestError
from serving.inputs import Item, in_range
from serving.intake import arrive, storable
from serving.kept import describe_history, describe_opinion, next_departments, place_of
from serving.opinion_schema import (
    Change,
    CloseInput,
    MergeInput,
    OpinionAnswer,
    OpinionHistory,
    OpinionPage,
    ReturnAnswer,
    ReturnInput,
    ReviewInput,
    SplitInput,
)
from serving.store import cases, opinions
from serving.store.engine import Store
from serving.store.lifecycle import RefusedError, State
from serving.store.opinions import Act, Arrival
from serving.store.search import MAX_PAGE, Filters, Order, find
from serving.store.tables import MAX_ID, OpinionRow

router = APIRouter(prefix="/v1/opinions")
Reviewer = Annotated[Actor, Depends(require("review"))]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Moment = Annotated[AwareDatetime, AfterValidator(in_range)]


class Search(BaseModel):
    """Filters, order and page of a list of opinions."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None
    waiting: bool | None = Field(None, description="In front of a reviewer")
    audit: bool | None = None
    category: str | None = None
    department: str | None = None
    decision: Decision | None = None
    min_score: float | None = None
    max_score: float | None = None
    urgent: bool | None = None
    overdue: bool | None = None
    place: str | None = Field(None, description="A compound, community, street, or a part of it")
    received_from: Moment | None = None
    received_to: Moment | None = Field(None, description="Not included")
    text: str | None = Field(None, description="Contained in the title or text")
    source: str | None = None
    case_id: Id | None = None
    parent_id: Id | None = None
    sort: Order = "newest"
    limit: int = Field(50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, description="`next_cursor` of the page before")

    def filters(self) -> Filters:
        """What to look for."""
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(Filters)}
        for name, value in given.items():
            if isinstance(value, str):
                given[name] = storable(value)
        return Filters(**given)


@router.get("", summary="Find opinions")
def list_opinions(
    request: Request, triage: ReadyTriage, _: Reviewer, search: Annotated[Search, Query()]
) -> OpinionPage:
    """One page of the opinions that fit."""
    store: Store = request.app.state.store
    try:
        with store.read() as session:
            page = find(
                session,
                search.filters(),
                search.sort,
                search.limit,
                datetime.now(UTC),
                search.cursor,
            )
            found = [describe_opinion(row, triage) for row in page.opinions]
    except ValueError as error:
        raise RequestError("bad_value", str(error), "cursor") from None
    return OpinionPage(opinions=found, next_cursor=page.next_cursor)


@router.get("/{id}", summary="One opinion with its history")
def read_opinion(request: Request, triage: ReadyTriage, _: Reviewer, id: int) -> OpinionHistory:
    """As it stands now, what the model said, what happened since."""
    store: Store = request.app.state.store
    with store.read() as session:
        return describe_history(session, find_opinion(session, id), triage)


@router.post("/{id}/review", summary="Decide what it is about; route it")
def review(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: ReviewInput
) -> OpinionAnswer:
    """The labels hold from now on; what the model said stays beside them."""
    check_labels(triage, given.labels, "labels")
    check_department(triage, given.department)
    with _changing(request, actor, triage) as (session, act):
        row = hold_opinion(session, id)
        opinions.review(
            session,
            act,
            row,
            given.labels,
            department=given.department,
            note=_text(given.note),
            blind=given.blind,
            version=given.version,
        )
        return describe_opinion(row, triage)


@router.post("/{id}/undo", summary="Take the last review back")
def undo(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: Change
) -> OpinionAnswer:
    """Possible until something else happens to the opinion."""
    with _changing(request, actor, triage) as (session, act):
        row = hold_opinion(session, id)
        opinions.undo(session, act, row, given.version)
        return describe_opinion(row, triage)


@router.post("/{id}/return", summary="Return it (退单)")
def send_back(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: ReturnInput
) -> ReturnAnswer:
    """One level up and before a reviewer again; the next-best departments are offered."""
    with _changing(request, actor, triage) as (session, act):
        row = hold_opinion(session, id)
        opinions.send_back(session, act, row, given.reason, _text(given.note), given.version)
        offers = next_departments(session, row, triage)
        return ReturnAnswer(**dict(describe_opinion(row, triage)), offers=offers)


@router.post("/{id}/escalate", summary="Move it one level up")
def escalate(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: Change
) -> OpinionAnswer:
    """From compound to community, street, district."""
    with _changing(request, actor, triage) as (session, act):
        row = hold_opinion(session, id)
        opinions.escalate(session, act, row, _text(given.note), given.version)
        return describe_opinion(row, triage)


@router.post("/{id}/close", summary="Settle it with an answer")
def close(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: CloseInput
) -> OpinionAnswer:
    """The answer is what the resident is told."""
    with _changing(request, actor, triage) as (session, act):
        row = hold_opinion(session, id)
        opinions.close(session, act, row, storable(given.answer), given.version)
        return describe_opinion(row, triage)


@router.post("/{id}/merge", summary="Join repeats to it (同诉合并)")
def merge(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: MergeInput
) -> OpinionHistory:
    """They follow this opinion from now on; each keeps its sender and history."""
    with _changing(request, actor, triage) as (session, act):
        loaded = {row.id: row for row in hold_opinions(session, [id, *given.members])}
        members = [loaded[member] for member in dict.fromkeys(given.members)]
        cases.merge(session, act, loaded[id], members)
        session.flush()
        return describe_history(session, loaded[id], triage)


@router.post("/{id}/leave", summary="Take it out of its case")
def leave(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: Change
) -> OpinionAnswer:
    """An open one goes before a reviewer again."""
    with _changing(request, actor, triage) as (session, act):
        row = hold_opinion(session, id)
        cases.leave(session, act, row, given.version)
        return describe_opinion(row, triage)


@router.post("/{id}/split", summary="Divide several demands (一诉多求)")
def split(
    request: Request, triage: ReadyTriage, actor: Reviewer, id: int, given: SplitInput
) -> OpinionHistory:
    """Each part is routed by itself; the opinion closes with the last of them."""
    store: Store = request.app.state.store
    for i, part in enumerate(given.parts):
        check_labels(triage, part.labels, f"parts[{i}].labels")
        if not has_words(Opinion(part.text).reading):
            message = "the text has no letter, digit or character"
            raise RequestError("bad_value", message, f"parts[{i}].text")
    with store.read() as session:
        parent = find_opinion(session, id)
    arrivals = read_parts(triage, parent, [part.text for part in given.parts])
    with _changing(request, actor, triage) as (session, act):
        row = hold_opinion(session, id)
        labels = [part.labels for part in given.parts]
        cases.split(session, act, row, list(zip(arrivals, labels, strict=True)))
        session.flush()
        return describe_history(session, row, triage)


def read_parts(triage: Triage, parent: OpinionRow, texts: list[str]) -> list[Arrival]:
    """The parts of an opinion as arrivals of their own."""
    items = [Item(Opinion(text), parent.received_at, parent.place or "") for text in texts]
    read = iter(triage([item.opinion for item in items], [parent.received_at for _ in items]))
    return [arrive(triage, parent.source, item, read, place_of(parent)) for item in items]


def check_labels(triage: Triage, labels: list[str], field: str) -> None:
    """Whether each is a category, named once.

    Raises:
        RequestError: one is not.
    """
    for label in labels:
        if label not in triage.routing.rules:
            message = f"{label!r} is no category: GET /v1/taxonomy names them"
            raise RequestError("bad_value", message, field)
        if labels.count(label) > 1:
            raise RequestError("bad_value", f"{label!r} stands twice: name it once", field)


def check_department(triage: Triage, department: str | None) -> None:
    """Whether it is in the routing table.

    Raises:
        RequestError: it is not.
    """
    if department and department not in [d.code for d in triage.routing.departments]:
        message = f"{department!r} is no department: GET /v1/departments names them"
        raise RequestError("bad_value", message, "department")


@contextmanager
def _changing(request: Request, actor: Actor, triage: Triage) -> Iterator[tuple[Session, Act]]:
    """A transaction for a move; what forbids it becomes a 409."""
    store: Store = request.app.state.store
    try:
        with store.write() as session:
            yield session, Act(actor.name, datetime.now(UTC), triage)
    except RefusedError as refusal:
        raise RequestError(refusal.kind, str(refusal)) from None


def find_opinion(session: Session, id: int) -> OpinionRow:
    """The opinion.

    Raises:
        RequestError: there is none of this number.
    """
    row = session.get(OpinionRow, id) if 0 < id <= MAX_ID else None
    if row is None:
        raise RequestError("not_found", f"there is no opinion {id}")
    return row


def hold_opinion(session: Session, id: int) -> OpinionRow:
    """The opinion, held against changes by others until the transaction ends.

    Raises:
        RequestError: there is none of this number.
    """
    row = opinions.load(session, id)
    if row is None:
        raise RequestError("not_found", f"there is no opinion {id}")
    return row


def hold_opinions(session: Session, ids: list[int]) -> list[OpinionRow]:
    """The opinions in the order of their numbers, held like one.

    Raises:
        RequestError: there is none of one of the numbers.
    """
    try:
        return cases.load_all(session, ids)
    except LookupError as error:
        raise RequestError("not_found", str(error)) from None


def _text(text: str | None) -> str | None:
    return storable(text) if text else None
