"""The demonstration: a seeded past that the real moves made, whole or not at all."""

import json
import random
import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from model.calendar import SHANGHAI
from serving.__main__ import cli
from serving.demo import draw_moments, fill
from serving.store.engine import open_store
from serving.store.tables import EventRow, OpinionRow, ReviewRow
from tests.fake_triage import DATA, FakeTriage

COUNT, DAYS, SEED = 60, 20, 7


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("demo") / "demo.db"
    fill(file, FakeTriage(), DATA, COUNT, DAYS, SEED)
    return file


def rows_of(file: Path, table: Any) -> list[Any]:
    store = open_store(f"sqlite:///{file}")
    with store.read() as session:
        rows = list(session.scalars(select(table).order_by(table.id)))
    store.close()
    return rows


def test_opinions_of_the_last_days_are_in_every_state(demo: Path) -> None:
    rows = rows_of(demo, OpinionRow)
    now = datetime.now(SHANGHAI)
    assert len(rows) == COUNT
    assert all(now - timedelta(days=DAYS + 1) < row.received_at < now for row in rows)
    assert {"closed", "routed"} <= {row.state for row in rows}
    assert len({row.street for row in rows}) > 1
    reviews = Counter(review.origin for review in rows_of(demo, ReviewRow))
    assert reviews["corrected"] > 0


def test_events_run_forward_and_end_in_the_row(demo: Path) -> None:
    events = rows_of(demo, EventRow)
    assert [e.at for e in events] == sorted(e.at for e in events)
    last = {event.opinion_id: event.state for event in events}
    assert last == {row.id: row.state for row in rows_of(demo, OpinionRow)}
    assert all(event.at < datetime.now(SHANGHAI) for event in events)
    closings = [e for e in events if e.action == "close"]
    received = {row.id: row.received_at for row in rows_of(demo, OpinionRow)}
    assert closings
    assert all(e.at > received[e.opinion_id] for e in closings)


def test_only_texts_outside_of_training_are_taken(demo: Path) -> None:
    trained_on = set(json.loads((DATA / "splits.json").read_text(encoding="utf-8"))["train"])
    assert not trained_on & {row.external_id for row in rows_of(demo, OpinionRow)}


def test_seed_decides_moments() -> None:
    now = datetime(2026, 11, 23, 10, tzinfo=SHANGHAI)
    moments = draw_moments(500, 14, now, random.Random(1))
    assert moments == draw_moments(500, 14, now, random.Random(1)) == sorted(moments)
    assert moments[-1] < now
    night = sum(moment.hour < 6 for moment in moments)
    assert 0 < night < 60


def test_too_few_texts_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(DATA, data, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    splits = json.loads((data / "splits.json").read_text(encoding="utf-8"))
    everything = [id for ids in splits.values() if isinstance(ids, list) for id in ids]
    (data / "splits.json").write_text(json.dumps({"train": everything[:-5]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"count is 50: .* outside the train split"):
        fill(tmp_path / "demo.db", FakeTriage(), data, 50, DAYS, SEED)
    assert not list(tmp_path.glob("demo*"))


def test_command_fills_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "var" / "demo.db"
    monkeypatch.setattr("serving.__main__.DEMO", file)
    monkeypatch.setattr("serving.__main__.load_triage", lambda *_: FakeTriage())
    command = ["demo", "--count", "12", "--days", "5", "--no-serve"]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert len(rows_of(file, OpinionRow)) == 12
    again = CliRunner().invoke(cli, command)
    assert again.exit_code == 0
    assert "delete it to have it filled anew" in again.stderr
    assert len(rows_of(file, OpinionRow)) == 12
