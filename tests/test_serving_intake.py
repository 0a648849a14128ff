"""POST /v1/opinions: kept once however often it is sent, one by one and in lists."""

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import func, select

from serving.app import create_app
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.tables import EventRow, OpinionRow, PredictionRow, SubmissionRow
from tests.asking import at_once, history, refusal
from tests.fake_triage import FakeTriage

JSON = {"content-type": "application/json"}


def send(client: TestClient, body: object, **headers: str) -> Response:
    return client.post("/v1/opinions", content=json.dumps(body), headers={**JSON, **headers})


def stored(client: TestClient) -> int:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    with store.read() as session:
        counts = [
            session.scalar(select(func.count(column)))
            for column in (OpinionRow.id, PredictionRow.id, EventRow.opinion_id.distinct())
        ]
    assert len(set(counts)) == 1, counts
    return counts[0] or 0


def faults(response: Response) -> list[tuple[str, str] | None]:
    """Of each result: kind and field of its error."""
    return [
        (result["error"]["type"], result["error"]["field"]) if "error" in result else None
        for result in response.json()["results"]
    ]


def test_an_opinion_is_kept_with_prediction_decision_and_route(kept: TestClient) -> None:
    response = send(
        kept,
        {
            "title": "电梯故障",
            "text": "三号楼电梯又困人了",
            "channel": "hotline",
            "place": "无名小区3号楼",
            "received_at": "2026-11-20T08:00:00+08:00",
            "external_id": "12345-1",
        },
    )
    assert response.status_code == 201
    answer = response.json()
    assert answer["labels"][0]["code"] == "elevator"
    assert (answer["decision"], answer["urgent"], answer["urgent_match"]) == ("auto", True, "困人")
    assert answer["route"]["lead"]["code"] == "market"
    assert answer["route"]["due_at"] == "2026-11-20T10:00:00+08:00"
    assert (answer["external_id"], answer["model_version"]) == ("12345-1", "fake-1")
    found = history(kept, answer["id"])
    assert (found["title"], found["text"]) == ("电梯故障", "三号楼电梯又困人了")
    assert (found["channel"], found["place"]) == ("hotline", "无名小区3号楼")
    assert (found["source"], found["state"], found["version"]) == ("local", "routed", 1)
    assert found["received_at"] == "2026-11-20T08:00:00+08:00"
    same = ("labels", "candidates", "decision", "urgent", "urgent_match", "truncated")
    assert {key: found["prediction"][key] for key in same} == {key: answer[key] for key in same}
    assert [event["action"] for event in found["events"]] == ["received", "suggested", "auto"]


def test_what_the_model_leaves_open_waits_for_a_person(kept: TestClient) -> None:
    id = send(kept, {"text": "随便说说"}).json()["id"]
    found = history(kept, id)
    assert (found["decision"], found["state"]) == ("out_of_scope", "in_review")
    assert found["allowed"] == ["review", "escalate", "merge", "split"]
    assert [event["action"] for event in found["events"]] == ["received", "suggested", "queued"]
    assert [event["state"] for event in found["events"]] == ["received", "suggested", "in_review"]


def test_an_external_id_sent_again_gets_the_first_answer(kept: TestClient) -> None:
    first = send(kept, {"text": "电梯坏了", "external_id": "a"})
    again = send(kept, {"text": "完全不同的话", "external_id": "a"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert stored(kept) == 1


def test_an_external_id_sent_again_after_a_review_gets_the_first_answer(kept: TestClient) -> None:
    first = send(kept, {"text": "随便说说", "external_id": "a"}).json()
    kept.post(f"/v1/opinions/{first['id']}/review", json={"labels": ["parking"]})
    assert send(kept, {"text": "随便说说", "external_id": "a"}).json() == first


def test_an_idempotency_key_sent_again_gets_the_first_answer(kept: TestClient) -> None:
    first = send(kept, {"text": "电梯坏了"}, **{"idempotency-key": "k"})
    again = send(kept, {"text": "电梯坏了"}, **{"idempotency-key": "k"})
    other = send(kept, {"text": "电梯坏了"}, **{"idempotency-key": "l"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert again.json() == first.json()
    assert other.json()["id"] != first.json()["id"]
    assert stored(kept) == 2


def test_an_idempotency_key_with_another_body_is_refused(kept: TestClient) -> None:
    send(kept, {"text": "电梯坏了"}, **{"idempotency-key": "k"})
    refused = send(kept, {"text": "停车难"}, **{"idempotency-key": "k"})
    assert refusal(refused)[:2] == (422, "key_reused")
    assert stored(kept) == 1


def test_an_idempotency_key_serves_a_list_too(kept: TestClient) -> None:
    body = ["电梯坏了", {"text": ""}, {"text": "停车难", "external_id": "x"}]
    first = send(kept, body, **{"idempotency-key": "k"})
    again = send(kept, body, **{"idempotency-key": "k"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert stored(kept) == 2


def test_a_refused_request_leaves_its_idempotency_key_free(kept: TestClient) -> None:
    assert send(kept, {"text": ""}, **{"idempotency-key": "k"}).status_code == 422
    assert send(kept, {"text": "电梯坏了"}, **{"idempotency-key": "k"}).status_code == 201


@pytest.mark.parametrize("key", ["k" * 201, "长" * 201])
def test_an_idempotency_key_has_a_bound(client: TestClient, key: str) -> None:
    response = client.post(
        "/v1/opinions", json={"text": "树"}, headers={"idempotency-key": key.encode()}
    )
    assert refusal(response)[:2] == (422, "bad_value")
    assert "at most 200" in refusal(response)[2]


def test_a_list_gets_a_result_for_each_in_order(kept: TestClient) -> None:
    response = send(
        kept,
        [
            "电梯坏了",
            {"text": "停车难", "external_id": "b"},
            {"text": "！？"},
            17,
            {"text": "树", "external_id": "a"},
            {"text": "树", "colour": "red"},
            {"title": "燃气"},
            {"title": "燃气", "text": ""},
            None,
        ],
    )
    assert response.status_code == 201
    assert faults(response) == [
        None,
        None,
        ("no_words", "[2].text"),
        ("wrong_type", "[3]"),
        None,
        ("unknown_field", "[5].colour"),
        ("missing_field", "[6].text"),
        None,
        ("wrong_type", "[8]"),
    ]
    results = response.json()["results"]
    kinds = [result["labels"][0]["code"] for result in results if "labels" in result]
    assert kinds == ["elevator", "parking", "greening", "gas"]
    assert len({result["id"] for result in results if "id" in result}) == 4
    assert stored(kept) == 4


def test_an_external_id_twice_in_one_list_is_kept_once(kept: TestClient) -> None:
    twins = {"text": "电梯坏了", "external_id": "a"}
    results = send(kept, [twins, "树", twins, {**twins, "text": "停车"}]).json()["results"]
    assert results[0] == results[2] == results[3]
    assert results[1]["id"] != results[0]["id"]
    assert stored(kept) == 2


def test_a_list_with_some_known_stores_the_others(kept: TestClient) -> None:
    known = send(kept, {"text": "电梯坏了", "external_id": "a"}).json()
    mixed = send(
        kept,
        [{"text": "停车", "external_id": "b"}, {"text": "电梯坏了", "external_id": "a"}],
    )
    assert mixed.status_code == 201
    assert mixed.json()["results"][1] == known
    repeated = send(kept, [{"text": "停车", "external_id": "b"}])
    assert repeated.status_code == 200
    assert repeated.json()["results"] == mixed.json()["results"][:1]
    assert stored(kept) == 2


def test_an_empty_list_stores_nothing(client: TestClient) -> None:
    response = send(client, [])
    assert (response.status_code, response.json()) == (200, {"results": []})


def test_a_list_of_bad_items_stores_nothing(client: TestClient) -> None:
    response = send(client, [{"text": ""}, {}])
    assert response.status_code == 200
    assert faults(response) == [("empty_text", "[0].text"), ("missing_field", "[1].text")]
    assert stored(client) == 0


@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        ({"text": ""}, "bad_value", "text"),
        ({"text": " \n"}, "bad_value", "text"),
        ({"text": "🙂"}, "bad_value", "text"),
        ({}, "bad_value", "text"),
        ({"text": None}, "bad_value", "text"),
        ({"text": ["树"]}, "bad_value", "text"),
        ({"text": "树", "title": 1}, "bad_value", "title"),
        ({"text": "树", "channel": "fax"}, "bad_value", "channel"),
        ({"text": "树", "external_id": "x" * 201}, "bad_value", "external_id"),
        ({"text": "树", "external_id": 5}, "bad_value", "external_id"),
        ({"text": "树", "external_id": "a\0"}, "bad_value", "external_id"),
        ({"text": "树", "external_id": "a\ud800"}, "bad_value", "external_id"),
        ({"text": "树", "received_at": "yesterday"}, "bad_value", "received_at"),
        ({"text": "树", "received_at": "1999-12-31T23:59:59"}, "bad_value", "received_at"),
        ({"text": "树", "received_at": "2101-01-01T00:00:00"}, "bad_value", "received_at"),
        ({"text": "树", "received_at": 1_700_000_000}, "bad_value", "received_at"),
        ({"text": "树", "unknown": 1}, "bad_value", "unknown"),
        ("树", "wrong_type", None),
        (5, "wrong_type", None),
        (None, "wrong_type", None),
    ],
)
def test_a_bad_opinion_is_refused_with_its_field(
    kept: TestClient, body: object, kind: str, field: str | None
) -> None:
    response = send(kept, body)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["field"]) == (422, kind, field)
    assert stored(kept) == 0


def test_what_databases_cannot_keep_is_replaced_in_texts(kept: TestClient) -> None:
    response = send(kept, {"title": "a\0", "text": "电梯\ud800坏\0了", "place": "\udfff小区"})
    assert response.status_code == 201
    found = history(kept, response.json()["id"])
    assert found["text"] == "电梯\ufffd坏\ufffd了"
    assert (found["title"], found["place"]) == ("a\ufffd", "\ufffd小区")


@pytest.mark.parametrize(
    ("moment", "kept_as"),
    [
        ("2026-11-20T08:00:00", "2026-11-20T08:00:00+08:00"),
        ("2026-11-20T00:00:00Z", "2026-11-20T08:00:00+08:00"),
        ("2026-11-20T08:00:00.987+08:00", "2026-11-20T08:00:00+08:00"),
        ("2026-11-20", "2026-11-20T00:00:00+08:00"),
    ],
)
def test_moments_are_kept_on_the_clock_of_the_offices(
    kept: TestClient, moment: str, kept_as: str
) -> None:
    answer = send(kept, {"text": "树", "received_at": moment}).json()
    assert answer["received_at"] == kept_as
    assert history(kept, answer["id"])["received_at"] == kept_as


def test_without_a_moment_it_came_in_now(kept: TestClient) -> None:
    answer = send(kept, {"text": "树"}).json()
    received = datetime.fromisoformat(answer["received_at"])
    assert received.utcoffset() == timedelta(hours=8)
    assert abs(datetime.now(received.tzinfo) - received) < timedelta(minutes=1)


@pytest.fixture
def bounded(triage: FakeTriage, settings: Settings) -> Iterator[TestClient]:
    limits = {"max_text_length": 10, "max_batch": 3, "max_body_bytes": 1000}
    with TestClient(create_app(settings.model_copy(update=limits), triage)) as client:
        yield client


def test_limits_are_kept(bounded: TestClient) -> None:
    assert send(bounded, {"text": "树" * 10}).status_code == 201
    assert refusal(send(bounded, {"text": "树" * 11}))[:2] == (422, "bad_value")
    assert refusal(send(bounded, ["树"] * 4))[:2] == (413, "batch_too_large")
    assert refusal(send(bounded, {"text": "x" * 1000}))[:2] == (413, "body_too_large")
    response = send(bounded, ["树", "树" * 11])
    assert faults(response) == [None, ("text_too_long", "[1].text")]
    assert stored(bounded) == 2


@pytest.mark.parametrize(
    ("content", "media_type", "refused"),
    [
        (b'{"text": ', "application/json", (400, "invalid_json")),
        ('{"text": "树"}'.encode("gb18030"), "application/json", (400, "invalid_json")),
        (b"[" * 100_000, "application/json", (400, "invalid_json")),
        ('{"text": "树"}'.encode(), "text/plain", (415, "unsupported_media_type")),
    ],
)
def test_a_body_that_is_no_json_is_refused(
    client: TestClient, content: bytes, media_type: str, refused: tuple[int, str]
) -> None:
    response = client.post("/v1/opinions", content=content, headers={"content-type": media_type})
    assert refusal(response)[:2] == refused


def test_nothing_is_taken_before_the_model_is_ready(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, triage: FakeTriage
) -> None:
    gate = threading.Event()

    def load(*_: object) -> FakeTriage:
        assert gate.wait(10)
        return triage

    monkeypatch.setattr("serving.app.load_triage", load)
    with TestClient(create_app(settings)) as client:
        response = send(client, {"text": "电梯坏了"})
        assert refusal(response)[:2] == (503, "not_ready")
        assert response.headers["retry-after"] == "1"
        gate.set()
        assert stored(client) == 0


@pytest.mark.parametrize("by", ["external_id", "idempotency-key", "both", "list"])
def test_twenty_submissions_at_the_same_moment_are_kept_once(kept: TestClient, by: str) -> None:
    body: Any = {"text": "电梯坏了"}
    if by != "idempotency-key":
        body["external_id"] = "a"
    if by == "list":
        body = [body, {"text": "树", "external_id": "b"}]
    headers = {"idempotency-key": "k"} if by in ("idempotency-key", "both") else {}
    responses = at_once([lambda: send(kept, body, **headers)] * 20)
    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert all(response.json() == responses[0].json() for response in responses)
    assert stored(kept) == (2 if by == "list" else 1)


def test_lists_in_opposite_order_do_not_block_each_other(kept: TestClient) -> None:
    items = [{"text": "电梯坏了", "external_id": f"x-{i}"} for i in range(20)]
    orders = [items, items[::-1]] * 5
    responses = at_once([partial(send, kept, order) for order in orders])
    assert {response.status_code for response in responses} <= {200, 201}
    numbers = [
        {result["external_id"]: result["id"] for result in response.json()["results"]}
        for response in responses
    ]
    assert all(found == numbers[0] for found in numbers)
    assert stored(kept) == 20


def test_keys_are_kept_with_what_they_answered(kept: TestClient) -> None:
    send(kept, {"text": "电梯坏了"}, **{"idempotency-key": "k"})
    store: Store = kept.app.state.store  # type: ignore[attr-defined]
    with store.read() as session:
        [row] = session.scalars(select(SubmissionRow)).all()
    assert (row.source, row.key, len(row.body_sha256)) == ("local", "k", 64)
    assert row.answer["results"][0]["labels"][0]["code"] == "elevator"
