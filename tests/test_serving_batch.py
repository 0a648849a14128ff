"""批量分类: files in, tables out; bad rows, wrong files, strangers and restarts."""

import csv
import io
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from fastapi.testclient import TestClient

from model.triage import Triaged
from serving.access import add_account, add_key
from serving.app import create_app
from serving.jobs import INTERRUPTED, MAX_WAITING
from serving.settings import Settings
from serving.store.tables import JobRow
from tests.fake_triage import FakeTriage

HEADER = ["编号", "内容", "标题"]
ROWS = [
    ["1", "电梯坏了", ""],
    ["2", "", "停车难"],
    ["3", "", ""],
    ["4", "🙂", ""],
    ["@5", "门口的树，挡光", "<b>急</b>"],
]
COLUMNS = {"columns": "text=内容,title=标题"}


class SlowTriage(FakeTriage):
    """Waits before it reads texts with 慢 until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.reached = threading.Event(), threading.Event()

    def __call__(self, opinions: Any, *more: Any, **options: Any) -> list[Triaged]:
        if any("慢" in opinion.text for opinion in opinions):
            self.reached.set()
            assert self.go.wait(30)
        return super().__call__(opinions, *more, **options)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        docs=False,
        database_url=f"sqlite:///{tmp_path}/linsheng.db",
        jobs_dir=tmp_path / "jobs",
        max_job_rows=200,
        max_body_bytes=200_000,
    )


@pytest.fixture
def slow() -> Iterator[SlowTriage]:
    triage = SlowTriage()
    yield triage
    triage.go.set()


def as_csv(rows: Sequence[Sequence[str]], encoding: str = "utf-8-sig") -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode(encoding)


def as_xlsx(rows: Sequence[Sequence[str]]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.worksheets[0].append([cell or None for cell in row])
    book.save(file)
    return file.getvalue()


def send(client: TestClient, name: str, content: bytes, **fields: str) -> Any:
    files = {"file": (name, content)}
    return client.post("/batch", files=files, data=COLUMNS | fields, follow_redirects=False)


def accepted(client: TestClient, name: str, content: bytes, **fields: str) -> str:
    """The number of the job."""
    answer = send(client, name, content, **fields)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removeprefix("/batch/")


def job_of(client: TestClient, id: str) -> JobRow:
    with client.app.state.store.read() as session:  # type: ignore[attr-defined]
        return session.get_one(JobRow, id)


def finished(client: TestClient, id: str) -> JobRow:
    for _ in range(1500):
        job = job_of(client, id)
        if job.state not in ("waiting", "running"):
            return job
        time.sleep(0.02)
    raise AssertionError(f"job {id} does not end")


def result(client: TestClient, id: str) -> list[dict[str, str]]:
    answer = client.get(f"/batch/{id}/result.csv")
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


@pytest.mark.parametrize(
    ("name", "content", "encoding"),
    [
        ("表.csv", as_csv([HEADER, *ROWS]), "utf-8-sig"),
        ("表.XLSX", as_xlsx([HEADER, *ROWS]), "utf-8-sig"),
        ("old.csv", as_csv([HEADER, *(r for r in ROWS if r[0] != "4")], "gb18030"), "gb18030"),
    ],
)
def test_every_row_gets_its_result_or_its_error(
    client: TestClient, name: str, content: bytes, encoding: str
) -> None:
    id = accepted(client, name, content, encoding=encoding)
    job = finished(client, id)
    lines = result(client, id)
    bad = {line["编号"]: line["linsheng_error"].split(":")[0] for line in lines}
    assert bad | {"4": "no_words"} == {
        "1": "", "2": "", "3": "empty_text", "4": "no_words", "'@5": "",
    }  # fmt: skip
    assert [line["linsheng_category"] for line in lines if not line["linsheng_error"]] == [
        "elevator",
        "parking",
        "greening",
    ]
    assert (job.state, job.done, job.total) == ("done", len(lines), len(lines))
    assert job.errors == sum(bool(line["linsheng_error"]) for line in lines)
    page = client.get(f"/batch/{id}").text
    assert "内容是空的" in page
    assert "every 1s" not in page
    assert name in client.get("/batch").text


def test_no_cell_of_the_result_is_a_formula(client: TestClient) -> None:
    rows = [["=内容", "内容"], ["@x", "=HYPERLINK(0) 电梯坏了"], ["-1", "+树"]]
    id = accepted(client, "f.csv", as_csv(rows), columns="text=内容")
    finished(client, id)
    text = client.get(f"/batch/{id}/result.csv").content.decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert {"'=内容", "'@x", "'=HYPERLINK(0) 电梯坏了", "'-1", "'+树"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_name_of_a_file_is_only_shown(client: TestClient, settings: Settings) -> None:
    id = accepted(client, "../../<img src=x>.csv", as_csv([HEADER, *ROWS]))
    finished(client, id)
    assert sorted(path.name for path in settings.jobs_dir.iterdir()) == [id]
    page = client.get(f"/batch/{id}").text
    assert "&lt;img src=x&gt;.csv" in page
    assert "<img" not in page


@pytest.mark.parametrize(
    ("name", "content", "fields", "message"),
    [
        ("a.pdf", b"%PDF", {}, "不是 .xlsx 或 .csv 文件"),
        ("a.xlsx", b"no workbook", {}, "no workbook"),
        ("a.csv", as_csv([HEADER, *ROWS]), {"columns": "text=诉求"}, "没有「诉求」列，有：编号、"),
        ("a.csv", as_csv([HEADER, *ROWS]), {"columns": "text"}, "names no column"),
        ("a.csv", as_csv([HEADER, *ROWS]), {"columns": "words=内容"}, "unknown field"),
        ("a.csv", as_csv([HEADER, *ROWS]), {"encoding": "utf-7"}, "编码请选"),
        ("a.csv", as_csv([HEADER, ROWS[0]], "gb18030"), {}, "not in utf-8-sig"),
        ("a.csv", as_csv([HEADER]), {}, "no rows below the header"),
        ("a.csv", as_csv([HEADER, *[ROWS[0]] * 201]), {}, "more than 200 rows"),
        ("a.csv", as_csv([["内容", "标题", *map(str, range(200))], ["树"]]), {}, "200 columns"),
        ("", b"", {}, "请先选择一个文件"),
    ],
)
def test_wrong_file_is_refused_with_the_remedy_and_leaves_nothing(
    client: TestClient,
    settings: Settings,
    name: str,
    content: bytes,
    fields: dict[str, str],
    message: str,
) -> None:
    answer = send(client, name, content, **fields)
    assert answer.status_code == 422
    assert message in answer.text
    assert str(settings.jobs_dir) not in answer.text
    assert not settings.jobs_dir.exists() or not list(settings.jobs_dir.iterdir())


def test_file_too_large_is_refused(client: TestClient) -> None:
    assert send(client, "a.csv", b"x" * 200_001).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield b'--B\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range(30):
            yield b"x" * 10_000

    form = {"content-type": "multipart/form-data; boundary=B"}
    answer = client.post("/batch", content=chunks(), headers=form)
    assert answer.status_code == 413
    assert "文件超过 0.190735 MB" in answer.text


def test_workbook_that_unpacks_to_too_much_is_refused(client: TestClient) -> None:
    content = as_xlsx([HEADER, *[["1", f"电梯{i}" * 3000, ""] for i in range(190)]])
    assert len(content) < 200_000
    answer = send(client, "bomb.xlsx", content)
    assert answer.status_code == 422
    assert "unpacks to" in answer.text


def test_other_forms_are_refused(client: TestClient) -> None:
    assert client.post("/batch", data=COLUMNS).status_code == 422
    broken = {"content-type": "multipart/form-data"}
    assert client.post("/batch", content=b"--x", headers=broken).status_code == 422


@pytest.mark.parametrize("id", ["x", "a" * 22, "..%2f..%2fetc"])
@pytest.mark.parametrize("part", ["", "/progress", "/result.csv"])
def test_unknown_job_is_not_found(client: TestClient, id: str, part: str) -> None:
    assert client.get(f"/batch/{id}{part}").status_code == 404


def test_running_job_shows_progress_and_has_no_result_yet(
    settings: Settings, slow: SlowTriage
) -> None:
    rows = [HEADER, *[ROWS[0]] * 16, ["9", "慢", ""]]
    with TestClient(create_app(settings, slow)) as client:
        id = accepted(client, "s.csv", as_csv(rows))
        assert slow.reached.wait(30)
        part = client.get(f"/batch/{id}/progress").text
        assert "已处理 16 / 17 行" in part
        assert "every 1s" in part
        assert client.get(f"/batch/{id}/result.csv").status_code == 404
        slow.go.set()
        assert finished(client, id).state == "done"
        assert len(result(client, id)) == 17


def test_one_file_too_many_waits_outside(settings: Settings, slow: SlowTriage) -> None:
    content = as_csv([HEADER, ["9", "慢", ""]])
    with TestClient(create_app(settings, slow)) as client:
        first = accepted(client, "s.csv", content)
        assert slow.reached.wait(30)
        ids = [first, *(accepted(client, "s.csv", content) for _ in range(MAX_WAITING))]
        answer = send(client, "s.csv", content)
        assert answer.status_code == 429
        assert "排队的文件太多" in answer.text
        assert len(list(settings.jobs_dir.iterdir())) == len(ids)
        slow.go.set()
        assert {finished(client, id).state for id in ids} == {"done"}


def test_job_whose_inference_fails_says_so_and_the_next_one_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    triage = FakeTriage()
    with TestClient(create_app(settings, triage)) as client:
        with monkeypatch.context() as broken:
            broken.setattr("serving.jobs.answer_items", lambda *_: 1 / 0)
            failed = accepted(client, "f.csv", as_csv([HEADER, *ROWS]))
            assert finished(client, failed).state == "failed"
        assert "服务出错" in client.get(f"/batch/{failed}").text
        assert finished(client, accepted(client, "g.csv", as_csv([HEADER, *ROWS]))).state == "done"


def test_stopped_server_fails_what_it_did_not_finish(settings: Settings, slow: SlowTriage) -> None:
    rows = [HEADER, ["9", "慢", ""], *[ROWS[0]] * 40]
    with TestClient(create_app(settings, slow)) as client:
        ids = [accepted(client, "s.csv", as_csv(rows)) for _ in range(2)]
        assert slow.reached.wait(30)
        threading.Timer(0.3, slow.go.set).start()
    with TestClient(create_app(settings, FakeTriage())) as client:
        for id in ids:
            job = job_of(client, id)
            assert (job.state, job.message) == ("failed", INTERRUPTED)
            page = client.get(f"/batch/{id}").text
            assert INTERRUPTED in page
            assert "every 1s" not in page


def test_killed_server_leaves_jobs_that_the_next_one_fails(
    settings: Settings, slow: SlowTriage
) -> None:
    with TestClient(create_app(settings, slow)) as alive:
        running = accepted(alive, "s.csv", as_csv([HEADER, ["9", "慢", ""]]))
        assert slow.reached.wait(30)
        killed = "k" * 22
        (settings.jobs_dir / killed).mkdir()
        row = {"actor": "local", "at": datetime.now(UTC), "file": "k.csv", "total": 3, "errors": 0}
        with alive.app.state.store.write() as session:  # type: ignore[attr-defined]
            session.add(JobRow(id=killed, state="running", done=1, message=None, **row))
            session.add(JobRow(id="e" * 22, state="running", done=1, message=None, **row))
        with TestClient(create_app(settings, FakeTriage())) as other:
            assert job_of(other, killed).state == "failed"
            assert job_of(other, running).state != "failed"  # its process lives
            assert job_of(other, "e" * 22).state == "running"  # on another machine
        slow.go.set()
        assert finished(alive, running).state == "done"


def test_jobs_are_their_senders_and_the_administrators(client: TestClient) -> None:
    id = accepted(client, "mine.csv", as_csv([HEADER, *ROWS]))
    finished(client, id)
    with client.app.state.store.write() as session:  # type: ignore[attr-defined]
        keys = {scope: add_key(session, scope, scope) for scope in ("intake", "admin")}
        add_account(session, "审核员甲", "reviewer", "a long password")
    for scope, status in (("intake", 404), ("admin", 200)):
        headers = {"authorization": f"Bearer {keys[scope]}"}
        assert client.get(f"/batch/{id}/result.csv", headers=headers).status_code == status
        assert ("mine.csv" in client.get("/batch", headers=headers).text) == (status == 200)
    assert client.get("/batch", follow_redirects=False).headers["location"].startswith("/login")
    assert send(client, "a.csv", as_csv([HEADER, *ROWS])).headers["location"].startswith("/login")


def test_page_of_another_site_cannot_upload(client: TestClient) -> None:
    files = {"file": ("a.csv", as_csv([HEADER, *ROWS]))}
    answer = client.post("/batch", files=files, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
