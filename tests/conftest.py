"""Fixtures that several test files share."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from serving.app import create_app
from serving.settings import Settings
from tests.fake_triage import FakeTriage


@pytest.fixture(autouse=True)
def _own_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test meets the database of the checkout, or the accounts in it."""
    monkeypatch.setenv("LINSHENG_DATABASE_URL", f"sqlite:///{tmp_path}/linsheng.db")


@pytest.fixture(scope="session")
def triage() -> FakeTriage:
    """The real tables behind a classifier of four keywords."""
    return FakeTriage()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a database of the test's own, without documentation and draws for audit."""
    url = f"sqlite:///{tmp_path}/linsheng.db"
    return Settings(docs=False, database_url=url, audit_share=0)


@pytest.fixture
def client(triage: FakeTriage, settings: Settings) -> Iterator[TestClient]:
    """A client of the whole application on SQLite."""
    with TestClient(create_app(settings, triage)) as client:
        yield client


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind; PostgreSQL where TEST_POSTGRES_URL names a server."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/linsheng.db"
        return
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        missing = "TEST_POSTGRES_URL names no PostgreSQL server"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    name = f"linsheng_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def kept(triage: FakeTriage, database_url: str) -> Iterator[TestClient]:
    """A client of the whole application on each kind of database; nothing is drawn for audit."""
    settings = Settings(docs=False, database_url=database_url, audit_share=0)
    with TestClient(create_app(settings, triage)) as client:
        yield client


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a random two-layer encoder on a hundred opinions."""
    from training.config import load_config
    from training.train import train

    recipe = load_config(Path("training/configs/tiny.toml"))
    recipe = replace(recipe, data=replace(recipe.data, limit=100))
    run = tmp_path_factory.mktemp("tiny") / "run"
    train(recipe, run)
    return run


@pytest.fixture(scope="session")
def tiny_artifact(tiny_run: Path) -> Path:
    """The artifact of `tiny_run`; its answers are poor, its form is that of a release."""
    from training.export import export

    out = tiny_run.parent / "artifact"
    export(tiny_run, out, min_parity=0.5)
    return out
