"""Fixtures that several test files share."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.settings import Settings
from tests.fake_triage import FakeTriage


@pytest.fixture(scope="session")
def triage() -> FakeTriage:
    """The real tables behind a classifier of four keywords."""
    return FakeTriage()


@pytest.fixture
def client(triage: FakeTriage) -> Iterator[TestClient]:
    """A client of the whole application, less its documentation."""
    with TestClient(create_app(Settings(docs=False), triage)) as client:
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
