"""What the queue shows: filters, order and mode, read from the address and written back to it."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from model.calendar import SHANGHAI
from serving.intake import storable
from serving.pages.forms import validate
from serving.store.search import Filters, Order, conditions
from serving.store.tables import OpinionRow

PAGE = 40
COUNTED = 999  # counts end here: the page stays fast however long the queue
_STATES = {
    "in_review": "in_review", "returned": "returned", "routed": "routed", "closed": "closed",
}  # fmt: skip

Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 12, 31))]


class View(BaseModel):
    """A view of the queue; its fields are those of the address."""

    mode: Literal["", "audit"] = ""
    state: Literal["waiting", "in_review", "returned", "routed", "closed", "all"] = "waiting"
    sort: Literal["uncertain", "due", "newest", "oldest"] = "uncertain"
    category: str | None = Field(None, max_length=40)
    department: str | None = Field(None, max_length=40)
    decision: Literal["auto", "review", "out_of_scope"] | None = None
    urgent: bool | None = None
    overdue: bool | None = None
    place: str | None = Field(None, max_length=80)
    since: Day | None = None
    until: Day | None = None
    text: str | None = Field(None, max_length=200)

    @property
    def waiting(self) -> bool:
        """Whether all that it shows is in front of a reviewer."""
        return not self.mode and self.state in ("waiting", "in_review", "returned")

    @property
    def order(self) -> Order:
        """Urgent first only where an index runs that way: in front of a reviewer."""
        if self.mode:
            return "oldest"
        if not self.waiting and self.sort in ("uncertain", "due"):
            return "newest"
        return self.sort

    def filters(self) -> Filters:
        """What to look for; days are those of the offices' clock."""
        category, department, place, text = (
            storable(value) if value else None
            for value in (self.category, self.department, self.place, self.text)
        )
        return Filters(
            state=None if self.mode else _STATES.get(self.state),
            waiting=True if self.waiting else None,
            audit=True if self.mode else None,
            category=None if self.mode else category,
            department=None if self.mode else department,
            decision=None if self.mode else self.decision,
            urgent=self.urgent,
            overdue=self.overdue,
            place=place,
            received_from=_midnight(self.since),
            received_to=_midnight(self.until and self.until + timedelta(days=1)),
            text=text,
        )

    def narrowed(self) -> int:
        """How many filters are set beside state, order and mode."""
        return sum(
            getattr(self, name) is not None
            for name in View.model_fields
            if name not in ("mode", "state", "sort")
        )

    def query(self, **changes: str | int | None) -> str:
        """The view as the query of an address, with some of it changed."""
        kept = self.model_dump(mode="json", exclude_defaults=True) | changes
        words = {True: "true", False: "false"}
        return urlencode(
            {k: words.get(v, v) if isinstance(v, bool) else v for k, v in kept.items() if v}
        )


def read_view(request: Request) -> View:
    """The view of the page that is asked for."""
    return validate(View, request.query_params.multi_items())


def current_view(request: Request) -> View:
    """The view of the page in which htmx asks; the plain queue without htmx."""
    query = urlsplit(request.headers.get("hx-current-url", "")).query
    return validate(View, parse_qsl(query))


def shown_among(session: Session, view: View, ids: Sequence[int], now: datetime) -> set[int]:
    """Those of the opinions that the view shows."""
    if not ids:
        return set()
    fits = conditions(view.filters(), now)
    return set(session.scalars(select(OpinionRow.id).where(OpinionRow.id.in_(ids), *fits)))


def count_all(session: Session, now: datetime) -> dict[str, str]:
    """How many wait, are urgent, overdue, or to be read blind; each counted up to COUNTED."""
    kinds = {
        "waiting": Filters(waiting=True),
        "urgent": Filters(waiting=True, urgent=True),
        "overdue": Filters(waiting=True, overdue=True),
        "audit": Filters(audit=True),
    }
    return {name: _count(session, filters, now) for name, filters in kinds.items()}


def _count(session: Session, filters: Filters, now: datetime) -> str:
    some = select(OpinionRow.id).where(*conditions(filters, now)).limit(COUNTED + 1).subquery()
    n = session.scalar(select(func.count()).select_from(some)) or 0
    return f"{COUNTED}+" if n > COUNTED else str(n)


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), SHANGHAI) if day else None
