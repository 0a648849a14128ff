"""The review pages as the server sends them: who may see them, what they say, what they change."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select

from model.prediction import Span
from model.text import Opinion
from serving.access import COOKIE, add_account, add_key
from serving.app import create_app
from serving.categories import find_categories
from serving.demands import propose_demands
from serving.pages.attempts import LOCKED_SECONDS, MAX_FAILURES, MAX_NAMES, Attempts
from serving.pages.marks import Piece, mark_words
from serving.pages.view import View
from serving.settings import Settings
from serving.store import bulk
from serving.store.opinions import Act
from serving.store.tables import EventRow, OpinionRow, ReviewRow
from tests.review_triage import ReviewTriage

PASSWORD = "correct horse battery"
NOW = datetime(2026, 11, 23, 1, tzinfo=UTC)
HTML = {"accept": "text/html"}
HTMX = {"hx-request": "true", "hx-current-url": "http://testserver/queue"}


@pytest.fixture(scope="module")
def triage() -> ReviewTriage:
    return ReviewTriage()


@pytest.fixture
def client(triage: ReviewTriage, database_url: str) -> Iterator[TestClient]:
    """The application on each kind of database, nothing drawn for audit."""
    settings = Settings(docs=False, database_url=database_url, audit_share=0)
    with TestClient(create_app(settings, triage), follow_redirects=False) as client:
        yield client


def send(client: TestClient, *texts: str, **more: str) -> list[int]:
    answer = client.post("/v1/opinions", json=[{"text": text, **more} for text in texts])
    return [result["id"] for result in answer.json()["results"]]


def post(client: TestClient, way: str, *, headers: Any = HTMX, **fields: Any) -> Response:
    return client.post(
        way,
        content=urlencode(fields, doseq=True),
        headers={"content-type": "application/x-www-form-urlencoded", **headers},
    )


def row(client: TestClient, id: int) -> OpinionRow:
    with client.app.state.store.read() as session:  # type: ignore[attr-defined]
        return session.get_one(OpinionRow, id)


def reviews(client: TestClient) -> list[ReviewRow]:
    with client.app.state.store.read() as session:  # type: ignore[attr-defined]
        return list(session.scalars(select(ReviewRow).order_by(ReviewRow.id)))


def change(client: TestClient, id: int, **values: Any) -> None:
    with client.app.state.store.write() as session:  # type: ignore[attr-defined]
        found = session.get_one(OpinionRow, id)
        for name, value in values.items():
            setattr(found, name, value)


def listed(page: str) -> list[int]:
    return [int(id) for id in re.findall(r'id="row-(\d+)"', page)]


# Login


@pytest.fixture
def guarded(client: TestClient) -> TestClient:
    with client.app.state.store.write() as session:  # type: ignore[attr-defined]
        add_account(session, "李敏", "reviewer", PASSWORD)
        add_key(session, "小程序", "intake")
    return client


def test_without_accounts_nobody_logs_in(client: TestClient) -> None:
    assert client.get("/queue").status_code == 200
    assert client.get("/login").headers["location"] == "/queue"


def test_strangers_are_sent_to_the_login_and_back(guarded: TestClient) -> None:
    sent = guarded.get("/queue?state=closed&text=%E7%94%B5")
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/login?next=%2Fqueue%3Fstate%3Dclosed")
    page = guarded.get(sent.headers["location"])
    assert 'value="/queue?state=closed&amp;text=%E7%94%B5"' in page.text
    by_htmx = guarded.get("/queue/1", headers=HTMX)
    assert (by_htmx.status_code, by_htmx.headers["hx-redirect"]) == (204, "/login?next=%2Fqueue")


def test_login_sets_a_cookie_that_scripts_cannot_read(guarded: TestClient) -> None:
    answer = post(guarded, "/login", name="李敏", password=PASSWORD, next="/queue?state=all")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue?state=all")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for word in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert word in cookie
    assert "Secure" not in cookie
    assert "李敏" in guarded.get("/queue").text
    assert post(guarded, "/logout").headers["location"] == "/login"
    assert guarded.get("/queue").status_code == 303


def test_over_https_the_cookie_is_secure(guarded: TestClient) -> None:
    guarded.base_url = "https://testserver"  # type: ignore[assignment]
    answer = post(guarded, "/login", name="李敏", password=PASSWORD)
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("next", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_login_never_leads_to_another_site(guarded: TestClient, next: str) -> None:
    answer = post(guarded, "/login", name="李敏", password=PASSWORD, next=next)
    assert answer.headers["location"] == "/queue"


def test_another_site_cannot_log_anyone_in(guarded: TestClient) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    answer = post(guarded, "/login", headers=foreign, name="李敏", password=PASSWORD)
    assert answer.status_code == 403


def test_guessing_is_slowed_by_name(guarded: TestClient) -> None:
    for _ in range(MAX_FAILURES):
        wrong = post(guarded, "/login", name="李敏", password="wrong password")
        assert wrong.status_code == 401
        assert "密码不对" in wrong.text
    right = post(guarded, "/login", name="李敏", password=PASSWORD)
    assert right.status_code == 429
    assert "秒后再试" in right.text
    assert post(guarded, "/login", name="王芳", password="x").status_code == 401


def test_attempts_lapse_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("serving.pages.attempts.time.monotonic", lambda: now[0])
    attempts = Attempts()
    for _ in range(MAX_FAILURES):
        attempts.fail("李敏")
    assert attempts.wait("李敏") == LOCKED_SECONDS
    now[0] += LOCKED_SECONDS
    assert attempts.wait("李敏") == 0
    attempts.fail("李敏")
    assert attempts.wait("李敏") == LOCKED_SECONDS
    for i in range(MAX_NAMES):
        attempts.fail(str(i))
    assert attempts.wait("李敏") == 0


# The list


def test_the_start_leads_to_the_queue(client: TestClient) -> None:
    assert client.get("/").headers["location"] == "/queue"


def test_the_list_shows_what_fits_its_filters(client: TestClient) -> None:
    lift, parking = send(client, "电梯坏了", "停车难", place="幸福里小区")
    [gas] = send(client, "燃气泄漏有人晕倒", place="鳌峰社区")
    [routed] = send(client, "照例修电梯")
    for query, ids in (
        ("", {lift, parking, gas}),
        ("category=parking", {parking}),
        ("urgent=true", {gas}),
        ("place=%E5%B9%B8%E7%A6%8F", {lift, parking}),
        ("text=%E5%81%9C%E8%BD%A6", {parking}),
        ("state=routed", {routed}),
        ("state=all", {lift, parking, gas, routed}),
        ("overdue=true", set()),
        ("until=2020-01-01", set()),
        ("category=&department=&place=&since=", {lift, parking, gas}),
    ):
        assert set(listed(client.get(f"/queue?{query}").text)) == ids, query
    assert listed(client.get("/queue").text)[0] == gas  # urgent first


def test_a_bad_filter_names_field_and_value(client: TestClient) -> None:
    answer = client.get("/queue?state=nowhere")
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "state"
    page = client.get("/queue?since=yesterday", headers=HTML)
    assert page.status_code == 422
    assert "打不开这一页" in page.text
    assert client.get("/queue?text=%00").status_code == 200


def test_the_list_goes_on_after_its_cursor(client: TestClient) -> None:
    ids = send(client, *(f"{i} 号楼电梯坏了" for i in range(45)))
    first = client.get("/queue").text
    [more] = re.findall(r'hx-get="(/queue/rows\?[^"]+)"', first)
    second = client.get(more.replace("&amp;", "&")).text
    assert sorted(listed(first) + listed(second)) == sorted(ids)
    assert "/queue/rows" not in second


def test_counts_tell_what_waits(client: TestClient) -> None:
    send(client, "电梯坏了", "燃气泄漏有人晕倒", "照例修电梯")
    page = client.get("/queue").text
    assert re.findall(r"<b>(\d+)</b> (\S+?)</a>", page) == [
        ("2", "待审"), ("1", "紧急"), ("0", "逾期"), ("0", "盲审"),
    ]  # fmt: skip


# The pane


def test_a_residents_text_is_never_markup(client: TestClient) -> None:
    [id] = send(client, "<script>alert(1)</script>电梯坏了", place="<b>x</b>")
    for way in ("/queue", f"/queue/{id}", f"/queue/{id}/evidence"):
        page = client.get(way, headers=HTMX).text
        assert "<script>alert" not in page
        assert "<b>x</b>" not in page
        assert "&lt;script&gt;" in page


def test_the_pane_names_candidates_route_and_history(client: TestClient) -> None:
    [id] = send(client, "电梯坏了", channel="hotline")
    page = client.get(f"/queue/{id}", headers=HTMX).text
    for words in ("电梯故障与维保", "97.0%", "区市场监管局", "来自热线", "采纳并派单"):
        assert words in page
    assert '<mark class="evidence">电梯</mark>' in client.get(f"/queue/{id}/evidence").text


def test_an_opinion_that_is_not_there_is_told_to_people_and_programs(client: TestClient) -> None:
    assert client.get("/queue?open=99").json()["error"]["type"] == "not_found"
    page = client.get("/queue?open=99", headers=HTML)
    assert page.status_code == 404
    assert "没有这一页" in page.text
    assert client.get("/nowhere", headers=HTML).status_code == 404


def test_pages_forbid_scripts_of_their_own(client: TestClient) -> None:
    send(client, "电梯坏了。停车难")
    page = client.get("/queue")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=", page.text)


def test_what_people_settled_before_is_shown(client: TestClient) -> None:
    first, second = send(client, "三号楼电梯坏了", "四号楼电梯坏了")
    post(client, f"/queue/{first}/review", version=1, labels="elevator")
    page = client.get(f"/queue/{second}/similar").text
    assert "以前怎么定的" in page
    assert "三号楼电梯坏了" in page


# Moves


def test_accepting_opens_the_next_and_offers_the_way_back(client: TestClient) -> None:
    first, second, third = send(client, "电梯坏了", "停车难", "树倒了")
    answer = post(
        client,
        f"/queue/{second}/review",
        headers={**HTMX, "x-next": str(third)},
        version=1,
        labels="parking",
    )
    assert f'data-id="{third}"' in answer.text
    assert f'id="row-{second}" hx-swap-oob="delete"' in answer.text
    assert f"/queue/{second}/undo" in answer.text
    assert reviews(client)[0].origin == "accepted"
    back = post(client, f"/queue/{second}/undo", version=2)
    assert f'data-id="{second}"' in back.text
    assert row(client, second).state == "in_review"
    last = post(client, f"/queue/{third}/review", version=1, labels="greening")
    assert f'data-id="{first}"' in last.text  # the list begins anew


def test_a_stale_page_changes_nothing(client: TestClient) -> None:
    [id] = send(client, "电梯坏了")
    change(client, id, version=5)
    for move, fields in (
        ("review", {"labels": "elevator"}),
        ("escalate", {}),
        ("merge", {"members": id}),
        ("split", {"text": ["电梯", "停车"], "label": ["elevator", "parking"]}),
    ):
        answer = post(client, f"/queue/{id}/{move}", version=1, **fields)
        assert answer.status_code == 409, move
        assert "刚刚被别人改动过" in answer.text
        assert f'name="version" value="5"' in answer.text  # noqa: F541
    assert row(client, id).version == 5


def test_a_move_that_the_state_forbids_is_explained(client: TestClient) -> None:
    [id] = send(client, "照例修电梯")
    answer = post(client, f"/queue/{id}/review", version=1, labels="elevator")
    assert answer.status_code == 409
    assert "不能审定：这一件现在是「已派单」" in answer.text
    [first, closed] = send(client, "停车难", "照例停车")
    change(client, closed, state="closed")
    answer = post(client, f"/queue/{first}/merge", version=1, members=closed)
    assert answer.status_code == 409
    assert "不能并案" in answer.text


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"version": 1, "labels": "nothing"}, "labels"),
        ({"version": 1, "labels": "elevator", "department": "nobody"}, "department"),
        ({"version": 1}, "labels"),
        ({"labels": "elevator"}, "version"),
        ({"version": 1, "labels": ["elevator", "elevator"]}, "labels"),
    ],
)
def test_a_bad_form_names_the_field(client: TestClient, fields: dict[str, Any], field: str) -> None:
    [id] = send(client, "电梯坏了")
    answer = post(client, f"/queue/{id}/review", **fields)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field
    assert row(client, id).state == "in_review"


def test_a_return_offers_other_departments(client: TestClient) -> None:
    [id] = send(client, "照例修电梯，停车也难")
    answer = post(client, f"/queue/{id}/return", version=1, reason="duty", note="不归我们")
    assert "改派给" in answer.text
    assert "区市场监管局退回：职能不符" in answer.text
    assert "不归我们" in answer.text
    assert post(client, f"/queue/{id}/return", version=2, reason="mood").status_code == 422


def test_joining_and_leaving_a_case(client: TestClient) -> None:
    case, member = send(client, "电梯坏了", "电梯坏了啊")
    answer = post(client, f"/queue/{member}/join", version=1, into=case)
    assert f"第 {member} 号已并入第 {case} 号" in answer.text
    assert row(client, member).case_id == case
    post(client, f"/queue/{case}/review", version=2, labels="elevator")
    assert row(client, member).state == "routed"
    assert f"随第 {case} 号一同变动" in client.get(f"/queue/{member}", headers=HTMX).text
    post(client, f"/queue/{member}/leave", version=row(client, member).version)
    assert (row(client, member).case_id, row(client, member).state) == (None, "in_review")


def test_a_split_needs_two_parts_with_words(client: TestClient) -> None:
    [id] = send(client, "电梯坏了。停车难。")
    answer = post(
        client, f"/queue/{id}/split", version=1, text=["电梯", "。"], label=["elevator"] * 2
    )
    assert answer.status_code == 422
    post(
        client,
        f"/queue/{id}/split",
        version=1,
        text=["电梯", "停车"],
        label=["elevator", "parking"],
    )
    assert row(client, id).state == "routed"


def test_only_reviewers_move_opinions(guarded: TestClient) -> None:
    assert post(guarded, "/queue/1/review", version=1, labels="elevator").status_code == 204
    assert post(guarded, "/queue/bulk", pick="1:1").status_code == 204


# Blind


def test_an_audit_sample_shows_nothing_of_the_model(client: TestClient) -> None:
    [id] = send(client, "照例燃气泄漏，树也倒了")
    change(client, id, audit=True)
    for way in ("/queue?mode=audit", f"/queue/{id}", f"/queue?state=routed&open={id}"):
        page = client.get(way, headers=HTMX if way.endswith(str(id)) else {}).text
        page = re.sub(r"<(select|dialog).*?</\1>", "", page, flags=re.S)
        for word in ("燃气与供暖", "97", "%", "燃气公司", "<mark", "经过（", "采纳"):
            assert word not in page, (way, word)
    assert client.get(f"/queue/{id}/evidence").status_code == 403
    assert client.get(f"/queue/{id}/similar").status_code == 403
    post(client, f"/queue/{id}/review", version=1, labels="greening")
    [given] = reviews(client)
    assert (given.origin, given.labels) == ("blind", ["greening"])


# Many at once


def test_a_bulk_is_previewed_confirmed_and_taken_back(client: TestClient) -> None:
    ids = send(client, *(f"{i} 号楼电梯坏了" for i in range(3)), "停车难")
    preview = client.get("/queue/bulk?category=elevator").text
    picks = re.findall(r'name="pick" value="([^"]+)"', preview)
    assert picks == [f"{id}:1" for id in ids[:3]]
    change(client, ids[2], version=2)  # a colleague was there meanwhile
    done = post(client, "/queue/bulk", pick=picks)
    assert "已批量确认 2 件，1 件在您预览后有变动" in done.text
    [name] = re.findall(r'name="bulk" value="([^"]+)"', done.text)
    assert [row(client, id).state for id in ids] == ["routed"] * 2 + ["in_review"] * 2
    post(client, f"/queue/{ids[0]}/escalate", version=2)
    back = post(client, "/queue/bulk/undo", bulk=name)
    assert "已撤销批量确认 1 件，1 件之后又有变动" in back.text
    assert [row(client, id).state for id in ids] == ["routed"] + ["in_review"] * 3
    assert post(client, "/queue/bulk/undo", bulk="nonsense").status_code == 422


def test_each_of_a_bulk_is_recorded_singly(client: TestClient, triage: ReviewTriage) -> None:
    ids = send(client, "电梯坏了", "停车难")
    store = client.app.state.store  # type: ignore[attr-defined]
    with store.write() as session:
        outcome = bulk.confirm(session, Act("李敏", NOW, triage), [(id, 1) for id in ids])
    with store.read() as session:
        events = session.scalars(select(EventRow).where(EventRow.action == "review")).all()
    assert [event.detail["bulk"] for event in events] == [outcome.bulk] * 2
    assert [given.origin for given in reviews(client)] == ["accepted"] * 2
    with store.write() as session:  # another's bulk is not his to take back
        assert bulk.take_back(session, Act("王芳", NOW, triage), outcome.bulk).done == []
    with store.write() as session:
        assert bulk.take_back(session, Act("李敏", NOW, triage), outcome.bulk).done == ids


def test_a_bulk_is_bounded_and_leaves_returned_ones(
    client: TestClient, triage: ReviewTriage
) -> None:
    [id] = send(client, "照例修电梯")
    post(client, f"/queue/{id}/return", version=1, reason="duty")
    store = client.app.state.store  # type: ignore[attr-defined]
    with store.write() as session:
        assert bulk.confirm(session, Act("李敏", NOW, triage), [(id, 2)]).left == [id]
        too_many = [(i, 1) for i in range(bulk.MAX_BULK + 1)]
        with pytest.raises(ValueError, match="at most 200"):
            bulk.confirm(session, Act("李敏", NOW, triage), too_many)


# Pure parts


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("电梯故障", "elevator"),
        ("jzdt", "elevator_retrofit"),
        ("jiazhuang", "elevator_retrofit"),
        ("parking", "parking"),
        ("TC", "parking"),
        ("ev_charging", "ev_charging"),
        ("白蚁", "pests"),
    ],
)
def test_a_category_is_found_as_one_types(triage: ReviewTriage, query: str, code: str) -> None:
    assert find_categories(triage.taxonomy, query)[0].code == code


def test_a_search_that_fits_nothing_finds_nothing(triage: ReviewTriage) -> None:
    assert find_categories(triage.taxonomy, "zzzz") == []
    assert [c.code for c in find_categories(triage.taxonomy, " ", n=2)] == list(
        triage.taxonomy.codes[:2]
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "您好！电梯又坏了，老人下不来。停车没位置。请尽快处理。",
            ["您好！电梯又坏了，老人下不来。", "停车没位置。请尽快处理。"],
        ),
        ("电梯坏了，停车也难", ["电梯坏了，", "停车也难"]),
        ("您好！停车难。电梯坏了", ["电梯坏了", "您好！停车难。"]),
    ],
)
def test_sentences_go_to_the_demand_they_speak_of(
    triage: ReviewTriage, text: str, parts: list[str]
) -> None:
    found = propose_demands(triage, text, ["elevator", "parking"], NOW)
    assert [demand.code for demand in found] == ["elevator", "parking"]
    assert [demand.text for demand in found] == parts


def test_a_demand_without_a_sentence_of_its_own_still_has_words(triage: ReviewTriage) -> None:
    found = propose_demands(triage, "电梯坏了，请修。", ["elevator", "parking"], NOW)
    assert [demand.text for demand in found] == ["电梯坏了，请修。", "电梯坏了，"]


def test_marks_follow_title_and_text() -> None:
    opinion = Opinion("电梯困人了", "求助")  # read as 求助。电梯困人了
    title, text = mark_words(opinion, [Span(3, 5, "电梯", 0.9)], "困人")
    assert title == [Piece("求助", "")]
    assert text == [Piece("电梯", "evidence"), Piece("困人", "danger"), Piece("了", "")]
    assert mark_words(Opinion("", "标题"), [], None) == ([Piece("标题", "")], [])


def test_a_view_reads_its_days_on_the_offices_clock() -> None:
    filters = View.model_validate({"since": "2026-11-23", "until": "2026-11-23"}).filters()
    assert str(filters.received_from) == "2026-11-23 00:00:00+08:00"
    assert str(filters.received_to) == "2026-11-24 00:00:00+08:00"
    assert (
        View(urgent=True, text="电 梯").query(open=3)
        == "urgent=true&text=%E7%94%B5+%E6%A2%AF&open=3"
    )
