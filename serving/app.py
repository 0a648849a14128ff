"""The application: loads the model beside a live server, answers about itself, mounts the rest."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from model.calendar import SHANGHAI
from model.text import Opinion
from model.triage import Triage, load_triage
from serving import classify, intake, reviewing
from serving.classify import ReadyTriage
from serving.docs import add_docs
from serving.errors import (
    ErrorAnswer,
    RequestError,
    answer_http_error,
    answer_request_error,
    answer_validation_error,
)
from serving.jobs import Jobs
from serving.limits import BodyLimit
from serving.line import Line
from serving.logs import RequestLog
from serving.pages import batch, dashboard, login, moves, opinion, queue
from serving.pages.attempts import Attempts
from serving.pages.render import add_pages_frame
from serving.schema import (
    ClassifyRequest,
    Departments,
    Health,
    Info,
    Limits,
    ModelFacts,
    TaxonomyAnswer,
)
from serving.settings import Settings
from serving.store.engine import open_store
from serving.store.routing_tables import RoutingWatch

_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ErrorAnswer, "description": "not_ready"}
}
# `queue` before `opinion`: its ways are words, the other's numbers.
_PAGES = (
    login.router, queue.router, opinion.router, moves.router, dashboard.router, batch.router,
)  # fmt: skip
_log = structlog.get_logger()
router = APIRouter()


def create_app(
    settings: Settings,
    triage: Triage | None = None,
    on_failure: Callable[[BaseException], None] | None = None,
) -> FastAPI:
    """The application.

    Args:
        triage: a loaded model; without one it is loaded from the settings while serving.
        on_failure: told why the model cannot be loaded.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(app))
        loading.add_done_callback(report)
        async with app.state.jobs.running():
            yield
        await asyncio.wait([loading])
        app.state.store.close()

    def report(loading: asyncio.Task[None]) -> None:
        error = None if loading.cancelled() else loading.exception()
        if error and on_failure:
            on_failure(error)

    app = FastAPI(
        title="Linsheng",
        summary="Sorts what residents write and routes it to whoever can act on it.",
        version=tomllib.loads(_PROJECT.read_text())["project"]["version"],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        exception_handlers={
            RequestError: answer_request_error,
            RequestValidationError: answer_validation_error,
            HTTPException: answer_http_error,
        },
    )
    app.state.settings = settings
    app.state.triage = triage
    app.state.store = open_store(settings.database_url)
    app.state.routing = RoutingWatch(app.state.store)
    app.state.line = Line(settings.inference_slots, settings.max_queue, settings.max_wait_seconds)
    app.state.jobs = Jobs(settings, app.state.store, app.state.line)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestLog)
    app.include_router(router)
    for part in (classify, intake, reviewing):
        app.include_router(part.router)
    app.state.login_attempts = Attempts()
    add_pages_frame(app)
    for page in _PAGES:
        app.include_router(page)
    if settings.docs:
        add_docs(app)
        _describe_request(app)
    return app


async def _load(app: FastAPI) -> None:
    """Load, verify and warm up the model in a thread, then let requests through."""
    settings: Settings = app.state.settings

    def load_warm() -> Triage:
        triage = load_triage(settings.artifact, settings.data, settings.threads)
        triage([Opinion("小区电梯坏了")], [datetime.now(SHANGHAI)])
        return triage

    if app.state.triage is None:
        app.state.triage = await asyncio.to_thread(load_warm)
        _log.info("ready", model_version=app.state.triage.classifier.artifact.version)


def _describe_request(app: FastAPI) -> None:
    """Add the request's form to the OpenAPI document: the body is parsed by hand, item by item."""
    template = "#/components/schemas/{model}"
    _, schema = models_json_schema([(ClassifyRequest, "validation")], ref_template=template)
    app.openapi()["components"]["schemas"] |= schema["$defs"]


@router.get("/health/live", summary="Whether the process answers")
def live() -> Health:
    """Answered from the first moment on."""
    return Health(status="live")


@router.get("/health/ready", summary="Whether opinions can be classified", responses=_NOT_READY)
def ready(_: ReadyTriage) -> Health:
    """503 until the model is loaded, verified and warmed up."""
    return Health(status="ready")


@router.get("/info", summary="Versions, limits and facts about the model", responses=_NOT_READY)
def info(request: Request, triage: ReadyTriage) -> Info:
    """What is served, within which bounds."""
    artifact = triage.classifier.artifact
    return Info(
        version=request.app.version,
        model_version=artifact.version,
        taxonomy_version=triage.taxonomy.version,
        routing_version=triage.routing.version,
        limits=Limits.model_validate(request.app.state.settings, from_attributes=True),
        model=ModelFacts(
            created_at=artifact.created_at,
            categories=len(artifact.codes),
            max_tokens=artifact.max_tokens,
            **asdict(artifact.calibration),
        ),
    )


@router.get("/v1/taxonomy", summary="What an opinion can be about", responses=_NOT_READY)
def taxonomy(triage: ReadyTriage) -> TaxonomyAnswer:
    """Domains with their categories, in label order."""
    return TaxonomyAnswer.model_validate(
        {"taxonomy_version": triage.taxonomy.version, "domains": triage.taxonomy.domains},
        from_attributes=True,
    )


@router.get("/v1/departments", summary="Who answers opinions", responses=_NOT_READY)
def departments(triage: ReadyTriage) -> Departments:
    """Departments and levels, from the smallest to the largest."""
    return Departments.model_validate(
        {
            "routing_version": triage.routing.version,
            "levels": triage.routing.levels,
            "departments": triage.routing.departments,
        },
        from_attributes=True,
    )
