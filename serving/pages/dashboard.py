"""看板: what came in, what became of it, how well the suggestions fared."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from serving.access import Actor, require
from serving.classify import ReadyTriage
from serving.errors import RequestError
from serving.pages.figure_tables import Dashboard, read_dashboard, write_csv
from serving.pages.render import page_actor, render
from serving.store.engine import Store
from serving.store.figures import MAX_DAYS, Window, last_days

DAYS = {7: "近 7 天", 30: "近 30 天", 90: "近 90 天", 366: "近一年"}
DEFAULT_DAYS = 30
router = APIRouter(prefix="/dashboard", include_in_schema=False)
Reader = Annotated[Actor, Depends(page_actor("review"))]


def read_window(days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS) -> Window:
    """The days that are asked for, the last of them today."""
    return last_days(days, datetime.now(UTC))


Asked = Annotated[Window, Depends(read_window)]


@router.get("")
def show(request: Request, actor: Reader, triage: ReadyTriage, window: Asked) -> Response:
    """The page: numbers and tables; its script draws the charts."""
    return render(
        request,
        "dashboard.html",
        actor,
        dashboard=_read(request, triage, window),
        window=window,
        days=len(window.days),
        choices=DAYS,
    )


@router.get("/figures.json", dependencies=[Depends(require("review"))])
def figures(request: Request, triage: ReadyTriage, window: Asked) -> Dashboard:
    """What the page shows, for its charts."""
    return _read(request, triage, window)


@router.get("/{key}.csv")
def download(
    request: Request, actor: Reader, triage: ReadyTriage, window: Asked, key: str
) -> Response:
    """One table as CSV."""
    del actor
    for table in _read(request, triage, window).tables:
        if table.key == key:
            name = f"linsheng-{key}-{window.first}-{window.last}.csv"
            headers = {
                "content-disposition": f'attachment; filename="{name}"',
                "cache-control": "no-store",
            }
            return Response(write_csv(table), media_type="text/csv; charset=utf-8", headers=headers)
    raise RequestError("not_found", f"there is no table {key!r}")


def _read(request: Request, triage: ReadyTriage, window: Window) -> Dashboard:
    store: Store = request.app.state.store
    with store.read() as session:
        return read_dashboard(session, triage, window, datetime.now(UTC))
