"""The whole main job: opinions in; categories, decision, urgency and department out."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from model.artifact import ArtifactError, Calibration, load_artifact
from model.calendar import WorkCalendar, load_calendar
from model.classifier import Classifier, Floats
from model.evidence import find_evidence
from model.gazetteer import Gazetteer, load_gazetteer
from model.labels import Taxonomy, load_taxonomy
from model.prediction import Prediction, Span
from model.routing import Route, RoutingTable, load_routing, route
from model.text import Opinion
from model.urgent import UrgentDetector, UrgentMatch, load_urgent


@dataclass(frozen=True)
class Triaged:
    """What is suggested for one opinion.

    Attributes:
        prediction: categories, scores and decision.
        urgent: whether people are in danger now; it never alters a score.
        phrase: of present danger, if one stands in the text.
        route: who leads, who assists, until when.
        evidence: stretches that carried the primary label, None unless asked for.
        embedding: of the text, (H,), not normalised.
    """

    prediction: Prediction
    urgent: bool
    phrase: UrgentMatch | None
    route: Route
    evidence: tuple[Span, ...] | None
    embedding: Floats


class Triage:
    """A classifier with the tables that turn its labels into a route.

    Raises:
        ArtifactError: the classifier was trained on another label space.
    """

    def __init__(
        self,
        classifier: Classifier,
        taxonomy: Taxonomy,
        routing: RoutingTable,
        urgent: UrgentDetector,
        calendar: WorkCalendar,
        gazetteer: Gazetteer,
    ) -> None:
        unknown = sorted(set(classifier.artifact.codes) ^ set(taxonomy.codes))
        if unknown:
            raise ArtifactError(
                f"model {classifier.artifact.version} and taxonomy version {taxonomy.version} "
                f"differ in the categories {unknown}; use the taxonomy it was trained on or retrain"
            )
        self.classifier = classifier
        self.taxonomy = taxonomy
        self.routing = routing
        self.urgent = urgent
        self.calendar = calendar
        self.gazetteer = gazetteer

    def with_routing(self, routing: RoutingTable) -> Self:
        """The same classifier with another routing table."""
        other = copy(self)
        other.routing = routing
        return other

    def __call__(
        self,
        opinions: Sequence[Opinion],
        received_at: Sequence[datetime],
        top_k: int = 5,
        explain: bool = False,
    ) -> list[Triaged]:
        """Triage each opinion, in order.

        Args:
            opinions: at least one word each.
            received_at: when each came in, aware.
            top_k: how many candidates to name.
            explain: whether to look for evidence, which takes tens of times longer.
        """
        readings = [opinion.reading for opinion in opinions]
        if not readings:
            return []
        predictions, embeddings = self.classifier.predict_embed(readings, top_k)
        danger = self.classifier.urgency(embeddings)
        return [
            self._complete(*each, explain)
            for each in zip(readings, predictions, embeddings, danger, received_at, strict=True)
        ]

    def _complete(
        self,
        reading: str,
        prediction: Prediction,
        embedding: Floats,
        danger: float,
        received_at: datetime,
        explain: bool,
    ) -> Triaged:
        phrase = self.urgent.find(reading)
        urgent = is_urgent(self.classifier.artifact.calibration, danger, phrase is not None)
        codes = [label.code for label in prediction.labels]
        evidence = find_evidence(self.classifier, reading, codes[0]) if explain else None
        where = route(self.routing, codes, received_at, urgent, self.calendar)
        return Triaged(prediction, urgent, phrase if urgent else None, where, evidence, embedding)


def is_urgent(calibration: Calibration, danger: float, has_phrase: bool) -> bool:
    """Whether an opinion is urgent.

    Args:
        danger: probability that people are in danger now.
        has_phrase: a phrase of present danger stands in it: a lower probability then suffices.
    """
    if has_phrase:
        return danger >= calibration.urgent_threshold_phrase
    return danger >= calibration.urgent_threshold


def load_triage(artifact: Path, data: Path, threads: int = 0) -> Triage:
    """Load and verify an artifact with its tables: taxonomy, routing, urgent, holidays, places.

    Raises:
        ValueError: any of the files is faulty; the message names it and the remedy.
    """
    taxonomy = load_taxonomy(data / "taxonomy.yaml")
    routing = load_routing(data / "routing.yaml", taxonomy)
    return Triage(
        Classifier(load_artifact(artifact), threads),
        taxonomy,
        routing,
        load_urgent(data / "urgent.yaml"),
        load_calendar(data / "holidays.yaml"),
        load_gazetteer(data / "gazetteer.yaml", routing.departments),
    )
