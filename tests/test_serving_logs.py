"""Log lines: one a request, with its id and figures, never with a text."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from serving.logs import configure_logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    configure_logs("info")
    yield stream
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def read(lines: io.StringIO, request_id: str) -> list[dict[str, Any]]:
    read = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [line for line in read if line.get("request_id") == request_id]


def test_request_is_logged_without_its_texts(client: TestClient, lines: io.StringIO) -> None:
    headers = {"x-request-id": "intake-42"}
    body = {"inputs": ["电梯坏了", {"text": "", "place": "幸福里"}]}
    response = client.post("/v1/classify?secret=1", json=body, headers=headers)
    assert response.headers["x-request-id"] == "intake-42"
    [line] = read(lines, "intake-42")
    assert line["duration_ms"] > 0
    named = ("event", "level", "request_id", "method", "path", "status", "items")
    assert [line[name] for name in named] == [
        "request",
        "info",
        "intake-42",
        "POST",
        "/v1/classify",
        200,
        2,
    ]
    for secret in ("电梯", "幸福里", "secret"):
        assert secret not in json.dumps(line, ensure_ascii=False)


def test_failure_is_logged_by_kind_and_place_only(client: TestClient, lines: io.StringIO) -> None:
    def fail(*_: object) -> None:
        raise KeyError("张三的电话")

    app: Any = client.app
    app.state.triage = fail
    response = client.post("/v1/classify", json={"inputs": "电梯"})
    request_id = response.headers["x-request-id"]
    assert request_id in response.json()["error"]["message"]
    logged = read(lines, request_id)
    assert [(line["event"], line["level"]) for line in logged] == [
        ("failure", "error"),
        ("request", "info"),
    ]
    assert logged[0]["error"] == "KeyError"
    assert "in fail" in logged[0]["frames"][-1]
    assert logged[1]["status"] == 500


@pytest.mark.parametrize("given", ["a b", "x" * 65, "电梯".encode(), '"}'])
def test_unfit_request_id_is_replaced(client: TestClient, given: str | bytes) -> None:
    response = client.get("/health/live", headers={"x-request-id": given})
    assert len(response.headers["x-request-id"]) == 32


def test_stages_are_timed(client: TestClient) -> None:
    response = client.post("/v1/classify", json={"inputs": "电梯"})
    stages = [part.split(";dur=") for part in response.headers["server-timing"].split(", ")]
    assert [name for name, _ in stages] == ["read", "queue", "infer"]
    assert all(float(duration) >= 0 for _, duration in stages)
