"""Who asks: an account by its session cookie, a system by its key, or, before there are any,
whoever sits at the machine. The command line keeps the server on the loopback until then."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import Request
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from serving.errors import RequestError
from serving.store.engine import Store
from serving.store.tables import AccountRow, ApiKeyRow, SessionRow

Right = Literal["intake", "review", "lead", "admin"]
Role = Literal["reviewer", "lead", "admin"]
Scope = Literal["intake", "review", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
SCOPES: tuple[Scope, ...] = get_args(Scope)
ALL: frozenset[Right] = frozenset(get_args(Right))
_RIGHTS_OF_ROLE: dict[str, frozenset[Right]] = {
    "reviewer": frozenset({"intake", "review"}),
    "lead": frozenset({"intake", "review", "lead"}),
    "admin": ALL,
}
_RIGHTS_OF_SCOPE: dict[str, frozenset[Right]] = {
    "intake": frozenset({"intake"}),
    "review": frozenset({"intake", "review"}),
    "admin": ALL,
}
COOKIE = "linsheng_session"
SESSION_LENGTH = timedelta(hours=12)
MIN_PASSWORD = 10
_hasher = PasswordHasher()
_NO_ONE = _hasher.hash(secrets.token_hex())  # verified for unknown names: the answer takes as long


@dataclass(frozen=True)
class Actor:
    """Who acts, and what he may do; his name stands in every event."""

    name: str
    rights: frozenset[Right]


LOCAL = Actor("local", ALL)


def require(right: Right) -> Callable[[Request], Actor]:
    """A dependency of routes that need this right: 401 without a valid login or key, 403 without
    the right, 403 for a change that another site's page asks of a browser."""

    def check(request: Request) -> Actor:
        actor = identify(request)
        if actor is None:
            raise RequestError("unauthorized", "log in, or send authorization: Bearer KEY")
        if right not in actor.rights:
            raise RequestError("forbidden", f"{actor.name} lacks the right {right!r}")
        return actor

    return check


def identify(request: Request) -> Actor | None:
    """Who asks; None for nobody known.

    Raises:
        RequestError: a browser asks for a change on behalf of another site's page.
    """
    store: Store = request.app.state.store
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    with store.read() as session:
        if scheme.lower() == "bearer":
            return _by_key(session, key.strip())
        check_origin(request)
        if not has_credentials(session):
            return LOCAL
        return _by_cookie(session, request.cookies.get(COOKIE, ""))


def check_origin(request: Request) -> None:
    """Refuse changes that another site's page asks of a browser.

    Raises:
        RequestError: the request says that it comes from elsewhere.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site in ("same-origin", "none"):
        return
    if site is not None or (origin and urlsplit(origin).netloc != request.headers.get("host")):
        raise RequestError("forbidden", "the request comes from a page of another site")


def has_credentials(session: Session) -> bool:
    """Whether there is an account or key.

    Disabled ones count: who disables the last one closes the door, he does not open it to all.
    """
    known = or_(select(AccountRow).exists(), select(ApiKeyRow).exists())
    return session.scalar(select(1).where(known)) is not None


def log_in(session: Session, name: str, password: str) -> str | None:
    """The token of a new session; None where name and password do not belong together."""
    return start_session(session, name) if check_password(session, name, password) else None


def check_password(session: Session, name: str, password: str) -> bool:
    """Whether name and password belong together; it only reads, for it takes long."""
    account = session.get(AccountRow, name)
    try:
        _hasher.verify(account.password_hash if account else _NO_ONE, password)
    except (VerificationError, InvalidHashError):
        return False
    return account is not None and not account.disabled


def start_session(session: Session, name: str) -> str:
    """The token of a new session of someone whose password was checked."""
    now = datetime.now(UTC)
    session.execute(delete(SessionRow).where(SessionRow.expires_at < now))
    token = secrets.token_urlsafe(32)
    session.add(
        SessionRow(token_sha256=_sha256(token), account=name, expires_at=now + SESSION_LENGTH)
    )
    return token


def log_out(session: Session, token: str) -> None:
    """End the session of this token."""
    session.execute(delete(SessionRow).where(SessionRow.token_sha256 == _sha256(token)))


def add_account(session: Session, name: str, role: Role, password: str) -> None:
    """Make an account, or give an existing one this role and password and enable it.

    Raises:
        ValueError: the name or password is too short, the name is reserved.
    """
    if not name.strip() or len(name) > 80 or name == LOCAL.name:
        raise ValueError(f"name is {name!r}: give one of 1 to 80 characters, not {LOCAL.name!r}")
    if len(password) < MIN_PASSWORD:
        raise ValueError(f"password: give at least {MIN_PASSWORD} characters")
    session.merge(
        AccountRow(
            name=name,
            role=role,
            password_hash=_hasher.hash(password),
            created_at=datetime.now(UTC),
            disabled=False,
        )
    )
    session.execute(delete(SessionRow).where(SessionRow.account == name))


def add_key(session: Session, name: str, scope: Scope) -> str:
    """Make a key, or replace the one of this name; it is shown once and kept as a hash.

    Raises:
        ValueError: the name is empty, too long or reserved.
    """
    if not name.strip() or len(name) > 80 or name == LOCAL.name:
        raise ValueError(f"name is {name!r}: give one of 1 to 80 characters, not {LOCAL.name!r}")
    key = f"ls_{secrets.token_urlsafe(32)}"
    session.merge(
        ApiKeyRow(
            name=name,
            scope=scope,
            key_sha256=_sha256(key),
            created_at=datetime.now(UTC),
            disabled=False,
        )
    )
    return key


def disable(session: Session, row: AccountRow | ApiKeyRow) -> None:
    """Take an account or key out of use; its name stays in the histories."""
    row.disabled = True
    if isinstance(row, AccountRow):
        session.execute(delete(SessionRow).where(SessionRow.account == row.name))


def _by_key(session: Session, key: str) -> Actor | None:
    row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.key_sha256 == _sha256(key)))
    if row is None or row.disabled:
        return None
    return Actor(row.name, _RIGHTS_OF_SCOPE[row.scope])


def _by_cookie(session: Session, token: str) -> Actor | None:
    found = session.get(SessionRow, _sha256(token))
    if found is None or found.expires_at < datetime.now(UTC):
        return None
    account = session.get(AccountRow, found.account)
    if account is None or account.disabled:
        return None
    return Actor(account.name, _RIGHTS_OF_ROLE[account.role])


def _sha256(secret: str) -> str:
    """Enough for secrets of 256 random bits: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
