"""The form of what is asked and answered; /docs is made from it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.prediction import Decision
from serving.errors import ErrorAnswer

MAX_TOP_K = 50
MAX_EXTERNAL_ID = 200


class OpinionInput(BaseModel):
    """What a resident wrote, with what is known of it. Limits: GET /info."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(description="The body; may be empty where there is a title")
    title: str | None = Field(None, description="The headline; it is read before the text")
    place: str | None = Field(
        None,
        description="Where it is: a compound, community or street known to the gazetteer names the "
        "departments there; without one the text is searched for such a name",
    )
    received_at: datetime | None = Field(
        None, description="When it came in, now if absent; +08:00 where no time zone is given"
    )


class Submission(OpinionInput):
    """An opinion to keep, decide and route."""

    channel: str | None = Field(None, description="miniapp, group, hotline, letter or board")
    external_id: str | None = Field(
        None, description="Its number at the sender; sent again, it is not stored again"
    )


class ClassifyRequest(BaseModel):
    """Opinions to classify. A text stands for {"text": …}; a list is always a batch."""

    model_config = ConfigDict(extra="forbid")

    inputs: str | OpinionInput | list[str | OpinionInput]
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = Field(
        5, description="How many candidates to name"
    )
    explain: bool | None = Field(
        None, description="Whether to give the stretches of text that carried the primary label"
    )


class Label(BaseModel):
    """A category that the opinion carries, with its calibrated probability."""

    code: str
    name: str
    domain: str
    score: float


class Candidate(BaseModel):
    """A category that the opinion may carry."""

    code: str
    name: str
    score: float


class DepartmentName(BaseModel):
    """A department as answers name it."""

    code: str
    name: str


class PlaceAnswer(BaseModel):
    """A place as far as it is certain; where one is null, all smaller ones are."""

    compound: str | None
    community: str | None
    street: str | None


class RouteAnswer(BaseModel):
    """Who answers, who helps, at which level it starts and when an answer is due."""

    lead: DepartmentName
    assist: list[DepartmentName]
    level: str
    due_at: datetime
    place: PlaceAnswer | None = Field(default=None, description="Only where it is known")


class Evidence(BaseModel):
    """A stretch of the title and text in one line, in characters."""

    start: int
    end: int
    text: str
    weight: float


class Result(BaseModel):
    """What one opinion is about, how sure that is, and where it goes."""

    labels: list[Label] = Field(description="The primary category first")
    candidates: list[Candidate] = Field(description="The best-scored categories, best first")
    decision: Decision
    urgent: bool
    urgent_match: str | None = Field(
        description="The words that tell of present danger; null where only the model sees it"
    )
    truncated: bool = Field(description="Whether a part was left unread for its length")
    route: RouteAnswer
    evidence: list[Evidence] = Field(default=[], description="Only where `explain` is true")


class ClassifyAnswer(BaseModel):
    """One result, or error, for each opinion, in order."""

    model_version: str
    taxonomy_version: int
    routing_version: int
    results: list[Result | ErrorAnswer]


class Health(BaseModel):
    """The state of the server."""

    status: Literal["live", "ready"]


class Limits(BaseModel):
    """The bounds of a request; LINSHENG_* sets them."""

    max_text_length: int
    max_batch: int
    max_explain: int
    max_body_bytes: int
    max_queue: int


class ModelFacts(BaseModel):
    """How the model's scores are read; the model card says more."""

    created_at: str
    categories: int
    max_tokens: int = Field(description="Longer texts are read at their head and tail")
    temperature: float
    label_threshold: float
    auto_threshold: float = Field(description="Above 1 for never")
    out_of_scope_threshold: float
    target_error: float
    confidence: float


class Info(BaseModel):
    """What is served, within which bounds."""

    version: str
    model_version: str
    taxonomy_version: int
    routing_version: int
    limits: Limits
    model: ModelFacts


class CategoryAnswer(BaseModel):
    """What an opinion can be about; `excludes` names the neighbours it is confused with."""

    code: str
    name: str
    means: str
    excludes: str


class DomainAnswer(BaseModel):
    """A group of categories."""

    code: str
    name: str
    categories: list[CategoryAnswer]


class TaxonomyAnswer(BaseModel):
    """All categories by domain."""

    taxonomy_version: int
    domains: list[DomainAnswer]


class DepartmentAnswer(DepartmentName):
    """An office or company that answers opinions, and the level it works at."""

    level: str


class Departments(BaseModel):
    """Levels from the smallest to the largest, and who works at them."""

    routing_version: int
    levels: list[str]
    departments: list[DepartmentAnswer]
