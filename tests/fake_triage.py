"""A triage that knows a few words, so that tests run the whole application without a model."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from model.artifact import Artifact, Calibration
from model.calendar import load_calendar
from model.classifier import Floats
from model.gazetteer import load_gazetteer
from model.labels import load_taxonomy
from model.prediction import Prediction, Scored, Span
from model.routing import load_routing, route
from model.text import Opinion
from model.triage import Triage, Triaged
from model.urgent import load_urgent

DATA = Path(__file__).parents[1] / "data"
KEYWORDS = {"电梯": "elevator", "停车": "parking", "树": "greening", "燃气": "gas"}


class FakeTriage(Triage):
    """The real tables behind a classifier of four keywords; what has none is `other`."""

    def __init__(self) -> None:
        taxonomy = load_taxonomy(DATA / "taxonomy.yaml")
        artifact = Artifact(
            directory=Path("fake"),
            version="fake-1",
            created_at="2026-11-20T08:00:00+00:00",
            codes=taxonomy.codes,
            taxonomy_version=taxonomy.version,
            max_tokens=512,
            vocab_size=100,
            calibration=Calibration(1.2, 0.3, 0.9, 0.95, 0.5, 0.1, 0.05, 0.95),
        )
        classifier: Any = SimpleNamespace(artifact=artifact)
        routing = load_routing(DATA / "routing.yaml", taxonomy)
        super().__init__(
            classifier,
            taxonomy,
            routing,
            load_urgent(DATA / "urgent.yaml"),
            load_calendar(DATA / "holidays.yaml"),
            load_gazetteer(DATA / "gazetteer.yaml", routing.departments),
        )

    def __call__(
        self,
        opinions: Sequence[Opinion],
        received_at: Sequence[datetime],
        top_k: int = 5,
        explain: bool = False,
    ) -> list[Triaged]:
        return [
            self._triage(opinion.reading, moment, top_k, explain)
            for opinion, moment in zip(opinions, received_at, strict=True)
        ]

    def _triage(self, reading: str, moment: datetime, top_k: int, explain: bool) -> Triaged:
        found = sorted((reading.find(word), word) for word in KEYWORDS if word in reading)
        codes = [KEYWORDS[word] for _, word in found] or ["other"]
        ranked = [*codes, *(code for code in self.taxonomy.codes if code not in codes)]
        scored = [Scored(code, 0.97 / (i + 1) ** 2) for i, code in enumerate(ranked)]
        prediction = Prediction(
            labels=tuple(scored[: len(codes)]),
            candidates=tuple(scored[:top_k]),
            decision="auto" if found else "out_of_scope",
            truncated=len(reading) > 700,
        )
        phrase = self.urgent.find(reading)
        spans = tuple(Span(at, at + len(word), word, 0.8) for at, word in found[:1])
        where = route(self.routing, codes, moment, phrase is not None, self.calendar)
        evidence = spans if explain else None
        return Triaged(prediction, phrase is not None, phrase, where, evidence, _embed(reading))


def _embed(reading: str) -> Floats:
    """Counts of hashed pairs of characters, (64,): alike for texts that are alike."""
    embedding = np.zeros(64, np.float32)
    for first, second in pairwise(reading):
        embedding[(ord(first) * 31 + ord(second)) % 64] += 1
    return embedding
