"""Latency of GET /v1/opinions and of the queue page over 200,000 opinions, with the query plans.

    nice python -m tests.benchmarks.store sqlite:////tmp/bench.db [rows]
    nice python -m tests.benchmarks.store postgresql://linsheng:linsheng@127.0.0.1/linsheng_bench

Fills the database where it is empty, prints one JSON object, exits with 1 where a median is over
150 ms. `cpu_ms` is what a request costs this process and the database's: on a busy machine it
tells more than the median. The rows are synthetic: real texts, invented places, half of them with
an embedding. An empty PostgreSQL database must exist; both are left for a second run. Three
searches through everything for what is hardly there read every row: `whole_store` lists them, they
are not held to the goal.
"""

import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from model.gazetteer import NOWHERE
from model.text import Opinion
from serving.answers import describe_result
from serving.app import create_app
from serving.logs import configure_logs
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.tables import EventRow, OpinionRow, PredictionRow, ReviewRow
from tests.fake_triage import FakeTriage
from tests.query_plans import explain

ROWS = 200_000
GOAL_MS = 150
REPEATS = 7
CHUNK = 5_000
DAYS = 730
WIDTH = 384
COMPOUNDS = 414
NOW = datetime.now(UTC).replace(microsecond=0)
SEED = 20261123
LIST = "/v1/opinions"
PAGES = ("/queue", "/queue?sort=due", "/queue?category=parking", "/queue/rows")
WHOLE_STORE = ("absent place", "absent word", "low scores")
# Of 100 opinions so many rest in a state: a district that settles what comes in.
STATES = {"closed": 88, "routed": 8, "in_review": 3.5, "returned": 0.5}


def opinion_rows(triage: FakeTriage, n: int) -> Iterator[dict[str, Any]]:
    """Synthetic rows of the table of opinions, oldest first."""
    draw, noise = random.Random(SEED), np.random.default_rng(SEED)
    lines = Path("data/opinions.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    codes = triage.taxonomy.codes
    shares = [1 / (i + 1) for i in range(len(codes))]
    for i in range(n):
        received = NOW - timedelta(days=DAYS) * (1 - i / n) + timedelta(minutes=draw.random() * 600)
        category = draw.choices(codes, shares)[0]
        rule = triage.routing.rules[category]
        recent = i > n * 0.98
        state = "closed" if not recent and draw.random() < 0.9 else draw.choices(*_STATES)[0]
        urgent = draw.random() < 0.03
        compound = draw.randrange(COMPOUNDS)
        due = received + (timedelta(hours=2) if urgent else timedelta(days=draw.randrange(1, 21)))
        vector = noise.standard_normal(WIDTH) if i % 2 else None
        yield {
            "version": 1,
            "source": draw.choice(("hotline", "miniapp", "import")),
            "external_id": f"bench-{i}",
            "title": "",
            "text": draw.choice(texts),
            "channel": draw.choice(("miniapp", "hotline", "letter")),
            "place": f"幸福里{compound}号小区{draw.randrange(40)}号楼",
            "compound": f"compound-{compound}",
            "community": f"community-{compound % 120}",
            "street": f"street-{compound % 12}",
            "received_at": received,
            "created_at": received,
            "state": state,
            "waiting": state in ("in_review", "returned"),
            "audit": state == "routed" and draw.random() < 0.02,
            "decision": "auto" if draw.random() < 0.7 else "review",
            "score": round(draw.betavariate(5, 2), 4),
            "urgent": urgent,
            "urgent_rank": 0 if urgent else 1,
            "urgent_match": "困人" if urgent else None,
            "labels": [category],
            "category": category,
            "lead": rule.lead.code,
            "assist": [department.code for department in rule.assist],
            "level": rule.start,
            "due_at": due,
            "settled_at": None if state == "in_review" else received + timedelta(hours=3),
            "closed_at": received + timedelta(days=3) if state == "closed" else None,
            "answer": "已处理" if state == "closed" else None,
            "returns": int(state == "returned"),
            "case_id": None,
            "parent_id": None,
            "embedding": None
            if vector is None
            else (vector / np.linalg.norm(vector)).astype(np.float16).tobytes(),
        }


_STATES = (list(STATES), list(STATES.values()))


def fill(store: Store, triage: FakeTriage, n: int) -> None:
    """Insert n opinions, and a review of every tenth closed one."""
    chunk: list[dict[str, Any]] = []
    with store.write() as session:
        for i, row in enumerate(opinion_rows(triage, n), start=1):
            chunk.append(row)
            if len(chunk) == CHUNK or i == n:
                session.connection().execute(insert(OpinionRow.__table__), chunk)
                chunk = []
        found = session.execute(
            select(
                OpinionRow.id, OpinionRow.category, OpinionRow.lead, OpinionRow.received_at
            ).where(OpinionRow.state == "closed", OpinionRow.id % 10 == 0)
        )
        reviews = [
            {
                "opinion_id": id, "at": at, "actor": "bench", "labels": [category],
                "origin": "accepted", "suggested": [category], "department": lead, "note": None,
                "undone": False,
            }
            for id, category, lead, at in found
        ]  # fmt: skip
        session.connection().execute(insert(ReviewRow.__table__), reviews)
        add_histories(session, triage)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if store.engine.dialect.name == "postgresql":
            connection.execute(text("VACUUM ANALYZE"))


def add_histories(session: Session, triage: FakeTriage) -> None:
    """Insert what the model said of those that wait: the queue page shows the first of them."""
    [triaged] = triage([Opinion("电梯坏了")], [NOW])
    result = describe_result(triaged, triage, NOWHERE).model_dump(mode="json", exclude_unset=True)
    versions = {"at": NOW, "model_version": "bench", "taxonomy_version": 1, "routing_version": 1}
    event = {"actor": "bench", "action": "queued", "state": "in_review", "detail": {}}
    waiting = session.scalars(select(OpinionRow.id).where(OpinionRow.waiting)).all()
    for table, values in ((PredictionRow, {"result": result}), (EventRow, event)):
        rows = [{"opinion_id": id, **versions, **values} for id in waiting]
        session.connection().execute(insert(table.__table__), rows)


def queries() -> dict[str, dict[str, str]]:
    """What staff, pages and intake systems ask for, by a name."""
    month = (NOW - timedelta(days=30)).isoformat()
    return {
        "newest": {},
        "oldest": {"sort": "oldest"},
        "queue, least certain first": {"waiting": "true", "sort": "uncertain"},
        "queue, due soonest first": {"waiting": "true", "sort": "due"},
        "queue of a category": {"waiting": "true", "category": "greening", "sort": "uncertain"},
        "queue of a rare category": {"waiting": "true", "category": "other", "sort": "due"},
        "queue of a department": {"waiting": "true", "department": "street_office", "sort": "due"},
        "queue of a street": {"waiting": "true", "place": "street-3", "sort": "due"},
        "queue of one compound": {"waiting": "true", "place": "compound-17", "sort": "due"},
        "queue with a word": {"waiting": "true", "text": "电梯", "sort": "uncertain"},
        "queue without an absent word": {"waiting": "true", "text": "没有这个词", "sort": "due"},
        "queue, score range": {"waiting": "true", "min_score": "0.4", "max_score": "0.6"},
        "queue, overdue": {"waiting": "true", "overdue": "true", "sort": "due"},
        "least certain first": {"sort": "uncertain"},
        "due soonest first": {"sort": "due"},
        "routed, due soonest first": {"state": "routed", "sort": "due"},
        "routed, newest": {"state": "routed"},
        "returned": {"state": "returned"},
        "closed": {"state": "closed"},
        "category": {"category": "parking"},
        "category, in review": {"category": "parking", "state": "in_review"},
        "department": {"department": "landscaping"},
        "department of the month": {"department": "landscaping", "received_from": month},
        "department, routed, due": {"department": "market", "state": "routed", "sort": "due"},
        "decision": {"decision": "auto"},
        "urgent": {"urgent": "true"},
        "urgent, in review": {"urgent": "true", "state": "in_review"},
        "overdue": {"overdue": "true"},
        "overdue, due soonest first": {"overdue": "true", "sort": "due"},
        "overdue of a department": {"overdue": "true", "department": "market", "sort": "due"},
        "to be read blind": {"audit": "true"},
        "compound": {"place": "compound-17"},
        "street": {"place": "street-3"},
        "part of a place": {"place": "幸福里17号"},
        "absent place": {"place": "没有这个小区"},
        "month": {"received_from": month},
        "common word": {"text": "电梯"},
        "absent word": {"text": "没有这个词"},
        "source": {"source": "hotline"},
        "absent source": {"source": "nobody"},
        "low scores": {"max_score": "0.05"},
        "parts of an opinion": {"parent_id": "1"},
    }  # fmt: skip


def measure(client: TestClient, store: Store, path: str, query: dict[str, str]) -> dict[str, Any]:
    """Median, worst and mean CPU time of a request in milliseconds, and how much it found."""
    times: list[float] = []
    found = 0
    spent = cpu_seconds(store)
    for _ in range(REPEATS):
        start = time.perf_counter()
        response = client.get(path, params=query or None)  # {} would cut off the path's own
        times.append((time.perf_counter() - start) * 1000)
        assert response.status_code == 200, response.text
        found = len(response.json()["opinions"]) if path == LIST else len(response.text)
    spent = cpu_seconds(store) - spent
    return {
        "median_ms": round(statistics.median(times), 1),
        "worst_ms": round(max(times), 1),
        "cpu_ms": round(spent / REPEATS * 1000, 1),
        "found": found,
    }


def cpu_seconds(store: Store) -> float:
    """CPU time so far of this process and of PostgreSQL's for this database."""
    spent = time.process_time()
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect() as connection:
            pids = connection.scalars(
                text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
            ).all()
        schedules = [Path(f"/proc/{pid}/schedstat") for pid in pids]
        spent += sum(int(s.read_text().split()[0]) for s in schedules if s.exists()) / 1e9
    return spent


def deep(client: TestClient, query: dict[str, str], pages: int) -> dict[str, str]:
    """The query for a page so many pages of 200 behind the first."""
    cursor = {}
    for _ in range(pages):
        page = client.get("/v1/opinions", params={**query, "limit": "200"} | cursor).json()
        cursor = {"cursor": page["next_cursor"]}
    return query | cursor


def main() -> int:
    """Fill, measure, print; 1 where the goal is missed."""
    url = sys.argv[1]
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else ROWS
    configure_logs("error")
    triage = FakeTriage()
    app = create_app(Settings(docs=False, database_url=url), triage)
    store: Store = app.state.store
    with store.read() as session:
        stored = session.scalar(select(func.count(OpinionRow.id))) or 0
    began = time.perf_counter()
    if stored == 0:
        fill(store, triage, rows)
    filled = time.perf_counter() - began
    results: dict[str, Any] = {}
    with TestClient(app) as client:
        asked = queries()
        for name, query in list(asked.items())[:4]:
            asked[f"{name}, 20 pages of 200 on"] = deep(client, query, 20)
        for name, query in asked.items():
            with explain(store) as plans:
                client.get("/v1/opinions", params=query)
            results[name] = {
                "query": query,
                **measure(client, store, LIST, query),
                "plan": plans[-1],
            }
            result = results[name]
            print(f"{result['median_ms']:8.1f} ms {result['cpu_ms']:8.1f}  {name}", file=sys.stderr)
        pages = {path: measure(client, store, path, {}) for path in PAGES}
    slow = sorted(name for name, result in results.items() if result["median_ms"] > GOAL_MS)
    missed = [name for name in slow if name not in WHOLE_STORE]
    missed += [path for path, result in pages.items() if result["median_ms"] > GOAL_MS]
    report = {
        "database": store.engine.dialect.name,
        "opinions": stored or rows,
        "filled_s": round(filled, 1),
        "goal_median_ms": GOAL_MS,
        "over_goal": missed,
        "whole_store": {name: results[name]["median_ms"] for name in WHOLE_STORE},
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "cpu": platform.machine()},
        "pages": pages,
        "queries": results,
    }
    print(json.dumps(report, ensure_ascii=False, indent=1))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
