"""A triage that sends everything to a reviewer, so that tests have a queue to work through."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from model.text import Opinion
from model.triage import Triaged
from tests.fake_triage import FakeTriage

AUTO = "照例"  # a text with this word goes straight through


class ReviewTriage(FakeTriage):
    """FakeTriage whose decision is `review`, but `auto` for texts with AUTO."""

    def __call__(
        self,
        opinions: Sequence[Opinion],
        received_at: Sequence[datetime],
        top_k: int = 5,
        explain: bool = False,
    ) -> list[Triaged]:
        triaged = super().__call__(opinions, received_at, top_k, explain)
        return [
            replace(
                one,
                prediction=replace(
                    one.prediction, decision="auto" if AUTO in opinion.text else "review"
                ),
            )
            for opinion, one in zip(opinions, triaged, strict=True)
        ]
