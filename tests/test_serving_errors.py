"""Every request-level error: its status, and one form for all of them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from serving.errors import STATUS, RequestErrorType
from serving.settings import Settings

JSON = {"content-type": "application/json"}
Provoke = Callable[[TestClient], Any]


def post(content: str | bytes | Iterator[bytes], **headers: str) -> Provoke:
    named = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda client: client.post("/v1/classify", content=content, headers=named)


def post_json(**body: object) -> Provoke:
    return post(json.dumps(body))


def chunks(count: int, size: int) -> Iterator[bytes]:
    yield from (b" " * size for _ in range(count))


def without_model(client: TestClient) -> Any:
    client.app.state.triage = None  # type: ignore[attr-defined]
    return client.post("/v1/classify", json={"inputs": "电梯"})


def without_room(client: TestClient) -> Any:
    client.app.state.line._max_queue = 0  # type: ignore[attr-defined]
    return client.post("/v1/classify", json={"inputs": "电梯"})


def with_broken_model(client: TestClient) -> Any:
    def fail(*_: object) -> None:
        raise KeyError("电梯的秘密")

    client.app.state.triage = fail  # type: ignore[attr-defined]
    return client.post("/v1/classify", json={"inputs": "电梯"})


def with_key_of_another_body(client: TestClient) -> Any:
    for text in ("电梯坏了", "树倒了"):
        answer = client.post("/v1/opinions", json={"text": text}, headers={"idempotency-key": "k"})
    return answer


def kept(path: str, body: dict[str, object]) -> Provoke:
    """A move on an opinion that has just come in and been routed."""

    def move(client: TestClient) -> Any:
        client.post("/v1/opinions", json={"text": "电梯坏了"})
        return client.post(f"/v1/opinions/1/{path}", json=body)

    return move


def with_headers(**headers: str) -> Provoke:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda client: client.post("/v1/opinions", json={"text": "电梯"}, headers=named)


def with_slow_body(client: TestClient) -> Any:
    """A client that sends nothing of its body; answered by the application itself."""
    app: Any = client.app
    app.state.settings = Settings(max_wait_seconds=0.01)
    return client.portal.call(call_silently, app)  # type: ignore[union-attr]


async def call_silently(app: Any) -> Any:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(10)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/classify",
        "raw_path": b"/v1/classify",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    return Answer(sent[0]["status"], sent[0]["headers"], json.loads(sent[1]["body"]))


class Answer:
    """What a test reads of a response."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: Any) -> None:
        self.status_code = status
        self.headers = {name.decode(): value.decode() for name, value in headers}
        self.json = lambda: body


PROVOKED: list[tuple[RequestErrorType, str | None, Provoke]] = [
    ("invalid_json", None, post("电梯")),
    ("invalid_json", None, post("")),
    ("invalid_json", None, post('{"inputs": "电梯"'.encode("gb18030"))),
    ("invalid_json", None, post("[" * 100_000)),
    ("invalid_json", None, post('{"inputs": ' + "1" * 10_000 + "}")),
    ("not_found", None, lambda client: client.get("/v1/nothing")),
    ("method_not_allowed", None, lambda client: client.get("/v1/classify")),
    ("method_not_allowed", None, lambda client: client.head("/v1/classify")),
    ("method_not_allowed", None, lambda client: client.options("/v1/classify")),
    ("method_not_allowed", None, lambda client: client.delete("/info")),
    ("body_timeout", None, with_slow_body),
    ("body_too_large", None, post(chunks(200, 65_536))),
    ("body_too_large", None, post(chunks(200, 65_536), content_length="10")),
    ("batch_too_large", "inputs", post_json(inputs=["电梯"] * 10_000)),
    ("batch_too_large", "inputs", post_json(inputs=["电梯"] * 17, explain=True)),
    ("unsupported_media_type", None, post("{}", content_type="text/plain")),
    ("unsupported_media_type", None, post("{}", content_type="multipart/form-data")),
    ("unsupported_media_type", None, post(b"\x1f\x8b\x08", content_encoding="gzip")),
    ("missing_field", "inputs", post_json(top_k=3)),
    ("wrong_type", None, post("null")),
    ("wrong_type", None, post('["电梯"]')),
    ("wrong_type", "inputs", post_json(inputs=None)),
    ("wrong_type", "inputs", post_json(inputs=3)),
    ("wrong_type", "inputs", post('{"inputs": NaN}')),
    ("wrong_type", "top_k", post_json(inputs="电梯", top_k="5")),
    ("wrong_type", "top_k", post_json(inputs="电梯", top_k=True)),
    ("wrong_type", "top_k", post_json(inputs="电梯", top_k=1.5)),
    ("wrong_type", "explain", post_json(inputs="电梯", explain="yes")),
    ("unknown_field", "topk", post_json(inputs="电梯", topk=3)),
    ("unknown_field", "\\ud800", post('{"inputs": "电梯", "\\ud800": 1}')),
    ("unknown_field", "k" * 60, post_json(inputs="电梯", **{"k" * 100_000: 1})),
    ("out_of_range", "top_k", post_json(inputs="电梯", top_k=0)),
    ("out_of_range", "top_k", post_json(inputs="电梯", top_k=51)),
    ("unauthorized", None, with_headers(authorization="Bearer ls_none")),
    ("forbidden", None, with_headers(origin="https://elsewhere.example")),
    (
        "illegal_move",
        None,
        kept("split", {"parts": [{"text": "电梯", "labels": ["elevator"]}] * 2}),
    ),
    ("version_conflict", None, kept("close", {"answer": "已修好", "version": 9})),
    ("bad_value", "reason", kept("return", {"reason": "none"})),
    ("bad_value", "id", lambda client: client.get("/v1/opinions/one")),
    ("missing_field", "answer", kept("close", {})),
    ("unknown_field", "notes", kept("escalate", {"notes": "x"})),
    ("key_reused", None, with_key_of_another_body),
    ("too_busy", None, without_room),
    ("internal", None, with_broken_model),
    ("not_ready", None, without_model),
]


@pytest.mark.parametrize(("kind", "field", "provoke"), PROVOKED)
def test_every_error_has_its_status_and_the_one_form(
    client: TestClient, kind: RequestErrorType, field: str | None, provoke: Provoke
) -> None:
    response = provoke(client)
    assert response.status_code == STATUS[kind]
    assert len(response.headers["x-request-id"]) == 32
    assert ("retry-after" in response.headers) == (kind in ("too_busy", "not_ready"))
    assert ("allow" in response.headers) == (kind == "method_not_allowed")
    if getattr(response, "request", None) is not None and response.request.method == "HEAD":
        return
    body = response.json()
    message = body["error"].pop("message")
    assert body == {"error": {"type": kind, "field": field}}
    assert message
    assert "秘密" not in message


def test_the_table_is_walked_whole() -> None:
    assert set(STATUS) == set(get_args(RequestErrorType))
    # A client that has left reads no answer: tests/test_serving_line.py.
    assert {kind for kind, _, _ in PROVOKED} == set(STATUS) - {"client_left"}


@pytest.mark.parametrize("path", ["/health/live", "/info", "/v1/taxonomy"])
def test_head_is_get_without_a_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""
