"""What the classifier says of one opinion."""

from dataclasses import dataclass
from typing import Literal

Decision = Literal["auto", "review", "out_of_scope"]


@dataclass(frozen=True)
class Scored:
    """A category code and its calibrated probability of being the primary category, in [0, 1]."""

    code: str
    score: float


@dataclass(frozen=True)
class Span:
    """A stretch of `Opinion.reading`, in code points, and its weight for the primary label.

    The weight is the drop of the label's log-probability when the stretch is hidden, in nats.
    """

    start: int
    end: int
    text: str
    weight: float


@dataclass(frozen=True)
class Prediction:
    """The categories of one opinion and what may be done with it.

    Attributes:
        labels: the primary category, then any further category above its threshold.
        candidates: the best-scored categories, best first.
        decision: `auto` may be routed unseen, `review` needs a person, `out_of_scope` is no
            resident matter.
        truncated: whether the middle of the text was left unread for its length.
    """

    labels: tuple[Scored, ...]
    candidates: tuple[Scored, ...]
    decision: Decision
    truncated: bool
