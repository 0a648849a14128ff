"""From opinions to the results of the API and the command line."""

from collections.abc import Sequence

from model.labels import Taxonomy
from model.triage import Triage, Triaged
from serving.errors import ErrorAnswer, ErrorDetail
from serving.inputs import Item
from serving.schema import Candidate, DepartmentName, Evidence, Label, Result, RouteAnswer


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
        else describe_result(next(triaged), triage.taxonomy)
        for item in items
    ]


def describe_result(triaged: Triaged, taxonomy: Taxonomy) -> Result:
    """The result of one opinion; dump it with `exclude_unset` for evidence only on request."""
    prediction, route = triaged.prediction, triaged.route
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
        route=RouteAnswer(
            lead=DepartmentName(code=route.lead.code, name=route.lead.name),
            assist=[DepartmentName(code=d.code, name=d.name) for d in route.assist],
            level=route.level,
            due_at=route.due_at,
        ),
    )
    if triaged.evidence is not None:
        result.evidence = [
            Evidence(start=s.start, end=s.end, text=s.text, weight=round(s.weight, 4))
            for s in triaged.evidence
        ]
    return result
