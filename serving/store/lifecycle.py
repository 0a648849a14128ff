"""Which moves an opinion allows in which state; the state machine of DESIGN as a table."""

from typing import Literal, get_args

State = Literal["in_review", "routed", "returned", "closed"]
Move = Literal["review", "return", "escalate", "close", "merge", "split"]
Origin = Literal["accepted", "corrected", "blind", "returned", "imported"]
ReturnReason = Literal["jurisdiction", "ownership", "duty", "duplicate", "incomplete"]

STATES: tuple[State, ...] = get_args(State)
RETURN_REASONS: tuple[ReturnReason, ...] = get_args(ReturnReason)
# `received` and `suggested` pass within one transaction: they are events, nothing rests there.
ALLOWED: dict[State, tuple[Move, ...]] = {
    "in_review": ("review", "escalate", "merge", "split"),
    "returned": ("review", "escalate", "merge", "split"),
    "routed": ("return", "escalate", "close", "merge"),
    "closed": (),
}


class RefusedError(ValueError):
    """A move that cannot be made now: the state forbids it, or another change came first."""

    def __init__(self, kind: Literal["illegal_move", "version_conflict"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


def allowed_moves(state: State, audit: bool, in_case: bool) -> tuple[Move, ...]:
    """The moves that an opinion allows.

    Args:
        audit: it was decided by the model and waits to be read blind: that is a review too.
        in_case: it was merged into another one, which moves for both.
    """
    if in_case:
        return ()
    return ("review", *ALLOWED[state]) if audit and state == "routed" else ALLOWED[state]
