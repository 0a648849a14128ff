"""GET /v1/opinions: every filter, every order, pages without gaps, against a list in memory."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sqlalchemy import insert

from serving.app import create_app
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.search import Filters, Order, find
from serving.store.tables import OpinionRow
from tests.asking import keep, moved, refusal
from tests.fake_triage import FakeTriage

Row = dict[str, Any]
NOW = datetime.now(UTC).replace(microsecond=0)
ORDERS: dict[str, tuple[Callable[[Row], Any], bool]] = {
    "newest": (lambda row: (row["received_at"], row["id"]), True),
    "oldest": (lambda row: (row["received_at"], row["id"]), False),
    "uncertain": (lambda row: (not row["urgent"], row["score"], row["id"]), False),
    "due": (lambda row: (not row["urgent"], row["due_at"], row["id"]), False),
}


def opinion(i: int, **changes: Any) -> Row:
    """A row with many ties: moments, scores and due times repeat."""
    state = ("in_review", "routed", "returned", "closed")[i % 4]
    urgent = i % 5 == 0
    row: Row = {
        "id": i + 1, "version": 1, "source": ("hotline", "miniapp")[i % 2], "external_id": str(i),
        "title": "", "text": f"第{i}条", "channel": None, "place": f"某街{i % 3}号",
        "compound": f"compound-{i % 6}", "community": f"community-{i % 3}", "street": "street-0",
        "received_at": NOW - timedelta(days=i // 4 % 7), "created_at": NOW, "state": state,
        "waiting": state in ("in_review", "returned"), "audit": i % 8 == 1,
        "decision": ("auto", "review", "out_of_scope")[i % 3], "score": i % 5 / 4,
        "urgent": urgent, "urgent_rank": 0 if urgent else 1, "urgent_match": None,
        "labels": ["parking"], "category": ("parking", "gas", "elevator")[i % 3],
        "lead": ("market", "property")[i % 2], "assist": [], "level": "compound",
        "due_at": NOW + timedelta(days=i % 3 - 1, hours=1), "settled_at": None,
        "closed_at": NOW if state == "closed" else None, "answer": None, "returns": 0,
        "case_id": 1 if i in (5, 9) else None, "parent_id": 2 if i in (6, 7) else None,
        "embedding": None,
    }  # fmt: skip
    return row | changes


def put(client: TestClient, rows: list[Row]) -> None:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    with store.write() as session:
        session.connection().execute(insert(OpinionRow.__table__), rows)


def ask(client: TestClient, **query: Any) -> dict[str, Any]:
    response = client.get("/v1/opinions", params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def numbers(client: TestClient, **query: Any) -> list[int]:
    return [found["id"] for found in ask(client, limit=200, **query)["opinions"]]


ROWS = [opinion(i) for i in range(60)]
DAY = timedelta(days=1)
FILTERS: list[tuple[dict[str, Any], Callable[[Row], bool]]] = [
    ({}, lambda _: True),
    ({"state": "returned"}, lambda row: row["state"] == "returned"),
    ({"waiting": True}, lambda row: row["waiting"]),
    ({"waiting": False}, lambda row: not row["waiting"]),
    ({"audit": True}, lambda row: row["audit"]),
    ({"audit": False}, lambda row: not row["audit"]),
    ({"category": "gas"}, lambda row: row["category"] == "gas"),
    ({"department": "market"}, lambda row: row["lead"] == "market"),
    ({"decision": "out_of_scope"}, lambda row: row["decision"] == "out_of_scope"),
    ({"min_score": 0.5}, lambda row: row["score"] >= 0.5),
    ({"max_score": 0.25}, lambda row: row["score"] <= 0.25),
    ({"min_score": 0.5, "max_score": 0.5}, lambda row: row["score"] == 0.5),
    ({"urgent": True}, lambda row: row["urgent"]),
    ({"urgent": False}, lambda row: not row["urgent"]),
    ({"overdue": True}, lambda row: row["closed_at"] is None and row["due_at"] < NOW),
    ({"overdue": False}, lambda row: row["closed_at"] is not None or row["due_at"] >= NOW),
    ({"place": "compound-4"}, lambda row: row["compound"] == "compound-4"),
    ({"place": "community-2"}, lambda row: row["community"] == "community-2"),
    ({"place": "street-0"}, lambda _: True),
    ({"place": "街2"}, lambda row: "街2" in row["place"]),
    ({"place": "compound"}, lambda _: False),
    ({"received_from": (NOW - DAY).isoformat()}, lambda row: row["received_at"] >= NOW - DAY),
    ({"received_to": (NOW - DAY).isoformat()}, lambda row: row["received_at"] < NOW - DAY),
    ({"text": "第1"}, lambda row: "第1" in row["text"]),
    ({"source": "miniapp"}, lambda row: row["source"] == "miniapp"),
    ({"case_id": 1}, lambda row: row["case_id"] == 1),
    ({"parent_id": 2}, lambda row: row["parent_id"] == 2),
    (
        {"waiting": True, "category": "gas", "urgent": False, "text": "条"},
        lambda row: row["waiting"] and row["category"] == "gas" and not row["urgent"],
    ),
]


@pytest.fixture
def filled(kept: TestClient) -> TestClient:
    put(kept, ROWS)
    return kept


def test_every_filter_in_every_order(filled: TestClient) -> None:
    named = {name for query, _ in FILTERS for name in query}
    assert named == set(Filters.__dataclass_fields__)
    for query, fits in FILTERS:
        for order, (key, down) in ORDERS.items():
            expected = [row["id"] for row in sorted(ROWS, key=key, reverse=down) if fits(row)]
            assert numbers(filled, sort=order, **query) == expected, (query, order)


@pytest.mark.parametrize("limit", [1, 7, 59, 60])
def test_pages_join_without_gap_or_repeat_over_ties(filled: TestClient, limit: int) -> None:
    for order, (key, down) in ORDERS.items():
        found: list[int] = []
        query: dict[str, Any] = {"sort": order, "limit": limit}
        while True:
            page = ask(filled, **query)
            assert len(page["opinions"]) <= limit
            found += [opinion["id"] for opinion in page["opinions"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert found == [row["id"] for row in sorted(ROWS, key=key, reverse=down)]


def test_rows_that_come_in_meanwhile_neither_hide_nor_repeat_others(filled: TestClient) -> None:
    for turn, order in enumerate(ORDERS):
        before = set(numbers(filled, sort=order))
        found: list[int] = []
        query: dict[str, Any] = {"sort": order, "limit": 11}
        for page_number in range(100):
            page = ask(filled, **query)
            found += [opinion["id"] for opinion in page["opinions"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
            new = 1000 + turn * 100 + page_number * 4
            ahead, behind = NOW + timedelta(days=9), NOW - timedelta(days=900)
            put(
                filled,
                [
                    opinion(new, received_at=ahead, due_at=ahead, score=0.9),
                    opinion(new + 1, received_at=behind, due_at=behind, score=0.0),
                    opinion(new + 2),
                ],
            )
        assert len(found) == len(set(found))
        assert before <= set(found)


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_page_of_any_rows_follows_the_one_before(
    client: TestClient, data: st.DataObject
) -> None:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    few = st.integers(0, 2)
    drawn = data.draw(st.lists(st.tuples(few, few, few, st.booleans()), max_size=12))
    rows = [
        opinion(
            i,
            received_at=NOW + timedelta(microseconds=a),
            due_at=NOW + timedelta(microseconds=b),
            score=c / 3,
            urgent=urgent,
            urgent_rank=0 if urgent else 1,
            case_id=None,
            parent_id=None,
        )
        for i, (a, b, c, urgent) in enumerate(drawn)
    ]
    order: Order = data.draw(st.sampled_from(["newest", "oldest", "uncertain", "due"]))
    limit = data.draw(st.integers(1, 5))
    with store.write() as session:
        session.query(OpinionRow).delete()
        if rows:
            session.connection().execute(insert(OpinionRow.__table__), rows)
    key, down = ORDERS[order]
    found: list[int] = []
    cursor = None
    with store.read() as session:
        while True:
            page = find(session, Filters(), order, limit, NOW, cursor)
            found += [row.id for row in page.opinions]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert found == [row["id"] for row in sorted(rows, key=key, reverse=down)]


TRICKY = [
    "100%满意",
    "100元满意",
    "a_b",
    "axb",
    "反\\斜",
    "反斜",
    "it's",
    "WiFi坏了",
    "';--",
    "[a]",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("%", {"100%满意"}),
        ("100%满", {"100%满意"}),
        ("_", {"a_b"}),
        ("a_b", {"a_b"}),
        ("\\", {"反\\斜"}),
        ("'", {"it's", "';--"}),
        ("[a]", {"[a]"}),
        ("/", set()),
        ("wifi", {"WiFi坏了"}),
        ("WIFI坏", {"WiFi坏了"}),
        ("\0", set()),
    ],
)
@pytest.mark.parametrize("where", ["text", "title", "place"])
def test_what_is_searched_for_is_taken_literally(
    kept: TestClient, where: str, wanted: str, found: set[str]
) -> None:
    texts = {i: text for i, text in enumerate(TRICKY)}
    put(
        kept,
        [opinion(i, **{where: text}, parent_id=None, case_id=None) for i, text in texts.items()],
    )
    name = "place" if where == "place" else "text"
    assert {texts[id - 1] for id in numbers(kept, **{name: wanted})} == found


def cursor_of(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


MOMENT = NOW.isoformat()


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "é", "====", cursor_of(), cursor_of("newest"), cursor_of("oldest", MOMENT, 1),
        cursor_of("newest", MOMENT), cursor_of("newest", MOMENT, 1, 2), cursor_of("newest", 1, 1),
        cursor_of("newest", MOMENT, "1"), cursor_of("newest", MOMENT, None),
        cursor_of("newest", MOMENT, True), cursor_of("newest", MOMENT, 2**70),
        cursor_of("newest", "0001-01-01T00:00:00+14:00", 1), cursor_of("newest", "noon", 1),
        cursor_of("newest", MOMENT, [1]), base64.urlsafe_b64encode(b"[" * 20_000).decode(),
        base64.urlsafe_b64encode(b"5").decode(), base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b"\xff").decode(),
    ],
)  # fmt: skip
def test_a_bad_cursor_is_refused(kept: TestClient, cursor: str) -> None:
    response = kept.get("/v1/opinions", params={"cursor": cursor, "sort": "newest"})
    assert refusal(response) == (
        422,
        "bad_value",
        "cursor is of another order: leave it out to start anew",
    )
    assert response.json()["error"]["field"] == "cursor"


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0}, {"limit": 201}, {"limit": "many"}, {"sort": "best"}, {"state": "lost"},
        {"decision": "maybe"}, {"waiting": "perhaps"}, {"min_score": "high"},
        {"received_from": "yesterday"}, {"received_from": "2026-11-20T08:00:00"},
        {"received_from": "0001-01-01T00:00:00+14:00"}, {"received_to": "9999-12-31T23:59:59Z"},
        {"case_id": 0}, {"case_id": 2**63}, {"parent_id": -1}, {"colour": "red"},
    ],
)  # fmt: skip
def test_a_bad_query_names_its_parameter(client: TestClient, query: dict[str, Any]) -> None:
    response = client.get("/v1/opinions", params=query)
    assert response.status_code == 422
    assert response.json()["error"]["field"] == next(iter(query))


@pytest.mark.parametrize("name", ["category", "department", "place", "text", "source"])
def test_nul_in_a_filter_finds_nothing(kept: TestClient, name: str) -> None:
    put(kept, [opinion(0)])
    assert numbers(kept, **{name: "\0"}) == []


def test_an_empty_store_has_one_empty_page(kept: TestClient) -> None:
    assert ask(kept) == {"opinions": [], "next_cursor": None}


def test_a_list_shows_what_holds_now(kept: TestClient) -> None:
    id = keep(kept, "随便说说")
    moved(kept, id, "review", labels=["gas"])
    [found] = ask(kept, category="gas")["opinions"]
    assert (found["state"], found["labels"][0]["code"]) == ("routed", "gas")
    assert found["decision"] == "out_of_scope"
    assert ask(kept, category="other")["opinions"] == []


@pytest.fixture
def late(triage: FakeTriage, database_url: str) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(docs=False, database_url=database_url), triage)) as client:
        keep(client, received_at="2020-01-02T08:00:00+08:00", external_id="late")
        keep(client, external_id="soon")
        yield client


def test_overdue_ends_with_the_answer(late: TestClient) -> None:
    [found] = ask(late, overdue=True)["opinions"]
    assert (found["external_id"], found["overdue"]) == ("late", True)
    moved(late, found["id"], "close", answer="已修好")
    assert ask(late, overdue=True)["opinions"] == []
