"""Kills the server again and again while clients submit: what it acknowledged must be kept, once.

    nice python -m tests.reliability.kill_server sqlite:////tmp/kill.db
    nice python -m tests.reliability.kill_server postgresql://USER:PASSWORD@HOST/NAME 2000 10

The database must be empty (PostgreSQL: made before). LINSHENG_ARTIFACT names another model than
the shipped one. Prints one JSON object; exits with 1 where an opinion is missing or doubled.
"""

import http.client
import json
import multiprocessing
import os
import queue
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from serving.store.engine import open_store
from serving.store.tables import EventRow, OpinionRow, PredictionRow

ROOT = Path(__file__).parents[2]
CLIENTS = 4
PAUSE = 0.05  # seconds before a client tries again
PATIENCE = 60  # seconds that a client waits for one answer


@dataclass(frozen=True)
class Answer:
    """What a client was told: the number of its opinion, and after how many attempts."""

    external_id: str
    id: int
    stored_now: bool
    attempts: int


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def submit_all(port: int, external_ids: list[str], texts: list[str], answers: "Queue[Any]") -> None:
    """A client: submits each opinion until it is acknowledged, every tenth once more."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    for i, (external_id, text) in enumerate(zip(external_ids, texts, strict=True)):
        body = json.dumps({"text": text, "external_id": external_id, "channel": "hotline"})
        for _ in range(2 if i % 10 == 0 else 1):
            attempts = 0
            while True:
                attempts += 1
                try:
                    connection.request(
                        "POST", "/v1/opinions", body, {"content-type": "application/json"}
                    )
                    response = connection.getresponse()
                    told = json.loads(response.read())
                except (OSError, http.client.HTTPException):
                    connection.close()
                    time.sleep(PAUSE)
                    continue
                if response.status in (200, 201):
                    break
                if response.status not in (429, 503):
                    raise SystemExit(f"{external_id}: {response.status} {told}")
                time.sleep(PAUSE)
            answers.put(Answer(external_id, told["id"], response.status == 201, attempts))
    connection.close()


def start_server(url: str, port: int, artifact: Path | None) -> subprocess.Popen[bytes]:
    """The real server as a process of its own."""
    environment = {
        "LINSHENG_THREADS": "1",
        **os.environ,
        "LINSHENG_DATABASE_URL": url,
        "LINSHENG_LOG_LEVEL": "error",
        "LINSHENG_DOCS": "false",
    }
    if artifact:
        environment["LINSHENG_ARTIFACT"] = str(artifact)
    command = [sys.executable, "-m", "serving", "run", "--port", str(port)]
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def run(
    url: str, submissions: int, kills: int, seconds: float, artifact: Path | None = None
) -> dict[str, Any]:
    """Submit while the server is killed at even distances; count what is kept.

    Args:
        seconds: after which it gives up.

    Raises:
        TimeoutError: not all was acknowledged in time.
        RuntimeError: the server or a client ended by itself.
    """
    lines = (ROOT / "data/opinions.jsonl").read_text(encoding="utf-8").splitlines()
    known = [json.loads(line)["text"] for line in lines[: min(submissions, len(lines))]]
    texts = {f"kill-{i}": known[i % len(known)] for i in range(submissions)}
    names = list(texts)
    port = free_port()
    spawn = multiprocessing.get_context("spawn")
    answers: Queue[Any] = spawn.Queue()
    clients = [
        spawn.Process(
            target=submit_all,
            args=(port, names[k::CLIENTS], [texts[n] for n in names[k::CLIENTS]], answers),
            daemon=True,
        )
        for k in range(CLIENTS)
    ]
    began = time.monotonic()
    told: list[Answer] = []
    done: set[str] = set()
    killed = 0
    server = start_server(url, port, artifact)
    try:
        for client in clients:
            client.start()
        while len(done) < submissions or any(client.is_alive() for client in clients):
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{len(done)} of {submissions} acknowledged in {seconds:g} s")
            if server.poll() is not None or any(client.exitcode for client in clients):
                raise RuntimeError("the server or a client ended by itself: see above")
            if killed < kills and len(done) >= submissions * (killed + 1) // (kills + 1):
                server.kill()
                server.wait()
                killed += 1
                server = start_server(url, port, artifact)
            try:
                told.append(answers.get(timeout=0.2))
                done.add(told[-1].external_id)
            except queue.Empty:
                continue
        while not answers.empty():
            told.append(answers.get())
    finally:
        server.kill()
        server.wait()
        for client in clients:
            client.kill()
    return {
        "database": url.split(":")[0],
        "submissions": submissions,
        "clients": CLIENTS,
        "kills": killed,
        "seconds": round(time.monotonic() - began, 1),
        "attempts": sum(answer.attempts for answer in told),
        **compare(url, texts, told),
    }


def compare(url: str, texts: dict[str, str], told: list[Answer]) -> dict[str, int]:
    """What the clients were told against what the database keeps."""
    store = open_store(url)
    with store.read() as session:
        rows = session.execute(select(OpinionRow.id, OpinionRow.external_id, OpinionRow.text)).all()
        predicted = dict(
            session.execute(
                select(PredictionRow.opinion_id, func.count()).group_by(PredictionRow.opinion_id)
            ).all()  # type: ignore[arg-type]
        )
        events = dict(
            session.execute(
                select(EventRow.opinion_id, func.count()).group_by(EventRow.opinion_id)
            ).all()  # type: ignore[arg-type]
        )
    store.close()
    kept = {external_id: (id, text) for id, external_id, text in rows}
    return {
        "acknowledged": len({answer.external_id for answer in told}),
        "kept": len(rows),
        "lost": sum(kept.get(a.external_id, (None,))[0] != a.id for a in told),
        "doubled": len(rows) - len(kept),
        "altered": sum(text != texts[name] for name, (_, text) in kept.items()),
        "half_kept": sum(predicted.get(id) != 1 or events.get(id) != 3 for id, _, _ in rows),
        "kept_before_their_answer_was_lost": sum(not a.stored_now and a.attempts > 1 for a in told),
        "sent_again_and_recognised": sum(not a.stored_now and a.attempts == 1 for a in told),
    }


def is_sound(report: dict[str, Any]) -> bool:
    """Whether everything acknowledged is there, whole, once."""
    faults = ("lost", "doubled", "altered", "half_kept")
    return report["kept"] == report["acknowledged"] == report["submissions"] and not any(
        report[name] for name in faults
    )


def main() -> int:
    """Run and print; 1 where something is wrong."""
    url = sys.argv[1]
    submissions = int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    report = run(url, submissions, kills, seconds=60 + submissions * 0.5 + kills * 60)
    print(json.dumps(report, indent=2))
    return int(not is_sound(report))


if __name__ == "__main__":
    sys.exit(main())
