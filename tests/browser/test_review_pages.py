"""The review pages in a browser: by keyboard, at two widths, looked over by axe."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import select

from serving.access import add_account, add_key
from serving.app import create_app
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.tables import EventRow, OpinionRow, ReviewRow
from tests.review_triage import ReviewTriage

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).with_name("axe.min.js")
PASSWORD = "correct horse battery"
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists() and not os.environ.get("CI"),  # CI fails without it
    reason="needs Chromium: apt-get install chromium",
)


@dataclass
class Site:
    """A running server, its database and a key to send opinions with."""

    url: str
    store: Store
    key: str

    def send(self, *texts: str, **more: str) -> list[int]:
        """Keep opinions; returns their numbers."""
        headers = {"authorization": f"Bearer {self.key}"}
        body = [{"text": text, "channel": "miniapp", **more} for text in texts]
        answer = httpx.post(f"{self.url}/v1/opinions", json=body, headers=headers)
        return [result["id"] for result in answer.json()["results"]]

    def row(self, id: int) -> OpinionRow:
        """An opinion as it stands now."""
        with self.store.read() as session:
            return session.get_one(OpinionRow, id)

    def reviews(self) -> list[ReviewRow]:
        """All reviews that hold, in order."""
        with self.store.read() as session:
            query = select(ReviewRow).where(ReviewRow.undone.is_(False)).order_by(ReviewRow.id)
            return list(session.scalars(query))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    settings = Settings(
        docs=False, database_url=f"sqlite:///{tmp_path}/pages.db", audit_share=0, port=0
    )
    app = create_app(settings, ReviewTriage())
    with app.state.store.write() as session:
        add_account(session, "李敏", "reviewer", PASSWORD)
        key = add_key(session, "小程序", "intake")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.store, key)
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--force-prefers-reduced-motion"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page of someone who logged in; a script that fails, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: faults.append(said.text) if "Content Security" in said.text else None,
    )
    page.goto(f"{site.url}/login")
    page.get_by_label("用户名").fill("李敏")
    page.get_by_label("密码").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/queue")
    yield page
    context.close()
    assert not faults


def opened(page: Page) -> int:
    """The number of the opinion in the pane."""
    return int(page.locator("#opinion").get_attribute("data-id") or 0)


def wait_for(page: Page, id: int) -> None:
    """Until an opinion is open and has been there long enough to be read."""
    expect(page.locator("#opinion")).to_have_attribute("data-id", str(id))
    page.wait_for_timeout(350)


def press_on(page: Page, key: str) -> None:
    """Press a key that decides, and wait until another opinion (or none) is open."""
    before = page.locator("#pane > *").first.element_handle()
    page.keyboard.press(key)
    page.wait_for_function("old => !old.isConnected", arg=before)
    page.wait_for_timeout(350)


def faults_of_axe(page: Page) -> list[dict[str, Any]]:
    """What axe finds serious or critical."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        {"id": fault["id"], "nodes": [node["html"][:200] for node in fault["nodes"]]}
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def test_twenty_opinions_are_settled_by_keyboard_alone(site: Site, page: Page) -> None:
    ids = site.send(*(f"{i} 号楼的电梯又停了，老人下不来" for i in range(20)))
    page.goto(f"{site.url}/queue")
    seen = []
    for i in range(20):
        page.wait_for_timeout(350)
        seen.append(opened(page))
        press_on(page, "2" if i % 5 == 4 else "Enter")
    assert sorted(seen) == sorted(ids)
    expect(page.locator("#pane")).to_contain_text("没有要看的意见")
    expect(page.locator("#counts .waiting")).to_contain_text("0")
    origins = [review.origin for review in site.reviews()]
    assert (origins.count("accepted"), origins.count("corrected")) == (16, 4)
    assert {review.actor for review in site.reviews()} == {"李敏"}
    assert all(site.row(id).state == "routed" for id in ids)


def test_keys_move_and_undo_opens_the_opinion_again(site: Site, page: Page) -> None:
    first, second, third = site.send("电梯坏了", "停车难", "树倒了")
    page.goto(f"{site.url}/queue")
    wait_for(page, first)
    page.keyboard.press("j")
    wait_for(page, second)
    page.keyboard.press("k")
    wait_for(page, first)
    page.keyboard.press("j")
    wait_for(page, second)
    assert page.evaluate("document.activeElement.id") == "opinion"
    page.keyboard.press("Enter")
    wait_for(page, third)  # the one after it, not the first
    expect(page.locator("#say")).to_contain_text(f"第 {second} 号审定为停车")
    expect(page.locator(f"#row-{second}")).to_have_count(0)
    page.keyboard.press("u")
    wait_for(page, second)
    expect(page.locator(f"#row-{second}")).to_have_count(1)
    assert site.row(second).state == "in_review"
    assert site.reviews() == []


def test_a_correction_is_typed_by_pinyin(site: Site, page: Page) -> None:
    [id, _] = site.send("电梯坏了", "树倒了")
    page.goto(f"{site.url}/queue")
    wait_for(page, id)
    page.keyboard.press("e")
    expect(page.locator("#picker")).to_be_focused()
    page.keyboard.type("wyfw")
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_contain_text("物业服务与收费")
    page.keyboard.type("parking")
    page.keyboard.press("Enter")
    expect(page.locator("#chosen li")).to_have_count(2)
    press_on(page, "Enter")
    [review] = site.reviews()
    assert (review.origin, review.labels) == ("corrected", ["property_service", "parking"])


def test_a_department_alone_can_be_corrected(site: Site, page: Page) -> None:
    [id] = site.send("电梯坏了")
    page.goto(f"{site.url}/queue")
    wait_for(page, id)
    page.keyboard.press("e")
    page.locator("#panel-edit").get_by_label("承办单位").select_option("housing")
    page.locator("#panel-edit").get_by_label("备注").fill("是房子的问题")
    page.locator("#confirm-edit").click()
    expect(page.locator("#pane")).to_contain_text("没有要看的意见")
    [review] = site.reviews()
    assert (review.labels, review.department, review.note) == (
        ["elevator"],
        "housing",
        "是房子的问题",
    )


def test_letters_typed_into_a_field_are_no_commands(site: Site, page: Page) -> None:
    first, _ = site.send("电梯坏了", "停车难")
    page.goto(f"{site.url}/queue")
    wait_for(page, first)
    page.keyboard.press("/")
    page.keyboard.type("jk1e")
    assert page.locator("#search").input_value() == "jk1e"
    assert opened(page) == first
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.wait_for_timeout(300)
    assert opened(page) == first


def test_a_returned_opinion_is_offered_to_the_next_department(site: Site, page: Page) -> None:
    [id] = site.send("照例修电梯，停车也难")
    page.goto(f"{site.url}/queue?state=routed")
    wait_for(page, id)
    page.keyboard.press("r")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.locator("#opinion")).to_contain_text("改派给")
    assert (site.row(id).state, site.row(id).returns) == ("returned", 1)
    page.wait_for_timeout(350)
    press_on(page, "1")
    row = site.row(id)
    assert (row.state, row.category) == ("routed", "parking")
    assert site.reviews()[0].origin == "returned"


def test_escalating_and_closing(site: Site, page: Page) -> None:
    [id] = site.send("照例修电梯")
    page.goto(f"{site.url}/queue?state=routed")
    wait_for(page, id)
    page.keyboard.press("g")
    page.keyboard.type("小区办不了")
    page.keyboard.press("Enter")
    expect(page.locator("#say")).to_contain_text("已升到社区")
    wait_for(page, id)
    page.keyboard.press("c")
    page.keyboard.type("已修好。<b>谢谢</b>")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#say")).to_contain_text("已办结")
    assert site.row(id).answer == "已修好。<b>谢谢</b>"
    page.goto(f"{site.url}/queue?state=closed")
    expect(page.locator("#opinion dd.said")).to_have_text("已修好。<b>谢谢</b>")


def test_many_are_confirmed_and_taken_back(site: Site, page: Page) -> None:
    ids = site.send(
        *(f"{i} 号楼电梯坏了" for i in range(6)), *(f"{i} 号楼停车难" for i in range(3))
    )
    page.goto(f"{site.url}/queue?category=elevator")
    page.get_by_role("button", name="批量确认").click()
    expect(page.locator("#opinion table")).to_contain_text("电梯故障与维保")
    page.get_by_role("button", name="确认这 6 件").click()
    expect(page.locator("#say")).to_have_text("已批量确认 6 件")
    expect(page.locator("#rows li[data-id]")).to_have_count(0)
    assert [site.row(id).state for id in ids] == ["routed"] * 6 + ["in_review"] * 3
    assert len(site.reviews()) == 6
    with site.store.read() as session:
        events = session.scalars(select(EventRow).where(EventRow.action == "review")).all()
    assert len({event.detail["bulk"] for event in events}) == 1
    page.get_by_role("button", name="撤销这一批").click()
    expect(page.locator("#say")).to_have_text("已撤销批量确认 6 件")
    expect(page.locator("#rows li[data-id]")).to_have_count(6)
    assert {site.row(id).state for id in ids} == {"in_review"}
    assert site.reviews() == []


def test_two_demands_are_split_as_proposed(site: Site, page: Page) -> None:
    [id] = site.send("三号楼电梯又坏了，老人下不来。小区里停车没位置。请尽快处理。")
    page.goto(f"{site.url}/queue")
    areas = page.locator("#parts textarea")
    expect(areas).to_have_count(2)
    assert areas.nth(0).input_value() == "三号楼电梯又坏了，老人下不来。"
    assert areas.nth(1).input_value() == "小区里停车没位置。请尽快处理。"
    page.locator("#split").click()
    expect(page.locator("#say")).to_contain_text(f"第 {id} 号已拆成")
    with site.store.read() as session:
        parts = session.scalars(select(OpinionRow).where(OpinionRow.parent_id == id)).all()
    assert [part.category for part in parts] == ["elevator", "parking"]
    assert site.row(id).state == "routed"


def test_repeats_are_merged(site: Site, page: Page) -> None:
    [case, repeat, other] = site.send(
        "三号楼电梯又坏了，老人下不来", "三号楼电梯又坏了，老人下不来啊", "电梯年检标志过期"
    )
    page.goto(f"{site.url}/queue")
    wait_for(page, case)
    page.get_by_label(f"第 {repeat} 号", exact=True).check()
    page.locator("#merge").click()
    expect(page.locator("#say")).to_contain_text(f"1 件已并入第 {case} 号")
    expect(page.locator("#opinion")).to_contain_text("并入本件：")
    expect(page.locator(f"#row-{repeat}")).to_have_count(0)
    assert site.row(repeat).case_id == case
    assert site.row(other).case_id is None


def test_evidence_is_marked_and_a_text_is_never_markup(site: Site, page: Page) -> None:
    site.send("<img src=x onerror=alert(1)>三号楼电梯坏了")
    page.goto(f"{site.url}/queue")
    expect(page.locator("mark.evidence")).to_have_text("电梯")
    expect(page.locator("#words .text")).to_have_text("<img src=x onerror=alert(1)>三号楼电梯坏了")
    assert page.locator("#words img").count() == 0


def test_a_change_by_a_colleague_is_told_and_nothing_is_lost(site: Site, page: Page) -> None:
    [id] = site.send("电梯坏了")
    page.goto(f"{site.url}/queue")
    wait_for(page, id)
    with site.store.write() as session:
        session.get_one(OpinionRow, id).version += 1
    page.keyboard.press("Enter")
    expect(page.locator("#opinion .error")).to_contain_text("刚刚被别人改动过")
    assert site.row(id).state == "in_review"
    wait_for(page, id)
    page.keyboard.press("Enter")
    expect(page.locator("#pane")).to_contain_text("没有要看的意见")
    assert site.row(id).state == "routed"


def test_audit_is_blind(site: Site, page: Page) -> None:
    [id] = site.send("照例修电梯，停车也难")
    with site.store.write() as session:
        session.get_one(OpinionRow, id).audit = True
    page.goto(f"{site.url}/queue?mode=audit")
    wait_for(page, id)
    page.wait_for_timeout(500)
    for word in ("电梯故障与维保", "97", "建议", "经过"):
        expect(page.locator("#review")).not_to_contain_text(word)
    expect(page.locator("mark, .candidate, .route, #similar")).to_have_count(0)
    page.keyboard.press("Enter")
    page.keyboard.type("tc")
    page.keyboard.press("Enter")
    expect(page.locator("#chosen li")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#say")).to_contain_text("审定为停车")
    assert [review.origin for review in site.reviews()] == ["blind"]


def test_a_narrow_screen_shows_one_pane_at_a_time(site: Site, page: Page) -> None:
    [id] = site.send("电梯坏了")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/queue")
    expect(page.locator("#pane")).to_be_hidden()
    page.locator(f"#row-{id} a").click()
    expect(page.locator("#pane")).to_be_visible()
    expect(page.locator("#rows")).to_be_hidden()
    page.get_by_role("button", name="返回列表").click()
    expect(page.locator("#rows")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious_and_nothing_overflows(
    site: Site, page: Page, width: int
) -> None:
    first, *_ = site.send(
        "三号楼电梯又坏了，老人下不来。小区里停车没位置。",
        "三号楼电梯又坏了，老人下不来。小区里停车没位置啊。",
        "燃气泄漏，有人晕倒了",
        place="幸福里小区",
    )
    [routed] = site.send("照例修电梯")
    [audit] = site.send("照例种树")
    with site.store.write() as session:
        session.get_one(OpinionRow, audit).audit = True
    page.set_viewport_size({"width": width, "height": 860})
    faults = {}
    for name, way, keys in (
        ("list", "/queue?urgent=true", []),
        ("pane", f"/queue?open={first}", []),
        ("edit", f"/queue?open={first}", ["e", "d"]),
        ("help", "/queue", ["?"]),
        ("return", f"/queue?state=routed&open={routed}", ["r"]),
        ("close", f"/queue?state=routed&open={routed}", ["c"]),
        ("audit", f"/queue?mode=audit&open={audit}", []),
        ("missing", "/queue?open=999999", []),
    ):
        page.goto(site.url + way)
        page.wait_for_timeout(900)
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(300)
        wide = page.evaluate("document.documentElement.scrollWidth")
        found = faults_of_axe(page)
        if found or wide > width:
            faults[name] = (found, wide)
    page.goto(f"{site.url}/queue")
    page.locator("#counts").wait_for()
    if width > 900:
        page.get_by_role("button", name="批量确认").click()
        page.locator("#confirm-bulk").wait_for()
        if found := faults_of_axe(page):
            faults["bulk"] = (found, 0)
    page.goto("about:blank")  # nothing more is asked with the old cookie
    page.context.clear_cookies()
    page.goto(f"{site.url}/queue")
    page.wait_for_url("**/login?next=**")
    if found := faults_of_axe(page):
        faults["login"] = (found, 0)
    assert faults == {}
