"""python -m serving routes: a table is checked, tried on what is stored, put into force."""

import re
import shutil
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from typer.testing import CliRunner, Result

from model.text import Opinion
from serving.__main__ import cli
from serving.app import create_app
from serving.settings import Settings
from serving.store import routing_tables
from serving.store.engine import Store
from serving.store.tables import EventRow, RoutingTableRow
from tests.asking import history, keep, moved
from tests.fake_triage import FakeTriage

SHIPPED = Path("data/routing.yaml")
HOUSING = (r"(elevator: +{lead: )market", r"\1housing")
Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """The shipped routing table with every match of the patterns replaced."""

    def write(*changes: tuple[str, str], name: str = "new.yaml") -> Path:
        text = SHIPPED.read_text(encoding="utf-8")
        for pattern, new in changes:
            text, count = re.subn(pattern, new, text)
            assert count, pattern
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, kept: TestClient, database_url: str) -> Store:
    """The database of `kept`, which the commands work on too."""
    monkeypatch.setenv("LINSHENG_DATABASE_URL", database_url)
    monkeypatch.setattr(routing_tables, "CHECK_SECONDS", 0)
    found: Store = kept.app.state.store  # type: ignore[attr-defined]
    return found


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["routes", *map(str, arguments)])


def applied(file: Path) -> str:
    ended = run("apply", file)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def lead_of(client: TestClient, text: str) -> tuple[str, int]:
    answer = client.post("/v1/classify", json={"inputs": text}).json()
    return answer["results"][0]["route"]["lead"]["code"], answer["routing_version"]


def test_a_sound_table_is_said_to_be_sound(table: Table) -> None:
    ended = run("check", SHIPPED)
    assert ended.stdout == "data/routing.yaml: sound, 44 categories, 36 departments\n"
    idle = "  - {code: park,            name: 公园中心,           level: district}\nroutes:"
    ended = run("check", table(("routes:", idle)))
    assert ended.exit_code == 0
    assert "no category leads to park: is that meant?" in ended.stdout


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(elevator: +{lead: )market", r"\1markt", "lead is 'markt'"),
        ("urgent_hours: 2", "urgent_hours: soon", "urgent_hours is 'soon'"),
        (".*name: 公安派出所.*", "", "replace 'police_station' by a listed department"),
        ("police_station,  name", "station, name", "replace 'police_station' by a listed"),
        ("police_station", "station", "gazetteer.yaml: streets[0]: departments: unknown key"),
        ("compound", "yard", "departments: unknown key 'property'"),
    ],
)
def test_a_faulty_table_is_neither_sound_nor_applied(
    table: Table, old: str, new: str, message: str
) -> None:
    file = table((old, new))
    for command in ("check", "preview", "apply"):
        ended = run(command, file)
        assert (ended.exit_code, ended.stdout) == (1, ""), command
        [line] = ended.stderr.splitlines()
        assert line.startswith("error: ")
        assert message in line


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    assert f"error: {tmp_path}/none.yaml: " in run("check", tmp_path / "none.yaml").stderr


def test_preview_tells_what_would_move(
    kept: TestClient, store: Store, table: Table, triage: FakeTriage, tmp_path: Path
) -> None:
    cars = [keep(kept, "停车太难") for _ in range(3)]
    keep(kept, "电梯坏了")
    keep(kept, "树倒了")
    old = keep(kept, "停车太难", received_at="2020-01-02T08:00:00+08:00")
    file = table(
        (
            r"lead: property, ( +)assist: \[traffic_police, first_secretary\]",
            r"lead: traffic_police, \1assist: [property]",
        ),
        ("(greening: .*)days: 5", r"\1days: 9"),
        ("区市场监管局", "区市监局"),
    )
    picture = tmp_path / "moves.svg"
    ended = run("preview", file, "--days", "30", "--picture", picture)
    assert ended.exit_code == 0, ended.output
    lines = [re.split(r"\s{2,}", line) for line in ended.stdout.splitlines()]
    assert lines[0] == [
        "5 opinions of 30 days: 3 would get another lead, 1 other assistance, level or due time"
    ]
    assert lines[2:4] == [
        ["category", "from", "to", "opinions", "such as"],
        [
            triage.taxonomy.category("parking").name,
            "物业服务企业",
            "交警大队",
            "3",
            ", ".join(map(str, cars)),
        ],
    ]
    assert lines[5:] == [
        ["department", "before", "after", "change"],
        ["交警大队", "0", "3", "+3"],
        ["物业服务企业", "3", "0", "-3"],
        ["区园林中心", "1", "1", "+0"],
        ["区市监局", "1", "1", "+0"],
    ]
    assert str(old) not in lines[3][4].split(", ")
    drawn = ET.fromstring(picture.read_text(encoding="utf-8"))
    words = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "近 30 天 5 件，换主办部门 3 件" in words
    assert words.count("+3") == words.count("−3") == 1
    assert {"交警大队", "区园林中心", "区市监局", "物业服务企业", "new.yaml"} <= set(words)
    bars = [float(r.get("width", 0)) for r in drawn.iter("{http://www.w3.org/2000/svg}rect")][3:]
    assert bars == [0, 620, 620, 0, 206.7, 206.7, 206.7, 206.7]
    with store.read() as session:
        assert session.scalars(select(RoutingTableRow)).all() == []  # nothing was changed


@pytest.mark.usefixtures("store")
def test_preview_counts_the_parts_and_not_the_merged(kept: TestClient, table: Table) -> None:
    case, member, whole = (keep(kept, "电梯坏了，停车也难") for _ in range(3))
    moved(kept, case, "merge", members=[member])
    moved(kept, whole, "return", reason="duty")
    texts = {"电梯坏了": "elevator", "停车难": "parking"}
    parts = [{"text": text, "labels": [label]} for text, label in texts.items()]
    moved(kept, whole, "split", parts=parts)
    ended = run("preview", table())
    assert ended.stdout.startswith("3 opinions of 30 days: 0 would get another lead, 0 other")
    assert re.findall(r"区市场监管局 +2 +2 +\+0", ended.stdout)
    assert re.findall(r"物业服务企业 +1 +1 +\+0", ended.stdout)


def test_preview_without_opinions_and_with_odd_options(table: Table, tmp_path: Path) -> None:
    picture = tmp_path / "none.svg"
    ended = run("preview", table(name="<b>&.yaml"), "--picture", picture)
    assert ended.exit_code == 0, ended.output
    assert "0 opinions of 30 days" in ended.stdout
    assert "<b>&.yaml" in [e.text for e in ET.fromstring(picture.read_text("utf-8")).iter()]
    ended = run("preview", SHIPPED, "--picture", tmp_path / "x.png")
    assert "unknown ending '.png': use .svg" in ended.stderr
    assert run("preview", SHIPPED, "--days", "0").exit_code == 2


def test_an_applied_table_is_taken_over_by_the_running_server(
    monkeypatch: pytest.MonkeyPatch, kept: TestClient, store: Store, table: Table
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "wang")
    assert lead_of(kept, "电梯坏了") == ("market", 1)
    before = keep(kept, "电梯坏了")
    file = table(HOUSING)
    assert applied(file) == f"{file}: version 2; servers follow within 5 s\n"
    assert lead_of(kept, "电梯坏了") == ("housing", 2)
    assert kept.get("/info").json()["routing_version"] == 2
    after = keep(kept, "电梯坏了")
    assert history(kept, before)["route"]["lead"]["code"] == "market"  # what was routed stays
    assert history(kept, after)["route"]["lead"]["code"] == "housing"
    with store.read() as session:
        row = session.scalars(select(RoutingTableRow)).one()
        versions = set(session.execute(select(EventRow.opinion_id, EventRow.routing_version)))
    assert (row.version, row.actor, row.content) == (2, "wang", file.read_text(encoding="utf-8"))
    assert abs(row.at - datetime.now(UTC)) < timedelta(minutes=2)
    assert {tuple(pair) for pair in versions} == {(before, 1), (after, 2)}
    assert "is in force already, as version 2" in applied(file)
    assert "version 3" in applied(SHIPPED)
    assert lead_of(kept, "电梯坏了") == ("market", 3)


@pytest.mark.usefixtures("store")
def test_a_server_starts_with_the_table_in_force(
    table: Table, triage: FakeTriage, database_url: str
) -> None:
    applied(table(HOUSING))
    settings = Settings(docs=False, database_url=database_url)
    with TestClient(create_app(settings, triage)) as client:
        assert lead_of(client, "电梯坏了") == ("housing", 2)
    assert triage.routing.version == 1  # the one that was given is left as it is


def test_a_request_under_way_keeps_its_table(
    table: Table, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing_tables, "CHECK_SECONDS", 0)
    reached, gate = threading.Event(), threading.Event()

    class Slow(FakeTriage):
        def _triage(self, reading: str, *more: object) -> object:  # type: ignore[override]
            if "慢" in reading:
                reached.set()
                assert gate.wait(30)
            return super()._triage(reading, *more)  # type: ignore[arg-type]

    found: list[tuple[str, int]] = []
    with TestClient(create_app(settings, Slow())) as client:
        request = threading.Thread(target=lambda: found.append(lead_of(client, "电梯很慢")))
        request.start()
        assert reached.wait(30)
        applied(table(HOUSING))
        assert client.get("/info").json()["routing_version"] == 2
        gate.set()
        request.join(30)
        assert found == [("market", 1)]
        assert lead_of(client, "电梯") == ("housing", 2)


def test_the_database_is_not_asked_at_every_request(
    monkeypatch: pytest.MonkeyPatch, client: TestClient, table: Table
) -> None:
    monkeypatch.setattr(routing_tables, "CHECK_SECONDS", 3600)
    assert lead_of(client, "电梯坏了") == ("market", 1)
    applied(table(HOUSING))
    assert lead_of(client, "电梯坏了") == ("market", 1)


def test_a_stored_table_that_no_longer_fits_leaves_the_present_one(
    kept: TestClient, store: Store
) -> None:
    with store.write() as session:
        now = datetime.now(UTC)
        session.add(RoutingTableRow(version=7, at=now, actor="wang", content="version: 1\n"))
    assert lead_of(kept, "电梯坏了") == ("market", 1)
    ended = run("preview", SHIPPED)
    assert ended.exit_code == 1
    assert "routing table, version 7: levels is missing" in ended.stderr


@pytest.mark.usefixtures("store")
def test_a_table_without_a_level_that_is_in_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, kept: TestClient, table: Table, tmp_path: Path
) -> None:
    id = keep(kept, "电梯坏了")
    file = table(("compound", "yard"))
    for name in ("taxonomy", "routing", "holidays"):
        shutil.copy(f"data/{name}.yaml", tmp_path)
    (tmp_path / "gazetteer.yaml").write_text("streets: []\n", encoding="utf-8")
    monkeypatch.setenv("LINSHENG_DATA", str(tmp_path))
    ended = run("apply", file)
    assert ended.exit_code == 1
    assert "levels lacks 'compound' (1): open opinions stand there" in ended.stderr
    moved(kept, id, "close", answer="修好了")
    assert "version 2" in applied(file)


@pytest.mark.usefixtures("store")
def test_departments_that_still_lead_open_opinions_are_named(
    kept: TestClient, table: Table
) -> None:
    id = keep(kept, "电梯坏了")
    file = table((r"(code: |lead: |\[)market\b", r"\1bureau"))
    assert "1 open opinions stay with market, which the table does not list" in applied(file)
    assert history(kept, id)["route"]["lead"] == {"code": "market", "name": "market"}
    assert lead_of(kept, "电梯坏了")[0] == "bureau"


def test_the_user_of_a_container_may_have_no_name(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    applied(SHIPPED)
    with store.read() as session:
        assert re.fullmatch(r"uid \d+", session.scalars(select(RoutingTableRow.actor)).one())


def test_another_table_keeps_the_classifier(triage: FakeTriage) -> None:
    other = triage.with_routing(triage.routing)
    assert other is not triage
    assert other.classifier is triage.classifier
    now = datetime.now(UTC)
    assert other([Opinion("电梯坏了")], [now])[0].route.lead.code == "market"
