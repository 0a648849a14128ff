"""No request body grows without bound, whichever route it is for."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.settings import Settings
from tests.fake_triage import FakeTriage

PATHS = ["/v1/classify", "/v1/opinions", "/v1/opinions/1/review", "/v1/opinions/1/split"]


@pytest.fixture
def narrow(triage: FakeTriage, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings.model_copy(update={"max_body_bytes": 100}), triage)) as c:
        yield c


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_says_it_is_too_large_is_refused_unread(narrow: TestClient, path: str) -> None:
    answer = narrow.post(path, content=b"[" * 101, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "body_too_large"
    assert "100 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_grows_too_large_is_refused(narrow: TestClient, path: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield b"[" * 30

    answer = narrow.post(path, content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "body_too_large"
