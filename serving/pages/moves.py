"""What a reviewer does with an opinion: each a form, answered by the pane of what comes next."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from model.text import has_words
from model.triage import Triage
from serving.access import Actor
from serving.classify import ReadyTriage
from serving.errors import RequestError
from serving.intake import storable
from serving.kept import describe_opinion, name_category, name_department, place_of
from serving.opinion_schema import MAX_NOTE
from serving.pages.forms import form
from serving.pages.opinion import Id, Reviewer, describe_pane, in_turn, merged_ids, read_row
from serving.pages.render import LEVELS, REASONS, STATES, render
from serving.pages.view import count_all, current_view, shown_among
from serving.reviewing import (
    check_department,
    check_labels,
    find_opinion,
    hold_opinion,
    hold_opinions,
    read_parts,
)
from serving.store import cases, opinions
from serving.store.engine import Store
from serving.store.lifecycle import Move, RefusedError, ReturnReason
from serving.store.opinions import Act
from serving.store.search import find
from serving.store.tables import OpinionRow

router = APIRouter(prefix="/queue", include_in_schema=False)
_VERBS: dict[str, str] = {
    "review": "审定", "undo": "撤销审定", "return": "退单", "escalate": "升级", "close": "办结",
    "merge": "并案", "leave": "移出并案", "split": "拆分",
}  # fmt: skip


class Seen(BaseModel):
    """What every form of the pane says: the version that the reviewer saw."""

    version: int
    note: str | None = Field(None, max_length=MAX_NOTE)


class ReviewForm(Seen):
    """A decision; the first label is the primary one."""

    labels: list[str] = Field(min_length=1, max_length=3)
    department: str | None = None


class ReturnForm(Seen):
    """A department's refusal."""

    reason: ReturnReason


class CloseForm(Seen):
    """A settlement."""

    answer: str = Field(min_length=1, max_length=20_000)


class MergeForm(Seen):
    """Numbers of others that make the same demand."""

    members: list[int] = Field(min_length=1, max_length=100)


class JoinForm(Seen):
    """The number of another that makes the same demand."""

    into: int = Field(ge=1, lt=2**63)


class SplitForm(Seen):
    """Demands, text and label in pairs; those without words are left out."""

    text: list[str] = Field(max_length=10)
    label: list[str] = Field(max_length=10)


Change = Callable[[Session, Act, OpinionRow], str]


@router.post("/{id}/review")
def review(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[ReviewForm, Depends(form(ReviewForm))],
) -> Response:
    """The labels hold; the next opinion opens."""
    check_labels(triage, given.labels, "labels")
    check_department(triage, given.department)

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.review(
            session,
            act,
            row,
            given.labels,
            department=given.department,
            note=_note(given.note),
            blind=row.audit,
            version=given.version,
        )
        names = "、".join(name_category(triage, code).name for code in row.labels)
        return (
            f"第 {id} 号审定为{names}，派给{name_department(triage, row.lead, place_of(row)).name}"
        )

    return _move(request, actor, triage, id, "review", change)


@router.post("/{id}/undo")
def undo(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[Seen, Depends(form(Seen))],
) -> Response:
    """The last review is taken back; the opinion opens again."""

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.undo(session, act, row, given.version)
        return f"已撤销第 {id} 号的审定"

    return _move(request, actor, triage, id, "undo", change)


@router.post("/{id}/return")
def send_back(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[ReturnForm, Depends(form(ReturnForm))],
) -> Response:
    """Before a reviewer again; the departments that may take it next are offered."""

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.send_back(session, act, row, given.reason, _note(given.note), given.version)
        return f"第 {id} 号已退单（{REASONS[given.reason]}），请选下一个承办单位"

    return _move(request, actor, triage, id, "return", change)


@router.post("/{id}/escalate")
def escalate(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[Seen, Depends(form(Seen))],
) -> Response:
    """One level up."""

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.escalate(session, act, row, _note(given.note), given.version)
        return f"第 {id} 号已升到{LEVELS.get(row.level, row.level)}"

    return _move(request, actor, triage, id, "escalate", change)


@router.post("/{id}/close")
def close(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[CloseForm, Depends(form(CloseForm))],
) -> Response:
    """Settled; the next opinion opens."""

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.close(session, act, row, storable(given.answer.strip()), given.version)
        return f"第 {id} 号已办结"

    return _move(request, actor, triage, id, "close", change)


@router.post("/{id}/merge")
def merge(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[MergeForm, Depends(form(MergeForm))],
) -> Response:
    """Others follow this opinion from now on."""

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.check(row, "merge", given.version)
        members = hold_opinions(session, given.members)
        cases.merge(session, act, row, members)
        return f"{len(members)} 件已并入第 {id} 号"

    return _move(request, actor, triage, id, "merge", change)


@router.post("/{id}/join")
def join(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[JoinForm, Depends(form(JoinForm))],
) -> Response:
    """This opinion follows another one from now on; the next opinion opens."""

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.check(row, "merge", given.version)
        [case] = hold_opinions(session, [given.into])
        cases.merge(session, act, case, [row])
        return f"第 {id} 号已并入第 {case.id} 号"

    return _move(request, actor, triage, id, "merge", change)


@router.post("/{id}/leave")
def leave(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[Seen, Depends(form(Seen))],
) -> Response:
    """Out of its case."""

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        cases.leave(session, act, row, given.version)
        return f"第 {id} 号已移出并案"

    return _move(request, actor, triage, id, "leave", change)


@router.post("/{id}/split")
async def split(
    request: Request,
    actor: Reviewer,
    triage: ReadyTriage,
    id: Id,
    given: Annotated[SplitForm, Depends(form(SplitForm))],
) -> Response:
    """Each demand is routed by itself."""
    pairs = zip(given.text, given.label, strict=False)
    parts = [(storable(text.strip()), [label]) for text, label in pairs if has_words(text)]
    if len(parts) < 2:
        raise RequestError("bad_value", "give at least two parts with words", "text")
    for _, labels in parts:
        check_labels(triage, labels, "label")
    store: Store = request.app.state.store
    parent = await run_in_threadpool(read_row, store, id)
    arrivals = await in_turn(request, lambda: read_parts(triage, parent, [t for t, _ in parts]))

    def change(session: Session, act: Act, row: OpinionRow) -> str:
        opinions.check(row, "split", given.version)
        pairs = zip(arrivals, [labels for _, labels in parts], strict=True)
        children = cases.split(session, act, row, list(pairs))
        numbers = "、".join(f"第 {child.id} 号" for child in children)
        return f"第 {id} 号已拆成{numbers}"

    return await run_in_threadpool(_move, request, actor, triage, id, "split", change)


def _move(
    request: Request, actor: Actor, triage: Triage, id: int, verb: Move | str, change: Change
) -> Response:
    """Make a change and show what comes next; a refused one shows why and the opinion anew."""
    store: Store = request.app.state.store
    try:
        with store.write() as session:
            row = hold_opinion(session, id)
            said = change(session, Act(actor.name, datetime.now(UTC), triage), row)
    except RefusedError as refusal:
        return _show_refusal(request, actor, triage, id, verb, refusal)
    if "hx-request" not in request.headers:
        return RedirectResponse(f"/queue?state=all&open={id}", status_code=303)
    return _show_next(request, actor, triage, id, verb, said)


def _show_next(
    request: Request, actor: Actor, triage: Triage, id: int, verb: str, said: str
) -> Response:
    """The changed opinion where it still asks for something, else the one after it."""
    store: Store = request.app.state.store
    view, now = current_view(request), datetime.now(UTC)
    with store.read() as session:
        changed = find_opinion(session, id)
        follow = merged_ids(session, id)
        seen = shown_among(session, view, [id, *follow], now)
        shown = id in seen
        stays = verb in ("undo", "return", "escalate", "leave") or (verb == "merge" and shown)
        opened = changed if stays else _next(request, session, id, now)
        pane = describe_pane(session, opened, triage) if opened else {"opinion": None}
        counts = count_all(session, now)
        row = describe_opinion(changed, triage)
    return render(
        request,
        "_moved.html",
        actor,
        **pane,
        said=said,
        counts=counts,
        view=view,
        changed=row,
        shown=shown,
        gone=[each for each in (id, *follow) if each not in seen],
        back=verb == "undo",
        undo=(row.id, row.version) if verb == "review" else None,
    )


def _next(request: Request, session: Session, id: int, now: datetime) -> OpinionRow | None:
    """The opinion that the page names as the next, if it is still to be seen; else the first."""
    view = current_view(request)
    named = request.headers.get("x-next", "")
    if named.isascii() and named.isdigit() and int(named) < 2**63:
        row = session.get(OpinionRow, int(named))
        if row and shown_among(session, view, [row.id], now):
            return row
    if named == "" and not view.waiting and not view.mode:
        return None  # the last of a list in which nothing is left to be done
    page = find(session, view.filters(), view.order, 2, now)
    return next((row for row in page.opinions if row.id != id), None)


def _show_refusal(
    request: Request, actor: Actor, triage: Triage, id: int, verb: str, refusal: RefusedError
) -> Response:
    """409: the pane anew, with what stood in the way."""
    store: Store = request.app.state.store
    with store.read() as session:
        row = find_opinion(session, id)
        if refusal.kind == "version_conflict":
            error = "这一件刚刚被别人改动过，您的操作没有生效。下面是最新内容，请再看一遍后决定。"
        elif verb == "merge":
            error = "不能并案：其中有已办结、已并入别件，或自己就带着并案的件。请换一件作主件。"
        elif verb == "escalate" and "escalate" in describe_opinion(row, triage).allowed:
            error = f"不能升级：已经在最高一级（{LEVELS.get(row.level, row.level)}）。"
        else:
            where = (
                f"已并入第 {row.case_id} 号" if row.case_id else STATES.get(row.state, row.state)
            )
            error = f"不能{_VERBS[verb]}：这一件现在是「{where}」。下面是最新内容。"
        pane = describe_pane(session, row, triage, error)
    return render(request, "_pane.html", actor, 409, **pane)


def _note(text: str | None) -> str | None:
    return storable(text.strip()) or None if text else None
