"""POST /v1/opinions: what residents wrote is read, kept once and answered."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from model.calendar import SHANGHAI
from model.gazetteer import NOWHERE, Place
from model.triage import Triage
from serving.access import Actor, require
from serving.answers import describe_result, locate
from serving.classify import TURN, ReadyTriage, read_body
from serving.errors import ErrorAnswer, ErrorDetail, RequestError
from serving.inputs import Item, parse_submission
from serving.line import Line
from serving.opinion_schema import Taken, TakenBatch
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.opinions import Act, Arrival, add
from serving.store.tables import OpinionRow, PredictionRow, SubmissionRow

MAX_KEY = 200
# What neither database keeps in a text: NUL and lone surrogates; shown as U+FFFD instead.
_UNSTORABLE = dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd")
router = APIRouter()
Sender = Annotated[Actor, Depends(require("intake"))]


@router.post(
    "/v1/opinions",
    status_code=201,
    response_model_exclude_unset=True,
    summary="Keep opinions, decide and route them",
)
async def submit(
    request: Request, response: Response, triage: ReadyTriage, actor: Sender
) -> Taken | TakenBatch:
    """Keep an opinion, or a list of them, each once.

    Sent again with the same Idempotency-Key, or the same external_id from the same sender, it gets
    its first answer (200) and nothing is stored. In a list every opinion gets its own result.
    """
    settings: Settings = request.app.state.settings
    line: Line = request.app.state.line
    store: Store = request.app.state.store
    key = storable(request.headers.get("idempotency-key", ""))
    if len(key) > MAX_KEY:
        raise RequestError("bad_value", f"idempotency-key: send at most {MAX_KEY} characters")
    with line.admit():
        body = await read_body(request, settings.max_wait_seconds)
        digest = hashlib.sha256(body).hexdigest()
        is_list, items = await run_in_threadpool(parse_submission, body, settings)
        if not is_list and isinstance(items[0], ErrorDetail):
            raise RequestError("bad_value", items[0].message, items[0].field)
        answer = await run_in_threadpool(_answer_of_key, store, actor, key, digest)
        stored = False
        if answer is None:
            known = await run_in_threadpool(_known, store, actor, items)
            arrivals: list[Arrival | ErrorDetail | Taken] = []
            for start in range(0, len(items), TURN):
                some = items[start : start + TURN]
                async with line.turn():
                    arrivals += await run_in_threadpool(_read, triage, actor, some, known)
            act = Act(actor.name, datetime.now(UTC), triage)
            kept = await run_in_threadpool(
                _keep, store, act, arrivals, settings.audit_share, key, digest
            )
            answer, stored = kept
    response.status_code = 201 if stored else 200
    return answer if is_list else _only(answer)


def _only(batch: TakenBatch) -> Taken:
    [taken] = batch.results
    assert isinstance(taken, Taken)
    return taken


def _answer_of_key(store: Store, actor: Actor, key: str, digest: str) -> TakenBatch | None:
    """What the same key was answered before."""
    if not key:
        return None
    with store.read() as session:
        return _find_submission(session, actor.name, key, digest)


def _find_submission(session: Session, source: str, key: str, digest: str) -> TakenBatch | None:
    found = session.scalar(
        select(SubmissionRow).where(SubmissionRow.source == source, SubmissionRow.key == key)
    )
    if found is None:
        return None
    if found.body_sha256 != digest:
        message = "the same idempotency-key came with another body before: use a new key"
        raise RequestError("key_reused", message)
    return TakenBatch.model_validate(found.answer)


def _known(store: Store, actor: Actor, items: Sequence[Item | ErrorDetail]) -> dict[str, Taken]:
    """Those sent before, by their external_id: they need not be read again."""
    ids = [item.external_id for item in items if isinstance(item, Item) and item.external_id]
    with store.read() as session:
        return _find_known(session, actor.name, ids)


def _find_known(session: Session, source: str, ids: Sequence[str]) -> dict[str, Taken]:
    rows = session.execute(
        select(OpinionRow, PredictionRow)
        .join(PredictionRow, PredictionRow.opinion_id == OpinionRow.id)
        .where(OpinionRow.source == source, OpinionRow.external_id.in_(ids))
        .order_by(PredictionRow.id.desc())  # the first prediction ends up in the dictionary
    ).all()
    return {str(row.external_id): describe_taken(row, prediction) for row, prediction in rows}


def describe_taken(row: OpinionRow, prediction: PredictionRow) -> Taken:
    """What the sender was told of this opinion when it came in."""
    return Taken(
        **prediction.result,
        id=row.id,
        external_id=row.external_id,
        received_at=row.received_at.astimezone(SHANGHAI),
        model_version=prediction.model_version,
        taxonomy_version=prediction.taxonomy_version,
        routing_version=prediction.routing_version,
    )


def _read(
    triage: Triage,
    actor: Actor,
    items: Sequence[Item | ErrorDetail],
    known: dict[str, Taken],
) -> list[Arrival | ErrorDetail | Taken]:
    """What the model makes of those that were not sent before."""
    new = [item for item in items if isinstance(item, Item) and item.external_id not in known]
    read = iter(triage([item.opinion for item in new], [item.received_at for item in new]))
    return [
        item
        if isinstance(item, ErrorDetail)
        else known[item.external_id]
        if item.external_id in known
        else arrive(triage, actor.name, item, read)
        for item in items
    ]


def arrive(triage: Triage, source: str, item: Item, read: Any, within: Place = NOWHERE) -> Arrival:
    """An item with what the model made of it, the next of `read`, and its place in `within`."""
    triaged = next(read)
    place = locate(triage, item, within)
    result = describe_result(triaged, triage, place)
    return Arrival(
        source=source,
        external_id=storable(item.external_id) or None,
        title=storable(item.opinion.title),
        text=storable(item.opinion.text),
        channel=item.channel or None,
        place=storable(item.place) or None,
        received_at=item.received_at,
        result=result.model_dump(mode="json", exclude_unset=True),
        embedding=triaged.embedding,
        compound=place.compound,
        community=place.community,
        street=place.street,
    )


def storable(text: str) -> str:
    """The text with U+FFFD for what no database keeps."""
    return text.translate(_UNSTORABLE)


def _keep(
    store: Store,
    act: Act,
    arrivals: Sequence[Arrival | ErrorDetail | Taken],
    audit_share: float,
    key: str,
    digest: str,
) -> tuple[TakenBatch, bool]:
    """Keep the new ones in one transaction.

    Returns:
        The answer, and whether anything was stored.
    """
    try:
        with store.write() as session:
            return _store(session, act, arrivals, audit_share, key, digest)
    except IntegrityError:
        # Another request with this key was faster; its answer is committed by now.
        with store.read() as session:
            answer = _find_submission(session, act.actor, key, digest)
        if answer is None:
            raise
        return answer, False


def _store(
    session: Session,
    act: Act,
    arrivals: Sequence[Arrival | ErrorDetail | Taken],
    audit_share: float,
    key: str,
    digest: str,
) -> tuple[TakenBatch, bool]:
    submission = None
    if key:
        submission = SubmissionRow(
            source=act.actor, key=key, body_sha256=digest, at=act.at, answer={}
        )
        session.add(submission)
        session.flush()
    results: dict[int, Taken | ErrorAnswer] = {}
    stored = False
    # In the order of their numbers: two requests with the same opinions cannot block each other.
    for i in sorted(range(len(arrivals)), key=lambda i: _external_id(arrivals[i])):
        arrival = arrivals[i]
        if isinstance(arrival, ErrorDetail):
            results[i] = ErrorAnswer(error=arrival)
        elif isinstance(arrival, Taken):
            results[i] = arrival
        else:
            results[i], new = _store_once(session, act, arrival, audit_share)
            stored = stored or new
    answer = TakenBatch(results=[results[i] for i in range(len(arrivals))])
    if submission:
        submission.answer = answer.model_dump(mode="json", exclude_unset=True)
    return answer, stored


def _store_once(
    session: Session, act: Act, arrival: Arrival, audit_share: float
) -> tuple[Taken, bool]:
    if arrival.external_id is None:
        return _taken(session, add(session, act, arrival, audit_share)), True
    known = _find_known(session, arrival.source, [arrival.external_id])
    if known:
        return known[arrival.external_id], False
    try:
        with session.begin_nested():
            row = add(session, act, arrival, audit_share)
        return _taken(session, row), True
    except IntegrityError:
        known = _find_known(session, arrival.source, [arrival.external_id])
        return known[arrival.external_id], False


def _taken(session: Session, row: OpinionRow) -> Taken:
    session.flush()
    prediction = session.scalars(
        select(PredictionRow).where(PredictionRow.opinion_id == row.id)
    ).one()
    return describe_taken(row, prediction)


def _external_id(arrival: Arrival | ErrorDetail | Taken) -> str:
    return "" if isinstance(arrival, ErrorDetail) else arrival.external_id or ""
