"""The dashboard's figures are the database's, on both databases; tables, JSON and CSV agree."""

import csv
import io
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from model.calendar import SHANGHAI
from serving.access import add_account
from serving.store import figures
from serving.store.engine import Store
from serving.store.figures import Audit, Window, last_days
from serving.store.tables import OpinionRow, ReviewRow

NOW = datetime.now(UTC)
TEXTS = ["电梯坏了", "停车难", "路边的树倒了", "燃气漏了", "你好呀"]


def store_of(client: TestClient) -> Store:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    return store


def table(client: TestClient, key: str, days: int = 30) -> list[list[Any]]:
    found = client.get("/dashboard/figures.json", params={"days": days}).json()["tables"]
    [rows] = [table["rows"] for table in found if table["key"] == key]
    return rows


def tile(client: TestClient, name: str, days: int = 30) -> Any:
    tiles = client.get("/dashboard/figures.json", params={"days": days}).json()["tiles"]
    [value] = [tile["value"] for tile in tiles if tile["name"] == name]
    return value


def post(client: TestClient, path: str, **body: Any) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def fill(client: TestClient, n: int = 40) -> list[int]:
    """Opinions of the last 40 days; every third is settled, every seventh returned."""
    sent = [
        {
            "text": TEXTS[i % len(TEXTS)],
            "place": ["", "滨河公园", "=幸福大道"][i % 3],
            "received_at": (NOW - timedelta(days=i % 40, hours=1)).isoformat(),
        }
        for i in range(n)
    ]
    ids = [taken["id"] for taken in client.post("/v1/opinions", json=sent).json()["results"]]
    for i, id in enumerate(ids):
        if i % len(TEXTS) == 4:
            labels = ["other"] if i % 2 else ["parking"]
            post(client, f"/v1/opinions/{id}/review", labels=labels)
        if i % 7 == 0:
            post(client, f"/v1/opinions/{id}/return", reason="duty")
        elif i % 3 == 0:
            post(client, f"/v1/opinions/{id}/close", answer="已办")
    return ids


def rows_in(client: TestClient, window: Window) -> list[OpinionRow]:
    with store_of(client).read() as session:
        rows = session.scalars(select(OpinionRow)).all()
    return [row for row in rows if window.since <= row.received_at < window.until]


def test_volumes_equal_the_rows_of_the_window(kept: TestClient) -> None:
    fill(kept)
    window = last_days(30, NOW)
    rows = rows_in(kept, window)
    assert 0 < len(rows) < 40
    per_day = Counter(row.received_at.astimezone(SHANGHAI).date().isoformat() for row in rows)
    days = table(kept, "by_day")
    assert [day for day, *_ in days] == window.days
    assert {day: total for day, *_, total in days if total} == per_day
    assert [sum(day[i] for day in days) for i in (1, 2, 3)] == [
        sum(row.decision == decision for row in rows)
        for decision in ("auto", "review", "out_of_scope")
    ]
    names = {c["code"]: c["name"] for d in taxonomy(kept) for c in d["categories"]}
    categories = Counter(names[row.category] for row in rows)
    assert {name: n for name, n, *_ in table(kept, "by_category")} == categories
    assert sum(n for _, n, *_ in table(kept, "by_department")) == len(rows)
    places = Counter(row.street or row.place or "未写明" for row in rows)
    assert {name: n for name, n, _ in table(kept, "by_place")} == places
    assert tile(kept, "收件") == len(rows)
    assert tile(kept, "自动派单占比") == sum(row.decision == "auto" for row in rows) / len(rows)
    assert tile(kept, "办结率") == sum(row.closed_at is not None for row in rows) / len(rows)


def taxonomy(client: TestClient) -> Any:
    return client.get("/v1/taxonomy").json()["domains"]


def test_day_begins_at_midnight_in_the_office(kept: TestClient) -> None:
    today = NOW.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    for moment in (today - timedelta(seconds=1), today):
        post(kept, "/v1/opinions", text="电梯坏了", received_at=moment.isoformat())
    assert [total for *_, total in table(kept, "by_day", days=2)] == [1, 1]
    assert tile(kept, "收件", days=1) == 1


def test_places_beyond_the_largest_are_summed_up(kept: TestClient) -> None:
    sent = [{"text": "电梯坏了", "place": f"某处{i}号"} for i in range(figures.TOP_PLACES + 5)]
    sent += [{"text": "电梯坏了", "place": "大处"}] * 2
    kept.post("/v1/opinions", json=sent)
    rows = table(kept, "by_place")
    assert len(rows) == figures.TOP_PLACES + 1
    assert rows[0][:2] == ["大处", 2]
    assert rows[-1][:2] == ["其余", 6]
    assert sum(n for _, n, _ in rows) == len(sent)


def test_correction_counts_under_the_suggested_category(kept: TestClient) -> None:
    ids = [post(kept, "/v1/opinions", text="你好呀")["id"] for _ in range(4)]
    post(kept, f"/v1/opinions/{ids[0]}/review", labels=["parking"])
    post(kept, f"/v1/opinions/{ids[1]}/review", labels=["other"])
    post(kept, f"/v1/opinions/{ids[2]}/review", labels=["other"], blind=True)
    post(kept, f"/v1/opinions/{ids[3]}/review", labels=["gas"])
    post(kept, f"/v1/opinions/{ids[3]}/undo")
    [rates] = [row for row in table(kept, "rates") if row[3]]
    assert rates[1:4] == [0.5, 1, 2]
    assert tile(kept, "改正率") == 0.5


def test_return_counts_under_the_category_it_was_sent_with(kept: TestClient) -> None:
    lifts = [post(kept, "/v1/opinions", text="电梯坏了")["id"] for _ in range(4)]
    for id in lifts[:2]:
        post(kept, f"/v1/opinions/{id}/return", reason="duty")
    post(kept, f"/v1/opinions/{lifts[0]}/review", labels=["parking"])
    rates = {name: [returned, dispatched] for name, *_, returned, dispatched in rates_of(kept)}
    assert rates["电梯故障与维保"] == [2, 4]
    assert rates.get("停车", [0, 0]) == [0, 0]
    assert tile(kept, "退单率") == 0.5


def rates_of(client: TestClient) -> list[list[Any]]:
    return table(client, "rates")


def test_time_to_close_has_nearest_rank_percentiles(kept: TestClient) -> None:
    hours = [1, 2.5, 30, 4, 100.25, 6, 7, 8, 9, 10]
    for taken in hours:
        moment = NOW - timedelta(hours=taken)
        id = post(kept, "/v1/opinions", text="电梯坏了", received_at=moment.isoformat())["id"]
        post(kept, f"/v1/opinions/{id}/close", answer="已办")
    late = post(kept, "/v1/opinions", text="停车难", received_at=NOW.isoformat())["id"]
    post(kept, f"/v1/opinions/{late}/close", answer="已办")
    with store_of(kept).write() as session:  # the same moment for all
        session.execute(update(OpinionRow).values(closed_at=NOW.replace(microsecond=0)))
    whole, *departments = table(kept, "time_to_close")
    ordered = sorted([*hours, 0])
    assert whole[0] == "全部"
    assert whole[1:] == [
        pytest.approx(ordered[math.ceil(len(ordered) * 0.5) - 1], abs=0.06),
        pytest.approx(ordered[math.ceil(len(ordered) * 0.9) - 1], abs=0.06),
        11,
    ]
    assert [row[3] for row in departments] == [10, 1]


def test_overdue_counts_open_ones_of_any_age(kept: TestClient) -> None:
    old = (NOW - timedelta(days=100)).isoformat()
    ids = [
        post(kept, "/v1/opinions", text="电梯坏了", received_at=old)["id"],
        post(kept, "/v1/opinions", text="停车难", received_at=old)["id"],
        post(kept, "/v1/opinions", text="停车难")["id"],
    ]
    post(kept, f"/v1/opinions/{ids[0]}/close", answer="已办")
    listed = kept.get("/v1/opinions", params={"overdue": True}).json()["opinions"]
    assert [row[1] for row in table(kept, "overdue", days=7)] == [1]
    assert tile(kept, "逾期未办", days=7) == len(listed) == 1


def test_parts_of_a_divided_opinion_count_once(kept: TestClient) -> None:
    id = post(kept, "/v1/opinions", text="你好呀")["id"]
    parts = [
        {"text": "电梯坏了", "labels": ["elevator"]},
        {"text": "停车难", "labels": ["parking"]},
    ]
    post(kept, f"/v1/opinions/{id}/split", parts=parts)
    assert tile(kept, "收件") == 1


def test_throughput_counts_reviews_that_stand(kept: TestClient) -> None:
    fill(kept)
    window = last_days(30, NOW)
    with store_of(kept).read() as session:
        reviews = session.scalars(select(ReviewRow)).all()
        found = figures.throughput(session, window)
    per_day = Counter((r.actor, r.at.astimezone(SHANGHAI).date().isoformat()) for r in reviews)
    assert {(t.actor, t.day): t.reviews for t in found} == per_day
    assert sum(row[-1] for row in table(kept, "throughput")) == len(reviews) > 0


def test_many_people_share_one_column(kept: TestClient) -> None:
    id = post(kept, "/v1/opinions", text="你好呀")["id"]
    post(kept, f"/v1/opinions/{id}/review", labels=["other"])
    with store_of(kept).write() as session:
        [review] = session.scalars(select(ReviewRow))
        kept_values = {c.key: getattr(review, c.key) for c in ReviewRow.__table__.columns}
        for i in range(10):
            session.add(ReviewRow(**kept_values | {"id": None, "actor": f"审核员{i}"}))
    columns = next(
        t["columns"]
        for t in kept.get("/dashboard/figures.json").json()["tables"]
        if t["key"] == "throughput"
    )
    assert len(columns) == 1 + 8 + 1 + 1
    assert columns[-2]["name"] == "其余 3 人"
    assert table(kept, "throughput")[-1][-1] == 11


def test_blind_audit_compares_the_primary_category_of_automatic_decisions(
    kept: TestClient,
) -> None:
    ids = [post(kept, "/v1/opinions", text="电梯坏了")["id"] for _ in range(3)]
    with store_of(kept).write() as session:
        session.execute(update(OpinionRow).values(audit=True))
    for id, labels in zip(ids, (["elevator"], ["elevator", "gas"], ["parking"]), strict=True):
        post(kept, f"/v1/opinions/{id}/review", labels=labels)
    other = post(kept, "/v1/opinions", text="你好呀")["id"]  # no automatic decision
    post(kept, f"/v1/opinions/{other}/review", labels=["gas"], blind=True)
    with store_of(kept).read() as session:
        assert figures.audit(session, last_days(30, NOW)) == Audit(3, 2)
    assert tile(kept, "自动派单盲审准确率") == 2 / 3


def test_wilson_interval_is_the_published_one() -> None:
    low, high = Audit(10, 9).interval() or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.5958, 0.9821)
    assert Audit(0, 0).interval() is None


def test_csv_holds_the_table_and_no_formula(kept: TestClient) -> None:
    fill(kept, 9)
    answer = kept.get("/dashboard/by_place.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    head, *lines = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert head == ["地点", "收件", "办结率"]
    assert [int(n) for _, n, _ in lines] == [row[1] for row in table(kept, "by_place")]
    assert "'=幸福大道" in [name for name, *_ in lines]


def test_page_escapes_what_residents_wrote(client: TestClient) -> None:
    post(client, "/v1/opinions", text="电梯坏了", place="<img src=x>某路")
    page = client.get("/dashboard").text
    assert "&lt;img src=x&gt;某路" in page
    assert "<img" not in page
    assert "<script>" not in page


def test_empty_database_is_shown_as_such(kept: TestClient) -> None:
    page = kept.get("/dashboard")
    assert page.status_code == 200
    assert "这段时间没有数据" in page.text


@pytest.mark.parametrize("days", ["0", "367", "x"])
def test_window_is_bounded(client: TestClient, days: str) -> None:
    answer = client.get("/dashboard", params={"days": days})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "days"


def test_unknown_table_is_not_found(client: TestClient) -> None:
    assert client.get("/dashboard/secrets.csv").status_code == 404


def test_figures_are_for_reviewers(client: TestClient) -> None:
    with store_of(client).write() as session:
        add_account(session, "审核员甲", "reviewer", "a long password")
    assert client.get("/dashboard/figures.json").status_code == 401
    for path in ("/dashboard", "/dashboard/by_day.csv"):
        assert client.get(path, follow_redirects=False).status_code == 303
