"""POST /v1/classify: its form, its order, its limits, and the strangest texts."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.app import create_app
from serving.settings import Settings
from tests.fake_triage import FakeTriage

JSON = {"content-type": "application/json"}
RECEIVED = "2026-11-23T08:00:00+08:00"
GOOD = {"text": "三号楼电梯又困人了，物业电话没人接", "received_at": RECEIVED}
ELEVATOR = {
    "labels": [
        {"code": "elevator", "name": "电梯故障与维保", "domain": "facilities", "score": 0.97}
    ],
    "candidates": [
        {"code": "elevator", "name": "电梯故障与维保", "score": 0.97},
        {"code": "greening", "name": "绿化园林", "score": 0.2425},
    ],
    "decision": "auto",
    "urgent": True,
    "urgent_match": "困人",
    "truncated": False,
    "route": {
        "lead": {"code": "market", "name": "区市场监管局"},
        "assist": [{"code": "property", "name": "物业服务企业"}],
        "level": "compound",
        "due_at": "2026-11-23T10:00:00+08:00",
    },
}


def classify(client: TestClient, inputs: object, **options: object) -> list[dict[str, Any]]:
    body = json.dumps({"inputs": inputs, **options})
    response = client.post("/v1/classify", content=body, headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()["results"]


def test_answer_has_the_form_of_the_contract(client: TestClient) -> None:
    body = {"inputs": [GOOD, {"text": " "}], "top_k": 2, "explain": True}
    response = client.post("/v1/classify", json=body)
    evidence = [{"start": 3, "end": 5, "text": "电梯", "weight": 0.8}]
    assert response.json() == {
        "model_version": "fake-1",
        "taxonomy_version": 1,
        "routing_version": 1,
        "results": [
            {**ELEVATOR, "evidence": evidence},
            {
                "error": {
                    "type": "empty_text",
                    "field": "inputs[1].text",
                    "message": "the text is empty",
                }
            },
        ],
    }
    assert set(response.json()["results"][0]) == {*ELEVATOR, "evidence"}


@pytest.mark.parametrize("options", [{}, {"explain": False}, {"explain": None}])
def test_evidence_comes_only_when_asked_for(client: TestClient, options: Any) -> None:
    assert classify(client, GOOD, top_k=2, **options) == [ELEVATOR]


def test_text_object_and_batch_of_one_agree(client: TestClient) -> None:
    text = "门口的树倒了"
    one = classify(client, text)
    assert one == classify(client, {"text": text}) == classify(client, [text])
    assert one[0]["urgent_match"] is None
    assert classify(client, []) == []


def test_errors_stand_between_results_in_order(client: TestClient) -> None:
    texts = ["电梯坏了", None, "停车太难", {"text": 7}, "🙂🙂", {"title": "燃气"}, "门口的树"]
    results = classify(client, texts)
    assert [r["labels"][0]["code"] if "labels" in r else r["error"]["type"] for r in results] == [
        "elevator",
        "wrong_type",
        "parking",
        "wrong_type",
        "no_words",
        "missing_field",
        "greening",
    ]


def test_batch_longer_than_a_turn_keeps_its_order(client: TestClient) -> None:
    texts = [("电梯坏了", "停车难", "")[i % 3] for i in range(100)]
    results = classify(client, texts)
    found = [r["labels"][0]["code"] if "labels" in r else "" for r in results]
    assert found == [("elevator", "parking", "")[i % 3] for i in range(100)]
    assert results[98]["error"]["field"] == "inputs[98].text"


@pytest.mark.parametrize(
    ("item", "kind", "field"),
    [
        ("", "empty_text", "text"),
        ("\u3000\n\t", "empty_text", "text"),
        ("\x00\x00", "empty_text", "text"),
        ("\ud800", "empty_text", "text"),
        ("🙂👍！？", "no_words", "text"),
        ("长" * 100_000, "text_too_long", "text"),
        ({"text": "好", "title": "长" * 20_001}, "text_too_long", "title"),
        ({"text": None}, "wrong_type", "text"),
        ({"text": ["电梯"]}, "wrong_type", "text"),
        ({"text": "好", "place": 3}, "wrong_type", "place"),
        ({"text": "好", "received_at": 1763856000}, "wrong_type", "received_at"),
        ({"text": "好", "received_at": "昨天"}, "bad_datetime", "received_at"),
        ({"text": "好", "received_at": "2026-02-30T08:00:00"}, "bad_datetime", "received_at"),
        ({"text": "好", "received_at": "9999-12-31T23:59:59Z"}, "bad_datetime", "received_at"),
        ({"text": "好", "received_at": "0001-01-01T00:00:00Z"}, "bad_datetime", "received_at"),
        ({"text": "好", "标题": "x"}, "unknown_field", "标题"),
        ({"text": "好", "\ud800": "x"}, "unknown_field", "\\ud800"),
        ({}, "missing_field", "text"),
    ],
)
def test_bad_opinion_gets_its_own_error(
    client: TestClient, item: object, kind: str, field: str
) -> None:
    [alone] = classify(client, item)
    assert (alone["error"]["type"], alone["error"]["field"]) == (kind, f"inputs.{field}")
    good, bad = classify(client, [GOOD, item], top_k=2)
    assert good == ELEVATOR
    assert (bad["error"]["type"], bad["error"]["field"]) == (kind, f"inputs[1].{field}")


@pytest.mark.parametrize("item", [1, 1.5, True, None, ["电梯"]])
def test_item_of_a_batch_must_be_text_or_object(client: TestClient, item: object) -> None:
    [result] = classify(client, [item])
    assert result["error"]["type"] == "wrong_type"
    assert result["error"]["field"] == "inputs[0]"


@pytest.mark.parametrize(
    "text",
    [
        "电梯'; DROP TABLE opinions; --",
        "<script>alert('电梯')</script>",
        "电\u200b梯 电梯\x00坏了\ud83d",
        "=cmd|' /C calc'!A0 电梯",
        "ＡＢＣ１２３ 电梯",
        "the elevator 电梯 is broken",
        "{{7*7}} ${jndi:ldap://x} %s %n 电梯",
    ],
)
def test_any_words_are_plain_text(client: TestClient, text: str) -> None:
    [result] = classify(client, text)
    assert result["labels"][0]["code"] == "elevator"


def test_title_is_read_before_an_empty_text(client: TestClient) -> None:
    [result] = classify(client, {"title": "停车难", "text": "", "place": "幸福里小区"})
    assert result["labels"][0]["code"] == "parking"


def test_moment_without_zone_is_on_the_clock_of_the_offices(client: TestClient) -> None:
    naive, aware, utc = classify(
        client,
        [{**GOOD, "received_at": m} for m in (RECEIVED[:19], RECEIVED, "2026-11-23T00:00:00Z")],
    )
    assert naive["route"] == aware["route"] == utc["route"]


def test_candidates_are_at_most_the_categories(client: TestClient, triage: FakeTriage) -> None:
    [result] = classify(client, "电梯", top_k=50)
    assert len(result["candidates"]) == len(triage.taxonomy.codes)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["inputs", "text", "title", "received_at", "top_k", "x"]), inner
        )
    ),
    max_leaves=12,
)


def test_no_json_at_all_makes_the_server_fail(triage: FakeTriage) -> None:
    with TestClient(create_app(Settings(docs=False), triage)) as client:

        @settings(max_examples=150, deadline=None, derandomize=True, database=None)
        @given(st.fixed_dictionaries({}, optional={"inputs": JSON_VALUES}) | JSON_VALUES)
        def post(body: object) -> None:
            response = client.post("/v1/classify", content=json.dumps(body), headers=JSON)
            assert response.status_code in (200, 422)

        post()


def test_limits_are_inclusive(triage: FakeTriage) -> None:
    limits = Settings(max_text_length=4, max_batch=3, max_explain=2, max_body_bytes=100)
    with TestClient(create_app(limits, triage)) as client:
        assert "labels" in classify(client, "电梯坏了")[0]
        assert classify(client, "电梯坏了！")[0]["error"]["type"] == "text_too_long"
        assert len(classify(client, ["a"] * 3)) == 3
        assert len(classify(client, ["a"] * 2, explain=True)) == 2
        body = json.dumps({"inputs": "电梯"}).ljust(100)
        assert client.post("/v1/classify", content=body, headers=JSON).status_code == 200
        for refused in (["a"] * 4, ["a"] * 3):
            request = {"inputs": refused, "explain": True}
            assert client.post("/v1/classify", json=request).status_code == 413
        assert client.post("/v1/classify", content=body + " ", headers=JSON).status_code == 413
