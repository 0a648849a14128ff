"""The form of kept opinions: what intake gets back, what staff see, what they send."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serving.errors import ErrorAnswer
from serving.schema import DepartmentName, Result, RouteAnswer
from serving.store.lifecycle import Move, Origin, ReturnReason, State

MAX_NOTE = 2_000


class Taken(Result):
    """A stored opinion with its suggestion, the same however often it is sent."""

    id: int
    external_id: str | None
    received_at: datetime
    model_version: str
    taxonomy_version: int
    routing_version: int


class TakenBatch(BaseModel):
    """One opinion, or error, for each one sent, in order."""

    results: list[Taken | ErrorAnswer]


class CategoryName(BaseModel):
    """A category as answers name it."""

    code: str
    name: str
    domain: str


class OpinionAnswer(BaseModel):
    """An opinion as it stands now."""

    id: int
    version: int = Field(description="Counts changes; send it along so as not to undo another's")
    state: State
    allowed: list[Move] = Field(description="Moves that its state allows")
    source: str
    external_id: str | None
    title: str
    text: str
    channel: str | None
    place: str | None
    compound: str | None
    community: str | None
    street: str | None
    received_at: datetime
    created_at: datetime
    labels: list[CategoryName] = Field(description="What holds now, the primary category first")
    decision: str = Field(description="The model's: auto, review or out_of_scope")
    score: float = Field(description="The model's, of its primary category")
    urgent: bool
    urgent_match: str | None
    route: RouteAnswer
    overdue: bool
    audit: bool = Field(description="Decided by the model, waits to be read blind")
    closed_at: datetime | None
    answer: str | None
    returns: int
    case_id: int | None = Field(description="The opinion that it was merged into")
    parent_id: int | None = Field(description="The opinion that it is a part of")


class OpinionPage(BaseModel):
    """Some opinions and where the next page begins."""

    opinions: list[OpinionAnswer]
    next_cursor: str | None = Field(description="Send it as `cursor`; null after the last page")


class EventAnswer(BaseModel):
    """A change: who, when, why, under which versions."""

    at: datetime
    actor: str
    action: str
    state: str
    reason: str | None
    detail: dict[str, Any]
    model_version: str
    taxonomy_version: int
    routing_version: int


class ReviewAnswer(BaseModel):
    """A person's labels and how they came about."""

    at: datetime
    actor: str
    labels: list[str]
    origin: Origin
    suggested: list[str]
    department: str
    note: str | None
    undone: bool


class OpinionHistory(OpinionAnswer):
    """An opinion with everything that happened to it."""

    prediction: Result
    model_version: str
    events: list[EventAnswer]
    reviews: list[ReviewAnswer]
    parts: list[int]
    merged: list[int]


class Change(BaseModel):
    """What every move may say."""

    model_config = ConfigDict(extra="forbid")

    note: str | None = Field(None, max_length=MAX_NOTE)
    version: int | None = Field(None, description="Of the opinion as you saw it")


class ReviewInput(Change):
    """A person's decision."""

    labels: list[str] = Field(min_length=1, max_length=3, description="The primary one first")
    department: str | None = Field(None, description="Leads in place of the table's")
    blind: bool = Field(False, description="The suggestion was not shown")


class ReturnInput(Change):
    """A department's refusal (退单)."""

    reason: ReturnReason


class CloseInput(Change):
    """A settlement; the answer is what the resident is told."""

    answer: str = Field(min_length=1, max_length=20_000, pattern=r"\S")


class MergeInput(BaseModel):
    """Others that make the same demand."""

    model_config = ConfigDict(extra="forbid")

    members: list[int] = Field(min_length=1, max_length=100)


class PartInput(BaseModel):
    """One demand of several, in the resident's words."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=20_000)
    labels: list[str] = Field(min_length=1, max_length=3)


class SplitInput(BaseModel):
    """The demands of an opinion."""

    model_config = ConfigDict(extra="forbid")

    parts: list[PartInput] = Field(min_length=2, max_length=10)


class Offer(BaseModel):
    """A department that may take a returned opinion, with the category that leads there."""

    category: CategoryName
    department: DepartmentName


class ReturnAnswer(OpinionAnswer):
    """A returned opinion with the next-best departments."""

    offers: list[Offer]
