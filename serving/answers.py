"""From opinions to the results of the API and the command line."""

from collections.abc import Sequence

from model.gazetteer import NOWHERE, Place
from model.routing import Department, Route
from model.triage import Triage, Triaged
from serving.errors import ErrorAnswer, ErrorDetail
from serving.inputs import Item
from serving.schema import (
    Candidate,
    DepartmentName,
    Evidence,
    Label,
    PlaceAnswer,
    Result,
    RouteAnswer,
)


def answer_items(
    triage: Triage, items: Sequence[Item | ErrorDetail], top_k: int, explain: bool
) -> list[Result | ErrorAnswer]:
    """A result for each readable item and its error for each other one, in order."""
    readable = [item for item in items if isinstance(item, Item)]
    opinions = [item.opinion for item in readable]
    triaged = iter(triage(opinions, [item.received_at for item in readable], top_k, explain))
    return [
        ErrorAnswer(error=item)
        if isinstance(item, ErrorDetail)
        else describe_result(next(triaged), triage, locate(triage, item))
        for item in items
    ]


def locate(triage: Triage, item: Item, within: Place = NOWHERE) -> Place:
    """Where the opinion comes from, by what was sent with it and by its text."""
    return triage.gazetteer.find(item.place, item.opinion.reading, within)


def describe_result(triaged: Triaged, triage: Triage, place: Place) -> Result:
    """The result of one opinion; dump it with `exclude_unset`: some keys come only at need."""
    prediction, taxonomy = triaged.prediction, triage.taxonomy
    result = Result(
        labels=[
            Label(
                code=label.code,
                name=taxonomy.category(label.code).name,
                domain=taxonomy.category(label.code).domain,
                score=round(label.score, 4),
            )
            for label in prediction.labels
        ],
        candidates=[
            Candidate(
                code=candidate.code,
                name=taxonomy.category(candidate.code).name,
                score=round(candidate.score, 4),
            )
            for candidate in prediction.candidates
        ],
        decision=prediction.decision,
        urgent=triaged.urgent,
        urgent_match=triaged.phrase.phrase if triaged.phrase else None,
        truncated=prediction.truncated,
        route=_describe_route(triaged.route, triage, place),
    )
    if triaged.evidence is not None:
        result.evidence = [
            Evidence(start=s.start, end=s.end, text=s.text, weight=round(s.weight, 4))
            for s in triaged.evidence
        ]
    return result


def describe_place(place: Place) -> PlaceAnswer | None:
    """The place as answers name it; None where nothing of it is known."""
    if place == NOWHERE:
        return None
    return PlaceAnswer(compound=place.compound, community=place.community, street=place.street)


def _describe_route(route: Route, triage: Triage, place: Place) -> RouteAnswer:
    answer = RouteAnswer(
        lead=_describe_department(route.lead, triage, place),
        assist=[_describe_department(department, triage, place) for department in route.assist],
        level=route.level,
        due_at=route.due_at,
    )
    if place != NOWHERE:
        answer.place = describe_place(place)
    return answer


def _describe_department(department: Department, triage: Triage, place: Place) -> DepartmentName:
    name = triage.gazetteer.local_name(department.code, place) or department.name
    return DepartmentName(code=department.code, name=name)
