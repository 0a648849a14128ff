"""看板 and 批量分类 in a browser: charts drawn, tables as the database, a workbook in and out."""

import csv
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openpyxl
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import select

from serving.app import create_app
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.figures import last_days
from serving.store.tables import OpinionRow
from tests.fake_triage import FakeTriage

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).with_name("axe.min.js")
TEXTS = ["电梯坏了", "停车难", "路边的树倒了", "燃气漏了", "你好呀"]
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="needs Chromium: apt-get install chromium"
)


@dataclass
class Site:
    """A running server and its database."""

    url: str
    store: Store


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with opinions of forty days, some closed, some reviewed."""
    directory = tmp_path_factory.mktemp("site")
    settings = Settings(
        docs=False,
        database_url=f"sqlite:///{directory}/pages.db",
        jobs_dir=directory / "jobs",
        max_body_bytes=100_000,
        audit_share=0,
    )
    app = create_app(settings, FakeTriage())
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.02)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    fill(url)
    yield Site(url, app.state.store)
    server.should_exit = True
    thread.join()
    listener.close()


def fill(url: str) -> None:
    now = datetime.now(UTC)
    sent = [
        {
            "text": TEXTS[i % 5],
            "place": ["幸福里小区", "滨河公园", ""][i % 3],
            "received_at": (now - timedelta(days=i, hours=3)).isoformat(),
        }
        for i in range(40)
    ]
    with httpx.Client(base_url=url, timeout=60) as client:
        ids = [one["id"] for one in client.post("/v1/opinions", json=sent).json()["results"]]
        for i, id in enumerate(ids):
            if i % 5 == 4:
                client.post(f"/v1/opinions/{id}/review", json={"labels": ["parking"]})
            if i % 2:
                client.post(f"/v1/opinions/{id}/close", json={"answer": "已办"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--force-prefers-reduced-motion"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 390])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page, wide and narrow; a script that fails, fails the test."""
    context = browser.new_context(viewport={"width": request.param, "height": 860})
    page = context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: faults.append(said.text) if "Content Security" in said.text else None,
    )
    yield page
    context.close()
    assert not faults


def table(page: Page, key: str) -> list[list[str]]:
    """The cells of a table, folded away or not."""
    return page.eval_on_selector_all(
        f"table#{key} tbody tr",
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))",
    )


def painted(page: Page, key: str) -> int:
    """How many pixels of a chart are not empty."""
    return page.eval_on_selector(
        f".chart[data-table={key}] canvas",
        """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
        .data.filter((value, i) => i % 4 === 3 && value > 0).length""",
    )


def faults_of_axe(page: Page) -> list[dict[str, Any]]:
    """What axe finds serious or critical."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        {"id": fault["id"], "nodes": [node["html"][:200] for node in fault["nodes"]]}
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def fits(page: Page) -> bool:
    """Whether nothing stands out of the page to the right."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_charts_are_drawn_and_tables_equal_the_database(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/dashboard")
    expect(page.locator("#figures[data-drawn]")).to_be_attached()
    keys = page.eval_on_selector_all(".chart", "charts => charts.map(c => c.dataset.table)")
    assert keys == [
        "by_day", "by_category", "by_department", "rates", "time_to_close", "by_place",
        "overdue", "throughput",
    ]  # fmt: skip
    assert all(painted(page, key) > 500 for key in keys)
    window = last_days(30, datetime.now(UTC))
    with site.store.read() as session:
        every = session.scalars(select(OpinionRow)).all()
    rows = [row for row in every if window.since <= row.received_at < window.until]
    assert sum(int(row[-1]) for row in table(page, "by_day")) == len(rows)
    assert sum(int(row[1]) for row in table(page, "by_category")) == len(rows)
    places = Counter(row.street or row.place or "未写明" for row in rows)
    assert {name: int(n) for name, n, _ in table(page, "by_place")} == places
    tiles = {
        tile.locator("dt").inner_text(): tile.locator("dd").first.inner_text()
        for tile in page.locator(".tile").all()
    }
    assert tiles["收件"] == str(len(rows))
    assert tiles["办结率"] == f"{sum(row.state == 'closed' for row in rows) / len(rows):.1%}"
    overdue = [r for r in every if not r.closed_at and r.due_at < datetime.now(UTC)]
    assert tiles["逾期未办"] == str(len(overdue))
    assert fits(page)
    assert not faults_of_axe(page)


def test_range_and_tables_are_reached_by_keyboard(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/dashboard")
    page.get_by_role("link", name="近 7 天").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard?days=7")
    assert len(table(page, "by_day")) == 7
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="每日收件的表格")).to_be_visible()
    assert fits(page)


def test_figures_are_downloaded(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/dashboard")
    with page.expect_download() as started:
        page.get_by_role("link", name="下载 CSV：按类别").click()
    content = Path(started.value.path()).read_text(encoding="utf-8-sig")
    head, *lines = csv.reader(content.splitlines())
    assert head[:2] == ["类别", "收件"]
    assert [line[:2] for line in lines] == [row[:2] for row in table(page, "by_category")]


def test_workbook_is_uploaded_followed_and_downloaded(
    page: Page, site: Site, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    for row in (["编号", "诉求"], [1, "电梯坏了"], [2, None], [3, "停车难"]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "十一月.xlsx")
    page.goto(f"{site.url}/batch")
    page.get_by_label("文件").set_input_files(tmp_path / "十一月.xlsx")
    page.get_by_role("button", name="上传并分类").click()
    expect(page.get_by_role("alert")).to_contain_text("没有「内容」列，有：编号、诉求")
    assert not faults_of_axe(page)
    page.get_by_label("列对应").fill("text=诉求")
    page.get_by_label("文件").set_input_files(tmp_path / "十一月.xlsx")
    page.get_by_role("button", name="上传并分类").click()
    page.wait_for_url("**/batch/*")
    expect(page.get_by_role("status")).to_contain_text("已处理 3 / 3 行，1 行有错")
    expect(page.get_by_role("cell", name="内容是空的")).to_be_visible()
    assert fits(page)
    assert not faults_of_axe(page)
    with page.expect_download() as started:
        page.get_by_role("link", name="下载结果 CSV").click()
    assert started.value.suggested_filename == "十一月-linsheng.csv"
    content = Path(started.value.path()).read_text(encoding="utf-8-sig")
    names = [row["linsheng_name"] for row in csv.DictReader(content.splitlines())]
    assert names == ["电梯故障与维保", "", "停车"]


def test_file_too_large_is_named_before_it_is_sent(page: Page, site: Site, tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_bytes(b"x" * 100_001)
    page.goto(f"{site.url}/batch")
    page.get_by_label("文件").set_input_files(tmp_path / "large.csv")
    page.get_by_role("button", name="上传并分类").click()
    expect(page.get_by_role("alert")).to_contain_text("请分成几个再传")
    assert page.url.endswith("/batch")
