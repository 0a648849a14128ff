"""The database: made from nothing, equal to the models, one state for readers, indexes in use."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fastapi.testclient import TestClient
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from serving.app import create_app
from serving.settings import Settings
from serving.store.engine import Store, migrate, open_store
from serving.store.tables import AccountRow, EventRow, OpinionRow, Table
from tests.asking import keep
from tests.benchmarks.store import fill
from tests.fake_triage import FakeTriage
from tests.query_plans import explain

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def account(name: str) -> AccountRow:
    return AccountRow(name=name, role="lead", password_hash="-", created_at=NOW, disabled=False)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url)
    yield store
    store.close()


def test_an_empty_database_gets_every_table(store: Store) -> None:
    found = set(inspect(store.engine).get_table_names())
    assert found == {*Table.metadata.tables, "alembic_version"}


def test_the_schema_equals_the_models(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_opening_again_changes_nothing(store: Store, database_url: str) -> None:
    with store.write() as session:
        session.add(account("li"))
        migrate(session.connection())
    again = open_store(database_url)
    with again.read() as session:
        assert session.scalars(select(AccountRow.name)).all() == ["li"]
        assert session.scalars(text("SELECT version_num FROM alembic_version")).all() == ["0001"]
    again.close()


def test_processes_that_open_it_at_once_all_succeed(database_url: str) -> None:
    program = (
        "import sys; from serving.store.engine import open_store; print('ready', flush=True);"
        "sys.stdin.readline(); open_store(sys.argv[1]).close(); print('open')"
    )
    command = [sys.executable, "-c", program, database_url]
    pipe = subprocess.PIPE
    openers = [
        subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(4)
    ]
    for opener in openers:
        assert opener.stdout
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        assert opener.stdin
        opener.stdin.write("\n")
        opener.stdin.flush()
    ended = [opener.communicate(timeout=60) for opener in openers]
    assert ended == [("open\n", "")] * 4


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no address of a database"),
        ("linsheng.db", "no address of a database"),
        ("mysql://user:geheim@host/name", "write sqlite:///FILE or postgresql://"),
        ("postgresql://user:geheim@host:port/name", "no address of a database"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_the_password(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        open_store(url)
    assert "geheim" not in str(refused.value)
    assert "database_url" in str(refused.value)


@pytest.mark.parametrize("url", ["nonsense", "postgresql://nobody:geheim@127.0.0.1:1/none"])
def test_a_server_without_its_database_ends_with_one_line(url: str) -> None:
    command = [sys.executable, "-m", "serving", "run", "--port", "0"]
    environment = {"LINSHENG_DATABASE_URL": url, "LINSHENG_LOG_LEVEL": "error"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert "geheim" not in line


def test_a_missing_directory_of_sqlite_is_made(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/var/data/linsheng.db").close()
    assert (tmp_path / "var/data/linsheng.db").is_file()


def test_sqlite_writes_every_commit_to_disk_beside_its_readers(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/linsheng.db")
    with store.read() as session:
        modes = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert modes == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    store.close()


def test_moments_come_back_in_utc_and_need_a_zone(store: Store) -> None:
    shanghai = timezone(timedelta(hours=8))
    with store.write() as session:
        row = account("li")
        row.created_at = datetime(2026, 11, 23, 8, 0, 0, 123456, shanghai)
        session.add(row)
    with store.read() as session:
        found = session.get_one(AccountRow, "li").created_at
    assert found.isoformat() == "2026-11-23T00:00:00.123456+00:00"
    naive = account("wang")
    naive.created_at = datetime(2026, 11, 23, 8)
    with (
        pytest.raises(StatementError, match="2026-11-23T08:00:00: add a time zone"),
        store.write() as session,
    ):
        session.add(naive)


def test_a_block_that_fails_leaves_nothing(store: Store) -> None:

    def fail() -> None:
        with store.write() as session:
            session.add(account("li"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(AccountRow)) == 0


def test_references_are_enforced(store: Store) -> None:
    event = EventRow(
        opinion_id=1, at=NOW, actor="li", action="x", state="x", detail={}, model_version="x",
        taxonomy_version=1, routing_version=1,
    )  # fmt: skip
    with pytest.raises(IntegrityError), store.write() as session:
        session.add(event)


def test_a_reader_sees_one_state_while_others_write(store: Store) -> None:
    count = select(func.count()).select_from(AccountRow)
    with store.read() as reader:
        assert reader.scalar(count) == 0
        with store.write() as writer:
            writer.add(account("li"))
        assert reader.scalar(count) == 0
    with store.read() as reader:
        assert reader.scalar(count) == 1


# What staff look at all day must run along an index, without sorting what it finds.
ALONG_AN_INDEX = [
    ({}, "ix_opinions_received"),
    ({"sort": "oldest"}, "ix_opinions_received"),
    ({"waiting": "true", "sort": "uncertain"}, "_uncertain"),
    ({"waiting": "true", "sort": "due"}, "_due"),
    ({"state": "in_review"}, "ix_opinions_state"),
    ({"category": "flood"}, "ix_opinions_category"),
    ({"department": "education"}, "ix_opinions_lead"),
    ({"received_from": "2026-01-01T00:00:00Z"}, "ix_opinions_received"),
]
# These find few rows; whichever index names them will do.
NARROWED = [
    ({"overdue": "true", "sort": "due"}, "ix_opinions_open_due"),
    ({"audit": "true"}, "ix_opinions_audit"),
    ({"parent_id": "7"}, "ix_opinions_parent_id"),
    ({"case_id": "7"}, "ix_opinions_case_id"),
]


@pytest.mark.slow
def test_lists_run_along_their_indexes(triage: FakeTriage, database_url: str) -> None:
    app = create_app(Settings(docs=False, database_url=database_url), triage)
    store: Store = app.state.store
    fill(store, triage, 4_000)
    with TestClient(app) as client:
        for query, index in ALONG_AN_INDEX:
            with explain(store) as plans:
                page = client.get("/v1/opinions", params={**query, "limit": "5"}).json()
                cursor = {"cursor": page["next_cursor"], "limit": "5"}
                client.get("/v1/opinions", params=query | cursor)
            assert len(plans) == 2
            for plan in plans:
                assert index in plan, (query, plan)
                assert "Sort" not in plan, (query, plan)
                assert "TEMP B-TREE" not in plan, (query, plan)
        for query, index in NARROWED:
            with explain(store) as plans:
                client.get("/v1/opinions", params=query)
            assert index in plans[0], (query, plans)


def test_twins_of_an_external_id_are_refused_by_the_database(kept: TestClient) -> None:
    id = keep(kept, external_id="x-1")
    store: Store = kept.app.state.store  # type: ignore[attr-defined]
    with store.read() as session:
        row = session.get_one(OpinionRow, id)
    values = {c.key: getattr(row, c.key) for c in inspect(OpinionRow).columns if c.key != "id"}
    with pytest.raises(IntegrityError), store.write() as session:
        session.add(OpinionRow(**values))
