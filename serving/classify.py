"""POST /v1/classify: reads the body within its bounds, stands in line, answers in order."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from model.triage import Triage
from serving.access import Actor, require
from serving.answers import answer_items
from serving.errors import STATUS, ErrorAnswer, RequestError, RequestErrorType
from serving.inputs import parse_request
from serving.limits import read_whole
from serving.line import Line
from serving.schema import ClassifyAnswer, Result
from serving.settings import Settings
from serving.store.routing_tables import RoutingWatch

# Opinions read in one turn: a large batch goes back to the end of the line between two turns.
TURN = 16
_ERRORS: tuple[RequestErrorType, ...] = tuple(
    kind for kind in STATUS if kind not in ("not_found", "method_not_allowed", "client_left")
)
_REQUEST_EXAMPLES = {
    "text": {
        "summary": "One text",
        "value": {"inputs": "三号楼电梯又困人了，物业电话没人接"},
    },
    "batch": {
        "summary": "A batch",
        "value": {
            "inputs": [
                "小区门口的树枝挡住了路灯",
                {
                    "title": "停车难",
                    "text": "晚上回来根本没有车位，消防通道也停满了",
                    "place": "幸福里小区",
                    "received_at": "2026-11-23T08:00:00+08:00",
                },
            ],
            "top_k": 3,
            "explain": True,
        },
    },
}
_ANSWER_EXAMPLE = {
    "model_version": "2026.11.23-1a2b3c4d",
    "taxonomy_version": 1,
    "routing_version": 1,
    "results": [
        {
            "labels": [
                {
                    "code": "elevator",
                    "name": "电梯故障与维保",
                    "domain": "facilities",
                    "score": 0.97,
                }
            ],
            "candidates": [{"code": "elevator", "name": "电梯故障与维保", "score": 0.97}],
            "decision": "auto",
            "urgent": True,
            "urgent_match": "困人",
            "truncated": False,
            "route": {
                "lead": {"code": "market", "name": "区市场监管局"},
                "assist": [{"code": "property", "name": "物业服务企业"}],
                "level": "compound",
                "due_at": "2026-11-23T10:00:00+08:00",
            },
        },
        {
            "error": {
                "type": "empty_text",
                "field": "inputs[1].text",
                "message": "the text is empty",
            }
        },
    ],
}

router = APIRouter()


def ready_triage(request: Request) -> Triage:
    """The loaded model with the tables in force; 503 until there is one."""
    triage: Triage | None = request.app.state.triage
    if triage is None:
        raise RequestError("not_ready", "the model is being loaded: try again in a second")
    routing: RoutingWatch = request.app.state.routing
    if newer := routing.newer(triage):
        request.app.state.triage = newer
    return newer or triage


ReadyTriage = Annotated[Triage, Depends(ready_triage)]


@router.post(
    "/v1/classify",
    summary="Sort opinions and route them",
    response_model_exclude_unset=True,
    responses={
        200: {"content": {"application/json": {"example": _ANSWER_EXAMPLE}}},
        **{
            STATUS[kind]: {
                "model": ErrorAnswer,
                "description": ", ".join(k for k in _ERRORS if STATUS[k] == STATUS[kind]),
            }
            for kind in _ERRORS
        },
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/ClassifyRequest"},
                    "examples": _REQUEST_EXAMPLES,
                }
            },
        }
    },
)
async def classify(
    request: Request,
    response: Response,
    triage: ReadyTriage,
    _: Annotated[Actor, Depends(require("intake"))],
) -> ClassifyAnswer:
    """Name the categories of each opinion, how sure they are, how urgent it is and who answers it.

    An opinion that cannot be read gets its own error in its place; the others are answered.
    """
    settings: Settings = request.app.state.settings
    line: Line = request.app.state.line
    with line.admit():
        started = time.perf_counter()
        body = await read_body(request, settings.max_wait_seconds)
        job = await run_in_threadpool(parse_request, body, settings)
        request.state.items = len(job.items)
        read = time.perf_counter()
        inferring = 0.0
        results: list[Result | ErrorAnswer] = []
        step = 1 if job.explain else TURN
        for start in range(0, len(job.items), step):
            items = job.items[start : start + step]
            async with line.turn():
                if await request.is_disconnected():
                    raise RequestError("client_left", "the client left before its turn")
                turn = time.perf_counter()
                results += await run_in_threadpool(
                    answer_items, triage, items, job.top_k, job.explain
                )
                inferring += time.perf_counter() - turn
        done = time.perf_counter()
    stages = {"read": read - started, "queue": done - read - inferring, "infer": inferring}
    response.headers["server-timing"] = ", ".join(
        f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in stages.items()
    )
    return ClassifyAnswer(
        model_version=triage.classifier.artifact.version,
        taxonomy_version=triage.taxonomy.version,
        routing_version=triage.routing.version,
        results=results,
    )


async def read_body(request: Request, max_seconds: float) -> bytes:
    """The body of a JSON request.

    Raises:
        RequestError: another media type or encoding, too slow, or cut off.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    if media_type != "application/json" or encoding != "identity":
        message = "send the header content-type: application/json and an uncompressed body"
        raise RequestError("unsupported_media_type", message)
    return await read_whole(request, max_seconds)
