"""What many tests ask of the API of opinions, in one line each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

from fastapi.testclient import TestClient
from httpx2 import Response

T = TypeVar("T")


def keep(client: TestClient, text: str = "电梯坏了", **more: Any) -> int:
    """Submit an opinion; its number."""
    response = client.post("/v1/opinions", json={"text": text, **more})
    assert response.status_code == 201, response.text
    return int(response.json()["id"])


def move(client: TestClient, id: int, verb: str, **body: Any) -> Response:
    """POST /v1/opinions/{id}/{verb}."""
    return client.post(f"/v1/opinions/{id}/{verb}", json=body)


def moved(client: TestClient, id: int, verb: str, **body: Any) -> dict[str, Any]:
    """The answer to a move that must succeed."""
    response = move(client, id, verb, **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def history(client: TestClient, id: int) -> dict[str, Any]:
    """An opinion with everything that happened to it."""
    response = client.get(f"/v1/opinions/{id}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def refusal(response: Response) -> tuple[int, str, str]:
    """Status, kind and message of an error."""
    error = response.json()["error"]
    return response.status_code, error["type"], error["message"]


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """The results of calls that all start at the same moment."""
    gate = Barrier(len(calls))

    def call(each: Callable[[], T]) -> T:
        gate.wait(10)
        return each()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))
