"""Templates, static files and who is at the page."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.templating import Jinja2Templates

from model.calendar import SHANGHAI
from serving.access import Actor, Right, identify
from serving.errors import STATUS, RequestError, answer_http_error, answer_request_error

_HERE = Path(__file__).parent
# Pages load nothing from elsewhere and run no script that stands in them.
_HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
DECISIONS = {"auto": "自动", "review": "待审", "out_of_scope": "非诉求"}
STATES = {"in_review": "待审", "routed": "已派单", "returned": "已退回", "closed": "已办结"}
CHANNELS = {
    "miniapp": "小程序", "group": "微信群", "hotline": "热线", "letter": "信件", "board": "吐槽板",
}  # fmt: skip
LEVELS = {"compound": "小区", "community": "社区", "street": "街道", "district": "区"}
REASONS = {
    "jurisdiction": "属地不符", "ownership": "权属不符", "duty": "职能不符", "duplicate": "重复件",
    "incomplete": "信息不全",
}  # fmt: skip
ORIGINS = {
    "accepted": "采纳", "corrected": "改正", "blind": "盲审", "returned": "退回后改派",
    "imported": "导入",
}  # fmt: skip
ACTIONS = {
    "received": "收到", "suggested": "模型建议", "auto": "自动派单", "queued": "转人工",
    "review": "审定", "undo": "撤销审定", "return": "退单", "escalate": "升级", "close": "办结",
    "merge": "并案", "leave": "移出并案", "split": "拆分",
}  # fmt: skip


class LoginNeeded(Exception):  # noqa: N818  a way, not an error
    """The page is for people who logged in."""


def page_actor(right: Right) -> Callable[[Request], Actor]:
    """A dependency of pages that need this right; sends people who did not log in to do so."""

    def check(request: Request) -> Actor:
        actor = identify(request)
        if actor is None:
            raise LoginNeeded
        if right not in actor.rights:
            raise RequestError("forbidden", f"{actor.name} lacks the right {right!r}")
        return actor

    return check


def render(
    request: Request, template: str, actor: Actor | None, status: int = 200, **context: Any
) -> Response:
    """A page or a part of one; `actor` names who is at it."""
    context |= {"actor": actor, "path": request.url.path}
    templates: Jinja2Templates = request.app.state.templates
    return templates.TemplateResponse(request, template, context, status, headers=_HEADERS)


def add_pages_frame(app: FastAPI) -> None:
    """Static files, templates, and the way to the login."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": _moment, "percent": _percent}
    for name, words in (
        ("decision", DECISIONS), ("state", STATES), ("channel", CHANNELS), ("level", LEVELS),
        ("reason", REASONS), ("origin", ORIGINS), ("action", ACTIONS),
    ):  # fmt: skip
        environment.filters[f"{name}_name"] = lambda code, words=words: words.get(code, code or "—")
    app.state.templates = Jinja2Templates(env=environment)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.add_exception_handler(LoginNeeded, _to_login)
    app.add_exception_handler(RequestError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)


async def _to_login(request: Request, _: Exception) -> Response:
    """To the login and back; htmx follows the header, a browser the redirect."""
    page = urlsplit(request.headers.get("hx-current-url") or str(request.url))
    back = page._replace(scheme="", netloc="", fragment="").geturl()
    way = f"/login?{urlencode({'next': back if request.method == 'GET' else '/'})}"
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": way})
    return RedirectResponse(way, status_code=303)


async def _answer_error(request: Request, error: Exception) -> Response:
    """A page for a person who opened an address, JSON for everyone else."""
    assert isinstance(error, RequestError)
    if not _is_read_by_person(request):
        return await answer_request_error(request, error)
    what = {
        "not_ready": "模型还在载入，请过几秒刷新本页。",
        "forbidden": "您的账号没有这项权限，请找管理员。",
        "not_found": "没有这一页，或没有这个编号。",
        "too_busy": "现在忙不过来，请过几秒再试。",
    }.get(error.type, "这个请求不对，请返回上一页再试。")
    status = STATUS[error.type]
    return render(request, "error.html", None, status, what=what, error=error.detail)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """As `_answer_error`, where no route fits."""
    assert isinstance(error, HTTPException)
    if error.status_code != 404 or not _is_read_by_person(request):
        return await answer_http_error(request, error)
    wrong = RequestError("not_found", f"there is nothing at {request.url.path}")
    return await _answer_error(request, wrong)


def _is_read_by_person(request: Request) -> bool:
    accepts_page = "text/html" in request.headers.get("accept", "")
    return accepts_page and "hx-request" not in request.headers


def _moment(moment: datetime | None) -> str:
    """On the clock of the offices, to the minute."""
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M") if moment else "—"


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"
