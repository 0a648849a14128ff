"""Moves over the API: what each changes, what it refuses, what it leaves behind."""

from datetime import datetime
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from serving.access import add_account, add_key
from serving.app import create_app
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.tables import EventRow, OpinionRow, PredictionRow
from tests.asking import at_once, history, keep, move, moved, refusal
from tests.fake_triage import FakeTriage

OPEN = "随便说说"  # no keyword: waits for a person
BODIES: dict[str, dict[str, Any]] = {
    "review": {"labels": ["parking"]},
    "return": {"reason": "duty"},
    "escalate": {},
    "close": {"answer": "已修好"},
    "merge": {"members": []},
    "split": {
        "parts": [
            {"text": "电梯坏了", "labels": ["elevator"]},
            {"text": "停车难", "labels": ["parking"]},
        ]
    },
}
ALLOWED = {
    "in_review": {"review", "escalate", "merge", "split"},
    "returned": {"review", "escalate", "merge", "split"},
    "routed": {"return", "escalate", "close", "merge"},
    "closed": set(),
    "merged": set(),
}


def put(client: TestClient, state: str) -> int:
    """An opinion in this state."""
    if state == "in_review":
        return keep(client, OPEN)
    id = keep(client)
    if state == "returned":
        moved(client, id, "return", reason="duty")
    elif state == "closed":
        moved(client, id, "close", answer="已修好")
    elif state == "merged":
        moved(client, keep(client), "merge", members=[id])
    return id


def events(client: TestClient, id: int) -> list[str]:
    return [event["action"] for event in history(client, id)["events"]]


@pytest.mark.parametrize("verb", list(BODIES))
@pytest.mark.parametrize("state", list(ALLOWED))
def test_a_move_is_made_where_the_state_allows_it(
    client: TestClient, state: str, verb: str
) -> None:
    id = put(client, state)
    before = history(client, id)
    assert set(before["allowed"]) == ALLOWED[state]
    body = BODIES[verb] | ({"members": [keep(client)]} if verb == "merge" else {})
    response = move(client, id, verb, **body)
    after = history(client, id)
    if verb in ALLOWED[state]:
        assert response.status_code == 200, response.text
        assert after["version"] == before["version"] + 1
        assert len(after["events"]) == len(before["events"]) + 1
        assert after["events"][-1]["action"] == verb
        return
    status, kind, message = refusal(response)
    assert (status, kind) == (409, "illegal_move")
    assert f"{verb} is no move" in message
    assert ("is merged into" if state == "merged" else f"is {state}") in message
    for allowed in ALLOWED[state] or {"nothing"}:
        assert allowed in message
    assert after == before


@pytest.mark.parametrize("verb", [*BODIES, "undo", "leave"])
def test_there_is_no_move_of_what_is_not_there(kept: TestClient, verb: str) -> None:
    body = BODIES.get(verb, {}) | ({"members": [1]} if verb == "merge" else {})
    for id in (1, 0, -1, 2**63, -(2**70)):
        assert refusal(move(kept, id, verb, **body))[:2] == (404, "not_found")


@pytest.mark.parametrize("verb", ["review", "return", "escalate", "close", "undo", "leave"])
def test_an_old_version_is_refused(client: TestClient, verb: str) -> None:
    id = put(client, "in_review" if verb in ("review", "escalate") else "routed")
    response = move(client, id, verb, version=7, **BODIES.get(verb, {}))
    status, kind, message = refusal(response)
    assert (status, kind) == (409, "version_conflict")
    assert message == f"opinion {id} is at version 1, you saw 7: read it anew"
    assert events(client, id)[-1] in ("queued", "auto")


def test_the_version_seen_is_accepted(client: TestClient) -> None:
    id = put(client, "in_review")
    assert moved(client, id, "escalate", version=1)["version"] == 2
    assert moved(client, id, "review", version=2, labels=["parking"])["version"] == 3


@pytest.mark.parametrize("version", [1, None])
def test_of_two_reviews_at_the_same_moment_one_wins(kept: TestClient, version: int | None) -> None:
    for _ in range(5):
        id = put(kept, "in_review")
        labels = ["parking", "elevator", "greening", "gas"]
        tried = [partial(move, kept, id, "review", version=version, labels=[x]) for x in labels]
        responses = at_once(tried)
        statuses = [response.status_code for response in responses]
        assert sorted(statuses) == [200, 409, 409, 409]
        found = history(kept, id)
        assert [label["code"] for label in found["labels"]] == [labels[statuses.index(200)]]
        assert len(found["reviews"]) == 1
        assert found["version"] == 2


def test_a_suggestion_accepted(kept: TestClient) -> None:
    id = put(kept, "in_review")
    answer = moved(kept, id, "review", labels=["other"])
    assert (answer["state"], answer["version"]) == ("routed", 2)
    [review] = history(kept, id)["reviews"]
    assert (review["origin"], review["labels"], review["suggested"]) == (
        "accepted",
        ["other"],
        ["other"],
    )


def test_a_suggestion_corrected_is_routed_by_the_new_labels(kept: TestClient) -> None:
    id = put(kept, "in_review")
    before = history(kept, id)
    answer = moved(kept, id, "review", labels=["elevator", "parking"], note="问过物业")
    assert [label["code"] for label in answer["labels"]] == ["elevator", "parking"]
    assert answer["route"]["lead"]["code"] == "market"
    assert answer["route"] != before["route"]
    found = history(kept, id)
    [review] = found["reviews"]
    assert (review["origin"], review["note"]) == ("corrected", "问过物业")
    assert found["prediction"] == before["prediction"]
    assert found["decision"] == "out_of_scope"


def test_a_blind_review_says_so(kept: TestClient) -> None:
    id = put(kept, "in_review")
    moved(kept, id, "review", labels=["other"], blind=True)
    assert history(kept, id)["reviews"][0]["origin"] == "blind"


def test_automatic_decisions_drawn_for_audit_are_reviewed_blind(
    triage: FakeTriage, database_url: str
) -> None:
    settings = Settings(docs=False, database_url=database_url, audit_share=1)
    with TestClient(create_app(settings, triage)) as client:
        id, waits = keep(client), keep(client, OPEN)
        assert history(client, id)["audit"]
        assert not history(client, waits)["audit"]
        assert history(client, id)["allowed"][0] == "review"
        answer = moved(client, id, "review", labels=["elevator"])
        assert (answer["audit"], "review" in answer["allowed"]) == (False, False)
        assert history(client, id)["reviews"][0]["origin"] == "blind"
        assert moved(client, id, "undo")["audit"]


def test_a_department_may_lead_in_place_of_the_tables(kept: TestClient) -> None:
    id = put(kept, "in_review")
    answer = moved(kept, id, "review", labels=["elevator"], department="property")
    assert answer["route"]["lead"]["code"] == "property"
    assert "property" not in [d["code"] for d in answer["route"]["assist"]]
    review = history(kept, id)["reviews"][0]
    assert (review["department"], review["origin"]) == ("property", "corrected")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": ["nonsense"]}, "'nonsense' is no category: GET /v1/taxonomy names them"),
        ({"labels": ["parking", "parking"]}, "'parking' stands twice: name it once"),
        ({"labels": ["a\0"]}, "is no category"),
        ({"labels": []}, "at least 1 item"),
        ({"labels": ["parking", "gas", "greening", "elevator"]}, "at most 3 items"),
        ({"labels": ["parking"], "department": "nasa"}, "'nasa' is no department"),
        ({"labels": ["parking"], "note": "x" * 2001}, "at most 2000 characters"),
        ({"labels": ["parking"], "note": 5}, "valid string"),
        ({"labels": ["parking"], "colour": "red"}, "Extra inputs are not permitted"),
        ({"labels": ["parking"], "version": "one"}, "valid integer"),
        ({}, "Field required"),
    ],
)
def test_a_bad_review_changes_nothing(
    client: TestClient, given: dict[str, Any], message: str
) -> None:
    id = put(client, "in_review")
    status, _, said = refusal(move(client, id, "review", **given))
    assert status == 422
    assert message in said
    assert history(client, id)["version"] == 1


def test_undo_restores_what_was_and_keeps_the_review(kept: TestClient) -> None:
    id = put(kept, "in_review")
    before = history(kept, id)
    moved(kept, id, "review", labels=["elevator", "gas"], department="property")
    answer = moved(kept, id, "undo")
    changing = {"version", "events", "reviews"}
    after = history(kept, id)
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert answer["version"] == 3
    assert [review["undone"] for review in after["reviews"]] == [True]
    assert [event["action"] for event in after["events"]][-2:] == ["review", "undo"]


def test_undo_takes_back_only_the_last_change(kept: TestClient) -> None:
    id = put(kept, "in_review")
    assert refusal(move(kept, id, "undo"))[:2] == (409, "illegal_move")
    moved(kept, id, "review", labels=["elevator"])
    moved(kept, id, "undo")
    assert refusal(move(kept, id, "undo"))[:2] == (409, "illegal_move")
    moved(kept, id, "review", labels=["elevator"])
    moved(kept, id, "escalate")
    assert "its last change was no review" in refusal(move(kept, id, "undo"))[2]


def test_undo_of_the_second_review_leaves_the_first(kept: TestClient) -> None:
    id = put(kept, "in_review")
    moved(kept, id, "review", labels=["elevator"])
    moved(kept, id, "return", reason="duty")
    moved(kept, id, "review", labels=["gas"])
    answer = moved(kept, id, "undo")
    assert answer["state"] == "returned"
    assert [label["code"] for label in answer["labels"]] == ["elevator"]
    assert [review["undone"] for review in history(kept, id)["reviews"]] == [False, True]


@pytest.mark.parametrize("reason", ["jurisdiction", "ownership", "duty", "duplicate", "incomplete"])
def test_a_return_goes_one_level_up_and_offers_the_next_best(kept: TestClient, reason: str) -> None:
    id = keep(kept, "电梯坏了，停车也难")
    before = history(kept, id)
    answer = moved(kept, id, "return", reason=reason, note="不归我们管")
    levels = ["compound", "community", "street", "district"]
    assert (answer["state"], answer["returns"]) == ("returned", 1)
    up = min(levels.index(before["route"]["level"]) + 1, 3)
    assert answer["route"]["level"] == levels[up]
    offered = [offer["department"]["code"] for offer in answer["offers"]]
    assert offered
    assert before["route"]["lead"]["code"] not in offered
    assert len(set(offered)) == len(offered)
    assert answer["offers"][0]["category"]["code"] in [
        candidate["code"] for candidate in before["prediction"]["candidates"]
    ]
    event = history(kept, id)["events"][-1]
    assert (event["reason"], event["detail"]) == (
        "不归我们管",
        {"code": reason, "lead": before["route"]["lead"]["code"]},
    )


def test_a_returned_opinion_keeps_its_level_when_it_is_reviewed(kept: TestClient) -> None:
    id = keep(kept)
    for level in ("community", "street", "district", "district"):
        assert moved(kept, id, "return", reason="duty")["route"]["level"] == level
        answer = moved(kept, id, "review", labels=["elevator"])
        assert answer["route"]["level"] == level
    found = history(kept, id)
    assert found["returns"] == 4
    assert {review["origin"] for review in found["reviews"]} == {"returned"}


@pytest.mark.parametrize("given", [{}, {"reason": "bored"}, {"reason": "duty", "level": "x"}])
def test_a_return_needs_a_coded_reason(client: TestClient, given: dict[str, Any]) -> None:
    id = keep(client)
    assert move(client, id, "return", **given).status_code == 422
    assert history(client, id)["state"] == "routed"


def test_escalation_ends_at_the_top(kept: TestClient) -> None:
    id = put(kept, "in_review")
    first = history(kept, id)["route"]["level"]
    levels = ["compound", "community", "street", "district"]
    for level in levels[levels.index(first) + 1 :]:
        assert moved(kept, id, "escalate", note="居民多次反映")["route"]["level"] == level
    status, kind, message = refusal(move(kept, id, "escalate"))
    assert (status, kind) == (409, "illegal_move")
    assert message == f"opinion {id} is at district: there is no level above"
    detail = history(kept, id)["events"][-1]["detail"]
    assert detail == {"from": "street", "to": "district"}


def test_a_level_it_was_raised_to_outlives_a_correction(kept: TestClient) -> None:
    id = put(kept, "in_review")
    while history(kept, id)["route"]["level"] != "district":
        moved(kept, id, "escalate")
    assert moved(kept, id, "review", labels=["elevator"])["route"]["level"] == "district"


def test_a_level_only_suggested_does_not_outlive_a_correction(kept: TestClient) -> None:
    id = keep(kept, OPEN)
    at_first = history(kept, id)["route"]["level"]
    assert at_first != "compound"
    assert moved(kept, id, "review", labels=["elevator"])["route"]["level"] == "compound"


def test_closing_tells_what_the_resident_is_told(kept: TestClient) -> None:
    id = keep(kept)
    answer = moved(kept, id, "close", answer="电梯\0已修好")
    assert (answer["state"], answer["answer"], answer["allowed"]) == (
        "closed",
        "电梯\ufffd已修好",
        [],
    )
    assert datetime.fromisoformat(answer["closed_at"]).utcoffset()
    assert not answer["overdue"]


@pytest.mark.parametrize(
    "given", [{}, {"answer": ""}, {"answer": " \n"}, {"answer": "长" * 20_001}]
)
def test_closing_needs_an_answer(client: TestClient, given: dict[str, Any]) -> None:
    id = keep(client)
    assert move(client, id, "close", **given).status_code == 422
    assert history(client, id)["state"] == "routed"


def test_merged_opinions_follow_their_case(kept: TestClient) -> None:
    case = keep(kept, "电梯坏了", external_id="a")
    twin = keep(kept, "电梯又坏了", external_id="b")
    late = keep(kept, OPEN, external_id="c")
    answer = moved(kept, case, "merge", members=[late, twin, twin])
    assert answer["merged"] == sorted([twin, late])
    for member in (twin, late):
        found = history(kept, member)
        assert (found["case_id"], found["allowed"]) == (case, [])
        assert (found["state"], found["route"]["lead"]) == ("routed", answer["route"]["lead"])
        assert found["events"][-1]["detail"] == {"case": case}
    moved(kept, case, "return", reason="duty")
    moved(kept, case, "review", labels=["gas"])
    moved(kept, case, "close", answer="已修好")
    for member, name in ((twin, "b"), (late, "c")):
        found = history(kept, member)
        assert (found["state"], found["answer"], found["external_id"]) == ("closed", "已修好", name)
        assert [label["code"] for label in found["labels"]] == ["gas"]
        assert [e["action"] for e in found["events"]][-4:] == ["merge", "return", "review", "close"]


def test_a_member_that_leaves_goes_before_a_person(kept: TestClient) -> None:
    case, member = keep(kept), keep(kept)
    moved(kept, case, "merge", members=[member])
    answer = moved(kept, member, "leave")
    assert (answer["case_id"], answer["state"]) == (None, "in_review")
    assert history(kept, member)["events"][-1]["detail"] == {"case": case}
    assert history(kept, case)["merged"] == []
    moved(kept, case, "close", answer="已修好")
    assert history(kept, member)["state"] == "in_review"
    assert "is in no case" in refusal(move(kept, member, "leave"))[2]


def test_a_closed_member_that_leaves_stays_closed(kept: TestClient) -> None:
    case, member = keep(kept), keep(kept)
    moved(kept, case, "merge", members=[member])
    moved(kept, case, "close", answer="已修好")
    assert moved(kept, member, "leave")["state"] == "closed"


def test_a_review_of_a_case_is_undone_on_the_case_alone(kept: TestClient) -> None:
    case, member = put(kept, "in_review"), keep(kept)
    moved(kept, case, "merge", members=[member])
    moved(kept, case, "review", labels=["gas"])
    assert refusal(move(kept, member, "undo"))[:2] == (409, "illegal_move")
    moved(kept, case, "undo")
    found = history(kept, member)
    assert (found["state"], found["allowed"]) == ("in_review", [])
    assert [label["code"] for label in found["labels"]] == ["other"]


def test_cases_are_not_merged_into_themselves_nor_into_cases_of_cases(kept: TestClient) -> None:
    case, member, other, closed = keep(kept), keep(kept), keep(kept), put(kept, "closed")
    moved(kept, case, "merge", members=[member])
    for head, members, message in (
        (case, [case], "cannot be merged into itself"),
        (other, [case], "heads a case: merge the others into it instead"),
        (member, [other], f"is merged into {case}"),
        (other, [member], f"is merged into {case}"),
        (case, [closed], "is closed"),
        (closed, [case], "is closed"),
    ):
        before = [history(kept, id) for id in (case, member, other, closed)]
        status, kind, said = refusal(move(kept, head, "merge", members=members))
        assert (status, kind) == (409, "illegal_move")
        assert message in said
        assert [history(kept, id) for id in (case, member, other, closed)] == before
    assert move(kept, case, "merge", members=[99]).status_code == 404
    assert move(kept, case, "merge", members=[]).status_code == 422
    assert move(kept, case, "merge", members=list(range(101))).status_code == 422


def test_a_merge_is_made_whole_or_not_at_all(kept: TestClient) -> None:
    case, good, closed = keep(kept), keep(kept), put(kept, "closed")
    assert move(kept, case, "merge", members=[good, closed]).status_code == 409
    assert history(kept, good)["case_id"] is None
    assert events(kept, good) == ["received", "suggested", "auto"]


def test_two_cases_at_the_same_moment_cannot_swallow_each_other(kept: TestClient) -> None:
    for _ in range(5):
        one, two = keep(kept), keep(kept)
        responses = at_once(
            [
                partial(move, kept, one, "merge", members=[two]),
                partial(move, kept, two, "merge", members=[one]),
            ]
        )
        assert sorted(response.status_code for response in responses) == [200, 409]
        assert sum(history(kept, id)["case_id"] is not None for id in (one, two)) == 1


def test_a_case_and_a_leaving_member_do_not_overwrite_each_other(kept: TestClient) -> None:
    for _ in range(5):
        case, member = keep(kept), keep(kept)
        moved(kept, case, "merge", members=[member])
        responses = at_once(
            [
                partial(move, kept, case, "return", reason="duty"),
                partial(move, kept, member, "leave"),
            ]
        )
        assert [response.status_code for response in responses] == [200, 200]
        found = history(kept, member)
        assert (found["case_id"], found["state"]) == (None, "in_review")
        assert found["version"] == 1 + len(found["events"]) - 3


def test_an_opinion_is_split_into_parts_that_are_routed_by_themselves(kept: TestClient) -> None:
    parent = keep(kept, OPEN, place="某小区", received_at="2026-11-20T08:00:00+08:00")
    answer = moved(kept, parent, "split", **BODIES["split"])
    assert (answer["state"], len(answer["parts"])) == ("routed", 2)
    assert [label["code"] for label in answer["labels"]] == ["elevator", "parking"]
    for part, (text, label) in zip(
        answer["parts"], [("电梯坏了", "elevator"), ("停车难", "parking")], strict=True
    ):
        found = history(kept, part)
        assert (found["parent_id"], found["text"], found["state"]) == (parent, text, "routed")
        assert [label["code"] for label in found["labels"]] == [label]
        assert (found["place"], found["received_at"]) == ("某小区", "2026-11-20T08:00:00+08:00")
        assert found["external_id"] is None
        assert found["reviews"][0]["labels"] == [label]
    first, last = answer["parts"]
    moved(kept, first, "close", answer="电梯已修好")
    assert history(kept, parent)["state"] == "routed"
    moved(kept, last, "close", answer="车位已划")
    found = history(kept, parent)
    assert (found["state"], found["answer"]) == ("closed", "车位已划")
    assert found["events"][-1]["detail"] == {"last_part": last}


def test_the_last_part_closes_its_parent_even_inside_a_case(kept: TestClient) -> None:
    first, last = moved(kept, keep(kept, OPEN), "split", **BODIES["split"])["parts"]
    parent = history(kept, first)["parent_id"]
    moved(kept, first, "close", answer="已修好")
    case = keep(kept, "停车难")
    moved(kept, case, "merge", members=[last])
    moved(kept, case, "close", answer="车位已划")
    assert history(kept, parent)["state"] == "closed"


def test_parts_of_parts_close_all_the_way_up(kept: TestClient) -> None:
    top = keep(kept, OPEN)
    first, middle = moved(kept, top, "split", **BODIES["split"])["parts"]
    moved(kept, middle, "return", reason="incomplete")
    third, fourth = moved(kept, middle, "split", **BODIES["split"])["parts"]
    for part in (first, third, fourth):
        assert history(kept, top)["state"] == "routed"
        moved(kept, part, "close", answer="已办")
    assert (history(kept, middle)["state"], history(kept, top)["state"]) == ("closed", "closed")


def test_the_last_two_parts_closed_at_the_same_moment_close_the_parent(kept: TestClient) -> None:
    for _ in range(3):
        parent = keep(kept, OPEN)
        parts = moved(kept, parent, "split", **BODIES["split"])["parts"]
        responses = at_once([partial(move, kept, part, "close", answer="已办") for part in parts])
        assert [response.status_code for response in responses] == [200, 200]
        found = history(kept, parent)
        assert (found["state"], events(kept, parent).count("close")) == ("closed", 1)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([], "parts"),
        ([{"text": "电梯", "labels": ["elevator"]}], "parts"),
        ([{"text": "电梯", "labels": ["elevator"]}] * 11, "parts"),
        ([{"text": "电梯", "labels": ["elevator"]}, {"text": "", "labels": ["gas"]}],
         "parts.1.text"),
        ([{"text": "电梯", "labels": ["elevator"]}, {"text": "！？", "labels": ["gas"]}],
         "parts[1].text"),
        ([{"text": "电梯", "labels": ["elevator"]}, {"text": "x", "labels": ["x"]}],
         "parts[1].labels"),
        ([{"text": "电梯", "labels": ["elevator"]}, {"text": "x", "labels": []}],
         "parts.1.labels"),
    ],
)  # fmt: skip
def test_bad_parts_split_nothing(client: TestClient, parts: list[Any], field: str) -> None:
    id = put(client, "in_review")
    response = move(client, id, "split", parts=parts)
    assert (response.status_code, response.json()["error"]["field"]) == (422, field)
    assert history(client, id)["parts"] == []


def test_the_history_says_who_when_why_and_under_which_versions(kept: TestClient) -> None:
    id = put(kept, "in_review")
    store: Store = kept.app.state.store  # type: ignore[attr-defined]
    with store.write() as session:
        key = add_key(session, "审核系统", "review")
    as_key = {"authorization": f"Bearer {key}"}
    path = f"/v1/opinions/{id}"
    body = {"labels": ["gas"], "note": "现场核实"}
    assert kept.post(f"{path}/review", json=body, headers=as_key).status_code == 200
    event = kept.get(path, headers=as_key).json()["events"][-1]
    assert (event["actor"], event["reason"], event["state"]) == ("审核系统", "现场核实", "routed")
    versions = (event["model_version"], event["taxonomy_version"], event["routing_version"])
    assert versions == ("fake-1", 1, 1)
    assert datetime.fromisoformat(event["at"]).utcoffset() is not None
    assert event["detail"]["origin"] == "corrected"


def test_moves_need_the_right_to_review(kept: TestClient) -> None:
    id = put(kept, "in_review")
    store: Store = kept.app.state.store  # type: ignore[attr-defined]
    with store.write() as session:
        key = add_key(session, "intake", "intake")
        add_account(session, "li", "reviewer", "a long password")
    asks = {"json": BODIES["review"], "headers": {"authorization": f"Bearer {key}"}}
    path = f"/v1/opinions/{id}/review"
    assert refusal(kept.post(path, **asks))[:2] == (403, "forbidden")
    assert refusal(kept.post(path, json=BODIES["review"]))[:2] == (401, "unauthorized")
    assert refusal(kept.get("/v1/opinions"))[:2] == (401, "unauthorized")


def test_nothing_is_overwritten(kept: TestClient) -> None:
    id = put(kept, "in_review")
    store: Store = kept.app.state.store  # type: ignore[attr-defined]

    def told() -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
        with store.read() as session:
            [prediction] = session.scalars(
                select(PredictionRow).where(PredictionRow.opinion_id == id)
            )
            told = session.execute(
                select(EventRow.id, EventRow.at, EventRow.action, EventRow.detail)
                .where(EventRow.opinion_id == id)
                .order_by(EventRow.id)
            )
            return prediction.result, [tuple(row) for row in told]

    result, before = told()
    for verb in ("review", "undo", "escalate", "review", "return", "review", "close"):
        move(kept, id, verb, **BODIES.get(verb, {}))
        now, after = told()
        assert now == result
        assert after[: len(before)] == before
        before = after
    with store.read() as session:
        assert session.scalar(select(func.count(OpinionRow.id))) == 1
    assert history(kept, id)["state"] == "closed"
