"""待审队列: the list of what waits, the opened opinion beside it, and the confirmation of many."""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from model.triage import Triage
from serving.access import Actor
from serving.categories import find_categories
from serving.classify import ReadyTriage
from serving.errors import RequestError
from serving.kept import describe_opinion, name_category
from serving.opinion_schema import OpinionAnswer
from serving.pages.forms import form
from serving.pages.opinion import Reviewer, describe_pane
from serving.pages.render import render
from serving.pages.view import PAGE, View, count_all, current_view, read_view
from serving.reviewing import find_opinion
from serving.store import bulk
from serving.store.engine import Store
from serving.store.opinions import Act
from serving.store.search import find

router = APIRouter(include_in_schema=False)
Shown = Annotated[View, Depends(read_view)]


class Picked(BaseModel):
    """Opinions as the preview showed them, `number:version`."""

    pick: list[str] = Field(min_length=1, max_length=bulk.MAX_BULK)


class BulkName(BaseModel):
    """A confirmation of many."""

    bulk: str = Field(max_length=80)


@router.get("/")
def start() -> Response:
    """To the queue, where staff begin."""
    return RedirectResponse("/queue", status_code=303)


@router.get("/queue")
def show_queue(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    view: Shown,
    open: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    """The list, and the opinion that was opened or else the first."""
    store: Store = request.app.state.store
    now = datetime.now(UTC)
    with store.read() as session:
        rows, cursor = read_rows(session, triage, view, None, now)
        row = None
        if open:
            row = find_opinion(session, open)
        elif rows:
            row = find_opinion(session, rows[0].id)
        pane = describe_pane(session, row, triage) if row else {"opinion": None}
        counts = count_all(session, now)
    return render(
        request,
        "queue.html",
        actor,
        **pane | {"domains": triage.taxonomy.domains, "departments": triage.routing.departments},
        view=view,
        rows=rows,
        cursor=cursor,
        counts=counts,
        chosen=open is not None,
    )


@router.get("/queue/rows")
def show_rows(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    view: Shown,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """One more page of the list."""
    store: Store = request.app.state.store
    with store.read() as session:
        rows, after = read_rows(session, triage, view, cursor, datetime.now(UTC))
    return render(request, "_rows.html", actor, view=view, rows=rows, cursor=after, opinion=None)


@router.get("/queue/categories")
def show_categories(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    q: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """Categories to pick from."""
    names = {domain.code: domain.name for domain in triage.taxonomy.domains}
    found = [(each, names[each.domain]) for each in find_categories(triage.taxonomy, q)]
    return render(request, "_options.html", actor, found=found, query=q)


@router.get("/queue/bulk")
def preview_bulk(request: Request, actor: Reviewer, triage: ReadyTriage, view: Shown) -> Response:
    """What would be confirmed: the first of the list, by category."""
    store: Store = request.app.state.store
    now = datetime.now(UTC)
    view = view.model_copy(update={"state": "in_review", "mode": ""})
    with store.read() as session:
        page = find(session, view.filters(), view.order, bulk.MAX_BULK, now)
    kinds = Counter(tuple(row.labels) for row in page.opinions)
    names = [
        ("、".join(name_category(triage, code).name for code in labels), n)
        for labels, n in kinds.most_common()
    ]
    least = min((row.score for row in page.opinions), default=None)
    return render(
        request,
        "_bulk.html",
        actor,
        picked=page.opinions,
        kinds=names,
        least=least,
        urgent=sum(row.urgent for row in page.opinions),
        more=page.next_cursor is not None,
        view=view,
    )


@router.post("/queue/bulk")
def confirm_bulk(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    given: Annotated[Picked, Depends(form(Picked))],
) -> Response:
    """Each as its suggestion says, recorded singly; those changed since the preview are left."""
    store: Store = request.app.state.store
    seen = [_read_pick(pick) for pick in given.pick]
    try:
        with store.write() as session:
            outcome = bulk.confirm(session, Act(actor.name, datetime.now(UTC), triage), seen)
    except LookupError as error:
        raise RequestError("not_found", str(error)) from None
    left = f"，{len(outcome.left)} 件在您预览后有变动，没有动它们" if outcome.left else ""
    said = f"已批量确认 {len(outcome.done)} 件{left}"
    return _show_outcome(request, actor, triage, outcome.bulk if outcome.done else None, said)


@router.post("/queue/bulk/undo")
def undo_bulk(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    given: Annotated[BulkName, Depends(form(BulkName))],
) -> Response:
    """All of a bulk back before a reviewer, except what has moved on since."""
    store: Store = request.app.state.store
    try:
        with store.write() as session:
            act = Act(actor.name, datetime.now(UTC), triage)
            outcome = bulk.take_back(session, act, given.bulk)
    except ValueError as error:
        raise RequestError("bad_value", str(error), "bulk") from None
    left = f"，{len(outcome.left)} 件之后又有变动，没有撤销" if outcome.left else ""
    said = f"已撤销批量确认 {len(outcome.done)} 件{left}"
    return _show_outcome(request, actor, triage, None, said)


def read_rows(
    session: Session, triage: Triage, view: View, cursor: str | None, now: datetime
) -> tuple[list[OpinionAnswer], str | None]:
    """One page of the list and where the next begins.

    Raises:
        RequestError: the cursor is of another order.
    """
    try:
        page = find(session, view.filters(), view.order, PAGE, now, cursor)
    except ValueError as error:
        raise RequestError("bad_value", str(error), "cursor") from None
    return [describe_opinion(row, triage) for row in page.opinions], page.next_cursor


def _show_outcome(
    request: Request, actor: Actor, triage: Triage, name: str | None, said: str
) -> Response:
    """What was done, the way back, and the list as it is now."""
    store: Store = request.app.state.store
    if "hx-request" not in request.headers:
        return RedirectResponse("/queue", status_code=303)
    view, now = current_view(request), datetime.now(UTC)
    with store.read() as session:
        rows, cursor = read_rows(session, triage, view, None, now)
        counts = count_all(session, now)
    return render(
        request,
        "_outcome.html",
        actor,
        view=view,
        rows=rows,
        cursor=cursor,
        counts=counts,
        said=said,
        bulk=name,
        opinion=None,
    )


def _read_pick(pick: str) -> tuple[int, int]:
    number, _, version = pick.partition(":")
    if not (number.isascii() and number.isdigit() and version.isascii() and version.isdigit()):
        raise RequestError("bad_value", f"pick is {pick!r}: send number:version", "pick")
    return min(int(number), 2**63 - 1), int(version)
