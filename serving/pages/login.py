"""/login and /logout: a password for a cookie."""

import threading
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel

from serving.access import (
    COOKIE,
    SESSION_LENGTH,
    check_origin,
    check_password,
    has_credentials,
    log_out,
    start_session,
)
from serving.pages.attempts import Attempts
from serving.pages.forms import form
from serving.pages.render import render
from serving.store.engine import Store

_HOME = "/queue"
# An argon2 hash takes 64 MB: so many are computed at once, others wait, then are sent away.
_HASHING = threading.BoundedSemaphore(4)
_HASH_WAIT_SECONDS = 5.0
router = APIRouter(include_in_schema=False)


class LoginForm(BaseModel):
    """What the login page sends."""

    name: str = ""
    password: str = ""
    next: str = _HOME


@router.get("/login")
def show_login(request: Request, next: Annotated[str, Query(max_length=2_000)] = _HOME) -> Response:
    """The form; without accounts there is nothing to log in to."""
    store: Store = request.app.state.store
    with store.read() as session:
        if not has_credentials(session):
            return RedirectResponse(_local(next), status_code=303)
    return render(request, "login.html", None, next=_local(next), name="", error=None)


def check_site(request: Request) -> None:
    """Refuse a login that another site's page asks for."""
    check_origin(request)


@router.post("/login")
def do_login(
    request: Request,
    _: Annotated[None, Depends(check_site)],
    given: Annotated[LoginForm, Depends(form(LoginForm))],
) -> Response:
    """A cookie and the page asked for, or the form again with what was wrong."""
    name, attempts = given.name.strip()[:80], _attempts(request)
    wait = attempts.wait(name)
    token = None
    if wait:
        error = f"这个用户名连续输错多次，请 {round(wait) or 1} 秒后再试。"
    elif not _HASHING.acquire(timeout=_HASH_WAIT_SECONDS):
        error = "正在登录的人太多，请过几秒再试。"
    else:
        try:
            token = _try(request, name, given.password)
        finally:
            _HASHING.release()
        error = "用户名或密码不对，或账号已停用。请核对后再试；忘了密码请找管理员重设。"
        if token is None:
            attempts.fail(name)
    if token is None:
        status = 429 if wait else 401
        page = {"next": _local(given.next), "name": name, "error": error}
        return render(request, "login.html", None, status, **page)
    attempts.succeed(name)
    response = RedirectResponse(_local(given.next), status_code=303)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(SESSION_LENGTH.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


@router.post("/logout")
def do_logout(request: Request, _: Annotated[None, Depends(check_site)]) -> Response:
    """Ends the session at the server, not only in the browser."""
    store: Store = request.app.state.store
    with store.write() as session:
        log_out(session, request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(COOKIE, path="/")
    return response


def _try(request: Request, name: str, password: str) -> str | None:
    """Hashing takes long: nothing is locked meanwhile."""
    store: Store = request.app.state.store
    with store.read() as session:
        if not check_password(session, name, password):
            return None
    with store.write() as session:
        return start_session(session, name)


def _attempts(request: Request) -> Attempts:
    attempts: Attempts = request.app.state.login_attempts
    return attempts


def _local(way: str) -> str:
    """The way within this site; another site's address becomes the start page."""
    inside = way.startswith("/") and not way.startswith(("//", "/\\")) and way.isprintable()
    return way if inside else _HOME
