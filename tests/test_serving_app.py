"""The application as a whole: start, readiness, what it tells about itself, its documentation."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.schema import ClassifyAnswer, ClassifyRequest, Limits
from serving.settings import Settings
from tests.fake_triage import FakeTriage

ROOT = Path(__file__).parents[1]


def test_live_at_once_and_ready_after_load_and_warm_up(
    monkeypatch: pytest.MonkeyPatch, triage: FakeTriage
) -> None:
    gate = threading.Event()
    loaded: list[tuple[object, ...]] = []

    def load(*arguments: object) -> FakeTriage:
        assert gate.wait(10)
        loaded.append(arguments)
        return triage

    monkeypatch.setattr("serving.app.load_triage", load)
    app = create_app(Settings(artifact=Path("a"), data=Path("d"), threads=2))
    with TestClient(app) as client:
        assert client.get("/health/live").json() == {"status": "live"}
        for path in ("/health/ready", "/info", "/v1/taxonomy", "/v1/departments"):
            assert client.get(path).status_code == 503
        gate.set()
        while client.get("/health/ready").status_code == 503:
            threading.Event().wait(0.01)
        assert client.get("/health/ready").json() == {"status": "ready"}
        assert client.post("/v1/classify", json={"inputs": "电梯"}).status_code == 200
    assert loaded == [(Path("a"), Path("d"), 2)]


def test_failure_to_load_is_reported_and_never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> FakeTriage:
        raise ValueError("model.onnx: SHA-256 differs")

    monkeypatch.setattr("serving.app.load_triage", load)
    failures: list[BaseException] = []
    reported = threading.Event()

    def report(error: BaseException) -> None:
        failures.append(error)
        reported.set()

    with TestClient(create_app(Settings(), on_failure=report)) as client:
        assert reported.wait(10)
        assert client.get("/health/ready").status_code == 503
    assert [str(error) for error in failures] == ["model.onnx: SHA-256 differs"]


@pytest.mark.slow
def test_server_with_a_broken_artifact_ends_with_one_line_and_code_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serving", "run", "--port", "0"]
    environment = {"LINSHENG_ARTIFACT": str(tmp_path), "LINSHENG_LOG_LEVEL": "error"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/manifest.json: missing")


def test_importing_the_application_loads_no_training_library() -> None:
    program = (
        "import sys, serving.app, serving.__main__\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'sklearn') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_info_names_versions_limits_and_facts(client: TestClient) -> None:
    info = client.get("/info").json()
    assert (info["model_version"], info["taxonomy_version"], info["routing_version"]) == (
        "fake-1",
        1,
        1,
    )
    assert info["limits"] == {name: getattr(Settings(), name) for name in Limits.model_fields}
    assert info["model"]["categories"] == 44
    assert info["model"]["target_error"] == 0.05


def test_taxonomy_and_departments_are_told_whole(client: TestClient, triage: FakeTriage) -> None:
    domains = client.get("/v1/taxonomy").json()["domains"]
    codes = [category["code"] for domain in domains for category in domain["categories"]]
    assert tuple(codes) == triage.taxonomy.codes
    greening = domains[0]["categories"][0]
    assert set(greening) == {"code", "name", "means", "excludes"}
    departments = client.get("/v1/departments").json()
    assert departments["levels"] == ["compound", "community", "street", "district"]
    assert departments["departments"][0] == {
        "code": "property",
        "name": "物业服务企业",
        "level": "compound",
    }


@pytest.fixture
def documented(triage: FakeTriage) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), triage)) as client:
        yield client


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def test_openapi_describes_requests_and_answers(documented: TestClient) -> None:
    document = documented.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    operation = document["paths"]["/v1/classify"]["post"]
    request = operation["requestBody"]["content"]["application/json"]
    assert request["schema"] == {"$ref": "#/components/schemas/ClassifyRequest"}
    for example in request["examples"].values():
        ClassifyRequest.model_validate(example["value"])
        assert documented.post("/v1/classify", json=example["value"]).status_code == 200
    answer = operation["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/ClassifyAnswer"}
    ClassifyAnswer.model_validate(answer["example"])
    for status in ("400", "408", "413", "415", "422", "429", "500", "503"):
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}


def test_docs_load_nothing_from_other_hosts(documented: TestClient) -> None:
    page = documented.get("/docs")
    sources = re.findall(r"""(?:src|href)=["']([^"']+)|url: '([^']+)""", page.text)
    assert len(sources) == 4
    for source in (a or b for a, b in sources):
        assert "//" not in source
        if not source.startswith("data:"):
            assert documented.get("/" + source).status_code == 200
    for path in ("none.js", "..%2f__init__.py", "%2e%2e/__init__.py"):
        assert documented.get(f"/docs/static/{path}").json()["error"]["type"] == "not_found"
    refused = documented.post("/docs/static/swagger-ui.css")
    assert refused.json()["error"]["type"] == "method_not_allowed"
    assert refused.headers["allow"] == "GET, HEAD"
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_docs_can_be_switched_off(triage: FakeTriage) -> None:
    with TestClient(create_app(Settings(docs=False), triage)) as client:
        for path in ("/docs", "/openapi.json", "/redoc", "/docs/static/swagger-ui.css"):
            assert client.get(path).status_code == 404
