"""The pane of an opened opinion, and the parts of it that come later than its text."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.text import Opinion
from model.triage import Triage
from serving.access import Actor
from serving.classify import ReadyTriage
from serving.demands import Demand, propose_demands
from serving.errors import RequestError
from serving.kept import (
    describe_opinion,
    latest_prediction,
    name_department,
    next_departments,
    place_of,
)
from serving.line import Line
from serving.opinion_schema import Offer
from serving.pages.history import tell
from serving.pages.marks import mark_words
from serving.pages.render import page_actor, render
from serving.reviewing import find_opinion
from serving.store.engine import Store
from serving.store.similar import nearest_confirmed, repeats
from serving.store.tables import EventRow, OpinionRow

MAX_PARTS = 3
router = APIRouter(prefix="/queue", include_in_schema=False)
Reviewer = Annotated[Actor, Depends(page_actor("review"))]
Id = Annotated[int, Path(ge=1, lt=2**63)]


@router.get("/{id}")
def show_opinion(request: Request, actor: Reviewer, triage: ReadyTriage, id: Id) -> Response:
    """The pane; a browser that asks for it as a page gets the queue with it opened."""
    if "hx-request" not in request.headers:
        return RedirectResponse(f"/queue?state=all&open={id}", status_code=303)
    store: Store = request.app.state.store
    with store.read() as session:
        pane = describe_pane(session, find_opinion(session, id), triage)
    return render(request, "_pane.html", actor, **pane)


@router.get("/{id}/evidence")
async def show_evidence(request: Request, actor: Reviewer, triage: ReadyTriage, id: Id) -> Response:
    """The words again, with what carried the suggestion marked in them."""
    store: Store = request.app.state.store
    row = await run_in_threadpool(read_row, store, id)
    opinion = Opinion(row.text, row.title)
    if row.audit:
        raise RequestError("forbidden", f"opinion {id} is to be read blind")

    def explain() -> Any:
        return triage([opinion], [row.received_at], explain=True)[0].evidence

    spans = await in_turn(request, explain)
    title, text = mark_words(opinion, spans or (), row.urgent_match)
    return render(request, "_words.html", actor, title=title, text=text, later=None)


@router.get("/{id}/similar")
def show_similar(request: Request, actor: Reviewer, triage: ReadyTriage, id: Id) -> Response:
    """Confirmed opinions like it, and open ones that may be the same demand."""
    store: Store = request.app.state.store
    with store.read() as session:
        row = find_opinion(session, id)
        if row.audit:
            raise RequestError("forbidden", f"opinion {id} is to be read blind")
        opinion = describe_opinion(row, triage)
        near = [
            (describe_opinion(s.opinion, triage), s.cosine) for s in nearest_confirmed(session, row)
        ]
        same = [(describe_opinion(s.opinion, triage), s.cosine) for s in repeats(session, row)]
    same = [each for each in same if "merge" in each[0].allowed]
    return render(request, "_similar.html", actor, opinion=opinion, near=near, same=same)


@router.get("/{id}/parts")
async def show_parts(request: Request, actor: Reviewer, triage: ReadyTriage, id: Id) -> Response:
    """A proposal which sentences make a demand of their own, as a form."""
    store: Store = request.app.state.store
    row = await run_in_threadpool(read_row, store, id)
    reading = Opinion(row.text, row.title).reading
    codes = [code for code in row.labels if code in triage.routing.rules][:MAX_PARTS]

    def propose() -> list[Demand]:
        return propose_demands(triage, reading, codes, row.received_at)

    parts = await in_turn(request, propose)
    parts += [Demand("", "")] * (max(2, len(parts)) - len(parts))
    domains = triage.taxonomy.domains
    opinion = describe_opinion(row, triage)
    return render(request, "_parts.html", actor, opinion=opinion, parts=parts, domains=domains)


def describe_pane(
    session: Session,
    row: OpinionRow,
    triage: Triage,
    error: str | None = None,
    offers: list[Offer] | None = None,
) -> dict[str, Any]:
    """What the pane shows. One that is to be read blind shows nothing that the model said.

    Args:
        error: why the last move was refused.
        offers: where a returned opinion may go next; found anew where None.
    """
    opinion = describe_opinion(row, triage)
    title, text = mark_words(
        Opinion(row.text, row.title), (), None if row.audit else row.urgent_match
    )
    pane = {
        "opinion": opinion,
        "blind": row.audit,
        "title": title,
        "text": text,
        "error": error,
        "domains": triage.taxonomy.domains,
        "departments": triage.routing.departments,
        "due": due_words(row, datetime.now(UTC)),
        "later": None if row.audit else f"/queue/{row.id}/evidence",
        "candidates": [],
        "offers": [],
        "events": [],
        "truncated": False,
        "can_undo": False,
        "parts": [],
        "merged": [],
    }
    if row.audit:
        return pane
    result = latest_prediction(session, row).result
    events = list(
        session.scalars(
            select(EventRow).where(EventRow.opinion_id == row.id).order_by(EventRow.id.desc())
        )
    )
    if row.state == "returned":
        pane["offers"] = next_departments(session, row, triage)[:3] if offers is None else offers
    return pane | {
        "candidates": [_candidate(each, triage, row) for each in result["candidates"][:5]],
        "truncated": result["truncated"],
        "events": [tell(event, triage) for event in events],
        "can_undo": events[0].action == "review",
        "parts": _ids(session, OpinionRow.parent_id == row.id),
        "merged": merged_ids(session, row.id),
    }


def merged_ids(session: Session, id: int) -> list[int]:
    """The numbers of the opinions that were merged into this one."""
    return _ids(session, OpinionRow.case_id == id)


def due_words(row: OpinionRow, now: datetime) -> str:
    """How long it may still take, or for how long it is overdue."""
    if row.closed_at:
        return ""
    late = row.due_at < now
    left = now - row.due_at if late else row.due_at - now
    hours = left // timedelta(hours=1)
    if left >= timedelta(days=2):
        words = f"{left.days} 天"
    elif hours:
        words = f"{hours} 小时"
    else:
        words = f"{left // timedelta(minutes=1)} 分钟"
    return f"已逾期 {words}" if late else f"还有 {words}"


async def in_turn(request: Request, work: Callable[[], Any]) -> Any:
    """Run what needs the model when its turn comes, unless the reader has moved on by then."""
    line: Line = request.app.state.line
    with line.admit():
        async with line.turn():
            if await request.is_disconnected():
                raise RequestError("client_left", "the reader left before the turn came")
            return await run_in_threadpool(work)


def _candidate(candidate: dict[str, Any], triage: Triage, row: OpinionRow) -> dict[str, Any]:
    rule = triage.routing.rules.get(candidate["code"])
    lead = name_department(triage, rule.lead.code, place_of(row)).name if rule else "—"
    return {**candidate, "lead": lead, "known": rule is not None}


def read_row(store: Store, id: int) -> OpinionRow:
    """The opinion, read in a transaction of its own."""
    with store.read() as session:
        return find_opinion(session, id)


def _ids(session: Session, condition: Any) -> list[int]:
    return list(session.scalars(select(OpinionRow.id).where(condition).order_by(OpinionRow.id)))
