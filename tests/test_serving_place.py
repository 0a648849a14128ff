"""Places in answers and in the store: resolved once, kept, inherited, and naming departments."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.store.engine import Store
from serving.store.similar import repeats
from serving.store.tables import OpinionRow
from tests.asking import history, keep, moved

RECEIVED = "2026-11-23T08:00:00+08:00"
CUIPING = {"compound": "翠屏里小区", "community": "翠屏社区", "street": "东湖街道"}
QIAONAN = {"compound": None, "community": None, "street": "桥南街道"}


def route(client: TestClient, **opinion: str) -> dict[str, Any]:
    """The route that one opinion is given."""
    body = {"inputs": {"received_at": RECEIVED, **opinion}}
    answer: dict[str, Any] = client.post("/v1/classify", json=body).json()["results"][0]["route"]
    return answer


def store_of(client: TestClient) -> Store:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    return store


def row_of(client: TestClient, id: int) -> OpinionRow:
    with store_of(client).read() as session:
        return session.get_one(OpinionRow, id)


def columns(row: OpinionRow) -> dict[str, str | None]:
    return {name: getattr(row, name) for name in CUIPING}


def test_a_place_in_the_request_names_the_departments_there(client: TestClient) -> None:
    assert route(client, text="停车太难", place="翠屏里3栋") == {
        "lead": {"code": "property", "name": "翠屏里物业服务中心"},
        "assist": [
            {"code": "traffic_police", "name": "交警大队"},
            {"code": "first_secretary", "name": "小区第一书记"},
        ],
        "level": "compound",
        "due_at": "2026-11-30T18:00:00+08:00",
        "place": CUIPING,
    }


def test_a_place_in_title_or_text_is_found(client: TestClient) -> None:
    assert route(client, text="翠屏里停车太难")["place"] == CUIPING
    assert route(client, title="翠屏里", text="停车太难")["place"] == CUIPING
    found = route(client, text="工人新村路面坏了")
    assert found["place"] == QIAONAN
    assert found["lead"] == {"code": "committee", "name": "社区居委会"}  # of which one is unknown


@pytest.mark.parametrize("place", ["", "火星路", "滨江花园"])
def test_without_a_certain_place_the_answer_is_as_before(client: TestClient, place: str) -> None:
    found = route(client, text="停车太难", place=place)
    assert set(found) == {"lead", "assist", "level", "due_at"}
    assert found["lead"] == {"code": "property", "name": "物业服务企业"}


def test_each_opinion_of_a_batch_has_its_own_place(client: TestClient) -> None:
    texts = ["翠屏里停车", "停车", "工人新村停车"]
    results = client.post("/v1/classify", json={"inputs": texts}).json()["results"]
    assert [r["route"].get("place") for r in results] == [CUIPING, None, QIAONAN]


def test_a_kept_opinion_has_its_place_in_columns_answers_and_filters(kept: TestClient) -> None:
    response = kept.post(
        "/v1/opinions", json={"text": "停车", "place": "翠屏里", "external_id": "1"}
    )
    assert response.json()["route"]["place"] == CUIPING
    again = kept.post("/v1/opinions", json={"text": "停车", "place": "翠屏里", "external_id": "1"})
    assert again.json() == response.json()
    id = response.json()["id"]
    assert columns(row_of(kept, id)) == CUIPING
    seen = history(kept, id)
    assert {name: seen[name] for name in CUIPING} == CUIPING
    assert seen["place"] == "翠屏里"
    assert seen["route"]["lead"]["name"] == "翠屏里物业服务中心"
    assert seen["route"]["place"] == CUIPING
    elsewhere = keep(kept, "停车", place="火星路")
    assert columns(row_of(kept, elsewhere)) == dict.fromkeys(CUIPING)
    assert history(kept, elsewhere)["route"]["place"] is None
    for place in CUIPING.values():
        found = kept.get("/v1/opinions", params={"place": place}).json()["opinions"]
        assert [opinion["id"] for opinion in found] == [id]


def test_a_corrected_category_leads_to_the_departments_of_the_place(kept: TestClient) -> None:
    id = keep(kept, "燃气和电梯都坏了", place="东湖街道")
    answer = moved(kept, id, "return", reason="duty")
    assert answer["allowed"]
    answer = moved(kept, id, "review", labels=["street_order"])
    assert answer["route"]["lead"] == {"code": "street_order", "name": "东湖街道综合执法队"}


def test_offers_after_a_return_are_departments_of_the_place(kept: TestClient) -> None:
    id = keep(kept, "电梯坏了，停车也难", place="翠屏里")
    offers = moved(kept, id, "return", reason="duty")["offers"]
    assert {"code": "property", "name": "翠屏里物业服务中心"} in [o["department"] for o in offers]


def test_parts_inherit_the_place_and_may_make_it_more_exact(kept: TestClient) -> None:
    # The text of the whole names two compounds of one street, so only that street is certain.
    whole = keep(kept, "翠屏里电梯坏了，学府里停车难，树也倒了，桥南街道都知道", place="东湖街道")
    moved(kept, whole, "return", reason="duty")
    parts = [
        {"text": "翠屏里电梯坏了", "labels": ["elevator"]},
        {"text": "树也倒了", "labels": ["greening"]},
        {"text": "桥南街道停车难", "labels": ["parking"]},
    ]
    found = moved(kept, whole, "split", parts=parts)["parts"]
    street = {"compound": None, "community": None, "street": "东湖街道"}
    assert [columns(row_of(kept, id)) for id in found] == [CUIPING, street, street]
    assert history(kept, found[0])["prediction"]["route"]["place"] == CUIPING


def test_opinions_of_two_places_are_no_repeats(kept: TestClient) -> None:
    text = "电梯坏了三天没人修"
    first, same, _ = (keep(kept, text, place=place) for place in ("翠屏里", "翠屏里", "枫桥里"))
    with store_of(kept).read() as session:
        found = repeats(session, session.get_one(OpinionRow, first))
    assert [similar.opinion.id for similar in found] == [same]
