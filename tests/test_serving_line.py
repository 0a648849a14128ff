"""The line in front of the model, under many requests at once."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from model.text import Opinion
from model.triage import Triaged
from serving.app import create_app
from serving.errors import RequestError
from serving.line import Line
from serving.settings import Settings
from tests.fake_triage import FakeTriage


class GatedTriage(FakeTriage):
    """Waits at a gate and notes how many are inside at once."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.inside = self.most = 0

    def __call__(
        self,
        opinions: Sequence[Opinion],
        received_at: Sequence[datetime],
        top_k: int = 5,
        explain: bool = False,
    ) -> list[Triaged]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.gate.wait(10)
        self.inside -= 1
        return super().__call__(opinions, received_at, top_k, explain)


def test_one_request_too_many_is_refused_and_the_others_are_answered() -> None:
    triage = GatedTriage()
    app = create_app(Settings(max_queue=3), triage)
    with TestClient(app) as client, ThreadPoolExecutor(3) as pool:

        def post(text: str) -> Any:
            return client.post("/v1/classify", json={"inputs": text})

        waiting = [pool.submit(post, text) for text in ("电梯", "停车", "树")]
        while app.state.line._under_way < 3:
            threading.Event().wait(0.01)
        refused = post("燃气")
        assert client.get("/health/live").status_code == 200
        triage.gate.set()
        codes = [f.result().json()["results"][0]["labels"][0]["code"] for f in waiting]
        assert post("燃气").status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert codes == ["elevator", "parking", "greening"]
    assert triage.most == 1


def test_many_requests_at_once_get_their_own_answers(client: TestClient) -> None:
    words = {"电梯": "elevator", "停车": "parking", "门口的树": "greening"}

    def ask(text: str) -> str:
        answer = client.post("/v1/classify", json={"inputs": [text] * 20}).json()
        codes = {result["labels"][0]["code"] for result in answer["results"]}
        assert len(codes) == 1
        return codes.pop()

    with ThreadPoolExecutor(8) as pool:
        texts = list(words) * 10
        assert list(pool.map(ask, texts)) == [words[text] for text in texts]


def test_wait_for_a_turn_ends() -> None:
    async def hold_and_wait() -> None:
        line = Line(slots=1, max_queue=9, max_wait_seconds=0.01)
        async with line.turn():
            with pytest.raises(RequestError, match="no turn within"):
                async with line.turn():
                    pass
        async with line.turn():
            pass

    asyncio.run(hold_and_wait())


@pytest.mark.parametrize("whole", [True, False])
def test_client_that_left_is_not_inferred(whole: bool) -> None:
    triage = GatedTriage()
    app = create_app(Settings(docs=False), triage)
    body = b'{"inputs": "\xe7\x94\xb5\xe6\xa2\xaf"}'
    messages = [
        {"type": "http.request", "body": body, "more_body": not whole},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

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
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 499
    assert triage.most == 0
